"""`auscult monitor` and `auscult history`: as an engineer uses them, with a real detector."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import soxr

from auscult.detector import Detector, Machine
from auscult.detector.alarms import AlarmSettings, WindowScores
from auscult.detector.calibration.fit import calibrate
from auscult.features.bank import bank_of
from auscult.features.front_end import FrontEnd
from auscult.features.log_mel import LogMel
from auscult.live.history import History, read_events
from auscult.members.part import Part
from auscult.models import Spectral
from auscult.sound.condition import band_levels, learn_condition
from auscult.sound.windows import windows_of
from test_live_outputs import Hook, hook  # noqa: F401 - a fixture

RATE = 16000
ALARM = AlarmSettings(k=2, n=3, cool_down_seconds=2.0)


def pump(seconds: float, *, fault: tuple[float, float] = (0, 0), seed: int = 0) -> np.ndarray[Any, Any]:
    """A pump, with a tone that is no part of it from one second to another."""
    rng = np.random.default_rng(seed)
    moments = np.arange(round(seconds * RATE)) / RATE
    wrong = (moments >= fault[0]) & (moments < fault[1])
    waveform = 0.02 * rng.standard_normal(len(moments)) + 0.1 * np.sin(2 * np.pi * 440 * moments)
    return (waveform + 0.2 * wrong * np.sin(2 * np.pi * 3000 * moments)).astype(np.float32)


@pytest.fixture(scope="module")
def detector(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a detector of two machines; only the first is calibrated."""
    front_end = FrontEnd(LogMel(RATE, n_mels=16))
    frames = [front_end.frames(pump(2.0, seed=seed), name="a sound") for seed in range(12)]
    bank = bank_of(frames, ["a"] * 12, frame_rate=front_end.features.frame_rate)
    model = Spectral(16).fit(bank)
    part = Part("spectral", "spectral", front_end, model, None, float(model.score_clips(bank).mean()), 10.0, 1.0)
    scores = np.random.default_rng(0).standard_normal(400)
    calibration = calibrate([WindowScores(2.0 + np.arange(400), scores, 2.0, 1.0)], 20.0, settings=ALARM)
    condition = learn_condition([band_levels(pump(60, seed=seed), sample_rate=RATE) for seed in range(4)])
    machines = {"left": Machine("left", "a", calibration, condition), "right": Machine("right", "a")}
    path = tmp_path_factory.mktemp("detector") / "pump.auscult"
    Detector([part], machines, 2.0, 1.0, ALARM, {}, "").save(path)
    return path


@pytest.fixture
def fault(tmp_path: Path) -> Path:
    """A recording with a fault between 10 and 16 s."""
    path = tmp_path / "fault.wav"
    soundfile.write(path, pump(30, fault=(10, 16)), RATE, subtype="PCM_16")
    return path


def lines(text: str, kind: str) -> list[dict[str, Any]]:
    return [line for line in map(json.loads, text.splitlines()) if line["type"] == kind]


def test_a_file_gives_its_alarms_and_the_scores_of_offline(
    command: Callable[..., Any], detector: Path, fault: Path
) -> None:
    outcome = command("monitor", detector, "--source", fault, "--machine", "left", "--json", "--windows")
    assert outcome.code == 0
    alarms = lines(outcome.out, "alarm")
    assert [alarm["event"] for alarm in alarms] == ["raised", "cleared"]
    assert alarms[0]["file"] == str(fault.resolve())
    assert 11 <= alarms[0]["file_seconds"] <= 14
    loaded = Detector.load(detector)
    blocks = [soundfile.read(fault, dtype="float32")[0]]
    offline = [
        loaded.window_score(window.samples, machine_id="left")
        for window in windows_of(blocks, length=32000, step=16000)
    ]
    windows = lines(outcome.out, "window")
    assert np.allclose([window["score"] for window in windows], offline, rtol=0, atol=1e-6)
    (end,) = lines(outcome.out, "end")
    assert (end["windows"], end["scored"], end["alarms"]) == (29, 29, 1)
    (start,) = lines(outcome.out, "start")
    assert start["threshold"] == loaded.machines["left"].threshold
    assert start["warning"] == loaded.machines["left"].warning < start["threshold"]
    assert "more hours of normal sound would support" in start["caveat"]
    assert end["highest"] == pytest.approx(max(offline), abs=1e-6)


