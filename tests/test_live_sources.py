"""Sources: raw samples, watched folders, files, a microphone; cut, stalled, half-written, gone, at another rate."""

import io
import itertools
import os
import struct
import sys
import threading
import time
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from auscult.errors import AudioError, AuscultError, MonitorError
from auscult.live import folder as folder_module
from auscult.live.folder import FolderSource
from auscult.live.history import History
from auscult.live.pcm import PcmDecoder, PcmSource, WavDecoder
from auscult.live.sound import End, FileKey, FileSource, Item, Samples, Solved, SourceProblem, Start, Waiting
from auscult.live.sources import SourceOptions, open_source
from live_fakes import faulty, noise, write

Pipe = tuple[int, io.FileIO]


def sound_of(items: list[Item]) -> np.ndarray[Any, Any]:
    return np.concatenate([np.zeros(0, np.float32), *(item.samples for item in items if isinstance(item, Samples))])


@given(
    cuts=st.lists(st.integers(0, 200), max_size=20),
    channels=st.integers(1, 3),
    sample_format=st.sampled_from(["s16le", "s32le", "f32le"]),
)
def test_raw_samples_do_not_depend_on_where_the_bytes_are_cut(
    cuts: list[int], channels: int, sample_format: Any
) -> None:
    frames = np.random.default_rng(0).uniform(-1, 1, (50, channels)).astype(np.float32)
    scale = {"s16le": 2**15, "s32le": 2**31}.get(sample_format)
    data = (frames * scale).astype(f"<i{int(sample_format[1:3]) // 8}").tobytes() if scale else frames.tobytes()
    decoder = PcmDecoder(sample_format, channels=channels, channel=channels - 1)
    edges = sorted({0, len(data), *(min(cut, len(data)) for cut in cuts)})
    found = np.concatenate([decoder(data[a:b]) for a, b in itertools.pairwise(edges)])
    assert np.allclose(found, frames[:, -1], atol=1e-4)
    assert decoder.rest == 0


def wav_stream(form: bytes, samples: bytes, *, said: int = 0xFFFFFFFF) -> bytes:
    listed = b"LIST" + struct.pack("<I", 5) + bytes(6)
    return b"RIFF\0\0\0\0WAVE" + listed + b"fmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack(
        "<I", said
    ) + samples  # fmt: skip


@pytest.mark.parametrize("kind", ["plain", "float", "extensible"])
@pytest.mark.parametrize("said", [0, 0x7FFFF000, 0xFFFFFFFF, None])
@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_a_wav_stream_says_what_it_is_wherever_its_bytes_are_cut(kind: str, said: int | None, size: int) -> None:
    frames = np.random.default_rng(0).integers(-999, 999, (100, 2)).astype("<f4" if kind == "float" else "<i2")
    code, width = {"plain": 1, "float": 3, "extensible": 0xFFFE}[kind], frames.itemsize
    form = struct.pack("<HHIIHH", code, 2, 4000, 8000 * width, 2 * width, 8 * width)
    form += struct.pack("<HHIH", 22, 16, 3, 1) + bytes(14) if kind == "extensible" else b""
    samples = frames.tobytes()
    tail = b"LIST\2\0\0\0ab" if said is None else b""
    data = wav_stream(form, samples, said=len(samples) if said is None else said) + tail
    decoder = WavDecoder(channel=1)
    found = np.concatenate([decoder(data[start : start + size]) for start in range(0, len(data), size)])
    assert decoder.source_rate == 4000
    assert np.array_equal(found, frames[:, 1] * np.float32(1.0 if kind == "float" else 2**-15))


def heard(pipe: Pipe, data: bytes) -> list[Item]:
    pipe[1].write(data)
    pipe[1].close()
    return list(opened("-", sample_format="wav", descriptor=pipe[0]))


