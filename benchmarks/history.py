"""A year of history of twenty machines: how large the file is, and how long every view of the page waits for it.

Scores, incidents, notes and sounds are made up and written straight into the tables, as retention would have left them:
seconds of the last two days, minutes of a month, ten minutes and hours of the year. Each query is asked once of every
machine, of one reader, as a server has it: median and longest time, which is the first one, when the query itself is
still to be made. `--quick` is a few days of two machines.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, Table, insert

from auscult.live.events import Event, dumps
from auscult.live.history import LEVELS, History, Notes, Reader, Retention, Sound
from auscult.live.history.incidents import keep_up
from auscult.live.history.migration import event_row
from auscult.live.history.tables import events, scores
from auscult.live.history.writing import write_sound
from auscult.live.kept import flac_of
from benchmarks.places import RESULTS, write

NOW = 1_767_225_600.0
"""The end of the history: the first second of 2026."""

DAY, RATE = 86400.0, 16000
SOUND_SECONDS = 26.0
"""Of a kept sound: 10 s, and five windows of 12 s at a step of 1 s."""

ZOOMS = {"minute": 60.0, "hour": 3600.0, "day": DAY, "week": 7 * DAY, "month": 30 * DAY, "year": 365 * DAY}


@dataclass(frozen=True, slots=True, kw_only=True)
class Amounts:
    """How much history there is.

    Attributes:
        machines: how many.
        days: of scores.
        incidents: of each machine, over these days: of six, an alarm, three warnings, two troubles.
        notes: of each machine.
        sounds: of each machine, of its last alarms and warnings.
    """

    machines: int = 20
    days: int = 365
    incidents: int = 1200
    notes: int = 50
    sounds: int = 25


def names(amounts: Amounts) -> list[str]:
    """Of the machines."""
    return [f"pump-{number}" for number in range(1, amounts.machines + 1)]


def write_year(folder: Path, amounts: Amounts) -> dict[str, int]:
    """Write the history; gives its bytes without sounds, with them, and of one sound."""
    history, retention = History(folder), Retention()
    with history.engine.begin() as connection:
        for number, machine in enumerate(names(amounts)):
            rng = np.random.default_rng(number)
            _write_scores(connection, machine, amounts, retention, rng)
            _write_incidents(connection, machine, amounts, rng)
            sys.stderr.write(f"{machine} is written\n")
    history.close()
    _write_notes(folder, amounts)
    with closing(Reader(folder)) as reader:
        without = reader.size()
    one = _write_sounds(folder, amounts)
    with closing(Reader(folder)) as reader:
        return {"bytes_without_sounds": without, "bytes": reader.size(), "bytes_of_a_sound": one}


def _write_scores(
    connection: Connection, machine: str, amounts: Amounts, retention: Retention, rng: np.random.Generator
) -> None:
    """Minutes of the whole time, and coarser levels made from them; seconds of the last days."""
    days = min(retention.second_days, amounts.days), min(retention.minute_days, amounts.days)
    minutes = _made(rng, amounts.days * 1440, windows=60)
    seconds = _made(rng, round(days[0] * DAY), windows=1)
    last = _merged(seconds, 60)
    for name, column in minutes.items():
        column[-len(last[name]) :] = last[name]
    tables = {1: seconds, 60: minutes, 600: _merged(minutes, 10), 3600: _merged(minutes, 60)}
    kept = {1: days[0], 60: days[1], 600: min(retention.ten_minute_days, amounts.days), 3600: amounts.days}
    for level, columns in tables.items():
        rows = round(kept[level] * DAY / level)
        times = (NOW - level * np.arange(rows, 0, -1)).astype(int).tolist()
        parts = [column[-rows:].tolist() for column in columns.values()]
        _fill(connection, scores, [(machine, level, *row) for row in zip(times, *parts, strict=True)])


def _made(rng: np.random.Generator, rows: int, *, windows: int) -> dict[str, NDArray[Any]]:
    """Scores of so many buckets, in the order of the table's columns."""
    mean = 1 + 0.1 * rng.standard_normal(rows)
    spread = 0.05 * np.abs(rng.standard_normal(rows)) * (windows > 1)
    count = np.full(rows, windows)
    above = (mean > 1.3).astype(int)
    return {
        "count": count,
        "scored": count,
        "above": above,
        "low": mean - spread,
        "sum": windows * mean,
        "high": mean + spread,
    }


