"""The validator: everything that is wrong with a submission folder, each problem with its file and line."""

import csv
import io
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from auscult.clips import Clip
from auscult.datasets.years import YEARS
from auscult.errors import ScoreError, nearest
from auscult.submission.metadata import METADATA_SUFFIX, unfilled
from auscult.submission.read import DECISION_FILE, SCORE_FILE, Truth, clip_name, file_of

_EVALUATION_CLIP = re.compile(r"id_\d\d_\d{8}\.wav|section_\d\d_(?:(?:source|target)_test_)?\d{4}\.wav")


@dataclass(frozen=True, slots=True)
class SubmissionProblem:
    """What is wrong with a file, or with one of its lines, counted from 1; a line of `None` is the whole file."""

    path: Path
    line: int | None
    message: str

    def __str__(self) -> str:
        where = f"{self.path}" if self.line is None else f"{self.path}, line {self.line}"
        return f"{where}: {self.message}"


@dataclass(frozen=True, slots=True)
class Expected:
    """The clips that need a score.

    Attributes:
        source: where that is known from, for messages.
        clips: machine type -> machine id -> names of its clips, or `None` where they are not known.
    """

    source: str
    clips: Mapping[str, Mapping[str, frozenset[str] | None]]

    @classmethod
    def from_clips(cls, clips: Iterable[Clip], source: Path) -> "Expected":
        """The evaluation clips of a data folder.

        Raises:
            ScoreError: if there are none.
        """
        names = ((c.machine_type, c.machine_id, c.file) for c in clips if c.subset == "evaluation")
        expected = cls(f"the evaluation clips of {source}", _grouped(names))
        if not expected.clips:
            raise ScoreError(f"{source} has no evaluation clips; give the challenge's data, or --truth, or neither")
        return expected

    @classmethod
    def from_truth(cls, truth: Truth, source: Path) -> "Expected":
        """The clips of a ground-truth list.

        Raises:
            ScoreError: if a name in it does not tell the machine id.
        """
        names = []
        for machine_type, labels in truth.items():
            for file in labels:
                named = clip_name(file)
                if named is None:
                    raise ScoreError(
                        f"{source}: the name {file} tells no machine id; it must start with id_<nn>_ or section_<nn>_"
                    )
                names.append((machine_type, named.machine_id, file))
        return cls(f"the ground-truth list {source}", _grouped(names))

    @classmethod
    def of_the_challenge(cls, folder: Path) -> "Expected":
        """The machines of the challenge's evaluation set, without the names of the clips.

        The year is the one that has most of the machines whose scores a folder holds; of several, the one of which the
        fewest are missing, then the latest.
        """
        there = {match.groups() for path in folder.glob("*.csv") if (match := SCORE_FILE.fullmatch(path.name))}
        machines = {
            year: {(kind, id_) for kind, ids in facts.evaluation.items() for id_ in ids}
            for year, facts in YEARS.items()
        }
        year = max(YEARS, key=lambda year: (len(there & machines[year]), -len(machines[year] - there), year))
        clips = {kind: dict.fromkeys(ids) for kind, ids in YEARS[year].evaluation.items()}
        return cls(f"the machine ids of DCASE {year} Task 2, without the list of clips", clips)


@dataclass(frozen=True, slots=True)
class Checked:
    """What a check found.

    Attributes:
        problems: all of them, file by file.
        ignored: entries that are no part of a submission.
        to_fill: fields of the metadata that nobody filled in yet.
        machines: number of score files.
        clips: number of scores in them.
    """

    problems: list[SubmissionProblem]
    ignored: list[Path]
    to_fill: list[str]
    machines: int
    clips: int


def check_submission(folder: Path, expected: Expected) -> Checked:
    """Find every problem of a submission folder.

    Args:
        folder: holds `anomaly_score_<machine type>_id_<nn>.csv` files and one metadata file.
        expected: the clips that need a score.

    Raises:
        ScoreError: if the folder cannot be read.
    """
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise ScoreError(f"cannot read the submission {folder}: {error.strerror}") from error
    problems: list[SubmissionProblem] = []
    ignored: list[Path] = []
    metadata: list[Path] = []
    seen: set[tuple[str, str]] = set()
    decided: set[tuple[str, str]] = set()
    n_clips = 0
    for path in entries:
        match = SCORE_FILE.fullmatch(path.name)
        if path.is_dir():
            ignored.append(path)
        elif match:
            seen.add((match["machine_type"], match["machine_id"]))
            found, n = _check_file(path, match["machine_type"], match["machine_id"], expected)
            problems += found
            n_clips += n
        elif match := DECISION_FILE.fullmatch(path.name):
            decided.add((match["machine_type"], match["machine_id"]))
            found, _ = _check_file(path, match["machine_type"], match["machine_id"], expected, decisions=True)
            problems += found
        elif path.name.endswith(METADATA_SUFFIX):
            metadata.append(path)
        elif path.suffix == ".csv" or path.name.startswith("anomaly_score"):
            shape = "anomaly_score_<machine type>_id_<nn>.csv, or since 2021 ..._section_<nn>_test.csv"
            problems.append(SubmissionProblem(path, None, f"is no name of a score file; it must be {shape}"))
        else:
            ignored.append(path)
    problems += _missing_machines(folder, seen, expected)
    undecided = sorted(machine for machine in seen - decided if machine[1].startswith("section_"))
    problems += [
        SubmissionProblem(folder / file_of(*machine, "decision_result"), None, "is missing") for machine in undecided
    ]
    to_fill, found = _check_metadata(folder, metadata)
    return Checked(problems + found, ignored, to_fill, len(seen), n_clips)


