"""Stacks of a run: who is stacked, under which keys, and what becomes of a run whose stacks are killed or fail."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import auscult.runs.jobs
import auscult.runs.stacks
import auscult.training
from auscult.datasets import load_clips
from auscult.errors import RunError
from auscult.models import IDCAE, load_model
from auscult.recipe import parse_recipe
from auscult.runs.executors import LocalExecutor
from auscult.runs.jobs import DONE, is_finished, model_file, read_scores
from auscult.runs.plan import MemberJob, Plan, make_plan
from auscult.runs.run import run
from auscult.runs.stacks import MOST_MEMBERS, with_stacks
from auscult.runs.store import Store

GRID = """
name = "grid"
[training]
epochs = 2
[[member]]
name = "id-{alpha}-{target}-{norm}"
family = "idcae"
features = { n_mels = 24 }
model = { context = 3, windows_per_clip = 20 }
grid = { "model.alpha" = [0.9, 0.5], "model.target" = [0.0, 5.0], "model.norm" = ["l1", "l2"] }
[[member]]
name = "other"
family = "idcae"
features = { n_mels = 32 }
model = { context = 3, windows_per_clip = 20 }
[[member]]
name = "gauss"
family = "spectral"
features = { n_mels = 24 }
"""

SEEDS = """
name = "seeds"
repeats = 3
[training]
epochs = 3
[[member]]
name = "ae"
family = "autoencoder"
features = { n_mels = 24 }
model = { context = 3, hidden = [8], n_latent = 2 }
[[member]]
name = "wide"
family = "autoencoder"
features = { n_mels = 24 }
model = { context = 3, hidden = [16], n_latent = 2 }
[[member]]
name = "freak"
family = "freak"
features = { n_mels = 24 }
model = { m = 1, n_layers = 2, crop = 20, covariance = "identity", groups = 1 }
"""


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def planned(text: str, factory: Path, store: Store, *, device: str = "cpu") -> Plan:
    clips = [clip for clip in load_clips(factory) if clip.machine_type == "fan"]
    return make_plan(parse_recipe(text, "test.toml"), clips, store, device=device)


def jobs_of(plan: Plan) -> list[Any]:
    return [*plan.banks, *plan.members]


def stacks_of(plan: Plan) -> list[tuple[MemberJob, ...]]:
    return list({job.stack[0].key: job.stack for job in plan.members if job.stack}.values())


def silent(*_: Any) -> None:
    """Nobody looks."""


def test_members_of_the_same_shapes_share_a_stack(factory: Path, store: Store) -> None:
    plan = with_stacks(planned(GRID, factory, store), "on")
    by_norm = [{job.name for job in stack} for stack in stacks_of(plan)]
    assert by_norm == [{f"id-{a}-{t:g}-{norm}" for a in (0.9, 0.5) for t in (0.0, 5.0)} for norm in ("l1", "l2")]
    assert not {job.name for job in plan.members if not job.facts.get("stack")} ^ {"other", "gauss"}


def test_seeds_share_a_stack_and_shapes_that_cannot_be_stacked_do_not(factory: Path, store: Store) -> None:
    stacks = stacks_of(with_stacks(planned(SEEDS, factory, store), "on"))
    assert [[(job.name, job.seed) for job in stack] for stack in stacks] == [
        [(name, seed) for seed in range(3)] for name in ("ae", "wide")
    ]


@pytest.mark.parametrize(
    ("stacking", "device", "stacked"),
    [
        ("auto", "cpu", False),
        ("auto", "cuda", False),
        ("on", "cuda:1", True),
        ("on", "cpu", True),
        ("off", "cuda", False),
    ],
)
def test_members_are_stacked_where_somebody_says_so(
    stacking: Any, device: str, stacked: bool, factory: Path, store: Store
) -> None:
    plan = with_stacks(planned(SEEDS, factory, store, device=device), stacking)
    assert bool(stacks_of(plan)) == stacked


def test_an_unknown_word_is_refused(factory: Path, store: Store) -> None:
    with pytest.raises(RunError, match="stack is 'yes'; choose auto, on or off"):
        with_stacks(planned(SEEDS, factory, store), "yes")  # type: ignore[arg-type]  # no such word


def test_a_stacked_member_has_keys_of_its_own_and_others_keep_theirs(factory: Path, store: Store) -> None:
    before = planned(SEEDS, factory, store)
    after = with_stacks(before, "on")
    for one, other in zip(before.members, after.members, strict=True):
        stacked = other.name != "freak"
        assert (one.key != other.key) == (one.scores_key != other.scores_key) == stacked
        assert other.facts == ({**one.facts, "stack": True} if stacked else one.facts)
        assert other.scores_facts["model"] == other.key
    assert with_stacks(before, "on") == after


def test_a_stack_is_no_larger_than_pays(factory: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MOST_MEMBERS, "cpu", 2)
    stacks = stacks_of(with_stacks(planned(SEEDS, factory, store), "on"))
    assert [len(stack) for stack in stacks] == [2, 2, 1, 1]


@pytest.mark.parametrize(
    "executor", [LocalExecutor(), pytest.param(LocalExecutor(2), marks=pytest.mark.slow)], ids=["serial", "local"]
)
def test_stacked_members_score_as_those_trained_alone(executor: Any, factory: Path, tmp_path: Path) -> None:
    stores = {stacking: Store(tmp_path / stacking) for stacking in ("on", "off")}
    scores: dict[str, list[Any]] = {}
    for stacking, store in stores.items():
        plan = with_stacks(planned(SEEDS, factory, store), stacking)  # type: ignore[arg-type]  # one of the words, which pytest calls str
        assert executor.run(jobs_of(plan), store, silent) == []
        assert all(is_finished(job, store) for job in jobs_of(plan))
        scores[stacking] = [value for job in plan.members for value in read_scores(store, job).values()]
        assert not list((store.folder / "unfinished").glob("*"))
    for one, other in zip(scores["on"], scores["off"], strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-2)


def test_what_is_finished_is_not_trained_again(factory: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = with_stacks(planned(SEEDS, factory, store), "on")
    LocalExecutor().run(jobs_of(plan), store, silent)

    def never(*_: Any, **__: Any) -> Any:
        raise AssertionError("what is finished is not done again")

    monkeypatch.setattr(auscult.runs.stacks, "fit_stack", never)
    events: list[tuple[str, str]] = []
    assert LocalExecutor().run(jobs_of(plan), store, lambda label, *rest: events.append((label, rest[-1]))) == []
    assert events == [(job.label, DONE) for job in jobs_of(plan)]


def test_a_killed_stack_goes_on_to_the_same_bits(
    factory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auscult.training, "CHECKPOINT_SECONDS", 0)
    killed, whole = Store(tmp_path / "killed"), Store(tmp_path / "whole")
    plan = with_stacks(planned(SEEDS, factory, killed), "on")
    LocalExecutor().run(jobs_of(plan), whole, silent)

    def power_cut(label: str, done: int, total: int, text: str) -> None:
        if text.startswith("loss") and done == 2:
            raise KeyboardInterrupt

    for _ in stacks_of(plan):
        with pytest.raises(KeyboardInterrupt):
            LocalExecutor().run(jobs_of(plan), killed, power_cut)
        assert list((killed.folder / "unfinished").glob("stack-*/checkpoint.safetensors"))
    assert LocalExecutor().run(jobs_of(plan), killed, silent) == []
    for job in plan.members:
        if job.facts.get("stack"):
            assert model_file(killed, job).read_bytes() == model_file(whole, job).read_bytes()
            assert read_scores(killed, job) == read_scores(whole, job)
    assert not list((killed.folder / "unfinished").glob("*"))


def test_members_of_a_stack_that_fails_train_alone(
    factory: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_large(*_: Any, **__: Any) -> Any:
        raise MemoryError

    monkeypatch.setattr(auscult.runs.stacks, "fit_stack", too_large)
    plan = with_stacks(planned(SEEDS, factory, store), "on")
    assert LocalExecutor().run(jobs_of(plan), store, silent) == []
    assert all(is_finished(job, store) for job in plan.members)


def test_a_member_that_fails_is_named_and_harms_no_other(factory: Path, store: Store) -> None:
    plan = with_stacks(planned(SEEDS, factory, store), "on")
    bad = plan.members[0]

    def spoilt(job: MemberJob) -> MemberJob:
        job = replace(job, stack=tuple(map(spoilt, job.stack)))
        return replace(job, training=replace(job.training, learning_rate=1e30)) if job.key == bad.key else job

    jobs = [*plan.banks, *map(spoilt, plan.members)]
    (failure,) = LocalExecutor().run(jobs, store, silent)
    assert failure.label == bad.label
    assert "the loss is no finite number" in failure.reason
    assert [job.label for job in plan.members if not is_finished(job, store)] == [bad.label]


def test_a_bank_that_fails_takes_stack_and_members_and_is_the_only_reason(
    factory: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise RunError("the disk is full")

    monkeypatch.setattr(auscult.runs.jobs, "build_bank", broken)
    plan = with_stacks(planned(SEEDS, factory, store), "on")
    failures = LocalExecutor().run(jobs_of(plan), store, silent)
    assert {failure.label for failure in failures} == {job.label for job in (*plan.banks, *plan.members)}


def test_a_run_with_stacks(factory: Path, tmp_path: Path, command: Callable[..., Any]) -> None:
    """The command trains in stacks, and its report holds all members."""
    recipe = tmp_path / "grid.toml"
    recipe.write_text(GRID)
    out = tmp_path / "out"
    arguments = (recipe, "--data", factory, "--machine-type", "fan", "--out", out, "--device", "cpu", "--stack", "on")
    outcome = command("run", *arguments)
    assert outcome.code == 0
    trained = load_model(out / "weights" / "fan" / "id-0.5-5-l2.safetensors")
    assert isinstance(trained, IDCAE)
    assert (trained.alpha, trained.target, trained.norm) == (0.5, 5.0, "l2")
    rows = json.loads((out / "results.json").read_text())
    assert rows
    plan = command("plan", *arguments, "--no-estimate", "--json")
    assert {row["what"]: row["done"] == row["jobs"] for row in json.loads(plan.out)["rows"]}["idcae"]
    other = command("plan", *arguments[:-1], "off", "--no-estimate", "--json")
    assert {row["what"]: row["done"] for row in json.loads(other.out)["rows"]}["idcae"] == 1


def test_a_run_refuses_an_unknown_word(factory: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="stack is"):
        run(parse_recipe(SEEDS, "t"), data=factory, out=tmp_path / "out", stack="maybe")  # type: ignore[arg-type]  # no such word
