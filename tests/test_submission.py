"""The challenge's score files: read right, or refused by file and line."""

import csv
from pathlib import Path

import pytest

from auscult.clips import Label
from auscult.errors import ScoreError
from auscult.metrics import evaluate
from auscult.submission import read_submission

FIGURES_2020 = {  # published AUC and pAUC of the submission in the shared data
    "ToyCar": (0.8136, 0.6671),
    "ToyConveyor": (0.9037, 0.7339),
    "fan": (0.8724, 0.6908),
    "pump": (0.8524, 0.6588),
    "slider": (0.9176, 0.7017),
    "valve": (0.7928, 0.5811),
}
DEVELOPMENT = "normal_id_00_00000000.wav,0.5\nanomaly_id_00_00000000.wav,1.5\n"
EVALUATION = "id_01_00000000.wav,0.5\nid_01_00000001.wav,1.5\n"
TRUTH: dict[str, dict[str, Label]] = {"fan": {"id_01_00000000.wav": "normal", "id_01_00000001.wav": "anomaly"}}


def write(folder: Path, text: str, name: str = "anomaly_score_fan_id_00.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def official_truth(path: Path) -> dict[str, dict[str, Label]]:
    """The list of labels as published: a line with the machine type, then lines of file, original name, label."""
    truth: dict[str, dict[str, Label]] = {}
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.reader(file):
            if len(row) == 1:
                machine_type = row[0]
                truth[machine_type] = {}
            else:
                truth[machine_type][row[0]] = "anomaly" if row[2] == "1" else "normal"
    return truth


def test_labels_come_from_the_file_names(tmp_path: Path) -> None:
    write(tmp_path, DEVELOPMENT)
    write(tmp_path, "normal_id_03_00000000.wav,-1e-3\n", "anomaly_score_ToyCar_id_03.csv")
    table, ignored = read_submission(tmp_path)
    assert [(row.machine_type, row.machine_id, row.file, row.label, row.score) for row in table] == [
        ("ToyCar", "id_03", "normal_id_03_00000000.wav", "normal", -0.001),
        ("fan", "id_00", "anomaly_id_00_00000000.wav", "anomaly", 1.5),
        ("fan", "id_00", "normal_id_00_00000000.wav", "normal", 0.5),
    ]
    assert ignored == []


def test_labels_come_from_the_ground_truth(tmp_path: Path) -> None:
    write(tmp_path, EVALUATION, "anomaly_score_fan_id_01.csv")
    write(tmp_path, DEVELOPMENT)  # its names tell the labels, the list need not
    table, _ = read_submission(tmp_path, truth=TRUTH)
    assert {row.file: row.label for row in table if row.machine_id == "id_01"} == TRUTH["fan"]
    assert len(table) == 4


def test_other_entries_are_returned_not_read(tmp_path: Path) -> None:
    write(tmp_path, DEVELOPMENT)
    others = [
        write(tmp_path, "not scores", name)
        for name in ("Team.meta.yaml", "anomaly_score_fan_id_00.csv.bak", "anomaly_score_fan_01.csv", "decision.csv")
    ]
    (tmp_path / "folder").mkdir()
    _, ignored = read_submission(tmp_path)
    assert ignored == sorted([*others, tmp_path / "folder"])


def test_windows_line_ends_blank_lines_and_a_byte_order_mark_do_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "anomaly_score_fan_id_00.csv"
    path.write_bytes(b"\xef\xbb\xbf" + DEVELOPMENT.replace("\n", "\r\n").encode() + b"\r\n\r\n")
    table, _ = read_submission(tmp_path)
    assert [row.score for row in table] == [1.5, 0.5]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,score\n" + DEVELOPMENT, "line 1: the score is 'score'.*no header"),
        (DEVELOPMENT + "normal_id_00_00000001.wav\n", "line 3: .*is no score"),
        (DEVELOPMENT + "normal_id_00_00000001.wav,1,2\n", "line 3: .*is no score"),
        (DEVELOPMENT + "normal_id_00_00000001.wav,\n", "line 3: the score is ''"),
        (DEVELOPMENT + "normal_id_00_00000001.wav,nan\n", "line 3: .*finite"),
        (DEVELOPMENT + "normal_id_00_00000001.wav,-inf\n", "line 3: .*finite"),
        (DEVELOPMENT + "normal_id_00_00000000.wav,1\n", "line 3: .*already"),
        (DEVELOPMENT + "normal_id_02_00000000.wav,1\n", "line 3: .*clip of id_02.*for id_00"),
        (DEVELOPMENT + "id_00_00000000.wav,1\n", "line 3: .*--truth"),
        (DEVELOPMENT + "recording.wav,1\n", "line 3: .*--truth"),
        ("\n", "holds no scores"),
    ],
)
def test_a_damaged_line_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(ScoreError, match=message) as caught:
        read_submission(tmp_path)
    assert str(path) in str(caught.value)