def test_a_wav_stream_is_heard_at_the_rate_that_it_says(pipe: Pipe) -> None:
    items = heard(pipe, wav_stream(struct.pack("<HHIIHH", 1, 1, 4000, 8000, 2, 16), bytes(2000)))
    assert [item for item in items if isinstance(item, Start)] == [Start(4000)]
    assert len(sound_of(items)) == 1000
    assert isinstance(items[-1], SourceProblem) and "has ended" in items[-1].message


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"OggS", "is no wav stream, it begins with b'OggS'; let the recorder write wav"),
        (b"", "has ended before it said what its sound is"),
        (wav_stream(struct.pack("<HHIIHH", 1, 1, 8000, 24000, 3, 24), b""), "24 bits in format 1 .* -c:a pcm_s16le"),
        (wav_stream(struct.pack("<HHIIHH", 1, 1, 800, 1600, 2, 16), b""), "standard input has 800 Hz"),
        (wav_stream(struct.pack("<HHIIHH", 1, 0, 8000, 1600, 2, 16), b""), "--channels 0 does not exist"),
    ],
)
def test_what_is_no_wav_stream_is_named(pipe: Pipe, data: bytes, message: str) -> None:
    with pytest.raises(MonitorError, match=message):
        heard(pipe, data)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sample_format": "s24le", "channels": 1, "channel": 0}, "choose one of s16le, s32le, f32le"),
        ({"sample_format": "s16le", "channels": 2, "channel": 2}, "count from 0"),
        ({"sample_format": "s16le", "channels": 0, "channel": 0}, "count from 0"),
    ],
)
def test_impossible_formats_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(MonitorError, match=message):
        PcmDecoder(arguments.pop("sample_format"), **arguments)


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    """Where to read, and a file to write to; a number that was closed already may be another file's by now."""
    read, write_end = os.pipe()
    with os.fdopen(write_end, "wb", buffering=0) as file:
        yield read, file
    os.close(read)


def piped(read: int, *, stall_seconds: float = 0.3) -> PcmSource:
    decoder = PcmDecoder("f32le", channels=1, channel=0)
    return PcmSource(
        read, decoder, source_rate=1000, sample_rate=1000, stop=threading.Event(), stall_seconds=stall_seconds
    )


def test_a_pipe_gives_all_its_samples_and_says_that_it_has_ended(pipe: Pipe) -> None:
    sound = noise(300.0)

    def feed() -> None:
        data = sound.tobytes() + b"xyz"
        for start in range(0, len(data), 65_537):
            pipe[1].write(data[start : start + 65_537])
        pipe[1].close()

    threading.Thread(target=feed, daemon=True).start()
    items = list(piped(pipe[0], stall_seconds=10))
    assert np.array_equal(sound_of(items), sound)
    assert isinstance(items[0], Start) and isinstance(items[-2], End) and isinstance(items[-1], SourceProblem)
    assert "standard input has ended" in items[-1].message
    assert "incomplete sample was left over, 3 bytes long" in items[-1].message


@pytest.mark.filterwarnings("error")
def test_numbers_that_are_none_are_decoded_without_a_word() -> None:
    found = PcmDecoder("f32le", channels=1, channel=0)(b"\x01\x00\x80\x7f\x00\x00\x80\x3f")  # a signalling NaN, 1
    assert np.isnan(found[0]) and found[1] == 1.0


def test_a_pipe_that_stalls_is_a_new_recording_afterwards(pipe: Pipe) -> None:
    pipe[1].write(noise(1.0).tobytes())
    items, source = [], piped(pipe[0])
    for item in source:
        items.append(item)
        if isinstance(item, Waiting) and item.seconds >= 0.3 and len(sound_of(items)) == 1000:
            pipe[1].write(noise(1.0).tobytes())
        if len(sound_of(items)) == 2000:
            source.stop.set()
    starts = [item for item in items if isinstance(item, Start)]
    assert len(starts) == 2
    assert 0.3 <= starts[1].lost_seconds < 5


def test_a_pipe_at_a_lower_rate_is_refused(pipe: Pipe) -> None:
    decoder = PcmDecoder("f32le", channels=1, channel=0)
    with pytest.raises(MonitorError, match="standard input has 800 Hz"):
        PcmSource(pipe[0], decoder, source_rate=800, sample_rate=1000, stop=threading.Event(), stall_seconds=1)


