"""Stages: how fast each step of the line is on this machine, and the rates of the kinds of work that were measured."""

import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

from auscult.errors import RunError
from auscult.processes import single_thread
from auscult.recipe import Recipe, load_recipe
from auscult.runs.denoisers import DenoiserJob
from auscult.runs.estimate.rates import all_jobs
from auscult.runs.estimate.sizes import sizes_of
from auscult.runs.estimate.work import Rates, Work, clock_of, noise, timed, work_of
from auscult.runs.plan import MemberJob, Plan, make_plan
from auscult.runs.store import NoStore
from auscult.sound.audio import read_waveform, resample

SECONDS = 10.0
"""Length of a clip, as in the challenge."""

RECIPES = ("baseline", "spectral", "hvae", "idcae", "freak")
"""Built-in recipes of one family each, whose members are measured, those for fans."""

MACHINE_TYPE = "fan"

FORMAT = 1
"""Version of the files that `read_rates` reads."""


@dataclass(frozen=True, slots=True)
class StepSpeed:
    """The speed of one step, in one process with one thread.

    Attributes:
        name: of the step.
        what: its settings.
        seconds: for a second of sound: the real-time factor. A training goes through the sound once in an epoch.
    """

    name: str
    what: str
    seconds: float

    @property
    def clips_per_second(self) -> float:
        """Clips of 10 s."""
        return 1 / (SECONDS * self.seconds)


def measure_stages(
    *, device: str, sample_rate: int = 16000, on_stage: Callable[[int, int], None] | None = None
) -> tuple[list[StepSpeed], dict[str, tuple[float, ...]]]:
    """Measure each step for a fraction of a second, on noise, with the code of a run; networks have random weights.

    Args:
        device: on which networks compute; all else computes on a processor.
        sample_rate: of the clips, in Hz.
        on_stage: called with the number of measurements done and all of them.

    Returns:
        The stages in the order of the line; and seconds per unit of each part of each kind, as of `measure_rates`.
    """
    with tempfile.TemporaryDirectory() as folder, single_thread():
        plan = _plan(Path(folder), device, sample_rate)
        sizes = sizes_of(plan.banks)
        jobs = [(job, work_of(job, sizes)) for job in all_jobs(plan)]
        kinds = {work.kind: work for _, work in jobs}
        singles = _front_end_stages(plan, device, sample_rate)
        stages, rates = list[StepSpeed](), dict[str, tuple[float, ...]]()
        total = len(kinds) + len(singles)
        for done, (name, what, measure) in enumerate(singles, start=1):
            stages.append(StepSpeed(name, what, measure()))
            if on_stage is not None:
                on_stage(done, total)
        for done, (kind, work) in enumerate(kinds.items(), start=len(singles) + 1):
            rates[kind] = work.measure()
            if on_stage is not None:
                on_stage(done, total)
        for job, work in jobs:
            stages += _stages_of(job, work, rates)
    return stages, rates


def _plan(folder: Path, device: str, sample_rate: int) -> Plan:
    """One member of each family, one of which is denoised, and one on embeddings, for four clips of two machines."""
    import soundfile

    from auscult.datasets import load_clips

    members = []
    for name in RECIPES:
        recipe = load_recipe(name)
        member = recipe.members_of(MACHINE_TYPE)[0]
        settings = {**recipe.training_of(member)}
        members.append({**member.model_dump(exclude_none=True), "name": name, "training": settings})
    baseline = members[0]
    members.append({**baseline, "name": "denoised", "denoise_level": 1})
    members.append(
        {"name": "embedded", "family": "autoencoder", "features": {"kind": "openl3"}, "model": {"context": 1}}
    )
    for index in range(4):
        path = folder / MACHINE_TYPE / f"id_0{index % 2}" / "train" / f"{index}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, noise(round(SECONDS * sample_rate)), sample_rate)
    whole = Recipe.model_validate({"name": "bench", "sample_rate": sample_rate, "member": members})
    return make_plan(whole, load_clips(folder, dataset="folder"), NoStore(), device=device, missing=[])