def test_a_clip_that_the_ground_truth_does_not_list_is_named(tmp_path: Path) -> None:
    write(tmp_path, EVALUATION + "id_01_00000002.wav,1\n", "anomaly_score_fan_id_01.csv")
    with pytest.raises(ScoreError, match=r"line 3: the ground truth has no label for id_01_00000002\.wav"):
        read_submission(tmp_path, truth=TRUTH)


def test_a_clip_without_a_score_is_named(tmp_path: Path) -> None:
    write(tmp_path, EVALUATION.splitlines()[0], "anomaly_score_fan_id_01.csv")
    with pytest.raises(ScoreError, match=r"lacks 1 of the 2 clips.*id_01_00000001\.wav"):
        read_submission(tmp_path, truth=TRUTH)


def test_a_folder_without_scores_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ScoreError, match="holds no score file"):
        read_submission(tmp_path)
    with pytest.raises(ScoreError, match="missing"):
        read_submission(tmp_path / "missing")
    with pytest.raises(ScoreError, match="cannot read"):
        read_submission(write(tmp_path, "text", "file.txt"))


def test_a_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    path = tmp_path / "anomaly_score_fan_id_00.csv"
    path.write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(ScoreError, match=path.name):
        read_submission(tmp_path)


def test_the_golden_scores_give_the_published_figures(shared_data: Path) -> None:
    folder = shared_data / "golden"
    table, ignored = read_submission(folder)
    assert {path.name for path in ignored} == {"baseline_toycar.h5", "result.csv"}
    figures = evaluate(table)["ToyCar"]
    with (folder / "result.csv").open(newline="", encoding="utf-8") as file:
        published = [row for row in csv.reader(file) if len(row) == 3 and row[0] != "id"]
    assert len(published) == 5
    for name, auc, pauc in published:
        row = figures["mean" if name == "Average" else f"id_{name}"]
        assert row["auc"] == pytest.approx(float(auc), abs=1e-6)
        assert row["pauc"] == pytest.approx(float(pauc), abs=1e-6)


def test_a_real_submission_gives_the_challenge_s_figures(shared_data: Path) -> None:
    truth = official_truth(shared_data / "ground_truth_2020" / "eval_data_list.csv")
    table, ignored = read_submission(shared_data / "submissions_2020" / "Haunschmid_CPJKU_task2_1", truth=truth)
    assert [path.name for path in ignored] == ["Haunschmid_CPJKU_task2_1.meta.yaml"]
    assert len(table) == sum(len(labels) for labels in truth.values())
    figures = evaluate(table)
    for machine_type, (auc, pauc) in FIGURES_2020.items():
        assert figures[machine_type]["mean"]["auc"] == pytest.approx(auc, abs=5e-5)
        assert figures[machine_type]["mean"]["pauc"] == pytest.approx(pauc, abs=5e-5)