def test_a_file_is_heard_at_its_own_rate(tmp_path: Path) -> None:
    sound = noise(2.0, rate=2000)
    path = write(tmp_path / "a.wav", sound, rate=2000)
    items = list(FileSource(path, sample_rate=1000, channel=0, stop=threading.Event()))
    assert isinstance(items[0], Start) and items[0].sample_rate == 2000
    assert np.array_equal(sound_of(items), sound)
    with pytest.raises(AudioError, match="channel 1"):
        list(FileSource(path, sample_rate=1000, channel=1, stop=threading.Event()))
    with pytest.raises(MonitorError, match="has 2000 Hz"):
        FileSource(path, sample_rate=4000, channel=0, stop=threading.Event())


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks at folders often."""
    monkeypatch.setattr(folder_module, "SCAN_SECONDS", 0.02)
    monkeypatch.setattr(folder_module, "POLL_SECONDS", 0.01)


def watched(folder: Path, *, heard: dict[str, FileKey] | None = None, **options: Any) -> FolderSource:
    given = {"stable_seconds": 0.05, "give_up_seconds": 0.2, "stall_seconds": 10.0, **options}
    return FolderSource(folder, sample_rate=1000, channel=0, heard=(heard or {}).get, stop=threading.Event(), **given)


def names(items: list[Item]) -> list[str]:
    return [item.key.name for item in items if isinstance(item, End) and item.key is not None]


def aged(path: Path, seconds: int) -> Path:
    os.utime(path, (1_700_000_000 + seconds,) * 2)
    return path


def test_a_folder_is_heard_once_in_the_order_of_change(tmp_path: Path, quick: None) -> None:
    for name, age in (("b.wav", 1), ("a.wav", 2), ("day/c.wav", 0), ("d.flac", 3)):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        soundfile.write(path, noise(1.0), 1000)
        aged(path, age)
    for name in (".hidden.wav", ".cache/e.wav", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"no sound")
    items = list(watched(tmp_path, until_idle=True))
    assert names(items) == ["day/c.wav", "b.wav", "a.wav", "d.flac"]
    assert not [item for item in items if isinstance(item, SourceProblem)]
    (tmp_path / "day" / "e.mp3").write_bytes(b"ID3")
    (problem,) = [item for item in watched(tmp_path, until_idle=True) if isinstance(item, SourceProblem)]
    assert "e.mp3: .wav, .flac and .ogg files are read" in problem.message
    keys = {item.key.name: item.key for item in items if isinstance(item, End) and item.key is not None}
    assert names(list(watched(tmp_path, heard=keys, until_idle=True))) == []
    write(tmp_path / "b.wav", noise(2.0))
    assert names(list(watched(tmp_path, heard=keys, until_idle=True))) == ["b.wav"]


def test_a_file_is_not_heard_before_it_is_complete_and_keeps_its_place(tmp_path: Path, quick: None) -> None:
    """A recorder that writes a header first and is slow, and a younger file that is complete at once."""
    whole = write(tmp_path / "whole.wav", noise(2.0)).read_bytes()
    (tmp_path / "whole.wav").unlink()
    slow = tmp_path / "slow.wav"
    slow.write_bytes(whole[:3000])
    aged(slow, 0)
    aged(write(tmp_path / "young.wav", noise(1.0)), 50)
    source, items, began = watched(tmp_path, give_up_seconds=30.0), [], time.monotonic()
    grown = False
    for item in source:
        items.append(item)
        if not grown and time.monotonic() - began > 0.3:
            assert names(items) == []
            slow.write_bytes(whole)
            aged(slow, 1)
            grown = True
        if len(names(items)) == 2:
            source.stop.set()
    assert names(items) == ["slow.wav", "young.wav"]
    assert len(sound_of(items)) == 3000


def test_a_file_that_grows_waits_until_it_rests(tmp_path: Path, quick: None) -> None:
    path = tmp_path / "growing.wav"
    source, items = watched(tmp_path, stable_seconds=0.3), []
    sizes = iter(range(1, 8))
    for item in source:
        items.append(item)
        size = next(sizes, None)
        if size is not None:
            assert names(items) == []
            write(path, noise(float(size)))
        if names(items):
            source.stop.set()
    assert len(sound_of(items)) == 7000


def test_a_damaged_file_is_reported_and_passed_over(tmp_path: Path, quick: None) -> None:
    whole = write(tmp_path / "whole.wav", noise(2.0)).read_bytes()
    aged(tmp_path / "whole.wav", 9)
    aged(write(tmp_path / "slow.wav", noise(2.0, rate=500), rate=500), 8)
    for age, (name, data) in enumerate({"cut.wav": whole[:3000], "empty.wav": b"", "text.wav": b"no sound"}.items()):
        (tmp_path / name).write_bytes(data)
        aged(tmp_path / name, age)
    items = list(watched(tmp_path, until_idle=True))
    assert names(items) == ["cut.wav", "empty.wav", "text.wav", "slow.wav", "whole.wav"]
    problems = [item.message for item in items if isinstance(item, SourceProblem)]
    assert ["truncated" in problems[0], "empty" in problems[1], "no audio" in problems[2], "500 Hz" in problems[3]] == [
        True
    ] * 4
    assert len(sound_of(items)) == 2000


def test_a_folder_that_vanishes_is_reported_and_looked_for(tmp_path: Path, quick: None) -> None:
    path = tmp_path / "mount"
    path.mkdir()
    key = FileKey("a.wav", 1, 1)
    source, seen = watched(path, heard={"a.wav": key}), []
    for item in source:
        if isinstance(item, Waiting):
            if not seen and path.is_dir():
                path.rmdir()
            elif seen and not path.is_dir():
                write(path / "a.wav", noise(1.0))
                os.utime(path / "a.wav", ns=(1, 1))
        else:
            seen.append(item)
        if isinstance(item, End):
            source.stop.set()
    assert isinstance(seen[0], SourceProblem) and seen[0].kind == "vanished"
    assert Solved("vanished") in seen


def test_a_mount_that_comes_back_is_not_heard_again(tmp_path: Path, quick: None) -> None:
    """Without its mount a folder is empty, not gone."""
    for name in ("a.wav", "b.wav"):
        write(tmp_path / "folder" / name, noise(1.0))
    history, source, items = History(None), watched(tmp_path / "folder"), []
    source._look_up, waits = history.heard_file, 0
    for item in source:
        items.append(item)
        if isinstance(item, End):
            history.record([], heard=item.key)
        if not isinstance(item, Waiting) or len(names(items)) < 2:
            continue
        waits += 1
        if waits == 2:
            (tmp_path / "folder").rename(tmp_path / "device")
            (tmp_path / "folder").mkdir()
        elif waits == 5:
            (tmp_path / "folder").rmdir()
            (tmp_path / "device").rename(tmp_path / "folder")
        elif waits == 15:
            source.stop.set()
    assert names(items) == ["a.wav", "b.wav"]


def test_names_that_no_text_can_hold_do_no_harm(tmp_path: Path, quick: None) -> None:
    path = os.fsencode(tmp_path) + b"/a\xff.wav"
    try:
        with open(path, "wb") as file:  # noqa: PTH123 - a Path cannot be made of these bytes
            file.write(write(tmp_path / "b.wav", noise(1.0)).read_bytes())
    except OSError:
        pytest.skip("this file system refuses such names")
    items = list(watched(tmp_path, until_idle=True))
    assert sorted(names(items)) == ["a\\udcff.wav", "b.wav"]
    (problem,) = [item for item in items if isinstance(item, SourceProblem)]
    assert "rename the file" in problem.message.encode().decode()


class FakeDevice(types.ModuleType):
    """As much of sounddevice as is used: a device that gives what it is told to, and that can be unplugged."""

    class PortAudioError(Exception):
        pass

    def __init__(self, *, rates: tuple[int, ...] = (1000,)) -> None:
        super().__init__("sounddevice")
        self.rates, self.there = rates, True
        self.opened: list[dict[str, Any]] = []
        self.looked = 0

    def check_input_settings(self, *, device: Any, channels: int, samplerate: int) -> None:
        if samplerate not in self.rates:
            raise self.PortAudioError("Invalid sample rate")

    def query_devices(self, device: Any, kind: str) -> dict[str, Any]:
        if not self.there:
            raise ValueError("No input device matching")
        return {"default_samplerate": float(self.rates[0])}

    def InputStream(self, **options: Any) -> Any:  # noqa: N802 - sounddevice's own name
        if not self.there:
            raise self.PortAudioError("Device unavailable")
        self.opened.append(options)
        return types.SimpleNamespace(start=lambda: None, close=lambda: None)

    def _terminate(self) -> None:
        self.looked += 1

    def _initialize(self) -> None:
        pass

    def give(self, samples: np.ndarray[Any, Any], *, overflow: bool = False) -> None:
        self.opened[-1]["callback"](samples, len(samples), None, types.SimpleNamespace(input_overflow=overflow))


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> FakeDevice:
    fake = FakeDevice()
    monkeypatch.setitem(sys.modules, "sounddevice", fake)
    return fake


def opened(text: str = "mic", *, descriptor: int = 0, **options: Any) -> Any:
    asked = SourceOptions(text, **options)
    stop = threading.Event()
    return open_source(asked, sample_rate=1000, heard=lambda name: None, stop=stop, descriptor=descriptor)


def test_a_microphone_gives_its_channel_and_says_what_it_lost(device: FakeDevice) -> None:
    source = opened("mic:USB", channel=1)
    assert device.opened[0]["device"] == "USB"
    assert (device.opened[0]["channels"], device.opened[0]["samplerate"]) == (2, 1000)
    sound = np.stack([noise(0.1, seed=1), noise(0.1)], axis=1)
    device.give(sound)
    items = iter(source)
    assert next(items) == Start(1000)
    assert np.array_equal(sound_of([next(items)]), sound[:, 1])
    device.give(sound, overflow=True)
    problem, start, block = next(items), next(items), next(items)
    assert isinstance(problem, SourceProblem) and problem.kind == "lost"
    assert isinstance(start, Start) and isinstance(block, Samples)
    for _ in range(400):
        device.give(sound)
    problem, start = next(items), next(items)
    assert isinstance(problem, SourceProblem) and "10.0 s of sound were lost" in problem.message
    assert start == Start(1000, lost_seconds=10.0)


def test_two_microphones_of_a_device_are_heard_together(device: FakeDevice) -> None:
    source = opened(channel=(2, 0))
    assert device.opened[0]["channels"] == 3
    sound = np.stack([noise(0.1, seed=seed) for seed in range(3)], axis=1)
    device.give(sound)
    items = iter(source)
    assert next(items) == Start(1000)
    block = next(items)
    assert isinstance(block, Samples) and np.array_equal(block.samples, sound[:, [2, 0]])


def test_a_microphone_that_is_unplugged_is_opened_again(device: FakeDevice, monkeypatch: pytest.MonkeyPatch) -> None:
    from auscult.live import microphone

    monkeypatch.setattr(microphone, "REOPEN_SECONDS", 0.3)
    source, seen = opened(stall=0.3), []
    device.give(noise(0.1)[:, None])
    for item in source:
        if not isinstance(item, Waiting):
            seen.append(item)
        device.there = device.looked != 1
        if device.looked >= 2 and len(seen) == 3:
            device.give(noise(0.1)[:, None])
        if len([item for item in seen if isinstance(item, Samples)]) == 2:
            source.stop.set()
    kinds = [type(item) for item in seen]
    assert kinds == [Start, Samples, SourceProblem, Solved, Start, Samples]
    assert len(device.opened) >= 2


def test_a_device_at_another_rate_is_resampled_or_refused(device: FakeDevice) -> None:
    device.rates = (4000,)
    assert opened().source_rate == 4000
    device.rates = (500,)
    with pytest.raises(MonitorError, match="has 500 Hz"):
        opened()


@pytest.mark.parametrize("there", [True, False])
def test_a_missing_device_or_library_says_what_to_do(
    device: FakeDevice, monkeypatch: pytest.MonkeyPatch, there: bool
) -> None:
    device.there = False
    if not there:
        monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(MonitorError, match="lists the devices" if there else "apt install libportaudio2"):
        opened()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"text": "-"}, "give --rate"),
        ({"text": "-", "rate": 0}, "--rate is 0; give the sample rate in Hz"),
        ({"text": "-", "rate": 8, "channels": 0}, "--channels is 0"),
        ({"text": "-", "rate": 8, "channel": -1}, "--channel is -1"),
        ({"text": "-", "rate": 8, "sample_format": "wav"}, "leave out --rate and --channels"),
        ({"text": "-", "rate": 8, "stall": 0.0}, "--stall is 0.0; give seconds above 0"),
        ({"text": "FILE", "rate": 1000}, "--rate is for --source - or mic"),
        ({"text": "FILE", "channels": 2}, "--channels is for --source -"),
        ({"text": "FILE", "once": True}, "--once is for --source a folder"),
        ({"text": "FILE", "stall": 3.0}, "--stall is for"),
        ({"text": "mic", "sample_format": "s16le"}, "--format is for --source -"),
        ({"text": "FOLDER", "channel": -1}, "count from 0"),
        ({"text": "nothing.wav"}, "does not exist"),
    ],
)
def test_options_that_do_not_fit_are_refused(
    tmp_path: Path, device: FakeDevice, options: dict[str, Any], message: str
) -> None:
    places = {"FILE": str(write(tmp_path / "a.wav", faulty(1))), "FOLDER": str(tmp_path)}
    with pytest.raises(AuscultError, match=message):
        opened(places.get(options["text"], options["text"]), **{k: v for k, v in options.items() if k != "text"})


def test_each_text_opens_its_source(tmp_path: Path, device: FakeDevice) -> None:
    path = write(tmp_path / "a.wav", noise(1.0))
    kinds: dict[str, Callable[[], Any]] = {
        "FileSource": lambda: opened(str(path)),
        "FolderSource": lambda: opened(str(tmp_path)),
        "Microphone": opened,
        "PcmSource": lambda: opened("-", rate=1000),
    }
    assert [type(make()).__name__ for make in kinds.values()] == list(kinds)
