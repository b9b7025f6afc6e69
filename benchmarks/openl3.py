"""OpenL3's front end against a DFT by convolution; how many times faster than the sound it embeds a clip of 10 s."""

import time
from typing import Any

from benchmarks.timing import precisions, side_by_side

N_WINDOWS = 4
WINDOWS_PER_SECOND = 9.6  # of a clip of 10 s, which has 96


def figures() -> dict[str, float]:
    return {"openl3_front_end_vs_conv_dft": front_end_vs_conv_dft(), **speeds()}


def windows() -> Any:
    """Noise: `[4, 48000]`."""
    import torch

    return 0.1 * torch.randn(N_WINDOWS, 48000, generator=torch.Generator().manual_seed(0))


def front_end_vs_conv_dft() -> float:
    """Four windows to spectrograms; on the other side the DFT is two convolutions with sines and cosines; float32."""
    import torch

    from auscult.features.openl3_network import FLOOR_DB, HOP_LENGTH, N_FFT, WindowSpectrogram

    ours, sound = WindowSpectrogram(), windows()
    angle = 2 * torch.pi * torch.outer(torch.arange(N_FFT // 2 + 1.0), torch.arange(N_FFT) / N_FFT)
    kernels = [(wave(angle) * ours.window).float()[:, None] for wave in (torch.cos, torch.sin)]  # [1025, 1, 2048]

    @torch.inference_mode()
    def theirs() -> Any:
        padded = torch.nn.functional.pad(sound, ours.padding)[:, None]
        real, imaginary = (torch.nn.functional.conv1d(padded, kernel, stride=HOP_LENGTH) for kernel in kernels)
        decibels = 10 * (ours.filters.T @ (real**2 + imaginary**2)).sqrt().clamp(min=1e-10).log10()
        return (decibels - decibels.amax(dim=(1, 2), keepdim=True)).clamp(min=FLOOR_DB)

    with torch.inference_mode():
        difference = (theirs() - ours(sound)).abs().max()
        if difference > 0.1:
            raise RuntimeError(f"the two front ends differ by {difference:.2g} dB")
        return side_by_side(theirs, lambda: ours(sound))


def speeds() -> dict[str, float]:
    """Seconds of sound in a second of computing, on one thread and two; plain and as it is used; two precisions.

    Plain is the network as it was trained, its maps channels first. Both start from the waveform. The differences are
    the largest ones of the embeddings, relative to the largest value: of plain, and of bfloat16.
    """
    from copy import deepcopy

    import torch

    from auscult.features.openl3_network import AudioNetwork, WindowSpectrogram

    front_end, sound = WindowSpectrogram(), windows()
    plain = AudioNetwork().eval()
    folded = deepcopy(plain).fold()
    found: dict[str, float] = {}
    outputs: dict[str, Any] = {}
    for threads in (1, 2):
        torch.set_num_threads(threads)
        for name, network, last in (("plain", plain, False), ("", folded, True)):
            for precision in precisions():
                bf16 = precision == "bf16"
                layout = torch.channels_last if last else torch.contiguous_format
                times = []
                for _ in range(4):
                    started = time.perf_counter()
                    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                        output = network(front_end(sound)[:, None].contiguous(memory_format=layout))
                    times.append(time.perf_counter() - started)
                speed = N_WINDOWS / min(times) / WINDOWS_PER_SECOND
                found["_".join(part for part in ("openl3_speed", name, precision, f"{threads}t") if part)] = speed
                outputs[name + precision] = output.float()
    torch.set_num_threads(1)
    ours = outputs["fp32"]
    for name, other in (("layout", "plainfp32"), ("bf16", "bf16")):
        if other in outputs:
            found[f"openl3_{name}_difference"] = float((outputs[other] - ours).abs().max() / ours.abs().max())
    return found
