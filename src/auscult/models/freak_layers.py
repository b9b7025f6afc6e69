"""The network of FREAK: norm, grouped causal convolution and activation as one differentiable stage.

Activations are frames `[N, B, C]`, time first: a crop or a delayed view is a slice without a copy, and the rows of all
clips form one matrix. Gain and bias of each norm are folded into the weights of the convolution behind it.

References:
    van den Oord et al., WaveNet, arXiv:1609.03499; Wu and He, Group Normalization, arXiv:1803.08494.
"""

from typing import Any, Literal, cast

import torch
from torch import Tensor, nn
from torch.autograd import Function

Norm = Literal["frame", "clip"]
Activation = Literal["relu", "gate"]
Folded = tuple[Tensor, Tensor]
"""Weight `[kernel, groups, C_out / groups, C_in / groups]` and bias `[C_out]` of one convolution."""

EPSILON = 1e-5
PIECE_BYTES = 4 * 2**20
"""Size of one activation of the clips that a CPU works on at a time: about what stays in its caches."""

aten = torch.ops.aten


class Network(nn.Sequential):
    """Residual blocks with dilations 1, 2, 4, ..., then a norm and one more causal convolution.

    Args:
        n_bins: width F of a frame.
        hidden: channels of the blocks.
        n_layers: blocks.
        kernel: frames that a causal convolution sees.
        groups: bands into which every convolution divides the channels.
        norm: `"frame"`, over the channels of each frame, or `"clip"`, over channels and time of each clip.

    Shape:
        `[B, N, F]` -> `[B, N - receptive_field + 1, F]`.
    """

    def __init__(self, n_bins: int, hidden: int, *, n_layers: int, kernel: int, groups: int, norm: Norm) -> None:
        widths = [n_bins] + [hidden] * n_layers
        super().__init__(
            *(
                ResidualBlock(n_in, hidden, kernel=kernel, dilation=2**layer, groups=groups)
                for layer, n_in in enumerate(widths[:-1])
            ),
            Affine(hidden),
            convolution(hidden, n_bins, groups=groups, kernel=kernel, dilation=2**n_layers),
        )
        self.hidden, self.norm = hidden, norm
        self._kept: tuple[Any, list[list[Folded]]] = (None, [])

    def forward(self, x: Tensor) -> Tensor:
        """Predict the frame after each run of frames; in bfloat16 under such an autocast."""
        autocast = torch.is_autocast_enabled(x.device.type)
        dtype = torch.get_autocast_dtype(x.device.type) if autocast else x.dtype
        n_clips = len(x)
        if x.device.type == "cpu":
            n_clips = max(1, PIECE_BYTES // (x.shape[1] * self.hidden * dtype.itemsize))
        with torch.autocast(x.device.type, enabled=False):
            weights = self._folded(dtype)
            return torch.cat([self._predict(piece.to(dtype), weights) for piece in x.split(n_clips)])

    def _predict(self, x: Tensor, weights: list[list[Folded]]) -> Tensor:
        *blocks, _, last = self
        y = x.transpose(0, 1).contiguous()  # [N, B, F]
        for block, folded in zip(blocks, weights, strict=False):
            y = block.run(y, folded, self.norm)  # [N', B, hidden]
        y = stage(y, weights[-1][0], self.norm, dilation=last.dilation[1])
        return y.transpose(0, 1)  # [B, N - receptive_field + 1, F]

    def _folded(self, dtype: torch.dtype) -> list[list[Folded]]:
        """The weights of every stage; where nothing learns they are kept until a parameter changes."""
        version = (dtype, *((parameter.data_ptr(), parameter._version) for parameter in self.parameters()))
        if not torch.is_grad_enabled() and self._kept[0] == version:
            return self._kept[1]
        *blocks, norm, last = self
        stages = [*(block.folded() for block in blocks), [fold(norm, last)]]
        weights = [[(weight.to(dtype), bias.to(dtype)) for weight, bias in stage] for stage in stages]
        self._kept = (None, []) if torch.is_grad_enabled() else (version, weights)
        return weights


class ResidualBlock(nn.Module):
    """A causal convolution, a gated unit and a convolution, beside a plain skip; a norm before each stage."""

    def __init__(self, n_in: int, n_out: int, *, kernel: int, dilation: int, groups: int) -> None:
        super().__init__()
        self.dilation = dilation
        self.norm_in, self.norm_gate, self.norm_out = Affine(n_in), Affine(n_out), Affine(n_out)
        self.causal = convolution(n_in, n_out, groups=groups, kernel=kernel, dilation=dilation)
        self.gate = convolution(n_out, n_out, groups=groups)
        self.value = convolution(n_out, n_out, groups=groups)
        self.out = convolution(n_out, n_out, groups=groups)
        self.skip = convolution(n_in, n_out, groups=groups)

    def folded(self) -> list[Folded]:
        """The weights of the four stages."""
        return [
            fold(self.norm_in, self.causal),
            fold(self.norm_gate, self.value, self.gate),
            fold(None, self.skip),
            fold(self.norm_out, self.out),
        ]

    def run(self, x: Tensor, weights: list[Folded], norm: Norm) -> Tensor:
        """Frames `[N, B, n_in]` -> `[N', B, n_out]`, `N' = N - (kernel - 1) * dilation`; each sees none after it."""
        causal, gated, skip, out = weights
        y = stage(x, causal, norm, "relu", dilation=self.dilation)  # [N', B, n_out]
        y = stage(y, gated, norm, "gate")  # [N', B, n_out]
        return stage(y, out, norm, "relu", onto=stage(x[-len(y) :], skip))  # [N', B, n_out]


class Affine(nn.Module):
    """Gain and bias of a norm over C channels."""

    def __init__(self, n_channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(n_channels))
        self.bias = nn.Parameter(torch.zeros(n_channels))


def convolution(n_in: int, n_out: int, *, groups: int, kernel: int = 1, dilation: int = 1) -> nn.Conv2d:
    """Weights of a convolution over time, unpadded; two-dimensional, `[n_out, n_in / groups, 1, kernel]`."""
    return nn.Conv2d(n_in, n_out, (1, kernel), dilation=(1, dilation), groups=groups)


def fold(norm: Affine | None, *convolutions: nn.Conv2d) -> Folded:
    """Weights of convolutions that read the same normalised input, side by side in each group, gain and bias in them.

    From `W (gain * x + shift) + b` to `(W gain) x + (W shift + b)`.
    """
    groups = convolutions[0].groups
    weight = torch.cat([c.weight[:, :, 0].unflatten(0, (groups, -1)) for c in convolutions], dim=1)  # [G, out, in, k]
    bias = torch.cat([cast(Tensor, c.bias).view(groups, -1) for c in convolutions], dim=1)  # [G, out]
    if norm is not None:
        gain, shift = norm.weight.view(groups, 1, -1, 1), norm.bias.view(groups, 1, -1, 1)
        bias = bias + (weight * shift).sum(dim=(2, 3))
        weight = weight * gain
    return weight.permute(3, 0, 1, 2).contiguous(), bias.flatten()


def stage(
    x: Tensor,
    folded: Folded,
    norm: Norm | None = None,
    activation: Activation | None = None,
    *,
    dilation: int = 1,
    onto: Tensor | None = None,
) -> Tensor:
    """Norm, grouped causal convolution, activation: `[N, B, C_in]` -> `[N - (kernel - 1) * dilation, B, C_out]`.

    Args:
        x: frames.
        folded: of the convolution, gain and bias of the norm included.
        norm: of the input.
        activation: `"gate"` multiplies the ReLU of the first half of each group with the sigmoid of the second.
        dilation: of the convolution.
        onto: frames to which the result is added.
    """
    y: Tensor = Stage.apply(x, *folded, dilation, norm, activation, onto)  # type: ignore[no-untyped-call]
    return y


class Stage(Function):
    """`stage` with a gradient of its own: it keeps less, and reuses what it has, where autograd would copy."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        dilation: int,
        norm: Norm | None,
        activation: Activation | None,
        onto: Tensor | None,
    ) -> Tensor:
        """Frames in, frames out."""
        normed, *moments = normalised(x, norm) if norm else (x,)
        y = product(normed, weight, bias, dilation)
        out = y
        if activation == "relu":
            y.relu_()
        elif activation == "gate":
            value, gate = halves(y, weight.shape[1])
            out = (value.relu_() * gate.sigmoid_()).flatten(2)
        if onto is not None:
            out = out + onto
        ctx.dilation, ctx.norm, ctx.activation = dilation, norm, activation
        ctx.save_for_backward(x, weight, normed, y if activation else None, *moments)
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Any, ...]:
        """Gradients of input, weight, bias and `onto`."""
        x, weight, normed, y, *moments = ctx.saved_tensors
        gradient = dy = gradient.contiguous()
        if ctx.activation == "relu":
            dy = aten.threshold_backward(gradient, y, 0)
        elif ctx.activation == "gate":
            dy = gate_backward(gradient, y, weight.shape[1])
        d_normed, d_weight, d_bias = product_backward(dy, normed, weight, ctx.dilation, ctx.needs_input_grad[0])
        dx = d_normed
        if ctx.norm and d_normed is not None:
            dx = normalised_backward(d_normed, x, ctx.norm, *moments)
        return dx, d_weight, d_bias, None, None, None, gradient if ctx.needs_input_grad[6] else None


def halves(y: Tensor, groups: int) -> tuple[Tensor, Tensor]:
    """Value and gate `[N, B, groups, C / groups]`, side by side in each group of `[N, B, 2 C]`."""
    value, gate = y.unflatten(2, (groups, 2, -1)).unbind(dim=3)
    return value, gate


def gate_backward(gradient: Tensor, y: Tensor, groups: int) -> Tensor:
    """Gradient before ReLU and sigmoid `[N, B, 2 C]`, from that of their product and from what they gave, `y`."""
    dy = torch.empty_like(y)
    (value, gate), (d_value, d_gate) = halves(y, groups), halves(dy, groups)
    gradient = gradient.view(value.shape)
    torch.mul(gradient, gate, out=d_value)
    aten.threshold_backward(d_value, value, 0, grad_input=d_value)
    torch.mul(gradient, value, out=d_gate)
    aten.sigmoid_backward(d_gate, gate, grad_input=d_gate)
    return dy


def normalised(x: Tensor, norm: Norm) -> tuple[Tensor, Tensor, Tensor]:
    """Frames `[N, B, C]` with mean 0 and variance 1, and what the gradient needs: mean and inverse deviation.

    Those of bfloat16 are float32. The norm of a clip is a batch norm to which every clip is a channel.
    """
    ones, zeros = _units(x, norm)
    if norm == "frame":
        normed, *moments = aten.native_layer_norm(x, x.shape[2:], ones, zeros, EPSILON)
    else:
        normed, *moments = aten.native_batch_norm(x, ones, zeros, None, None, True, 0.0, EPSILON)
    return normed, moments[0], moments[1]


def normalised_backward(gradient: Tensor, x: Tensor, norm: Norm, mean: Tensor, inverse: Tensor) -> Tensor:
    """Gradient of the frames that were normalised."""
    ones, zeros = _units(x, norm)
    mask = [True, False, False]
    if norm == "frame":
        return cast(
            Tensor, aten.native_layer_norm_backward(gradient, x, x.shape[2:], mean, inverse, ones, zeros, mask)[0]
        )
    return cast(
        Tensor,
        aten.native_batch_norm_backward(gradient, x, ones, None, None, mean, inverse, True, EPSILON, mask)[0],
    )


def _units(x: Tensor, norm: Norm) -> tuple[Tensor, Tensor]:
    """Gain 1 and bias 0, which torch's norms take faster than none, and whose type is that of the moments."""
    width = x.shape[2] if norm == "frame" else x.shape[1]
    dtype = torch.float32 if x.dtype.itemsize < 4 else x.dtype
    return x.new_ones(width, dtype=dtype), x.new_zeros(width, dtype=dtype)


def product(x: Tensor, weight: Tensor, bias: Tensor, dilation: int) -> Tensor:
    """Grouped causal convolution of frames, a batched matrix product for each tap.

    oneDNN's convolution is faster in bfloat16 alone: its matrix products read and write bands at half their speed.
    """
    kernel, groups, width, _ = weight.shape
    n_frames, n_clips = len(x) - (kernel - 1) * dilation, x.shape[1]
    if by_convolution(x):
        y = torch.conv2d(image(x), taps(weight), bias, dilation=(dilation, 1), groups=groups)
        return y[0].permute(1, 2, 0)
    y = x.new_empty(n_frames, n_clips, groups * width).copy_(bias)
    for tap in range(kernel):
        seen = bands(x[tap * dilation :][:n_frames], groups)
        torch.baddbmm(bands(y, groups), seen, weight[tap].mT, out=bands(y, groups))
    return y


def product_backward(
    dy: Tensor, x: Tensor, weight: Tensor, dilation: int, needs_dx: bool
) -> tuple[Tensor | None, Tensor, Tensor]:
    """Gradients of input, weight and bias of `product`."""
    kernel, groups, _, _ = weight.shape
    d_weight = torch.empty_like(weight)
    for tap in range(kernel):
        weight_gradient(dy, x[tap * dilation :][: len(dy)], out=d_weight[tap])
    d_bias = dy.sum(dim=(0, 1))
    if not needs_dx:
        return None, d_weight, d_bias
    if by_convolution(x):
        dx = aten.convolution_backward(
            image(dy), image(x), taps(weight), None, [1, 1], [0, 0], [dilation, 1], False, [0, 0], groups,
            [True, False, False],
        )[0]
        return dx[0].permute(1, 2, 0), d_weight, d_bias
    dx = torch.empty_like(x)
    torch.bmm(bands(dy, groups), weight[0], out=bands(dx[: len(dy)], groups))
    dx[len(dy) :] = 0
    for tap in range(1, kernel):
        heard = bands(dx[tap * dilation :][: len(dy)], groups)
        torch.baddbmm(heard, bands(dy, groups), weight[tap], out=heard)
    return dx, d_weight, d_bias


def weight_gradient(dy: Tensor, x: Tensor, *, out: Tensor) -> None:
    """Gradient `[groups, C_out / groups, C_in / groups]` of one tap that read the frames x."""
    groups, width, n_in = out.shape
    if by_convolution(x):
        rows_y, rows_x = (a.reshape(a.shape[1], 1, a.shape[0], a.shape[2]).permute(0, 3, 1, 2) for a in (dy, x))
        like = out.view(groups * width, n_in, 1, 1)
        gradient = aten.convolution_backward(
            rows_y, rows_x, like, None, [1, 1], [0, 0], [1, 1], False, [0, 0], groups, [False, True, False]
        )[1]
        like.copy_(gradient)
    else:
        torch.bmm(bands(dy, groups).mT, bands(x, groups), out=out)


def bands(x: Tensor, groups: int) -> Tensor:
    """A view of frames `[N, B, C]` as `[groups, N * B, C / groups]`."""
    return x.view(-1, groups, x.shape[2] // groups).transpose(0, 1)


def image(x: Tensor) -> Tensor:
    """A view of frames `[N, B, C]` as one image `[1, C, N, B]`, channels last."""
    return x[None].permute(0, 3, 1, 2)


def taps(weight: Tensor) -> Tensor:
    """A weight as that of a convolution over an image's height, `[C_out, C_in / groups, kernel, 1]`."""
    return weight.flatten(1, 2).permute(1, 2, 0)[..., None].contiguous(memory_format=torch.channels_last)


def by_convolution(x: Tensor) -> bool:
    """Whether torch's convolution is the faster product."""
    return x.dtype == torch.bfloat16 and x.device.type == "cpu"
