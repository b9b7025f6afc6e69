"""How far each stage is from what the machine could do: its arithmetic from a matrix product, its traffic from a copy.

`python -m benchmarks.bounds` measures on one thread, in the time of this process, a matrix product and a copy; then
each stage on a clip of 10 s or on one batch, in turns with a plain version of it where there is one. It counts the
arithmetic and the least traffic, asks the profiler where the time goes, and writes `benchmarks/results/bounds.json`,
which `docs/performance.md` shows.

Arithmetic is that of convolutions and matrix products, forward and backward, which torch counts; Fourier transforms
count 2.5 n log2 n. Traffic is what must move at least: input and output once; weights once in scoring, and 13 times
in training: three times for the passes and the gradient, ten for the optimiser's reading and writing.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from math import log2
from operator import matmul
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.features import librosa_log_mel
from benchmarks.places import RESULTS, write
from benchmarks.scoring import plain_windows
from benchmarks.timing import precisions

RATE, SECONDS, OPENL3_RATE = 16000, 10, 48000
SIDE, COPIED = 1536, 2**26
"""Of the matrices of the product, and values of the copy."""
ENOUGH, LEAST = 1.0, 5
"""Seconds and repeats after which a stage is measured."""
STEPS = 3
"""Training steps that are measured at once."""
BFLOAT16 = "bfloat16"
"""Behind the names of stages in that precision."""
SHOWN = 3
"""Kinds of operations that are named."""


@dataclass(frozen=True)
class Stage:
    """A stage on a clip or a batch.

    Attributes:
        name: of the stage.
        unit: what `seconds` are for.
        seconds: the median over repeats.
        plain: seconds of a plain version, or none.
        gflop: of arithmetic.
        megabytes: that must move at least.
        where: kind of operation -> share of the time, the largest ones.
    """

    name: str
    unit: str
    seconds: float
    plain: float | None
    gflop: float
    megabytes: float
    where: dict[str, float]


def seconds(*works: Callable[[], object]) -> list[float]:
    """Median time of this process for each; they take turns, after one that does not count."""
    times: list[list[float]] = [[] for _ in works]
    while len(times[0]) < LEAST + 1 or sum(times[0]) < ENOUGH:
        for work, own in zip(works, times, strict=True):
            started = time.process_time()
            work()
            own.append(time.process_time() - started)
    return [float(np.median(own[1:])) for own in times]


def measured(
    name: str,
    unit: str,
    work: Callable[[], object],
    *,
    megabytes: float,
    gflop: float | None = None,
    plain: Callable[[], object] | None = None,
    times: float = 1.0,
) -> Stage:
    """A stage, whose unit is so many times the work; its arithmetic is counted unless it is given."""
    from torch.profiler import ProfilerActivity, profile
    from torch.utils.flop_counter import FlopCounterMode

    work()
    if gflop is None:
        with FlopCounterMode(display=False) as counter:
            work()
        gflop = times * counter.get_total_flops() / 1e9
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        work()
    own = {event.key.removeprefix("aten::"): event.self_cpu_time_total for event in profiler.key_averages()}
    total = sum(own.values()) or 1.0
    largest = sorted(own, key=lambda key: -own[key])[:SHOWN]
    taken = [times * value for value in seconds(work, *([plain] if plain else []))]
    found = Stage(
        name,
        unit,
        taken[0],
        taken[1] if plain else None,
        gflop,
        megabytes,
        {key: own[key] / total for key in largest},
    )
    sys.stderr.write(f"{name}: {1000 * found.seconds:.2f} ms, {found.gflop / found.seconds:.1f} GFLOP/s\n")
    return found


def machine_rates() -> dict[str, float]:
    """GFLOP/s of matrix products and GB/s of a copy, read and write counted."""
    found = {}
    for name in precisions():
        dtype = torch.bfloat16 if name == "bf16" else torch.float32
        a, b = (torch.randn(SIDE, SIDE).to(dtype) for _ in range(2))
        found[f"matmul_{name}_gflops"] = 2 * SIDE**3 / seconds(partial(matmul, a, b))[0] / 1e9
    source, target = torch.randn(COPIED), torch.empty(COPIED)
    found["copy_gbytes"] = 2 * 4 * COPIED / seconds(lambda: target.copy_(source))[0] / 1e9
    return found


def noise(rate: int) -> Any:
    return (0.1 * np.random.default_rng(0).standard_normal(SECONDS * rate)).astype(np.float32)


def front_end_stages() -> list[Stage]:
    from auscult.denoising.streaming import Denoiser
    from auscult.denoising.unet import UNet

    low, high, denoiser = noise(RATE), noise(OPENL3_RATE), Denoiser(UNet(), sample_rate=RATE)
    size = 2 * low.nbytes / 1e6 + weights_mb(denoiser.unet)
    return [
        reading_stage(low),
        resampling_stage(high),
        log_mel_stage(low),
        openl3_stage(high),
        measured("denoiser", "clip", lambda: denoiser(low), megabytes=size),
    ]


def reading_stage(clip: Any) -> Stage:
    """Of a file of 16 bits."""
    import librosa
    import soundfile

    from auscult.sound.audio import read_waveform

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "noise.wav"
        soundfile.write(path, clip, RATE)
        return measured(
            "reading",
            "clip",
            lambda: read_waveform(path, sample_rate=RATE),
            plain=lambda: librosa.load(path, sr=None),
            megabytes=1.5 * clip.nbytes / 1e6,
            gflop=0.0,
        )


def resampling_stage(clip: Any) -> Stage:
    """From the rate of OpenL3 to that of the other stages."""
    import librosa

    from auscult.sound.audio import resample

    return measured(
        "resampling",
        "clip",
        lambda: resample(clip, OPENL3_RATE, RATE),
        plain=lambda: librosa.resample(clip, orig_sr=OPENL3_RATE, target_sr=RATE),
        megabytes=clip.nbytes * (OPENL3_RATE + RATE) // OPENL3_RATE / 1e6,
        gflop=0.0,
    )


def log_mel_stage(clip: Any) -> Stage:
    from auscult.features import LogMel

    log_mel = LogMel(RATE)
    n_frames, n_fft, n_mels = log_mel.n_frames(len(clip)), log_mel.n_fft, log_mel.n_bins
    return measured(
        "log-mel",
        "clip",
        lambda: log_mel(clip),
        plain=lambda: librosa_log_mel(clip),
        megabytes=clip.nbytes / 1e6 + n_frames * n_mels * 4 / 1e6,
        gflop=n_frames * (2.5 * n_fft * log2(n_fft) + 2 * (n_fft // 2 + 1) * n_mels) / 1e9,
    )


def openl3_stage(clip: Any) -> Stage:
    """On the first windows of a clip, for all; plain is the network as it was trained, channels first."""
    from auscult.features.openl3 import OpenL3Outline
    from auscult.features.openl3_network import AudioNetwork, WindowSpectrogram

    ours, network, spectrogram = OpenL3Outline(), AudioNetwork().eval(), WindowSpectrogram()
    few = clip[:OPENL3_RATE]
    n_few, n_all = ours.n_frames(len(few)), ours.n_frames(len(clip))

    @torch.inference_mode()
    def plain() -> Any:
        return network(spectrogram(torch.from_numpy(few)[None].repeat(n_few, 1))[:, None])

    size = clip.nbytes / 1e6 + n_all * ours.n_bins * 4 / 1e6 + weights_mb(network)
    return measured("OpenL3", "clip", lambda: ours(few), plain=plain, megabytes=size, times=n_all / n_few)


def weights_mb(module: torch.nn.Module) -> float:
    return sum(parameter.numel() for parameter in module.parameters()) * 4 / 1e6


def families() -> dict[str, Any]:
    """Of the report's sizes."""
    from auscult.models import HVAE, IDCAE, Autoencoder, Freak, Spectral

    return {
        "autoencoder": Autoencoder(),
        "hvae": HVAE(hidden=(640, 512, 256), n_latent=20, big_precision=True),
        "idcae": IDCAE(),
        "freak": Freak(m=5, n_layers=3, covariance="identity"),
        "spectral": Spectral(),
    }


