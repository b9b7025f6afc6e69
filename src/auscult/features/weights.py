"""Published weights: looked for in a folder, told by their hash, read from the files that Keras writes."""

import gzip
import hashlib
import io
import os
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auscult.errors import WeightsError

VARIABLE = "AUSCULT_WEIGHTS"
"""Environment variable that names the folder of weights."""

Layer = dict[str, NDArray[np.float32]]


def find_file(folder: str | None, names: Sequence[str], *, kind: str, advice: str) -> Path:
    """The first of some files that is in a folder of weights.

    Args:
        folder: where to look; if none is given, the folder that `AUSCULT_WEIGHTS` names.
        names: of the files; the first is the official one.
        kind: of the features that need it.
        advice: how to get it.

    Raises:
        WeightsError: if there is none.
    """
    place = folder or os.environ.get(VARIABLE)
    if not place:
        raise WeightsError(f"{kind} needs the weights {names[0]} and no folder of weights is given; {advice}")
    for name in names:
        if (Path(place) / name).is_file():
            return Path(place) / name
    raise WeightsError(f"{kind} needs the weights {names[0]} and {place} has no such file; {advice}")


def git_sha1(path: Path) -> str:
    """The hash by which git knows a file's content: SHA-1 over a header with its length, then the content.

    Raises:
        WeightsError: if the file cannot be read.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror}; check its permissions") from error
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file.

    Raises:
        WeightsError: if it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror}; check its permissions") from error


def keras_layers(path: Path) -> list[Layer]:
    """The layers with weights in a Keras file's own order, which is the network's; spectrogram layers are left out.

    The names' numbers depend on what else was built before the network was saved: only the order counts.

    Args:
        path: a whole model or its weights alone, `.h5` or `.h5.gz`.

    Raises:
        WeightsError: if the file is damaged or no Keras file.
    """
    import h5py

    try:
        content = path.read_bytes()
        if path.suffix == ".gz":
            content = gzip.decompress(content)
        with h5py.File(io.BytesIO(content), "r") as file:
            root = file.get("model_weights", file)  # a whole model, or its weights alone
            names = [_text(name) for name in root.attrs["layer_names"]]
            layers = [keras_layer(root[name]) for name in names if "spectrogram" not in name]
    except (OSError, EOFError, zlib.error, KeyError, ValueError) as error:
        raise WeightsError(
            f"{path} cannot be read as weights that Keras saved ({error}); it is truncated or another kind of file. "
            "Fetch it again"
        ) from error
    return [layer for layer in layers if layer]


def keras_layer(group: Any) -> Layer:
    """The arrays of one layer's group in such a file, by their names without scope and number, such as `kernel`."""
    found: Layer = {}
    for stored in group.attrs.get("weight_names", []):
        name = _text(stored)
        found[name.rsplit("/", 1)[-1].split(":")[0]] = np.asarray(group[name], dtype=np.float32)
    return found


def _text(name: Any) -> str:
    return name.decode() if isinstance(name, bytes) else str(name)
