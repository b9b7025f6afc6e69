"""Denoisers of a run: which machine types need one, and the jobs that train them."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from auscult.clips import Clip
from auscult.denoising.learn import (
    DenoiserSettings,
    choose_clean,
    choose_noise,
    denoiser_training,
    supplemental_clean,
)
from auscult.denoising.sounds import CleanSound, find_sounds
from auscult.errors import RecipeError, noting
from auscult.recipe import Recipe
from auscult.runs.store import Store, environment, key_of
from auscult.training import Training

Supplemental = tuple[Sequence[Clip], Sequence[Clip]]
"""Of a data set, beside its clips: those of machines alone, and those of noise alone."""


@dataclass(frozen=True, slots=True)
class DenoiserJob:
    """Train the denoiser of one machine type, in all its levels."""

    machine_type: str
    clean: tuple[CleanSound, ...]
    noise: tuple[Clip, ...]
    settings: DenoiserSettings
    training: Training
    facts: dict[str, Any]
    key: str

    @property
    def label(self) -> str:
        """Name for progress bars."""
        return f"{self.machine_type} denoiser"


def needs_denoiser(recipe: Recipe, machine_types: Sequence[str]) -> bool:
    """Whether a member for one of these machine types is denoised."""
    return any(member.level for machine_type in machine_types for member in recipe.members_of(machine_type))


def plan_denoisers(
    recipe: Recipe,
    machine_types: Sequence[str],
    *,
    clean: Path | None,
    clips: Sequence[Clip],
    supplemental: Supplemental,
    store: Store,
    device: str,
    missing: list[str] | None = None,
) -> dict[str, DenoiserJob]:
    """The denoisers that a recipe's members need, by machine type.

    Args:
        recipe: what to train.
        machine_types: those of the run.
        clean: folder of clean sounds.
        clips: of all machine types of the data, also of those that the run leaves out: they are the noise.
        supplemental: a machine type's own clean clips take the place of the folder's, and its noise joins the others.
        store: remembers the files' content hashes.
        device: on which to train and to denoise.
        missing: takes down which sounds are missing, instead of an error; the jobs then lack them.

    Raises:
        RecipeError: if a member needs a denoiser and there are no clean sounds.
        DatasetError: if clean sounds or noise are missing.
    """
    wanted = [machine_type for machine_type in machine_types if needs_denoiser(recipe, [machine_type])]
    if not wanted:
        return {}
    own = supplemental if recipe.denoiser.supplemental is not False else ((), ())
    found = {machine_type: supplemental_clean(own[0], machine_type) for machine_type in wanted}
    if lacking := [machine_type for machine_type in wanted if not found[machine_type]]:
        with noting(missing):
            found |= dict.fromkeys(lacking, _clean_sounds(recipe, lacking, clean))
    jobs = {}
    for machine_type in wanted:
        sounds: tuple[CleanSound, ...] = ()
        noise: tuple[Clip, ...] = ()
        with noting(missing):
            sounds = choose_clean(found[machine_type]) if found[machine_type] else ()
        with noting(missing):
            noise = choose_noise(clips, machine_type, alone=own[1])
        hashes = store.content_hashes([sound.path for sound in sounds])
        heard = [[digest, sound.label, sound.recording] for digest, sound in zip(hashes, sounds, strict=True)]
        table = recipe.denoiser.model_dump(exclude_none=True, exclude={"supplemental"})
        of_settings = {name: table.pop(name) for name in DenoiserSettings.__dataclass_fields__ if name in table}
        settings = DenoiserSettings(**{"channel": recipe.channel, **of_settings})
        training = denoiser_training(**{"seed": recipe.seed, "device": device, **table})
        facts = {
            "machine_type": machine_type,
            "clean": heard,
            "noise": store.content_hashes([clip.path for clip in noise]),
            "settings": asdict(settings),
            "training": asdict(training),
            "threads": 1,
            "libraries": environment(),
        }
        jobs[machine_type] = DenoiserJob(
            machine_type, sounds, noise, settings, training, facts, key_of("denoiser", facts)
        )
    return jobs


def _clean_sounds(recipe: Recipe, wanted: Sequence[str], clean: Path | None) -> list[CleanSound]:
    if clean is None:
        names = dict.fromkeys(member.name for kind in wanted for member in recipe.members_of(kind) if member.level)
        raise RecipeError(
            f"the recipe {recipe.name!r} denoises for {', '.join(names)}, and a denoiser learns from clean mechanical "
            "sounds: give their folder with --clean (any folder of sounds, ESC-50, clips of AudioSet), set "
            "denoise_level to 0, or leave these members out with --without denoiser"
        )
    return find_sounds(clean)
