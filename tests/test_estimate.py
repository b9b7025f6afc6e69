"""The estimate: sizes and counts are exact, kinds of work are shared, time adds up; `auscult plan` writes nothing."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from auscult.clips import Clip
from auscult.datasets import load_clips
from auscult.features import LogMel
from auscult.models import MODELS, load_model
from auscult.recipe import parse_recipe
from auscult.runs import work
from auscult.runs.estimate import Outlook
from auscult.runs.jobs import load_banks, model_file
from auscult.runs.plan import Plan, make_plan
from auscult.runs.run import run
from auscult.runs.store import NoStore, Store

RECIPE = """
name = "small"
training = {epochs = 2, batch_size = 32}
[[member]]
name = "ae"
family = "autoencoder"
[[member]]
name = "spectral"
family = "spectral"
[[member]]
name = "hvae"
family = "hvae"
model = {hidden = [32], n_latent = 4, big_precision = true}
[[member]]
name = "idcae"
family = "idcae"
model = {windows_per_clip = 20}
[[member]]
name = "freak"
family = "freak"
features = {n_mels = 32, n_fft = 2048}
model = {m = 2, crop = 40, covariance = "identity"}
"""

DENOISER = "denoiser = {epochs = 2, steps = 2, batch_size = 2, seconds = 0.5, fixed = 4}\n"

NEEDY = f"""
name = "needy"
{DENOISER}
training = {{epochs = 2}}
[[member]]
name = "plain"
family = "hvae"
model = {{hidden = [32], n_latent = 4}}
[[member]]
name = "denoised"
family = "hvae"
denoise_level = 2
model = {{hidden = [32], n_latent = 4}}
[[member]]
name = "embedded"
family = "hvae"
features = {{kind = "openl3", input = "mel128", hop = 0.5}}
model = {{context = 1, hidden = [32], n_latent = 4}}
"""


@pytest.fixture(autouse=True)
def no_weights_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AUSCULT_WEIGHTS", raising=False)


@pytest.fixture(scope="module")
def clips(factory: Path) -> list[Clip]:
    return load_clips(factory)


@pytest.fixture(scope="module")
def finished(factory: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    out = tmp_path_factory.mktemp("planned") / "run"
    return run(parse_recipe(RECIPE, "small"), data=factory, out=out, machine_types=["fan"])


@pytest.fixture
def planned(clips: list[Clip]) -> Callable[..., Plan]:
    """Plans members for the tiny factory: `planned({"family": "hvae", "model": {...}}, ...)`."""

    def call(*members: dict[str, Any], device: str = "cpu", **top: Any) -> Plan:
        from auscult.recipe import Recipe

        named = [{"name": f"m{index}", **member} for index, member in enumerate(members)]
        recipe = Recipe.model_validate({"name": "test", **top, "member": named})
        return make_plan(recipe, clips, NoStore(), device=device, missing=[])

    return call


# Sizes


def test_sizes_of_banks_are_those_of_the_banks_that_are_computed(finished: Any) -> None:
    outlook = Outlook(finished.plan, finished.store)
    for job in finished.plan.banks:
        assert outlook.frames[job.key] == load_banks(finished.store, [job]).lengths.tolist()
    files = [finished.store.path("bank", job.key) / "frames.f32" for job in finished.plan.banks]
    assert sum(row.n_bytes for row in outlook.rows()) == sum(file.stat().st_size for file in files)


def test_sizes_follow_each_clip_where_lengths_rates_and_formats_differ(
    tmp_path: Path, record: Callable[..., Path]
) -> None:
    for index in range(6):
        suffix = ("wav", "flac")[index % 2]
        record(
            tmp_path / "pump" / "train" / f"{index}.{suffix}", seconds=0.3 + index / 10, sample_rate=8000 * (index + 1)
        )
    recipe = parse_recipe('name = "r"\n[[member]]\nname = "s"\nfamily = "spectral"', "r")
    store = Store(tmp_path / "store")
    plan = make_plan(recipe, load_clips(tmp_path), store, device="cpu")
    (frames,) = Outlook(plan, store).frames.values()
    assert sorted(frames) == [1 + round((0.3 + index / 10) * 16000) // 512 for index in range(6)]


def test_parameters_are_those_of_the_trained_models(finished: Any) -> None:
    outlook = Outlook(finished.plan, finished.store)
    counted = {job.name: outlook.n_parameters(job) for job in finished.plan.members}
    assert counted == {
        job.name: load_model(model_file(finished.store, job)).n_parameters for job in finished.plan.members
    }
    assert counted["spectral"] == 0


# Work


def kinds(plan: Plan) -> set[str]:
    left = Outlook(plan, NoStore()).left
    return {left[job.key][0].kind for job in plan.members}


@pytest.mark.parametrize(
    ("one", "other", "n_kinds"),
    [
        ({"family": "hvae", "model": {"beta": 1.0}}, {"family": "hvae", "model": {"beta": 2.0, "n_latent": 8}}, 1),
        ({"family": "hvae", "model": {"context": 4}}, {"family": "hvae"}, 2),
        ({"family": "hvae", "model": {"hidden": [64]}}, {"family": "hvae"}, 2),
        ({"family": "hvae", "training": {"batch_size": 8}}, {"family": "hvae"}, 2),
        pytest.param(
            {"family": "hvae", "training": {"precision": "bf16"}}, {"family": "hvae"}, 2, marks=pytest.mark.bf16
        ),
        ({"family": "hvae", "training": {"epochs": 7}}, {"family": "hvae"}, 1),
        ({"family": "idcae", "model": {"alpha": 0.5, "norm": "l2"}}, {"family": "idcae", "model": {"target": 2.5}}, 1),
        ({"family": "freak", "model": {"norm": "clip"}}, {"family": "freak"}, 2),
        ({"family": "freak", "features": {"n_mels": 64}}, {"family": "freak"}, 2),
        ({"family": "freak", "model": {"score": "mse"}}, {"family": "freak"}, 1),
    ],
)
def test_what_costs_the_same_is_measured_once(
    planned: Callable[..., Plan], one: dict[str, Any], other: dict[str, Any], n_kinds: int
) -> None:
    assert len(kinds(planned(one, other))) == n_kinds


@pytest.mark.parametrize("family", MODELS)
def test_units_are_what_an_epoch_goes_through(planned: Callable[..., Plan], family: str) -> None:
    """Counted on the batches that the model itself draws."""
    model_arguments = {"freak": {"crop": 45, "m": 2, "covariance": "identity"}, "idcae": {"windows_per_clip": 20}}
    member = {"family": family, "model": model_arguments.get(family, {}), "training": {"epochs": 3, "batch_size": 16}}
    plan = planned(member)
    job, outlook = plan.members[0], Outlook(plan, NoStore())
    rng = np.random.default_rng(0)
    lengths = [n for bank in job.train for n in outlook.frames[bank.key]]
    ids = [clip.machine_id for bank in job.train for clip in bank.clips]
    trained = outlook.left[job.key][0].units
    if not MODELS[family].learns_in_epochs():
        assert trained == sum(lengths)
        return
    seen: list[int] = []

    class Counting(MODELS[family]):  # type: ignore[misc]  # each family in turn
        def loss(self, batch: Any) -> dict[str, Any]:
            first = batch[0] if isinstance(batch, tuple) else batch
            seen.append(first.shape[0] * (first.shape[1] if family == "freak" else 1))
            return super().loss(batch)

    Counting(**job.arguments).fit([rng.standard_normal((n, 128)) for n in lengths], ids, training=job.training)
    assert trained - sum(seen) in range(4), "batch norm leaves out a last window"


def test_features_are_measured_on_sounds_that_they_have_not_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    """YAMNet, graphs and modulation spectra remember what was heard, so that the second time costs nothing."""
    heard: list[bytes] = []

    class Hearing(LogMel):
        def __call__(self, waveform: Any) -> Any:
            heard.append(waveform.tobytes())
            return super().__call__(waveform)

    monkeypatch.setattr(work, "ENOUGH", 1e9)
    assert work._measure_features(Hearing(16000), 16000) > 0
    assert len(heard) == len(set(heard)) == 2 * (1 + work.MOST_TIMES)


def test_rates_of_a_plan_are_measured_without_weights_and_clean_sounds(clips: list[Clip]) -> None:
    missing: list[str] = []
    fans = [clip for clip in clips if clip.machine_type == "fan"]
    plan = make_plan(parse_recipe(NEEDY, "needy"), fans, NoStore(), device="cpu", all_clips=clips, missing=missing)
    assert len(missing) == 2
    done: list[tuple[int, int]] = []
    outlook = Outlook(plan, NoStore())
    rates = outlook.rates({}, on_kind=lambda *counts: done.append(counts))
    names = ["denoising", "log_mel", "openl3", *["hvae training", "hvae scoring"] * 2]
    assert [kind.partition(" {")[0] for kind in rates] == names
    assert done == [(index, len(names)) for index in range(1, len(names) + 1)]
    assert all(rate > 0 for rate in rates.values())
    found = outlook.estimate(rates)
    assert all(seconds > 0 for seconds in found.jobs.values())
    log_mels = [job for job in plan.banks if job.features["kind"] == "log_mel"]
    plain, denoised = (sum(found.jobs[job.key] for job in log_mels if bool(job.denoiser) == is_) for is_ in (0, 1))
    assert plain < denoised
    rows = outlook.rows(found)
    assert [row.what for row in rows] == ["denoiser", "log_mel", "log_mel denoised", "openl3", "hvae"]
    assert rows[0].parameters == (2622402, 2622402)
    assert sum(row.seconds or 0 for row in rows) == pytest.approx(found.seconds)


# Time


def unit_rates(plan: Plan) -> dict[str, float]:
    """One second for everything."""
    return {work.kind: 1.0 for works in Outlook(plan, NoStore()).left.values() for work in works}


def test_time_grows_with_epochs_and_members_and_shrinks_with_workers(planned: Callable[..., Plan]) -> None:
    def taken(*members: dict[str, Any], workers: int = 1, device: str = "cpu", **top: Any) -> Any:
        plan = planned(*members, device=device, **top)
        return Outlook(plan, NoStore()).estimate(unit_rates(plan), workers=workers)

    one = {"family": "idcae", "training": {"epochs": 10}}
    short, long = taken(one), taken({**one, "training": {"epochs": 20}})
    scoring = 2 * short.members - long.members  # ten epochs less of the training
    assert 0 < scoring < short.members
    two = taken(one, one)
    assert two.members == pytest.approx(2 * short.members)
    assert two.features == pytest.approx(short.features), "they share the banks"
    assert taken(one, repeats=3).members == pytest.approx(3 * short.members)
    assert taken(one, one, workers=2).members == pytest.approx(two.members / 2)
    longest = max(short.jobs.values())
    assert taken(one, workers=16).members == longest, "a job is not divided"
    assert taken(one, one, workers=4, device="cuda").members == pytest.approx(two.members), "there is one GPU"


def test_what_is_finished_takes_no_time_and_is_not_measured(finished: Any, clips: list[Clip]) -> None:
    outlook = Outlook(finished.plan, finished.store)
    assert outlook.rates({}) == {}
    assert outlook.estimate({}).seconds == 0
    rows = outlook.rows()
    assert all(row.done == row.jobs and row.seconds is None for row in rows)
    both = make_plan(parse_recipe(RECIPE, "small"), clips, finished.store, device="cpu")
    left = Outlook(both, finished.store).estimate(unit_rates(both))
    assert {job.machine_type for job in both.members if left.jobs[job.key]} == {"valve"}


@pytest.mark.slow
def test_the_estimate_of_a_small_run_is_near_its_time(factory: Path, tmp_path: Path) -> None:
    """Within a factor of three; of the processor's time, which other programs do not prolong."""
    text = RECIPE.replace('"small"\n', f'"small"\n{DENOISER}').replace("epochs = 2, batch", "epochs = 40, batch")
    recipe = parse_recipe(text, "small", ["member.hvae.denoise_level=2"])
    given: dict[str, Any] = {"clean": factory / "clean"}
    plan = make_plan(recipe, load_clips(factory), NoStore(), device="cpu", **given)
    outlook = Outlook(plan, NoStore())
    found = outlook.estimate(outlook.rates({}))
    start, finish = time.process_time(), [0.0]

    def progress(*_: object) -> None:
        finish[0] = time.process_time()

    run(recipe, data=factory, out=tmp_path / "run", on_progress=progress, **given)
    taken = finish[0] - start
    assert found.seconds / 3 < taken < 3 * found.seconds


