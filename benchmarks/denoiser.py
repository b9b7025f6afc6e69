"""What a denoiser for sliders gains on held-out mixtures, on real sounds and on the synthetic factory.

Trains both, each on one thread in a process of its own; prints the gain of every level at every input SNR beside the
unprocessed mixture and silence; writes `benchmarks/results/denoiser.json`.

Run `python -m benchmarks.denoiser`; `--real-data` names the folder of real sounds. It exits with 1 where a target is
missed at level 10.
"""

import argparse
import multiprocessing
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from auscult.clips import MACHINE_TYPES
from auscult.datasets import load_clips
from auscult.datasets.factory.catalogue import DEVELOPMENT_IDS
from auscult.datasets.factory.clean_sounds import CLEAN_SOUNDS, clean_sound
from auscult.datasets.factory.hall import Hall
from auscult.denoising.learn import choose_clean, choose_noise, denoiser_training, read_clean
from auscult.denoising.levels import INDEX, load_level, train_denoiser
from auscult.denoising.mixtures import FIXED_SNR_DB, Mixer, WaveBank
from auscult.denoising.quality import gains
from auscult.denoising.sounds import Part, find_sounds, split_parts
from auscult.processes import single_thread
from auscult.sound.audio import read_waveform
from benchmarks.places import DATA, RESULTS, write

RATE = 16000
MACHINE_TYPE = "slider"
EPOCHS, STEPS = 28, 30
SECONDS = 4.0
VALIDATION, TEST = 32, 96
TARGETS = {"real": 0.5, "synthetic": 3.0}
"""Gain in SI-SDR of level 10, in dB."""

Waves = list[NDArray[np.float32]]
Parts = tuple[dict[Part, Waves], dict[Part, Waves]]


def real_sounds(data: Path) -> Parts:
    """Mechanical sounds of ESC-50, and normal clips of the five other types."""
    clean = read_clean(choose_clean(find_sounds(data / "mechanical")), sample_rate=RATE)
    clips = choose_noise(load_clips(data / "dcase2020_mini"), MACHINE_TYPE)
    parts = split_parts(clips, lambda clip: clip.path)
    return clean, {part: [read_waveform(clip.path, sample_rate=RATE) for clip in some] for part, some in parts.items()}


def synthetic_sounds(n_clean: int = 40, n_noise: int = 12) -> Parts:
    """The factory's clean sounds, each of another machine, and normal clips of the five other types' machines."""
    n_samples = round(SECONDS * RATE)
    clean = [
        clean_sound(name, np.random.default_rng([0, *f"{name}/{index}".encode()]), n_samples)
        for index in range(n_clean)
        for name in CLEAN_SOUNDS
    ]
    hall = Hall(seed=0, snr_db=6.0)
    noise = [
        hall.record(kind, machine_id, "train", "normal", index, n_samples=n_samples).mix
        for kind in MACHINE_TYPES
        if kind != MACHINE_TYPE
        for machine_id in DEVELOPMENT_IDS[kind][:3]
        for index in range(n_noise)
    ]
    sides = [split_parts(list(enumerate(waves)), lambda item: item[0]) for waves in (clean, noise)]
    first, second = ({part: [wave for _, wave in some] for part, some in side.items()} for side in sides)
    return first, second


def figures(case: str, data: Path, folder: Path, epochs: int) -> dict[str, NDArray[np.float64]]:
    """Train one case and measure: name of a row -> gains `[mixtures, 2]` of SNR and SI-SDR, in dB."""
    with single_thread():
        clean, noise = real_sounds(data) if case == "real" else synthetic_sounds()

        def mixer(part: Part, seconds: float) -> Mixer:
            return Mixer(WaveBank(clean[part]), WaveBank(noise[part]), length=round(seconds * RATE))

        test = mixer("test", SECONDS).fixed(TEST, seed=0, name="test")
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / INDEX).exists():
            train_denoiser(
                mixer("train", 1.0),
                validation=mixer("validation", SECONDS).fixed(VALIDATION, seed=0, name="validation"),
                test=(test[0][:4], test[1][:4]),  # all are measured below
                folder=folder,
                machine_type=MACHINE_TYPE,
                sample_rate=RATE,
                training=denoiser_training(epochs=epochs, precision="bf16"),
                steps=STEPS,
                on_epoch=lambda done, new: _say(
                    f"{case}: epoch {done} of {epochs}, validation {new.gain.snr_db:.2f} dB SNR, "
                    f"{new.gain.si_sdr_db:.2f} dB SI-SDR"
                ),
            )
        snr = np.resize(FIXED_SNR_DB, TEST)
        nothing = np.full(TEST, np.nan)
        rows = {"unprocessed": np.zeros((TEST, 2)), "silence": np.stack([-snr, nothing], axis=1)}
        for level in range(1, 11):
            some = gains(load_level(folder, level), test, bf16=True)
            rows[f"level {level}"] = np.array([[gain.snr_db, gain.si_sdr_db] for gain in some])
        return rows


def table(title: str, rows: dict[str, NDArray[np.float64]]) -> str:
    """Gains in dB, SI-SDR / SNR, by input SNR and over all, with the standard error of the mean SI-SDR."""
    snr = np.resize(FIXED_SNR_DB, TEST)
    heads = "".join(f"{f'{value:g} dB':>16}" for value in FIXED_SNR_DB)
    lines = [f"{title}: gain in SI-SDR / SNR (dB) by input SNR", f"{'':<12}{heads}{'all':>16}   standard error"]
    for name, values in rows.items():
        groups = [values[snr == value] for value in FIXED_SNR_DB] + [values]
        cells = "".join(f"{_cell(group[:, 1])} / {_cell(group[:, 0])}".rjust(16) for group in groups)
        lines.append(f"{name:<12}{cells}   {np.std(values[:, 1]) / np.sqrt(TEST):.2f}")
    return "\n".join(lines)


def _cell(values: NDArray[np.float64]) -> str:
    mean = values.mean()
    return "-" if np.isnan(mean) else f"{mean:+.2f}"


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")


def main() -> None:
    """Both cases, side by side."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--real-data", type=Path, default=DATA)
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--keep", type=Path, help="folder for the denoisers; a stopped benchmark continues there")
    options = parser.parse_args()
    cases = ["real", "synthetic"] if options.real_data.is_dir() else ["synthetic"]
    if "real" not in cases:
        _say(f"the real sounds are not there ({options.real_data}): only the synthetic factory is measured")
    torch.set_num_threads(1)
    results: dict[str, Any] = {}
    with (
        tempfile.TemporaryDirectory() as temporary,
        ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool,
    ):
        folder = options.keep or Path(temporary)
        jobs = {case: pool.submit(figures, case, options.real_data, folder / case, options.epochs) for case in cases}
        for case, job in jobs.items():
            rows = job.result()
            print(table(case, rows), flush=True)
            means = [rows[f"level {level}"].mean(0) for level in range(1, 11)]
            results[case] = [
                {"level": level, "si_sdr_gain_db": round(float(si_sdr), 3), "snr_gain_db": round(float(snr), 3)}
                for level, (snr, si_sdr) in enumerate(means, start=1)
            ]
    write(results, RESULTS / "denoiser.json")
    missed = [case for case, rows in results.items() if rows[-1]["si_sdr_gain_db"] < TARGETS[case]]
    if missed:
        sys.exit(f"level 10 misses its target: {', '.join(missed)}")


if __name__ == "__main__":
    main()
