"""The speed of each step of the line on this machine, from the work in a made-up plan."""

import inspect
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from auscult.features import FEATURES, Features
from auscult.models import MODELS
from auscult.processes import single_thread
from auscult.recipe import Recipe, builtin_recipes
from auscult.runs.denoisers import DenoiserJob
from auscult.runs.estimate import Outlook
from auscult.runs.plan import Plan, make_plan
from auscult.runs.store import NoStore
from auscult.runs.work import noise, timed
from auscult.sound.audio import read_waveform, resample

SECONDS, SAMPLE_RATE = 10.0, 16000
"""Length of a clip, and its rate in Hz, as in the challenge."""

MACHINE_TYPE, N_CLIPS = "fan", 4


@dataclass(frozen=True, slots=True)
class StepSpeed:
    """The speed of one step, in one process with one thread.

    Attributes:
        name: of the step.
        seconds: for a second of sound: the real-time factor. A training goes through the sound once in an epoch.
    """

    name: str
    seconds: float

    @property
    def clips_per_second(self) -> float:
        """Clips of 10 s."""
        return 1 / (SECONDS * self.seconds)


def measure_steps(
    *, device: str, on_step: Callable[[int, int], None] | None = None
) -> tuple[list[StepSpeed], dict[str, float]]:
    """Measure each step for a fraction of a second, on noise, with the code of a run; networks have random weights.

    Args:
        device: on which networks compute; all else computes on a processor.
        on_step: called with the number of measurements done and all of them.

    Returns:
        The steps in the order of the line; and seconds per unit of each kind of work, as of `Outlook.rates`.
    """
    with tempfile.TemporaryDirectory() as folder, single_thread():
        outlook = Outlook(_plan(Path(folder), device), NoStore())
        path, sound = outlook.plan.banks[0].clips[0].path, noise(round(SECONDS * SAMPLE_RATE))
        steps = {
            "reading": timed(lambda: read_waveform(path, sample_rate=SAMPLE_RATE)) / SECONDS,
            "resampling": timed(lambda: resample(sound, SAMPLE_RATE, 3 * SAMPLE_RATE)) / SECONDS,
        }
        rates = outlook.rates({}, on_kind=on_step)
    for job in outlook.jobs:
        for work in () if isinstance(job, DenoiserJob) else outlook.left[job.key]:
            name = work.kind.partition(" {")[0]
            clips = 2 * N_CLIPS if name.endswith("scoring") else N_CLIPS  # training clips are scored twice
            steps.setdefault(name, work.units * rates[work.kind] / SECONDS / clips)
    return [StepSpeed(name, seconds) for name, seconds in steps.items()], rates


BESIDE = ("autoencoder", "spectral")
"""Families that stand beside the others in recipes."""


def _plan(folder: Path, device: str) -> Plan:
    """A member of each family, as a built-in recipe has it, and one of each kind of features, for clips of noise."""
    import soundfile

    from auscult.datasets import load_clips

    members: list[dict[str, Any]] = []
    for family in MODELS:
        alone = [
            (recipe, member)
            for recipe in builtin_recipes().values()
            for member in recipe.members_of(MACHINE_TYPE)
            if {one.family for one in recipe.member} <= {family, *BESIDE}
            and member.family == family
            and not member.optional
            and member.features.get("kind", "log_mel") == "log_mel"
        ]
        for recipe, member in sorted(alone, key=lambda pair: len(pair[0].member))[:1]:
            training = {**recipe.training_of(member), "epochs": 1}
            members.append({**member.model_dump(exclude_none=True), "name": family, "training": training})
        if not alone:
            members.append({"name": family, "family": family, "training": {"epochs": 1}})
    kinds = [name for name, kind in FEATURES.items() if not _wanted(kind)]
    members += [{"name": kind, "family": "spectral", "features": {"kind": kind}} for kind in kinds]
    members.append({"name": "denoised", "family": "spectral", "denoise_level": 1})
    for index in range(N_CLIPS):
        path = folder / MACHINE_TYPE / f"id_0{index % 2}" / "train" / f"{index}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, noise(round(SECONDS * SAMPLE_RATE)), SAMPLE_RATE)
    recipe = Recipe.model_validate({"name": "bench", "sample_rate": SAMPLE_RATE, "member": members})
    return make_plan(recipe, load_clips(folder, dataset="folder"), NoStore(), device=device, missing=[])


def _wanted(kind: type[Features]) -> list[str]:
    """What a recipe has to say of features of a kind."""
    arguments = inspect.signature(kind).parameters.values()
    return [one.name for one in arguments if one.default is one.empty and one.name != "sample_rate"]


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
