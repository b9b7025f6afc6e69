"""The history when things go wrong: kills, full disks, other processes, an older version, retention."""

import multiprocessing
import os
import shutil
import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from auscult.errors import MonitorError, RunError
from auscult.live.events import Event
from auscult.live.history import (
    LEVELS,
    NAME,
    History,
    Notes,
    Reader,
    Retention,
    Sound,
    WindowScore,
    read_events,
)
from auscult.live.history import migration as migration_module
from auscult.live.monitor import Monitor
from auscult.live.sound import FileKey, Item, Samples, Start
from live_fakes import Loudness, Script, Seen, delivering, faulty, watch

PROCESSES = multiprocessing.get_context("fork")
DAY = 86400.0


def step(history: History, number: int) -> None:
    """Three windows, a checkpoint, and of each four an alarm with its sound, raised and cleared."""
    at = 1.7e9 + number
    details = {"score": 1.5, "threshold": 1.0}
    events, sounds = list[Event](), dict[str, Sound]()
    if number % 4 in (1, 3):
        key, phase = f"{history.machine}-{number // 4}", "raised" if number % 4 == 1 else "cleared"
        events = [Event("alarm", key, phase, at, 1.0, history.machine, details)]  # type: ignore[arg-type]
        if phase == "raised":
            sounds = {key: Sound(at, 0.0, 16000, bytes([number % 256]) * 100_000, 6.0, 1)}
    scores = [WindowScore(at + part / 4, 1.0, False) for part in range(3)]
    history.record(events, checkpoint={"number": number}, scores=scores, sounds=sounds)
    assert history.problem is None


def write_steps(folder: Path, machine: str, promises: Connection, most: int) -> None:
    """Go on where the history stands, and say each number when it is promised."""
    history = delivering(folder, "out", machine=machine, locked=False)
    number = (history.checkpoint() or {"number": 0})["number"]
    while number < most:
        number += 1
        step(history, number)
        promises.send(number)
    history.close()
    promises.close()


def started(folder: Path, machine: str = "pump", *, most: int = 10**9) -> tuple[Any, Connection]:
    ours, theirs = PROCESSES.Pipe(duplex=False)
    process = PROCESSES.Process(target=write_steps, args=(folder, machine, theirs, most))
    process.start()
    theirs.close()
    return process, ours


def promised(pipe: Connection) -> Iterator[int]:
    while True:
        try:
            yield pipe.recv()
        except EOFError:
            return


def check_steps(folder: Path, machine: str, number: int) -> None:
    """All that steps up to a number write is there, once."""
    raised = [f"{machine}-{one // 4}" for one in range(1, number + 1) if one % 4 == 1]
    cleared = [f"{machine}-{one // 4}" for one in range(1, number + 1) if one % 4 == 3]
    with closing(sqlite3.connect(folder / NAME)) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        of = (machine,)
        keys = [row[0] for row in database.execute("SELECT key FROM events WHERE machine = ? ORDER BY number", of)]
        assert sorted(keys) == sorted([f"{one}:raised" for one in raised] + [f"{one}:cleared" for one in cleared])
        waiting = database.execute("SELECT count(*) FROM outbox JOIN events USING (number) WHERE machine = ?", of)
        assert waiting.fetchone() == (len(keys),)
        rows = database.execute("SELECT id, cleared IS NOT NULL FROM incidents WHERE machine = ?", of).fetchall()
        assert dict(rows) == {one: one in cleared for one in raised}
        sounds = database.execute("SELECT incident FROM sounds JOIN incidents ON incident = id WHERE machine = ?", of)
        assert sorted(row[0] for row in sounds) == sorted(raised)
        for level in LEVELS:
            counted = database.execute(
                "SELECT sum(count) FROM scores WHERE machine = ? AND level = ?", (machine, level)
            )
            assert counted.fetchone() == (3 * number,)


