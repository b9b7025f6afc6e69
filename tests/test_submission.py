"""The challenge's score files: read right, or refused by file and line; and the validator, which lists all problems."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from auscult.clips import Label
from auscult.datasets import load_clips
from auscult.datasets.truth import Listed, read_list
from auscult.datasets.years import YEARS
from auscult.errors import ScoreError
from auscult.scores.metrics import evaluate
from auscult.scores.official import official
from auscult.scores.table import ScoreRow, ScoreTable
from auscult.submission import Expected, check_submission, read_decisions, read_submission, write_submission
from auscult.submission.read import file_of
from auscult.submission.write import decisions_of

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
TRUTH = {"fan": {"id_01_00000000.wav": Listed("normal"), "id_01_00000001.wav": Listed("anomaly")}}


def write(folder: Path, text: str, name: str = "anomaly_score_fan_id_00.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def official_truth(path: Path) -> dict[str, dict[str, Listed]]:
    """The list of labels as published: a line with the machine type, then lines of file, original name, label."""
    truth: dict[str, dict[str, Listed]] = {}
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.reader(file):
            if len(row) == 1:
                machine_type = row[0]
                truth[machine_type] = {}
            else:
                truth[machine_type][row[0]] = Listed("anomaly" if row[2] == "1" else "normal")
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


@pytest.mark.parametrize("folder", ["C:\\data\\fan\\test\\", "..\\test\\", "/data/fan/test/", ".\\fan/test/"])
def test_clips_with_a_path_of_any_system_are_read_by_their_file_names(tmp_path: Path, folder: str) -> None:
    write(tmp_path, f"{folder}normal_id_00_00000000.wav,0.5\n{folder}anomaly_id_00_00000000.wav,1.5\n")
    table, _ = read_submission(tmp_path)
    assert [(row.file, row.label) for row in table] == [
        ("anomaly_id_00_00000000.wav", "anomaly"),
        ("normal_id_00_00000000.wav", "normal"),
    ]


def test_labels_come_from_the_ground_truth(tmp_path: Path) -> None:
    write(tmp_path, EVALUATION, "anomaly_score_fan_id_01.csv")
    write(tmp_path, DEVELOPMENT)  # its names tell the labels, the list need not
    table, _ = read_submission(tmp_path, truth=TRUTH)
    assert {row.file: row.label for row in table if row.machine_id == "id_01"} == {
        file: listed.label for file, listed in TRUTH["fan"].items()
    }
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


# The validator

SUBMISSIONS = ("Haunschmid_CPJKU_task2_1", "Haunschmid_CPJKU_task2_2")
CLIPS = {"fan": {"id_01": frozenset(TRUTH["fan"])}}


@pytest.fixture
def valid(tmp_path: Path) -> Path:
    """A submission of one machine, without a problem."""
    write(tmp_path, EVALUATION, "anomaly_score_fan_id_01.csv")
    write(tmp_path, 'label: "A_B_task2_1"\n', "A_B_task2_1.meta.yaml")
    return tmp_path


def found(folder: Path, expected: Expected | None = None) -> list[str]:
    """The problems, without the folder's name."""
    checked = check_submission(folder, expected or Expected("a test", CLIPS))
    return [str(problem).replace(f"{folder}/", "") for problem in checked.problems]


@pytest.mark.parametrize("name", SUBMISSIONS)
def test_real_submissions_are_valid(shared_data: Path, name: str) -> None:
    path = shared_data / "ground_truth_2020" / "eval_data_list.csv"
    folder = shared_data / "submissions_2020" / name
    for expected in (Expected.from_truth(read_list(path).clips, path), Expected.of_the_challenge(folder)):
        checked = check_submission(folder, expected)
        assert (checked.problems, checked.ignored, checked.to_fill) == ([], [], [])
        assert (checked.machines, checked.clips) == (18, 7103)


def test_the_ground_truth_has_the_machines_of_the_challenge(shared_data: Path) -> None:
    path = shared_data / "ground_truth_2020" / "eval_data_list.csv"
    known = {kind: sorted(ids) for kind, ids in Expected.from_truth(read_list(path).clips, path).clips.items()}
    expected = Expected.of_the_challenge(shared_data / "submissions_2020" / SUBMISSIONS[0])
    assert known == {kind: sorted(ids) for kind, ids in expected.clips.items()}


