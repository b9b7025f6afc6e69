"""Official scores of the years with domains: a plain computation of the same rule, published values, bad input."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import hmean
from sklearn.metrics import roc_auc_score

from auscult.cli.runs import evaluate
from auscult.datasets.truth import read_list
from auscult.errors import ScoreError
from auscult.scores.official import harmonic_mean, official_means, official_values
from auscult.scores.table import ScoreRow, ScoreTable
from auscult.submission.official import official_of

SHARED = Path(__file__).parents[2] / "shared"
LISTS = [SHARED / "data" / "ground_truth" / f"eval_data_list_{year}.csv" for year in range(2021, 2026)]
SMALL = "\n".join(
    [
        "ToyPet",
        *(
            f"section_00_{n:04d}.wav,section_00_{'source' if n % 2 else 'target'}_test_"
            f"{'anomaly' if n % 4 > 1 else 'normal'}_{n:04d}_id_C1.wav"
            for n in range(24)
        ),
    ]
)


def rows_of(path: Path) -> list[ScoreRow]:
    rng = np.random.default_rng(0)
    return [
        ScoreRow(kind, file[:10], file, one.label, float(rng.integers(60) + 9 * (one.label == "anomaly")), one.domain)
        for kind, files in read_list(path).clips.items()
        for file, one in files.items()
    ]


def plain(rows: list[ScoreRow], year: int) -> float:
    """The rule written down once more, by scikit-learn and scipy."""
    values = []
    for machine in sorted({(row.machine_type, row.machine_id) for row in rows}):
        mine = [row for row in rows if (row.machine_type, row.machine_id) == machine]
        for domain in ("source", "target"):
            some = [row for row in mine if row.domain == domain or (year != 2021 and row.label == "anomaly")]
            truth, scores = [row.label == "anomaly" for row in some], [row.score for row in some]
            values.append(roc_auc_score(truth, scores))
            if year == 2021:
                values.append(roc_auc_score(truth, scores, max_fpr=0.1))
        if year != 2021:
            truth, scores = [row.label == "anomaly" for row in mine], [row.score for row in mine]
            values.append(roc_auc_score(truth, scores, max_fpr=0.1))
    return float(hmean(values))


@pytest.mark.parametrize("path", [None, *LISTS], ids=lambda path: path.stem if path else "small")
def test_the_official_score_equals_the_plain_rule(path: Path | None, tmp_path: Path) -> None:
    if path is None:
        path = tmp_path / "eval_data_list_2025.csv"
        path.write_text(SMALL)
    if not path.is_file():
        pytest.skip("the challenge's ground-truth lists are not beside the project")
    rows, year = rows_of(path), int(path.stem[-4:])
    score = official_of(ScoreTable(rows), listed=read_list(path).years)
    assert score is not None
    assert score["harmonic"] == pytest.approx(plain(rows, year), abs=1e-12)


@pytest.mark.parametrize(("system", "expected"), [("mahala", 0.5650558189601554), ("mse", 0.5442827820713174)])
def test_the_published_values_of_2025_give_the_published_score(system: str, expected: float) -> None:
    path = SHARED / "reference" / "dcase2025_baseline.csv"
    if not path.is_file():
        pytest.skip("the published values are not beside the project")
    with path.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["system"].lower() == system]
    names = ("auc_source", "auc_target", "pauc")
    values = {(row["machine_type"], "section_00"): {name: float(row[name]) for name in names} for row in rows}
    assert len(values) == 8
    assert official_means(values)["harmonic"] == pytest.approx(expected, abs=1e-15)


def test_a_folder_of_scores_is_evaluated_by_its_list(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "eval_data_list_2025.csv"
    path.write_text(SMALL)
    rows = rows_of(path)
    folder = tmp_path / "scores"
    folder.mkdir()
    lines = "".join(f"{row.file},{row.score}\n" for row in rows)
    (folder / "anomaly_score_ToyPet_section_00_test.csv").write_text(lines)
    evaluate(folder, truth=path, as_json=True)
    found = json.loads(capsys.readouterr().out)
    assert found["official"]["harmonic"] == pytest.approx(plain(rows, 2025), abs=1e-12)
    cells = found["official"]["values"]["ToyPet"]["section_00"]
    assert {name: found["ToyPet"]["section_00"][name] for name in cells} == cells
    evaluate(folder, truth=path)
    assert "official score, DCASE 2025" in capsys.readouterr().out


def test_what_has_no_official_score_is_refused() -> None:
    rows = [ScoreRow("ToyCar", "section_00", f"{n}.wav", "anomaly" if n else "normal", n, "source") for n in range(3)]
    with pytest.raises(ScoreError, match="--year"):
        official_of(ScoreTable(rows))
    with pytest.raises(ScoreError, match="target domain"):
        official_values(ScoreTable(rows), scoring=2022)
    with pytest.raises(ScoreError, match="the list is of DCASE 2025"):
        official_of(ScoreTable(rows), year=2021, listed={2025})
    assert official_of(ScoreTable(rows), year=2020) is None
    assert harmonic_mean([0.0, 1.0]) == pytest.approx(4.440892098500625e-16, rel=1e-9)