def test_ten_kills_lose_and_double_nothing(tmp_path: Path) -> None:
    """SIGKILL while it writes: the history opens, and holds what was promised, or that and what came next."""
    moments, last = np.random.default_rng(0), 0
    for _ in range(10):
        process, pipe = started(tmp_path)
        told = promised(pipe)
        for _ in range(int(moments.integers(1, 30))):
            last = next(told)
        os.kill(process.pid, signal.SIGKILL)
        last = max([last, *told])
        process.join()
        assert process.exitcode == -signal.SIGKILL
        history = History(tmp_path, machine="pump")
        saved = history.checkpoint()
        history.close()
        assert saved is not None and saved["number"] in (last, last + 1)
        check_steps(tmp_path, "pump", saved["number"])
    assert last > 40


def test_processes_write_to_one_file_and_a_reader_disturbs_none(tmp_path: Path) -> None:
    """Two monitors and somebody who takes notes; a reader sees whole transactions only."""
    History(tmp_path).close()
    writers = [started(tmp_path, name, most=60) for name in ("pump", "fan")]
    notes, reader, said, before = Notes(tmp_path), Reader(tmp_path), 0, 0
    while any(process.is_alive() for process, _ in writers):
        notes.add("pump", start=1.0, end=2.0, verdict="remark", author="A", now=3.0)
        said += 1
        windows = sum(reader.scores("pump", 1.7e9, 1.7e9 + 3600, points=1).count)
        assert windows % 3 == 0 and windows >= before
        before = windows
        found = reader.incidents(limit=200).rows
        assert all(one.sound is not None for one in found)
    for process, pipe in writers:
        assert list(promised(pipe)) == list(range(1, 61))
        assert process.exitcode == 0
    check_steps(tmp_path, "pump", 60)
    check_steps(tmp_path, "fan", 60)
    assert reader.notes().total == said > 1
    notes.close()
    reader.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 3 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = shutil.which("mount", path="/usr/bin:/bin")
    command = [mount or "mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(folder)]
    if mount is None or os.geteuid() or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("no file system may be mounted here; root may")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def fill(folder: Path) -> None:
    with (folder / "ballast").open("wb", buffering=0) as file, pytest.raises(OSError, match="space"):
        while True:
            file.write(bytes(1024))


class Steady:
    """A clock that goes on by two seconds whenever it is looked at."""

    now = 0.0

    def monotonic(self) -> float:
        self.now += 2.0
        return self.now


def test_monitoring_goes_on_when_the_disk_fills_and_all_is_written_afterwards(small_disk: Path) -> None:
    """Really full: a file system without a free block."""
    history = delivering(small_disk / "s", "out", machine="pump")
    sound = faulty(90, (10, 13), (40, 50), (70, 75))
    pieces = [Samples(sound[start : start + 700]) for start in range(0, len(sound), 700)]
    problems: list[str | None] = []

    def filling() -> Iterator[Item]:
        yield Start(1000)
        for number, piece in enumerate(pieces):
            if number == 30:
                fill(small_disk)
            if number == 110:
                (small_disk / "ballast").unlink()
            problems.append(history.problem)
            yield piece

    seen = Seen()
    clock = Steady()
    monitor = Monitor(
        Loudness(), watch(), history=history, screen=seen, wall=lambda: 1.7e9 + clock.now, monotonic=clock.monotonic
    )
    monitor.run(Script(filling()))
    assert problems[29] is None
    assert all("full" in (problem or "") for problem in problems[70:110])
    assert history.problem is None
    assert ("history", "raised") in seen.named("trouble") and ("history", "cleared") in seen.named("trouble")
    history.close()
    reader = Reader(small_disk / "s")
    assert [(event["id"], event["event"]) for event in read_events(small_disk / "s")] == [
        (event.id, event.phase) for event in seen.events
    ]
    (begun,) = reader.machines()
    assert begun == "pump"
    assert sum(reader.scores("pump", 0, 4e9, points=1).count) == len(seen.windows)
    alarms = reader.incidents(kinds=["alarm"]).rows
    assert len(alarms) == 3
    assert all(alarm.sound is not None and alarm.cleared is not None for alarm in alarms)
    reader.close()


def test_a_sound_without_room_holds_up_nothing_else(small_disk: Path) -> None:
    """What is small is written, and the sound when it fits; neither is doubled."""
    history = History(small_disk / "s", machine="pump")
    raised = Event("alarm", "a", "raised", 1.0, 1.0, "pump", {"score": 1.0, "threshold": 0.5})
    sound = Sound(0.0, 0.0, 16000, os.urandom(4_000_000), 1.0, 1)
    for number in range(3):
        history.record(
            [raised], scores=[WindowScore(float(number), 1.0, True)], sounds={"a": sound} if not number else {}
        )
        assert "full" in (history.problem or "")
    assert [event["id"] for event in read_events(small_disk / "s")] == ["a"]
    reader = Reader(small_disk / "s")
    assert sum(reader.scores("pump", 0, 60).count) == 3
    subprocess.run(["mount", "-o", "remount,size=20m", str(small_disk)], check=True)
    history.flush()
    assert history.problem is None
    assert reader.sound("a") == sound
    reader.close()
    history.close()


def test_a_history_on_a_disk_that_takes_no_writes_is_read(small_disk: Path) -> None:
    """A backup, for instance: nothing can be made beside the file, and nothing is left there."""
    history = History(small_disk / "s", machine="pump")
    step(history, 1)
    history.close()
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    assert [event["id"] for event in read_events(small_disk / "s")] == ["pump-0"]
    reader = Reader(small_disk / "s")
    assert sum(reader.scores("pump", 1.7e9, 1.7e9 + 60).count) == 3
    reader.close()
    with pytest.raises(RunError, match="cannot be written"):
        History(small_disk / "s")
    with pytest.raises(MonitorError, match="cannot be opened"):
        Notes(small_disk / "s")


def test_readers_leave_no_files_behind(tmp_path: Path) -> None:
    History(tmp_path).close()
    before = sorted(path.name for path in tmp_path.iterdir())
    read_events(tmp_path)
    reader = Reader(tmp_path)
    reader.incidents()
    reader.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == before
    assert "history.sqlite-wal" not in before


OLD = """
CREATE TABLE events (number INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, json TEXT NOT NULL);
CREATE TABLE outbox (output TEXT NOT NULL, number INTEGER NOT NULL, PRIMARY KEY (output, number)) WITHOUT ROWID;
CREATE TABLE files (name TEXT PRIMARY KEY, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE checkpoint (one INTEGER PRIMARY KEY CHECK (one = 1), json TEXT NOT NULL);
INSERT INTO events VALUES (1, 'p-1:raised', '{"type": "alarm", "event": "raised", "id": "p-1", "time": "2023-11-14T22:13:20.500Z", "machine_id": "pump", "heard_seconds": 12.5, "file": "a.wav", "file_seconds": 12.5, "score": 1.25, "threshold": 1.0, "words": "Louder."}');
INSERT INTO events VALUES (2, 'p-t1:noted', '{"type": "trouble", "event": "noted", "id": "p-t1", "time": "2023-11-14T22:13:21.000Z", "machine_id": "pump", "heard_seconds": 13.0, "kind": "clock", "message": "the clock was set"}');
INSERT INTO events VALUES (3, 'p-1:cleared', '{"type": "alarm", "event": "cleared", "id": "p-1", "time": "2023-11-14T22:13:25.000Z", "machine_id": "pump", "heard_seconds": 17.0, "score": 0.5, "threshold": 1.0}');
INSERT INTO events VALUES (5, 'p-t2:raised', '{"type": "trouble", "event": "raised", "id": "p-t2", "time": "2023-11-14T22:13:30.000Z", "machine_id": "pump", "heard_seconds": 22.0, "kind": "silence", "message": "silent"}');
INSERT INTO outbox VALUES ('webhook host', 3), ('webhook host', 5);
INSERT INTO files VALUES ('a.wav', 1099511627776, 4611686018427387904);
INSERT INTO checkpoint VALUES (1, '{"machine_id": "pump", "detector": "", "alarm": {"name": "p", "active": null, "raised": 1, "history": [0.1], "last_time": 22.0, "listened": 22000000, "scored_at": 22000000, "ready_at": 19000000}, "warning": null, "troubles": {"name": "p", "count": 2, "active": {"silence": ["p-t2", "silent", 22.0]}}, "heard": 22.0, "time": 1700000010.0, "file": null, "windows": 0}');
PRAGMA user_version = 1;
"""  # noqa: E501
"""What version 1 wrote: an alarm that is over, a trouble that lasts, one that was noted, two messages to deliver."""


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A folder with a history of version 1."""
    with closing(sqlite3.connect(tmp_path / NAME)) as database:
        database.executescript(OLD)
    return tmp_path


def test_a_history_of_version_1_is_brought_up_with_all_that_is_in_it(old: Path) -> None:
    told = read_events(old)
    with pytest.raises(MonitorError, match="version 1 of the history, this one reads 2; start a monitor on it once"):
        Reader(old)
    history = delivering(old, "webhook host", machine="pump")
    assert read_events(old) == told
    assert [key for key, _ in history.undelivered("webhook host")] == ["p-1:cleared", "p-t2:raised"]
    assert history.heard_file("a.wav") == FileKey("a.wav", 2**40, 2**62)
    reader = Reader(old)
    assert [(one.id, one.raised, one.cleared, one.trouble, one.words) for one in reader.incidents().rows] == [
        ("p-t2", 1700000010.0, None, "silence", ""),
        ("p-t1", 1700000001.0, 1700000001.0, "clock", ""),
        ("p-1", 1700000000.5, 1700000005.0, None, "Louder."),
    ]
    assert reader.machines() == ["pump"]
    monitor = Monitor(Loudness(), watch(), history=history)
    assert monitor.state() == "TROUBLE: silence"
    assert monitor.heard_seconds == 22.0
    history.record([Event("trouble", "p-t2", "cleared", 1.7e9 + 20, 30.0, "pump", {"kind": "silence", "message": ""})])
    assert reader.incidents(state="open").total == 0
    history.close()
    with closing(sqlite3.connect(old / NAME)) as database:
        assert database.execute("PRAGMA auto_vacuum").fetchone() == (2,)
        assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        names = {row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert not any(name.startswith("old") for name in names)


def migrate_until_killed(folder: Path, rows: int) -> None:
    left = [rows]

    def die(*_: object) -> None:
        left[0] -= 1
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)

    migration_module.keep_up = die  # type: ignore[attr-defined]
    History(folder)


@pytest.mark.parametrize("rows", [1, 4])
def test_a_killed_migration_leaves_the_old_history_whole(old: Path, rows: int) -> None:
    told = read_events(old)
    process = PROCESSES.Process(target=migrate_until_killed, args=(old, rows))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert read_events(old) == told
    with closing(sqlite3.connect(old / NAME)) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (1,)
        names = {row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert names == {"events", "outbox", "files", "checkpoint"}
    history = History(old, machine="pump")
    assert history.waiting("webhook host") == 2
    history.close()


def open_and_close(folder: Path) -> None:
    History(folder, machine="pump", locked=False).close()


def test_processes_that_open_an_old_history_at_once_bring_it_up_once(old: Path) -> None:
    processes = [PROCESSES.Process(target=open_and_close, args=(old,)) for _ in range(6)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 6
    assert Reader(old).incidents().total == 3


def test_processes_that_make_a_history_at_once_make_it_once(tmp_path: Path) -> None:
    processes = [PROCESSES.Process(target=open_and_close, args=(tmp_path,)) for _ in range(6)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 6


def aged(folder: Path, now: float, *, machine: str = "pump", clock: float | None = None) -> None:
    """A window each hour of 500 days, and a sound of 100 kB each tenth day."""
    end = now if clock is None else clock
    history = History(folder, machine=machine, locked=False)
    windows = [WindowScore(end - 3600 * number, 1.0, False) for number in range(500 * 24)]
    history.record([], scores=windows, checkpoint={"time": now, "clock": end})
    for day in range(0, 500, 10):
        key, at = f"{machine}-{day}", end - day * DAY
        raised = Event("alarm", key, "raised", at, 1.0, machine, {"score": 1.0, "threshold": 0.5})
        over = Event("alarm", key, "cleared", at + 5, 1.0, machine, {"score": 1.0, "threshold": 0.5})
        history.record([raised, over], sounds={key: Sound(at - 10, 0.0, 16000, bytes(100_000), 16.0, 1)})
    assert history.problem is None
    history.close()


def kept_days(folder: Path, now: float, machine: str = "pump") -> tuple[dict[int, int], list[int]]:
    """Days back to the first row of each level, and those of which there is a sound."""
    with closing(sqlite3.connect(folder / NAME)) as database:
        rows = database.execute("SELECT level, min(time) FROM scores WHERE machine = ? GROUP BY level", (machine,))
        first = {level: round((now - begun) / DAY) for level, begun in rows}
        names = database.execute("SELECT id FROM incidents JOIN sounds ON id = incident WHERE machine = ?", (machine,))
        return first, sorted(int(name.rsplit("-", 1)[1]) for (name,) in names)


def test_retention_thins_by_age_and_keeps_what_a_fault_points_to(tmp_path: Path) -> None:
    now = 1.75e9
    aged(tmp_path, now)
    aged(tmp_path, now, machine="replay", clock=1.0e9)
    notes = Notes(tmp_path)
    said = {"author": "A", "now": now}
    at = now - 450 * DAY
    fault = notes.add("pump", incident="pump-450", start=at, end=at + 20, verdict="fault", **said)  # type: ignore[arg-type]
    lone = now - 300 * DAY
    notes.add("pump", start=lone - 12, end=lone, verdict="fault", **said)  # type: ignore[arg-type]
    notes.add("pump", incident="pump-400", start=1.0, end=2.0, verdict="normal", **said)  # type: ignore[arg-type]
    before = (tmp_path / NAME).stat().st_size
    history = History(tmp_path, machine="pump")
    history.tidy(Retention(), now)
    assert history.problem is None
    first, sounds = kept_days(tmp_path, now)
    assert sounds == [0, 10, 20, 30, 40, 50, 60, 70, 80, 300, 450]
    assert first == {1: 450, 60: 450, 600: 450, 3600: 500}
    reader = Reader(tmp_path)
    assert reader.scores("pump", at - 60, at + 60).step == 1
    assert reader.scores("pump", at - 2 * DAY, at + 2 * DAY).step == 3600
    assert reader.scores("pump", now - 20 * DAY, now - 19 * DAY).step == 60
    assert reader.scores("pump", now - 200 * DAY, now - 199 * DAY).step == 600
    assert reader.scores("pump", now - DAY, now).step == 1
    assert kept_days(tmp_path, 1.0e9, "replay")[0] == {1: 2, 60: 31, 600: 400, 3600: 500}
    assert reader.incidents().total == 100
    notes.undo(fault.number, author="A", now=now)
    history.tidy(Retention(), now)
    first, sounds = kept_days(tmp_path, now)
    assert (first[1], 450 in sounds) == (300, False)
    history.close()
    reader.close()
    notes.close()
    assert (tmp_path / NAME).stat().st_size < before - 3_000_000


def test_retention_by_size_lets_the_oldest_sounds_go_first(tmp_path: Path) -> None:
    now = 1.75e9
    aged(tmp_path, now)
    Notes(tmp_path).add("pump", incident="pump-490", start=1.0, end=2.0, verdict="fault", author="A", now=now)
    history = History(tmp_path, machine="pump")
    history.tidy(Retention(sound_days=1000, megabytes=1.0), now)
    history.close()
    assert kept_days(tmp_path, now)[1] == [0, 10, 20, 30, 40, 50, 60, 70, 80, 490]


@pytest.mark.parametrize("value", [0, -1, float("nan"), "x", True])
def test_retention_of_nothing_is_refused(value: Any) -> None:
    with pytest.raises(ValidationError, match="sound_days"):
        Retention(sound_days=value)
