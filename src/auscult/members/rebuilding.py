"""From the entries of a detector's file to front ends and models: shapes are compared before anything is built."""

import json
import struct
from collections.abc import Mapping
from pathlib import Path
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
"""Greatest whole number among the arguments of a model, or of features without `limits` of their own; and how many."""

MOST_LAYERS = 64
"""Of a model."""


def front_end_of(
    entry: FrontEndEntry, blobs: Mapping[str, bytes], *, device: str, weights: Path | None = None
) -> FrontEnd:
    """The front end that an entry describes; `weights` is the folder of published ones, for features that need them.

    Raises:
        AuscultError, or what constructors raise for arguments that do not fit.
    """
    denoiser = None if entry.denoiser is None else _denoiser(entry.denoiser, blobs, device=device)
    features = _features(entry.features, device=device, weights=weights)
    return FrontEnd(features, channel=entry.channel, denoiser=denoiser)


def _features(config: Mapping[str, Any], *, device: str, weights: Path | None) -> Features:
    kind = known(config.get("kind"), FEATURES, f"features of kind {config.get('kind')!r}")
    arguments = {name: value for name, value in config.items() if name != "kind"}
    for name, value in arguments.items():
        if name in kind.places:
            raise DetectorError(f"features with a place, {name}, which a detector never names")
        if isinstance(value, int) and value > (most := kind.limits.get(name, MOST)):
            raise DetectorError(f"features with {name} = {value}, more than {most}")
    if "device" in arguments:
        arguments["device"] = device
    check_arguments(arguments, kind, f"features of kind {kind.kind!r}")
    if weights is not None and "weights" in kind.places:
        arguments["weights"] = str(weights)
    return features_of({"kind": kind.kind, **arguments})


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
    numbers = _whole_numbers(entry.arguments)
    if len(numbers) > MOST_NUMBERS or any(abs(number) > MOST for number in numbers):
        raise DetectorError(
            f"the model {entry.name!r} with an argument greater than {MOST}, or more than {MOST_NUMBERS}"
        )
    if isinstance(layers := entry.arguments.get("n_layers"), int) and layers > MOST_LAYERS:
        raise DetectorError(f"the model {entry.name!r} with n_layers = {layers}, more than {MOST_LAYERS}")
    check_arguments(entry.arguments, family, f"the model {entry.name!r}")

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