def _merged(columns: dict[str, NDArray[Any]], by: int) -> dict[str, NDArray[Any]]:
    how: dict[str, Callable[..., NDArray[Any]]] = {"low": np.min, "high": np.max}
    return {name: how.get(name, np.sum)(column.reshape(-1, by), axis=1) for name, column in columns.items()}


def _fill(connection: Connection, table: Table, rows: list[tuple[Any, ...]]) -> None:
    columns = ", ".join(f'"{column.name}"' for column in table.columns)
    marks = ", ".join("?" * len(table.columns))
    connection.exec_driver_sql(f"INSERT INTO {table.name} ({columns}) VALUES ({marks})", rows)


def _write_incidents(connection: Connection, machine: str, amounts: Amounts, rng: np.random.Generator) -> None:
    begins = NOW - amounts.days * DAY * np.sort(rng.random(amounts.incidents))[::-1]
    for number, begin in enumerate(begins.tolist()):
        kind: Any = ("alarm", "warning", "trouble", "warning", "trouble", "warning")[number % 6]
        details: dict[str, Any] = {"kind": "silence", "message": "the sound is silent"}
        if kind != "trouble":
            part = {"sentence": "Louder between 2 and 4 kHz by 12 dB.", "low_hz": 2000, "high_hz": 4000}
            details = {"score": 1.5, "threshold": 1.3, "words": part["sentence"], "differences": [part] * 3}
        ended = number < amounts.incidents - 1
        for phase in ("raised", "cleared") if ended else ("raised",):
            moment = begin + 60 * (phase == "cleared")
            event = Event(kind, f"{machine}-{number}", phase, moment, 1.0, machine, details)
            row = event_row(event.key, dumps(event.to_json()))
            connection.execute(insert(events), row)
            keep_up(connection, row)


def _write_notes(folder: Path, amounts: Amounts) -> None:
    with closing(Notes(folder)) as notes, closing(Reader(folder)) as reader:
        for machine in names(amounts):
            found = reader.incidents(machine=machine, kinds=["alarm", "warning"], limit=amounts.notes).rows
            for number, one in enumerate(found):
                said: Any = {"start": one.raised - 10, "end": one.raised + 20, "incident": one.id, "now": NOW}
                notes.add(machine, verdict=("fault", "normal", "remark")[number % 3], author="A", text="seen", **said)


def _write_sounds(folder: Path, amounts: Amounts) -> int:
    """Sounds of 16 bits, each another; gives the bytes of the last one."""
    flac, history, rng = b"", History(folder), np.random.default_rng(0)
    with closing(Reader(folder)) as reader:
        for machine in names(amounts):
            for one in reader.incidents(machine=machine, kinds=["alarm", "warning"], limit=amounts.sounds).rows:
                wave = 0.03 * rng.standard_normal(round(SOUND_SECONDS * RATE))
                flac = flac_of((np.rint(32768 * wave) / 32768).astype(np.float32), sample_rate=RATE)
                sound = Sound(one.raised - SOUND_SECONDS, 10.0, RATE, flac, SOUND_SECONDS, 1)
                with history.engine.begin() as connection:
                    write_sound(connection, one.id, sound)
    history.close()
    return len(flac)


