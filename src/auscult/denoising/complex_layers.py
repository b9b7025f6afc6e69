"""Complex layers on pairs of real channels: convolution, transposed convolution, batch norm, leaky ReLU.

Between the layers, C complex channels travel as 2 C real ones, the real parts first: `[B, 2 C, F, N]`. A complex
convolution is then one real convolution with the weights arranged as a matrix of rotations: the same mathematics as on
torch's complex tensors, in layouts and precisions for which the CPU and the GPU have fast kernels.

References:
    Trabelsi et al., Deep Complex Networks, ICLR 2018, arXiv:1705.09792.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Pair = tuple[int, int]
"""Frequency and time."""

LAYOUT = torch.channels_last
"""Order of all maps and weights in memory; on a CPU torch's kernels are faster with it than channels first."""

CHUNKS = 16  # sums over many values are taken in parts, so that bfloat16 rounds each part and not their sum


def pack(z: Tensor) -> Tensor:
    """Complex `[B, C, F, N]` -> real `[B, 2 C, F, N]`."""
    return torch.cat([z.real, z.imag], dim=1)


def unpack(x: Tensor) -> Tensor:
    """Real `[B, 2 C, F, N]` -> complex `[B, C, F, N]`."""
    real, imag = x.float().chunk(2, dim=1)
    return torch.complex(real, imag)


def join(a: Tensor, b: Tensor) -> Tensor:
    """Two packed tensors' channels behind each other: `[B, 2 C, F, N]`, `[B, 2 D, F, N]` -> `[B, 2 (C + D), F, N]`."""
    (a_real, a_imag), (b_real, b_imag) = a.chunk(2, dim=1), b.chunk(2, dim=1)
    return torch.cat([a_real, b_real, a_imag, b_imag], dim=1)


