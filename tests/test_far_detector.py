"""Detectors with a far microphone: learned, scored, monitored and exported, the same numbers everywhere."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from auscult.detector import Detector
from auscult.detector.alarms import AlarmSettings
from auscult.detector.learn import Learned, LearnSettings, learn
from auscult.detector.pack import pack
from auscult.errors import AudioError, DetectorError, MonitorError
from auscult.live.pcm import PcmDecoder, WavDecoder
from auscult.live.sound import FileSource
from auscult.live.sources import SourceOptions, open_source
from auscult.recipe import parse_recipe
from auscult.report.learned import render
from auscult.runs.results import read_scores_of
from auscult.runs.run import run
from auscult.sound.windows import windows_of

RATE = 8000
TOP = """
name = "two"
sample_rate = 8000
reference_channel = 1
"""
MEMBER = """
[[member]]
name = "spectral"
family = "spectral"
features = { n_mels = 16, n_fft = 256, hop_length = 128 }
"""
SETTINGS = LearnSettings(
    rate=60.0, window_seconds=1.0, step_seconds=0.5, alarm=AlarmSettings(k=1, n=2, cool_down_seconds=1.0)
)


def hall(seconds: float, seed: int, *, fault: float = 0.0) -> NDArray[np.float32]:
    """A machine, with a fault a whistle, in noise that both microphones hear `[T, 2]`; the level of it wanders."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * RATE)) / RATE
    machine = 0.05 * np.sin(2 * np.pi * 200 * time) + 0.01 * rng.standard_normal(len(time))
    machine += fault * np.sin(2 * np.pi * 2500 * time)
    noise = 0.1 * (1 + 0.5 * np.sin(2 * np.pi * time / 7)) * rng.standard_normal(len(time))
    return np.stack([machine + noise, 0.1 * machine + np.roll(noise, 3)], axis=1).astype(np.float32)


def write(path: Path, sound: NDArray[np.float32]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, sound, RATE, subtype="PCM_16")
    return path


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> Learned:
    normals = write(tmp_path_factory.mktemp("hall") / "pump.wav", hall(120, 0))
    return learn(normals, recipe=parse_recipe(TOP + MEMBER, "a test"), settings=SETTINGS)


