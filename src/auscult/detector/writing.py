"""Writing a detector's file: a zip of JSON and safetensors, read again before it is called done."""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from auscult import __version__
from auscult.detector.archive import write_archive
from auscult.detector.contents import Contents, Machine
from auscult.detector.file import FORMAT, read_detector
from auscult.errors import DetectorError
from auscult.features.front_end import FrontEnd
from auscult.members.entries import channel_entry
from auscult.members.part import Part, Scored
from auscult.processes import single_thread
from auscult.scores.pooling import lasting_name

MOST_SECONDS = 60.0
"""Of the noise by whose score a file that was written is compared with what should be in it."""


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
        folders = [part.front_end.features.arguments().get("weights") for part in contents.parts]
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
    shape = n_samples if isinstance(contents.channel, int) else (n_samples, 2)
    noise = np.random.default_rng(0).normal(0.0, 0.1, shape).astype(np.float32)
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
    return {"features": config, **channel_entry(front_end.channel), "denoiser": entry, **named}


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
