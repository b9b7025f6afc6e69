"""Official scores of DCASE Task 2, against plain computations and published values."""

import csv
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
    harmonic_mean,
    official,
    official_facts,
    rule_of,
    years_of,
)  # fmt: skip
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
    assert official(ScoreTable([row, ScoreRow("mill", "a", "2.wav", "anomaly", 1.0)])) is None
    assert official(ScoreTable([])) is None
    without_target = ScoreTable(row for row in small(2023) if row.domain == "source")
    assert official(without_target) is None
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


def test_the_figures_of_2021_are_of_each_domain_by_itself() -> None:
    assert set(OWN) == {f"own_{name}_{domain}" for name in ("auc", "pauc") for domain in ("source", "target")}
