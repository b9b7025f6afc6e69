"""Official scores of DCASE Task 2, against plain computations and published values."""

import csv
import re
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from auscult.clips import Label
from auscult.datasets.truth import read_list
from auscult.datasets.years import YEARS
from auscult.errors import ScoreError
from auscult.scores.metrics import METRICS, evaluate
from auscult.scores.official import (
    OWN,
    decision_figures,
    harmonic_mean,
    official,
    official_facts,
    rule_of,
    why_none,
    years_of,
)
from auscult.scores.table import ScoreRow, ScoreTable


def made_up(machines: dict[str, list[tuple[str, str, str | None, Label]]], seed: int = 0) -> ScoreTable:
    """Scores of clips: machine type -> (id, file, domain, label)."""
    rng = np.random.default_rng(seed)
    rows = []
    for kind, clips in machines.items():
        for id_, file, domain, label in clips:
            usual = 1.0 if label == "anomaly" else 0.3 * (domain == "target")
            rows.append(ScoreRow(kind, id_, file, label, float(rng.normal(usual)), domain))
    return ScoreTable(rows)


def small(year: int) -> ScoreTable:
    """Twelve clips of each development machine of a year."""
    facts = YEARS[year]
    domains = ["source", "target"] if year > 2020 else [None]
    return made_up(
        {
            kind: [
                (id_, f"{id_}_{domain}_{label}_{n}.wav", domain, label)
                for id_ in ids
                for domain in domains
                for label in ("normal", "anomaly")
                for n in range(6)
            ]
            for kind, ids in facts.development.items()
        },
        seed=year,
    )


def plain(table: ScoreTable, rule: int) -> float:
    """The score by scikit-learn's areas and sums."""

    def area(rows: list[ScoreRow], max_fpr: float | None = None) -> float:
        found = roc_auc_score([row.label == "anomaly" for row in rows], [row.score for row in rows], max_fpr=max_fpr)
        return float(found)

    machines: dict[tuple[str, str], list[ScoreRow]] = {}
    for row in table:
        machines.setdefault((row.machine_type, row.machine_id), []).append(row)
    if rule == 2020:
        types: dict[str, list[float]] = {}
        for (kind, _), rows in machines.items():
            types.setdefault(kind, []).append((area(rows) + area(rows, 0.1)) / 2)
        return sum(sum(values) / len(values) for values in types.values()) / len(types)
    figures = []
    for rows in machines.values():
        for domain in ("source", "target"):
            own = [row for row in rows if row.domain == domain]
            if rule == 2021:
                figures += [area(own), area(own, 0.1)]
            else:
                figures.append(area([row for row in rows if row.domain == domain or row.label == "anomaly"]))
        if rule == 2022:
            figures.append(area(rows, 0.1))
    return len(figures) / sum(1 / max(figure, 2.220446049250313e-16) for figure in figures)


@pytest.mark.parametrize("year", YEARS)
def test_the_score_of_each_year_is_that_of_a_plain_computation(year: int) -> None:
    table = small(year)
    found = official(table)
    assert year in years_of(table)
    assert found is not None
    assert found.rule == YEARS[year].scoring == rule_of(table)
    assert found.score == pytest.approx(plain(table, found.rule), abs=1e-12)
    kind = next(iter(YEARS[year].development))
    alone = ScoreTable(row for row in table if row.machine_type == kind)
    assert found.machine_types[kind] == pytest.approx(plain(alone, found.rule), abs=1e-12)
    assert set(official_facts(found)) == {"rule", "score", "machine_types", "harmonic", "arithmetic"}


@pytest.mark.parametrize("year", [2021, 2022, 2023, 2024, 2025])
def test_it_is_so_on_the_real_lists(shared_data: Path, year: int) -> None:
    listed = read_list(shared_data / "ground_truth" / f"eval_data_list_{year}.csv")
    machines = {
        kind: [(file[: len("section_00")], file, one.domain, one.label) for file, one in files.items()]
        for kind, files in listed.clips.items()
    }
    table = made_up(machines, seed=year)
    found = official(table)
    assert found is not None
    assert found.rule == min(year, 2022)
    assert found.score == pytest.approx(plain(table, found.rule), abs=1e-12)


