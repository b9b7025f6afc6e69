"""The monitor's loop: alarms as offline, troubles instead of health, restarts, clocks, full disks."""

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sqlalchemy.exc import OperationalError

from auscult.detector.alarms import AlarmStatistic, WindowScores
from auscult.errors import FeatureError, MonitorError
from auscult.live.history import History, Reader, read_events
from auscult.live.monitor import Monitor
from auscult.live.sound import End, FileKey, Item, Samples, Solved, SourceProblem, Start, Waiting
from auscult.live.watch import Watch
from auscult.sound.condition import band_levels, learn_condition
from live_fakes import Loudness, Script, Seen, delivering, faulty, noise, offline, pragma, watch

SOUND = faulty(60, (10, 13), (30, 40), (50, 50.2))
KEY = FileKey("a.wav", 1, 2)


def recording(sound: NDArray[np.float32], *, key: FileKey | None = None, size: int = 700) -> list[Item]:
    parts = [Samples(sound[start : start + size]) for start in range(0, len(sound), size)]
    return [Start(1000, key), *parts, End(key)]


def follow(items: list[Item], *, rule: Watch | None = None, history: History | None = None, **options: Any) -> Seen:
    seen, live = Seen(), options.pop("live", False)
    monitor = Monitor(
        options.pop("scorer", Loudness()), rule or watch(), history=history or History(None), screen=seen, **options
    )
    monitor.run(Script(items, live=live))
    return seen


@given(size=st.sampled_from([1, 13, 250, 999, 1000, 60_000]))
@settings(max_examples=6, deadline=None)
def test_scores_and_alarms_are_those_of_offline(size: int) -> None:
    rule, seen = watch(), follow(recording(SOUND[:30_000] if size == 1 else SOUND, size=size))
    scores = offline(SOUND[:30_000] if size == 1 else SOUND, Loudness())
    assert np.array_equal(seen.scores, scores)
    times = np.array([window["heard"] for window in seen.windows])
    assert np.allclose(times, 1 + 0.25 * np.arange(len(scores)), rtol=0, atol=1e-9)
    statistic = AlarmStatistic(WindowScores(times, scores, 1.0, 0.25), rule.settings)
    expected = len(statistic.raised(rule.threshold, spread=rule.spread))
    assert seen.named("alarm").count(("alarm", "raised")) == expected > 0


def test_an_alarm_is_raised_and_cleared_under_one_id_of_its_own() -> None:
    seen = follow(recording(SOUND))
    alarms = [event for event in seen.events if event.kind == "alarm"]
    assert [event.phase for event in alarms] == ["raised", "cleared"] * 2
    assert [event.id for event in alarms[::2]] == [event.id for event in alarms[1::2]]
    assert len({event.id for event in alarms}) == 2
    assert len({event.key for event in alarms}) == 4
    assert alarms[0].id.startswith("pump-")
    assert 10 < alarms[0].heard_seconds < 12
    assert {"ALARM", "normal"} == set(seen.states)


def test_a_warning_stands_between_normal_and_alarm_and_goes_on_after_a_restart(tmp_path: Path) -> None:
    rule = replace(watch(threshold=9.0), warning=0.2)
    for part in (SOUND[:20_000], SOUND[20_000:]):
        history = History(tmp_path)
        seen = follow(recording(part), rule=rule, history=history)
        history.close()
        assert "ALARM" not in seen.states
        assert "warning" in seen.states
    told = [(event["type"], event["event"], event["threshold"]) for event in read_events(tmp_path)]
    assert told == [("warning", "raised", 0.2), ("warning", "cleared", 0.2)] * 2


