"""The work in a job: how much of what kind, and how each kind is measured by doing a little of it on noise."""

import json
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from auscult.features import Features, features_of
from auscult.features.bank import Bank, bank_of
from auscult.features.front_end import FrontEnd
from auscult.models import MODELS, Model
from auscult.runs.denoisers import DenoiserJob
from auscult.runs.jobs import Job
from auscult.runs.plan import BankJob, MemberJob
from auscult.sound.audio import probe

ENOUGH = 0.2
"""Seconds after which a kind of work counts as measured."""

MOST_TIMES = 20
"""That a kind of work is done for it."""

MOST_FRAMES = 400
"""Frames of a clip on which scoring is measured, at most."""

TRAINING = 3
"""A network's training takes so many times as long as its use."""


class Work(NamedTuple):
    """Some work: its kind (a name, and all that decides what a unit costs), its units, and what measures a unit."""

    kind: str
    units: float
    measure: Callable[[], float]


def work_of(job: Job, frames: Mapping[str, Sequence[int]]) -> Iterator[Work]:
    """The work in a job; `frames` of each clip of the banks, by their keys."""
    match job:
        case DenoiserJob():
            yield _denoising(job, TRAINING * _seconds_of_mixtures(job))
        case BankJob():
            features, rate = features_of(job.features, outline=True), probe(job.clips[0].path).sample_rate
            kind = _kind(job.features["kind"], **features.config() | {"sha1": None}, file=rate)
            yield Work(kind, sum(frames[job.key]), partial(_measure_features, features, rate))
            if job.denoiser is not None:
                yield _denoising(job.denoiser, sum(frames[job.key]) / features.frame_rate)
        case MemberJob():
            train, test = ([n for bank in banks for n in frames[bank.key]] for banks in (job.train, job.test))
            others = [n for bank in job.others for n in frames[bank.key]]
            yield from _member_work(job, MODELS[job.family](**job.arguments), train, test, others)


def _seconds_of_mixtures(job: DenoiserJob) -> float:
    """In all epochs of a training; the fixed mixtures only pass forward."""
    from auscult.denoising.learn import FIXED_SECONDS
    from auscult.denoising.levels import N_LEVELS, steps_of

    training, settings = job.training, job.settings
    steps = sum(steps_of(epoch, settings.steps) for epoch in range(training.epochs))
    fixed = settings.fixed * (training.epochs + min(training.epochs, N_LEVELS))
    return steps * training.batch_size * settings.seconds + fixed * FIXED_SECONDS / TRAINING


def _denoising(job: DenoiserJob, seconds: float) -> Work:
    rate, device = job.settings.sample_rate, job.training.device
    return Work(_kind("denoising", sample_rate=rate, device=device), seconds, partial(_measure_denoising, rate, device))


def _measure_denoising(sample_rate: int, device: str) -> float:
    from auscult.denoising.streaming import Denoiser
    from auscult.denoising.unet import UNet

    denoiser, sound = Denoiser(UNet().to(device), sample_rate=sample_rate), noise(4 * sample_rate)
    return timed(lambda: denoiser(sound), device) / 4


def _measure_features(features: Features, sample_rate: int) -> float:
    """On files of noise, each another, for what was heard before is remembered: short ones, if that is quick longer."""
    import soundfile

    front_end = FrontEnd(features)
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{number}.wav" for number in range(1 + MOST_TIMES)]
        unheard = cycle(paths)
        for length in (sample_rate, 10 * sample_rate):
            sound = noise(length + MOST_TIMES)
            for first, path in enumerate(paths):
                soundfile.write(path, sound[first : first + length], sample_rate)
            n_frames = len(front_end(next(unheard)))
            if (taken := timed(lambda: front_end(next(unheard)), features.config().get("device", "cpu"))) > ENOUGH / 2:
                break
    return taken / n_frames


def _member_work(
    job: MemberJob, model: Model, train: Sequence[int], test: Sequence[int], others: Sequence[int]
) -> Iterator[Work]:
    """Training and scoring, in units of the family; training clips are also scored at the training's end."""
    clips, heard, training = len(train), [*train, *train, *test], job.training
    length = max(min(sum(train) // clips, MOST_FRAMES), model.frame_context)
    arguments, lengths = model.sample(training, length)
    costs = {name: value for name, value in arguments.items() if name not in model.free_arguments}
    costs |= {"clips": len(lengths), "lengths": sorted({*lengths, length})}
    costs |= {"batch_size": training.batch_size, "precision": training.precision, "device": training.device}
    epochs = training.epochs if model.learns_in_epochs() else 1
    learnt = [*train, *others]
    units = epochs * model.epoch_units(clips=len(learnt), frames=sum(learnt), shortest=min(learnt))
    yield Work(_kind(f"{job.family} training", **costs), units, partial(_measure_training, job, arguments, lengths))
    units = model.scoring_units(clips=len(heard), frames=sum(heard), trained_clips=clips)
    measure = partial(_measure_scoring, job, arguments, lengths, length)
    yield Work(_kind(f"{job.family} scoring", **costs), units, measure)


def _measure_training(job: MemberJob, arguments: dict[str, Any], lengths: Sequence[int]) -> float:
    model, device, stamps = MODELS[job.family](**arguments), job.training.device, list[float]()
    bank, training, clock = _noise_bank(lengths, model.n_bins), replace(job.training, epochs=4), clock_of(device)

    def fit() -> None:
        model.fit(bank, training=training, member="estimate", on_epoch=lambda *_: stamps.append(clock()))

    units = model.epoch_units(clips=len(lengths), frames=sum(lengths), shortest=min(lengths))
    if not model.learns_in_epochs():
        return timed(fit, device) / units
    fit()
    return float(min(np.diff(stamps))) / units


def _measure_scoring(job: MemberJob, arguments: dict[str, Any], lengths: Sequence[int], length: int) -> float:
    model, training = MODELS[job.family](**arguments), replace(job.training, epochs=1)
    model.fit(_noise_bank(lengths, model.n_bins), training=training, member="estimate")
    clips = _noise_bank([length] * 2, model.n_bins)
    units = model.scoring_units(clips=2, frames=2 * length, trained_clips=len(lengths))
    return timed(lambda: model.score_clips(clips), training.device) / units


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


def timed(work: Callable[[], object], *devices: str) -> float:
    """Seconds that some work takes on devices: once if that is long, otherwise the least of some times."""
    clock, times = clock_of(*devices), list[float]()
    while sum(times) < ENOUGH and len(times) < MOST_TIMES:
        start = clock()
        work()
        times.append(clock() - start)
    return min(times)


def _kind(name: str, **costs: object) -> str:
    return f"{name} {json.dumps(costs)}"
