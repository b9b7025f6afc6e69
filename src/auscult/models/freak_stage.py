"""One stage of FREAK's network: norm, grouped causal convolution and activation, as one differentiable function.

Activations are frames `[N, B, C]`, time first: a crop or a delayed view is a slice without a copy, and the rows of all
clips form one matrix. Gain and bias of the norm are already in the weights of the convolution.
"""

from typing import Any, Literal, cast

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

Norm = Literal["frame", "clip"]
Activation = Literal["relu", "gate"]
Folded = tuple[Tensor, Tensor]
"""Weight `[groups, C_out / groups, kernel, C_in / groups]` and bias `[C_out]` of one convolution."""

EPSILON = 1e-5

aten = torch.ops.aten


def stage(
    x: Tensor,
    folded: Folded,
    norm: Norm | None = None,
    activation: Activation | None = None,
    *,
    dilation: int = 1,
    onto: Tensor | None = None,
) -> Tensor:
    """Norm, grouped causal convolution, activation or sum: `[N, B, C_in]` -> `[N - (kernel - 1) * dilation, B, C_out]`.

    Args:
        x: frames.
        folded: of the convolution, gain and bias of the norm included.
        norm: of the input.
        activation: `"gate"` multiplies the ReLU of the first half of each group with the sigmoid of the second.
        dilation: of the convolution.
        onto: frames `[N', B, C_out]` to which the convolution is added, where there is no activation.
    """
    if not torch.is_grad_enabled():
        return computed(x, folded, norm, activation, dilation=dilation, onto=onto)[0]
    y: Tensor = Stage.apply(x, *folded, onto, dilation, norm, activation)  # type: ignore[no-untyped-call]
    return y


def computed(
    x: Tensor,
    folded: Folded,
    norm: Norm | None,
    activation: Activation | None,
    *,
    dilation: int,
    onto: Tensor | None,
) -> tuple[Tensor, list[Tensor]]:
    """The output of a stage, and what its gradient needs: normalised input, activations, moments of the norm."""
    normed, *moments = normalised(x, norm) if norm else (x,)
    y = product(normed, *folded, dilation, onto)  # [N', B, C_out], or twice the channels for a gate
    if activation == "relu":
        y.relu_()
    elif activation == "gate":
        value, gate = halves(y, len(folded[0]))
        return (value.relu_() * gate.sigmoid_()).flatten(2), [normed, y, *moments]
    return y, [normed, y, *moments]


class Stage(Function):
    """`stage` with a gradient of its own: it keeps less, and reuses what it has, where autograd would copy."""

    @staticmethod
    def forward(  # noqa: PLR0917  # torch passes them by position
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        onto: Tensor | None,
        dilation: int,
        norm: Norm | None,
        activation: Activation | None,
    ) -> Tensor:
        """Frames in, frames out."""
        out, (normed, y, *moments) = computed(x, (weight, bias), norm, activation, dilation=dilation, onto=onto)
        ctx.dilation, ctx.norm, ctx.activation = dilation, norm, activation
        ctx.save_for_backward(x, weight, normed, y if activation else None, *moments)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Any, ...]:
        """Gradients of input, weight, bias and `onto`."""
        x, weight, normed, y, *moments = ctx.saved_tensors
        gradient = dy = gradient.contiguous()
        if ctx.activation == "relu":
            dy = aten.threshold_backward(gradient, y, 0)
        elif ctx.activation == "gate":
            dy = gate_backward(gradient, y, len(weight))
        d_normed, d_weight, d_bias = product_backward(dy, normed, weight, ctx.dilation, ctx.needs_input_grad[0])
        dx = d_normed
        if ctx.norm and d_normed is not None:
            dx = normalised_backward(d_normed, x, ctx.norm, *moments)
        return dx, d_weight, d_bias, gradient if ctx.needs_input_grad[3] else None, None, None, None


def halves(y: Tensor, groups: int) -> tuple[Tensor, Tensor]:
    """Value and gate `[N, B, groups, C / groups]`, side by side in each group of `[N, B, 2 C]`."""
    value, gate = y.view(*y.shape[:2], groups, 2, -1).unbind(dim=3)
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

    Those of bfloat16 are float32. The norm of a clip is a batch norm in which every clip is a channel.
    """
    units = _units(x, norm)
    if shape := _layer(x, norm):
        normed, *moments = aten.native_layer_norm(x, shape, *units, EPSILON)
    else:
        normed, *moments = aten.native_batch_norm(x, *units, None, None, True, 0.0, EPSILON)
    return normed, moments[0], moments[1]


def normalised_backward(gradient: Tensor, x: Tensor, norm: Norm, *moments: Tensor) -> Tensor:
    """Gradient of the frames that were normalised."""
    gain, bias = _units(x, norm)
    mask = [True, False, False]
    if shape := _layer(x, norm):
        dx = aten.native_layer_norm_backward(gradient, x, shape, *moments, gain, bias, mask)[0]
    else:
        dx = aten.native_batch_norm_backward(gradient, x, gain, None, None, *moments, True, EPSILON, mask)[0]
    return cast(Tensor, dx)


def _layer(x: Tensor, norm: Norm) -> torch.Size | None:
    """The axes of a layer norm, where the norm is one; that of a single clip is the faster of two."""
    if norm == "frame":
        return x.shape[2:]
    return x.shape if x.shape[1] == 1 and x.dtype.itemsize >= 4 else None


def _units(x: Tensor, norm: Norm) -> tuple[Tensor | None, Tensor | None]:
    """Gain 1 and bias 0, whose type is that of the moments; torch's norm of a frame is slower without."""
    if norm == "clip" and _layer(x, norm):
        return None, None
    width = x.shape[2] if norm == "frame" else x.shape[1]
    dtype = torch.float32 if x.dtype.itemsize < 4 else x.dtype
    return x.new_ones(width, dtype=dtype), x.new_zeros(width, dtype=dtype)


