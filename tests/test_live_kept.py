"""What the monitor writes down besides events: scores, the sound of each alarm, thresholds; times of a replay."""

import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from auscult.errors import MonitorError
from auscult.live.history import History, Reader, Retention, Sound, read_events
from auscult.live.kept import BEFORE_SECONDS, MOST_SECONDS, KeptSound, flac_of
from auscult.live.monitor import TIDY_SECONDS, Monitor
from auscult.live.sound import End, Item, Samples, Start
from auscult.live.watch import Watch
from auscult.sound.windows import SlidingWindows
from live_fakes import Loudness, Script, Seen, faulty, noise, watch

RULE_SECONDS = 1.5
"""Three windows of a second at a step of a quarter."""


def sixteen(waveform: NDArray[np.float32]) -> NDArray[np.float32]:
    """As a recording of 16 bits gives it."""
    return (np.rint(waveform * 32768) / 32768).astype(np.float32)


def recording(sound: NDArray[np.float32]) -> list[Item]:
    return [Start(1000), *(Samples(sound[start : start + 700]) for start in range(0, len(sound), 700)), End()]


def hear(folder: Path, items: list[Item], *, rule: Watch | None = None, **options: Any) -> Seen:
    seen, history, live = Seen(), History(folder, machine="pump"), options.pop("live", False)
    monitor = Monitor(options.pop("scorer", Loudness()), rule or watch(), history=history, screen=seen, **options)
    monitor.run(Script(items, live=live))
    history.close()
    return seen


def sounds_of(folder: Path) -> dict[str, Sound]:
    reader = Reader(folder)
    found = {one.id: reader.sound(one.id) for one in reader.incidents().rows}
    reader.close()
    return {key: sound for key, sound in found.items() if sound is not None}


def samples_of(sound: Sound) -> NDArray[np.float32]:
    file = soundfile.SoundFile(io.BytesIO(sound.flac))
    assert (file.format, file.subtype, file.samplerate, file.channels) == (
        "FLAC",
        "PCM_24",
        sound.sample_rate,
        sound.channels,
    )
    samples: NDArray[np.float32] = file.read(dtype="float32")
    assert len(samples) / file.samplerate == sound.seconds
    return samples


def test_an_alarm_keeps_its_sound_exactly_with_ten_seconds_before_it(tmp_path: Path) -> None:
    waveform = sixteen(faulty(60, (30, 40)))
    seen = hear(tmp_path, recording(waveform), wall=lambda: 1.7e9)
    (raised,) = (event for event in seen.events if event.phase == "raised")
    ((key, sound),) = sounds_of(tmp_path).items()
    assert key == raised.id
    end = round(raised.heard_seconds * 1000)
    assert np.array_equal(samples_of(sound), waveform[end - 11_500 : end])
    assert (sound.seconds, sound.before, sound.start) == (11.5, BEFORE_SECONDS, 1.7e9 - 11.5)


def test_full_scale_and_what_lies_above_it_is_kept_without_turning_over() -> None:
    loud = np.array([-1.0, 32767 / 32768, 1.0, 3.0, -3.0, 2**-15, 0.0], dtype=np.float32)
    back = soundfile.read(io.BytesIO(flac_of(loud, sample_rate=16000)), dtype="float64")[0]
    assert np.array_equal(back[[0, 1, 5, 6]], loud[[0, 1, 5, 6]])
    assert np.allclose(back, np.clip(loud, -1, 1), rtol=0, atol=2**-22)


class Both(Loudness):
    """Hears two channels."""

    def __init__(self) -> None:
        super().__init__()
        self.channel = (0, 1)  # type: ignore[assignment]

    def score(self, window: NDArray[np.float32]) -> float:
        return super().score(window[:, 0])


def test_both_microphones_are_kept(tmp_path: Path) -> None:
    waveform = np.stack([sixteen(faulty(30, (20, 25))), sixteen(noise(30, seed=1))], axis=1)
    hear(tmp_path, recording(waveform), scorer=Both())
    (sound,) = sounds_of(tmp_path).values()
    assert sound.channels == 2
    kept = samples_of(sound)
    assert any(np.array_equal(kept, waveform[end - len(kept) : end]) for end in range(20_000, 25_000, 250))


