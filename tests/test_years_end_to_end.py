"""From nothing to a valid submission in every year: synth, inspect, run, submit, check, evaluate."""

import json
import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from auscult.datasets import load_dataset
from auscult.datasets.factory import write_factory
from auscult.datasets.factory.catalogue import EXTENTS
from auscult.datasets.years import YEARS
from auscult.runs.results import read_results
from auscult.scores.official import official, official_facts, rule_name
from auscult.scores.table import ScoreRow, ScoreTable
from auscult.submission import write_submission
from auscult.submission.write import decisions_of

SHORT = 2025
"""The year that goes through the fast suite too, with two machine types and short clips."""


@pytest.fixture
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes the tiny factory tinier."""
    monkeypatch.setitem(EXTENTS, "tiny", replace(EXTENTS["tiny"], seconds=1, clean_clips=1))
    monkeypatch.setattr("auscult.datasets.factory.hall.NEIGHBOUR_SECONDS", 1)
    monkeypatch.setattr("auscult.datasets.factory.hall.REFERENCES", 2)


def cells(rows: dict[str, Any]) -> dict[tuple[str, str], dict[str, float]]:
    """Figures of each machine as `auscult evaluate --json` gives them, without means and the official score."""
    return {
        (kind, id_): figures
        for kind, machines in rows.items()
        if kind not in ("mean", "official", "decisions")
        for id_, figures in machines.items()
        if id_ != "mean"
    }


def made(command: Callable[..., Any], root: Path, year: int, *kinds: str) -> Path:
    """A tiny factory of a year, without any problem."""
    chosen = [text for kind in kinds for text in ("--machine-type", kind)]
    out = command("synth", root / "data", "--layout", f"dcase{year}", "--size", "tiny", *chosen)
    assert out.code == 0, out.err
    inspected = command("inspect", root / "data")
    assert inspected.code == 0, inspected.out
    assert f"DCASE {year}" in " ".join(inspected.out.split())
    return root / "data"


def submitted(command: Callable[..., Any], root: Path, year: int, recipe: str) -> None:
    """Run, submit, check against the data and the list, evaluate: the list's figures are the run's, cell by cell."""
    facts, data, run, out = YEARS[year], root / "data", root / "run", root / "submission"
    truth = data / ("eval_data_list.csv" if year == 2020 else f"eval_data_list_{year}.csv")
    ran = command("run", recipe, "--data", data, "--out", run)
    assert ran.code == 0, ran.err
    assert not [line for line in ran.out.splitlines() if line.startswith("note: No ")], "nothing is missing"
    written = command("submit", run, "--out", out, "--label", "Noether_Uni_task2_1")
    assert written.code == 0, written.out
    results = read_results(run)
    rows = [row for row in results.evaluation if (row.system, row.protocol) == results.headline]
    machines = {(row.machine_type, row.machine_id) for row in rows}
    assert f"no problem: {len(machines)} machines, " in written.out
    assert len(list(out.glob("anomaly_score_*.csv"))) == len(machines)
    assert len(list(out.glob("decision_result_*.csv"))) == (0 if year == 2020 else len(machines))
    for extra in (["--data", data], ["--truth", truth]):
        checked = command("submit", "--check", out, *extra)
        assert checked.code == 0, checked.out
        assert f"no problem: {len(machines)} machines, " in checked.out
        assert "official score of " in checked.out
    judged = command("evaluate", out, "--truth", truth, "--json")
    assert judged.code == 0, judged.err
    figures = json.loads(judged.out)
    (own,) = [
        row for row in results.official if (row.system, row.protocol, row.subset) == (*results.headline, "evaluation")
    ]
    assert figures["official"] == official_facts(own.found)
    assert ("decisions" in figures) == (year > 2020)
    assert cells(figures) == {(row.machine_type, row.machine_id): row.figures for row in rows}
    assert all(
        set(one) == {"auc", "pauc"} | ({"auc_source", "auc_target"} if year > 2020 else set())
        for one in cells(figures).values()
    )
    (path,) = out.glob("*.meta.yaml")
    developed = yaml.safe_load(path.read_text(encoding="utf-8"))["results"]["development_dataset"]
    assert set(developed) == {row.machine_type for row in results.development} <= set(facts.development)


@pytest.mark.usefixtures("brief")
def test_a_year_goes_from_nothing_to_a_valid_submission(command: Callable[..., Any], tmp_path: Path) -> None:
    made(command, tmp_path, SHORT, "fan", "ToyPet")
    submitted(command, tmp_path, SHORT, "best")


@pytest.mark.slow
@pytest.mark.parametrize("year", YEARS)
def test_every_year_goes_from_nothing_to_a_valid_submission(
    command: Callable[..., Any], tmp_path: Path, year: int
) -> None:
    """Every third machine type of each set: all of them take minutes a year, and go the same way."""
    facts = YEARS[year]
    kinds = dict.fromkeys((*list(facts.development)[::3], *list(facts.evaluation)[::3]))
    made(command, tmp_path, year, *kinds)
    submitted(command, tmp_path, year, "best")


@pytest.mark.slow
def test_the_ten_lines_of_the_documents_are_enough(
    command: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All machine types of 2026; the factory stands for the download."""
    page = (Path(__file__).parents[1] / "docs" / "dcase.md").read_text(encoding="utf-8")
    block = page.partition("<!-- ten lines -->\n```sh\n")[2].partition("```")[0]
    assert len(block.splitlines()) <= 10
    lines = [shlex.split(line, comments=True) for line in block.splitlines()]
    assert lines[0] == ["auscult", "download", "dcase2026", "--to", "DATA"]
    monkeypatch.chdir(tmp_path)
    assert command("synth", "DATA", "--layout", "dcase2026", "--size", "tiny").code == 0
    for auscult, *arguments in lines[1:]:
        assert auscult == "auscult"
        outcome = command(*arguments)
        assert outcome.code == 0, (arguments, outcome.out, outcome.err)
        assert not [line for line in outcome.out.splitlines() if line.startswith("problem")]
        assert "still to be filled in" not in outcome.out


@pytest.mark.usefixtures("brief")
def test_a_year_that_comes_is_one_entry_more(
    command: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    types = "HairDryer", "Vacuum"
    coming = replace(YEARS[2026], year=2027, evaluation=dict.fromkeys(types, ("section_00",)), no_attribute=None)
    monkeypatch.setitem(YEARS, 2027, coming)
    data = write_factory(tmp_path / "data", size="tiny", layout=2027, machine_types=["fan", *types])
    found = load_dataset(data, truth=data / "eval_data_list_2027.csv")
    assert found.year == 2027
    tests = [clip for clip in found.clips if clip.subset == "evaluation"]
    assert {clip.machine_type for clip in tests} == set(types)
    rows = [
        ScoreRow(c.machine_type, c.machine_id, c.file, c.label, float(n % 7), c.domain) for n, c in enumerate(tests)
    ]
    score = official(ScoreTable(rows))
    assert score is not None
    assert rule_name(score.rule) == "2022 to 2027"
    out = tmp_path / "submission"
    metadata = 'submission:\n  label: "A_B_task2_1"\n'
    decided = decisions_of(ScoreTable(rows), ScoreTable(rows), share=0.1)
    write_submission(ScoreTable(rows), metadata, label="A_B_task2_1", out=out, decisions=decided)
    checked = command("submit", "--check", out)
    assert checked.code == 0
    assert "checked against the machine ids of DCASE 2027 Task 2" in " ".join(checked.out.split())
