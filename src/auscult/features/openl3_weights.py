"""The weights of OpenL3: found in a folder, checked by hash, read from the official Keras files, or fetched."""

from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from auscult.errors import DownloadError, WeightsError
from auscult.features.weights import VARIABLE, Layer, find_file, git_sha1, keras_layers

if TYPE_CHECKING:
    from torch import Tensor

Content = Literal["env", "music"]
Input = Literal["mel256", "mel128"]
Size = Literal[512, 6144]
Generation = Literal["0.2", "0.4"]

SAMPLE_RATE = 48000
"""Of the waveforms, and samples of a window, which lasts one second."""

MODELS_BRANCH = "https://github.com/marl/openl3/raw/models"
"""Where the files are published: `<name>` below this address."""

OFFICIAL: dict[str, str] = {
    "openl3_audio_mel256_env-v0_2_0.h5.gz": "b5c5534c2a5132a7d63dfe674c5c08702e667095",
    "openl3_audio_mel256_env-v0_4_0.h5.gz": "34dbd7a91cdd2de6a3d6d036ac0a24d27d78e3cc",
}
"""Git blob SHA-1 of the published files that are known; others are published there too."""

CHANNELS = (1, 64, 64, 128, 128, 256, 256, 512, 512)
"""Channels of the network's input and behind each convolution."""

NORM = ("gamma", "beta", "moving_mean", "moving_variance")


def file_name(content: Content, input: Input, generation: Generation) -> str:
    """The official name of a variant's file.

    >>> file_name("env", "mel256", "0.2")
    'openl3_audio_mel256_env-v0_2_0.h5.gz'
    """
    return f"openl3_audio_{input}_{content}-v{generation.replace('.', '_')}_0.h5.gz"


def find_weights(
    folder: str | None, *, content: Content, input: Input, generation: Generation, sha1: str | None
) -> tuple[Path, str]:
    """Find a variant's file, packed or unpacked, and check its hash.

    Args:
        folder: where to look; if none is given, the folder that `AUSCULT_WEIGHTS` names.
        content: what the network was trained on.
        input: `"mel256"` or `"mel128"`.
        generation: of the published files.
        sha1: git blob SHA-1 that the file must have; if none is given, that of the official file where it is known.

    Returns:
        The file and its git blob SHA-1.

    Raises:
        WeightsError: if there is no such file, or its hash is another.
    """
    name = file_name(content, input, generation)
    candidate = find_file(folder, (name, name.removesuffix(".gz")), kind="openl3", advice=_how_to_get(name))
    found, expected = git_sha1(candidate), sha1 or OFFICIAL.get(candidate.name)
    if expected is not None and found != expected:
        whose = "the official one" if sha1 is None else "the one that was asked for"
        raise WeightsError(
            f"{candidate} is not {whose}: its git blob SHA-1 is {found}, not {expected}. It may be truncated or of "
            f"another variant; {_how_to_get(name)}. To use other weights on purpose, give their own sha1"
        )
    return candidate, found


def _how_to_get(name: str) -> str:
    where = f"set {VARIABLE} or the option weights to its folder"
    if name in OFFICIAL:
        generation = "" if "v0_2" in name else " --generation 0.4"
        return f"fetch the file with `auscult download openl3 --to DIR{generation}`, and {where}"
    return f"fetch {MODELS_BRANCH}/{name} and {where}"


def read_state(path: Path) -> "dict[str, Tensor]":
    """Read a file of the official layout as the state of an `AudioNetwork`; the last two files read are remembered.

    Args:
        path: weights that Keras saved, `.h5` or `.h5.gz`.

    Raises:
        WeightsError: if the file is damaged, no Keras file, or of another network.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror}; check the path") from error
    return dict(_state(path, status.st_size, status.st_mtime_ns))


@lru_cache(maxsize=2)
def _state(path: Path, *_identity: int) -> "dict[str, Tensor]":
    """The file's size and time of change are there to tell files of the same name apart."""
    import torch

    layers = keras_layers(path)
    norms = [layer for layer in layers if "gamma" in layer]
    convolutions = [layer for layer in layers if "kernel" in layer]
    expected = _expected_shapes()
    arrays: Layer = {}
    for index, layer in enumerate(norms):
        arrays |= dict(
            zip(_norm_keys(index), (_part(path, layer, part) for part in NORM), strict=True),
        )
    for index, layer in enumerate(convolutions):
        kernel = _part(path, layer, "kernel")  # [height, width, in, out]
        arrays[f"convolutions.{index}.weight"] = kernel.transpose(3, 2, 0, 1) if kernel.ndim == 4 else kernel
        arrays[f"convolutions.{index}.bias"] = _part(path, layer, "bias")
    shapes = {name: array.shape for name, array in arrays.items()}
    if shapes != expected:
        wrong = sorted(name for name in shapes.keys() | expected.keys() if shapes.get(name) != expected.get(name))
        raise WeightsError(
            f"{path} holds another network than the audio network of OpenL3: {len(norms)} norms and "
            f"{len(convolutions)} convolutions, 8 of each are expected; {wrong[0]} has the shape "
            f"{shapes.get(wrong[0])}, expected is {expected.get(wrong[0])}. Give a file named openl3_audio_..."
        )
    if not all(np.isfinite(array).all() for array in arrays.values()):
        raise WeightsError(f"{path} holds weights that are not finite; fetch the file again")
    return {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in arrays.items()}


def _norm_keys(index: int) -> list[str]:
    return [f"norms.{index}.{name}" for name in ("weight", "bias", "running_mean", "running_var")]


def _expected_shapes() -> dict[str, tuple[int, ...]]:
    """What an `AudioNetwork` holds, but the counters of its norms."""
    found: dict[str, tuple[int, ...]] = {}
    for index, (n_in, n_out) in enumerate(pairwise(CHANNELS)):
        found |= dict.fromkeys(_norm_keys(index), (n_in,))
        found |= {f"convolutions.{index}.weight": (n_out, n_in, 3, 3), f"convolutions.{index}.bias": (n_out,)}
    return found


def _part(path: Path, layer: Layer, name: str) -> NDArray[np.float32]:
    if name not in layer:
        raise WeightsError(f"{path} holds a layer without {name!r}, with {', '.join(layer)}; fetch the file again")
    return layer[name]


def download_openl3(
    to: Path, *, generation: Generation = "0.2", base_url: str = MODELS_BRANCH, progress: bool = True
) -> Path:
    """Fetch the weights for environmental sound and 256 mel bins; a transfer that broke off continues.

    Args:
        to: folder of weights, made if missing.
        generation: of the published files.
        base_url: another server with the same names, a mirror for instance.
        progress: show a progress bar on standard error.

    Returns:
        The file, whose hash is that of the official one; not fetched again if it is there.

    Raises:
        DownloadError: if the generation is not known, the transfer fails, the file is not the official one, the disk is
            full, or another download is working in the folder.
    """
    from auscult.datasets.transfer import alone_in, fetch

    name = file_name("env", "mel256", generation)
    if name not in OFFICIAL:
        raise DownloadError(f"there is no generation {generation!r} of OpenL3's weights; choose 0.2 or 0.4")
    url, kind = f"{base_url.rstrip('/')}/{name}", "git blob SHA-1"
    with alone_in(to, lock=to / ".lock"):
        fetch(url, to / name, expected=OFFICIAL[name], digest=git_sha1, kind=kind, progress=progress)
    return to / name
