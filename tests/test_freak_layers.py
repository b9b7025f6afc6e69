"""FREAK's network against a plain one of `nn.Conv1d`, layer norm and group norm: the same values and gradients."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from auscult.models import Freak, load_model
from auscult.models.freak_layers import Affine, ResidualBlock, fold
from auscult.models.freak_stage import normalised, normalised_backward, stage
from auscult.models.saved import write_model_file

BINS = 8
SETTINGS = [
    {"m": 2, "n_layers": 3, "groups": 2, "kernel": 3},
    {"m": 3, "n_layers": 2, "groups": 4, "kernel": 2},
    {"m": 1, "n_layers": 1, "groups": 1, "kernel": 1},
    {"m": 5, "n_layers": 3, "groups": 8, "kernel": 4},
]


class PlainNorm(nn.Module):
    """Layer norm of each frame, or group norm with one group, of `[B, C, N]`."""

    def __init__(self, n_channels: int, norm: str) -> None:
        super().__init__()
        self.by_frame = norm == "frame"
        self.layer = nn.LayerNorm(n_channels) if self.by_frame else nn.GroupNorm(1, n_channels)

    def forward(self, x: Tensor) -> Tensor:
        normed: Tensor = self.layer(x.transpose(1, 2)).transpose(1, 2) if self.by_frame else self.layer(x)
        return normed


class PlainBlock(nn.Module):
    """The report's residual block, as one would write it."""

    def __init__(self, n_in: int, n_out: int, kernel: int, dilation: int, groups: int, norm: str) -> None:
        super().__init__()
        self.norm_in, self.norm_gate, self.norm_out = (PlainNorm(n, norm) for n in (n_in, n_out, n_out))
        self.causal = nn.Conv1d(n_in, n_out, kernel, dilation=dilation, groups=groups)
        self.gate, self.value, self.out = (nn.Conv1d(n_out, n_out, 1, groups=groups) for _ in range(3))
        self.skip = nn.Conv1d(n_in, n_out, 1, groups=groups)

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.causal(self.norm_in(x)))
        y = self.norm_gate(y)
        y = torch.sigmoid(self.gate(y)) * torch.relu(self.value(y))
        y = torch.relu(self.out(self.norm_out(y)))
        skip: Tensor = self.skip(x)[..., -y.shape[-1] :]
        return y + skip


class PlainFreak(nn.Module):
    """`[B, N, F]` -> predictions `[B, N', F]`."""

    def __init__(self, *, m: int, n_layers: int, groups: int, kernel: int, norm: str) -> None:
        super().__init__()
        widths = [BINS] + [m * BINS] * n_layers
        blocks = [PlainBlock(n, widths[1], kernel, 2**i, groups, norm) for i, n in enumerate(widths[:-1])]
        last = nn.Conv1d(widths[1], BINS, kernel, dilation=2**n_layers, groups=groups)
        self.network = nn.Sequential(*blocks, PlainNorm(widths[1], norm), last)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.network(x.transpose(1, 2)).transpose(1, 2)
        return y

    def tensors(self) -> dict[str, Tensor]:
        """The weights by the names and in the shapes of a model's file."""
        named = {name.replace(".layer.", "."): tensor.detach() for name, tensor in self.named_parameters()}
        return {name: tensor[:, :, None] if tensor.dim() == 3 else tensor for name, tensor in named.items()}

    def gradients(self) -> dict[str, Tensor]:
        return {name.replace(".layer.", "."): parameter.grad for name, parameter in self.named_parameters()}


def twins(settings: dict[str, int], norm: str) -> tuple[Freak, PlainFreak]:
    """Ours and the plain one with the same random weights, in float64."""
    torch.manual_seed(0)
    plain = PlainFreak(**settings, norm=norm).double()
    for parameter in plain.parameters():
        nn.init.normal_(parameter)
    model = Freak(BINS, crop=200, norm=norm, **settings)  # type: ignore[arg-type]  # one of the two norms
    model.build()
    model.double().load_state_dict(plain.tensors(), strict=False)
    return model, plain


