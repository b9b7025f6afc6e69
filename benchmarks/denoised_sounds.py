"""What an ear would notice in denoised recordings: holes, dropouts, musical noise, clipping, seams; and their picture.

Run `python -m benchmarks.denoised_sounds --denoiser FOLDER SOUNDS... [--plot FILE.png]` on files or folders;
`python -m benchmarks.denoised` calls it for real sliders and keeps the figures. It trains nothing.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.signal import stft

LEVELS = (1, 5, 10)
N_FFT, HOP = 1024, 256
HOLE_DB = 30.0
"""Attenuation from which a bin of the spectrogram counts as a hole."""
DROPOUT_DB = 20.0
"""How much more than the clip's median frame a frame must be attenuated to count as a dropout."""
CHUNK_SECONDS = 2.0
"""Of the chunked result whose seams are measured: five in a clip of ten seconds, where the product makes one."""

BANDS = {"low": (0, 1000), "middle": (1000, 4000), "high": (4000, 8000)}
"""In Hz."""

FIGURES = {
    "attenuation_db": "energy taken away, dB",
    **{f"{name}_db": f"energy taken away from {low} to {high} Hz, dB" for name, (low, high) in BANDS.items()},
    "holes_percent": f"bins attenuated by more than {HOLE_DB:g} dB, %",
    "dropouts_percent": f"frames attenuated by {DROPOUT_DB:g} dB more than the median frame, %",
    "envelope_correlation": "correlation of the frames' energies in dB, before and after",
    "kurtosis_ratio": "kurtosis ratio of the power in each frequency over time (1: no musical noise)",
    "peak": "largest absolute sample (full scale is 1)",
    "clipped": "samples beyond full scale",
    "seam_db": "chunked against whole, dB of the whole's energy",
}
"""Name of a figure -> what it is. All are means over clips, but `peak` and `seam_db`, the largest, and `clipped`."""

Wave = NDArray[np.float32]
Power = NDArray[np.float64]


def spectrogram(sound: Wave) -> Power:
    """Power `[F, N]`, on a scale of its own."""
    _, _, spectrum = stft(sound.astype(np.float64), nperseg=N_FFT, noverlap=N_FFT - HOP, padded=False)
    power: Power = np.abs(spectrum) ** 2
    return power


def compare(noisy: Wave, denoised: Wave, *, sample_rate: int) -> dict[str, float]:
    """The figures of one clip and its denoised version, both `[T]`, but for the seams."""
    before, after = spectrogram(noisy), spectrogram(denoised)
    floor = 1e-12 * before.max()
    taken = decibels(before + floor) - decibels(after + floor)  # [F, N]
    heard = decibels(before + floor) > decibels(before.max()) - 80  # of what was silent nothing can be taken
    frames = [decibels(power.sum(0) + floor) for power in (before, after)]  # [N] each
    lost = frames[0] - frames[1]
    hertz = np.arange(len(before)) * sample_rate / N_FFT
    bands = {name: (low <= hertz) & (hertz < high) for name, (low, high) in BANDS.items()}
    return {
        "attenuation_db": decibels_lost(before, after, floor),
        **{f"{name}_db": decibels_lost(before[band], after[band], floor) for name, band in bands.items()},
        "holes_percent": 100 * float(np.mean(taken[heard] > HOLE_DB)),
        "dropouts_percent": 100 * float(np.mean(lost > np.median(lost) + DROPOUT_DB)),
        "envelope_correlation": float(np.corrcoef(*frames)[0, 1]),
        "kurtosis_ratio": float(kurtosis(after + floor) / kurtosis(before + floor)),
        "peak": float(np.abs(denoised).max()),
        "clipped": int(np.sum(np.abs(denoised) > 1)),
    }


def kurtosis(power: Power) -> float:
    """Kurtosis of the power over time, the median over frequencies: what is left as isolated bleeps raises it.

    References:
        Uemura et al., Automatic Optimization Scheme of Spectral Subtraction based on Musical Noise Assessment via
        Higher-Order Statistics, IWAENC 2008.
    """
    centred = power - power.mean(1, keepdims=True)
    return float(np.median(np.mean(centred**4, axis=1) / np.mean(centred**2, axis=1) ** 2))


def decibels_lost(before: Power, after: Power, floor: float) -> float:
    return float(decibels(before.sum() + floor) - decibels(after.sum() + floor))


