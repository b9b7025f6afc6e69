"""The one history: each event once, scores in levels, incidents, notes, and what readers find of them."""

import json
import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from benchmarks.history import DAY, NOW, ZOOMS, Amounts, views, write_year
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy.exc import OperationalError

from auscult.errors import MonitorError
from auscult.live.events import Event
from auscult.live.history import (
    LEVELS,
    NAME,
    Faults,
    History,
    Incident,
    Notes,
    Reader,
    Sound,
    WindowScore,
    lock,
    read_events,
)
from auscult.live.history import writer as writer_module
from auscult.live.history.writer import PART
from auscult.live.sound import FileKey
from live_fakes import delivering, event, pragma


def test_an_event_stands_once_however_often_it_is_recorded(tmp_path: Path) -> None:
    history = delivering(tmp_path, "a", "b")
    assert history.record([event(1), event(2)]) == [event(1), event(2)]
    assert history.record([event(2), event(3), event(1, "cleared")]) == [event(3), event(1, "cleared")]
    for key, _ in history.undelivered("a"):
        history.delivered("a", key)
    assert (history.waiting("a"), history.waiting("b")) == (0, 4)
    history.close()
    again = delivering(tmp_path, "a")
    assert again.record([event(1)]) == []
    assert [key for key, _ in again.undelivered("b")] == [
        "pump-1:raised", "pump-2:raised", "pump-3:raised", "pump-1:cleared"
    ]  # fmt: skip
    again.close()
    assert read_events(tmp_path)[0] == event(1).to_json()
    assert len(read_events(tmp_path)) == 4


def test_files_and_checkpoint_survive(tmp_path: Path) -> None:
    history = History(tmp_path)
    assert history.checkpoint() is None
    history.record([], checkpoint={"a": 1}, heard=FileKey("x.wav", 2**40, 2**62))
    history.close()
    again = History(tmp_path)
    assert again.checkpoint() == {"a": 1}
    assert again.heard_file("x.wav") == FileKey("x.wav", 2**40, 2**62)
    assert again.heard_file("y.wav") is None
    again.close()


def test_two_monitors_never_share_a_history(tmp_path: Path) -> None:
    history = History(tmp_path)
    with pytest.raises(MonitorError, match="another monitor writes to"):
        History(tmp_path)
    history.close()
    History(tmp_path).close()


@pytest.mark.parametrize("content", [b"this is no database " * 200, b"SQLite format 3\0junk"])
def test_a_damaged_history_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / NAME).write_bytes(content)
    with pytest.raises(MonitorError, match="cannot be opened"):
        History(tmp_path)
    with pytest.raises(MonitorError, match="cannot be opened"):
        read_events(tmp_path)
    with pytest.raises(MonitorError, match="holds no history"):
        read_events(tmp_path / "elsewhere")


def test_a_newer_history_is_refused(tmp_path: Path) -> None:
    History(tmp_path).close()
    with sqlite3.connect(tmp_path / NAME) as database:
        database.execute("PRAGMA user_version = 3")
    with pytest.raises(MonitorError, match="version 3"):
        History(tmp_path)


def test_memory_is_bounded_when_the_disk_stays_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("auscult.live.history.pending.MOST_PENDING", 5)
    history = delivering(tmp_path, "a")
    pragma(history, "query_only = 1")
    for number in range(8):
        history.record([event(number)])
    assert history.problem is not None
    assert history.lost == 3
    assert [key for key, _ in history.undelivered("a")] == [f"pump-{number}:raised" for number in range(3, 8)]
    history.record([])
    assert "3 events were lost" in history.problem
    pragma(history, "query_only = 0")
    history.close()
    assert len(read_events(tmp_path)) == 5


def recorded(folder: Path, batches: list[list[WindowScore]], *, machine: str = "pump") -> None:
    history = History(folder, machine=machine)
    for batch in batches:
        history.record([], scores=batch)
    assert history.problem is None
    history.close()


def stored(folder: Path, machine: str = "pump") -> dict[int, dict[int, tuple[Any, ...]]]:
    """Level to time to all else of a machine's scores."""
    with closing(sqlite3.connect(folder / NAME)) as database:
        rows = database.execute(
            "SELECT level, time, count, scored, above, low, sum, high FROM scores WHERE machine = ?", (machine,)
        )
        found: dict[int, dict[int, tuple[Any, ...]]] = {level: {} for level in LEVELS}
        for level, moment, *rest in rows:
            found[level][moment] = tuple(rest)
    return found


