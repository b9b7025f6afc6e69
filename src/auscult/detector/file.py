"""The detector's file: a zip of JSON and safetensors with everything that a detector needs; no pickle."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import FailFast, Field, JsonValue, ValidationError
from pydantic_core import from_json

from auscult import __version__
from auscult.detector.alarms import AlarmSettings
from auscult.detector.archive import ADVICE, DESCRIPTION, read_archive, write_archive
from auscult.detector.calibration.result import Calibration
from auscult.detector.contents import Contents, Machine
from auscult.errors import AuscultError, DetectorError, WeightsError
from auscult.features.front_end import FrontEnd
from auscult.members.entries import Entry, FrontEndEntry, Name, PartEntry
from auscult.members.part import Part, Scored
from auscult.members.rebuilding import front_end_of, model_of, tensors_of
from auscult.processes import single_thread
from auscult.scores.ensemble.fusion import Fusion
from auscult.scores.pooling import POOLINGS, REDEFINED, lasting_name, name_today
from auscult.sound.condition import Condition, Origin

FORMAT = 1
"""Version of the files."""

MOST_KEYS = 64
"""In one place of a description."""

MOST_SECONDS = 60.0
"""Of the noise by whose score a file that was written is compared with what should be in it."""


class MachineEntry(Entry):
    """A machine with its calibration and condition."""

    name: Name
    machine_id: str = Field(max_length=200)
    calibration: Calibration | None
    condition: Condition | None
    origin: Origin | None = None
    normal: Name | None = None


class Description(Entry):
    """All of a file but the tensors: typed and limited, so that nothing absurd is ever built from it."""

    format: int
    auscult: str
    window_seconds: float = Field(ge=0.1, le=3600)
    step_seconds: float = Field(ge=0.01, le=3600)
    alarm: AlarmSettings
    machines: Annotated[list[MachineEntry], Field(min_length=1, max_length=10000), FailFast()]
    front_ends: Annotated[list[FrontEndEntry], Field(min_length=1, max_length=256), FailFast()]
    parts: Annotated[list[PartEntry], Field(min_length=1, max_length=256), FailFast()]
    provenance: dict[str, JsonValue]
    licence: str
    fusion: Fusion = "mean"


def save_checked(contents: Contents, path: Path, *, carry: bool = True) -> None:
    """Write a detector's file by way of a temporary name, read it, and let it score a window of noise.

    Args:
        contents: what to write.
        path: of the file.
        carry: whether the file holds the weights of encoders, too, where it can.

    Raises:
        DetectorError: if what was read does not score as what was written; nothing is left under the name.
        RunError: if the disk is full or the folder cannot be written to.
    """
    from auscult.files import replacing

    with replacing(path) as temporary:
        write_detector(contents, temporary, carry=carry)
        folders = [getattr(part.front_end.features, "weights", None) for part in contents.parts]
        weights = next((Path(folder) for folder in folders if folder), None)
        device = str(contents.parts[0].model.device)
        with single_thread():
            found = _score_of_noise(Contents(**read_detector(temporary, device=device, weights=weights)))
            expected = _score_of_noise(contents)
        if found != expected:
            raise DetectorError(
                f"{path} was written, and what was read from it scores {found.score!r} where the detector scores "
                f"{expected.score!r}; nothing is left of it. Check the disk, and make the detector again"
            )


def _score_of_noise(contents: Contents) -> Scored:
    n_samples = contents.samples(min(contents.window_seconds, MOST_SECONDS))
    noise = np.random.default_rng(0).normal(0.0, 0.1, n_samples).astype(np.float32)
    machine = next(iter(contents.machines.values()))
    return contents.scorer.score(noise, machine.machine_id, sample_rate=contents.sample_rate)


def write_detector(contents: Contents, path: Path, *, carry: bool = True) -> None:
    """Write a detector's file; the same detector gives the same bytes.

    Raises:
        OSError: if the disk is full or the folder cannot be written to.
    """
    blobs: dict[str, bytes] = {}
    front_ends = list({id(part.front_end): part.front_end for part in contents.parts}.values())
    places = {id(front_end): place for place, front_end in enumerate(front_ends)}
    description = {
        "format": FORMAT,
        "auscult": __version__,
        "window_seconds": contents.window_seconds,
        "step_seconds": contents.step_seconds,
        "alarm": asdict(contents.alarm),
        "machines": [
            {
                "name": machine.name,
                "machine_id": machine.machine_id,
                "calibration": None if machine.calibration is None else asdict(machine.calibration),
                "condition": None if machine.condition is None else asdict(machine.condition),
                "origin": None if machine.origin is None else asdict(machine.origin),
                "normal": _normal_entry(machine, blobs),
            }
            for machine in contents.machines.values()
        ],
        "front_ends": [_front_end_entry(front_end, blobs, carry=carry) for front_end in front_ends],
        "parts": [_part_entry(part, places[id(part.front_end)], blobs) for part in contents.parts],
        "provenance": dict(contents.provenance),
        "licence": contents.licence,
        **({} if contents.fusion == "mean" else {"fusion": contents.fusion}),
    }
    write_archive(path, description, blobs)


def _front_end_entry(front_end: FrontEnd, blobs: dict[str, bytes], *, carry: bool) -> dict[str, Any]:
    denoiser, entry = front_end.denoiser, None
    if denoiser is not None:
        name = f"denoisers/{len(blobs)}.safetensors"
        blobs[name] = _bytes_of(denoiser.unet.state_dict())
        unet = denoiser.unet
        entry = {
            "n_fft": unet.n_fft,
            "hop_length": unet.hop_length,
            "channels": list(unet.channels),
            "sample_rate": denoiser.sample_rate,
            "tensors": name,
        }
    config, weights = front_end.features.carried() if carry else (front_end.features.config(), {})
    files = {name: f"encoders/{hashlib.sha256(content).hexdigest()[:24]}" for name, content in weights.items()}
    blobs.update((files[name], content) for name, content in weights.items())
    named = {"files": files} if files else {}
    return {"features": config, "channel": front_end.channel, "denoiser": entry, **named}


def _normal_entry(machine: Machine, blobs: dict[str, bytes]) -> str | None:
    if machine.normal is None:
        return None
    import torch

    name = f"normal/{len(blobs)}.safetensors"
    blobs[name] = _bytes_of({key: torch.from_numpy(values) for key, values in machine.normal.items()})
    return name


def _part_entry(part: Part, front_end: int, blobs: dict[str, bytes]) -> dict[str, Any]:
    name = f"members/{len(blobs)}.safetensors"
    blobs[name] = _bytes_of(part.model.state_dict())
    return {
        "name": part.name,
        "family": part.family,
        "front_end": front_end,
        "arguments": part.model.arguments,
        "ids": list(part.model.ids),
        "tensors": name,
        "pooling": lasting_name(part.pooling),
        "mean": part.mean,
        "sd": part.sd,
        "weight": part.weight,
        **({} if part.curve == "line" else {"curve": part.curve}),
    }


def _bytes_of(tensors: Mapping[str, Any]) -> bytes:
    from safetensors.torch import save

    return save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()})


def read_detector(path: Path, *, device: str, weights: Path | None = None) -> dict[str, Any]:
    """The contents of a detector from its file, which need not be trusted.

    Args:
        path: of the file.
        device: on which to score.
        weights: folder of published weights; if none is given, the environment variable `AUSCULT_WEIGHTS` names it.

    Raises:
        DetectorError: for anything wrong in it.
    """
    text, blobs = read_archive(path)
    described, provenance = _described(path, text)
    try:
        return {**_contents(described, blobs, device=device, weights=weights), "provenance": provenance}
    except WeightsError as error:
        raise DetectorError(f"{path} needs published weights: {error}") from error
    except (
        AuscultError,
        ArithmeticError,
        AttributeError,
        LookupError,
        MemoryError,
        RecursionError,
        RuntimeError,  # of torch, for sizes that it cannot make
        TypeError,
        ValueError,
    ) as error:
        raise DetectorError(f"{path} is damaged or not to be trusted: it has {_line(error)}; {ADVICE}") from error


def _described(path: Path, text: bytes) -> tuple[Description, dict[str, Any]]:
    """What a file says, and of what it was made; mistakes are counted before they are listed, which takes long."""
    try:
        content = from_json(text, allow_inf_nan=False)
    except ValueError as error:
        raise DetectorError(f"{path}: {DESCRIPTION} is no JSON that can be read ({error}); {ADVICE}") from error
    if not isinstance(content, dict) or not isinstance(provenance := content.get("provenance"), dict):
        raise DetectorError(f"{path}: {DESCRIPTION} describes no detector; {ADVICE}")
    if content.get("format") != FORMAT:
        raise DetectorError(
            f"{path} has the format {str(content.get('format'))[:20]!r}; this is auscult {__version__}, which reads "
            f"format {FORMAT}. Use the version that wrote it, auscult {str(content.get('auscult'))[:20]}"
        )
    try:
        rest = {**content, "provenance": {}}
        _check_keys(rest)
        return Description.model_validate_json(json.dumps(rest)), provenance
    except ValidationError as error:
        wrong = error.errors(include_input=False)[0]
        place = ".".join(str(part) for part in wrong["loc"])[:200]
        raise DetectorError(f"{path} is damaged: {place}: {wrong['msg']}; {ADVICE}") from error
    except AuscultError as error:
        raise DetectorError(f"{path} is damaged: it has {error}; {ADVICE}") from error


def _check_keys(content: Any) -> None:
    ahead = [content]
    while ahead:
        value = ahead.pop()
        if isinstance(value, dict):
            if len(value) > MOST_KEYS:
                raise DetectorError(f"{len(value)} keys in one place, where at most {MOST_KEYS} have a meaning")
            ahead += value.values()
        elif isinstance(value, list):
            ahead += value


def _contents(
    described: Description, blobs: Mapping[str, bytes], *, device: str, weights: Path | None
) -> dict[str, Any]:
    front_ends = [front_end_of(entry, blobs, device=device, weights=weights) for entry in described.front_ends]
    parts = _parts(described, front_ends, blobs, device=device)
    _check_window(described, parts)
    return {
        "parts": parts,
        "machines": _machines(described.machines, parts, blobs),
        "window_seconds": described.window_seconds,
        "step_seconds": described.step_seconds,
        "alarm": described.alarm,
        "licence": described.licence,
        "fusion": described.fusion,
    }


def _line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:500].rstrip(".")


def _parts(
    described: Description, front_ends: Sequence[FrontEnd], blobs: Mapping[str, bytes], *, device: str
) -> list[Part]:
    parts = []
    for entry in described.parts:
        if entry.front_end >= len(front_ends):
            raise DetectorError(f"{len(front_ends)} front ends, and the member {entry.name!r} takes another")
        model, front_end = model_of(entry, blobs, device=device), front_ends[entry.front_end]
        if model.n_bins != front_end.features.n_bins:
            raise DetectorError(
                f"the member {entry.name!r} for {model.n_bins} bins at a front end of {front_end.features.n_bins}"
            )
        if (model.default_pooling is None) != (entry.pooling is None) and entry.pooling is not None:
            raise DetectorError(f"the pooling {entry.pooling!r} of {entry.name!r}, whose family takes none")
        if entry.pooling in REDEFINED:
            raise DetectorError(
                f"the pooling {entry.pooling!r} of {entry.name!r} by an older definition, to which its scale belongs; "
                "learn or pack the detector again"
            )
        pooling = name_today(entry.pooling)
        if entry.pooling is not None and pooling is None:
            raise DetectorError(f"the pooling {entry.pooling!r}; known are {', '.join(POOLINGS)}")
        scale = (entry.mean, entry.sd, entry.weight, entry.curve)
        parts.append(Part(entry.name, entry.family, front_end, model, pooling, *scale))
    if len({part.name for part in parts}) < len(parts):
        raise DetectorError("two members of one name")
    return parts


def _machines(entries: Sequence[MachineEntry], parts: Sequence[Part], blobs: Mapping[str, bytes]) -> dict[str, Machine]:
    machines = {}
    for entry in entries:
        if entry.name in machines:
            raise DetectorError(f"two machines named {entry.name!r}")
        for part in parts:
            if part.model.knows_ids and entry.machine_id not in part.model.ids:
                raise DetectorError(f"the machine {entry.name!r}, which the member {part.name!r} does not know")
        normal = None
        if entry.normal is not None:
            normal = {name: tensor.double().numpy() for name, tensor in tensors_of(blobs, entry.normal).items()}
        judged = entry.calibration, entry.condition, entry.origin
        machines[entry.name] = Machine(entry.name, entry.machine_id, *judged, normal)
    return machines


def _check_window(described: Description, parts: Sequence[Part]) -> None:
    """Refuse windows that a member could not score."""
    for part in parts:
        features = part.front_end.features
        frames = features.n_frames(round(described.window_seconds * features.sample_rate))
        if not part.model.frame_context <= frames <= 10**7:
            raise DetectorError(
                f"windows of {described.window_seconds:g} s, {frames} frames of the member {part.name!r}, which needs "
                f"{part.model.frame_context}"
            )
