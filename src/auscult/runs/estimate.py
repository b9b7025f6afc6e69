"""The estimate: what a plan makes, how much of it is there, and how long the rest takes at rates measured here."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import isfinite
from pathlib import Path

from auscult.errors import RunError
from auscult.features import features_of
from auscult.models import MODELS
from auscult.processes import single_thread
from auscult.runs.denoisers import DenoiserJob
from auscult.runs.jobs import Job, is_finished
from auscult.runs.plan import BankJob, MemberJob, Plan
from auscult.runs.store import Store
from auscult.runs.work import Work, work_of
from auscult.sound.audio import AudioInfo, probe

FORMAT = 2
"""Version of the files that `read_rates` reads."""

Rates = Mapping[str, float]
"""Seconds per unit of each kind of work."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """What is left to do, in seconds: each of the jobs by its key, in one process; all of a sort with the workers."""

    jobs: dict[str, float]
    denoisers: float
    features: float
    members: float
    workers: int

    @property
    def seconds(self) -> float:
        """From start to end: the three one behind the other."""
        return self.denoisers + self.features + self.members


@dataclass(frozen=True, slots=True)
class Row:
    """Jobs of one machine type that are alike.

    Attributes:
        machine_type: for instance `"fan"`.
        what: `"denoiser"`, a kind of features, `" denoised"` behind it, or a family.
        jobs: how many, all seeds together.
        done: how many of them are finished.
        parameters: least and most of one job; none for features.
        total_parameters: of all jobs.
        clips: clips that one member trains on, or that all banks hold.
        epochs: least and most; none for features.
        n_bytes: of all banks on disk; 0 for the others.
        seconds: what is left to do, in one process; none if it was not estimated.
    """

    machine_type: str
    what: str
    jobs: int
    done: int
    parameters: tuple[int, int] | None
    total_parameters: int
    clips: int
    epochs: tuple[int, int] | None
    n_bytes: int
    seconds: float | None


class Outlook:
    """What a plan will cost.

    Args:
        plan: of a run.
        store: where its artefacts lie, or `NoStore`.

    Raises:
        AudioError: from all methods, if the header of a clip cannot be read.
    """

    def __init__(self, plan: Plan, store: Store) -> None:
        self.plan, self.store = plan, store
        self.jobs: list[Job] = [*plan.denoisers, *plan.banks, *plan.members]
        self._counted: dict[tuple[str, str, int], int] = {}

    @cached_property
    def frames(self) -> dict[str, list[int]]:
        """Frames of each clip of each bank, by the bank's key, from the headers of the clips' files."""
        read: dict[tuple[str, str, str], list[AudioInfo]] = {}  # banks of one part differ in their features alone
        found, known = {}, dict[tuple[Path, int], AudioInfo]()
        for bank in self.plan.banks:
            part = (bank.machine_type, bank.split, bank.subset)
            if part not in read:
                read[part] = [_header(clip.path, known) for clip in bank.clips]
            features = features_of(bank.features, outline=True)
            found[bank.key] = [features.n_frames(round(info.duration * features.sample_rate)) for info in read[part]]
        return found

    @cached_property
    def left(self) -> dict[str, list[Work]]:
        """The work of each job that is not finished, by the job's key."""
        return {job.key: [*work_of(job, self.frames)] for job in self.jobs if not is_finished(job, self.store)}

    def rates(self, known: Rates, *, on_kind: Callable[[int, int], None] | None = None) -> dict[str, float]:
        """Measure each kind of work that is left, for a fraction of a second on noise, with the real code.

        Networks have random weights, also where the plan lacks the real ones. The device is that of the plan.

        Args:
            known: rates of some kinds, which are taken as they are.
            on_kind: called with the number of kinds measured and all of them.
        """
        kinds = {work.kind: work for works in self.left.values() for work in works}
        rates = {}
        with single_thread():
            for done, (kind, work) in enumerate(kinds.items(), start=1):
                rates[kind] = known[kind] if kind in known else work.measure()
                if on_kind is not None:
                    on_kind(done, len(kinds))
        return rates

    def estimate(self, rates: Rates, *, workers: int = 1) -> Estimate:
        """How long the jobs take that are not finished.

        Workers share the jobs of a sort as well as their lengths allow. A GPU is one, however many workers use it.

        Args:
            rates: from the method of this name.
            workers: processes with one thread each.
        """
        seconds = dict.fromkeys((job.key for job in self.jobs), 0.0)
        for key, works in self.left.items():
            seconds[key] = sum(work.units * rates[work.kind] for work in works)
        devices = {job.training.device for job in self.jobs if not isinstance(job, BankJob)}
        at_once = workers if devices <= {"cpu"} else 1

        def together(jobs: Sequence[Job]) -> float:
            some = [seconds[job.key] for job in jobs]
            return max(max(some, default=0.0), sum(some) / at_once)

        plan = self.plan
        return Estimate(seconds, together(plan.denoisers), together(plan.banks), together(plan.members), workers)

    def rows(self, estimate: Estimate | None = None) -> list[Row]:
        """The rows of a plan's table: machine types in order; denoiser, features and families of each."""
        alike: dict[tuple[str, str], list[Job]] = {}
        types = list(dict.fromkeys([*self.plan.machine_types, *(job.machine_type for job in self.jobs)]))
        for job in sorted(self.jobs, key=lambda job: types.index(job.machine_type)):
            alike.setdefault((job.machine_type, what_of(job)), []).append(job)
        return [self._row(*names, jobs, estimate) for names, jobs in alike.items()]

    def _row(self, machine_type: str, what: str, jobs: Sequence[Job], estimate: Estimate | None) -> Row:
        banks = [job for job in jobs if isinstance(job, BankJob)]
        trained = [job for job in jobs if not isinstance(job, BankJob)]
        parameters = [self.n_parameters(job) for job in trained]
        epochs = [job.training.epochs for job in trained]
        widths = [features_of(job.features, outline=True).n_bins for job in banks]
        return Row(
            machine_type,
            what,
            jobs=len(jobs),
            done=sum(is_finished(job, self.store) for job in jobs),
            parameters=(min(parameters), max(parameters)) if trained else None,
            total_parameters=sum(parameters),
            clips=sum(len(job.clips) for job in banks) or max(map(_clips_heard, trained)),
            epochs=(min(epochs), max(epochs)) if trained else None,
            n_bytes=sum(4 * sum(self.frames[job.key]) * width for job, width in zip(banks, widths, strict=True)),
            seconds=sum(estimate.jobs[job.key] for job in jobs) if estimate else None,
        )

    def n_parameters(self, job: DenoiserJob | MemberJob) -> int:
        """Trained parameters: what the network itself says."""
        if isinstance(job, DenoiserJob):
            from auscult.denoising.unet import UNet

            return UNet().n_parameters
        ids = sorted({clip.machine_id for bank in job.train for clip in bank.clips})
        alike = (job.family, json.dumps(job.arguments), len(ids))
        if alike not in self._counted:
            self._counted[alike] = MODELS[job.family].outlined(job.arguments, ids).n_parameters
        return self._counted[alike]

    def too_short(self) -> list[str]:
        """A sentence for each machine type with clips of fewer frames than a member needs; such a member would fail."""
        shortest = {key: min(frames) for key, frames in self.frames.items()}
        needed: dict[str, dict[str, str]] = {}
        for job in self.plan.members:
            least = MODELS[job.family](**job.arguments).frame_context
            if min(shortest[bank.key] for bank in (*job.train, *job.test)) < least:
                needed.setdefault(job.machine_type, {})[job.name] = f"{job.name} (at least {least})"
        return [
            f"{machine_type}: a clip has too few frames for {', '.join(names.values())}; a run would fail at these "
            "members"
            for machine_type, names in needed.items()
        ]


