"""OpenL3 embeddings: one vector for each second of sound, ten times a second (report, section 2.3)."""

from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, get_args

import numpy as np
from numpy.typing import NDArray

from auscult.errors import FeatureError, ModelError
from auscult.features.base import Features
from auscult.features.mel import Mels
from auscult.features.openl3_weights import (
    OFFICIAL,
    SAMPLE_RATE,
    Content,
    Generation,
    Input,
    Size,
    file_name,
    find_weights,
    read_state,
)
from auscult.training.settings import Precision, choose_device, require_fast

if TYPE_CHECKING:
    import torch

    from auscult.features.openl3_network import AudioNetwork, WindowSpectrogram

BATCH, BATCH_ON_GPU = 1, 64
"""Windows embedded at once. On a processor more are no faster, and one alone is the same number wherever it lies."""


class OpenL3(Features):
    """Embeddings of a network that learnt on videos which sounds go with which pictures.

    Windows of one second, each centred on its timestamp: half a second of silence is thought before the clip, and
    behind it as much as the last window needs, as OpenL3 does by default. Clips of any length are embedded a few
    windows at a time.

    The weights are not part of this package. They are looked for when the features are made, so that a run without them
    stops before any training.

    Args:
        content: what the network was trained on, `"env"` (environmental sound) or `"music"`.
        input: spectrogram of a window, `"mel256"` or `"mel128"`.
        embedding_size: dimension F of an embedding, 512 or 6144.
        generation: of the published weights, `"0.2"` or `"0.4"`. The spectrogram of a window starts 982 samples before
            the window in 0.2, with the window in 0.4; silence is thought where there are no samples.
        mels: `"htk"`, the root of the power in filters on the HTK scale, on which the weights were trained; `"slaney"`,
            the magnitude in filters on Slaney's scale, which the package openl3 0.4 computes.
        hop: distance of the windows, in seconds: a whole number of samples at 48 kHz.
        precision: `"bf16"` computes the convolutions in bfloat16, faster where the processor supports it; embeddings
            then differ by about a hundredth of the largest value.
        device: on which to compute, `"cpu"` or `"cuda"`.
        weights: folder of the weights; if none is given, the environment variable `AUSCULT_WEIGHTS` names it.
        sha1: git blob SHA-1 that the weights must have; if none is given, that of the official file where it is known.

    Shape:
        `[T]` -> `[N, embedding_size]` with `N = 1 + ceil(max(0, T - 24000) / hop)`, the hop in samples.

    Raises:
        FeatureError: for arguments out of range, weights that are missing, damaged or others, and for no samples.

    References:
        Cramer et al., Look, Listen and Learn More, ICASSP 2019.
    """

    kind: ClassVar[str] = "openl3"
    places: ClassVar[frozenset[str]] = frozenset({"weights"})

    def __init__(
        self,
        *,
        content: Content = "env",
        input: Input = "mel256",
        embedding_size: Size = 512,
        generation: Generation = "0.2",
        mels: Mels = "htk",
        hop: float = 0.1,
        precision: Precision = "fp32",
        device: str = "cpu",
        weights: str | None = None,
        sha1: str | None = None,
    ) -> None:
        for name, value, allowed in (
            ("content", content, Content),
            ("input", input, Input),
            ("embedding_size", embedding_size, Size),
            ("generation", generation, Generation),
            ("mels", mels, Mels),
            ("precision", precision, Precision),
        ):
            if value not in get_args(allowed):
                choices = ", ".join(str(choice) for choice in get_args(allowed))
                raise FeatureError(f"openl3: {name} is {value!r}; choose one of {choices}")
        self.hop_length = round(hop * SAMPLE_RATE)
        if self.hop_length < 1 or abs(self.hop_length - hop * SAMPLE_RATE) > 1e-6:
            near = f"{max(1, self.hop_length) / SAMPLE_RATE!r} for instance"
            raise FeatureError(
                f"openl3: hop is {hop} s; windows must lie a whole number of samples at {SAMPLE_RATE} Hz apart, {near}"
            )
        self.content, self.input, self.generation, self.mels = content, input, generation, mels
        self.hop, self.precision, self.weights = float(hop), precision, weights
        self.device = _checked(device, precision)
        self.embedding_size: Size = embedding_size
        self.sample_rate, self.n_bins, self.frame_rate = SAMPLE_RATE, embedding_size, SAMPLE_RATE / self.hop_length
        self.sha1 = sha1
        self._open()

    def _open(self) -> None:
        """Find the weights and read them."""
        self.path, self.sha1 = find_weights(
            self.weights, content=self.content, input=self.input, generation=self.generation, sha1=self.sha1
        )
        self._state = read_state(self.path)

    @classmethod
    def outline(cls, **arguments: Any) -> "OpenL3":
        """With random weights."""
        return OpenL3Outline(**arguments)

    def n_frames(self, n_samples: int) -> int:
        """Windows N of a clip of so many samples at 48 kHz."""
        return 1 + max(0, -(-(n_samples - SAMPLE_RATE // 2) // self.hop_length))

    def timestamps(self, n_samples: int) -> NDArray[np.float64]:
        """Centre of each window of a clip of so many samples at 48 kHz, in seconds from the start of the clip `[N]`."""
        return np.arange(self.n_frames(n_samples)) * self.hop_length / SAMPLE_RATE

    def __call__(self, waveform: NDArray[np.float32]) -> NDArray[np.float32]:
        """Compute the embeddings of one waveform at 48 kHz, `[T]` -> `[N, embedding_size]`."""
        import torch

        if waveform.ndim != 1:
            raise FeatureError(f"openl3: the waveform has the shape {waveform.shape}; give one channel, [T]")
        if not len(waveform):
            raise FeatureError("openl3: the clip has no samples; remove it")
        n_windows, half = self.n_frames(len(waveform)), SAMPLE_RATE // 2
        padded = torch.zeros(max(half + len(waveform), (n_windows - 1) * self.hop_length + SAMPLE_RATE))
        padded[half : half + len(waveform)] = torch.from_numpy(waveform)
        windows = padded.unfold(0, SAMPLE_RATE, self.hop_length)  # [N, 48000], a view
        frames = np.empty((n_windows, self.n_bins), dtype=np.float32)
        batch = BATCH if self.device == "cpu" else BATCH_ON_GPU
        with torch.inference_mode():
            for start in range(0, n_windows, batch):
                frames[start : start + batch] = self._embed(windows[start : start + batch]).numpy()
        return frames

    def spectrograms(self, windows: "torch.Tensor") -> "torch.Tensor":
        """What the network reads of windows: `[B, 48000]` -> `[B, n_mels, 199]`, in decibels below the maximum."""
        spectrograms: torch.Tensor = self._front_end(windows.to(self.device))
        return spectrograms

    def _embed(self, windows: "torch.Tensor") -> "torch.Tensor":
        """Windows `[B, 48000]` -> embeddings `[B, F]` on the CPU."""
        import torch

        spectrograms = self.spectrograms(windows)[:, None].contiguous(memory_format=torch.channels_last)
        with torch.autocast(torch.device(self.device).type, torch.bfloat16, enabled=self.precision == "bf16"):
            embeddings: torch.Tensor = self._network(spectrograms)
        return embeddings.float().cpu()

    @cached_property
    def _network(self) -> "AudioNetwork":
        import torch

        from auscult.features.openl3_network import AudioNetwork

        with torch.device("meta"):  # no random numbers are drawn
            network = AudioNetwork(self.input, self.embedding_size)
        network.to_empty(device="cpu")
        network.load_state_dict(self._state, strict=False)  # but the counters of the norms, which only training needs
        return network.fold().to(self.device)

    @cached_property
    def _front_end(self) -> "WindowSpectrogram":
        from auscult.features.openl3_network import WindowSpectrogram

        return WindowSpectrogram(self.input, generation=self.generation, mels=self.mels).to(self.device)


class OpenL3Outline(OpenL3):
    """OpenL3 with random weights, for a plan: the shapes and the speed of the real one, and no use besides.

    The hash is that of the official file, so that what was computed with it is recognised.
    """

    def _open(self) -> None:
        """Look for no file."""
        self.sha1 = self.sha1 or OFFICIAL.get(file_name(self.content, self.input, self.generation))

    @cached_property
    def _network(self) -> "AudioNetwork":
        import torch

        from auscult.features.openl3_network import AudioNetwork

        with torch.random.fork_rng(devices=[]):
            return AudioNetwork(self.input, self.embedding_size).fold().to(self.device)


def _checked(device: str, precision: Precision) -> str:
    """The device's name, if it is on this machine and computes in float64, which the spectrogram needs."""
    if device.partition(":")[0] not in ("cpu", "cuda"):
        raise FeatureError(f"openl3: device is {device!r}; choose cpu, cuda or cuda:N")
    try:
        require_fast(precision, device)
        return choose_device(device)
    except ModelError as error:
        raise FeatureError(f"openl3: {error}") from error
