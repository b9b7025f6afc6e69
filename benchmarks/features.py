"""Log-mel against librosa, clip by clip; and the memory that building a bank takes."""

import multiprocessing
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.timing import side_by_side

RATE = 16000


def figures() -> dict[str, float]:
    return {"log_mel_vs_librosa": log_mel_vs_librosa(), "bank_overhead_mb": bank_overhead_mb()}


def clips(count: int, seconds: float = 10.0) -> list[Any]:
    """Noise with a hum: waveforms `[T]`."""
    rng = np.random.default_rng(0)
    hum = 0.1 * np.sin(2 * np.pi * 100 * np.arange(int(seconds * RATE)) / RATE)
    return [(0.05 * rng.standard_normal(len(hum)) + hum).astype(np.float32) for _ in range(count)]


def log_mel_vs_librosa() -> float:
    """10 s clips, 1024 / 512 / 128 mels, one thread, one clip at a time on both sides."""
    from auscult.features import LogMel

    waveforms, features = clips(30), LogMel(RATE, n_fft=1024, hop_length=512, n_mels=128)
    return side_by_side(
        lambda: [librosa_log_mel(waveform) for waveform in waveforms],
        lambda: [features(waveform) for waveform in waveforms],
    )


def librosa_log_mel(waveform: Any) -> Any:
    """The same features `[N, F]` by librosa, as a script would have them."""
    import librosa

    mel = librosa.feature.melspectrogram(
        y=waveform, sr=RATE, n_fft=1024, hop_length=512, n_mels=128, pad_mode="constant"
    )
    return 10 * np.log10(mel + np.finfo(np.float64).eps).T


def bank_overhead_mb() -> float:
    """Peak memory while a bank of 1,000 clips of 10 s is built, over that before it.

    The bank itself, 160 MB, is written as it grows and is no part of the memory: nothing is taken off.
    """
    import soundfile

    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{index}.wav" for index in range(10)]
        for path, waveform in zip(paths, clips(10), strict=True):
            soundfile.write(path, waveform, RATE)
        context = multiprocessing.get_context("spawn")
        receiver, sender = context.Pipe(duplex=False)
        process = context.Process(target=_build, args=(paths, sender))
        process.start()
        megabytes = receiver.recv()
        process.join()
    return float(megabytes)


def _build(paths: list[Path], sender: Any) -> None:
    from auscult.clips import Clip
    from auscult.features import LogMel
    from auscult.features.bank import build_bank
    from auscult.features.front_end import FrontEnd

    some = [Clip(paths[i % 10], "fan", "id_00", "train", "normal", "development", f"{i}") for i in range(1000)]
    front_end = FrontEnd(LogMel(RATE))
    front_end(paths[0])  # imports and caches are no part of it
    before = peak_memory_mb()
    build_bank(some, front_end, paths[0].parent)
    sender.send(peak_memory_mb() - before)


def peak_memory_mb() -> float:
    """Peak of this process's resident memory, from Linux; `getrusage` would count the parent's as well."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024
