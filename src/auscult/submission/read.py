"""The challenge's score files as a score table with labels and domains, and how files and clips are named."""

import csv
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from auscult.clips import LABELS, Label
from auscult.datasets.names import parse_name, stem_of
from auscult.datasets.truth import Listed
from auscult.errors import ScoreError
from auscult.scores.table import ScoreRow, ScoreTable

Truth = Mapping[str, Mapping[str, Listed]]
"""Machine type -> file name of the clip -> what it is."""

_MACHINE = r"_(?P<machine_type>.+?)_(?P<machine_id>id_\d+|section_\d\d(?=_))(?:_(?:(?:source|target)_)?test)?\.csv"

SCORE_FILE = re.compile(f"anomaly_score{_MACHINE}")
"""Names of score files: `anomaly_score_<machine type>_id_<nn>.csv`, since 2021 `..._section_<nn>_test.csv`."""

DECISION_FILE = re.compile(f"decision_result{_MACHINE}")
"""Names of the files of decisions, since 2021."""

_CLIP = re.compile(r"(?:(?P<label>normal|anomaly)_)?(?P<machine_id>id_\d+)_.+")

_PATH = re.compile(r"[/\\]")  # some programs write a clip's path, of their own system


class ClipName(NamedTuple):
    """What the name of a clip tells; `None` where it does not."""

    machine_id: str
    label: Label | None
    domain: str | None


def clip_name(file: str) -> ClipName | None:
    """What the name of a clip tells; none if it is no name of the challenge.

    >>> clip_name("section_00_source_test_anomaly_0001_car_A1.wav")
    ClipName(machine_id='section_00', label='anomaly', domain='source')
    """
    if match := _CLIP.fullmatch(file):
        return ClipName(match["machine_id"], next((one for one in LABELS if one == match["label"]), None), None)
    named = parse_name(stem_of(file))
    return None if named is None else ClipName(named.machine_id, named.label, named.domain)


def file_of(machine_type: str, machine_id: str, what: str = "anomaly_score") -> str:
    """Name of a machine's score file, or that of its decisions, `"decision_result"`."""
    return f"{what}_{machine_type}_{machine_id}{'_test' if machine_id.startswith('section_') else ''}.csv"


def read_submission(folder: Path, *, truth: Truth | None = None) -> tuple[ScoreTable, list[Path]]:
    """Read a folder of the challenge's score files: rows of `file,score` without a header.

    Args:
        folder: holds the score files of one system, one per machine id.
        truth: labels of the evaluation set, whose file names do not tell them. Where it knows a machine id, every clip
            of that id must have a score.

    Returns:
        The score table, every clip labelled, and the other entries of the folder, which were ignored; decisions are
        none of them.

    Raises:
        ScoreError: if there is no score file, a line is damaged (named by file and line), a clip appears twice, is
            missing, belongs to another machine or has no label, or a score is not finite.
    """
    table, others = _read(folder, SCORE_FILE, truth, "anomaly_score")
    if not len(table):
        raise ScoreError(
            f"{folder} holds no score file; they are called anomaly_score_<machine type>_id_<nn>.csv, for instance "
            "anomaly_score_fan_id_00.csv, or since 2021 anomaly_score_fan_section_00_test.csv"
        )
    return table, [path for path in others if not DECISION_FILE.fullmatch(path.name)]


def read_decisions(folder: Path, *, truth: Truth | None = None) -> ScoreTable:
    """Read the files of decisions of a folder, which years since 2021 have: rows of `file,decision`.

    Args:
        folder: as for `read_submission`.
        truth: likewise.

    Returns:
        Table whose scores are 1 where a clip was taken for anomalous and 0 elsewhere; empty without such files.

    Raises:
        ScoreError: as `read_submission`, and for a decision that is neither 0 nor 1.
    """
    table, _ = _read(folder, DECISION_FILE, truth, "decision_result")
    for row in table:
        if row.score not in (0.0, 1.0):
            path = folder / file_of(row.machine_type, row.machine_id, "decision_result")
            raise ScoreError(
                f"{path}: the decision on {row.file} is {row.score:g}; it must be 0, normal, or 1, anomalous"
            )
    return table


def _read(folder: Path, name: re.Pattern[str], truth: Truth | None, what: str) -> tuple[ScoreTable, list[Path]]:
    """The rows of all files of one kind, and the other entries of the folder."""
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise ScoreError(f"cannot read the folder of scores {folder}: {error.strerror}") from error
    rows: list[ScoreRow] = []
    others: list[Path] = []
    for path in entries:
        match = name.fullmatch(path.name)
        if match is None or not path.is_file():
            others.append(path)
            continue
        labels = None if truth is None else truth.get(match["machine_type"], {})
        rows += _rows(path, match["machine_type"], match["machine_id"], labels)
    table = ScoreTable(rows)
    for machine_type, ids in table.groups().items() if truth else ():
        for machine_id, found in ids.items():
            own = (truth or {}).get(machine_type, {})
            _check_complete(folder / file_of(machine_type, machine_id, what), found, own)
    return table, others


def _rows(path: Path, machine_type: str, machine_id: str, labels: Mapping[str, Listed] | None) -> Iterator[ScoreRow]:
    first: dict[str, int] = {}
    for number, fields in _lines(path):
        where = f"{path}, line {number}"
        if len(fields) != 2:
            raise ScoreError(f"{where}: {','.join(fields)!r} is no score; a line is a file name, a comma and a number")
        file, score = _PATH.split(fields[0].strip())[-1], _score(where, fields[1])
        if file in first:
            raise ScoreError(f"{where}: {file} has a score in line {first[file]} already; give each clip one")
        first[file] = number
        listed = _listed(where, file, machine_id, labels)
        yield ScoreRow(machine_type, machine_id, file, listed.label, score, listed.domain)
    if not first:
        raise ScoreError(f"{path} holds no scores; write a line per clip, or remove the file")


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Numbers and fields of the lines that are not blank."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file)
            for fields in reader:
                if any(field.strip() for field in fields):
                    yield reader.line_num, fields
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ScoreError(f"cannot read the scores {path}: {error}") from error


def _score(where: str, text: str) -> float:
    try:
        score = float(text)
    except ValueError:
        raise ScoreError(
            f"{where}: the score is {text.strip()!r}; it must be a number, and there is no header"
        ) from None
    if not math.isfinite(score):
        raise ScoreError(f"{where}: the score is {text.strip()}; scores must be finite numbers")
    return score


def _listed(where: str, file: str, machine_id: str, labels: Mapping[str, Listed] | None) -> Listed:
    named = clip_name(file)
    if named and named.machine_id != machine_id:
        raise ScoreError(f"{where}: {file} is a clip of {named.machine_id}, but the file is for {machine_id}")
    if labels is not None and file in labels:
        return labels[file]
    if named and named.label:
        return Listed(named.label, named.domain)
    if labels is not None:
        raise ScoreError(f"{where}: the ground truth has no label for {file}; check that it lists these clips")
    raise ScoreError(f"{where}: the name {file} tells no label; give the ground truth (--truth)")


def _check_complete(path: Path, table: ScoreTable, labels: Mapping[str, Listed]) -> None:
    machine_id, scored = table.rows[0].machine_id, {row.file for row in table}
    known = [file for file in labels if (named := clip_name(file)) and named.machine_id == machine_id]
    missing = sorted(set(known) - scored)
    if missing:
        raise ScoreError(
            f"{path} lacks {len(missing)} of the {len(known)} clips that the ground truth lists, {missing[0]} first; "
            f"an evaluation needs a score for each"
        )
