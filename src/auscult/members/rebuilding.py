"""From the entries of a detector's file to front ends and models: shapes are compared before anything is built."""

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from auscult.errors import DetectorError
from auscult.features import FEATURES, Features, features_of
from auscult.features.front_end import FrontEnd
from auscult.members.entries import DenoiserEntry, FrontEndEntry, PartEntry
from auscult.members.making import check_arguments, known
from auscult.models import MODELS, Model
from auscult.models.saved import filled

if TYPE_CHECKING:
    from auscult.denoising.streaming import Denoiser

MOST, MOST_NUMBERS = 2**20, 256
"""Greatest whole number among arguments whose class has no other `limits`, and how many there may be."""


def front_end_of(
    entry: FrontEndEntry, blobs: Mapping[str, bytes], *, device: str, weights: Path | None = None
) -> FrontEnd:
    """The front end that an entry describes; `weights` is the folder of published ones, for features that need them.

    Raises:
        AuscultError, or what constructors raise for arguments that do not fit.
    """
    denoiser = None if entry.denoiser is None else _denoiser(entry.denoiser, blobs, device=device)
    if entry.files:
        return FrontEnd(_unpacked(entry, blobs, device=device), channel=entry.microphones, denoiser=denoiser)
    features = _features(entry.features, device=device, weights=weights)
    return FrontEnd(features, channel=entry.microphones, denoiser=denoiser)


def _unpacked(entry: FrontEndEntry, blobs: Mapping[str, bytes], *, device: str) -> Features:
    """Features whose weights the file carries: they see them as a folder of weights, which is gone afterwards."""
    files = {}
    for name, blob in entry.files.items():
        if Path(name).name != name or name.startswith(".") or "\\" in name:
            raise DetectorError(f"a file of weights with the name {name!r}, which is a path")
        if blob not in blobs:
            raise DetectorError(f"no entry {blob!r}, which it names")
        files[name] = blobs[blob]
    with TemporaryDirectory(prefix="auscult-") as folder:
        for name, content in files.items():
            (Path(folder) / name).write_bytes(content)
        features = _features(entry.features, device=device, weights=Path(folder))
    features.kept = files
    for place in features.places:
        setattr(features, place, None)
    return features


def _features(config: Mapping[str, Any], *, device: str, weights: Path | None) -> Features:
    kind = known(config.get("kind"), FEATURES, f"features of kind {config.get('kind')!r}")
    arguments = {name: value for name, value in config.items() if name != "kind"}
    if named := kind.places & arguments.keys():
        raise DetectorError(f"features with a place, {min(named)}, which a detector never names")
    if "device" in arguments:
        arguments["device"] = device
    _check(arguments, kind, f"features of kind {kind.kind!r}")
    if weights is not None and "weights" in kind.places:
        arguments["weights"] = str(weights)
    return features_of({"kind": kind.kind, **arguments})


def _check(arguments: Mapping[str, Any], constructor: type[Features] | type[Model], what: str) -> None:
    """Check names, types and the size of all whole numbers, before anything is made of them."""
    numbers = [(name, number) for name, value in arguments.items() for number in _whole_numbers(value)]
    if len(numbers) > MOST_NUMBERS:
        raise DetectorError(f"{what} with {len(numbers)} whole numbers, more than {MOST_NUMBERS}")
    for name, number in numbers:
        if abs(number) > (most := constructor.limits.get(name, MOST)):
            raise DetectorError(f"{what} with {name} = {number}, greater than {most}")
    check_arguments(arguments, constructor, what)


def _denoiser(entry: DenoiserEntry, blobs: Mapping[str, bytes], *, device: str) -> "Denoiser":
    from auscult.denoising.streaming import Denoiser
    from auscult.denoising.unet import UNet

    tensors = tensors_of(blobs, entry.tensors)

    def make() -> UNet:
        return UNet(n_fft=entry.n_fft, hop_length=entry.hop_length, channels=tuple(entry.channels))

    with torch.random.fork_rng(devices=[]):
        unet = filled(make, tensors, "the denoiser")
    return Denoiser(unet.to(device), sample_rate=entry.sample_rate)


def model_of(entry: PartEntry, blobs: Mapping[str, bytes], *, device: str) -> Model:
    """The fitted model that an entry describes.

    Raises:
        AuscultError, or what constructors raise for arguments that do not fit.
    """
    family = known(entry.family, MODELS, f"the family {entry.family!r}")
    _check(entry.arguments, family, f"the model {entry.name!r}")
    tensors = tensors_of(blobs, entry.tensors)
    return family.rebuilt(entry.arguments, entry.ids, tensors, what=f"the model {entry.name!r}", device=device)


def tensors_of(blobs: Mapping[str, bytes], name: str) -> dict[str, Tensor]:
    """The tensors of an entry.

    Raises:
        DetectorError: if the entry is missing or no safetensors, or holds numbers that are not finite.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    if name not in blobs:
        raise DetectorError(f"no entry {name!r}, which it names")
    try:
        tensors = load(blobs[name])
    except (SafetensorError, ValueError, KeyError, struct.error, json.JSONDecodeError) as error:
        raise DetectorError(f"an entry {name!r} that is no safetensors ({error})") from error
    for key, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise DetectorError(f"an entry {name!r} whose {key} holds numbers that are not finite")
    return tensors


def _whole_numbers(value: Any) -> list[int]:
    if isinstance(value, dict):
        return [number for item in value.values() for number in _whole_numbers(item)]
    if isinstance(value, list):
        return [number for item in value for number in _whole_numbers(item)]
    return [value] if isinstance(value, int) else []
