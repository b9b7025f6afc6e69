"""YAMNet embeddings: what a small network that knows the sounds of AudioSet makes of each second."""

import hashlib
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from auscult.denoising.sounds import AUDIOSET
from auscult.errors import FeatureError, ModelError
from auscult.features.base import Features
from auscult.features.remembered import Remembered
from auscult.features.yamnet_network import N_VALUES, PATCH, SAMPLE_RATE, STEP, LogMelPatches, MobileNet
from auscult.features.yamnet_weights import OFFICIAL, TENSORS, find_weights, read_state
from auscult.sound.audio import read_waveform
from auscult.training.settings import choose_device

LENGTH = 15600
"""Samples that a window needs: 96 frames of 400 samples, 160 apart."""

BATCH, BATCH_ON_GPU = 8, 256
"""Windows embedded at once. On a processor no more are faster, and so few give the same numbers as one alone."""

LIKELY = 0.1
"""How likely a class has to be, in the mean over a sound's windows, for the sound to be taken for one of it."""

MECHANICAL = dict(
    zip(
        (*range(337, 348), 363, 367, 370, 371, 376, 379, *range(398, 410), 412, 413, 414, 415, 416, 417, 418, 419, 448),
        AUDIOSET.values(),
        strict=True,
    )
)
"""Place among the network's 521 classes -> name, of the mechanical ones, in the order of AudioSet."""


