"""The complex U-Net: complex mathematics, its size, any length, silence, gain."""

from typing import Any

import pytest
import torch
from torch.nn import functional as F

from auscult.denoising.complex_layers import ComplexBatchNorm, ComplexConv2d, join, pack, unpack
from auscult.denoising.unet import UNet, bounded_mask, weighted_sdr_loss

SMALL = (2, 2, 3, 3, 3, 3, 3, 4)


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def complex_noise(*shape: int) -> torch.Tensor:
    return torch.complex(noise(*shape), noise(*shape, seed=1))


@pytest.mark.parametrize("stride", [(1, 1), (2, 1), (2, 2)])
@pytest.mark.parametrize(("transposed", "plain"), [(False, F.conv2d), (True, F.conv_transpose2d)])
def test_convolution_equals_torch_on_complex_tensors(stride: tuple[int, int], transposed: bool, plain: Any) -> None:
    generator = torch.Generator().manual_seed(0)
    layer = ComplexConv2d(3, 4, (7, 5), stride, transposed=transposed, generator=generator)
    z = complex_noise(2, 3, 17, 9)
    expected = plain(z, torch.complex(*layer.weight), stride=stride, padding=(3, 2))
    torch.testing.assert_close(unpack(layer(pack(z))), expected, rtol=1e-4, atol=1e-5)


def test_first_weights_keep_the_energy() -> None:
    layer = ComplexConv2d(64, 64, (5, 3), (1, 1), generator=torch.Generator().manual_seed(0))
    variance = layer.weight.square().sum(0).mean() * 64 * 15
    assert variance.item() == pytest.approx(1.0, rel=0.02)  # a complex signal, so without He's factor of 2


def test_join_puts_complex_channels_behind_each_other() -> None:
    a, b = complex_noise(2, 3, 5, 5), complex_noise(2, 1, 5, 5)
    torch.testing.assert_close(unpack(join(pack(a), pack(b))), torch.cat([a, b], dim=1))


def test_batch_norm_whitens_real_and_imaginary_part() -> None:
    z = complex_noise(4, 3, 9, 9)
    skewed = torch.complex(5 + 3 * z.real, z.real - 0.3 * z.imag)  # correlated, unequal, not centred
    norm = ComplexBatchNorm(3)
    y = unpack(norm(pack(skewed)))
    for channel in y.transpose(0, 1).flatten(1):
        parts = torch.stack([channel.real, channel.imag])
        torch.testing.assert_close(parts.mean(1), torch.zeros(2), atol=1e-3, rtol=0)
        torch.testing.assert_close(torch.cov(parts), 0.5 * torch.eye(2), atol=5e-3, rtol=0)


def test_batch_norm_in_evaluation_is_the_map_of_its_running_statistics() -> None:
    norm, z = ComplexBatchNorm(3, momentum=1.0), complex_noise(4, 3, 9, 9)
    trained = norm(pack(z))
    mix, shift = norm.map()
    mapped = torch.einsum("po,bofn->bpfn", mix, pack(z)) + shift.view(1, -1, 1, 1)
    torch.testing.assert_close(mapped, trained, rtol=1e-4, atol=1e-4)


def test_the_report_s_size() -> None:
    assert UNet().n_parameters == pytest.approx(2.62e6, abs=5e3)
    assert UNet(channels=(32, 32, 64, 64, 64, 64, 64, 64)).n_parameters == pytest.approx(2.38e6, abs=5e3)


@pytest.mark.parametrize("length", [1, 255, 4096, 5000])
def test_any_length_comes_back_as_long(length: int) -> None:
    unet = UNet(channels=SMALL).eval()
    y = unet(noise(2, length))
    assert y.shape == (2, length)
    assert torch.isfinite(y).all()


def test_silence_stays_silence() -> None:
    for unet in (UNet(channels=SMALL), UNet(channels=SMALL).eval()):
        zeros = torch.zeros(2, 5000)
        assert torch.equal(unet(zeros), zeros)
        loss = unet.loss((zeros, zeros))["loss"]
        torch.autograd.backward(loss)
        assert all(torch.isfinite(p.grad).all() for p in unet.parameters() if p.grad is not None)


def test_a_louder_sound_is_denoised_as_the_soft_one() -> None:
    unet, x = UNet(channels=SMALL).eval(), noise(1, 6000)
    torch.testing.assert_close(unet(100 * x), 100 * unet(x), rtol=1e-3, atol=1e-3)


def test_evaluation_takes_the_norm_into_the_convolution() -> None:
    unet, x = UNet(channels=SMALL), noise(1, 20000)
    for module in unet.modules():
        if isinstance(module, ComplexBatchNorm):
            module.momentum = 1.0
    trained = unet(x)
    torch.testing.assert_close(unet.eval()(x), trained, rtol=1e-3, atol=1e-3)


def test_no_sample_depends_on_what_lies_beyond_the_reach() -> None:
    unet = UNet(channels=SMALL).eval()
    length = 2 * unet.reach + 3 * unet.grid
    x, place = noise(1, length), length // 2
    x.requires_grad_()
    gradient = torch.autograd.grad(unet(x, scale=torch.ones(1))[0, place], x)[0][0]
    assert gradient[place].abs() > 0
    assert gradient[: place - unet.reach].abs().max() == 0
    assert gradient[place + unet.reach + 1 :].abs().max() == 0


def test_the_mask_never_amplifies_and_keeps_the_phase() -> None:
    z = 10 * complex_noise(100)
    mask = bounded_mask(z)
    assert mask.abs().max() <= 1 + 1e-6
    torch.testing.assert_close(mask.abs(), torch.tanh(z.abs()))
    torch.testing.assert_close(mask.angle(), z.angle())


def test_the_loss_is_least_for_the_clean_sound() -> None:
    clean, noisy = noise(2, 800), noise(2, 800) + noise(2, 800, seed=3)
    torch.testing.assert_close(weighted_sdr_loss(noisy, clean, clean), -torch.ones(2))
    assert (weighted_sdr_loss(noisy, clean, noisy) > -0.9).all()
    assert (weighted_sdr_loss(noisy, clean, noisy - clean) > weighted_sdr_loss(noisy, clean, noisy)).all()