@pytest.mark.parametrize("year", YEARS)
def test_the_year_of_a_folder_is_that_of_its_machines(tmp_path: Path, year: int) -> None:
    machines = [(kind, id_) for kind, ids in YEARS[year].evaluation.items() for id_ in ids]
    for kind, id_ in machines[1:]:
        hidden = YEARS[year].file(id_, 0, split="test", label=None, domain="source")
        for what, value in (("anomaly_score", "0.5"), ("decision_result", "1")):
            (tmp_path / file_of(kind, id_, what)).write_text(f"{hidden},{value}\n")
    checked = check_submission(tmp_path, expected := Expected.of_the_challenge(tmp_path))
    assert expected.source == f"the machine ids of DCASE {year} Task 2, without the list of clips"
    (missing, metadata) = checked.problems if machines[0][0] in str(checked.problems[0]) else checked.problems[::-1]
    assert machines[0][0] in str(missing)
    assert "metadata" in str(metadata)


def test_every_problem_of_a_mutilated_submission_is_listed(shared_data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mutilated"
    folder.mkdir()
    for source in (shared_data / "submissions_2020" / SUBMISSIONS[0]).iterdir():
        (folder / source.name).write_bytes(source.read_bytes())

    def spoil(machine: str, change: Callable[[list[str]], list[str]]) -> None:
        file = folder / f"anomaly_score_{machine}.csv"
        file.write_text("\n".join(change(file.read_text().splitlines())) + "\n")

    spoil("fan_id_01", lambda lines: ["file,score", *lines])
    spoil("fan_id_03", lambda lines: [lines[0], *lines])
    spoil("fan_id_05", lambda lines: lines[2:])
    spoil("pump_id_01", lambda lines: [*lines, "id_01_00009999.wav,1.0", "id_03_00000000.wav,1.0"])
    spoil("pump_id_03", lambda lines: [lines[0].split(",")[0] + ",nan", lines[1].split(",")[0] + ",high", *lines[2:]])
    (folder / "anomaly_score_pump_id_05.csv").write_text("")
    (folder / "anomaly_score_slider_id_01.csv").rename(folder / "anomaly_score_slider_01.csv")
    (folder / "anomaly_score_slider_id_03.csv").rename(folder / "anomaly_score_slider_id_99.csv")
    for path in folder.glob("anomaly_score_valve_*"):
        path.unlink()
    (folder / f"{SUBMISSIONS[0]}.meta.yaml").unlink()
    path = shared_data / "ground_truth_2020" / "eval_data_list.csv"
    assert found(folder, Expected.from_truth(read_list(path).clips, path)) == [
        "anomaly_score_fan_id_01.csv, line 1: 'file,score' is a header; the challenge's files have none",
        "anomaly_score_fan_id_03.csv, line 2: id_03_00000000.wav has a score in line 1 already",
        "anomaly_score_fan_id_05.csv: id_05_00000000.wav has no score",
        "anomaly_score_fan_id_05.csv: id_05_00000001.wav has no score",
        "anomaly_score_pump_id_01.csv, line 217: 'id_01_00009999.wav' is no evaluation clip of this machine",
        "anomaly_score_pump_id_01.csv, line 218: id_03_00000000.wav is a clip of id_03, but the file is for id_01",
        "anomaly_score_pump_id_03.csv, line 1: the score is nan; it must be a finite number",
        "anomaly_score_pump_id_03.csv, line 2: the score is 'high'; it must be a number",
        "anomaly_score_pump_id_05.csv: is empty; write a line per clip",
        "anomaly_score_slider_01.csv: is no name of a score file; it must be anomaly_score_<machine type>_id_<nn>.csv, "
        "or since 2021 ..._section_<nn>_test.csv",
        "anomaly_score_slider_id_99.csv: slider has no evaluation machine id_99, only id_01, id_03, id_05",
        "anomaly_score_slider_id_01.csv: is missing",
        "anomaly_score_slider_id_03.csv: is missing",
        f"{folder}: the machine type valve is missing; needed are the ids id_01, id_03, id_05",
        f"{folder}: the metadata file <label>.meta.yaml is missing",
    ]


def test_a_valid_folder_has_no_problem(valid: Path) -> None:
    (valid / "notes.txt").write_text("mine")
    checked = check_submission(valid, Expected("a test", CLIPS))
    assert (checked.problems, checked.ignored) == ([], [valid / "notes.txt"])
    assert (checked.machines, checked.clips, checked.to_fill) == (1, 2, [])


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        (EVALUATION.replace("1.5", "-inf"), ["line 2: the score is -inf; it must be a finite number"]),
        (EVALUATION.replace("0.5", ""), ["line 1: the score is ''; it must be a number"]),
        (EVALUATION + "\n", ["line 3: is blank; remove it"]),
        (EVALUATION.replace(",1.5", ";1.5"), ["line 2: 'id_01_00000001.wav;1.5' is no score", "0001.wav has no score"]),
        ("\ufeff" + EVALUATION, ["line 1: starts with a byte order mark"]),
        (
            EVALUATION.replace("_00000001", "_0000001"),
            ["line 2: 'id_01_0000001.wav' is no evaluation clip", "has no s"],
        ),
        (
            EVALUATION.replace("id_01_00000001", " id_01_00000001"),
            ["line 2: ' id_01_00000001.wav' is no", "has no score"],
        ),
        (EVALUATION.replace("id_01_00000001", "other"), ["line 2: 'other.wav' is no evaluation clip", "has no score"]),
        ("\n\n", [": is empty"]),
        ("a\0b", [""]),
    ],
)
def test_each_problem_of_a_file_is_found(valid: Path, text: str, problems: list[str]) -> None:
    name = "anomaly_score_fan_id_01.csv"
    write(valid, text, name)
    listed = found(valid)
    assert len(listed) >= len(problems)
    for line, words in zip(listed, problems, strict=False):
        assert line.startswith(name)
        assert words in line