def _front_end_stages(plan: Plan, device: str, sample_rate: int) -> list[tuple[str, str, Callable[[], float]]]:
    """Name, settings and measurement of what stands before the models."""
    from auscult.denoising.streaming import Denoiser
    from auscult.denoising.unet import UNet
    from auscult.features import LogMel
    from auscult.features.openl3 import OpenL3Outline

    path = plan.banks[0].clips[0].path
    network_device = device if device.startswith("cuda") else "cpu"
    log_mel, openl3 = LogMel(sample_rate), OpenL3Outline(device=network_device)
    denoiser = Denoiser(UNet().to(device), sample_rate=sample_rate)
    sound, high = noise(round(SECONDS * sample_rate)), noise(round(SECONDS * openl3.sample_rate))
    short = high[: openl3.sample_rate]
    per_window = SECONDS * openl3.n_windows(len(short)) / openl3.n_windows(len(high))

    def rate(work: Callable[[], object], *devices: str, seconds: float = SECONDS) -> Callable[[], float]:
        def measure() -> float:
            work()  # what is made at the first call is not counted
            return timed(work, clock_of(*devices)) / seconds

        return measure

    to_openl3, from_openl3 = (sample_rate, openl3.sample_rate), (openl3.sample_rate, sample_rate)
    return [
        ("reading", "wav, 16 bits", rate(lambda: read_waveform(path, sample_rate=sample_rate))),
        ("resampling", _rates_text(*to_openl3), rate(lambda: resample(sound, *to_openl3))),
        ("resampling", _rates_text(*from_openl3), rate(lambda: resample(high, *from_openl3))),
        ("log-mel", "1024 / 512, 128 mels", rate(lambda: log_mel(sound))),
        (
            "OpenL3",
            f"each {openl3.hop:g} s, 512 values",
            rate(lambda: openl3(short), network_device, seconds=per_window),
        ),
        ("denoising", "", rate(lambda: denoiser(sound), device)),
    ]


def _rates_text(from_rate: int, to_rate: int) -> str:
    return f"{from_rate / 1000:g} to {to_rate / 1000:g} kHz"


def _stages_of(job: Any, work: Work, rates: Rates) -> Iterator[StepSpeed]:
    """What the rates of a job say of a second of sound; its banks have been measured as single steps."""
    if isinstance(job, DenoiserJob):
        per_mixture = rates[work.kind][0]
        yield StepSpeed("denoiser training", f"batch {job.training.batch_size}", per_mixture / job.settings.seconds)
    elif isinstance(job, MemberJob) and job.name in RECIPES:
        epochs = 1 if job.family == "spectral" else job.training.epochs
        heard = SECONDS * sum(len(bank.clips) for bank in job.train)
        per_unit, per_frame = rates[work.kind]
        frames = sum(size.n_frames for size in sizes_of(job.train).values())
        yield StepSpeed(f"{job.family} training", f"recipe {job.name}", per_unit * work.units[0] / epochs / heard)
        yield StepSpeed(f"{job.family} scoring", "", per_frame * frames / heard)


def machine(device: str) -> dict[str, str]:
    """Where the figures are from: processor, device and the library that computes."""
    import platform

    import torch

    processor = platform.processor() or platform.machine()
    with suppress(OSError, StopIteration):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        processor = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    name = torch.cuda.get_device_name(device) if device.startswith("cuda") else device
    return {"processor": processor, "device": name, "torch": f"torch {torch.__version__}"}


def read_rates(path: Path) -> dict[str, tuple[float, ...]]:
    """The rates in what `auscult bench --json` printed.

    Raises:
        RunError: if the file is missing or is no such output.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] != FORMAT:
            raise ValueError(f"its format is {content['format']}")
        rates = {str(kind): tuple(float(value) for value in values) for kind, values in content["rates"].items()}
        if wrong := [value for values in rates.values() for value in values if not (isfinite(value) and value >= 0)]:
            raise ValueError(f"{wrong[0]} s is no time")
        return rates
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunError(
            f"{path} holds no rates ({error}); write them with `auscult bench --json > {path.name}`"
        ) from error