def what_of(job: Job) -> str:
    """What tables call a job: see `Row`."""
    match job:
        case DenoiserJob():
            return "denoiser"
        case BankJob():
            return f"{job.features['kind']}{' denoised' if job.denoiser else ''}"
        case MemberJob():
            return job.family


def _clips_heard(job: DenoiserJob | MemberJob) -> int:
    if isinstance(job, DenoiserJob):
        return len(job.clean) + len(job.noise)
    return sum(len(bank.clips) for bank in (*job.train, *job.others))


def _header(path: Path, known: dict[tuple[Path, int], AudioInfo]) -> AudioInfo:
    """Of a clip's file; wav files of one folder and size have the same, so that one of them is read."""
    is_wav = path.suffix.lower() == ".wav" and path.is_file()
    place = (path.parent, path.stat().st_size) if is_wav else (path, 0)
    if place not in known:
        known[place] = probe(path)
    return known[place]


def read_rates(path: Path) -> dict[str, float]:
    """The rates in what `auscult bench --json` printed.

    Raises:
        RunError: if the file is missing or is no such output.
    """
    try:
        content = json.loads(path.read_bytes())
        if content["format"] != FORMAT:
            raise ValueError(f"its format is {content['format']}")
        rates = {str(kind): float(rate) for kind, rate in content["rates"].items()}
        if wrong := [rate for rate in rates.values() if not (isfinite(rate) and rate >= 0)]:
            raise ValueError(f"{wrong[0]} s is no time")
        return rates
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunError(
            f"{path} holds no rates ({error}); write them with `auscult bench --json > {path.name}`"
        ) from error
