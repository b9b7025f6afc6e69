"""The one history: each event once, scores as they were, nothing lost by a kill, a full disk or an older version."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from auscult.errors import MonitorError
from auscult.live.events import Event
from auscult.live.history import NAME, History, read_events
from auscult.live.sound import FileKey
from live_fakes import pragma


def event(number: int, phase: Any = "raised") -> Event:
    return Event("alarm", f"pump-{number}", phase, 1.7e9, 12.5, "pump", {"score": 1.25, "threshold": 1.0})


def test_an_event_stands_once_however_often_it_is_recorded(tmp_path: Path) -> None:
    history = History(tmp_path, ["a", "b"])
    assert history.record([event(1), event(2)]) == [event(1), event(2)]
    assert history.record([event(2), event(3), event(1, "cleared")]) == [event(3), event(1, "cleared")]
    for key, _ in history.undelivered("a"):
        history.delivered("a", key)
    assert (history.waiting("a"), history.waiting("b")) == (0, 4)
    history.close()
    again = History(tmp_path, ["a"])
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
    history = History(tmp_path, ["a"])
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