@dataclass(slots=True)
class Stopwatch:
    """Times of queries, in milliseconds, by name: by the clock, and of the processor."""

    times: dict[str, list[float]] = field(default_factory=dict)
    cpu: dict[str, list[float]] = field(default_factory=dict)

    def take(self, name: str, query: Callable[[], object]) -> None:
        """Ask, and note how long it takes."""
        begun, cpu = time.perf_counter(), time.process_time()
        query()
        self.times.setdefault(name, []).append(1000 * (time.perf_counter() - begun))
        self.cpu.setdefault(name, []).append(1000 * (time.process_time() - cpu))

    def figures(self) -> dict[str, dict[str, float]]:
        """Median and longest time of each query, and the median of the processor's."""
        return {
            name: {
                "median_ms": round(statistics.median(times), 1),
                "longest_ms": round(max(times), 1),
                "median_cpu_ms": round(statistics.median(self.cpu[name]), 1),
            }
            for name, times in self.times.items()
        }


def zoom(reader: Reader, machine: str, seconds: float) -> None:
    """The trend of a machine, with its thresholds and its incidents, as JSON."""
    span = NOW - seconds, NOW
    json.dumps(reader.scores(machine, *span, points=1000).to_json())
    reader.thresholds(machine, *span)
    reader.incidents(machine=machine, start=span[0], end=span[1])


def overview(reader: Reader, machines: list[str]) -> None:
    """All machines at a glance: the trend of a day, open incidents, alarms of the day, faults."""
    json.dumps([found.trend.to_json() for found in reader.glance(dict.fromkeys(machines, NOW)).values()])


def views(folder: Path, amounts: Amounts) -> dict[str, dict[str, float]]:
    """The time of every query of a view."""
    watch, machines = Stopwatch(), names(amounts)
    with closing(Reader(folder)) as reader:
        for machine in machines:
            for name, query in _queries(reader, machine, machines):
                watch.take(name, query)
    return watch.figures()


def _queries(reader: Reader, machine: str, machines: list[str]) -> Iterator[tuple[str, Callable[[], object]]]:
    yield "all machines", partial(overview, reader, machines)
    for name, seconds in ZOOMS.items():
        yield f"a machine's {name}", partial(zoom, reader, machine, seconds)
    lists: dict[str, dict[str, Any]] = {
        "incidents": {},
        "incidents, second page": {"cursor": reader.incidents().next},
        "incidents of a machine": {"machine": machine},
        "alarms": {"kinds": ["alarm"]},
        "open incidents": {"state": "open"},
        "confirmed faults": {"verdict": "fault"},
        "incidents without a verdict": {"verdict": "none", "kinds": ["alarm", "warning"]},
        "incidents of a month": {"start": NOW - 30 * DAY, "end": NOW},
        "incidents of half a year ago": {"start": NOW - 200 * DAY, "end": NOW - 180 * DAY},
    }
    for name, filters in lists.items():
        yield name, partial(reader.incidents, **filters)
    (last,) = reader.incidents(machine=machine, kinds=["alarm", "warning"], limit=1).rows
    yield "an incident", partial(reader.incident, last.id)
    yield "a sound", partial(reader.sound, last.id)
    yield "notes", partial(reader.notes, machine=machine)
    yield "machines", reader.machines


def main() -> None:
    """Write the year, ask all, print and keep the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a few days of two machines, not kept")
    parser.add_argument("--folder", type=Path, help="where the history is written, and left; else it is removed")
    parser.add_argument("--out", type=Path, default=RESULTS / "history.json")
    arguments = parser.parse_args()
    amounts = Amounts(machines=2, days=4, incidents=120, notes=6, sounds=2) if arguments.quick else Amounts()
    with tempfile.TemporaryDirectory(prefix="history-") as temporary:
        folder = arguments.folder or Path(temporary)
        sizes = write_year(folder, amounts)
        times = views(folder, amounts)
    for name, size in sizes.items():
        print(f"{name:<32}{size / 1e6:>10,.1f} MB")
    for name, figures in times.items():
        cpu = f"{figures['median_cpu_ms']:.1f} ms of the processor"
        print(f"{name:<32}{figures['median_ms']:>8.1f} ms, at most {figures['longest_ms']:.1f} ms; {cpu}")
    if not arguments.quick:
        amounts_ = {name: getattr(amounts, name) for name in Amounts.__slots__}
        write({**amounts_, **sizes, "levels": list(LEVELS), "views": times}, arguments.out)


if __name__ == "__main__":
    main()
