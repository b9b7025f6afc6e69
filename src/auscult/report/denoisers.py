"""The denoisers of a run in its report: what each level gains, the way there, and how one mixture looks."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from auscult.denoising.levels import Level, Levels, Validation, read_example, read_levels
from auscult.denoising.streaming import Denoiser
from auscult.features.log_mel import LogMel
from auscult.report.axes import Axis, axis_of, dots, frequency_ticks, line, path, svg, tick_text, true_minus
from auscult.report.data import Cell, Plot, Section, Table
from auscult.report.evidence import SOUND, gradient, image
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
            f"It learned from {len(job.clean)} clean sounds in the noise of {len(job.noise)} normal clips of other "
            f"machine types. {uses} The spectrograms show one mixture that "
            "neither trained the denoiser nor chose its levels."
        ],
        tables=[levels_table(levels.levels)],
        plots=[gain_plot(levels), *_spectrograms(sounds, levels.sample_rate)],
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


def gain_plot(levels: Levels) -> Plot:
    """Gains on the validation mixtures over the training; dots are the levels."""
    some: Sequence[Validation] = levels.validations
    epochs = Axis(1.0, max(float(len(some)), 2.0))
    curves = {"SNR": [one.gain.snr_db for one in some], "SI-SDR": [one.gain.si_sdr_db for one in some]}
    up = axis_of([0.0, *curves["SNR"], *curves["SI-SDR"]])
    places = epochs.place([one.epoch for one in some])
    marks = [path(line([0, 100], [float(up.place(0.0))] * 2), "chance")]
    marks += [path(line(places, up.place(values)), f"curve s{n}") for n, values in enumerate(curves.values())]
    chosen = sorted({level.epoch for level in levels.levels})
    heights = up.place([curves["SNR"][epoch - 1] for epoch in chosen])
    marks.append(path(dots(epochs.place(chosen), heights), "dot s0"))
    last = ", ".join(f"{name} {_gain(max(values))}" for name, values in curves.items())
    return Plot(
        body=svg(marks),
        alt=f"Gains of the denoiser of {levels.machine_type} over {len(some)} epochs; at best {last} dB.",
        shape="bars",
        title="Gain against training",
        note=f"dB on the validation mixtures, at best {last}; dots: the levels",
        x_ticks=[tick for tick in epochs.ticks(count=4) if tick.text.isdigit()],
        y_ticks=up.ticks(count=3),
        x_label="epoch",
    )


def _spectrograms(sounds: dict[str, NDArray[np.float32]], sample_rate: int) -> list[Plot]:
    """Log-mels of some sounds on one colour scale."""
    features = LogMel(sample_rate)
    log_mels = {name: features(sound) for name, sound in sounds.items()}
    low, high = (float(value) for value in np.quantile(log_mels["noisy"], [0.01, 0.999]))
    seconds = Axis(0.0, len(sounds["noisy"]) / sample_rate)
    return [
        Plot(
            body=image(log_mel, SOUND, low, high),
            alt=f"Spectrogram of the mixture: {name}.",
            shape="map",
            title=name,
            x_ticks=seconds.ticks(count=4),
            y_ticks=frequency_ticks(features.bin_frequencies),
            x_label="time, s",
            y_label="Hz",
            scale=(gradient(SOUND), tick_text(round(low)), f"{tick_text(round(high))} dB"),
        )
        for name, log_mel in log_mels.items()
    ]


def _gain(value: float) -> str:
    return true_minus(f"{value:+.2f}")
