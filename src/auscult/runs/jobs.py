"""Jobs: what each kind does, what it needs, and the reading of what it made. One thread, so that bits repeat."""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from auscult.denoising.learn import learn_denoiser
from auscult.denoising.streaming import Denoiser
from auscult.errors import ModelError, RunError
from auscult.features import features_of
from auscult.features.bank import Bank, build_bank, concatenate
from auscult.features.front_end import FrontEnd
from auscult.members.scaling import normal_scores
from auscult.models import MODELS, Model, load_model
from auscult.processes import single_thread
from auscult.runs.denoisers import DenoiserJob
from auscult.runs.plan import BankJob, MemberJob
from auscult.runs.stacks import CHECKPOINT, MODEL, train_stack
from auscult.runs.store import Store

Read = TypeVar("Read")

OnProgress = Callable[[str, int, int, str], None]
"""Called with a job's label, the steps done, the steps in all, and a word on how it goes.

The last word on a job is one of `ENDS`.
"""

DONE, FAILED, NOT_RUN = "done", "failed", "not run"
ENDS = (DONE, FAILED, NOT_RUN)

Job = DenoiserJob | BankJob | MemberJob


def needs(job: Job) -> tuple[Job, ...]:
    """The jobs whose artefacts a job reads."""
    match job:
        case DenoiserJob():
            return ()
        case BankJob():
            return () if job.denoiser is None else (job.denoiser,)
        case MemberJob():
            return (*job.train, *job.test, *job.others)


def is_finished(job: Job, store: Store) -> bool:
    """Whether the store has all that a job makes."""
    match job:
        case DenoiserJob():
            return store.has("denoiser", job.key)
        case BankJob():
            return store.has("bank", job.key)
        case MemberJob():
            return store.has("model", job.key) and store.has("scores", job.scores_key)


def steps_of(job: Job) -> int:
    """The steps by which a job reports its progress: clips of a bank, epochs of a training."""
    return len(job.clips) if isinstance(job, BankJob) else job.training.epochs


def run_job(job: Job, store: Store, on_progress: OnProgress) -> None:
    """Do a job in one thread, unless it is finished; what it needs must be finished."""
    with single_thread():
        match job:
            case DenoiserJob():
                run_denoiser(job, store, on_progress)
            case BankJob():
                run_bank(job, store, on_progress)
            case MemberJob():
                run_member(job, store, on_progress)


def run_denoiser(job: DenoiserJob, store: Store, on_progress: OnProgress) -> None:
    """Train one denoiser, unless it is finished."""
    epochs = job.training.epochs

    def learn(folder: Path) -> None:
        learn_denoiser(
            job.clean,
            job.noise,
            folder=folder,
            machine_type=job.machine_type,
            settings=job.settings,
            training=job.training,
            on_epoch=lambda done, text: on_progress(job.label, done, epochs, text),
        )

    store.make("denoiser", job.key, job.facts, learn)


def denoiser_folder(store: Store, job: DenoiserJob) -> Path:
    """The levels of a finished denoiser."""
    return store.path("denoiser", job.key)


def front_end_of(job: BankJob, store: Store) -> FrontEnd:
    """The front end that a bank is computed with; its denoiser must be finished."""
    denoiser = None
    if job.denoiser is not None:
        folder, device = denoiser_folder(store, job.denoiser), job.denoiser.training.device
        denoiser = Denoiser.load(folder, job.level, device=device)
    return FrontEnd(features_of(job.features), channel=job.channel, denoiser=denoiser)


def run_bank(job: BankJob, store: Store, on_progress: OnProgress) -> None:
    """Make one bank, unless it is finished."""
    total = len(job.clips)

    def build(folder: Path) -> None:
        build_bank(
            job.clips,
            front_end_of(job, store),
            folder,
            on_clip=lambda done: on_progress(job.label, done, total, "clips"),
        )

    store.make("bank", job.key, job.facts, build)


def run_member(job: MemberJob, store: Store, on_progress: OnProgress) -> None:
    """Train and score one member, unless it is finished; its stack trains with it, if it has one."""
    epochs = job.training.epochs

    def on_epoch(done: int, losses: dict[str, float]) -> None:
        on_progress(job.label, done, epochs, f"loss {losses['loss']:.4g}")

    def fit(folder: Path) -> None:
        model: Model = MODELS[job.family](**job.arguments)
        _require_long_clips(job, model, store)
        banks = training_bank(store, job)
        started = time.perf_counter()
        model.fit(
            banks,
            training=job.training,
            member=job.label,
            checkpoint=folder / CHECKPOINT,
            on_epoch=on_epoch,
        )
        store.note("model", job.key, {"fit_seconds": time.perf_counter() - started})
        model.save(folder / MODEL)

    def score(folder: Path) -> None:
        model = load_model(model_file(store, job), device=job.training.device)
        scores = {
            bank.key: model.score_clips(load_banks(store, [bank]), pooling=job.pooling).tolist() for bank in job.test
        }
        normal = normal_scores(model, load_banks(store, job.train), job.scaling, pooling=job.pooling)
        for bank in job.train:
            own, normal = np.split(normal, [len(bank.clips)])
            scores[bank.key] = own.tolist()
        (folder / "scores.json").write_text(json.dumps(scores))

    if job.stack:
        train_stack(job, store, lambda: training_bank(store, job), on_epoch)
    store.make("model", job.key, job.facts, fit)
    store.make("scores", job.scores_key, job.scores_facts, score)


def _require_long_clips(job: MemberJob, model: Model, store: Store) -> None:
    """Refuse clips that the model could not score, before the training."""
    for bank in (*job.train, *job.test):
        for clip, frames in zip(bank.clips, load_banks(store, [bank]).lengths, strict=True):
            if frames < model.frame_context:
                raise ModelError(
                    f"{clip.path}: the clip has {frames} frames; {job.label} needs at least {model.frame_context}. "
                    "Remove the clip, or change the features or the model to need fewer frames"
                )


def load_banks(store: Store, jobs: Sequence[BankJob]) -> Bank:
    """Some finished banks as one.

    Raises:
        RunError: if one is damaged.
    """
    return concatenate([_read(store.path("bank", job.key), Bank.load) for job in jobs])


def training_bank(store: Store, job: MemberJob) -> Bank:
    """All that a member learns from, with a bank for each other machine type."""
    by_type: dict[str, list[BankJob]] = {}
    for bank in job.others:
        by_type.setdefault(bank.machine_type, []).append(bank)
    others = tuple(load_banks(store, banks) for banks in by_type.values())
    return replace(job.scaling.kept(load_banks(store, job.train)), others=others)


def model_file(store: Store, job: MemberJob) -> Path:
    """The weights of a finished member."""
    return store.path("model", job.key) / MODEL


def read_scores(store: Store, job: MemberJob) -> dict[str, list[float]]:
    """Key of a bank -> the scores of its clips, of a finished member; NaN for training clips that make no scale.

    Raises:
        RunError: if they are damaged.
    """
    return _read(
        store.path("scores", job.scores_key), lambda folder: dict(json.loads((folder / "scores.json").read_text()))
    )


def _read(artefact: Path, read: Callable[[Path], Read]) -> Read:
    try:
        return read(artefact)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(
            f"the artefact {artefact} is damaged: {error}; remove it, and the same command makes it again"
        ) from error
