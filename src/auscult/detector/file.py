"""The detector's file: a zip of JSON and safetensors with everything that a detector needs; no pickle."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from auscult import __version__
from auscult.detector.alarms import AlarmSettings
from auscult.detector.archive import ADVICE, read_archive, write_archive
from auscult.detector.calibration import Calibration
from auscult.detector.description import FORMAT, Description, MachineEntry
from auscult.errors import AuscultError, DetectorError, WeightsError
from auscult.features.front_end import FrontEnd
from auscult.members.part import Part
from auscult.members.rebuilding import front_end_of, model_of
from auscult.scores.pooling import POOLINGS
from auscult.sound.condition import Condition

if TYPE_CHECKING:
    from auscult.detector.detector import Detector, Machine


def write_detector(detector: "Detector", path: Path) -> None:
    """Write a detector's file by way of a temporary name; the same detector gives the same bytes.

    Raises:
        RunError: if the disk is full or the folder cannot be written to.
    """
    blobs: dict[str, bytes] = {}
    front_ends = list({id(part.front_end): part.front_end for part in detector.parts}.values())
    places = {id(front_end): place for place, front_end in enumerate(front_ends)}
    description = {
        "format": FORMAT,
        "auscult": __version__,
        "window_seconds": detector.window_seconds,
        "step_seconds": detector.step_seconds,
        "alarm": detector.alarm.to_json(),
        "machines": [
            {
                "name": machine.name,
                "machine_id": machine.machine_id,
                "calibration": None if machine.calibration is None else machine.calibration.to_json(),
                "condition": None if machine.condition is None else machine.condition.to_json(),
            }
            for machine in detector.machines.values()
        ],
        "front_ends": [_front_end_entry(front_end, blobs) for front_end in front_ends],
        "parts": [_part_entry(part, places[id(part.front_end)], blobs) for part in detector.parts],
        "provenance": dict(detector.provenance),
        "licence": detector.licence,
    }
    write_archive(path, description, blobs)


def _front_end_entry(front_end: FrontEnd, blobs: dict[str, bytes]) -> dict[str, Any]:
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
    return {"features": front_end.features.config(), "channel": front_end.channel, "denoiser": entry}


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
        "pooling": part.pooling,
        "mean": part.mean,
        "sd": part.sd,
        "weight": part.weight,
    }


def _bytes_of(tensors: Mapping[str, Any]) -> bytes:
    from safetensors.torch import save

    return save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()})


def read_detector(path: Path, *, device: str) -> dict[str, Any]:
    """The arguments of a `Detector` from its file, which need not be trusted.

    Raises:
        DetectorError: for anything wrong in it.
    """
    content, blobs = read_archive(path)
    if content.get("format") != FORMAT:
        raise DetectorError(
            f"{path} has the format {str(content.get('format'))[:20]!r}; this is auscult {__version__}, which reads "
            f"format {FORMAT}. Use the version that wrote it, auscult {str(content.get('auscult'))[:20]}"
        )
    try:
        described = Description.model_validate(content)
        front_ends = [front_end_of(entry, blobs, device=device) for entry in described.front_ends]
        parts = _parts(described, front_ends, blobs, device=device)
        found: dict[str, Any] = {
            "parts": parts,
            "machines": _machines(described.machines, parts),
            "window_seconds": described.window_seconds,
            "step_seconds": described.step_seconds,
            "alarm": AlarmSettings.from_json(described.alarm),
            "provenance": described.provenance,
            "licence": described.licence,
        }
        _check_window(described, parts)
    except ValidationError as error:
        problem = error.errors()[0]
        place = ".".join(str(part) for part in problem["loc"])[:200]
        raise DetectorError(f"{path} is damaged: {place}: {problem['msg']}; {ADVICE}") from error
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
    return found


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
        if entry.pooling is not None and entry.pooling not in POOLINGS:
            raise DetectorError(f"the pooling {entry.pooling!r}; known are {', '.join(POOLINGS)}")
        parts.append(
            Part(entry.name, entry.family, front_end, model, entry.pooling, entry.mean, entry.sd, entry.weight)
        )
    if len({part.name for part in parts}) < len(parts):
        raise DetectorError("two members of one name")
    return parts


def _machines(entries: Sequence[MachineEntry], parts: Sequence[Part]) -> "dict[str, Machine]":
    from auscult.detector.detector import Machine

    machines = {}
    for entry in entries:
        if entry.name in machines:
            raise DetectorError(f"two machines named {entry.name!r}")
        for part in parts:
            if part.model.knows_ids and entry.machine_id not in part.model.ids:
                raise DetectorError(f"the machine {entry.name!r}, which the member {part.name!r} does not know")
        machines[entry.name] = Machine(
            entry.name,
            entry.machine_id,
            None if entry.calibration is None else Calibration.from_json(entry.calibration),
            None if entry.condition is None else Condition.from_json(entry.condition),
        )
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
