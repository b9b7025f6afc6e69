"""FREAK's training and scoring, against the same network from `torch.nn` and against a plain matrix product."""

from collections.abc import Callable, Iterable
from typing import Any

import torch

from auscult.features.bank import Bank
from auscult.models import Freak
from auscult.training import Precision
from benchmarks.timing import in_turns, precisions
from benchmarks.training import noise_bank, ours, plain, prepared

STEPS = 3
BATCH, CROP, N_SCORED = 32, 200, 8
MATRIX = 2048


def figures(device: str = "cpu") -> dict[str, float]:
    """Ratios to the plain network in both precisions; on a CPU also scoring, arithmetic and two threads."""
    bank = noise_bank()
    found = trained(bank, device)
    if device != "cpu":
        return {name: value for name, value in found.items() if "gflops" not in name and "matmul" not in name}
    found |= scored(bank)
    torch.set_num_threads(2)
    try:
        both = trained(bank, device) | scored(bank)
    finally:
        torch.set_num_threads(1)
    return found | {f"{name}_2t": value for name, value in both.items() if "_vs_" in name}


def trained(bank: Bank, device: str) -> dict[str, float]:
    """Batch 32 crops of 200 frames of 128 bins, m 5, three layers."""
    model, other = Freak(covariance="identity"), PlainFreak().to(device)
    frames = prepared(model, bank, device)
    if model.n_parameters != sum(parameter.numel() for parameter in other.parameters()):
        raise AssertionError("the two networks differ: nothing could be compared")
    crops = frames.view(bank.n_clips, -1, 128)[:, :CROP]

    def batches() -> Iterable[torch.Tensor]:
        while True:
            for chunk in torch.randperm(len(crops), device=device).view(-1, BATCH):
                yield crops[chunk]

    works: dict[str, Callable[[], object]] = {}
    for precision in precisions(device):
        works[f"plain {precision}"] = plain(other, batches, steps=STEPS, betas=(0.85, 0.999), precision=precision)
        works[f"ours {precision}"] = ours(model, bank, frames, steps=STEPS, precision=precision)
        works[f"matrix {precision}"] = matrix_product(precision, device)
    times = in_turns(works, repeats=5)
    forward, first = operations(CROP - 1)
    found = ratios(times, "train", STEPS * BATCH * (3 * forward - first))
    if "ours bf16" in times:
        found["freak_bf16_gain"] = times["ours fp32"] / times["ours bf16"]
    return found


def scored(bank: Bank) -> dict[str, float]:
    """Some clips of 313 frames one by one, by their mean squared error."""
    model, other = Freak(score="mse"), PlainFreak().eval()
    prepared(model, bank, "cpu")
    model.fitted = True
    model.eval()
    with torch.no_grad():
        for parameter, source in zip(model.parameters(), other.parameters(), strict=True):
            parameter.copy_(source.view(parameter.shape))
    clips = bank.frames.reshape(bank.n_clips, -1, 128)[:N_SCORED]
    ids = bank.ids[:N_SCORED]
    deviation, mean = model.deviation, model.mean

    def theirs() -> Any:
        with torch.no_grad():
            return [float(other.loss((torch.tensor(clip)[None] - mean) / deviation)["loss"]) for clip in clips]

    works: dict[str, Callable[[], object]] = {}
    torch.testing.assert_close(torch.tensor(theirs()), torch.tensor(model.score_clips(clips, ids)).float())
    for precision in precisions():
        works[f"plain {precision}"] = under(precision, theirs)
        works[f"ours {precision}"] = under(precision, lambda: model.score_clips(clips, ids))
        works[f"matrix {precision}"] = matrix_product(precision, "cpu")
    return ratios(in_turns(works), "score", N_SCORED * operations(clips.shape[1] - 1)[0])