def test_windows_line_ends_are_no_problem(valid: Path) -> None:
    (valid / "anomaly_score_fan_id_01.csv").write_bytes(EVALUATION.replace("\n", "\r\n").encode())
    assert found(valid) == []


def test_a_name_is_told_the_right_one(valid: Path) -> None:
    (valid / "anomaly_score_fan_id_01.csv").rename(valid / "anomaly_score_Fan_id_01.csv")
    assert found(valid) == [
        "anomaly_score_Fan_id_01.csv: there is no machine type 'Fan' (did you mean 'fan'?), only fan",
        f"{valid}: the machine type fan is missing; needed are the ids id_01",
    ]


def test_files_that_are_no_text_and_second_metadata_are_problems(valid: Path) -> None:
    (valid / "anomaly_score_fan_id_01.csv").write_bytes(b"\xff\xfe\x00\x01")
    (valid / "A_B_task2_2.meta.yaml").write_text("")
    first, second = found(valid)
    assert first.startswith("anomaly_score_fan_id_01.csv: cannot be read")
    assert second == "A_B_task2_2.meta.yaml: is a second metadata file beside A_B_task2_1.meta.yaml"


@pytest.mark.parametrize(
    ("text", "where"),
    [("a: 1\nb: c: d\n", " in line 2"), ("a: [1\n", " in line 2"), ("a: \0", ""), ("!!python/x 1", " in line 1")],
)
def test_metadata_that_are_no_yaml_are_a_problem(valid: Path, text: str, where: str) -> None:
    (valid / "A_B_task2_1.meta.yaml").write_text(text)
    assert [line.partition(" (")[0] for line in found(valid)] == [f"A_B_task2_1.meta.yaml: is no valid YAML{where}"]


def test_without_a_list_the_form_of_the_names_is_checked(valid: Path) -> None:
    expected = Expected("a test", {"fan": {"id_01": None}})
    assert found(valid, expected) == []
    write(valid, EVALUATION + "normal_id_01_00000003.wav,1\nid_03_00000000.wav,1\n", "anomaly_score_fan_id_01.csv")
    assert [line.split(": ", 1)[1] for line in found(valid, expected)] == [
        "'normal_id_01_00000003.wav' is no name of an evaluation clip, such as id_01_00000000.wav",
        "id_03_00000000.wav is a clip of id_03, but the file is for id_01",
    ]


def test_evaluation_clips_of_a_data_folder_are_expected(factory: Path) -> None:
    clips = load_clips(factory)
    expected = Expected.from_clips(clips, factory)
    assert {kind: list(ids) for kind, ids in expected.clips.items()} == {"fan": ["id_01"], "valve": ["id_01"]}
    files = {path.name for path in (factory / "eval_data" / "fan" / "test").iterdir()}
    assert set(expected.clips["fan"]["id_01"] or ()) == files
    with pytest.raises(ScoreError, match="has no evaluation clips"):
        Expected.from_clips([clip for clip in clips if clip.subset != "evaluation"], factory)
    with pytest.raises(ScoreError, match="tells no machine id"):
        Expected.from_truth({"fan": {"a.wav": Listed("normal")}}, factory)


# Since 2021: sections, domains, decisions

