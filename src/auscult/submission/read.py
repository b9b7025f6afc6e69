"""The challenge's score files as a score table with labels, and with domains since 2021.

They are called `anomaly_score_<machine type>_id_<nn>.csv` in 2020, `anomaly_score_<machine type>_section_<nn>_test.csv`
since 2022; in 2021 `_test` may be missing, or stand behind the domain.
"""

import csv
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from auscult.clips import Label
from auscult.datasets.names import parse_name, stem_of
from auscult.errors import ScoreError
from auscult.scores.table import ScoreRow, ScoreTable

Truth = Mapping[str, Mapping[str, Label]]
"""Machine type -> file name of the clip -> label."""

SCORE_FILE = re.compile(
    r"anomaly_score_(?P<machine_type>.+)_(?P<machine_id>id_\d+|section_\d+)(?:_(?:source_|target_)?test)?\.csv"
)
"""Names of score files."""

CLIP = re.compile(r"(?:(?P<label>normal|anomaly)_)?(?P<machine_id>id_\d+|section_\d+)_.+")
"""Names of clips, which tell the machine and, in the development set, the label."""

_PATH = re.compile(r"[/\\]")  # some programs write a clip's path, of their own system


def read_submission(
    folder: Path, *, truth: Truth | None = None, domains: Mapping[str, Mapping[str, str | None]] | None = None
) -> tuple[ScoreTable, list[Path]]:
    """Read a folder of the challenge's score files: rows of `file,score` without a header.

    Args:
        folder: holds the score files of one system, one per machine id.
        truth: labels of the evaluation set, whose file names do not tell them. Where it knows a machine id, every clip
            of that id must have a score.
        domains: machine type -> file name -> domain, where names do not tell it.

    Returns:
        The score table, every clip labelled, and the other entries of the folder, which were ignored.

    Raises:
        ScoreError: if there is no score file, a line is damaged (named by file and line), a clip appears twice, is
            missing, belongs to another machine or has no label, or a score is not finite.
    """
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise ScoreError(f"cannot read the folder of scores {folder}: {error.strerror}") from error
    rows: list[ScoreRow] = []
    ignored: list[Path] = []
    for path in entries:
        match = SCORE_FILE.fullmatch(path.name)
        if match is None or not path.is_file():
            ignored.append(path)
            continue
        labels = None if truth is None else truth.get(match["machine_type"], {})
        known = (domains or {}).get(match["machine_type"], {})
        found = list(_rows(path, match["machine_type"], match["machine_id"], labels, known))
        if labels is not None:
            _check_complete(path, found, labels)
        rows += found
    if not rows:
        raise ScoreError(
            f"{folder} holds no score file; they are called anomaly_score_<machine type>_id_<nn>.csv, "
            f"for instance anomaly_score_fan_id_00.csv"
        )
    return ScoreTable(rows), ignored


def _rows(
    path: Path,
    machine_type: str,
    machine_id: str,
    labels: Mapping[str, Label] | None,
    domains: Mapping[str, str | None],
) -> Iterator[ScoreRow]:
    first: dict[str, int] = {}
    for number, fields in _lines(path):
        where = f"{path}, line {number}"
        if len(fields) != 2:
            raise ScoreError(f"{where}: {','.join(fields)!r} is no score; a line is a file name, a comma and a number")
        file, score = _PATH.split(fields[0].strip())[-1], _score(where, fields[1])
        if file in first:
            raise ScoreError(f"{where}: {file} has a score in line {first[file]} already; give each clip one")
        first[file] = number
        named = parse_name(stem_of(file))
        domain = domains.get(file) or (named.domain if named else None)
        yield ScoreRow(machine_type, machine_id, file, _label(where, file, machine_id, labels), score, domain)
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


def _label(where: str, file: str, machine_id: str, labels: Mapping[str, Label] | None) -> Label:
    match = CLIP.fullmatch(file)
    if match and match["machine_id"] != machine_id:
        raise ScoreError(f"{where}: {file} is a clip of {match['machine_id']}, but the file is for {machine_id}")
    if labels is not None and file in labels:
        return labels[file]
    if (named := parse_name(stem_of(file))) and named.label:
        return named.label
    if match and match["label"]:
        return "normal" if match["label"] == "normal" else "anomaly"
    if labels is not None:
        raise ScoreError(f"{where}: the ground truth has no label for {file}; check that it lists these clips")
    raise ScoreError(f"{where}: the name {file} tells no label; give the ground truth (--truth)")


def _check_complete(path: Path, rows: list[ScoreRow], labels: Mapping[str, Label]) -> None:
    machine_id, scored = rows[0].machine_id, {row.file for row in rows}
    known = [file for file in labels if (match := CLIP.fullmatch(file)) and match["machine_id"] == machine_id]
    missing = sorted(set(known) - scored)
    if missing:
        raise ScoreError(
            f"{path} lacks {len(missing)} of the {len(known)} clips that the ground truth lists, {missing[0]} first; "
            f"an evaluation needs a score for each"
        )
