"""What can be read is read right; what cannot gets an error that names the file."""

import os
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile

from auscult.errors import AudioError
from auscult.sound.audio import probe, read_waveform, resample

RATE = 16000


def tone(seconds: float = 0.5, rate: int = RATE, frequency: float = 440.0) -> np.ndarray:
    return 0.5 * np.sin(2 * np.pi * frequency * np.arange(int(seconds * rate)) / rate)


@pytest.mark.parametrize(
    ("name", "subtype", "tolerance"),
    [
        ("a.wav", "PCM_U8", 2**-7),
        ("a.wav", "PCM_16", 2**-15),
        ("a.wav", "PCM_24", 2**-23),
        ("a.wav", "PCM_32", 2**-23),
        ("a.wav", "FLOAT", 1e-7),
        ("a.wav", "DOUBLE", 1e-7),
        ("a.flac", "PCM_16", 2**-15),
        ("a.flac", "PCM_24", 2**-23),
        ("a.ogg", "VORBIS", 0.05),
    ],
)
def test_every_format_gives_the_same_waveform(tmp_path: Path, name: str, subtype: str, tolerance: float) -> None:
    samples = tone()
    soundfile.write(tmp_path / name, samples, RATE, subtype=subtype)
    waveform = read_waveform(tmp_path / name, sample_rate=RATE)
    assert waveform.dtype == np.float32
    assert waveform.shape == samples.shape
    assert np.abs(waveform - samples).max() <= tolerance


def test_channels_are_chosen_and_never_mixed(tmp_path: Path) -> None:
    left, right = tone(frequency=300), tone(frequency=700)
    soundfile.write(tmp_path / "stereo.wav", np.stack([left, right], axis=1), RATE, subtype="FLOAT")
    for channel, expected in enumerate((left, right)):
        assert read_waveform(tmp_path / "stereo.wav", sample_rate=RATE, channel=channel) == pytest.approx(expected)
    with pytest.raises(AudioError, match=r"stereo\.wav: channel 2 .* has 2"):
        read_waveform(tmp_path / "stereo.wav", sample_rate=RATE, channel=2)


