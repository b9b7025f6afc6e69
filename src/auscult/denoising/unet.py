"""Deep Complex U-Net: estimates a complex mask for a noisy sound's spectrogram.

References:
    Choi et al., Phase-Aware Speech Enhancement with Deep Complex U-Net, ICLR 2019, arXiv:1903.03107.
    Trabelsi et al., Deep Complex Networks, ICLR 2018, arXiv:1705.09792.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from auscult.denoising.complex_layers import ComplexBatchNorm, ComplexConv2d, join, laid_out, pack, unpack

CHANNELS = (32, 32, 64, 64, 64, 64, 64, 128)
"""Complex channels of the encoder's layers."""
KERNELS = ((7, 5),) * 3 + ((5, 3),) * 5
"""Frequency and time, from the outermost layer."""
STRIDES = ((2, 2), (2, 1)) * 4

SILENCE = 1e-8
"""Root mean square below which a sound counts as silent; full scale is 1."""


class Block(nn.Module):
    """Complex convolution, batch norm and leaky ReLU of real and imaginary parts."""

    def __init__(self, convolution: ComplexConv2d, n_out: int) -> None:
        super().__init__()
        self.convolution = convolution
        self.norm = ComplexBatchNorm(n_out)

    def forward(self, x: Tensor) -> Tensor:
        """`[B, 2 C, F, N]` -> `[B, 2 n_out, F', N']`; in evaluation the norm is part of the convolution."""
        y = self.norm(self.convolution(x)) if self.training else self.convolution(x, *self.norm.map())
        return F.leaky_relu(y, 0.01)


class UNet(nn.Module):
    """The denoiser of one machine type in one strength.

    A sound is scaled to a root mean square of 1 before, and back after the network: the denoiser is blind to gain.

    Args:
        n_fft: FFT length, in samples.
        hop_length: in samples.
        channels: complex channels of the eight encoder layers.
        seed: of the first weights.

    Shape:
        waveforms `[B, T]` -> `[B, T]`, for any T of at least 1.
    """

    window: Tensor

    def __init__(
        self, *, n_fft: int = 1024, hop_length: int = 256, channels: tuple[int, ...] = CHANNELS, seed: int = 0
    ) -> None:
        super().__init__()
        self.n_fft, self.hop_length, self.channels, self.seed = n_fft, hop_length, tuple(channels), seed
        self.register_buffer("window", torch.hann_window(n_fft), persistent=False)
        generator = torch.Generator().manual_seed(seed)
        sizes = (1, *self.channels)
        layers = list(zip(sizes, sizes[1:], KERNELS, STRIDES, strict=False))
        self.encoder = nn.ModuleList(
            Block(ComplexConv2d(n_in, n_out, kernel, stride, generator=generator), n_out)
            for n_in, n_out, kernel, stride in layers
        )
        self.decoder = nn.ModuleList()
        for depth, (n_above, n_out, kernel, stride) in reversed(list(enumerate(layers))[1:]):
            n_in = n_out if depth == len(layers) - 1 else 2 * n_out  # all but the innermost take a skip
            convolution = ComplexConv2d(n_in, n_above, kernel, stride, transposed=True, generator=generator)
            self.decoder.append(Block(convolution, n_above))
        _, n_out, kernel, stride = layers[0]
        self.last = ComplexConv2d(2 * n_out, 1, kernel, stride, transposed=True, generator=generator)
        self.bias = nn.Parameter(torch.tensor([1.0, 0.0]))  # the first mask is close to a plain gain
        with torch.no_grad():
            self.last.weight.mul_(0.1)

    @property
    def n_parameters(self) -> int:
        """Real parameters."""
        return sum(parameter.numel() for parameter in self.parameters())

    @property
    def grid(self) -> int:
        """Samples to which a length is padded: the network halves time in every second layer."""
        return self.hop_length * math.prod(stride[1] for stride in STRIDES)

    @property
    def reach(self) -> int:
        """Samples to either side on which an output sample depends at most."""
        frames, step = 0, 1
        for kernel, stride in zip(KERNELS, STRIDES, strict=True):
            frames += 2 * (kernel[1] // 2) * step  # on the way down and, on the same grid, on the way up
            step *= stride[1]
        return frames * self.hop_length + self.n_fft

    def forward(self, noisy: Tensor, scale: Tensor | None = None) -> Tensor:
        """Denoise.

        Args:
            noisy: waveforms `[B, T]`.
            scale: root mean square `[B]` by which they are scaled; their own if none is given. Parts of a long sound
                are given that of the whole.
        """
        length = noisy.shape[-1]
        rms = (noisy.square().mean(-1).sqrt() if scale is None else scale).clamp_min(SILENCE)[:, None]  # [B, 1]
        with torch.autocast(noisy.device.type, enabled=False):
            padded = F.pad(noisy.float() / rms, (0, -length % self.grid))
            X = torch.stft(
                padded, self.n_fft, self.hop_length, window=self.window, pad_mode="constant", return_complex=True
            )  # [B, F, N]
        O = self.estimate(pack(X[:, None]))  # noqa: E741  # the paper's name
        with torch.autocast(noisy.device.type, enabled=False):
            Y = X * bounded_mask(unpack(O)[:, 0])  # [B, F, N]
            y = torch.istft(Y, self.n_fft, self.hop_length, window=self.window, length=padded.shape[-1])
        return y[:, :length] * rms

    def estimate(self, x: Tensor) -> Tensor:
        """The network: packed spectrogram -> unbounded packed mask, both `[B, 2, F, N]` with odd F and N."""
        x = laid_out(x)
        skips = []
        for block in self.encoder:
            x = block(x)  # [B, 2 C, F, N], halved by the stride
            skips.append(x)
        skips.pop()
        for block in self.decoder:
            x = join(block(x), skips.pop())
        last: Tensor = self.last(x)
        return last.float() + self.bias.view(1, 2, 1, 1)

    def loss(self, batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        """Weighted-SDR loss of noisy and clean waveforms, both `[B, T]`."""
        noisy, clean = batch
        return {"loss": weighted_sdr_loss(noisy, clean, self(noisy)).mean()}


def bounded_mask(O: Tensor) -> Tensor:  # noqa: E741  # the paper's name
    """Magnitude tanh(|O|), phase of O: a mask that can turn a bin but never amplify it."""
    magnitude = (O.real.square() + O.imag.square() + 1e-12).sqrt()
    return O * (torch.tanh(magnitude) / magnitude)


def weighted_sdr_loss(noisy: Tensor, clean: Tensor, estimate: Tensor) -> Tensor:
    """Negative cosines of sound and of noise with their estimates, weighted by their energies.

    Shape:
        three waveforms `[B, T]` -> `[B]`, from -1 (perfect) to 1.
    """
    noise = noisy - clean
    energy, noise_energy = clean.square().sum(-1), noise.square().sum(-1)
    a = energy / (energy + noise_energy + SILENCE)
    return -a * _cosine(clean, estimate) - (1 - a) * _cosine(noise, noisy - estimate)


def _cosine(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).sum(-1) / (a.square().sum(-1) * b.square().sum(-1) + SILENCE**2).sqrt()