WINDOWS = st.builds(
    WindowScore,
    time=st.floats(1.7e9, 1.7e9 + 8000),
    score=st.none() | st.integers(-1000, 1000).map(lambda number: number / 64),
    above=st.booleans(),
)


@given(st.lists(st.lists(WINDOWS, max_size=20), max_size=6))
@settings(max_examples=40, deadline=None)
def test_levels_agree_with_each_other_and_with_the_windows(batches: list[list[WindowScore]]) -> None:
    """However windows come in, each level says of each of its buckets what the windows in it are."""
    with tempfile.TemporaryDirectory() as name:
        recorded(Path(name), batches)
        found = stored(Path(name))
    windows = [window for batch in batches for window in batch]
    for level in LEVELS:
        expected: dict[int, list[WindowScore]] = {}
        for window in windows:
            expected.setdefault(int(window.time // level * level), []).append(window)
        assert found[level].keys() == expected.keys()
        for moment, inside in expected.items():
            known = [window.score for window in inside if window.score is not None]
            low, high = (min(known), max(known)) if known else (None, None)
            above = sum(window.above for window in inside)
            assert found[level][moment] == (len(inside), len(known), above, low, sum(known), high)


def test_a_trend_is_as_fine_as_its_points_allow(tmp_path: Path) -> None:
    start = 1_700_006_400  # begins an hour
    windows = [WindowScore(start + second + 0.5, second / 64, second % 10 == 0) for second in range(7200)]
    recorded(tmp_path, [windows])
    reader = Reader(tmp_path)
    fine = reader.scores("pump", start, start + 600, points=1000)
    assert (fine.step, len(fine.time), fine.time[0]) == (1, 600, start)
    assert fine.mean == fine.low == fine.high == [second / 64 for second in range(600)]
    for points in (1000, 500, 120, 60, 12, 2, 1):
        trend = reader.scores("pump", start, start + 7200, points=points)
        assert len(trend.time) <= points
        assert (sum(trend.count), sum(trend.scored), sum(trend.above)) == (7200, 7200, 720)
        assert (min(map(float, trend.low)), max(map(float, trend.high))) == (0, 7199 / 64)  # type: ignore[arg-type]
        assert sum(mean * number for mean, number in zip(trend.mean, trend.scored, strict=True)) == pytest.approx(  # type: ignore[operator]
            sum(range(7200)) / 64
        )
    empty = reader.scores("pump", start - 7200, start - 3600)
    assert (empty.time, empty.to_json()["mean"]) == ([], [])
    assert reader.scores("fan", start, start + 60).time == []
    assert reader.machines() == ["pump"]
    reader.close()


def test_windows_without_a_score_are_counted_and_have_no_mean(tmp_path: Path) -> None:
    recorded(
        tmp_path, [[WindowScore(60.0, None, False)], [WindowScore(60.5, None, False)], [WindowScore(120.0, 1.0, True)]]
    )
    trend = Reader(tmp_path).scores("pump", 0, 3600, points=10)
    assert trend.to_json() == {
        "step": 1, "time": [60, 120], "low": [None, 1.0], "mean": [None, 1.0], "high": [None, 1.0],
        "count": [2, 1], "scored": [0, 1], "above": [0, 1],
    }  # fmt: skip


def test_incidents_follow_their_events(tmp_path: Path) -> None:
    history = History(tmp_path, machine="pump")
    words = {"score": 2.5, "threshold": 1.0, "words": "Louder.", "differences": [{"sentence": "Louder."}]}
    sound = Sound(90.0, 10.0, 16000, b"flac", 16.0, 1)
    history.record([Event("alarm", "a", "raised", 100.0, 1.0, "pump", words)], sounds={"a": sound})
    history.record([Event("trouble", "t", "noted", 110.0, 2.0, "pump", {"kind": "short", "message": "too short"})])
    history.record([Event("trouble", "u", "raised", 120.0, 3.0, "pump", {"kind": "silence", "message": "silent"})])
    history.record([Event("warning", "w", "cleared", 130.0, 3.0, "pump", {"score": 0.5, "threshold": 1.0})])
    reader = Reader(tmp_path)
    assert [(one.id, one.raised, one.cleared) for one in reader.incidents().rows] == [
        ("w", 130.0, 130.0), ("u", 120.0, None), ("t", 110.0, 110.0), ("a", 100.0, None)
    ]  # fmt: skip
    assert [one.id for one in reader.incidents(state="open").rows] == ["u", "a"]
    history.record([Event("alarm", "a", "cleared", 140.0, 4.0, "pump", {"score": 0.5, "threshold": 1.0})])
    alarm = reader.incident("a")
    assert alarm is not None
    assert alarm.to_json() == {
        "id": "a", "machine": "pump", "kind": "alarm", "raised": 100.0, "cleared": 140.0, "score": 2.5,
        "threshold": 1.0, "trouble": None, "message": "", "words": "Louder.", "differences": [{"sentence": "Louder."}],
        "sound": {"start": 90.0, "seconds": 16.0, "before": 10.0, "bytes": 4}, "notes": [], "verdict": None,
    }  # fmt: skip
    assert reader.sound("a") == sound
    assert (reader.incident("x"), reader.sound("u")) == (None, None)
    assert reader.incident("u").to_json()["trouble"] == "silence"  # type: ignore[union-attr]
    history.close()


def test_incidents_come_in_pages_whatever_is_asked_for(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    events = []
    for number in range(60):
        machine, kind = ("pump", "fan")[number % 2], ("alarm", "warning", "trouble")[number % 3]
        raised = float(rng.integers(0, 20))
        details = {"kind": "silence", "message": "silent"} if kind == "trouble" else {"score": 1.0, "threshold": 0.5}
        events.append(Event(kind, f"i{number}", "raised", raised, 1.0, machine, details))  # type: ignore[arg-type]
        if number % 4:
            events.append(Event(kind, f"i{number}", "cleared", raised + 3, 1.0, machine, details))  # type: ignore[arg-type]
    history = History(tmp_path)
    history.record(events)
    history.close()
    notes, reader = Notes(tmp_path), Reader(tmp_path)
    for number, verdict in enumerate(["fault", "normal", "fault", "remark"]):
        one = f"i{number}"
        machine = reader.incident(one).machine  # type: ignore[union-attr]
        notes.add(machine, incident=one, start=0, end=1, verdict=verdict, author="A", now=5.0)
    notes.add("pump", incident="i2", start=0, end=1, verdict="normal", author="A", now=6.0)
    everything = reader.incidents(limit=100).rows
    assert [(one.raised, one.id) for one in everything] == sorted([(one.raised, one.id) for one in everything])[::-1]
    assert len(everything) == 60
    asked: list[tuple[dict[str, Any], Callable[[Incident], bool]]] = [
        ({}, lambda one: True),
        ({"machine": "fan"}, lambda one: one.machine == "fan"),
        ({"kinds": ["alarm", "trouble"]}, lambda one: one.kind in ("alarm", "trouble")),
        ({"state": "open"}, lambda one: one.cleared is None),
        ({"state": "over", "machine": "pump"}, lambda one: one.cleared is not None and one.machine == "pump"),
        ({"start": 10, "end": 15}, lambda one: one.raised < 15 and (one.cleared is None or one.cleared >= 10)),
        ({"verdict": "fault"}, lambda one: one.id == "i0"),
        ({"verdict": "normal"}, lambda one: one.id in ("i1", "i2")),
        ({"verdict": "none"}, lambda one: one.id not in ("i0", "i1", "i2")),
    ]
    for filters, belongs in asked:
        expected = [one.id for one in everything if belongs(one)]
        found, cursor = list[str](), None
        while True:
            page = reader.incidents(**filters, limit=7, cursor=cursor)
            assert page.total == len(expected)
            found += [one.id for one in page.rows]
            cursor = page.next
            if cursor is None:
                break
        assert found == expected
    for cursor in ("", "x", "é", "WzFd", "bnVsbA", "W1sxXSwiYSJd", "0" * 500):
        with pytest.raises(MonitorError, match="is none of this list"):
            reader.incidents(cursor=cursor)


def test_a_note_knows_its_moment_and_can_be_taken_back(tmp_path: Path) -> None:
    history = History(tmp_path, machine="pump")
    history.threshold(0.0, 1.5, None, why="start")
    history.record(
        [Event("alarm", "a", "raised", 100.0, 1.0, "pump", {"score": 2.5, "threshold": 1.0})],
        scores=[WindowScore(100.0, 3.0, True), WindowScore(500.0, 0.5, False)],
    )
    history.record([Event("alarm", "a", "cleared", 140.0, 4.0, "pump", {"score": 0.5, "threshold": 1.0})])
    history.close()
    notes, reader = Notes(tmp_path), Reader(tmp_path)
    heard = notes.add(
        "pump", incident="a", start=90, end=100, verdict="fault", text="a bearing", author="A", now=1000.0
    )
    assert (heard.score, heard.threshold, heard.heard, heard.said) == (2.5, 1.0, True, 1000.0)
    missed = notes.add("pump", start=499, end=501, verdict="fault", author="B", now=1001.0)
    assert (missed.score, missed.threshold, missed.heard) == (0.5, 1.5, False)
    assert reader.glance({"pump": 1000.0})["pump"].faults == Faults(2, 1)
    assert reader.incident("a").verdict == "fault"  # type: ignore[union-attr]
    undone = notes.undo(heard.number, author="C", now=1002.0)
    assert (undone.undone, undone.undone_by, undone.text) == (1002.0, "C", "a bearing")
    assert reader.glance({"pump": 1000.0})["pump"].faults == Faults(1, 0)
    assert reader.incident("a").verdict is None  # type: ignore[union-attr]
    assert [note.number for note in reader.incident("a").notes] == [heard.number]  # type: ignore[union-attr]
    first = reader.notes(limit=1)
    second = reader.notes(limit=1, cursor=first.next)
    assert (first.rows, second.rows, second.next, first.total) == ([missed], [undone], None, 2)
    assert reader.notes(machine="fan").rows == reader.notes(verdict="normal").rows == []
    assert json.loads(json.dumps(undone.to_json()))["heard"] is True
    with pytest.raises(MonitorError, match="already taken back by C"):
        notes.undo(heard.number, author="D", now=1003.0)
    with pytest.raises(MonitorError, match="no note 9"):
        notes.undo(9, author="D", now=1003.0)
    with pytest.raises(MonitorError, match="is none of this list"):
        reader.notes(cursor="-1")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"verdict": "good"}, "give one of normal, fault, remark"),
        ({"end": 0.0}, "at most a week apart"),
        ({"end": 1e9}, "at most a week apart"),
        ({"start": float("nan")}, "give seconds since 1970"),
        ({"incident": "b"}, "pump has no incident 'b'"),
        ({"text": "x" * 10_001}, "at most 10000 characters"),
    ],
)
def test_a_note_that_makes_no_sense_is_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    said: dict[str, Any] = {"start": 1.0, "end": 2.0, "verdict": "normal", "author": "A", "now": 3.0, **changes}
    with pytest.raises(MonitorError, match=message):
        Notes(tmp_path).add("pump", **said)
    assert Reader(tmp_path).notes().total == 0