def test_plain_lines_and_the_history(command: Callable[..., Any], detector: Path, fault: Path, tmp_path: Path) -> None:
    state = tmp_path / "state"
    outcome = command("monitor", detector, "--source", fault, "--machine", "left", "--state", state)
    assert outcome.code == 0
    assert "ALARM raised in" in outcome.out
    assert "0:00:30 heard, 29 of 29 windows scored" in outcome.out
    told = command("history", state)
    order = [["WARNING", "raised"], ["ALARM", "raised"], ["WARNING", "cleared"], ["ALARM", "cleared"]]
    assert [line.split()[1:3] for line in told.out.splitlines()] == order
    as_json = command("history", state, "--json")
    assert [json.loads(line) for line in as_json.out.splitlines()] == read_events(state)


@pytest.mark.slow
def test_the_same_numbers_from_a_pipe_at_another_rate(detector: Path, fault: Path, tmp_path: Path) -> None:
    """Two channels of 48 kHz on standard input, in 16 bits; and how the process ends when they do."""
    sound = soxr.resample(soundfile.read(fault, dtype="float32")[0], RATE, 48000)
    both = np.stack([0 * sound, sound], axis=1)
    data = (np.clip(both, -1, 1) * 32767).astype("<i2").tobytes()
    options = "--machine left --rate 48000 --channels 2 --channel 1 --format s16le --json --windows".split()
    done = process(detector, "-", *options, "--state", tmp_path / "s").communicate(data, timeout=100)
    out = done[0].decode()
    scores = [window["score"] for window in lines(out, "window")]
    loaded = Detector.load(detector)
    back = soxr.resample((np.clip(sound, -1, 1) * 32767).astype(np.int16) / np.float32(32768), 48000, RATE)
    offline = [
        loaded.window_score(window.samples, machine_id="left")
        for window in windows_of([back.astype(np.float32)], length=32000, step=16000)
    ]
    assert np.allclose(scores, offline, rtol=0, atol=1e-3)
    assert [alarm["event"] for alarm in lines(out, "alarm")][:2] == ["raised", "cleared"]
    assert [trouble["kind"] for trouble in lines(out, "trouble")] == ["ended"]
    assert warnings_only(done[1])


def warnings_only(err: bytes) -> bool:
    """Whether the lines on standard error are those of the short calibration alone: threshold, rate, warning level."""
    begins = ("Extrapolated", "The true rate lies", "A warning stands between")
    lines = zip(err.decode().splitlines(), begins, strict=True)
    return all(line.startswith(f"warning: {begin}") for line, begin in lines)


def process(detector: Path, source: Any, *options: Any, **settings: Any) -> subprocess.Popen[bytes]:
    arguments = [sys.executable, "-m", "auscult", "monitor", detector, "--source", source, *options]
    return subprocess.Popen(
        [str(argument) for argument in arguments],
        stdin=subprocess.PIPE,
        stdout=settings.pop("stdout", subprocess.PIPE),
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        **settings,
    )


def test_settings_that_were_not_calibrated_are_warned_of(
    command: Callable[..., Any], detector: Path, fault: Path
) -> None:
    outcome = command("monitor", detector, "--source", fault, "--machine", "left", "--alarm", "1/3", "--threshold", 99)
    assert "k is 1 instead of 2" in outcome.err
    assert "threshold is 99.0 instead of" in outcome.err
    assert "does not hold for these" in outcome.err
    outcome = command("monitor", detector, "--source", fault, "--machine", "left", "--alarm", "2/3")
    assert "instead of" not in outcome.err
    outcome = command("monitor", detector, "--source", fault, "--machine", "right", "--threshold", 5)
    assert "nothing is known about false alarms" in outcome.err
    assert outcome.code == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--machine", "middle"], "does not know the machine 'middle'"),
        ([], "knows the machines left, right"),
        (["--machine", "right"], "was not calibrated"),
        (["--machine", "left", "--alarm", "9/3"], "give 1 <= k <= n"),
        (["--machine", "left", "--windows"], "give --json too"),
        (["--machine", "left", "--mqtt", "host"], "HOST[:PORT]/TOPIC"),
        (["--machine", "left", "--home-assistant"], "give --mqtt"),
        (["--machine", "left", "--webhook", "host"], "give one like"),
        (["--machine", "left", "--rate", "16000"], "--rate is for"),
        (["--machine", "left", "--channel", "3"], "channel 3"),
        (["--machine", "left", "--format", "mp3"], "mp3"),
    ],
)
def test_mistakes_are_one_line(
    command: Callable[..., Any], detector: Path, fault: Path, options: list[str], message: str
) -> None:
    outcome = command("monitor", detector, "--source", fault, *options)
    assert outcome.code == 2
    assert message in outcome.error