def test_published_values_of_the_baselines_of_2025_give_their_published_score(shared_data: Path) -> None:
    reference = shared_data.parent / "reference" / "dcase2025_baseline.csv"
    if not reference.is_file():
        pytest.skip("the published table is not beside the project")
    with reference.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    values: dict[str, list[float]] = {}
    for row in rows:
        values.setdefault(row["system"], []).extend(float(row[name]) for name in ("auc_source", "auc_target", "pauc"))
    scores = {name: float(harmonic_mean(figures)) for name, figures in values.items()}
    assert all(len(figures) == 24 for figures in values.values())
    assert sorted(scores.values()) == pytest.approx([0.5442827820713174, 0.5650558189601554], abs=1e-12)


def test_domains_have_columns_where_they_are_known() -> None:
    figures = evaluate(small(2023))["mean"]
    assert list(figures) == list(METRICS)
    assert list(evaluate(small(2020))["mean"]) == ["auc", "pauc"]


def test_a_figure_of_nothing_counts_as_the_least_number() -> None:
    assert float(harmonic_mean([0.0, 1.0])) == pytest.approx(2 * 2.220446049250313e-16)


def test_there_is_no_score_of_other_machines_or_lacking_domains() -> None:
    row = ScoreRow("mill", "a", "1.wav", "normal", 0.0)
    without_target = ScoreTable(row for row in small(2023) if (row.machine_type, row.domain) != ("fan", "target"))
    shared = ScoreTable(row for row in small(2022) if row.machine_type == "fan")
    for table, years, why in (
        (ScoreTable([row, ScoreRow("mill", "a", "2.wav", "anomaly", 1.0)]), (), "no year of DCASE Task 2 has these"),
        (ScoreTable([]), (), "no year of DCASE Task 2"),
        (ScoreTable([row]), (2023,), "no machine has test clips of both labels"),
        (without_target, (), "^fan section_00 has no AUC target, for want of such clips"),
        (shared, (), "may be machines of 2021 or 2022: say which year's official score with --year"),
    ):
        assert official(table, years=years) is None
        assert re.match(f".*{why}" if why[0] != "^" else why, why_none(table, years))
    assert why_none(shared, [2022]) == ""
    with pytest.raises(ScoreError, match="no official score of 2019; choose one of 2020, 2021"):
        official(small(2023), years=[2019])
    asked = official(small(2022), years=[2021])
    assert asked is not None
    assert asked.rule == 2021


@pytest.mark.parametrize("year", [2020, 2021, 2024])
def test_the_interval_holds_the_score_and_does_not_change_with_other_metrics(year: int) -> None:
    table = small(year)
    found, again = official(table, replicates=60), official(table, replicates=60)
    assert found is not None
    assert found == again
    assert found.interval is not None
    low, high = found.interval
    assert 0 < low < found.score < high <= 1


def test_decisions_are_judged_within_their_domain() -> None:
    def row(name: str, label: Label, domain: str | None, kind: str = "fan") -> ScoreRow:
        return ScoreRow(kind, "section_00", name, label, float(name in "ac"), domain)

    source = [row("a", "anomaly", "source"), row("b", "anomaly", "source"), row("c", "normal", "source")]
    target = [row("d", "anomaly", "target"), row("e", "normal", "target")]
    alone = [row("a", "anomaly", None, "pump"), row("d", "normal", None, "pump")]
    assert decision_figures(ScoreTable([*source, *target, *alone])) == {
        "fan": {
            "section_00": {
                "source": {"precision": 0.5, "recall": 0.5, "f1": 0.5},
                "target": {"precision": 0.0, "recall": 0.0, "f1": 0.0},
            }
        },
        "pump": {"section_00": {"": {"precision": 1.0, "recall": 1.0, "f1": 1.0}}},
    }


def test_published_systems_stand_in_the_tables_of_their_years() -> None:
    from auscult.report.reference import published_scores

    for year in (2023, 2024, 2025, 2026):
        assert "winner" in {one.system for one in published_scores(year)}
    assert published_scores(2022) == []
    for one in published_scores(2025):
        assert bool(one.machine_types) == one.system.startswith("baseline")
        if one.machine_types:
            assert set(one.machine_types) == set(YEARS[2025].evaluation)
            whole, alone = float(harmonic_mean([*one.harmonic.values()])), [*one.machine_types.values()]
            assert whole == pytest.approx(float(harmonic_mean(alone)), abs=1e-12)
            assert one.score == pytest.approx(whole, abs=5e-5)


def test_the_figures_of_2021_are_of_each_domain_by_itself() -> None:
    assert set(OWN) == {f"own_{name}_{domain}" for name in ("auc", "pauc") for domain in ("source", "target")}
