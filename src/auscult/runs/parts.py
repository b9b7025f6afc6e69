"""The parts of a run: what it writes down of each member beside the member's weights, for `auscult pack` to read."""

import json
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import ValidationError

from auscult.denoising.levels import level_file, read_levels
from auscult.errors import RunError
from auscult.members.entries import Entry, FrontEndEntry, PartEntry, channel_entry
from auscult.members.scaling import Method
from auscult.runs.jobs import denoiser_folder, read_scores
from auscult.runs.plan import BankJob, MemberJob
from auscult.runs.store import Store
from auscult.scores.ensemble.columns import mean_and_deviation
from auscult.scores.pooling import lasting_name


class RunPart(Entry):
    """A member as a run made it, by the entries that a detector's file has of it.

    Attributes:
        format: version of the file.
        part: its tensors lie beside this file; on its own scale, of weight 1.
        front_end: the tensors of a denoiser lie in the run's store.
        heard: SHA-256 of each clip that it was trained on, or standardised by.
        scale: by what it is standardised; an older run's members by their training clips.
    """

    format: Literal[1]
    part: PartEntry
    front_end: FrontEndEntry
    heard: list[str]
    scale: Method = "training"


def part_of(job: MemberJob, store: Store, *, weights: str) -> RunPart:
    """What there is to write down of a finished member.

    Args:
        job: of the run.
        store: of its artefacts.
        weights: name of the file that will hold its tensors.

    Raises:
        ModelError, RunError: if its denoiser or its scores are damaged.
    """
    scores = read_scores(store, job)
    normal = np.array([score for bank in job.train for score in scores[bank.key]])
    mean, sd = mean_and_deviation(normal[~np.isnan(normal)])
    bank = job.train[0]
    content = {
        "format": 1,
        "part": {
            "name": job.name,
            "family": job.family,
            "front_end": 0,
            "arguments": job.arguments,
            "ids": sorted({clip.machine_id for bank in job.train for clip in bank.clips}),
            "tensors": weights,
            "pooling": lasting_name(job.pooling),
            "mean": mean,
            "sd": sd,
            "weight": 1.0,
            "curve": job.scaling.curve,
        },
        "front_end": {
            "features": bank.facts["features"],
            **channel_entry(bank.channel),
            "denoiser": _denoiser_of(bank, store),
        },
        "heard": sorted({str(content) for bank in (*job.train, *job.others) for content, *_ in bank.facts["clips"]}),
        "scale": job.scaling.method,
    }
    return RunPart.model_validate_json(json.dumps(content))


def _denoiser_of(bank: BankJob, store: Store) -> dict[str, Any] | None:
    if bank.denoiser is None:
        return None
    folder = denoiser_folder(store, bank.denoiser)
    found = read_levels(folder)
    return {
        **{name: found.arguments[name] for name in ("n_fft", "hop_length", "channels")},
        "sample_rate": found.sample_rate,
        "tensors": level_file(folder, bank.level).relative_to(store.folder).as_posix(),
    }


def read_part(run: Path, machine_type: str, member: str) -> RunPart:
    """What a run folder says of a member, of its first seed.

    Raises:
        RunError: if it says nothing, or the file is damaged.
    """
    path = run / "weights" / machine_type / f"{member}.json"
    try:
        return RunPart.model_validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise RunError(
            f"{path} is not there: an older auscult made the run, or the file was removed. The same `auscult run` "
            "command writes it, and trains nothing again that the run's store holds"
        ) from error
    except (OSError, ValidationError) as error:
        raise RunError(f"{path} is damaged ({error}); the same `auscult run` command writes it again") from error