def test_what_is_missing_is_one_line(command: Callable[..., Any], detector: Path, tmp_path: Path) -> None:
    assert "does not exist" in command("monitor", detector, "--machine", "left", "--source", tmp_path / "x.wav").error
    assert command("monitor", tmp_path / "no.auscult", "--source", tmp_path).code == 2
    assert "holds no history" in command("history", tmp_path).error
    slow = tmp_path / "slow.wav"
    soundfile.write(slow, pump(3)[::2], 8000)
    outcome = command("monitor", detector, "--machine", "left", "--source", slow)
    assert "record at 16000 Hz or more" in outcome.error


def test_a_folder_is_heard_once_over_restarts(
    command: Callable[..., Any], detector: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("auscult.live.folder.SCAN_SECONDS", 0.05)
    monkeypatch.setattr("auscult.live.folder.STABLE_SECONDS", 0.1)
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "recordings"
    folder.mkdir()
    for index in range(4):
        path = folder / f"{index}.wav"
        soundfile.write(path, pump(10, fault=(2, 8) if index == 2 else (0, 0), seed=index), RATE)
        os.utime(path, (1.7e9 + index, 1.7e9 + index))
    arguments = ["monitor", detector, "--machine", "left", "--source", folder, "--once", "--json", "--windows"]
    first = command(*arguments)
    assert [window["file"] for window in lines(first.out, "window")] == [f"{i}.wav" for i in range(4) for _ in range(9)]
    assert next((alarm["event"], alarm["file"]) for alarm in lines(first.out, "alarm")) == ("raised", "2.wav")
    again = command(*arguments)
    assert lines(again.out, "window") == lines(again.out, "alarm") == []
    soundfile.write(folder / "4.wav", pump(10), RATE)
    third = command(*arguments)
    assert {window["file"] for window in lines(third.out, "window")} == {"4.wav"}
    assert (tmp_path / "pump-monitor" / "history.sqlite").is_file()


def test_help_explains_every_option(command: Callable[..., Any]) -> None:
    text = command("monitor", "--help").out
    for option in (
        "--source --machine --rate --channels --format --channel --stall --once --json --windows --mqtt "
        "--home-assistant --webhook --state --alarm --release-k --release-margin --cool-down --threshold --device"
    ).split():
        assert option in text


def read_until(stream: Any, word: bytes) -> list[bytes]:
    found = []
    for line in iter(stream.readline, b""):
        found.append(line)
        if word in line:
            break
    return found


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), pytest.param(signal.SIGTERM, 0, marks=pytest.mark.slow)]
)
def test_signals_end_it_with_all_written_down(detector: Path, tmp_path: Path, number: int, code: int) -> None:
    state = tmp_path / "s"
    options = ["--machine", "left", "--rate", "16000", "--format", "f32le", "--json", "--state", state]
    running = process(detector, "-", *options)
    assert running.stdin is not None and running.stdout is not None and running.stderr is not None
    running.stdin.write(pump(30, fault=(10, 16)).tobytes())
    running.stdin.flush()
    read_until(running.stdout, b'"cleared"')
    running.send_signal(number)
    rest = running.stdout.read().decode()
    assert running.wait(30) == code
    assert lines(rest, "end")[0]["alarms"] == 1
    assert b"Traceback" not in running.stderr.read()
    assert [event["event"] for event in read_events(state) if event["type"] == "alarm"] == ["raised", "cleared"]


@pytest.mark.slow
def test_a_reader_that_goes_away_ends_it_quietly(detector: Path, tmp_path: Path) -> None:
    options = ["--machine", "left", "--rate", "16000", "--format", "f32le", "--json", "--windows"]
    running = process(detector, "-", *options, "--state", tmp_path / "s")
    assert running.stdin is not None and running.stdout is not None and running.stderr is not None
    running.stdin.write(pump(3).tobytes())
    running.stdin.flush()
    read_until(running.stdout, b'"window"')
    running.stdout.close()
    with contextlib.suppress(BrokenPipeError):  # it may have ended already
        running.stdin.write(pump(30, fault=(1, 9)).tobytes())
        running.stdin.flush()
    assert running.wait(30) == 0
    assert warnings_only(running.stderr.read())


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
@pytest.mark.parametrize("json_lines", [True, False])
def test_standard_output_on_a_full_disk_does_not_stop_it(
    detector: Path, fault: Path, tmp_path: Path, json_lines: bool
) -> None:
    options = ["--machine", "left", "--state", tmp_path / "s", *(["--json"] if json_lines else [])]
    with Path("/dev/full").open("wb") as full:
        running = process(detector, fault, *options, stdout=full)
        _, err = running.communicate(timeout=100)
    assert running.returncode == 0
    assert err.decode().count("standard output takes no lines (No space left on device); monitoring goes on") == 1
    assert b"Traceback" not in err and b"Exception ignored" not in err
    phases = [event["event"] for event in read_events(tmp_path / "s") if event["type"] == "alarm"]
    assert phases == ["raised", "cleared"]