def decibels(power: Any) -> Any:
    return 10 * np.log10(power)


def listen(denoiser: Path, paths: Sequence[Path], levels: Sequence[int] = LEVELS) -> list[dict[str, float]]:
    """The figures of some recordings at some levels of a denoiser: one row for each level."""
    import torch

    from auscult.denoising.streaming import Denoiser
    from auscult.sound.audio import read_waveform

    torch.set_num_threads(1)
    rows = []
    for level in levels:
        whole = Denoiser.load(denoiser, level)
        chunked = Denoiser(whole.unet, sample_rate=whole.sample_rate, chunk_seconds=CHUNK_SECONDS)
        found = []
        for path in paths:
            noisy = read_waveform(path, sample_rate=whole.sample_rate)
            denoised = whole(noisy)
            error = np.sum(np.square(chunked(noisy) - denoised, dtype=np.float64))
            energy = np.sum(np.square(denoised, dtype=np.float64))
            found.append(
                {
                    **compare(noisy, denoised, sample_rate=whole.sample_rate),
                    "seam_db": float(decibels((error + 1e-30) / (energy + 1e-30))),
                }
            )
        rows.append({"level": level, "clips": len(found), **{name: _over_clips(name, found) for name in FIGURES}})
    return rows


def _over_clips(name: str, found: list[dict[str, float]]) -> float:
    values = [one[name] for one in found]
    return float(max(values) if name in ("peak", "seam_db") else sum(values) if name == "clipped" else np.mean(values))


def table(rows: Sequence[dict[str, float]]) -> str:
    """The figures by level."""
    lines = [f"{'level':<86}" + "".join(f"{row['level']:>10}" for row in rows)]
    lines += [f"{text:<86}" + "".join(f"{row[name]:>10.3g}" for row in rows) for name, text in FIGURES.items()]
    return "\n".join(lines)


def plot(target: Path, denoiser: Path, path: Path, levels: Sequence[int] = LEVELS) -> None:
    """Spectrograms on one scale: a recording and the denoiser's held-out mixture, noisy, clean and at the levels."""
    import matplotlib.pyplot as plt

    from auscult.denoising.levels import read_example
    from auscult.denoising.streaming import Denoiser
    from auscult.sound.audio import read_waveform

    strengths = {level: Denoiser.load(denoiser, level) for level in levels}
    rate = next(iter(strengths.values())).sample_rate
    recording, (mixture, clean) = read_waveform(path, sample_rate=rate), read_example(denoiser)
    rows = [
        {"recording": recording, **{f"level {level}": some(recording) for level, some in strengths.items()}},
        {"mixture": mixture, "clean": clean, **{f"level {level}": some(mixture) for level, some in strengths.items()}},
    ]
    figure, axes = plt.subplots(2, len(levels) + 2, figsize=(4 * (len(levels) + 2), 7), squeeze=False)
    for row, sounds in zip(axes, rows, strict=True):
        top = decibels(spectrogram(next(iter(sounds.values()))).max())
        for axis, (title, sound) in zip(row, sounds.items(), strict=False):
            picture = decibels(spectrogram(sound) + 1e-12)
            extent = (0, len(sound) / rate, 0, rate / 2000)
            axis.imshow(picture, origin="lower", aspect="auto", vmin=top - 80, vmax=top, extent=extent)
            axis.set(title=title, xlabel="s", ylabel="kHz")
        for axis in row[len(sounds) :]:
            axis.axis("off")
    figure.tight_layout()
    figure.savefig(target, dpi=80)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.denoised_sounds", description=__doc__)
    parser.add_argument("--denoiser", type=Path, required=True, help="folder of a trained denoiser")
    parser.add_argument("--plot", type=Path, help="picture of the first sound and of a held-out mixture")
    parser.add_argument("sounds", type=Path, nargs="+", help="recordings, or folders of them")
    options = parser.parse_args()
    paths = [path for given in options.sounds for path in (sorted(given.glob("*.*")) if given.is_dir() else [given])]
    if not paths:
        print(f"no recording is there: {', '.join(map(str, options.sounds))}", file=sys.stderr)
        return 2
    print(f"{len(paths)} recordings, {options.denoiser}")
    print(table(listen(options.denoiser, paths)))
    if options.plot:
        plot(options.plot, options.denoiser, paths[0])
    return 0


if __name__ == "__main__":
    sys.exit(main())