def family_stages(name: str, model: Any) -> list[Stage]:
    """A training step with the optimiser, and the score of a clip."""
    from auscult.training import Training
    from benchmarks.freak import under
    from benchmarks.training import noise_bank, ours, prepared

    bank, found = noise_bank(), list[Stage]()
    if name != "spectral":
        frames = prepared(model, bank, "cpu")
        batch = next(iter(model.batches(frames, bank, model.default_training)))
        values = batch[0] if isinstance(batch, tuple) else batch
        size, unit = values.numel() * 4 / 1e6 + 13 * weights_mb(model), f"batch of {len(values)}"
        steps = ours(model, bank, frames, steps=STEPS)
        found.append(measured(f"{name} training", unit, steps, megabytes=size, times=1 / STEPS))
        if name == "freak" and "bf16" in precisions():
            half = ours(model, bank, frames, steps=STEPS, precision="bf16")
            found.append(in_bfloat16(found[-1], half, times=1 / STEPS))
    model.fit(bank, training=Training(epochs=1))
    clip = bank.frames[:313]
    size = clip.nbytes / 1e6 + weights_mb(model)
    plain = (lambda: plain_scores(model, clip)) if hasattr(model, "window_scores") else None
    found.append(
        measured(
            f"{name} scoring",
            "clip",
            lambda: model.score_clips(clip[None], ["id_00"]),
            plain=plain,
            megabytes=size,
        )
    )
    if name == "freak" and "bf16" in precisions():
        half = under("bf16", lambda: model.score_clips(clip[None], ["id_00"]))
        found.append(in_bfloat16(found[-1], half, times=1.0))
    return found


def in_bfloat16(stage: Stage, work: Callable[[], object], *, times: float) -> Stage:
    """The same arithmetic in half the precision; torch counts some of its convolutions double."""
    name = f"{stage.name}, {BFLOAT16}"
    return measured(name, stage.unit, work, megabytes=stage.megabytes, gflop=stage.gflop, times=times)


@torch.no_grad()
def plain_scores(model: Any, clip: Any) -> float:
    """As a script would have it: windows copied one frame after the other, the same network fed by a `DataLoader`."""
    scores = [model.window_scores(batch, "id_00") for batch in plain_windows(clip, model.context)]
    return float(torch.cat(scores).mean())


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    from auscult.processes import single_thread
    from auscult.runs.bench import machine

    with single_thread():
        rates = machine_rates()
        sys.stderr.write(", ".join(f"{name} {value:.1f}" for name, value in rates.items()) + "\n")
        stages = front_end_stages()
        for name, model in families().items():
            stages += family_stages(name, model)
    found = {**machine("cpu"), **rates, "stages": [asdict(stage) for stage in stages]}
    write(found, RESULTS / "bounds.json")


if __name__ == "__main__":
    main()