def test_a_kept_sound_never_spans_two_recordings(tmp_path: Path) -> None:
    second = sixteen(faulty(10, (0, 5), seed=1))
    hear(tmp_path, [*recording(noise(20)), *recording(second)])
    (sound,) = sounds_of(tmp_path).values()
    assert np.array_equal(samples_of(sound), second[: round(1000 * sound.seconds)])
    assert sound.before == max(0.0, sound.seconds - RULE_SECONDS) < 1


def test_a_warning_and_its_alarm_each_keep_a_sound(tmp_path: Path) -> None:
    hear(tmp_path, recording(faulty(40, (20, 30))), rule=replace(watch(), warning=0.12))
    kinds = {event["id"]: event["type"] for event in read_events(tmp_path) if event["event"] == "raised"}
    assert sorted(kinds[key] for key in sounds_of(tmp_path)) == ["alarm", "warning"]


def test_without_a_folder_nothing_is_kept() -> None:
    history = History(None)
    monitor = Monitor(Loudness(), watch(), history=history)
    monitor.run(Script(recording(faulty(40, (20, 30)))))
    assert monitor._kept is None
    with history.engine.connect() as connection:
        for table in ("scores", "sounds"):
            assert connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar() == 0
    assert monitor.summary.alarms == 1


@pytest.mark.parametrize(("length", "step"), [(1000, 250), (1000, 1000), (1000, 3000)])
def test_memory_of_the_kept_sound_is_bounded(length: int, step: int) -> None:
    kept, waveform, windows = KeptSound(1000, raised_by=1e4), noise(400), SlidingWindows(length, step)
    most = 0
    for start in range(0, len(waveform), 500):
        for window in windows.feed(waveform[start : start + 500]):
            kept.add(window)
            most = max(most, sum(len(part) for part in kept._parts))
    assert most <= MOST_SECONDS * 1000 + length
    sound = kept.sounds(["a"], end=0.0)["a"]
    assert sound.seconds == (MOST_SECONDS if step <= length else 1.0)
    assert sound.before == 0.0
    samples = samples_of(sound)
    assert any(
        np.allclose(samples, waveform[end - len(samples) : end], rtol=0, atol=1e-6)
        for end in range(398_000, 400_001, 250)
    )


def test_every_window_is_in_the_scores(tmp_path: Path) -> None:
    waveform = faulty(120, (30, 40))
    waveform[60_000:70_000] = 0
    seen = hear(tmp_path, recording(waveform), begins=1.0e9)
    reader = Reader(tmp_path)
    trend = reader.scores("pump", 1.0e9, 1.0e9 + 200)
    scores, times = seen.scores, 1.0e9 + np.array([window["heard"] for window in seen.windows])
    assert trend.step == 1
    for number, moment in enumerate(trend.time):
        inside = scores[np.floor(times) == moment]
        known = inside[~np.isnan(inside)]
        assert (trend.count[number], trend.scored[number]) == (len(inside), len(known))
        assert trend.above[number] == (known > 0.2).sum()
        assert trend.high[number] == (max(known) if len(known) else None)
    assert sum(trend.count) == len(scores) > sum(trend.scored) > 0
    (row,) = reader.thresholds("pump", 0, 2e9)
    assert (row.time, row.threshold, row.warning, row.why) == (1.0e9, 0.2, None, "start")


class Clocks:
    """A wall clock that is set by an hour at each look, and one that goes on by ten seconds."""

    now, set_by = 0.0, 0.0

    def monotonic(self) -> float:
        self.now += 10.0
        return self.now

    def wall(self) -> float:
        self.set_by += 3600.0
        return 1.7e9 + self.now + self.set_by


def test_a_replay_has_the_times_of_its_sound_and_no_trouble_with_the_clock(tmp_path: Path) -> None:
    clocks = Clocks()
    halves = np.split(faulty(60, (20, 25), (40, 45)), 2)
    for half in halves:
        hear(tmp_path, recording(half), begins=1.0e9, wall=clocks.wall, monotonic=clocks.monotonic)
    reader = Reader(tmp_path)
    incidents = reader.incidents().rows
    assert [one.kind for one in incidents] == ["alarm", "alarm"]
    assert [20 <= one.raised - 1.0e9 - gap < 21.5 for one, gap in zip(incidents, (20, 0), strict=True)] == [True, True]
    heard = {event["id"]: event["heard_seconds"] for event in read_events(tmp_path) if event["event"] == "raised"}
    for one in incidents:
        assert one.raised == 1.0e9 + heard[one.id]
        assert one.sound is not None and one.sound.start + one.sound.seconds == pytest.approx(one.raised)
    times = reader.scores("pump", 0, 2.0e9).time
    assert times[0] >= 1.0e9 - 3600 and times[-1] <= 1.0e9 + 60