def test_thresholds_are_written_when_they_change(tmp_path: Path) -> None:
    history = History(tmp_path, machine="pump")
    history.threshold(10.0, 1.0, None, why="start")
    history.threshold(20.0, 1.0, None, why="start")
    history.threshold(30.0, 1.0, 0.5, why="start")
    other = History(tmp_path, machine="pump", locked=False)
    other.threshold(40.0, 2.0, 0.5, why="note", note=7, author="A")
    history.threshold(50.0, 2.0, 0.5, why="start")
    other.close()
    history.close()
    reader = Reader(tmp_path)
    assert [(row.time, row.threshold, row.warning, row.why) for row in reader.thresholds("pump", 0, 100)] == [
        (10.0, 1.0, None, "start"), (30.0, 1.0, 0.5, "start"), (40.0, 2.0, 0.5, "note")
    ]  # fmt: skip
    assert [row.time for row in reader.thresholds("pump", 35, 100)] == [30.0, 40.0]
    assert reader.thresholds("pump", 45, 100)[0].to_json() == {
        "time": 40.0, "threshold": 2.0, "warning": 0.5, "why": "note", "note": 7, "author": "A"
    }  # fmt: skip
    assert reader.thresholds("fan", 0, 100) == []


def test_machines_share_a_file_and_nothing_in_it(tmp_path: Path) -> None:
    with lock(tmp_path):
        pump, fan = (delivering(tmp_path, "hook", machine=name, locked=False) for name in ("pump", "fan"))
        pump.record([event(1)], checkpoint={"a": 1}, heard=FileKey("x.wav", 1, 2), scores=[WindowScore(1.0, 1.0, True)])
        fan.record([Event("alarm", "fan-1", "raised", 1.0, 1.0, "fan", {})], checkpoint={"b": 2})
        assert (pump.checkpoint(), fan.checkpoint()) == ({"a": 1}, {"b": 2})
        assert fan.heard_file("x.wav") is None
        assert [key for key, _ in pump.undelivered("hook")] == ["pump-1:raised"]
        assert [key for key, _ in fan.undelivered("hook")] == ["fan-1:raised"]
        assert (pump.waiting("hook"), fan.waiting("hook")) == (1, 1)
        assert Reader(tmp_path).scores("fan", 0, 10).time == []
        for history in (pump, fan):
            history.close()
        with pytest.raises(MonitorError, match="another monitor"), lock(tmp_path):
            pass
    with lock(tmp_path):
        pass


