"""The work in a job: how much of what kind, and how each kind is measured by doing a little of it on noise."""

import json
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from auscult.features import FEATURES, Features
from auscult.features.bank import Bank, bank_of
from auscult.features.front_end import FrontEnd
from auscult.models import MODELS
from auscult.runs.denoisers import DenoiserJob
from auscult.runs.jobs import PlannedJob
from auscult.runs.plan import BankJob, MemberJob
from auscult.sound.audio import probe
from auscult.training import generator_of

ENOUGH = 0.2
"""Seconds after which a kind of work counts as measured."""
MOST_FRAMES = 400
"""Frames of a clip on which scoring is measured, at most."""

Rates = Mapping[str, Sequence[float]]
"""Seconds per unit of each part of each kind of work."""


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


def work_of(job: PlannedJob, frames: Mapping[str, Sequence[int]]) -> Work:
    """The work in a job; `frames` of each clip of the banks, by their keys."""
    match job:
        case DenoiserJob():
            return _denoiser_work(job)
        case BankJob():
            return _bank_work(job, sum(frames[job.key]))
        case MemberJob():
            train, test = ([n for bank in banks for n in frames[bank.key]] for banks in (job.train, job.test))
            return _member_work(job, train, test)


def _denoiser_work(job: DenoiserJob) -> Work:
    """Seconds of mixtures in training; those of the fixed mixtures only pass forward, a third of the work."""
    from auscult.denoising.learn import FIXED_SECONDS
    from auscult.denoising.levels import N_LEVELS, steps_of

    training, settings = job.training, job.settings
    steps = sum(steps_of(epoch, settings.steps) for epoch in range(training.epochs))
    fixed = settings.fixed * (training.epochs + min(training.epochs, N_LEVELS))
    seconds = steps * training.batch_size * settings.seconds + fixed * FIXED_SECONDS / 3
    return Work(_text("denoiser", settings.sample_rate, *_how(job)), (seconds,), partial(_measure_denoiser, job))


def _measure_denoiser(job: DenoiserJob) -> tuple[float]:
    from auscult.denoising.mixtures import Mixer, WaveBank
    from auscult.denoising.unet import UNet
    from auscult.training import train

    device, clock, stamps = job.training.device, clock_of(job.training.device), list[float]()
    batch = min(job.training.batch_size, 4) if device == "cpu" else job.training.batch_size
    waves = WaveBank([noise(2 * job.settings.sample_rate)], device=device)
    mixer = Mixer(waves, waves, length=job.settings.sample_rate)
    train(
        UNet().to(device),
        lambda epoch: mixer.batches(1, batch, generator_of("estimate", epoch, device=device)),
        training=replace(job.training, epochs=3, batch_size=batch),
        member="estimate",
        on_epoch=lambda *_: stamps.append(clock()),
    )
    return (min(np.diff(stamps)) / batch,)


def outline_of(bank: BankJob) -> Features:
    """The features of a bank, without the files that they may need."""
    arguments = {name: value for name, value in bank.features.items() if name != "kind"}
    return FEATURES[bank.features["kind"]].outline(**arguments)


def _bank_work(job: BankJob, frames: int) -> Work:
    """Frames."""
    info, features = probe(job.clips[0].path), outline_of(job).config()
    kind = ["features", {**features, "sha1": None}, info.sample_rate, info.channels]
    if job.denoiser is not None:
        kind += ["denoised", job.denoiser.settings.sample_rate, job.denoiser.training.device]
    return Work(_text(*kind), (frames,), partial(_measure_bank, job, info.sample_rate, info.channels))


def _measure_bank(job: BankJob, sample_rate: int, channels: int) -> tuple[float]:
    """On a file of noise such as the clips are: a short one, and if that is quick a longer one."""
    import soundfile

    front_end, devices = FrontEnd(outline_of(job), channel=job.channel), [job.features.get("device", "cpu")]
    if job.denoiser is not None:
        from auscult.denoising.streaming import Denoiser
        from auscult.denoising.unet import UNet

        devices.append(job.denoiser.training.device)
        front_end.denoiser = Denoiser(UNet().to(devices[-1]), sample_rate=job.denoiser.settings.sample_rate)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "noise.wav"
        for seconds in (1, 10):
            soundfile.write(path, np.repeat(noise(seconds * sample_rate)[:, None], channels, axis=1), sample_rate)
            n_frames = len(front_end(path))
            taken = timed(lambda: front_end(path), clock_of(*devices))
            if taken > ENOUGH / 2:
                break
    return (taken / n_frames,)


def _member_work(job: MemberJob, train: Sequence[int], test: Sequence[int]) -> Work:
    """Training and scoring, in units of the family; training clips are also scored at the training's end."""
    model, clips = MODELS[job.family](**job.arguments), len(train)
    epochs = job.training.epochs if model.learns_in_epochs() else 1
    trained = epochs * model.epoch_units(clips=clips, frames=sum(train), shortest=min(train))
    heard = [*train, *train, *test]
    scored = model.scoring_units(clips=len(heard), frames=sum(heard), trained_clips=clips)
    length = max(min(sum(train) // clips, MOST_FRAMES), model.frame_context)
    arguments, lengths = model.sample(job.training, length)
    costly = {name: value for name, value in arguments.items() if name not in model.free_arguments}
    kind = _text("member", job.family, costly, len(lengths), sorted({*lengths, length}), *_how(job))
    return Work(kind, (trained, scored), partial(_measure_member, job, arguments, lengths, length))


def _measure_member(
    job: MemberJob, arguments: dict[str, Any], lengths: Sequence[int], length: int
) -> tuple[float, float]:
    model, clock = MODELS[job.family](**arguments), clock_of(job.training.device)
    bank, clips = (_noise_bank(some, job.arguments["n_bins"]) for some in (lengths, (length, length)))
    training, stamps = replace(job.training, epochs=4), [clock()]
    model.fit(bank, training=training, member="estimate", on_epoch=lambda *_: stamps.append(clock()))
    taken = min(np.diff(stamps[1:])) if model.learns_in_epochs() else clock() - stamps[0]
    units = model.epoch_units(clips=len(lengths), frames=sum(lengths), shortest=min(lengths))
    heard = model.scoring_units(clips=2, frames=2 * length, trained_clips=len(lengths))
    return taken / units, timed(lambda: model.score_clips(clips), clock) / heard


def _noise_bank(lengths: Sequence[int], n_bins: int) -> Bank:
    """Clips of noise, of two machines in turn."""
    clips = [np.random.default_rng(n).standard_normal((n, n_bins)) for n in lengths]
    return bank_of(clips, [f"id_{index % 2:02d}" for index in range(len(clips))])


def noise(n: int) -> Any:
    """So many samples `[n]`, always the same."""
    return (0.1 * np.random.default_rng(n).standard_normal(n)).astype(np.float32)


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


def _how(job: DenoiserJob | MemberJob) -> tuple[object, ...]:
    return job.training.batch_size, job.training.precision, job.training.device


def _text(*kind: object) -> str:
    return " ".join(part if isinstance(part, str) else json.dumps(part) for part in kind)
