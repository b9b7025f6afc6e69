"""From the entries of a detector's file to front ends and models: shapes are compared before anything is built."""

import json
import struct
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor, nn

from auscult.errors import DetectorError
from auscult.features import FEATURES, Features
from auscult.features.front_end import FrontEnd
from auscult.members.entries import DenoiserEntry, FrontEndEntry, PartEntry
from auscult.members.making import check_arguments
from auscult.models import MODELS, Model

if TYPE_CHECKING:
    from auscult.denoising.streaming import Denoiser

M = TypeVar("M", bound=nn.Module)

LIMITS = {"sample_rate": 768000, "n_fft": 65536, "n_mels": 8192, "hop_length": 768000, "n_layers": 64}
"""Greatest arguments of features and models."""

MOST, MOST_NUMBERS = 2**20, 256
"""Greatest whole number among the arguments of a model, and how many there may be."""


def front_end_of(entry: FrontEndEntry, blobs: Mapping[str, bytes], *, device: str) -> FrontEnd:
    """The front end that an entry describes.

    Raises:
        AuscultError, or what constructors raise for arguments that do not fit.
    """
    denoiser = None if entry.denoiser is None else _denoiser(entry.denoiser, blobs, device=device)
    return FrontEnd(_features(entry.features, device=device), channel=entry.channel, denoiser=denoiser)


def _features(config: Mapping[str, Any], *, device: str) -> Features:
    arguments = dict(config)
    kind = arguments.pop("kind", None)
    if not isinstance(kind, str) or kind not in FEATURES:
        raise DetectorError(f"features of kind {kind!r}; known are {', '.join(FEATURES)}")
    if "weights" in arguments:
        raise DetectorError("features with a folder of weights, which a detector never names")
    _check_limits(arguments, "features")
    if "device" in arguments:
        arguments["device"] = device
    check_arguments(arguments, FEATURES[kind], f"features of kind {kind!r}")
    return FEATURES[kind](**arguments)


def _check_limits(arguments: Mapping[str, Any], what: str) -> None:
    for name, most in LIMITS.items():
        if isinstance(value := arguments.get(name, 1), int) and value > most:
            raise DetectorError(f"{what} with {name} = {value}, more than {most}")


def _denoiser(entry: DenoiserEntry, blobs: Mapping[str, bytes], *, device: str) -> "Denoiser":
    from auscult.denoising.streaming import Denoiser
    from auscult.denoising.unet import UNet

    tensors = tensors_of(blobs, entry.tensors)

    def make() -> UNet:
        return UNet(n_fft=entry.n_fft, hop_length=entry.hop_length, channels=tuple(entry.channels))

    with torch.random.fork_rng(devices=[]):
        unet = _filled(make, tensors, "the denoiser")
    return Denoiser(unet.to(device), sample_rate=entry.sample_rate)


def model_of(entry: PartEntry, blobs: Mapping[str, bytes], *, device: str) -> Model:
    """The fitted model that an entry describes.

    Raises:
        AuscultError, or what constructors raise for arguments that do not fit.
    """
    if entry.family not in MODELS:
        raise DetectorError(f"the family {entry.family!r}; known are {', '.join(MODELS)}")
    family = MODELS[entry.family]
    numbers = _whole_numbers(entry.arguments)
    if len(numbers) > MOST_NUMBERS or any(abs(number) > MOST for number in numbers):
        raise DetectorError(
            f"the model {entry.name!r} with an argument greater than {MOST}, or more than {MOST_NUMBERS}"
        )
    _check_limits(entry.arguments, f"the model {entry.name!r}")
    check_arguments(entry.arguments, family, f"the model {entry.name!r}")

    arguments: dict[str, Any] = dict(entry.arguments)

    def make() -> Model:
        model = family(**arguments)
        model.ids = tuple(entry.ids)
        model.build()
        return model

    with torch.random.fork_rng(devices=[]):  # the weights that `build` draws are replaced
        model = _filled(make, tensors_of(blobs, entry.tensors), f"the model {entry.name!r}")
    model.fitted = True
    return model.to("cpu" if device.startswith("mps") else device).eval()


def _filled(make: Callable[[], M], tensors: Mapping[str, Tensor], what: str) -> M:
    """A module with the given tensors; it is made only if its shapes are theirs: never larger than its file."""
    with torch.device("meta"):
        expected = {name: (tuple(tensor.shape), tensor.dtype) for name, tensor in make().state_dict().items()}
    found = {name: (tuple(tensor.shape), tensor.dtype) for name, tensor in tensors.items()}
    if wrong := sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name)):
        raise DetectorError(
            f"{what} with {wrong[0]!r} as {_shown(found, wrong[0])}, and by its arguments that is "
            f"{_shown(expected, wrong[0])}"
        )
    module = make()
    module.load_state_dict(tensors)
    return module


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


def _shown(tensors: Mapping[str, tuple[tuple[int, ...], torch.dtype]], name: str) -> str:
    if name not in tensors:
        return "missing"
    shape, dtype = tensors[name]
    return f"{list(shape)} {str(dtype).removeprefix('torch.')}"


def _whole_numbers(value: Any) -> list[int]:
    if isinstance(value, dict):
        return [number for item in value.values() for number in _whole_numbers(item)]
    if isinstance(value, list):
        return [number for item in value for number in _whole_numbers(item)]
    return [value] if isinstance(value, int) else []