def test_events_and_thresholds_are_waited_for_until_the_disk_has_them(tmp_path: Path) -> None:
    """Scores are not: a power cut takes the last ones together with their checkpoint."""
    history = History(tmp_path, machine="pump")

    def waits() -> bool:
        with closing(history.engine.raw_connection()) as borrowed:
            level = borrowed.driver_connection.execute("PRAGMA synchronous").fetchone()  # type: ignore[union-attr]
        return bool(level == (2,))

    history.record([], scores=[WindowScore(1.0, 1.0, True)], checkpoint={"a": 1})
    assert not waits()
    history.record([event(1)], checkpoint={"a": 2})
    assert waits()
    history.record([], checkpoint={"a": 3})
    assert not waits()
    history.threshold(1.0, 1.0, None, why="start")
    assert waits()
    assert history.problem is None
    history.close()


def test_trying_again_is_cheap_however_much_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    history, sizes = delivering(tmp_path, "a", machine="pump"), list[int]()
    real = writer_module.write

    def noted(connection: Any, pending: Any, machine: str) -> None:
        sizes.append(len(pending.events))
        real(connection, pending, machine)
        if len(sizes) <= 3:
            raise OperationalError("COMMIT", {}, sqlite3.OperationalError("database or disk is full"))

    monkeypatch.setattr(writer_module, "write", noted)
    history.record([event(number) for number in range(1000)])
    history.flush()
    history.flush()
    assert sizes == [1000, PART, PART]
    assert "disk is full" in (history.problem or "")
    history.flush()
    assert history.problem is None
    assert sum(sizes[3:]) == 1000 and max(sizes[3:]) == PART
    assert [key for key, _ in history.undelivered("a", limit=1000)] == [
        f"pump-{number}:raised" for number in range(1000)
    ]
    history.close()


