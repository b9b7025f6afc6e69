"""Training steps of each family, against the same network in the loop that one would write first."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from auscult.features.bank import Bank, bank_of
from auscult.models import HVAE, IDCAE, Model
from auscult.models.window import window_starts, window_view
from auscult.training import Precision, generator_of, train
from benchmarks.timing import side_by_side

STEPS = 30
IDCAE_CLIPS, IDCAE_STEPS = 256, 150  # one epoch: 300 windows of each clip; the challenge's types have ten times as much


def figures(device: str = "cpu") -> dict[str, float]:
    return {
        "hvae_train_vs_dataloader": hvae_train_vs_dataloader(device),
        "idcae_train_vs_dataloader": idcae_train_vs_dataloader(device),
    }


def noise_bank(n_clips: int = 64, n_frames: int = 313, n_bins: int = 128) -> Bank:
    """Standard normal frames of two machines."""
    rng = np.random.default_rng(0)
    frames = rng.standard_normal((n_clips, n_frames, n_bins)).astype(np.float32)
    return bank_of(frames, [f"id_{index % 2:02d}" for index in range(n_clips)])


def prepared(model: Model, bank: Bank, device: str) -> torch.Tensor:
    """Build a model as `fit` does; gives the bank's frames."""
    model.ids = tuple(sorted(set(bank.ids)))
    torch.manual_seed(0)
    model.build()
    model.to(device)
    model.generator = generator_of("bench", device=device)
    frames = torch.tensor(bank.frames, device=device)
    model.fit_statistics(frames, bank)
    return frames


def ours(
    model: Model, bank: Bank, frames: torch.Tensor, *, steps: int = STEPS, **settings: Any
) -> Callable[[], object]:
    """Some steps of our loop: batches gathered from the bank, fused Adam."""
    training = replace(model.default_training, epochs=1, device=str(frames.device), **settings)

    def first(batches: Iterable[Any]) -> Iterable[Any]:
        for _, batch in zip(range(steps), batches, strict=False):
            yield batch

    return lambda: train(
        model, lambda _: first(repeated(model, frames, bank, training)), training=training, member="bench"
    )


def repeated(model: Model, frames: torch.Tensor, bank: Bank, training: Any) -> Iterable[Any]:
    """Epoch after epoch."""
    while True:
        yield from model.batches(frames, bank, training)


def plain(
    model: Any,
    batches: Callable[[], Iterable[Any]],
    *,
    steps: int = STEPS,
    betas: tuple[float, float] = (0.9, 0.999),
    precision: Precision = "fp32",
) -> Any:
    """The loop that one writes first, with default Adam."""

    def run() -> None:
        device = next(model.parameters()).device.type
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, betas=betas)
        model.train()
        total = 0.0
        for _, batch in zip(range(steps), batches(), strict=False):
            optimizer.zero_grad()
            with torch.autocast(device, dtype=torch.bfloat16, enabled=precision == "bf16"):
                loss = model.loss(batch)["loss"]
            loss.backward()
            optimizer.step()
            total += loss.item()

    return run


def loader(*tensors: torch.Tensor) -> Any:
    dataset = torch.utils.data.TensorDataset(*tensors)
    return torch.utils.data.DataLoader(dataset, batch_size=512, shuffle=True)


def hvae_train_vs_dataloader(device: str) -> float:
    """Batch 512 windows of 640 values; the other materialises all windows for its loader."""
    bank, model = noise_bank(), HVAE()
    frames = prepared(model, bank, device)
    windows = window_view(frames, 5)[window_starts(bank, 5, device=frames.device)].cpu()
    batches = loader(windows)
    theirs = plain(model, lambda: (batch[0].to(device) for batch in batches))
    return side_by_side(theirs, ours(model, bank, frames))


def idcae_train_vs_dataloader(device: str) -> float:
    """Batch 512 windows of 1,280 values with labels drawn for each; a whole epoch of 256 clips."""
    bank, model = noise_bank(IDCAE_CLIPS), IDCAE()
    frames = prepared(model, bank, device)
    starts = window_starts(bank, 10, device=torch.device("cpu"))
    windows = window_view(frames.cpu(), 10)[starts]
    clip_of = torch.bucketize(starts, torch.tensor(bank.offsets[1:]), right=True)
    matches = torch.tensor([model.ids.index(id_) for id_ in bank.ids])[clip_of]
    batches = loader(windows, matches)

    def drawn() -> Iterable[Any]:
        for x, match in batches:
            is_match = torch.rand(len(x)) < model.alpha
            other = (match + torch.randint(1, len(model.ids), match.shape)) % len(model.ids)
            yield x.to(device), torch.where(is_match, match, other).to(device), is_match.to(device)

    theirs = plain(model, drawn, steps=IDCAE_STEPS)
    return side_by_side(theirs, ours(model, bank, frames, steps=IDCAE_STEPS), repeats=5)
