"""The denoisers of a run in its report: what each level gains, the way there, and how one mixture looks."""

from collections.abc import Sequence

import numpy as np
from matplotlib.colors import Normalize
from numpy.typing import NDArray

from auscult.denoising.levels import Level, read_example, read_levels
from auscult.denoising.streaming import Denoiser
from auscult.features.log_mel import LogMel
from auscult.report.data import Cell, Section, Table
from auscult.report.drawing import Plot, true_minus
from auscult.report.figures import denoiser_gains
from auscult.report.maps import mixture
from auscult.runs.analysis import Analysis
from auscult.runs.denoisers import DenoiserJob
from auscult.runs.jobs import denoiser_folder

SHOWN_LEVELS = (1, 4, 7, 10)
"""Levels of which a spectrogram is shown."""


def denoiser_sections(analysis: Analysis) -> list[Section]:
    """A part of the page for each finished denoiser of the run."""
    store = analysis.store
    return [_section(analysis, job) for job in analysis.plan.denoisers if store.has("denoiser", job.key)]


def _section(analysis: Analysis, job: DenoiserJob) -> Section:
    folder, machine_type = denoiser_folder(analysis.store, job), job.machine_type
    levels = read_levels(folder)
    used = sorted(
        {bank.level for bank in analysis.plan.banks if bank.denoiser is not None and bank.denoiser.key == job.key}
    )
    uses = f"The run uses level {', '.join(map(str, used))}." if used else "What it was to denoise is not finished."
    noisy, clean = read_example(folder)
    sounds = {"noisy": noisy, "clean": clean}
    sounds |= {f"level {one}": Denoiser.load(folder, one)(noisy) for one in SHOWN_LEVELS}
    return Section(
        title=f"The denoiser of {machine_type}",
        paragraphs=[
            f"It learned from {len(job.clean)} clean sounds in the noise of {len(job.noise)} clips, of other machine "
            f"types or of the place alone. {uses} The spectrograms show one mixture that "
            "neither trained the denoiser nor chose its levels."
        ],
        tables=[levels_table(levels.levels)],
        plots=[denoiser_gains(levels), *_spectrograms(sounds, levels.sample_rate)],
    )


def levels_table(levels: Sequence[Level]) -> Table:
    """What each level gains."""
    rows = [
        [Cell(str(one.level)), Cell(str(one.epoch)), Cell(_gain(one.gain.snr_db)), Cell(_gain(one.gain.si_sdr_db))]
        for one in levels
    ]
    return Table(
        caption="Mean gain in dB on held-out mixtures",
        columns=["level", "epoch", "SNR", "SI-SDR"],
        rows=rows,
        note="Silence would gain SNR wherever noise is louder than the sound; SI-SDR is the figure to read.",
    )


def _spectrograms(sounds: dict[str, NDArray[np.float32]], sample_rate: int) -> list[Plot]:
    """Log-mels of some sounds on one colour scale."""
    features = LogMel(sample_rate)
    log_mels = {name: features(sound) for name, sound in sounds.items()}
    norm = Normalize(*np.quantile(log_mels["noisy"], [0.01, 0.999]))
    seconds, frequencies = len(sounds["noisy"]) / sample_rate, features.bin_frequencies
    return [mixture(name, log_mel, norm, frequencies, seconds=seconds) for name, log_mel in log_mels.items()]


def _gain(value: float) -> str:
    return true_minus(f"{value:+.2f}")
