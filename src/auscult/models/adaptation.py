"""An encoder learns on to tell machines apart, from normal sounds alone: low-rank additions, sub-cluster AdaCos.

References:
    Zheng et al., Improving anomalous sound detection via low-rank adaptation fine-tuning of pre-trained audio models,
    SLT 2024.
"""

from collections.abc import Callable, Hashable, Iterable, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from auscult.errors import ModelError
from auscult.models.adacos import adapted_scale, cross_entropy, first_scale
from auscult.training import History, Training, generator_of, train
from auscult.training.lora import add_low_rank, merge_low_rank

Draw = Callable[[Sequence[int], torch.Generator], Tensor]
"""Places of clips, and a generator -> a window of each, as the encoder takes them `[B, ...]`."""


class Adaptation(nn.Module):
    """An encoder with low-rank additions, and the points of the classes that it learns to tell apart.

    Args:
        encoder: from windows `[B, ...]` to embeddings `[B, D]`.
        width: D.
        n_classes: K.
        rank: of the additions.
        sub_clusters: points of each class.
        generator: of what is drawn by chance.
    """

    def __init__(
        self,
        encoder: nn.Module,
        *,
        width: int,
        n_classes: int,
        rank: int,
        sub_clusters: int,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        add_low_rank(encoder, rank, generator)
        self.encoder, self.n_classes = encoder, n_classes
        centres = F.normalize(torch.randn(n_classes * sub_clusters, width, generator=generator))
        self.register_buffer("centres", centres.to(next(encoder.parameters()).device))
        self.register_buffer("scale", self.centres.new_tensor(first_scale(len(centres))))

    centres: Tensor
    scale: Tensor

    def parameters(self, recurse: bool = True) -> Iterable[nn.Parameter]:  # type: ignore[override]
        """Those that learn."""
        return (one for one in super().parameters(recurse) if one.requires_grad)

    def loss(self, batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        """Cross-entropy of the classes of windows `[B, ...]`, with their places among them `[B]`."""
        windows, labels = batch
        points, targets = F.normalize(self.encoder(windows)), F.one_hot(labels, self.n_classes).float()
        with torch.autocast(points.device.type, enabled=False):
            cosines = points.float() @ self.centres.T
            self.scale = adapted_scale(cosines.detach(), targets, self.scale)
            return {"loss": cross_entropy(self.scale * cosines, targets), "scale": self.scale}


def adapt_encoder(
    encoder: nn.Module,
    classes: Sequence[Hashable],
    draw: Draw,
    *,
    width: int,
    training: Training,
    rank: int = 8,
    sub_clusters: int = 4,
    checkpoint: Path | None = None,
    on_epoch: Callable[[int, dict[str, float]], None] | None = None,
) -> History:
    """Teach an encoder in place to tell the classes of normal clips apart. An epoch hears one window of every clip.

    Args:
        encoder: from windows `[B, ...]` to embeddings `[B, D]`, on the training's device.
        classes: of each clip, machine, domain and attributes for instance.
        draw: draws windows of clips.
        width: D.
        training: its settings.
        rank: of the additions to its weights.
        sub_clusters: points of each class in the embedding.
        checkpoint: a file to resume from and to write to.
        on_epoch: called with the number of epochs done and the newest entry of the history.

    Returns:
        The history.

    Raises:
        ModelError: if there are fewer than two classes, or nothing in the encoder can learn so.
        TrainingError: if the loss is no finite number.
    """
    known = sorted(set(classes), key=repr)
    if len(known) < 2:
        raise ModelError(
            f"an encoder learns from the differences of at least two classes, and all {len(classes)} clips are of "
            f"{len(known)}; give clips of more machines, or with attributes"
        )
    labels = torch.tensor([known.index(one) for one in classes])
    adaptation = Adaptation(
        encoder,
        width=width,
        n_classes=len(known),
        rank=rank,
        sub_clusters=sub_clusters,
        generator=generator_of("adaptation", training.seed),
    )

    def batches(epoch: int) -> Iterable[tuple[Tensor, Tensor]]:
        generator = generator_of("adaptation", training.seed, epoch)
        for chunk in torch.split(torch.randperm(len(labels), generator=generator), training.batch_size):
            windows = draw(chunk.tolist(), generator)
            yield windows, labels[chunk].to(windows.device)

    history = train(
        adaptation, batches, training=training, member="the encoder", checkpoint=checkpoint, on_epoch=on_epoch
    )
    merge_low_rank(encoder)
    return history
