"""Denoising in chunks equals denoising the whole, for arrays and for files, whatever the blocks."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from auscult.denoising.streaming import Denoiser
from auscult.denoising.unet import UNet
from auscult.errors import AudioError, ModelError, RunError
from auscult.sound.audio import blocks_of, read_waveform
from disks import little_room

RATE = 16000
Array = np.ndarray[tuple[int], np.dtype[np.float32]]


@pytest.fixture(scope="module")
def unet() -> UNet:
    """A network with running statistics of some sound, as after a training."""
    unet = UNet(channels=(2, 2, 3, 3, 3, 3, 3, 4))
    unet(torch.tensor(sound(40000))[None])
    return unet.eval()


def sound(n: int, seed: int = 0) -> Array:
    rng = np.random.default_rng(seed)
    rising = np.linspace(0.05, 0.5, n) * rng.standard_normal(n)
    return np.asarray(rising + 0.3 * np.sin(np.arange(n) * 0.05), dtype=np.float32)


def whole(unet: UNet, waveform: Array) -> Array:
    with torch.inference_mode():
        return np.asarray(unet(torch.tensor(waveform)[None])[0].numpy())


@pytest.mark.parametrize("n", [1, 4096, 70000, 200000, 16 * 12288 + 1])
def test_chunks_join_without_a_seam(unet: UNet, n: int) -> None:
    x = sound(n)
    chunked = Denoiser(unet, sample_rate=RATE, chunk_seconds=0.8)(x)
    assert chunked.shape == x.shape
    np.testing.assert_allclose(chunked, whole(unet, x), atol=2e-5)


@pytest.mark.parametrize("size", [1000, 4096, 33333])
def test_the_size_of_the_blocks_does_not_matter(unet: UNet, size: int) -> None:
    x, denoiser = sound(150000), Denoiser(unet, sample_rate=RATE, chunk_seconds=0.8)
    blocks = [x[start : start + size] for start in range(0, len(x), size)]
    rms = float(np.sqrt(np.mean(x**2)))
    np.testing.assert_allclose(np.concatenate(list(denoiser.stream(blocks, rms=rms))), whole(unet, x), atol=2e-5)


def test_memory_is_bounded_by_the_chunk(unet: UNet, monkeypatch: pytest.MonkeyPatch) -> None:
    denoiser = Denoiser(unet, sample_rate=RATE, chunk_seconds=0.8)
    lengths: list[int] = []
    plain = denoiser._denoise
    monkeypatch.setattr(denoiser, "_denoise", lambda part, rms: lengths.append(len(part)) or plain(part, rms))
    denoiser(sound(160000))
    assert max(lengths) <= denoiser.core + 2 * denoiser.overlap
    assert len(lengths) > 10


@pytest.mark.parametrize("rate", [RATE, 22050])
def test_a_file_is_denoised_as_its_waveform(unet: UNet, tmp_path: Path, record: Callable[..., Path], rate: int) -> None:
    source = record(tmp_path / "long.wav", seconds=9, sample_rate=rate, channels=2)
    denoiser = Denoiser(unet, sample_rate=RATE, chunk_seconds=0.8)
    denoiser.denoise_file(source, tmp_path / "out.flac", channel=1)
    written, written_rate = soundfile.read(tmp_path / "out.flac", dtype="float32")
    expected = denoiser(read_waveform(source, sample_rate=RATE, channel=1))
    assert written_rate == RATE
    np.testing.assert_allclose(written, expected, atol=1e-4)


def test_blocks_of_a_file_are_its_waveform(
    tmp_path: Path, record: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("auscult.sound.audio._BLOCK", 3000)
    path = record(tmp_path / "a.wav", seconds=2, sample_rate=22050)
    for rate, tolerance in ((22050, 0.0), (RATE, 1e-6)):
        joined = np.concatenate(list(blocks_of(path, sample_rate=rate)))
        np.testing.assert_allclose(joined, read_waveform(path, sample_rate=rate), atol=tolerance, rtol=0)


def test_a_damaged_source_leaves_no_target(unet: UNet, tmp_path: Path, record: Callable[..., Path]) -> None:
    source = record(tmp_path / "a.wav", seconds=1)
    source.write_bytes(source.read_bytes()[:-1000])
    with pytest.raises(AudioError, match="truncated"):
        Denoiser(unet, sample_rate=RATE).denoise_file(source, tmp_path / "out.wav")
    assert not (tmp_path / "out.wav").exists()


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg"])
def test_a_disk_without_room_is_named_and_keeps_what_was_there(
    unet: UNet, tmp_path: Path, record: Callable[..., Path], suffix: str
) -> None:
    source, target = record(tmp_path / "in.wav", seconds=3), tmp_path / f"out{suffix}"
    target.write_text("before")
    words = rf"out\{suffix} cannot be written: File too large; choose another folder"
    with little_room(5000), pytest.raises(RunError, match=words):
        Denoiser(unet, sample_rate=RATE).denoise_file(source, target)
    assert target.read_text() == "before"
    assert {path.name for path in tmp_path.iterdir()} == {"in.wav", target.name}


def test_silence_and_nothing_pass(unet: UNet) -> None:
    denoiser = Denoiser(unet, sample_rate=RATE)
    assert not denoiser(np.zeros(5000, dtype=np.float32)).any()
    assert denoiser(np.zeros(0, dtype=np.float32)).shape == (0,)


def test_two_channels_are_refused(unet: UNet) -> None:
    with pytest.raises(ModelError, match="give one channel"):
        Denoiser(unet, sample_rate=RATE)(np.zeros((2, 100), dtype=np.float32))
