"""The weights of YAMNet: the official Keras file, or the convolutions of an ONNX graph."""

from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from auscult.errors import WeightsError
from auscult.features.weights import VARIABLE, Layer, file_sha256, find_file, keras_layers
from auscult.features.yamnet_network import BLOCKS, N_CLASSES, N_VALUES

if TYPE_CHECKING:
    from torch import Tensor

KERAS, ONNX, TENSORS = "yamnet.h5", "yamnet.onnx", "yamnet.safetensors"
"""The official file; the same convolutions as a graph; the form in which a detector carries them."""

PUBLISHED = "https://storage.googleapis.com/audioset"
"""Where the official file is: `yamnet.h5` below this address."""

OFFICIAL = "13c3308955bbfaef262f175ac9c40e47b134573a93984f009220dd7cc12a1744"
"""SHA-256 of the official Keras file."""

EPSILON = 1e-4
"""Added to the variance in its batch normalisation, which has no scale."""

Pairs = list[tuple[NDArray[np.float32], NDArray[np.float32]]]
"""Kernel and bias of each layer, from the first to the classifier."""


def find_weights(folder: str | None, *, sha256: str | None) -> tuple[Path, str]:
    """Find the weights and check their hash.

    Args:
        folder: where to look; if none is given, the folder that `AUSCULT_WEIGHTS` names.
        sha256: that the file must have; if none is given, that of the official file for `yamnet.h5`, and any for
            others.

    Returns:
        The file and its SHA-256.

    Raises:
        WeightsError: if there is no such file, or its hash is another.
    """
    path = find_file(folder, (KERAS, ONNX, TENSORS), kind="yamnet", advice=_ADVICE)
    found, expected = file_sha256(path), sha256 or (OFFICIAL if path.name == KERAS else None)
    if expected not in (None, found):
        whose = "the official one" if sha256 is None else "the one that was asked for"
        raise WeightsError(
            f"{path} is not {whose}: its SHA-256 is {found}, not {expected}. It may be truncated; {_ADVICE}. To use "
            "other weights on purpose, give their own sha256"
        )
    return path, found


_ADVICE = f"fetch the file with `auscult download yamnet --to DIR`, and set {VARIABLE} or the option weights to DIR"


@lru_cache(maxsize=2)
def read_state(path: Path, _hash: str) -> "dict[str, Tensor]":
    """Read a file as the state of a `MobileNet`; the last two files read are remembered.

    Args:
        path: Keras weights or an ONNX graph.
        _hash: of the file, which tells files of the same name apart.

    Raises:
        WeightsError: if the file is damaged, or of another network.
    """
    import torch

    readers = {".onnx": _from_onnx, ".safetensors": _from_tensors}
    pairs = readers.get(path.suffix, _from_keras)(path)
    names = [f"convolutions.{index}" for index in range(1 + 2 * len(BLOCKS))] + ["classifier"]
    shapes = [(kernel.shape, bias.shape) for kernel, bias in pairs]
    if shapes != _shapes():
        wrong = next((at for at, both in enumerate(zip(shapes, _shapes(), strict=False)) if both[0] != both[1]), None)
        what = f"{len(pairs)} layers" if wrong is None else f"{shapes[wrong]} as its layer {wrong + 1}"
        raise WeightsError(f"{path} holds another network than YAMNet's, with {what}; {_ADVICE}")
    if not all(np.isfinite(array).all() for array in chain(*pairs)):
        raise WeightsError(f"{path} holds weights that are not finite; {_ADVICE}")
    keys = [f"{name}.{part}" for name in names for part in ("weight", "bias")]
    return {key: torch.from_numpy(np.array(array)) for key, array in zip(keys, chain(*pairs), strict=True)}


def _shapes() -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    found: list[tuple[tuple[int, ...], tuple[int, ...]]] = [((32, 1, 3, 3), (32,))]
    for n_in, n_out, _ in BLOCKS:
        found += [((n_in, 1, 3, 3), (n_in,)), ((n_out, n_in, 1, 1), (n_out,))]
    return [*found, ((N_CLASSES, N_VALUES), (N_CLASSES,))]


def _from_keras(path: Path) -> Pairs:
    """Kernels of Keras are `[height, width, in, out]`, or of one channel each; norms are folded into them."""
    layers = keras_layers(path)
    convolutions = [layer for layer in layers if "kernel" in layer or "depthwise_kernel" in layer]
    norms = [layer for layer in layers if "moving_variance" in layer]
    if not convolutions or len(norms) != len(convolutions) - 1:
        raise WeightsError(
            f"{path} holds another network than YAMNet's, with {len(convolutions)} layers and {len(norms)} norms; "
            f"{_ADVICE}"
        )
    *convolutions, classifier = convolutions
    return [
        *map(_folded, convolutions, norms),
        (classifier["kernel"].T, classifier.get("bias", np.empty(0, np.float32))),
    ]


def _folded(layer: Layer, norm: Layer) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    kernel = (
        layer["kernel"].transpose(3, 2, 0, 1) if "kernel" in layer else layer["depthwise_kernel"].transpose(2, 3, 0, 1)
    )
    scale = 1 / np.sqrt(norm["moving_variance"].astype(np.float64) + EPSILON)
    weight = kernel * scale[:, None, None, None]
    return weight.astype(np.float32), (norm["beta"] - norm["moving_mean"] * scale).astype(np.float32)


def _from_tensors(path: Path) -> Pairs:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        arrays = load_file(path)
    except (OSError, SafetensorError, ValueError) as error:
        raise WeightsError(f"{path} cannot be read as safetensors ({error}); {_ADVICE}") from error
    names = [*(f"convolutions.{index}" for index in range(len(arrays) // 2 - 1)), "classifier"]
    missing = np.empty(0, np.float32)
    return [(arrays.get(f"{name}.weight", missing), arrays.get(f"{name}.bias", missing)) for name in names]


def _from_onnx(path: Path) -> Pairs:
    """The constants of the convolutions and of the last product, in the graph's order; nothing of the graph is run."""
    try:
        import onnx
        from onnx import numpy_helper
    except ImportError as error:
        raise WeightsError(f"{path} needs the package onnx: pip install 'auscult[onnx]'") from error
    try:
        graph = onnx.load(path, load_external_data=False).graph
        constants = {tensor.name: tensor for tensor in graph.initializer}
        layers = [node for node in graph.node if node.op_type in ("Conv", "Gemm")]
        pairs: list[Any] = [
            tuple(numpy_helper.to_array(constants[name]) for name in node.input[1:3]) for node in layers
        ]
    except Exception as error:  # onnx lets whatever its parser raises through
        raise WeightsError(f"{path} cannot be read as an ONNX graph with its weights ({error}); {_ADVICE}") from error
    return pairs


def download_yamnet(to: Path, *, base_url: str = PUBLISHED, progress: bool = True) -> Path:
    """Fetch the official weights; a transfer that broke off continues.

    Args:
        to: folder of weights, made if missing.
        base_url: another server with the same name, a mirror for instance.
        progress: show a progress bar on standard error.

    Returns:
        The file, whose hash is that of the official one; not fetched again if it is there.

    Raises:
        DownloadError: if the transfer fails, the file is not the official one, the disk is full, or another download
            is working in the folder.
    """
    from auscult.datasets.transfer import alone_in, fetch

    with alone_in(to, lock=to / ".lock"):
        url = f"{base_url.rstrip('/')}/{KERAS}"
        fetch(url, to / KERAS, expected=OFFICIAL, digest=file_sha256, kind="SHA-256", progress=progress)
    return to / KERAS