LIMITED = """
import resource, runpy, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2)
sys.argv = ["auscult", *sys.argv[2:]]
runpy.run_module("auscult", run_name="__main__")
"""


@pytest.mark.slow
def test_a_disk_that_is_full_from_the_start_is_said_and_alarms_are_delivered(
    detector: Path,
    fault: Path,
    tmp_path: Path,
    hook: Callable[..., Hook],  # noqa: F811
) -> None:
    """Files may not grow beyond what it takes to make an empty history."""
    empty = History(tmp_path / "empty")
    most = max(path.stat().st_size for path in (tmp_path / "empty").iterdir())
    empty.close()
    command_line = [
        sys.executable,
        "-c",
        LIMITED,
        str(most),
        "monitor",
        detector,
        "--source",
        fault,
        "--machine",
        "left",
    ]
    server = hook()
    options = ["--state", tmp_path / "s", "--webhook", server.url, "--json"]
    done = subprocess.run(
        [str(part) for part in [*command_line, *options]], capture_output=True, timeout=200, check=False
    )
    assert done.returncode == 0
    assert {body["event"] for _, _, body in server.got if body["type"] == "alarm"} == {"raised", "cleared"}
    assert b"cannot be written" in done.stderr
    assert b"Traceback" not in done.stderr


KILLS = [(b'"window"', 75)] * 6 + [(b'"raised"', 3)] * 3 + [(b'"cleared"', 3)] * 3
"""Kill -9 as soon as up to so many lines with a word were written."""


@pytest.mark.slow
def test_twelve_kills_lose_no_alarm_and_double_none(
    detector: Path,
    tmp_path: Path,
    hook: Callable[..., Hook],  # noqa: F811
) -> None:
    """A watched folder of faults, kill -9 at twelve moments: the alarms are those of an undisturbed run."""
    folder = tmp_path / "recordings"
    folder.mkdir()
    for index in range(12):
        path = folder / f"{index:02d}.wav"
        soundfile.write(path, pump(45, fault=(10, 18), seed=index), RATE)
        os.utime(path, (1.7e9 + index, 1.7e9 + index))
    whole = process(detector, folder, "--machine", "left", "--once", "--state", tmp_path / "whole")
    whole.communicate(timeout=300)
    assert whole.returncode == 0
    server = hook(*[200, 503, 200, 500, 200] * 3)
    options = ["--machine", "left", "--once", "--state", tmp_path / "killed", "--webhook", server.url, "--json"]
    options.append("--windows")
    written, moments = list[bytes](), np.random.default_rng(0)
    for kill in [*KILLS, None]:
        running = process(detector, folder, *options)
        assert running.stdout is not None
        if kill is not None:
            word, most = kill
            for _ in range(moments.integers(1, most)):
                written += read_until(running.stdout, word)
            running.kill()
        written += running.stdout.read().splitlines()
        assert running.wait(60) == (0 if kill is None else -signal.SIGKILL)
    expected = [
        (e["event"], e["file"], e["file_seconds"]) for e in read_events(tmp_path / "whole") if e["type"] == "alarm"
    ]
    found = [e for e in read_events(tmp_path / "killed") if e["type"] == "alarm"]
    assert [(e["event"], e["file"], e["file_seconds"]) for e in found] == expected
    assert len(expected) == 24
    keys = [(e["id"], e["event"]) for e in found]
    assert len(set(keys)) == len(keys)
    posted = {(body["id"], body["event"]) for _, _, body in server.got if body["type"] == "alarm"}
    assert posted == set(keys)
    printed = set()
    for line in written:
        try:
            data = json.loads(line)
        except ValueError:  # cut by the kill
            continue
        if data["type"] == "alarm":
            printed.add((data["id"], data["event"]))
    assert printed == set(keys)


@pytest.mark.slow
def test_memory_stays_flat(detector: Path, tmp_path: Path) -> None:
    """Twenty minutes of sound after a warm-up: less than 50 MB more."""
    running = process(
        detector, "-", "--machine", "left", "--rate", "16000", "--format", "f32le", "--json", "--windows", "--state",
        tmp_path / "s",
    )  # fmt: skip
    assert running.stdin is not None and running.stdout is not None
    threading.Thread(target=running.stdout.read, daemon=True).start()
    sound = pump(60).tobytes()

    def resident() -> int:
        status = Path(f"/proc/{running.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0])

    for _ in range(5):
        running.stdin.write(sound)
    time.sleep(1)
    before = resident()
    for _ in range(20):
        running.stdin.write(sound)
    time.sleep(1)
    grown = resident() - before
    running.stdin.close()
    running.wait(60)
    assert grown < 50_000