def test_a_live_source_writes_its_scores_every_two_seconds(tmp_path: Path) -> None:
    written: list[int] = []
    clock = iter(np.arange(0, 1e6, 0.35).tolist())

    def items() -> Iterator[Item]:
        for item in recording(noise(30)):
            reader = Reader(tmp_path)
            written.append(sum(reader.scores("pump", 0, 1e9).count))
            reader.close()
            yield item

    hear(tmp_path, list[Item](), begins=0.0)
    seen = hear(tmp_path, items(), begins=0.0, live=True, monotonic=lambda: next(clock))  # type: ignore[arg-type]
    assert len(set(written)) > 5
    assert max(np.diff(written)) < len(seen.windows) / 4


def test_other_thresholds_hold_from_the_next_window_on_and_keep_the_alarm(tmp_path: Path) -> None:
    waveform = faulty(90, (10, 30), (60, 70))
    orders = {20: (5.0, None), 50: (0.05, 0.04), 55: (0.2, None)}
    seen, history = Seen(), History(tmp_path, machine="pump")
    monitor = Monitor(Loudness(), watch(), history=history, screen=seen, begins=0.0)

    def ordering() -> Iterator[Item]:
        yield Start(1000)
        for second in range(90):
            if second in orders:
                monitor.set_threshold(*orders[second])
            yield Samples(waveform[1000 * second : 1000 * (second + 1)])

    monitor.run(Script(ordering()))
    history.close()
    told = [(e.kind, e.phase, e.heard_seconds) for e in seen.events]
    assert told == [
        ("alarm", "raised", 10.75),
        ("alarm", "cleared", 20.25),  # above all that was heard: over with the next window
        ("alarm", "raised", 50.25),
        ("warning", "raised", 50.5),  # of a new level two windows are needed
        ("warning", "cleared", 55.25),  # its level is gone
        ("alarm", "cleared", 55.25),
        ("alarm", "raised", 60.75),
        ("alarm", "cleared", 71.25),
    ]
    thresholds = [window["threshold"] for window in seen.windows]
    assert set(thresholds) == {0.2, 5.0, 0.05}
    assert Reader(tmp_path).incidents(state="open").total == 0


@pytest.mark.parametrize("values", [(float("nan"), None), (float("inf"), None), (1.0, 1.0), (1.0, float("-inf"))])
def test_thresholds_that_make_no_sense_are_refused(values: tuple[float, float | None]) -> None:
    with pytest.raises(MonitorError, match="give finite numbers, warnings lower"):
        Monitor(Loudness(), watch(), history=History(None)).set_threshold(*values)


def test_a_warning_whose_level_is_gone_after_a_restart_is_cleared(tmp_path: Path) -> None:
    hear(tmp_path, recording(noise(20)), rule=replace(watch(threshold=9.0), warning=0.05))
    assert [one.kind for one in Reader(tmp_path).incidents(state="open").rows] == ["warning"]
    hear(tmp_path, list[Item](), rule=watch(threshold=9.0))
    seen = hear(tmp_path, recording(noise(20)), rule=watch(threshold=9.0))
    assert [(event.kind, event.phase) for event in seen.events] == [("warning", "cleared")]
    assert Reader(tmp_path).incidents(state="open").total == 0


def test_the_monitor_tidies_its_history_at_its_start_and_then_seldom(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tidied: list[float] = []
    monkeypatch.setattr(History, "tidy", lambda _self, retention, now: tidied.append(now))
    clock = iter(range(0, 10**6, 5))
    items = recording(noise(100))
    hear(tmp_path, items, monotonic=lambda: float(next(clock)), retention=Retention(), wall=lambda: 1.7e9)
    looked = next(clock)
    assert 2 <= len(tidied) <= 1 + looked / TIDY_SECONDS
    hear(tmp_path, items)
    assert len(tidied) <= 1 + looked / TIDY_SECONDS