def test_another_rate_is_resampled_and_keeps_what_both_rates_can_hold(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", tone(1.0, 44100), 44100, subtype="FLOAT")
    waveform = read_waveform(tmp_path / "a.wav", sample_rate=RATE)
    inner = slice(1000, -1000)
    assert len(waveform) == RATE
    assert waveform[inner] == pytest.approx(tone(1.0)[inner], abs=1e-4)


def test_resampling_removes_what_the_new_rate_cannot_hold() -> None:
    high = tone(1.0, 44100, frequency=12000).astype(np.float32)
    assert np.abs(resample(high, 44100, RATE)[1000:-1000]).max() < 1e-4


def test_an_eight_channel_recording_of_a_real_fan_is_read(shared_data: Path) -> None:
    path = next((shared_data / "mimii_8ch").rglob("*.wav"))
    assert probe(path).channels == 8
    first, last = (read_waveform(path, sample_rate=RATE, channel=channel) for channel in (0, 7))
    assert first.shape == last.shape == (160000,)
    assert not np.array_equal(first, last)


def test_a_header_tells_rate_channels_and_duration(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros((8000, 2)), RATE)
    info = probe(tmp_path / "a.wav")
    assert (info.sample_rate, info.channels, info.duration, info.subtype) == (RATE, 2, 0.5, "PCM_16")


def write_wav(path: Path, samples: bytes, *, said: int, riff: int | None = None, rate: int = RATE) -> None:
    """A 16-bit wav whose header says `said` bytes of samples."""
    whole = 36 + said & 0xFFFFFFFF if riff is None else riff
    header = struct.pack("<4sI4s4sIHHIIHH4sI", b"RIFF", whole, b"WAVE", b"fmt ", 16, 1, 1, rate,
                         2 * RATE, 2, 16, b"data", said)  # fmt: skip
    path.write_bytes(header + samples)


def test_a_truncated_wav_is_an_error_and_not_a_shorter_clip(tmp_path: Path) -> None:
    write_wav(tmp_path / "short.wav", bytes(20000), said=32000)
    for read in (probe, lambda path: read_waveform(path, sample_rate=RATE)):
        with pytest.raises(AudioError, match=r"short\.wav is truncated: 12000 bytes are missing"):
            read(tmp_path / "short.wav")


@pytest.mark.parametrize("riff", [0, 36, 0xFFFFFFFF])
@pytest.mark.parametrize("said", [0, 0x7FFFF000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFDB, 0xFFFFFFFF])
def test_a_wav_whose_recorder_did_not_say_its_length_is_read_to_its_end_with_a_note(
    tmp_path: Path, said: int, riff: int
) -> None:
    samples = np.arange(-8000, 8000, dtype="<i2")
    write_wav(tmp_path / "stream.wav", samples.tobytes() + b"\x01", said=said, riff=riff)
    assert read_waveform(tmp_path / "stream.wav", sample_rate=RATE) * 2**15 == pytest.approx(samples, abs=0)
    info = probe(tmp_path / "stream.wav")
    assert info.n_samples == 16000
    assert "the header does not say how long it is" in info.note


def test_a_wav_without_samples_holds_none_whatever_chunk_follows(tmp_path: Path) -> None:
    write_wav(tmp_path / "none.wav", b"LIST" + struct.pack("<I", 26) + bytes(26), said=0, riff=36 + 34)
    with pytest.raises(AudioError, match="holds no samples"):
        probe(tmp_path / "none.wav")


@pytest.mark.parametrize("rate", [1, 249, 768001, 2**31 - 1])
def test_a_rate_that_no_recorder_has_is_refused_before_anything_is_made(tmp_path: Path, rate: int) -> None:
    write_wav(tmp_path / "a.wav", bytes(32000), said=32000, rate=rate)
    for read in (probe, lambda path: read_waveform(path, sample_rate=RATE)):
        with pytest.raises(AudioError, match=rf"a\.wav says .* rate is {rate} Hz; rates from 250 to 768000"):
            read(tmp_path / "a.wav")


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_an_ogg_that_is_cut_short_is_an_error_wherever_it_is_cut(tmp_path: Path, subtype: str) -> None:
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 2 * RATE)
    soundfile.write(tmp_path / "whole.ogg", noise, RATE, subtype=subtype)
    whole = (tmp_path / "whole.ogg").read_bytes()
    pages = [place for place in range(1, len(whole)) if whole.startswith(b"OggS", place)]
    for place in (*range(1, len(whole), len(whole) // 40), *pages, len(whole) - 1):
        (tmp_path / "cut.ogg").write_bytes(whole[:place])
        with pytest.raises(AudioError, match=r"cut\.ogg"):
            read_waveform(tmp_path / "cut.ogg", sample_rate=RATE)
    assert len(read_waveform(tmp_path / "whole.ogg", sample_rate=RATE)) == 2 * RATE


@pytest.mark.parametrize(
    ("total", "words"), [(0, ""), (2**36 - 1, "cut it into shorter recordings"), (10**6, "is damaged")]
)
def test_a_flac_is_as_long_as_it_is_and_not_as_it_says(tmp_path: Path, total: int, words: str) -> None:
    path = tmp_path / "a.flac"
    soundfile.write(path, tone(), RATE)
    content = bytearray(path.read_bytes())
    expected = read_waveform(path, sample_rate=RATE)
    content[21:26] = (int.from_bytes(content[21:26], "big") >> 36 << 36 | total).to_bytes(5, "big")
    path.write_bytes(content)
    if words:
        with pytest.raises(AudioError, match=words):
            read_waveform(path, sample_rate=RATE)
    else:  # as encoders write that cannot seek
        assert np.array_equal(read_waveform(path, sample_rate=RATE), expected)
        assert "does not say how long" in probe(path).note


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_without_a_writer_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.wav")
    with pytest.raises(AudioError, match=r"pipe\.wav is no regular file .* monitor --source -"):
        probe(tmp_path / "pipe.wav")


def test_a_truncated_flac_is_an_error(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, RATE)
    soundfile.write(tmp_path / "a.flac", noise, RATE)
    whole = (tmp_path / "a.flac").read_bytes()
    (tmp_path / "a.flac").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(AudioError, match=r"a\.flac"):
        read_waveform(tmp_path / "a.flac", sample_rate=RATE)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_samples_that_are_no_numbers_are_an_error_with_their_place(tmp_path: Path, value: float) -> None:
    samples = tone()
    samples[4000] = value
    soundfile.write(tmp_path / "a.wav", samples, RATE, subtype="FLOAT")
    with pytest.raises(AudioError, match=r"a\.wav: sample 4000 \(at 0\.250 s\)"):
        read_waveform(tmp_path / "a.wav", sample_rate=RATE)


def test_what_is_no_audio_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "empty.wav").touch()
    (tmp_path / "text.wav").write_text("not a sound at all, but a text that somebody named .wav")
    (tmp_path / "folder.wav").mkdir()
    soundfile.write(tmp_path / "none.wav", np.zeros(0), RATE)
    expected = {"empty": "is empty", "text": "no audio file", "folder": "is a folder", "none": "holds no samples",
                "missing": "does not exist"}  # fmt: skip
    for name, message in expected.items():
        with pytest.raises(AudioError, match=rf"{name}\.wav.*{message}"):
            read_waveform(tmp_path / f"{name}.wav", sample_rate=RATE)