# The command


@pytest.fixture
def needy(tmp_path: Path) -> Path:
    path = tmp_path / "needy.toml"
    path.write_text(NEEDY)
    return path


def test_plan_shows_what_is_to_be_made_and_missing_and_writes_nothing(
    command: Callable[..., Any], factory: Path, tmp_path: Path, needy: Path
) -> None:
    before = sorted(tmp_path.rglob("*"))
    done = command("plan", needy, "--data", factory, "--machine-type", "fan", "--out", tmp_path / "run", "--workers", 2)
    assert done.code == 1, "something is missing"
    for words in ("fan", "denoiser", "log_mel denoised", "openl3", "hvae", "0/3", "2.6 M"):
        assert words in done.out
    lines = done.out.splitlines()
    missing = [line for line in lines if line.startswith("missing: ")]
    assert len(missing) == 2
    assert "--clean" in missing[0]
    assert "openl3_audio_mel128_env-v0_2_0.h5.gz" in missing[1]
    assert "with 2 workers on cpu" in lines[-1]
    assert lines[-1].startswith("estimate: about ")
    assert sorted(tmp_path.rglob("*")) == before


def test_plan_without_what_is_missing_names_what_is_left_out(
    command: Callable[..., Any], factory: Path, needy: Path
) -> None:
    done = command("plan", needy, "--data", factory, "--without", "openl3", "--without", "denoiser", "--no-estimate")
    assert done.code == 0, done.err
    left_out = [line for line in done.out.splitlines() if line.startswith("left out: ")]
    assert ["fan" in line for line in left_out] == [True, False]
    assert all("without openl3 and denoiser" in line for line in left_out)
    assert "missing" not in done.out
    assert "estimate" not in done.out
    assert command("plan", needy, "--data", factory, "--without", "openl4").code == 2