def _grouped(names: Iterable[tuple[str, str, str]]) -> dict[str, dict[str, frozenset[str] | None]]:
    files: dict[str, dict[str, set[str]]] = {}
    for machine_type, machine_id, file in names:
        files.setdefault(machine_type, {}).setdefault(machine_id, set()).add(file)
    return {kind: {id_: frozenset(some) for id_, some in ids.items()} for kind, ids in files.items()}


def _check_file(
    path: Path, machine_type: str, machine_id: str, expected: Expected, *, decisions: bool = False
) -> tuple[list[SubmissionProblem], int]:
    """The problems of a file of scores or of decisions, and the number of its clips."""
    ids = expected.clips.get(machine_type)
    if ids is None:
        known = list(expected.clips)
        text = f"there is no machine type {machine_type!r}{nearest(machine_type, known)}, only {', '.join(known)}"
        return [SubmissionProblem(path, None, text)], 0
    if machine_id not in ids:
        text = f"{machine_type} has no evaluation machine {machine_id}, only {', '.join(sorted(ids))}"
        return [SubmissionProblem(path, None, text)], 0
    try:
        content = path.read_text(encoding="utf-8")
        lines = list(_numbered(content))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        return [SubmissionProblem(path, None, f"cannot be read: {error}")], 0
    problems = []
    if content.startswith("\ufeff"):
        problems.append(SubmissionProblem(path, 1, "starts with a byte order mark; save the file without one"))
    if not any(fields for _, fields in lines):
        return [*problems, SubmissionProblem(path, None, "is empty; write a line per clip")], 0
    first: dict[str, int] = {}
    for number, fields in lines:
        for text in _check_line(number, fields, machine_id, ids[machine_id], first, decisions=decisions):
            problems.append(SubmissionProblem(path, number, text))
    missing = sorted((ids[machine_id] or frozenset()) - set(first))
    what = "decision" if decisions else "score"
    problems += [SubmissionProblem(path, None, f"{file} has no {what}") for file in missing]
    return problems, len(first)


def _numbered(content: str) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO(content.removeprefix("\ufeff"), newline=""))
    for fields in reader:
        yield reader.line_num, fields


def _check_line(
    number: int,
    fields: list[str],
    machine_id: str,
    known: frozenset[str] | None,
    first: dict[str, int],
    *,
    decisions: bool,
) -> Iterator[str]:
    """What is wrong with a line; notes in `first` where each clip has its score."""
    if not any(field.strip() for field in fields):
        yield "is blank; remove it"
        return
    what = "decision" if decisions else "score"
    if len(fields) != 2:
        yield f"{','.join(fields)!r} is no {what}; a line is a file name, a comma and a number"
        return
    file, text = fields
    value = _number(text)
    named = clip_name(file.strip())
    if value is None and number == 1 and named is None:
        yield f"{','.join(fields)!r} is a header; the challenge's files have none"
        return
    if decisions and value not in (0.0, 1.0):
        yield f"the decision is {text.strip()!r}; it must be 0, normal, or 1, anomalous"
    elif value is None:
        yield f"the score is {text!r}; it must be a number"
    elif not math.isfinite(value):
        yield f"the score is {text.strip()}; it must be a finite number"
    if file in first:
        yield f"{file} has a {what} in line {first[file]} already"
        return
    first[file] = number
    if named and named.machine_id != machine_id:
        yield f"{file} is a clip of {named.machine_id}, but the file is for {machine_id}"
    elif known is None:
        digits = 8 if machine_id.startswith("id_") else 4
        if not _EVALUATION_CLIP.fullmatch(file):
            yield f"{file!r} is no name of an evaluation clip, such as {machine_id}_{'0' * digits}.wav"
    elif file not in known:
        yield f"{file!r} is no evaluation clip of this machine{nearest(file, known) if named is None else ''}"


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _missing_machines(folder: Path, seen: set[tuple[str, str]], expected: Expected) -> Iterator[SubmissionProblem]:
    for machine_type, ids in expected.clips.items():
        lacking = [id_ for id_ in sorted(ids) if (machine_type, id_) not in seen]
        if len(lacking) == len(ids):
            text = f"the machine type {machine_type} is missing; needed are the ids {', '.join(lacking)}"
            yield SubmissionProblem(folder, None, text)
            continue
        for machine_id in lacking:
            yield SubmissionProblem(folder / file_of(machine_type, machine_id), None, "is missing")


def _check_metadata(folder: Path, found: list[Path]) -> tuple[list[str], list[SubmissionProblem]]:
    """The fields to fill in, and what is wrong with the metadata."""
    if not found:
        return [], [SubmissionProblem(folder, None, f"the metadata file <label>{METADATA_SUFFIX} is missing")]
    problems = [
        SubmissionProblem(path, None, f"is a second metadata file beside {found[0].name}") for path in found[1:]
    ]
    try:
        return unfilled(found[0].read_text(encoding="utf-8")), problems
    except (OSError, UnicodeDecodeError) as error:
        return [], [*problems, SubmissionProblem(found[0], None, f"cannot be read: {error}")]
    except ScoreError as error:
        return [], [*problems, SubmissionProblem(found[0], None, str(error))]