def test_the_benchmark_of_a_year_asks_every_view(tmp_path: Path) -> None:
    amounts = Amounts(machines=1, days=1, incidents=70, notes=3, sounds=1)
    sizes = write_year(tmp_path, amounts)
    assert sizes["bytes"] > sizes["bytes_without_sounds"] + sizes["bytes_of_a_sound"] * 0.9
    assert views(tmp_path, amounts).keys() >= {"all machines", *(f"a machine's {name}" for name in ZOOMS)}
    reader = Reader(tmp_path)
    day, glance = reader.scores("pump-1", NOW - DAY, NOW), reader.glance({"pump-1": NOW})["pump-1"]
    assert day.step == 120
    assert sum(glance.trend.count) == sum(day.count) == 86_400
    assert max(glance.trend.high) == max(day.high)
    faults = [note for note in reader.notes(verdict="fault").rows if note.undone is None]
    assert glance.faults == Faults(len(faults), sum(note.heard for note in faults))
    assert glance.open == [one.id for one in reader.incidents(state="open").rows]
    assert glance.alarms == reader.incidents(kinds=["alarm"], start=NOW - DAY).total == 12


def test_memory_of_scores_and_sounds_is_bounded_and_the_finest_go_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("auscult.live.history.pending.MOST_BUCKETS", 200)
    monkeypatch.setattr("auscult.live.history.pending.MOST_SOUND_BYTES", 2500)
    history = History(tmp_path, machine="pump")
    pragma(history, "query_only = 1")
    for minute in range(100):
        sounds = {f"s{minute}": Sound(0.0, 0.0, 16000, b"x" * 1000, 1.0, 1)}
        history.record(
            [], scores=[WindowScore(60 * minute + part, 1.0, True) for part in range(0, 60, 6)], sounds=sounds
        )
        assert len(history._pending.buckets) <= 200
        assert len(history._pending.sounds) <= 3
    assert "cannot be written" in (history.problem or "")
    pragma(history, "query_only = 0")
    history.close()
    found = stored(tmp_path)
    assert {level: sum(row[0] for row in found[level].values()) for level in LEVELS[1:]} == dict.fromkeys(
        LEVELS[1:], 1000
    )
    assert 0 < len(found[1]) <= 100
    assert min(found[1]) > 5000
    assert [Reader(tmp_path).sound(name) is not None for name in ("s97", "s98", "s99")] == [False, True, True]