@pytest.fixture(scope="module")
def file(learned: Learned, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("detector") / "pump.auscult"
    learned.detector.save(path)
    return path


@pytest.fixture
def day(tmp_path: Path) -> Path:
    """Twenty seconds, whose second half has a fault."""
    return write(tmp_path / "day.wav", np.concatenate([hall(10, 1), hall(10, 2, fault=0.03)]))


def test_a_detector_is_read_as_it_was_written_and_hears_both(file: Path, day: Path) -> None:
    detector = Detector.load(file)
    assert detector.channel == (0, 1)
    sound, _ = soundfile.read(day, dtype="float32")
    assert detector.score(day).score == detector.score(sound, sample_rate=RATE).score
    with_fault, without = (detector.score(part, sample_rate=RATE).score for part in (sound[80_000:], sound[:80_000]))
    assert with_fault > without + 5
    alone = sound.copy()
    alone[:, 1] = 0.001 * alone[::-1, 1]
    assert abs(detector.score(alone, sample_rate=RATE).score - detector.score(sound, sample_rate=RATE).score) > 1


def test_what_lacks_a_microphone_is_refused_in_one_line(learned: Learned, day: Path, tmp_path: Path) -> None:
    detector, mono = learned.detector, write(tmp_path / "mono.wav", hall(5, 3)[:, 0])
    with pytest.raises(AudioError, match=r"mono.wav has 1 channel, and two microphones are to be heard"):
        detector.score(mono)
    with pytest.raises(AudioError, match=r"shape \(40000,\) .* give two channels, \[T, 2\]"):
        detector.score(hall(5, 3)[:, 0], sample_rate=RATE)
    with pytest.raises(DetectorError, match="--channel is 1, where the far microphone is"):
        detector.score(day, channel=1)
    with pytest.raises(AudioError, match=r"mono.wav has 1 channel, and two microphones are to be heard"):
        learn(mono, recipe=parse_recipe(TOP + MEMBER, "a test"), settings=SETTINGS)
    stop = threading.Event()
    with pytest.raises(AudioError, match=r"mono.wav has 1 channel"):
        FileSource(mono, sample_rate=RATE, channel=(0, 1), stop=stop)
    options = SourceOptions("-", rate=RATE, channel=detector.channel)
    with pytest.raises(MonitorError, match=r"standard input has 1 channel, and two microphones .* \(--channels 2\)"):
        open_source(options, sample_rate=RATE, heard=lambda _: None, stop=stop)
    with pytest.raises(MonitorError, match="standard input has 1 channel"):
        WavDecoder(channel=(0, 1))(mono.read_bytes())


def test_bytes_cut_anywhere_give_both_channels(day: Path) -> None:
    sound, data = soundfile.read(day, dtype="float32")[0], day.read_bytes()
    decoder = WavDecoder(channel=(0, 1))
    found = np.concatenate([part for at in range(0, len(data), 997) if len(part := decoder(data[at : at + 997]))])
    np.testing.assert_array_equal(found, sound)
    raw = PcmDecoder("f32le", channels=3, channel=(2, 0))(np.arange(6, dtype="<f4").tobytes())
    np.testing.assert_array_equal(raw, [[2, 0], [5, 3]])


def offline(detector: Detector, path: Path) -> list[float]:
    length, step = (detector.samples(seconds) for seconds in (detector.window_seconds, detector.step_seconds))
    windows = windows_of([soundfile.read(path, dtype="float32")[0]], length=length, step=step)
    return [detector.window_score(window.samples) for window in windows]


def lines(text: str, kind: str) -> list[dict[str, Any]]:
    return [line for line in map(json.loads, text.splitlines()) if line["type"] == kind]


def test_the_monitor_says_of_a_file_what_score_says_to_the_bit(
    command: Callable[..., Any], file: Path, day: Path
) -> None:
    heard = command("monitor", file, "--source", day, "--json", "--windows")
    assert heard.code == 0
    expected = offline(Detector.load(file), day)
    assert [window["score"] for window in lines(heard.out, "window")] == expected
    assert [alarm["event"] for alarm in lines(heard.out, "alarm")][:1] == ["raised"]
    assert "channel 0 without what channel 1 predicts" in command("info", file).out
    scored = command("score", file, day, "--json")
    assert json.loads(scored.out)["score"] == max(expected)


@pytest.mark.slow
def test_folders_and_pipes_give_the_same_scores(
    command: Callable[..., Any], file: Path, day: Path, tmp_path: Path
) -> None:
    expected = offline(Detector.load(file), day)
    write(tmp_path / "folder" / "mono.wav", hall(5, 3)[:, 0])
    write(tmp_path / "folder" / "two.wav", soundfile.read(day, dtype="float32")[0])
    for path in (tmp_path / "folder").iterdir():
        os.utime(path, (0, 0))
    options = ("--once", "--json", "--windows", "--state", tmp_path / "state")
    folder = command("monitor", file, "--source", tmp_path / "folder", *options)
    assert [window["score"] for window in lines(folder.out, "window")] == expected
    assert "mono.wav has 1 channel, and two microphones" in lines(folder.out, "trouble")[0]["message"]
    line = [sys.executable, "-m", "auscult", "monitor", str(file), "--source", "-", "--format", "wav"]
    with day.open("rb") as stream:
        piped = subprocess.run(
            [*line, "--json", "--windows", "--state", str(tmp_path / "piped")],
            stdin=stream,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
    assert [window["score"] for window in lines(piped.stdout, "window")] == expected


def test_a_run_is_packed_with_its_own_scores(factory: Path, tmp_path: Path) -> None:
    """The factory's mono clips, with a far channel of each."""
    for path in sorted(factory.rglob("*.wav")):
        near, rate = soundfile.read(path, dtype="float32")
        noise = 0.05 * np.random.default_rng(len(near)).standard_normal(len(near))
        target = tmp_path / "data" / path.relative_to(factory)
        target.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(target, np.stack([near + noise, noise], axis=1), rate, subtype="PCM_16")
    recipe = parse_recipe(TOP.replace("8000", "16000") + MEMBER, "a test")
    run(recipe, data=tmp_path / "data", out=tmp_path / "run")
    kind = sorted(path.name for path in (tmp_path / "run" / "weights").iterdir())[0]
    packed = pack(tmp_path / "run", machine_type=kind, window_seconds=2.0).detector
    packed.save(tmp_path / "packed.auscult")
    detector = Detector.load(tmp_path / "packed.auscult")
    assert detector.channel == (0, 1)
    part = detector.parts[0]
    table = read_scores_of(tmp_path / "run", part.name, part="development", machine_type=kind)
    for row in table.rows[:4]:
        clip = next((tmp_path / "data").rglob(f"{kind}/*/{row.file}"))
        scored = detector.score(clip, machine_id=row.machine_id)
        assert scored.score == pytest.approx(part.standardise(row.score), rel=1e-12)


def test_the_page_of_learning_plays_the_near_channel_and_says_what_the_far_one_hears(learned: Learned) -> None:
    page = render(learned)
    assert "data:audio/flac" in page
    said = [line for line in learned.warnings if "The far microphone predicts" in line]
    assert len(said) == 1 and "the far one hears the noise of the place" in said[0]
    assert said[0] in page


@pytest.mark.slow
def test_the_export_subtracts_before_its_graphs(
    command: Callable[..., Any], file: Path, day: Path, tmp_path: Path
) -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    assert command("export", file, "--onnx", tmp_path / "onnx").code == 0
    mono = write(tmp_path / "mono.wav", hall(5, 3)[:, 0])
    line = [sys.executable, str(tmp_path / "onnx" / "run.py"), str(day), str(mono)]
    done = subprocess.run(line, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 3
    assert "it has 1 channels, the detector hears 0 and 1, from 0" in done.stderr
    found, expected = json.loads(done.stdout), Detector.load(file).score(day)
    assert found["score"] == pytest.approx(expected.score, rel=1e-4, abs=1e-4)
    assert found["decision"] == expected.decision