def clipped(sound: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.clip(sound * 40, -1, 1).astype(np.float32)


@pytest.mark.parametrize(
    ("kind", "spoil"),
    [
        ("clipping", clipped),
        ("silence", np.zeros_like),
        ("dropout", lambda sound: np.where(np.arange(len(sound)) % 1000 < 300, np.float32(0.1), sound)),
        ("samples", lambda sound: np.full_like(sound, np.nan)),
    ],
)
def test_bad_sound_is_a_trouble_and_neither_health_nor_alarm(
    kind: str, spoil: Callable[[NDArray[np.float32]], NDArray[np.float32]]
) -> None:
    sound = noise(200.0)
    sound[20_000:30_000] = spoil(sound[20_000:30_000])
    seen = follow(recording(sound))
    assert seen.named("alarm") == []
    kinds = ["dropout", "silence"] if kind == "silence" else [kind]  # a window that is silent in part comes first
    assert sorted(seen.named("trouble")) == [(kind, phase) for kind in kinds for phase in ("cleared", "raised")]
    begun, over = seen.events[0].heard_seconds, seen.events[-1].heard_seconds
    assert 20 <= begun <= 21.5
    assert 89 <= over <= 92
    bad = np.isnan(seen.scores)
    assert 36 <= bad.sum() <= 46
    during = [state for state, window in zip(seen.states, seen.windows, strict=True) if 22 < window["heard"] < 29]
    assert set(during) == {f"TROUBLE: {', '.join(kinds)}"}


def test_trouble_that_comes_and_goes_is_one_trouble() -> None:
    sound = noise(300.0)
    for second in range(20, 120, 15):
        sound[second * 1000 : second * 1000 + 1500] = 0
    seen = follow(recording(sound))
    assert len(seen.named("trouble")) == len(set(seen.named("trouble")))


def test_a_stall_is_reported_and_ends_with_the_next_sound() -> None:
    items = [*recording(noise(5.0))[:-1], Waiting(3), Waiting(10), Waiting(11)]
    seen = follow([*items, Start(1000, lost_seconds=11), *recording(noise(5.0))[1:]])
    assert seen.named("trouble") == [("stalled", "raised"), ("stalled", "cleared")]
    assert "TROUBLE: stalled, waiting for sound" in seen.states
    assert seen.windows[17]["heard"] == pytest.approx(5 + 11 + 1)


def test_problems_of_the_source_are_events() -> None:
    problem = SourceProblem("vanished", "gone")
    seen = follow([problem, problem, Solved("vanished"), SourceProblem("file", "broken", lasts=False)])
    assert seen.named("trouble") == [("vanished", "raised"), ("vanished", "cleared"), ("file", "noted")]


def test_a_score_that_is_none_is_a_trouble() -> None:
    class Broken(Loudness):
        def score(self, window: NDArray[np.float32]) -> float:
            if super().score(window) > 0.2:
                raise FeatureError("no")
            return math.nan if window[0] > 0.3 else 0.0

    seen = follow(recording(SOUND), scorer=Broken())
    assert ("score", "raised") in seen.named("trouble")
    assert np.isnan(seen.scores).any()
    assert seen.named("alarm") == []


def test_a_file_shorter_than_a_window_is_reported() -> None:
    seen = follow(recording(noise(0.5), key=KEY))
    assert seen.named("trouble") == [("short", "noted")]
    assert "a.wav lasts 0.50 s" in seen.events[0].details["message"]


def test_windows_never_span_two_recordings() -> None:
    seen = follow([*recording(noise(1.9)), *recording(noise(1.9, seed=1))])
    expected = [*offline(noise(1.9), Loudness()), *offline(noise(1.9, seed=1), Loudness())]
    assert np.array_equal(seen.scores, expected)
    assert seen.windows[4]["heard"] == pytest.approx(2.9)


def test_the_sound_that_changed_since_learning_is_a_trouble() -> None:
    blocks = [band_levels(noise(20.0, seed=seed), sample_rate=1000) for seed in range(5)]
    learned = learn_condition(blocks)
    rule = Watch("pump", 0.9, 0.01, watch().settings, learned)
    seen = follow(recording(np.concatenate([noise(60.0), noise(60.0, level=0.3), noise(60.0)])), rule=rule)
    assert seen.named("trouble") == [("changed", "raised"), ("changed", "cleared")]
    assert "louder than when the detector learned" in seen.events[0].details["message"]
    once = follow(recording(np.concatenate([noise(60.0), noise(20.0, level=0.3), noise(60.0)])), rule=rule)
    assert once.named("trouble") == []


class Clocks:
    """A wall clock that is set, beside one that is not."""

    def __init__(self, *jumps: float) -> None:
        self.jumps = iter(jumps)
        self.now, self.offset = 0.0, 1.7e9

    def monotonic(self) -> float:
        self.now += 0.5
        return self.now

    def wall(self) -> float:
        self.offset += next(self.jumps, 0.0)
        return self.offset + self.now


@pytest.mark.parametrize("jump", [86_400.0, -86_400.0])
def test_a_clock_that_jumps_changes_no_alarm(jump: float) -> None:
    clocks = Clocks(*[0.0] * 10, jump)
    jumped = follow(recording(SOUND), wall=clocks.wall, monotonic=clocks.monotonic)
    calm = follow(recording(SOUND))
    assert np.array_equal(jumped.scores, calm.scores)
    assert [(e.phase, e.heard_seconds, e.details["score"]) for e in jumped.events if e.kind == "alarm"] == [
        (e.phase, e.heard_seconds, e.details["score"]) for e in calm.events if e.kind == "alarm"
    ]
    assert jumped.named("trouble") == [("clock", "noted")]
    assert ("forward" if jump > 0 else "back") in next(e for e in jumped.events if e.kind == "trouble").details[
        "message"
    ]


def events_of(folder: Path) -> list[tuple[str, Any, Any]]:
    return [(event["event"], event["file"], event["file_seconds"]) for event in read_events(folder)]


def windows_of(folder: Path) -> int:
    """In the scores, each counted once."""
    return sum(Reader(folder).scores("", 0, 4e9, points=1).count)


@pytest.mark.parametrize("place", [1, 3, 9, 17, 35, 44, 60, 80, 90, 120])
def test_a_folder_goes_on_within_a_file_after_a_crash(
    tmp_path: Path, place: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever it dies: the same alarms, each once, as if nothing had happened."""
    items = [*recording(SOUND, key=KEY), *recording(SOUND, key=FileKey("b.wav", 3, 4))]
    follow(items, history=(whole := History(tmp_path / "whole")))
    whole.close()
    history = History(tmp_path / "killed")
    with monkeypatch.context() as dying, pytest.raises(TypeError):
        record = history.record
        dying.setattr(
            history, "record", lambda events, **rest: record(events, **rest) if events or rest.get("heard") else []
        )
        follow([*items[:place], _Bomb()], history=history)
    history.close()
    again = History(tmp_path / "killed")
    rest = items if again.heard_file("a.wav") is None else items[len(recording(SOUND)) :]
    follow(rest, history=again)
    again.close()
    assert events_of(tmp_path / "killed") == events_of(tmp_path / "whole")
    assert windows_of(tmp_path / "killed") == windows_of(tmp_path / "whole") == 2 * 237
    assert len({event["id"] for event in read_events(tmp_path / "killed")}) == 4


class _Bomb(Samples):
    """An item that cannot be taken."""

    def __init__(self) -> None:
        object.__setattr__(self, "samples", None)


def test_a_live_source_forgets_earlier_windows_after_a_long_rest(tmp_path: Path) -> None:
    """Two windows above the threshold, half of them before a night without a monitor, are no evidence."""
    rule = watch(k=5, n=5, gap_seconds=30.0)
    first = faulty(6, (5, 6))
    clocks = Clocks()
    for start in (first, faulty(1.6, (0, 2))):
        history = History(tmp_path / "s")
        seen = follow(
            [Start(1000), Samples(start)],
            rule=rule,
            history=history,
            live=True,
            wall=clocks.wall,
            monotonic=clocks.monotonic,
        )
        history.close()
        clocks.offset += 3600
    assert seen.named("alarm") == []
    assert seen.windows[0]["heard"] == pytest.approx(6 + 30 + 1)


@pytest.mark.parametrize("waits", [0, 2])
def test_stopped_in_a_file_it_goes_on_there_however_often_it_is_stopped_before_the_file_comes(
    tmp_path: Path, waits: int
) -> None:
    history, key = History(tmp_path / "s"), FileKey("a.wav", 1, 1)
    half, whole = [Start(1000, key), Samples(SOUND[:5000])], [Start(1000, key), Samples(SOUND), End(key)]
    first = follow(half, history=history)
    for _ in range(waits):
        follow([Waiting(1.0)], history=history)
    last = follow(whole, history=history)
    heard = [window["heard"] for seen in (first, last) for window in seen.windows]
    assert heard == [window["heard"] for window in follow(whole, history=History(None)).windows]


def test_a_file_that_has_gone_while_it_was_heard_is_no_way_back_in_time(tmp_path: Path) -> None:
    history, other = History(tmp_path / "s"), replace(KEY, name="b.wav")
    follow([Start(1000, KEY), Samples(SOUND[:5000])], history=history)
    seen = follow([Start(1000, other), Samples(SOUND), End(other)], history=history)
    assert seen.windows[0]["heard"] == pytest.approx(5 + Loudness().window_seconds)


def test_the_history_of_another_machine_or_a_damaged_one_is_refused(tmp_path: Path) -> None:
    history = History(tmp_path / "s")
    follow(recording(SOUND), history=history)
    with pytest.raises(MonitorError, match="belongs to the machine pump, not to fan"):
        follow([], rule=Watch("fan", 1, 1, watch().settings), history=history)
    saved = history.checkpoint()
    assert saved is not None
    for name in saved:
        if name not in ("detector", "warning", "clock", "listened"):
            history.record([], checkpoint={key: value for key, value in saved.items() if key != name})
            with pytest.raises(MonitorError, match="damaged"):
                follow([], history=history)


def test_scores_of_another_detector_are_not_mixed_with_the_new_ones(tmp_path: Path) -> None:
    history = History(tmp_path / "s")
    follow(recording(faulty(5, (4, 5))), rule=watch(k=5, n=5), history=history)
    saved = history.checkpoint()
    assert saved is not None and saved["alarm"]["history"]
    other = Watch("pump", 0.2, 0.01, watch(k=5, n=5).settings, detector="another")
    assert Monitor(Loudness(), other, history=history).levels.alarm.to_json()["history"] == []
    assert json.dumps(saved)


def fill(history: History) -> None:
    """Let the history's file grow no more, and fill it: SQLite then says what it says on a full disk."""
    pragma(history, "synchronous = OFF")
    pragma(history, "max_page_count = 1")
    row = "INSERT INTO events (key, machine, kind, phase, id, time, heard, json) VALUES (?, '', '', '', '', 0, 0, ?)"
    with pytest.raises(OperationalError, match="full"):
        for number in range(10_000):
            with history.engine.begin() as connection:
                connection.exec_driver_sql(row, (f"ballast {number}", 90 * "x"))


def empty(history: History) -> None:
    """There is space again."""
    pragma(history, "max_page_count = 100000")
    with history.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM events WHERE key LIKE 'ballast%'")


def test_a_full_disk_stops_neither_monitoring_nor_delivery_and_doubles_nothing(tmp_path: Path) -> None:
    history = delivering(tmp_path / "s", "out")
    clocks = Clocks()

    def filling() -> Iterator[Item]:
        for number, item in enumerate(recording(SOUND)):
            if number == 10:
                fill(history)
            if number == 60:
                assert history.problem is not None and "full" in history.problem
                assert len(history.undelivered("out")) >= 2
                for key, _ in history.undelivered("out", limit=1):
                    history.delivered("out", key)
                empty(history)
            yield item

    seen = Seen()
    monitor = Monitor(Loudness(), watch(), history=history, screen=seen, wall=clocks.wall, monotonic=clocks.monotonic)
    monitor.run(Script(filling()))
    calm = follow(recording(SOUND))
    assert np.array_equal(seen.scores, calm.scores)
    assert ("history", "raised") in seen.named("trouble")
    assert seen.named("trouble")[-1] == ("history", "cleared")
    left = history.waiting("out")
    history.close()
    stored = [(event["id"], event["event"]) for event in read_events(tmp_path / "s")]
    assert stored == [(event.id, event.phase) for event in seen.events]
    assert len(set(stored)) == len(stored) == left + 1
