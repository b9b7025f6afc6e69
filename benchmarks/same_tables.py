"""Tables of two versions of the code, compared cell by cell: numbers with a tolerance, all else letter by letter."""

import csv
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import pstdev
from typing import Any

TOLERANCE = 1e-6
"""Of a number's size, or of the standard deviation of its column in the base's table, whichever is larger.

Float32 has seven digits. With mel filters off by one unit in the last place, the scores of Spectral, HVAE and `learn`
stay below it, and those of models that were trained before. Baseline, IDCAE and FREAK do not: their trainings on the
tiny factory multiply the difference until it is as large as the scores. With the same bits theirs are the same.
"""

Tables = dict[str, list[list[str]]]
"""Name of a table -> its rows, their cells as they were written."""


@dataclass
class Finding:
    """What a comparison found.

    Attributes:
        what: was compared.
        values: how many numbers.
        absolute: largest difference of two.
        relative: largest difference over the size of the base's number, where that is not 0.
        same: false if a number is outside the tolerance or anything else differs.
        note: the first difference that counts, or what else is worth knowing.
    """

    what: str
    values: int = 0
    absolute: float = 0.0
    relative: float = 0.0
    same: bool = True
    note: str = ""

    def __str__(self) -> str:
        exact = "bit for bit" if self.same and self.values else ""
        found = f"off by up to {self.absolute:.1e}, relative {self.relative:.1e}" if self.absolute else exact
        words = [found, "" if self.same else "NOT THE SAME", self.note]
        return f"{self.what:40}{self.values or '':>6}  {'; '.join(filter(None, words))}"

    def differs(self, note: str) -> None:
        self.same, self.note = False, self.note or note

    def add(self, name: str, base: Sequence[str], today: Sequence[str]) -> None:
        """Compare a column of two tables."""
        spread = pstdev([x for x in map(number, base) if x is not None] or [0.0])
        for theirs, ours in zip(base, today, strict=True):
            x, y = number(theirs), number(ours)
            self.values += x is not None
            if theirs == ours:
                continue
            difference = math.inf if x is None or y is None else abs(x - y)
            if x is not None and y is not None:
                self.absolute = max(self.absolute, difference)
                self.relative = max(self.relative, difference / abs(x) if x else 0.0)
            if not difference <= TOLERANCE * max(abs(x or 0), spread):
                self.differs(f"{name} has {ours or 'nothing'} in place of {theirs or 'nothing'}")


def compared(what: str, base: Tables, today: Tables) -> Finding:
    """All cells of tables of the same names."""
    finding = Finding(what)
    for name in sorted(base.keys() ^ today.keys()):
        finding.differs(f"only {'the base' if name in base else 'today'} has {name}")
    for name in sorted(base.keys() & today.keys()):
        rows = of_columns(base[name][0], today[name])
        if [len(row) for row in base[name]] != [len(row) for row in rows]:
            finding.differs(f"{name} has other rows or columns")
            continue
        for theirs, ours in zip(zip(*base[name], strict=True), zip(*rows, strict=True), strict=True):
            finding.add(name, theirs, ours)
    if not finding.values:
        finding.differs("there was nothing to compare")
    return finding


def of_columns(head: Sequence[str], rows: list[list[str]]) -> list[list[str]]:
    """A table without the columns that a later version adds, and its warnings as what they were before: normal."""
    if not set(head) < set(rows[0]):
        return rows
    places = [rows[0].index(name) for name in head]
    return [
        [
            "normal" if (name, row[place]) == ("decision", "warning") else row[place]
            for name, place in zip(head, places, strict=True)
        ]
        for row in rows
    ]


def cells(text: str) -> list[list[str]]:
    """The rows of a CSV text."""
    return list(csv.reader(text.splitlines()))


def files_of(folder: Path) -> Tables:
    """The CSV files of a folder, by their paths in it."""
    return {path.relative_to(folder).as_posix(): cells(path.read_text("utf-8")) for path in folder.rglob("*.csv")}


def leaves(text: str) -> list[list[str]]:
    """The values of a JSON document in rows of place and value."""

    def walk(value: Any, place: str) -> Iterator[list[str]]:
        if isinstance(value, dict):
            for key, inner in value.items():
                yield from walk(inner, f"{place}/{key}")
        else:
            yield [place, repr(value)]

    return list(walk(json.loads(text), ""))


def number(cell: str) -> float | None:
    """What a cell says, if that is a finite number."""
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
