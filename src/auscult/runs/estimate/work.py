"""The work in a job: how much of what kind, and how each kind is measured by doing a little of it on noise."""

import json
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

from auscult.denoising.learn import FIXED_SECONDS
from auscult.features.bank import bank_of
from auscult.features.front_end import FrontEnd
from auscult.models import MODELS
from auscult.runs.denoisers import DenoiserJob
from auscult.runs.estimate.sizes import BankSize, outline_of
from auscult.runs.plan import BankJob, MemberJob
from auscult.training import generator_of

if TYPE_CHECKING:
    from auscult.features.bank import Bank

ENOUGH = 0.2
"""Seconds after which a kind of work counts as measured."""
MOST_FRAMES = 400
"""Frames of a clip on which scoring is measured, at most."""
FEW_ON_CPU = 4
"""Crops and mixtures in a measured batch on a processor, where time grows as their number."""

Rates = Mapping[str, tuple[float, ...]]
"""Seconds per unit of each kind of work."""


@dataclass(frozen=True, slots=True)
class Work:
    """Some work of one kind.

    Attributes:
        kind: what costs the same per unit has the same kind.
        units: how much there is to do, of each of the kind's parts.
        measure: does a little of it on this machine; gives seconds per unit, of each part.
    """

    kind: str
    units: tuple[float, ...]
    measure: Callable[[], tuple[float, ...]]

    def seconds(self, rates: Rates) -> float:
        """The time it takes, in one process with one thread."""
        return sum(units * rate for units, rate in zip(self.units, rates[self.kind], strict=True))


def work_of(job: DenoiserJob | BankJob | MemberJob, sizes: Mapping[str, BankSize]) -> Work:
    """The work in a job; `sizes` of the banks by their keys."""
    if isinstance(job, DenoiserJob):
        return _denoiser_work(job)
    if isinstance(job, BankJob):
        return _bank_work(job, sizes[job.key])
    return _member_work(job, sizes)


# Denoisers: mixtures in training, fixed mixtures in validation


def _denoiser_work(job: DenoiserJob) -> Work:
    from auscult.denoising.levels import N_LEVELS, steps_of

    training, settings = job.training, job.settings
    steps = sum(steps_of(epoch, settings.steps) for epoch in range(training.epochs))
    fixed = settings.fixed * (training.epochs + min(training.epochs, N_LEVELS))
    kind = ("denoiser", settings.sample_rate, settings.seconds, *_how(job))
    return Work(_text(kind), (steps * training.batch_size, fixed), partial(_measure_denoiser, job))


def _measure_denoiser(job: DenoiserJob) -> tuple[float, float]:
    """Seconds for a mixture in training, and for a fixed one in validation."""
    from auscult.denoising.mixtures import Mixer, WaveBank
    from auscult.denoising.quality import gains
    from auscult.denoising.unet import UNet
    from auscult.training import train

    rate, device = job.settings.sample_rate, job.training.device
    batch = _few(job, job.training.batch_size)
    waves = WaveBank([noise(round(FIXED_SECONDS * rate))], device=device)
    unet = UNet().to(device)
    mixer = Mixer(waves, waves, length=round(job.settings.seconds * rate))
    clock, stamps = clock_of(device), list[float]()
    train(
        unet,
        lambda epoch: mixer.batches(1, batch, generator_of("estimate", epoch, device=device)),
        training=replace(job.training, epochs=3, batch_size=batch),
        member="estimate",
        on_epoch=lambda *_: stamps.append(clock()),
    )
    fixed = Mixer(waves, waves, length=round(FIXED_SECONDS * rate)).fixed(2, seed=0, name="estimate")
    validate = partial(gains, unet, fixed, bf16=job.training.precision == "bf16")
    return min(np.diff(stamps)) / batch, timed(validate, clock) / 2


# Banks: frames


def _bank_work(job: BankJob, size: BankSize) -> Work:
    features = {name: value for name, value in outline_of(job).config().items() if name != "sha1"}
    kind: tuple[object, ...] = ("features", features, size.sample_rate, size.channels)
    if job.denoiser is not None:
        kind = (*kind, "denoised", job.denoiser.settings.sample_rate, job.denoiser.training.device)
    return Work(_text(kind), (size.n_frames,), partial(_measure_bank, job, size))


def _measure_bank(job: BankJob, size: BankSize) -> tuple[float]:
    """Seconds for a frame, on a file of noise such as the clips are: a short one, and if that is quick a longer one."""
    import soundfile

    front_end, devices = FrontEnd(outline_of(job), channel=job.channel), [job.features.get("device", "cpu")]
    if job.denoiser is not None:
        from auscult.denoising.streaming import Denoiser
        from auscult.denoising.unet import UNet

        devices.append(job.denoiser.training.device)
        unet = UNet().to(devices[-1])
        front_end.denoiser = Denoiser(unet, sample_rate=job.denoiser.settings.sample_rate)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "noise.wav"
        for seconds in (1.0, 10.0):
            sound = noise(round(seconds * size.sample_rate))
            soundfile.write(path, np.repeat(sound[:, None], size.channels, axis=1), size.sample_rate)
            n_frames = len(front_end(path))
            taken = timed(lambda: front_end(path), clock_of(*devices)) / n_frames
            if taken * n_frames > ENOUGH / 2:
                break
    return (taken,)


