"""The score table: one row per clip, all that later stages read. Higher is more abnormal."""

import csv
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from auscult.clips import LABELS, Label
from auscult.errors import ScoreError
from auscult.files import replacing

COLUMNS = ("machine_type", "machine_id", "file", "label", "score")
DOMAIN = "domain"
"""A further column, which is there where a clip has a domain."""


@dataclass(frozen=True, slots=True, order=True)
class ScoreRow:
    """The score of one clip; `label` and `domain` are none where they are unknown."""

    machine_type: str
    machine_id: str
    file: str
    label: Label | None
    score: float
    domain: str | None = None

    @property
    def key(self) -> tuple[str, str, str]:
        """What identifies the clip: machine type, machine id, file."""
        return self.machine_type, self.machine_id, self.file


class ScoreTable:
    """Rows in the order of machine type, id and file, each clip once.

    Raises:
        ScoreError: if a clip appears twice or a score is not finite: a clip that cannot be scored is an error, never a
            number.
    """

    def __init__(self, rows: Iterable[ScoreRow]) -> None:
        self.rows: tuple[ScoreRow, ...] = tuple(sorted(rows, key=lambda row: row.key))
        for before, row in zip(self.rows, self.rows[1:], strict=False):
            if before.key == row.key:
                raise ScoreError(f"{_name(row)} has two scores; give each clip one")
        for row in self.rows:
            if not math.isfinite(row.score):
                raise ScoreError(f"{_name(row)} has the score {row.score}; scores must be finite numbers")

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[ScoreRow]:
        return iter(self.rows)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ScoreTable) and self.rows == other.rows

    __hash__ = None  # type: ignore[assignment]  # as for lists: compared by value

    @property
    def scores(self) -> NDArray[np.float64]:
        """Scores `[C]` in the order of the rows."""
        return np.array([row.score for row in self.rows], dtype=np.float64)

    def groups(self) -> "dict[str, dict[str, ScoreTable]]":
        """Machine type -> machine id -> the rows of that machine."""
        grouped: dict[str, dict[str, list[ScoreRow]]] = {}
        for row in self.rows:
            grouped.setdefault(row.machine_type, {}).setdefault(row.machine_id, []).append(row)
        return {kind: {id_: ScoreTable(rows) for id_, rows in ids.items()} for kind, ids in grouped.items()}

    def write(self, path: Path) -> None:
        """Write as CSV, floats in full precision (`repr`), to a temporary name that is then renamed."""
        with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            domains = any(row.domain for row in self.rows)
            writer.writerow([*COLUMNS, DOMAIN] if domains else COLUMNS)
            for row in self.rows:
                fields = [*row.key, row.label or "", repr(row.score)]
                writer.writerow([*fields, row.domain or ""] if domains else fields)

    @classmethod
    def read(cls, path: Path) -> "ScoreTable":
        """Read what `write` wrote.

        Raises:
            ScoreError: if the file cannot be read, lacks a column, or holds a value that is no score or label.
        """
        try:
            with path.open(newline="", encoding="utf-8") as file:
                reader = csv.DictReader(file)
                if tuple(reader.fieldnames or ()) not in (COLUMNS, (*COLUMNS, DOMAIN)):
                    raise ScoreError(f"{path} has the columns {reader.fieldnames}; a score table has {list(COLUMNS)}")
                return cls(_row(path, number, fields) for number, fields in enumerate(reader, start=2))
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise ScoreError(f"cannot read the score table {path}: {error}") from error


def _row(path: Path, number: int, fields: dict[str, str]) -> ScoreRow:
    label = fields["label"] or None
    if label is not None and label not in LABELS:
        raise ScoreError(f"{path}, line {number}: the label is {label!r}; it can be {', '.join(LABELS)} or empty")
    try:
        score = float(fields["score"])
    except (TypeError, ValueError):
        raise ScoreError(f"{path}, line {number}: the score is {fields['score']!r}; it must be a number") from None
    return ScoreRow(
        fields["machine_type"], fields["machine_id"], fields["file"], label, score, fields.get(DOMAIN) or None
    )


def _name(row: ScoreRow) -> str:
    return f"{row.machine_type} {row.machine_id} {row.file}"