def product(x: Tensor, weight: Tensor, bias: Tensor, dilation: int, onto: Tensor | None = None) -> Tensor:
    """Grouped causal convolution of frames, onto others if given: a batched matrix product for each tap.

    In bfloat16 on a CPU the convolution of oneDNN is faster: its matrix products are slow with strided bands.
    """
    groups, width, kernel, _ = weight.shape
    n_frames, n_clips = len(x) - (kernel - 1) * dilation, x.shape[1]
    if by_convolution(x):
        y = torch.conv2d(image(x), taps(weight), bias, dilation=(1, dilation * n_clips), groups=groups)
        y = y.permute(0, 2, 3, 1).view(n_frames, n_clips, -1)
        return y if onto is None else y.add_(onto)
    y = x.new_empty(n_frames, n_clips, groups * width).copy_(bias) if onto is None else onto + bias
    out = bands(y, groups)
    for tap in range(kernel):
        torch.baddbmm(out, bands(x[tap * dilation :][:n_frames], groups), weight[:, :, tap].mT, out=out)
    return y


def product_backward(
    dy: Tensor, x: Tensor, weight: Tensor, dilation: int, needs_dx: bool
) -> tuple[Tensor | None, Tensor, Tensor]:
    """Gradients of input, weight and bias of `product`."""
    groups, _, kernel, _ = weight.shape
    d_weight = torch.empty_like(weight)
    for tap in range(kernel):
        weight_gradient(dy, x[tap * dilation :][: len(dy)], out=d_weight[:, :, tap])
    d_bias = dy.sum(dim=(0, 1))
    if not needs_dx:
        return None, d_weight, d_bias
    if by_convolution(x):
        arguments = [1, 1], [0, 0], [1, dilation * x.shape[1]], False, [0, 0], groups
        dx = aten.convolution_backward(image(dy), image(x), taps(weight), None, *arguments, [True, False, False])[0]
        return dx.permute(0, 2, 3, 1).view(x.shape), d_weight, d_bias
    dx = torch.empty_like(x)
    dx[len(dy) :] = 0
    for tap in range(kernel):
        seen = bands(dx[tap * dilation :][: len(dy)], groups)
        torch.baddbmm(seen, bands(dy, groups), weight[:, :, tap], beta=min(tap, 1), out=seen)
    return dx, d_weight, d_bias


def weight_gradient(dy: Tensor, x: Tensor, *, out: Tensor) -> None:
    """Gradient `[groups, C_out / groups, C_in / groups]` of one tap that read the frames x."""
    groups, width, n_in = out.shape
    if by_convolution(x):
        rows_y, rows_x = (a.reshape(a.shape[1], 1, a.shape[0], a.shape[2]).permute(0, 3, 1, 2) for a in (dy, x))
        like = out.new_empty(groups * width, n_in, 1, 1)
        gradient = aten.convolution_backward(
            rows_y, rows_x, like, None, [1, 1], [0, 0], [1, 1], False, [0, 0], groups, [False, True, False]
        )[1]
        out.copy_(gradient.view(out.shape))
    else:
        torch.bmm(bands(dy, groups).mT, bands(x, groups), out=out)


def bands(x: Tensor, groups: int) -> Tensor:
    """A view of frames `[N, B, C]` as `[groups, N * B, C / groups]`."""
    return x.view(-1, groups, x.shape[2] // groups).transpose(0, 1)


def image(x: Tensor) -> Tensor:
    """A view of frames `[N, B, C]` as an image of one row, `[1, C, 1, N * B]`, channels last."""
    return x.view(1, 1, -1, x.shape[2]).permute(0, 3, 1, 2)


def taps(weight: Tensor) -> Tensor:
    """A view of a weight as that of a convolution along an image's row, `[C_out, C_in / groups, 1, kernel]`."""
    return weight.flatten(0, 1).mT[:, :, None]


def for_scoring(weight: Tensor) -> Tensor:
    """The same weight, in memory as a product reads it fastest: `[groups, kernel, C_in / groups, C_out / groups]`."""
    if by_convolution(weight):
        return weight
    return weight.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)


def by_convolution(x: Tensor) -> bool:
    """Whether torch's convolution is the faster product."""
    return x.dtype == torch.bfloat16 and x.device.type == "cpu"