def test_plan_as_json_and_of_a_finished_run(
    command: Callable[..., Any], factory: Path, tmp_path: Path, finished: Any
) -> None:
    path = tmp_path / "small.toml"
    path.write_text(RECIPE)
    arguments = ("plan", path, "--data", factory, "--machine-type", "fan", "--device", "cpu", "--json")
    done = command(*arguments, "--out", finished.folder)
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert [row["what"] for row in found["rows"]] == ["log_mel", "autoencoder", "spectral", "hvae", "idcae", "freak"]
    assert all(row["done"] == row["jobs"] for row in found["rows"])
    assert found["estimate"]["seconds"] == 0
    assert found["missing"] == found["left_out"] == []
    again = json.loads(command(*arguments, "--store", finished.folder / "store", "--no-estimate").out)
    assert again == {**found, "estimate": None, "rows": [{**row, "seconds": None} for row in found["rows"]]}
    fresh = json.loads(command(*arguments, "--no-estimate").out)
    assert all(row["done"] == 0 for row in fresh["rows"])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--machine-type", "fam"), "'fam'"),
        (("--workers", "0"), "--workers is 0"),
        (("--override", "member.plain.family=hvea"), "'hvea' is unknown"),
        (("--override", "member.plain.family=hvae", "--override", "repeats=0"), "repeats is 0"),
        (("--device", "tpu"), "device 'tpu' is unknown"),
        (("--dataset", "mimi"), "mimi"),
    ],
)
def test_wrong_arguments_of_plan(
    command: Callable[..., Any], factory: Path, needy: Path, arguments: tuple[str, ...], words: str
) -> None:
    done = command("plan", needy, "--data", factory, "--no-estimate", *arguments)
    assert done.code == 2
    assert words in done.error