class ComplexConv2d(nn.Module):
    """Complex convolution without bias, padded so that a stride of 1 keeps the size; also transposed.

    Args:
        n_in: complex channels in.
        n_out: complex channels out.
        kernel: odd sizes.
        stride: of each axis.
        transposed: go the sizes backwards, from and to odd ones.
        generator: draws the first weights: magnitudes by Rayleigh's distribution with He's variance, uniform phases.

    Shape:
        `[B, 2 n_in, F, N]` -> `[B, 2 n_out, 1 + (F - 1) // stride, 1 + (N - 1) // stride]`; if transposed
        -> `[B, 2 n_out, 1 + (F - 1) * stride, 1 + (N - 1) * stride]`.
    """

    def __init__(
        self,
        n_in: int,
        n_out: int,
        kernel: Pair,
        stride: Pair,
        *,
        transposed: bool = False,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.stride = stride
        self.padding = (kernel[0] // 2, kernel[1] // 2)
        self.transposed = transposed
        shape = (n_in, n_out, *kernel) if transposed else (n_out, n_in, *kernel)
        taps = math.prod(kernel) / (math.prod(stride) if transposed else 1)  # those that meet a value
        magnitude = torch.sqrt(-2 * torch.log1p(-torch.rand(shape, generator=generator))) / math.sqrt(2 * n_in * taps)
        phase = 2 * math.pi * torch.rand(shape, generator=generator)
        self.weight = nn.Parameter(torch.stack([magnitude * torch.cos(phase), magnitude * torch.sin(phase)]))

    def matrix(self) -> Tensor:
        """The weights as a real convolution has them: `[2 n_out, 2 n_in, ...]`, transposed `[2 n_in, 2 n_out, ...]`."""
        real, imag = self.weight
        if self.transposed:
            imag = -imag
        return torch.cat([torch.cat([real, -imag], dim=1), torch.cat([imag, real], dim=1)])

    def forward(self, x: Tensor, mix: Tensor | None = None, shift: Tensor | None = None) -> Tensor:
        """Convolve; `mix` `[2 n_out, 2 n_out]` and `shift` `[2 n_out]` are a linear map of the outputs to take in."""
        matrix, axes = self.matrix(), "po,iokl->ipkl" if self.transposed else "po,oikl->pikl"
        if mix is not None:
            matrix = torch.einsum(axes, mix, matrix)
        convolve = F.conv_transpose2d if self.transposed else F.conv2d
        return convolve(x, laid_out(matrix), shift, self.stride, self.padding)


class ComplexBatchNorm(nn.Module):
    """Batch norm of complex channels: whitens real and imaginary part together, then an affine map.

    With V the 2 x 2 covariance of a channel over batch, frequency and time: `gamma V^(-1/2) (z - mean) + beta`, gamma
    symmetric. In evaluation, running mean and covariance.

    Args:
        n_channels: complex channels C.
        momentum: weight of a new batch in the running statistics; the first batches are averaged.
        eps: added to both variances.

    Shape:
        `[B, 2 C, F, N]` -> the same.
    """

    running_mean: Tensor
    running_covariance: Tensor
    n_batches: Tensor

    def __init__(self, n_channels: int, *, momentum: float = 0.1, eps: float = 1e-5) -> None:
        super().__init__()
        self.momentum = momentum
        self.eps = eps
        half = math.sqrt(0.5)
        self.gamma = nn.Parameter(torch.tensor([[half], [0.0], [half]]).repeat(1, n_channels))  # rr, ri, ii
        self.beta = nn.Parameter(torch.zeros(2 * n_channels))
        self.register_buffer("n_batches", torch.zeros(()))
        self.register_buffer("running_mean", torch.zeros(2 * n_channels))
        self.register_buffer("running_covariance", torch.tensor([[half], [0.0], [half]]).repeat(1, n_channels))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise by the batch and remember its statistics."""
        flat = x.permute(0, 2, 3, 1).reshape(-1, x.shape[1])  # [B F N, 2 C], no copy where channels are last
        mean, covariance = _moments(flat)
        with torch.no_grad():
            self.n_batches += 1
            weight = (1 / self.n_batches).clamp_min(self.momentum)
            self.running_mean.lerp_(mean, weight)
            self.running_covariance.lerp_(covariance, weight)
        mix, shift = self._map(mean, covariance)
        y = F.linear(flat, mix.to(flat.dtype), shift.to(flat.dtype))
        return y.view(x.shape[0], *x.shape[2:], x.shape[1]).permute(0, 3, 1, 2)

    def map(self) -> tuple[Tensor, Tensor]:
        """The whole layer in evaluation as a matrix `[2 C, 2 C]` and a shift `[2 C]`."""
        return self._map(self.running_mean, self.running_covariance)

    def _map(self, mean: Tensor, covariance: Tensor) -> tuple[Tensor, Tensor]:
        """`gamma V^(-1/2)` and `beta - gamma V^(-1/2) mean`; the root of a 2 x 2 matrix has a closed form."""
        rr, ri, ii = covariance[0] + self.eps, covariance[1], covariance[2] + self.eps
        root = (rr * ii - ri * ri).clamp_min(self.eps**2).sqrt()
        scale = 1 / (root * (rr + ii + 2 * root).sqrt())
        w_rr, w_ri, w_ii = (ii + root) * scale, -ri * scale, (rr + root) * scale
        g_rr, g_ri, g_ii = self.gamma
        rows = (
            torch.cat([torch.diag(g_rr * w_rr + g_ri * w_ri), torch.diag(g_rr * w_ri + g_ri * w_ii)], dim=1),
            torch.cat([torch.diag(g_ri * w_rr + g_ii * w_ri), torch.diag(g_ri * w_ri + g_ii * w_ii)], dim=1),
        )
        mix = torch.cat(rows)
        return mix, self.beta - mix @ mean


def _moments(flat: Tensor) -> tuple[Tensor, Tensor]:
    """Mean `[2 C]` and covariance `[3, C]` (rr, ri, ii) of `[M, 2 C]`, by matrix products: fast on every device."""
    n_values, width = flat.shape
    half = width // 2
    n_chunks = next(n for n in range(min(CHUNKS, n_values), 0, -1) if n_values % n == 0)
    chunks = flat.view(n_chunks, -1, width)
    ones = torch.ones(n_chunks, 1, chunks.shape[1], dtype=flat.dtype, device=flat.device)
    mean = (ones @ chunks).float().sum((0, 1)) / n_values
    square = (chunks.transpose(1, 2) @ chunks).float().sum(0) / n_values
    variance = torch.diagonal(square) - mean.square()
    cross = torch.diagonal(square, offset=half) - mean[:half] * mean[half:]
    return mean, torch.stack([variance[:half].clamp_min(0), cross, variance[half:].clamp_min(0)])


def laid_out(x: Tensor) -> Tensor:
    """A tensor of four axes in the order in memory for which the kernels are fast."""
    return x.contiguous(memory_format=LAYOUT)
