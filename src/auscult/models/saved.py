"""The file of a model: tensors by safetensors, all else as JSON; never pickle."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from auscult.errors import ModelError

M = TypeVar("M", bound=nn.Module)

FORMAT = 1
"""Version of the files that `save` writes."""

METADATA = "auscult"
"""The key under which such a file holds all but its tensors, as JSON."""


def write_model_file(path: Path, facts: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Write facts that JSON can hold, and tensors, by way of a temporary name; the same model gives the same bytes."""
    from safetensors.torch import save_file

    from auscult.files import replacing

    text = json.dumps({"format": FORMAT, **facts})
    with replacing(path) as temporary:
        save_file({key: tensor.contiguous() for key, tensor in tensors.items()}, temporary, metadata={METADATA: text})


def read_model_file(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Facts and tensors of a file that `write_model_file` wrote.

    Raises:
        ModelError: if it is missing, damaged or of a newer format.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            metadata: dict[str, Any] = json.loads((file.metadata() or {}).get(METADATA, "{}"))
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  # the handle is no dictionary
    except (OSError, ValueError, SafetensorError) as error:
        raise ModelError(f"{path} cannot be read as a model ({error}); give a file that auscult saved") from error
    if metadata.get("format") != FORMAT:
        raise ModelError(f"{path} has the format {metadata.get('format')!r}; this version reads {FORMAT!r}")
    return metadata, tensors


def filled(make: Callable[[], M], tensors: Mapping[str, Tensor], what: str) -> M:
    """A module with the given tensors; it is made only if its shapes are theirs: never larger than its file.

    Shapes are compared on torch's device without memory; making tensors there costs nothing as long as nothing is
    computed with them, which would load torch's compiler. An axis of length 0 takes any length.

    Args:
        make: makes the module.
        tensors: all that are to be in it.
        what: names it in messages.

    Raises:
        ModelError: if a tensor is missing, of another shape or type, or unknown.
    """
    with torch.device("meta"):
        expected = make().state_dict()
    for name in sorted(expected.keys() | tensors.keys()):
        if not _fits(expected.get(name), tensors.get(name)):
            raise ModelError(
                f"{what} with {name!r} as {_shown(tensors.get(name))}, and by its arguments that is "
                f"{_shown(expected.get(name))}"
            )
    module = make()
    for name, tensor in expected.items():
        if 0 in tensor.shape:
            place, _, own = name.rpartition(".")
            setattr(module.get_submodule(place), own, torch.empty_like(tensors[name]))
    module.load_state_dict(tensors)
    return module


def _fits(expected: Tensor | None, found: Tensor | None) -> bool:
    if expected is None or found is None or expected.dtype != found.dtype or expected.dim() != found.dim():
        return False
    return all(length in (0, given) for length, given in zip(expected.shape, found.shape, strict=True))


def _shown(tensor: Tensor | None) -> str:
    if tensor is None:
        return "missing"
    shape = ", ".join(str(length or "any") for length in tensor.shape)
    return f"[{shape}] {str(tensor.dtype).removeprefix('torch.')}"
