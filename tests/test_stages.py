"""`auscult bench`: each step has a speed, in units that follow from the work; `auscult plan` can take its rates."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from auscult.recipe import load_recipe
from auscult.runs.estimate import stages, work_of
from auscult.runs.estimate.stages import FORMAT, RECIPES, measure_stages, read_rates

FAMILIES = ("autoencoder", "spectral", "hvae", "idcae", "freak")


@pytest.fixture
def ones(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every unit of every kind of work takes a second; nothing is measured."""
    monkeypatch.setattr(stages, "work_of", lambda *job: replace(work_of(*job), measure=lambda: (1.0, 1.0)))
    monkeypatch.setattr(stages, "_front_end_stages", lambda *_: [("reading", "", lambda: 1.0)])


def test_a_second_of_sound_costs_the_units_that_are_in_it(ones: None) -> None:
    found, rates = measure_stages(device="cpu")
    seconds = {stage.name: stage.seconds for stage in found}
    n_frames, windows = 313, load_recipe("idcae").members_of("fan")[0].model.get("windows_per_clip", 300)
    assert seconds == pytest.approx(
        {
            "reading": 1.0,
            "denoiser training": 1.0,
            "autoencoder training": (n_frames - 4) / 10,
            "spectral training": n_frames / 10,
            "hvae training": (n_frames - 4) / 10,
            "idcae training": windows / 10,
            "freak training": 200 / 10,
            **{f"{family} scoring": n_frames / 10 for family in FAMILIES},
        }
    )
    assert len(RECIPES) == len(FAMILIES)
    assert {rate for pair in rates.values() for rate in pair} == {1.0}


def test_progress_ends_with_all(ones: None) -> None:
    seen: list[tuple[int, int]] = []
    measure_stages(device="cpu", on_stage=lambda done, total: seen.append((done, total)))
    assert [done for done, _ in seen] == list(range(1, len(seen) + 1))
    assert {total for _, total in seen} == {len(seen)}


def test_clips_per_second_are_of_ten_seconds() -> None:
    assert stages.Stage("reading", "", 0.001).clips_per_second == pytest.approx(100)


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
    assert read_rates(rates) == {kind: tuple(values) for kind, values in found["rates"].items()}


def test_plan_takes_rates_for_what_they_hold_and_measures_the_rest(
    command: Callable[..., Any], pumps: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from auscult.datasets import load_clips
    from auscult.runs.estimate import sizes_of
    from auscult.runs.plan import make_plan
    from auscult.runs.store import NoStore

    plan = make_plan(load_recipe("spectral"), load_clips(pumps), NoStore(), device="cpu")
    (job,) = plan.members
    work = work_of(job, sizes_of(plan.banks))
    rates = tmp_path / "rates.json"
    rates.write_text(json.dumps({"format": FORMAT, "rates": {work.kind: [1000.0, 0.0]}}))
    arguments = ["plan", "spectral", "--data", pumps, "--device", "cpu", "--json"]
    estimate = json.loads(command(*arguments, "--rates", rates).out)["estimate"]
    assert estimate["members"] == pytest.approx(1000 * work.units[0])
    assert 0 < estimate["features"] < 100
    assert (estimate["kinds"], estimate["given"]) == (2, 1)
    text = " ".join(command(*arguments[:-1], "--rates", rates).out.split())
    assert "Rates of 1 of 2 kinds of work as given, the other 1 from rates measured just now" in text
    assert "as given" not in command(*arguments[:-1]).out
    rates.write_text(json.dumps({"format": FORMAT, "rates": {work.kind: [1.0]}}))
    outcome = command(*arguments, "--rates", rates)
    assert (outcome.code, "there are 1 rates, and not 2, of member" in outcome.error) == (2, True)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"format": 99, "rates": {}}',
        '{"format": 1, "rates": {"x": ["y"]}}',
        '{"format": 1, "rates": {"x": [NaN]}}',
        '{"format": 1, "rates": {"x": [-1]}}',
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
    found, rates = measure_stages(device="cpu")
    assert [stage.name for stage in found][:6] == [
        "reading",
        "resampling",
        "resampling",
        "log-mel",
        "OpenL3",
        "denoising",
    ]
    assert all(0 < stage.seconds < 1000 for stage in found)
    assert all(rate > 0 for pair in rates.values() for rate in pair)