class Yamnet(Features):
    """Embeddings of a MobileNet that learnt the 521 classes of AudioSet: small, quick, and published.

    Windows of 0.96 s, the first at the clip's beginning; a clip is continued by silence until the last window is whole.

    The weights are not part of this package. They are looked for when the features are made, so that a run without them
    stops before any training.

    Args:
        hop: distance of the windows, in seconds: a multiple of 0.01; the published network uses 0.48.
        device: on which to compute, `"cpu"` or `"cuda"`.
        weights: folder of the weights, `yamnet.h5` or `yamnet.onnx`; if none is given, the environment variable
            `AUSCULT_WEIGHTS` names it.
        sha256: that the weights must have; if none is given, that of the official file for `yamnet.h5`.

    Shape:
        `[T]` -> `[N, 1024]` with `N = 1 + ceil(max(0, T - 15600) / hop)`, the hop in samples.

    Raises:
        FeatureError: for arguments out of range, weights that are missing, damaged or others, and for no samples.

    References:
        Plakal and Ellis, YAMNet, 2020 (tensorflow/models, research/audioset/yamnet).
    """

    kind: ClassVar[str] = "yamnet"
    places: ClassVar[frozenset[str]] = frozenset({"weights"})

    def __init__(
        self, *, hop: float = 0.48, device: str = "cpu", weights: str | None = None, sha256: str | None = None
    ) -> None:
        frames = round(hop * SAMPLE_RATE / STEP)
        if frames < 1 or abs(frames * STEP / SAMPLE_RATE - hop) > 1e-9:
            raise FeatureError(
                f"yamnet: hop is {hop} s; windows lie whole frames of 0.01 s apart, {max(1, frames) / 100} for instance"
            )
        try:
            self.device = choose_device(device)
        except ModelError as error:
            raise FeatureError(f"yamnet: {error}") from error
        self.hop, self.weights, self.sha256 = float(hop), weights, sha256
        self._remembered = Remembered()
        self.hop_frames = frames
        self.sample_rate, self.n_bins, self.frame_rate = SAMPLE_RATE, N_VALUES, SAMPLE_RATE / (STEP * frames)
        self._open()

    def _open(self) -> None:
        """Find the weights and read them."""
        path, self.sha256 = find_weights(self.weights, sha256=self.sha256)
        self._state = read_state(path, self.sha256)

    @classmethod
    def outline(cls, **arguments: Any) -> "Yamnet":
        """With random weights."""
        return YamnetOutline(**arguments)

    def carried(self) -> tuple[dict[str, Any], dict[str, bytes]]:
        """The network as safetensors, and the configuration with their hash."""
        from safetensors.torch import save

        content = save(self._state)
        return {**self.config(), "sha256": hashlib.sha256(content).hexdigest()}, {TENSORS: content}

    def n_frames(self, n_samples: int) -> int:
        """Windows N of a clip of so many samples at 16 kHz."""
        return 1 + max(0, -(-(n_samples - LENGTH) // (self.hop_frames * STEP)))

    def __call__(self, waveform: NDArray[np.float32]) -> NDArray[np.float32]:
        """Compute the embeddings of one waveform at 16 kHz, `[T]` -> `[N, 1024]`."""
        embeddings: NDArray[np.float32] = self._embeddings(waveform).cpu().numpy()
        return embeddings

    def spectrogram(self, waveform: NDArray[np.float32]) -> Tensor:
        """What the network sees of a waveform of at least 400 samples, 96 frames at once: log-mel `[N, 64]`."""
        with torch.inference_mode():
            found: Tensor = self._front_end(torch.from_numpy(waveform).to(self.device))
        return found

    def heard(self, waveform: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Embeddings `[N, 1024]`, and how likely each class of AudioSet is in each window `[N, 521]`."""
        with torch.inference_mode():
            embeddings = self._embeddings(waveform)
            likely = torch.sigmoid(self._network.scores(embeddings))
        return embeddings.cpu().numpy(), likely.cpu().numpy()

    def _embeddings(self, waveform: NDArray[np.float32]) -> Tensor:
        if waveform.ndim != 1 or not len(waveform):
            raise FeatureError(f"yamnet: the waveform has the shape {waveform.shape}; give one channel, [T], not empty")
        n_windows = self.n_frames(len(waveform))
        padded = torch.zeros((n_windows - 1) * self.hop_frames * STEP + LENGTH)
        padded[: len(waveform)] = torch.from_numpy(waveform)[: len(padded)]
        with torch.inference_mode():
            patches = self._front_end(padded.to(self.device)).unfold(0, PATCH, self.hop_frames)  # [N, 64, 96], a view
            if self.device != "cpu":
                return self._embed(patches, BATCH_ON_GPU)
            some = self._remembered(patches.numpy(), lambda new: self._embed(torch.from_numpy(new), BATCH).numpy())
            return torch.from_numpy(some)

    def mechanical(self, path: Path) -> str | None:
        """The mechanical class of AudioSet that a file sounds most like; none if it sounds like none of them.

        Raises:
            AudioError: if it cannot be read.
        """
        likely = self.heard(read_waveform(path, sample_rate=SAMPLE_RATE, channel=0))[1].mean(axis=0)[list(MECHANICAL)]
        return MECHANICAL[list(MECHANICAL)[int(likely.argmax())]] if likely.max() >= LIKELY else None

    def _embed(self, patches: Tensor, batch: int) -> Tensor:
        """Embeddings `[N, 1024]` of patches `[N, 64, 96]`."""
        images = patches.transpose(1, 2)[:, None]
        parts = (some.contiguous(memory_format=torch.channels_last) for some in torch.split(images, batch))
        return torch.cat([self._network(some) for some in parts])

    @cached_property
    def _network(self) -> MobileNet:
        return self.network()

    def network(self) -> MobileNet:
        """A copy of the network."""
        with torch.random.fork_rng(devices=[]):
            network = MobileNet()
        network.load_state_dict(self._state)
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's hints lack it
        return network.to(self.device)

    @cached_property
    def _front_end(self) -> LogMelPatches:
        return LogMelPatches().to(self.device)


class YamnetOutline(Yamnet):
    """YAMNet with random weights, for a plan: the shapes and the speed of the real one, and no use besides."""

    def _open(self) -> None:
        """Look for no file."""
        with torch.random.fork_rng(devices=[]):
            self.sha256, self._state = self.sha256 or OFFICIAL, MobileNet().state_dict()