# Members: windows or crops in training, frames in scoring

FREE: dict[str, set[str]] = {
    "autoencoder": set(),
    "spectral": set(),
    "hvae": {"n_latent", "beta", "score"},
    "idcae": {"alpha", "target", "norm", "windows_per_clip", "conditioning_sigmoid"},
    "freak": {"score", "covariance", "domain", "percentile", "crop"},
}
"""Arguments of each family that cost next to nothing, or are counted in the units."""


def _member_work(job: MemberJob, sizes: Mapping[str, BankSize]) -> Work:
    train, test = ([sizes[bank.key] for bank in banks] for banks in (job.train, job.test))
    clips, frames = sum(size.n_clips for size in train), sum(size.n_frames for size in train)
    heard = 2 * frames + sum(size.n_frames for size in test)  # training clips are also scored at the training's end
    context = MODELS[job.family](**job.arguments).frame_context
    crop = min(job.arguments.get("crop", 0), *(max(size.shortest, context) for size in train))
    epoch = {
        "idcae": clips * job.arguments.get("windows_per_clip", 0),
        "freak": clips * crop,
        "spectral": frames,
    }.get(job.family, frames - clips * (job.arguments.get("context", 1) - 1))
    costly = {name: value for name, value in job.arguments.items() if name not in FREE[job.family]}
    length = max(min(frames // clips, MOST_FRAMES), context)
    epochs = 1 if job.family == "spectral" else job.training.epochs
    kind = ("member", job.family, costly, crop, length, *_how(job))
    return Work(_text(kind), (epochs * epoch, heard), partial(_measure_member, job, crop, length))


def _measure_member(job: MemberJob, crop: int, length: int) -> tuple[float, float]:
    """Seconds for a window, or a frame of a crop, in training; and for a frame in scoring."""
    arguments, bank, units = _synthetic(job, crop, length)
    model, clock, stamps = MODELS[job.family](**arguments), clock_of(job.training.device), list[float]()

    def fit(epochs: int) -> None:
        stamps[:] = [clock()]
        model.fit(
            bank,
            training=replace(job.training, epochs=epochs),
            member="estimate",
            on_epoch=lambda *_: stamps.append(clock()),
        )

    fit(2)
    if model.n_parameters:
        step = stamps[2] - stamps[1]
        if step < ENOUGH / 2:
            fit(2 + min(100, round(ENOUGH / step)))
            step = median(np.diff(stamps)[1:])
    else:
        step = timed(partial(fit, 1), clock)
    clips = bank_of([_frames(length, job), _frames(length, job)], ["id_00", "id_01"], frame_rate=bank.frame_rate)
    return step / units, timed(lambda: model.score_clips(clips), clock) / (2 * length)


def _synthetic(job: MemberJob, crop: int, length: int) -> "tuple[dict[str, Any], Bank, int]":
    """Arguments of the member and noise to fit it to, of which an epoch is a single batch; and the units in it."""
    arguments, batch = dict(job.arguments), job.training.batch_size
    if job.family == "freak":
        arguments |= {"covariance": "identity"}  # any number of clips is enough for it
        batch = _few(job, batch)
        lengths, units = [crop] * batch, batch * crop
    elif job.family == "spectral":
        lengths = [length] * (4 * arguments["n_components"])
        units = sum(lengths)
    else:
        half = max(1, batch // 2)
        lengths, units = [half + arguments["context"] - 1] * 2, 2 * half
        if job.family == "idcae":
            arguments["windows_per_clip"] = half
    ids = [f"id_{index % 2:02d}" for index in range(len(lengths))]
    return arguments, bank_of([_frames(n, job) for n in lengths], ids, frame_rate=31.25), units


def _frames(n: int, job: MemberJob) -> Any:
    return np.random.default_rng(n).standard_normal((n, job.arguments["n_bins"])).astype(np.float32)


# For all


def noise(n: int) -> Any:
    """So many samples `[n]`, always the same."""
    return (0.1 * np.random.default_rng(n).standard_normal(n)).astype(np.float32)


def _few(job: DenoiserJob | MemberJob, batch: int) -> int:
    return min(batch, FEW_ON_CPU) if job.training.device == "cpu" else batch


def _how(job: DenoiserJob | MemberJob) -> tuple[object, ...]:
    return job.training.batch_size, job.training.precision, job.training.device


def clock_of(*devices: str) -> Callable[[], float]:
    """Time of the processor for this process, which other programs do not prolong; of the wall where a GPU works."""
    return time.process_time if set(devices) <= {"cpu"} else time.perf_counter


def timed(work: Callable[[], object], clock: Callable[[], float]) -> float:
    """Seconds that some work takes: once if that is long, otherwise the least of some times."""
    times: list[float] = []
    while sum(times) < ENOUGH and len(times) < 20:
        start = clock()
        work()
        times.append(clock() - start)
    return min(times)


def _text(kind: tuple[object, ...]) -> str:
    return " ".join(part if isinstance(part, str) else json.dumps(part) for part in kind)
