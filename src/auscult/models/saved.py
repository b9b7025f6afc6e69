"""The file of a model: tensors by safetensors, all else as JSON; never pickle."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from auscult.errors import ModelError
from auscult.files import replacing

FORMAT = 1
"""Version of the files that `save` writes."""

METADATA = "auscult"
"""The key under which such a file holds all but its tensors, as JSON."""


def write_model_file(path: Path, facts: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Write facts that JSON can hold, and tensors, by way of a temporary name; the same model gives the same bytes."""
    from safetensors.torch import save_file

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
