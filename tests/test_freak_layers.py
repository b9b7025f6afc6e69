"""FREAK's network against the plain one of torch's own operations: the same values and gradients."""

from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from auscult.models import Freak, load_model
from auscult.models.freak_layers import Affine, PlainNetwork, ResidualBlock, fold
from auscult.models.freak_stage import normalised, normalised_backward, stage

BINS = 8
SETTINGS = [
    {"m": 2, "n_layers": 3, "groups": 2, "kernel": 3},
    {"m": 3, "n_layers": 2, "groups": 4, "kernel": 2},
    {"m": 1, "n_layers": 1, "groups": 1, "kernel": 1},
    {"m": 5, "n_layers": 3, "groups": 8, "kernel": 4},
]


def twins(settings: dict[str, int], norm: str) -> tuple[Freak, PlainNetwork]:
    """Ours and the plain network with the same random weights, in float64."""
    torch.manual_seed(0)
    model = Freak(BINS, crop=200, norm=norm, **settings)  # type: ignore[arg-type]  # one of the two norms
    model.build()
    model.double()
    for parameter in model.parameters():
        nn.init.normal_(parameter)
    return model, PlainNetwork(deepcopy(model.network))


def gradients(network: nn.Module) -> list[Tensor]:
    return [parameter.grad for parameter in network.parameters()]  # type: ignore[misc]  # all have one


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
    for ours, theirs in zip(gradients(model), gradients(plain), strict=True):
        assert relative(ours, theirs) < 1e-10


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
    ours, theirs = (torch.cat([gradient.flatten() for gradient in gradients(one)]) for one in (model, plain))
    assert relative(ours, theirs) < 0.1


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
    model = Freak(BINS, norm=norm, score="mse", **SETTINGS[0])  # type: ignore[arg-type]  # one of the two norms
    model.build()
    model.ids, model.fitted, plain = ("a",), True, PlainNetwork(model.network)
    model.save(tmp_path / "model.safetensors")
    clips = np.random.default_rng(0).normal(size=(3, 60, BINS)).astype(np.float32)
    with torch.no_grad():
        x = torch.from_numpy(clips)
        expected = (plain(x[:, :-1]) - x[:, 31:]).square().mean(dim=(1, 2))
    scores = load_model(tmp_path / "model.safetensors").score_clips(clips, ["a"] * 3)
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
