"""`auscult bench`: each step has a speed, in units that follow from the work; `auscult plan` can take its rates."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from auscult.models import MODELS
from auscult.recipe import load_recipe
from auscult.runs import bench
from auscult.runs.bench import StepSpeed, measure_steps
from auscult.runs.estimate import FORMAT, Outlook, read_rates


@pytest.fixture
def ones(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every unit of every kind of work takes a second; nothing is measured."""

    def rates(self: Outlook, known: Any, *, on_kind: Callable[[int, int], None] | None = None) -> dict[str, float]:
        found = {work.kind: 1.0 for works in self.left.values() for work in works}
        for done in range(len(found) if on_kind else 0):
            on_kind(done + 1, len(found))
        return found

    monkeypatch.setattr(Outlook, "rates", rates)
    monkeypatch.setattr(bench, "timed", lambda work: 10.0)


def test_a_second_of_sound_costs_the_units_that_are_in_it(ones: None) -> None:
    found, rates = measure_steps(device="cpu")
    n_frames, windows = 313, load_recipe("idcae").members_of("fan")[0].model.get("windows_per_clip", 300)
    assert {step.name: step.seconds for step in found} == pytest.approx(
        {
            "reading": 1.0,
            "resampling": 1.0,
            "log_mel": n_frames / 10,
            "modulation": 1 / 10,
            "openl3": 96 / 10,
            "yamnet": 20 / 10,
            "denoising": n_frames * 512 / 160000,
            "autoencoder training": 0.9 * (n_frames - 4) / 10,
            "mahalanobis training": 0.9 * (n_frames - 4) / 10,
            "spectral training": n_frames / 10,
            "hvae training": (n_frames - 4) / 10,
            "idcae training": windows / 10,
            "freak training": n_frames / 10,
            "neighbours training": n_frames / 10,
            "classifier training": 1 / 10,
            **{f"{family} scoring": n_frames / 10 for family in MODELS},
            "classifier scoring": 1 / 10,
        }
    )
    assert set(rates.values()) == {1.0}


def test_progress_ends_with_all(ones: None) -> None:
    seen: list[tuple[int, int]] = []
    measure_steps(device="cpu", on_step=lambda done, total: seen.append((done, total)))
    assert [done for done, _ in seen] == list(range(1, len(seen) + 1))
    assert {total for _, total in seen} == {len(seen)}


def test_clips_per_second_are_of_ten_seconds() -> None:
    assert StepSpeed("reading", 0.001).clips_per_second == pytest.approx(100)


def test_bench_prints_a_table_that_fits_and_json_that_plan_reads(
    command: Callable[..., Any], ones: None, pumps: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    outcome = command("bench", "--device", "cpu")
    assert outcome.code == 0
    assert "freak scoring" in outcome.out
    assert max(len(line) for line in outcome.out.splitlines()) <= 91  # the last line may wrap
    outcome = command("bench", "--device", "cpu", "--json")
    found = json.loads(outcome.out)
    assert {stage["name"] for stage in found["stages"]} >= {"reading", "hvae training", "hvae scoring"}
    rates = tmp_path / "rates.json"
    rates.write_text(outcome.out)
    assert read_rates(rates) == found["rates"]


def test_plan_takes_rates_for_what_they_hold_and_measures_the_rest(
    command: Callable[..., Any], pumps: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from auscult.datasets import load_clips
    from auscult.runs.plan import make_plan
    from auscult.runs.store import NoStore

    plan = make_plan(load_recipe("spectral"), load_clips(pumps), NoStore(), device="cpu")
    training, _ = Outlook(plan, NoStore()).left[plan.members[0].key]
    rates = tmp_path / "rates.json"
    rates.write_text(json.dumps({"format": FORMAT, "rates": {training.kind: 1000.0}}))
    arguments = ["plan", "spectral", "--data", pumps, "--device", "cpu", "--json"]
    estimate = json.loads(command(*arguments, "--rates", rates).out)["estimate"]
    assert 0 < estimate["members"] - 1000 * training.units < 100
    assert 0 < estimate["features"] < 100
    assert (estimate["kinds"], estimate["given"]) == (3, 1)
    text = " ".join(command(*arguments[:-1], "--rates", rates).out.split())
    assert "Rates of 1 of 3 kinds of work as given, the other 2 from rates measured just now" in text
    assert "as given" not in command(*arguments[:-1]).out


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"format": 1, "rates": {"x": [1.0]}}',
        '{"format": 2, "rates": {"x": "y"}}',
        '{"format": 2, "rates": {"x": NaN}}',
        '{"format": 2, "rates": {"x": -1}}',
    ],
)
def test_a_file_without_rates_is_one_clear_line(
    command: Callable[..., Any], pumps: Path, tmp_path: Path, text: str
) -> None:
    rates = tmp_path / "rates.json"
    rates.write_text(text)
    outcome = command("plan", "spectral", "--data", pumps, "--rates", rates)
    assert outcome.code == 2
    assert str(rates) in outcome.error
    assert "auscult bench --json" in outcome.error
    assert command("plan", "spectral", "--data", pumps, "--rates", tmp_path / "nowhere").code == 2


def test_a_device_that_is_not_there_is_refused(command: Callable[..., Any]) -> None:
    outcome = command("bench", "--device", "cuda:99")
    assert outcome.code == 2
    assert "not on this machine" in outcome.error


@pytest.mark.slow
def test_every_step_is_measured() -> None:
    found, rates = measure_steps(device="cpu")
    assert [step.name for step in found][:6] == ["reading", "resampling", "log_mel", "modulation", "openl3", "yamnet"]
    assert all(0 < step.seconds < 1000 for step in found)
    assert all(rate > 0 for rate in rates.values())
