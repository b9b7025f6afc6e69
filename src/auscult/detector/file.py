"""The detector's file: a zip of JSON and safetensors with everything that a detector needs; no pickle."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import FailFast, Field, JsonValue, ValidationError
from pydantic_core import from_json

from auscult import __version__
from auscult.detector.alarms import AlarmSettings
from auscult.detector.archive import ADVICE, DESCRIPTION, read_archive
from auscult.detector.calibration.result import Calibration
from auscult.detector.contents import Machine
from auscult.errors import AuscultError, DetectorError, WeightsError
from auscult.features.front_end import FrontEnd
from auscult.members.entries import Entry, FrontEndEntry, Name, PartEntry
from auscult.members.part import Part
from auscult.members.rebuilding import front_end_of, model_of, tensors_of
from auscult.scores.fusion import Fusion
from auscult.scores.pooling import POOLINGS, REDEFINED, name_today
from auscult.sound.condition import Condition, Origin

FORMAT = 1
"""Version of the files."""

MOST_KEYS = 64
"""In one place of a description."""


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
    if len({front_end.channel for front_end in front_ends}) > 1:
        raise DetectorError("members that hear different channels")
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