@pytest.mark.parametrize(
    ("left_out", "words"),
    [
        ('features = {kind = "openl3", input = "mel128", hop = 0.5}', "give their folder with --clean"),
        ("denoise_level = 2", "openl3_audio_mel128_env-v0_2_0.h5.gz"),
    ],
)
def test_run_stops_for_want_of_clean_sounds_or_weights_before_any_training(
    command: Callable[..., Any], factory: Path, tmp_path: Path, needy: Path, left_out: str, words: str
) -> None:
    needy.write_text(NEEDY.replace(left_out, ""))
    done = command("run", needy, "--data", factory, "--out", tmp_path / "run")
    assert done.code == 2
    assert words in done.error
    assert {path.name for path in (tmp_path / "run").glob("store/*") if path.is_dir()} <= {"locks"}


def test_a_plan_names_the_members_for_which_clips_are_too_short(
    command: Callable[..., Any], factory: Path, tmp_path: Path
) -> None:
    recipe = tmp_path / "long.toml"
    model = "{ m = 1, n_layers = 8, crop = 2000 }"
    recipe.write_text(f'name = "long"\n[[member]]\nname = "freak"\nfamily = "freak"\nmodel = {model}\n')
    done = command("plan", recipe, "--data", factory, "--machine-type", "fan")
    assert done.code == 1, done.err
    assert "missing: fan: a clip has too few frames for freak (at least 1024)" in done.out
    assert "estimate: about " in done.out