def ratios(times: dict[str, float], what: str, n_operations: float) -> dict[str, float]:
    """Figures of one kind of work from the times of plain, ours and a matrix product in each precision."""
    found = {}
    for precision, prefix in (("fp32", "freak"), ("bf16", "freak_bf16")):
        if f"ours {precision}" not in times:
            continue
        ours_, plain_, matrix = (times[f"{name} {precision}"] for name in ("ours", "plain", "matrix"))
        against = ("" if what == "train" else "_score") + "_vs_plain" + ("_bf16" if precision == "bf16" else "")
        found[f"{prefix}{against}"] = plain_ / ours_
        found[f"{prefix}_{what}_gflops"] = n_operations / ours_ / 1e9
        found[f"{prefix}_{what}_of_matmul"] = n_operations / ours_ / (2 * MATRIX**3 / matrix)
    return found


def matrix_product(precision: Precision, device: str) -> Callable[[], object]:
    """A product of two square matrices."""
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    one, other = (torch.randn(MATRIX, MATRIX, device=device).to(dtype) for _ in range(2))
    return lambda: one @ other


def under(precision: Precision, work: Callable[[], object]) -> Callable[[], object]:
    """The same in autocast."""

    def run() -> object:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bf16"):
            return work()

    return run


def operations(n_frames: int, *, n_bins: int = 128, hidden: int = 640, n_layers: int = 3) -> tuple[float, float]:
    """Floating-point operations of the products of one clip forward, and those that read the input among them."""
    forward, first = 0.0, 0.0
    for layer in range(n_layers):
        n_frames -= 2 * 2**layer
        n_in = hidden if layer else n_bins
        reading = 2 * n_frames * 4 * n_in * hidden / 4  # the causal convolution's three taps and the skip
        forward += reading + 2 * n_frames * 3 * hidden * hidden / 4
        first = first or reading
    return forward + 2 * (n_frames - 2 * 2**n_layers) * 3 * hidden * n_bins / 4, first


class PlainBlock(torch.nn.Module):
    """The residual block with `nn.Conv1d` and a layer norm of each frame, as one would write it."""

    def __init__(self, n_in: int, n_out: int, dilation: int) -> None:
        super().__init__()
        self.norms = torch.nn.ModuleList(torch.nn.LayerNorm(n) for n in (n_in, n_out, n_out))
        self.causal = torch.nn.Conv1d(n_in, n_out, 3, dilation=dilation, groups=4)
        self.gate, self.value, self.out = (torch.nn.Conv1d(n_out, n_out, 1, groups=4) for _ in range(3))
        self.skip = torch.nn.Conv1d(n_in, n_out, 1, groups=4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = torch.relu(self.causal(framewise(self.norms[0], x)))
        y = framewise(self.norms[1], y)
        y = torch.sigmoid(self.gate(y)) * torch.relu(self.value(y))
        y = torch.relu(self.out(framewise(self.norms[2], y)))
        skipped: torch.Tensor = self.skip(x[..., -y.shape[-1] :])
        return y + skipped


class PlainFreak(torch.nn.Module):
    """The network of FREAK with m 5 and three layers."""

    def __init__(self, n_bins: int = 128, hidden: int = 640) -> None:
        super().__init__()
        self.blocks = torch.nn.ModuleList(
            PlainBlock(n_in, hidden, dilation) for n_in, dilation in ((n_bins, 1), (hidden, 2), (hidden, 4))
        )
        self.norm = torch.nn.LayerNorm(hidden)
        self.last = torch.nn.Conv1d(hidden, n_bins, 3, dilation=8, groups=4)

    def loss(self, batch: torch.Tensor) -> dict[str, torch.Tensor]:
        x = batch.transpose(1, 2)  # [B, F, N]
        y = x[..., :-1]
        for block in self.blocks:
            y = block(y)
        y = self.last(framewise(self.norm, y))
        return {"loss": (y - x[..., -y.shape[-1] :]).square().mean()}


def framewise(norm: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
    """A norm over the channels of each frame of `[B, C, N]`."""
    normed: torch.Tensor = norm(x.transpose(1, 2)).transpose(1, 2)
    return normed
