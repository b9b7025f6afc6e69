"""Real-time factors of the denoiser, seconds of computing for a second of sound, by threads, precision and layout."""

import time
from collections.abc import Callable
from unittest.mock import patch

import torch
from torch.nn import functional as F

from auscult.denoising import complex_layers
from auscult.denoising.complex_layers import ComplexConv2d, pack
from auscult.denoising.unet import UNet
from benchmarks.timing import precisions, side_by_side

RATE = 16000
SECONDS = 10
REPEATS = 15


def figures() -> dict[str, float]:
    """The denoiser as it is used, channels last, and with its channels first; what the choices change in its output."""
    found = {"complex_conv_vs_native": complex_conv_vs_native()} if "bf16" in precisions() else {}
    unet, sound = UNet().eval(), torch.randn(1, SECONDS * RATE, generator=torch.Generator().manual_seed(0))
    outputs = {}
    for layout, name in ((torch.channels_last, ""), (torch.contiguous_format, "channels_first_")):
        with patch.object(complex_layers, "LAYOUT", layout):
            for precision in precisions():
                bf16 = precision == "bf16"
                with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
                    outputs[name + precision] = unet(sound)
                for threads in (1, 2):
                    factor = real_time_factor(unet, sound, threads=threads, bf16=bf16)
                    found[f"denoiser_rtf_{name}{precision}_{threads}"] = factor
    for name, other in (("layout", "channels_first_fp32"), ("bf16", "bf16")):
        if other in outputs:
            found[f"denoiser_{name}_difference"] = difference(outputs[other], outputs["fp32"])
    return found


def difference(other: torch.Tensor, ours: torch.Tensor) -> float:
    """Largest difference, relative to the largest value."""
    return float((other - ours).abs().max() / ours.abs().max())


def real_time_factor(unet: UNet, sound: torch.Tensor, *, threads: int, bf16: bool) -> float:
    """Least over repeats, after one that does not count: other processes can only make it longer."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    times = []
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
        for _ in range(REPEATS + 1):
            started = time.perf_counter()
            unet(sound)
            times.append(time.perf_counter() - started)
    torch.set_num_threads(before)
    return min(times[1:]) / SECONDS


def complex_conv_vs_native() -> float:
    """A layer of the decoder's size in bfloat16, forward and backward, against torch's complex one in float32."""
    layer = ComplexConv2d(64, 32, (7, 5), (1, 1), generator=torch.Generator().manual_seed(0))
    z = torch.randn(4, 64, 129, 33, dtype=torch.complex64, requires_grad=True)
    x = pack(z.detach()).contiguous(memory_format=torch.channels_last).requires_grad_()

    def native() -> None:
        y = F.conv2d(z, torch.complex(*layer.weight), padding=layer.padding)
        torch.autograd.backward(torch.view_as_real(y).sum())

    def ours() -> None:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            y = layer(x)
        torch.autograd.backward(y.float().sum())

    works: tuple[Callable[[], None], Callable[[], None]] = (native, ours)
    return side_by_side(*works, repeats=5)