DECIDED, SCORED = (f"{what}_bandsaw_section_00_test.csv" for what in ("decision_result", "anomaly_score"))


def sections(tmp_path: Path) -> tuple[ScoreTable, ScoreTable, dict[str, dict[str, Listed]]]:
    """Scores of the evaluation clips of two machine types, of their training clips, and the list."""
    rng = np.random.default_rng(0)
    rows, normals, truth = [], [], {}
    labels: tuple[Label, Label] = "normal", "anomaly"
    for kind in ("bandsaw", "grinder"):
        listed = {}
        for n in range(20):
            label, domain = labels[n % 2], ("source", "target")[n // 10]
            file = f"section_00_{n:04d}.wav"
            listed[file] = Listed(label, domain)
            rows.append(ScoreRow(kind, "section_00", file, None, float(rng.normal(n % 2))))
            normals.append(ScoreRow(kind, "section_00", f"t{n}", "normal", float(rng.normal())))
        truth[kind] = listed
    return ScoreTable(rows), ScoreTable(normals), truth


def test_a_submission_of_sections_is_written_checked_and_evaluated(tmp_path: Path) -> None:
    table, normals, truth = sections(tmp_path)
    metadata = 'submission:\n  label: "A_B_task2_1"\n'
    decisions = decisions_of(table, normals, share=0.2)
    files = write_submission(table, metadata, label="A_B_task2_1", out=tmp_path / "out", decisions=decisions)
    assert sorted(path.name for path in files) == [
        "A_B_task2_1.meta.yaml",
        "anomaly_score_bandsaw_section_00_test.csv",
        "anomaly_score_grinder_section_00_test.csv",
        "decision_result_bandsaw_section_00_test.csv",
        "decision_result_grinder_section_00_test.csv",
    ]
    expected = Expected.from_truth(truth, tmp_path / "list.csv")
    assert not check_submission(tmp_path / "out", expected).problems
    found, _ = read_submission(tmp_path / "out", truth=truth)
    assert {(row.file, row.label, row.domain) for row in found} == {
        (file, listed.label, listed.domain) for files in truth.values() for file, listed in files.items()
    }
    decided = read_decisions(tmp_path / "out", truth=truth)
    assert [(row.key, row.label, row.domain) for row in decided] == [(row.key, row.label, row.domain) for row in found]
    score = official(found)
    assert score is not None
    assert score.rule == 2022
    first = (tmp_path / "out" / "decision_result_bandsaw_section_00_test.csv").read_text().splitlines()
    threshold = np.quantile([row.score for row in normals if row.machine_type == "bandsaw"], 0.8)
    mine = [row for row in table if row.machine_type == "bandsaw"]
    assert first == [f"{row.file},{int(row.score > threshold)}" for row in mine]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda out: (out / DECIDED).unlink(), "is missing"),
        (lambda out: edit(out / DECIDED, ",1", ",2"), "the decision is '2'; it must be 0, normal, or 1"),
        (lambda out: edit(out / DECIDED, ",1", ",yes"), "the decision is 'yes'; it must be 0, normal, or 1"),
        (lambda out: edit(out / DECIDED, ",1", ",nan"), "the decision is 'nan'; it must be 0, normal, or 1"),
        (lambda out: edit(out / DECIDED, "section_00_0003.wav,1\n", ""), "section_00_0003.wav has no decision"),
        (lambda out: edit(out / SCORED, "section_00_0003", "section_01_0003"), "is a clip of section_01"),
    ],
)
def test_problems_of_decisions_are_named(tmp_path: Path, change: Any, message: str) -> None:
    table, normals, truth = sections(tmp_path)
    out = tmp_path / "out"
    metadata = 'submission:\n  label: "A_B_task2_1"\n'
    write_submission(table, metadata, label="A_B_task2_1", out=out, decisions=decisions_of(table, normals, share=0.1))
    change(out)
    problems = check_submission(out, Expected.from_truth(truth, tmp_path / "list.csv")).problems
    assert problems
    assert message in str(problems[0])


def edit(path: Path, old: str, new: str) -> None:
    path.write_text(path.read_text().replace(old, new, 1))


def test_decisions_need_training_clips_and_a_share(tmp_path: Path) -> None:
    table, normals, _ = sections(tmp_path)
    with pytest.raises(ScoreError, match=r"the share of false alarms is 1\.0; give a number between"):
        decisions_of(table, normals, share=1.0)
    with pytest.raises(ScoreError, match="bandsaw section_00 has no training clips"):
        decisions_of(table, ScoreTable([]), share=0.1)
