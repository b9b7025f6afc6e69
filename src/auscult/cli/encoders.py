"""Command on encoders: adapt-encoder."""

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from auscult.cli.options import LayoutName, Output


def adapt_encoder(
    data: Path,
    *,
    out: Output,
    dataset: LayoutName = None,
    machine_types: Annotated[list[str] | None, Parameter(name="--machine-type")] = None,
    weights: Path | None = None,
    channel: int = 0,
    rank: int = 8,
    epochs: int = 10,
    batch_size: int = 64,
    learning_rate: float = 1e-3,
    seed: int = 0,
    device: str = "auto",
) -> None:
    """Let YAMNet learn on from normal sounds, to tell machines, domains and attributes apart (LoRA).

    The result is a folder of weights, for --weights or AUSCULT_WEIGHTS. Made for a GPU.

    Args:
        data: Data folder; its training clips are heard.
        out: Folder of the new weights. The same command continues a training that was stopped.
        dataset: Layout of the data by its name, as `auscult inspect` says it; detected by default.
        machine_types: Only these; give the option again for more.
        weights: Folder of YAMNet's weights; the environment variable AUSCULT_WEIGHTS by default.
        channel: Of multi-channel files, counted from 0.
        rank: Of the additions to the weights.
        epochs: Each hears a window of 0.96 s of every clip.
        batch_size: Windows at once.
        learning_rate: Of Adam.
        seed: Another seed is another training.
        device: auto, cpu, cuda, cuda:N or mps.
    """
    from auscult.cli.display.progress import counting
    from auscult.datasets import load_dataset, require_training_clips
    from auscult.features.yamnet import Yamnet
    from auscult.members.adapting import adapt_yamnet
    from auscult.training import Training, choose_device

    training = Training(
        epochs=epochs, batch_size=batch_size, learning_rate=learning_rate, seed=seed, device=choose_device(device)
    )
    yamnet = Yamnet(weights=None if weights is None else str(weights))
    clips = load_dataset(data, dataset=dataset, machine_types=machine_types).clips
    require_training_clips(clips, data)
    with counting("adapting") as show:
        path = adapt_yamnet(
            [clip for clip in clips if clip.split == "train"],
            yamnet,
            out,
            training=training,
            rank=rank,
            channel=channel,
            on_step=show,
        )
    sys.stdout.write(f"written to {path}; use it: --weights {out}\n")