def relative(ours: Tensor, theirs: Tensor) -> float:
    ours, theirs = ours.detach().flatten(), theirs.detach().flatten()
    return float((ours - theirs).norm() / theirs.norm())


@pytest.mark.parametrize("by_convolution", [False, True])
@pytest.mark.parametrize("norm", ["frame", "clip"])
@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("n_clips", [1, 5])
def test_predictions_and_all_gradients_are_the_plain_ones(
    settings: dict[str, int], norm: str, by_convolution: bool, n_clips: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("auscult.models.freak_stage.by_convolution", lambda x: by_convolution)
    monkeypatch.setattr("auscult.models.freak_layers.PIECE_BYTES", 2 * 69 * settings["m"] * BINS * 8)  # two clips
    model, plain = twins(settings, norm)
    x = torch.randn(n_clips, 70, BINS, dtype=torch.float64)
    field = model.receptive_field()
    inputs = [x[:, :-1].clone().requires_grad_() for _ in range(2)]
    predictions = [model(inputs[0]), plain(inputs[1])]
    assert predictions[0].shape == (n_clips, 70 - field, BINS)
    for prediction in predictions:
        (prediction - x[:, field:]).square().mean().backward()
    assert relative(predictions[0], predictions[1]) < 1e-10
    assert relative(inputs[0].grad, inputs[1].grad) < 1e-10  # type: ignore[arg-type]  # both have one
    theirs = plain.gradients()
    assert len(theirs) == len(list(model.parameters()))
    for name, parameter in model.named_parameters():
        assert relative(parameter.grad, theirs[name]) < 1e-10, name  # type: ignore[arg-type]  # it has one


@pytest.mark.parametrize("norm", ["frame", "clip"])
def test_bfloat16_predicts_and_learns_nearly_the_same(norm: str) -> None:
    model, plain = twins(SETTINGS[0], norm)
    model, plain = model.float(), plain.float()
    for parameter in (*model.parameters(), *plain.parameters()):
        parameter.data.mul_(0.5)
    x = torch.randn(5, 60, BINS)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = model.loss(x)["loss"]
    loss.backward()
    expected = (plain(x[:, :-1]) - x[:, 31:]).square().mean()
    expected.backward()
    assert loss.item() == pytest.approx(expected.item(), rel=0.02)
    ours = torch.cat([parameter.grad.flatten() for parameter in model.parameters()])  # type: ignore[union-attr]  # it has one
    theirs = plain.gradients()
    assert relative(ours, torch.cat([theirs[name].flatten() for name, _ in model.named_parameters()])) < 0.1


def test_the_moments_of_bfloat16_are_float32_and_their_gradient_is_the_norms() -> None:
    x = torch.randn(9, 3, 16).bfloat16()
    for norm, axes in (("frame", (2,)), ("clip", (0, 2))):
        normed, *moments = normalised(x, norm)  # type: ignore[arg-type]  # one of the two
        assert [moment.dtype for moment in moments] == [torch.float32] * 2
        assert normed.float().mean(dim=axes).abs().max() < 0.01
        assert (normed.float().std(dim=axes, correction=0) - 1).abs().max() < 0.01
        wide = x.double().requires_grad_()
        centred = wide - wide.mean(dim=axes, keepdim=True)
        expected = centred / (centred.square().mean(dim=axes, keepdim=True) + 1e-5).sqrt()
        (expected * expected.detach() * wide.detach()).sum().backward()
        gradient = (normed * x).contiguous()
        ours = normalised_backward(gradient, x, norm, *moments)  # type: ignore[arg-type]  # one of the two
        assert relative(ours.double(), wide.grad) < 0.03  # type: ignore[arg-type]  # it has one


@pytest.mark.parametrize("norm", ["frame", "clip"])
def test_a_file_with_the_plain_networks_weights_scores_as_the_plain_network(norm: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    plain = PlainFreak(**SETTINGS[0], norm=norm)
    fresh = Freak(BINS, norm=norm, score="mse", **SETTINGS[0])  # type: ignore[arg-type]  # one of the two norms
    fresh.build()
    facts = {"family": "freak", "arguments": fresh.arguments, "ids": ["a"], "history": []}
    others = {name: tensor for name, tensor in fresh.state_dict().items() if not name.startswith("network.")}
    write_model_file(tmp_path / "old.safetensors", facts, plain.tensors() | others)
    clips = np.random.default_rng(0).normal(size=(3, 60, BINS)).astype(np.float32)
    with torch.no_grad():
        x = torch.from_numpy(clips)
        expected = (plain(x[:, :-1]) - x[:, 31:]).square().mean(dim=(1, 2))
    scores = load_model(tmp_path / "old.safetensors").score_clips(clips, ["a"] * 3)
    np.testing.assert_allclose(scores, expected.numpy(), rtol=1e-5)


def test_names_and_shapes_in_a_file_stay() -> None:
    model = Freak(BINS, m=2, n_layers=1, groups=2)
    model.build()
    shapes = {name: tuple(tensor.shape) for name, tensor in model.network.state_dict().items()}
    widths = {"norm_in": BINS, "norm_gate": 16, "norm_out": 16}
    convolutions = {"causal": (16, 4, 1, 3), "skip": (16, 4, 1, 1)} | dict.fromkeys(
        ("gate", "value", "out"), (16, 8, 1, 1)
    )
    expected = {f"0.{norm}.{part}": (width,) for norm, width in widths.items() for part in ("weight", "bias")}
    expected |= {f"0.{name}.weight": shape for name, shape in convolutions.items()}
    expected |= {f"0.{name}.bias": (16,) for name in convolutions}
    expected |= {"1.weight": (16,), "1.bias": (16,), "2.weight": (BINS, 8, 1, 3), "2.bias": (BINS,)}
    assert shapes == expected


def test_weights_kept_for_scoring_follow_every_change_of_the_parameters() -> None:
    model, _ = twins(SETTINGS[0], "frame")
    x = torch.randn(1, 40, BINS, dtype=torch.float64)
    with torch.inference_mode():
        first = model(x)
        assert torch.equal(model(x), first)
    loss = model(x).square().mean()
    loss.backward()
    torch.optim.SGD(model.parameters(), lr=0.1).step()
    with torch.inference_mode():
        second = model(x)
    assert not torch.equal(first, second)
    model.load_state_dict({name: 2 * tensor for name, tensor in model.state_dict().items()})
    with torch.inference_mode():
        assert not torch.equal(model(x), second)
        assert model.float()(x.float()).dtype == torch.float32


def test_a_step_repeats_itself_bit_for_bit() -> None:
    x = torch.randn(20, 60, BINS)
    for precision in (torch.float32, torch.bfloat16):
        runs = []
        for _ in range(2):
            model, _ = twins(SETTINGS[0], "frame")
            model.float()
            with torch.autocast("cpu", dtype=precision, enabled=precision is torch.bfloat16):
                loss = model.loss(x)["loss"]
            loss.backward()
            runs.append([loss.detach(), *(parameter.grad for parameter in model.parameters())])
        assert all(torch.equal(one, other) for one, other in zip(*runs, strict=True))  # type: ignore[arg-type]  # no None


def test_a_norm_folded_into_two_convolutions_gives_both_side_by_side_in_each_group() -> None:
    torch.manual_seed(0)
    block, affine = ResidualBlock(8, 8, kernel=2, dilation=1, groups=2), Affine(8)
    for parameter in affine.parameters():
        nn.init.normal_(parameter)
    x = torch.randn(5, 3, 8)
    y = stage(x, fold(affine, block.value, block.gate)).view(5, 3, 2, 2, 4)
    for part, convolution in enumerate((block.value, block.gate)):
        expected = convolution((x * affine.weight + affine.bias).permute(1, 2, 0)[:, :, None])[:, :, 0]
        torch.testing.assert_close(y[:, :, :, part].flatten(2), expected.permute(2, 0, 1))
