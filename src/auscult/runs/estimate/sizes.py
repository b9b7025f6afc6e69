"""Sizes: frames and bytes of banks before they are computed, parameters of models before they are made."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from auscult.clips import Clip
from auscult.features import FEATURES, Features
from auscult.models import MODELS
from auscult.runs.plan import BankJob, MemberJob, Plan
from auscult.sound.audio import AudioInfo, probe


@dataclass(frozen=True, slots=True)
class BankSize:
    """What a bank will hold.

    Attributes:
        n_clips: C.
        n_frames: of all clips together.
        shortest: frames of the shortest clip.
        n_bins: width F of a frame.
        sample_rate: of the first clip's file, in Hz.
        channels: of the first clip's file.
    """

    n_clips: int
    n_frames: int
    shortest: int
    n_bins: int
    sample_rate: int
    channels: int

    @property
    def n_bytes(self) -> int:
        """On disk: float32."""
        return 4 * self.n_frames * self.n_bins


def sizes_of(banks: Iterable[BankJob]) -> dict[str, BankSize]:
    """Size of each bank by its key, from the headers of the clips' files.

    Raises:
        AudioError: if a header cannot be read.
    """
    read: dict[tuple[str, str, str], list[AudioInfo]] = {}  # banks of one part differ in their features alone
    found = {}
    for bank in banks:
        part = (bank.machine_type, bank.split, bank.subset)
        if part not in read:
            read[part] = _headers(bank.clips)
        features, first = outline_of(bank), read[part][0]
        frames = [features.n_frames(round(info.duration * features.sample_rate)) for info in read[part]]
        found[bank.key] = BankSize(
            len(frames), sum(frames), min(frames), features.n_bins, first.sample_rate, first.channels
        )
    return found


def too_short(plan: Plan) -> list[str]:
    """A sentence for each machine type that has clips of fewer frames than a member needs; such a member would fail.

    Raises:
        AudioError: if a header cannot be read.
    """
    sizes, sentences = sizes_of(plan.banks), []
    for machine_type in plan.machine_types:
        needed: dict[str, int] = {}
        for job in plan.members_of(machine_type):
            frames = min(sizes[bank.key].shortest for bank in (*job.train, *job.test))
            least = MODELS[job.family](**job.arguments).frame_context
            if frames < least:
                needed[job.name] = least
        if needed:
            names = ", ".join(f"{name} (at least {least})" for name, least in needed.items())
            sentences.append(
                f"{machine_type}: a clip has too few frames for {names}; a run would fail at these members"
            )
    return sentences


def _headers(clips: Iterable[Clip]) -> list[AudioInfo]:
    """Headers of the clips' files; wav files of one folder and size have the same, so that one of them is read."""
    known: dict[tuple[Path, int], AudioInfo] = {}
    found = []
    for clip in clips:
        path = clip.path
        is_wav = path.suffix.lower() == ".wav" and path.is_file()
        place = (path.parent, path.stat().st_size) if is_wav else (path, 0)
        if place not in known:
            known[place] = probe(path)
        found.append(known[place])
    return found


def outline_of(bank: BankJob) -> Features:
    """The features of a bank, without the files that they may need."""
    arguments = {name: value for name, value in bank.features.items() if name != "kind"}
    return FEATURES[bank.features["kind"]].outline(**arguments)


def n_parameters(job: MemberJob) -> int:
    """Trained parameters of a member."""
    n_ids = 1
    if MODELS[job.family].knows_ids:
        n_ids = len({clip.machine_id for bank in job.train for clip in bank.clips})
    return _counted(job.family, json.dumps(job.arguments), n_ids)


@lru_cache(maxsize=1024)
def _counted(family: str, arguments: str, n_ids: int) -> int:
    """Counted on the network itself, whose values are never made."""
    ids = [f"id_{index:02d}" for index in range(n_ids)]
    return MODELS[family].outlined(_tuples(json.loads(arguments)), ids).n_parameters


@lru_cache(maxsize=1)
def denoiser_parameters() -> int:
    """Trained parameters of a denoiser."""
    from auscult.denoising.unet import UNet

    return UNet().n_parameters


def _tuples(arguments: dict[str, Any]) -> dict[str, Any]:
    return {
        name: tuple(value) if isinstance(value, Sequence) and not isinstance(value, str) else value
        for name, value in arguments.items()
    }
