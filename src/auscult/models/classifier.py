"""Classifier: learns to tell individuals apart, and scores a clip by its nearest normal clips in the embedding.

References:
    Wilkinghoff, Sub-cluster AdaCos, IJCNN 2021; Zhang et al., mixup: beyond empirical risk minimization, ICLR 2018.
"""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any, ClassVar, Literal, Self, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from auscult.clips import Known
from auscult.errors import ModelError
from auscult.features.bank import Bank
from auscult.features.statistics import check_statistics, clip_vector
from auscult.models.adacos import adapted_scale, cross_entropy, first_scale
from auscult.models.base import Model
from auscult.models.convolutions import Convolutions, random_crops, require_channels
from auscult.models.layers import dense_block, require_widths, standardisation, widened
from auscult.models.slopes import mean_slope
from auscult.models.window import window_view
from auscult.training import Training

ClassPart = Literal["id", "domain", "attributes"]
Network = Literal["vector", "spectrogram"]

Batch = tuple[Tensor, Tensor]
"""Standardised vectors `[B, V]` or crops `[B, N, F]`, and how much of each class they are `[B, K]`."""

MOMENTUM = 0.1
"""Of the batch norms: their statistics must follow a training of few steps."""


class Classifier(Model):
    """Tells the classes of normal clips apart; a clip that is far from all normal ones of its machine is abnormal.

    A network embeds statistics of a clip's frames, or its spectrogram, on a sphere; each class has some fixed random
    points there, its sub-clusters, and the training draws clips to those of their class. What tells a machine from its
    likes is what changes when it fails. Only the classes' differences are learnt, so one class alone teaches nothing.

    Args:
        n_bins: width F of a frame.
        classes: what makes a class, of `"id"`, `"domain"` and `"attributes"`; what a bank does not know tells nothing.
        network: `"vector"`: dense layers on statistics of bins over time; `"spectrogram"`: convolutions, which learn
            from crops and score whole clips.
        hidden: units of the dense layers.
        channels: of the convolutions.
        crop: frames of a crop, or of the shortest clip, if that has fewer.
        n_embedding: dimensions D of the embedding.
        sub_clusters: points of each class.
        mixup: probability that a training clip is mixed with another, in vectors and classes alike.
        others: where there is one machine id, clips of other machine types are classes, too, if the bank has any.
        k: nearest training clips of the same machine id whose mean cosine distance is the score.
        statistics: of each bin, side by side in one vector; see `auscult.features.statistics`.
        ratio: of the mean among them.

    Shape:
        vectors `[B, V]`, with V = F for each statistic, or crops `[B, N, F]` -> points on the sphere `[B, D]`.

    Raises:
        ModelError: for an argument out of range, a training on a single class, or an id that was not trained.
    """

    family: ClassVar[str] = "classifier"
    knows_ids: ClassVar[bool] = True
    keeps_clips: ClassVar[bool] = True
    default_training: ClassVar[Training] = Training(epochs=30, batch_size=64)
    free_arguments: ClassVar[frozenset[str]] = frozenset({"classes", "mixup", "others", "k"})

    def __init__(
        self,
        n_bins: int = 128,
        *,
        classes: Sequence[ClassPart] = ("id", "domain", "attributes"),
        network: Network = "vector",
        hidden: Sequence[int] = (256, 256),
        channels: Sequence[int] = (16, 32, 64),
        crop: int = 64,
        n_embedding: int = 128,
        sub_clusters: int = 8,
        mixup: float = 0.5,
        others: bool = True,
        k: int = 1,
        statistics: Sequence[str] = ("mean",),
        ratio: float = 1.0,
    ) -> None:
        super().__init__(n_bins=n_bins)
        require_widths("classifier", hidden, n_embedding)
        if network not in get_args(Network):
            raise ModelError(f"classifier: network is {network!r}; choose {' or '.join(get_args(Network))}")
        require_channels("classifier", channels)
        allowed = get_args(ClassPart)
        if isinstance(classes, str) or not classes or not set(classes) <= set(allowed):
            raise ModelError(f"classifier: classes is {classes!r}; give a list of some of {', '.join(allowed)}")
        for name, value in (("sub_clusters", sub_clusters), ("k", k), ("crop", crop)):
            if not isinstance(value, int) or value < 1:
                raise ModelError(f"classifier: {name} is {value!r}; it must be a whole number of at least 1")
        if not 0 <= mixup <= 1:
            raise ModelError(f"classifier: mixup is {mixup!r}; it must lie between 0 and 1")
        self.classes, self.hidden, self.n_embedding = tuple(classes), tuple(hidden), n_embedding
        self.sub_clusters, self.mixup, self.others, self.k = sub_clusters, mixup, others, k
        self.statistics, self.ratio = check_statistics(self.family, statistics, ratio), ratio
        if network == "spectrogram" and (self.statistics, ratio) != (("mean",), 1):
            raise ModelError("classifier: a network of spectrograms takes no statistics and no ratio; leave them out")
        self.network, self.channels, self.crop = network, tuple(channels), crop
        self.frame_context = 2 ** (len(channels) + 1) if self.crops else 1
        self.n_values = n_bins * len(self.statistics)
        self.register_buffer("mean", torch.zeros(self.n_values))
        self.register_buffer("deviation", torch.ones(self.n_values))
        self.register_buffer("scale", torch.ones(()))
        self.register_buffer("embeddings", torch.zeros(0, n_embedding))
        self.register_buffer("places", torch.zeros(0, dtype=torch.int64))
        self.register_buffer("centres", torch.zeros(0, n_embedding), persistent=False)  # drawn again for a resume
        self._inputs: Tensor | list[NDArray[np.float32]] = []
        self._targets, self._crop = torch.zeros(0), crop

    mean: Tensor
    deviation: Tensor
    scale: Tensor
    embeddings: Tensor
    """Of the training clips `[C, D]`, of length 1; `places` are those of their machines among the ids `[C]`."""
    places: Tensor
    centres: Tensor
    """Of the sub-clusters `[K * sub_clusters, D]`, of length 1, class by class; while it trains."""

    def wants_others(self, clips: Sequence[Known]) -> bool:
        """Where there is one machine id: it is told from machines of other types."""
        return self.others and len({id_ for id_, *_ in clips}) == 1

    def lacks(self, clips: Sequence[Known], *, others: bool = False) -> str | None:
        """A second class."""
        if others or len({self._class(clip) for clip in clips}) > 1:
            return None
        ids, parts = sorted({id_ for id_, *_ in clips}), " and ".join(self.classes)
        return (
            f"training clips of {', '.join(ids)} alone, all of one class by {parts}, and none of other machine types; "
            "classifier learns from the differences of at least two classes"
        )

    def _class(self, clip: Known) -> tuple[Any, ...]:
        return tuple(fact for name, fact in zip(get_args(ClassPart), clip, strict=True) if name in self.classes)

    def build(self) -> None:
        """Make the layers, and room for the machines' means."""
        sizes = (self.n_values, *self.hidden)
        blocks = [layer for pair in pairwise(sizes) for layer in dense_block(*pair, momentum=MOMENTUM)]
        self.layers: nn.Module = nn.Sequential(*blocks, nn.Linear(sizes[-1], self.n_embedding, bias=False))
        if self.crops:
            self.layers = Convolutions(self.n_bins, self.channels, self.n_embedding)
        self.register_buffer("id_means", torch.zeros(len(self.ids), self.n_values))

    id_means: Tensor
    """Mean vector of each machine id `[I, V]`, where the way of the error map begins."""

    @classmethod
    def rebuilt(cls, *saved: Any, what: str, device: str = "cpu") -> Self:
        """As of all families; every machine needs an embedded clip, and every one of these its machine."""
        model = super().rebuilt(*saved, what=what, device=device)
        if len(model.places) != len(model.embeddings) or set(model.places.tolist()) != set(range(len(model.ids))):
            raise ModelError(f"{what} whose embedded clips and machine ids do not belong together")
        return model

    def fit_statistics(self, frames: Tensor, bank: Bank) -> None:
        """Normalisation of the clips' vectors, their classes, and the points of these."""
        others = bank.others if self.wants_others(bank.known) else ()
        if (what := self.lacks(bank.known, others=bool(others))) is not None:
            raise ModelError(f"classifier: there are {what}; give clips of another machine, or choose another family")
        banks, device = (bank, *others), frames.device
        clips = [clip_vector(clip, self.statistics, self.ratio) for one in banks for clip, _ in self._clips(one)]
        vectors = torch.stack(clips)
        self.mean, self.deviation = standardisation(frames if self.crops else vectors[: bank.n_clips])
        self.places = torch.tensor([self.ids.index(id_) for id_ in bank.ids], device=device)
        each = [vectors[: bank.n_clips][self.places == place] for place in range(len(self.ids))]
        self.id_means = torch.stack([own.mean(dim=0) for own in each])
        self.embeddings = vectors.new_zeros(0, self.n_embedding)
        classes = [(n, *self._class(clip), clip[0] if n else "") for n, one in enumerate(banks) for clip in one.known]
        order = sorted(set(classes), key=repr)
        labels = torch.tensor([*map(order.index, classes)], device=device)
        points = torch.randn(len(order) * self.sub_clusters, self.n_embedding, generator=self.generator)
        self.centres = F.normalize(points).to(device)
        self.scale = frames.new_tensor(first_scale(len(points)))
        self._targets = F.one_hot(labels, len(order)).float()
        self._inputs = self._standardised(vectors)
        if self.crops:
            self._inputs = [one.clip(place) for one in banks for place in range(one.n_clips)]
            self._crop = min(self.crop, *map(len, self._inputs))

    @property
    def crops(self) -> bool:
        """Whether it learns from crops of spectrograms."""
        return self.network == "spectrogram"

    def _input(self, frames: Tensor) -> Tensor:
        """What the network hears of a clip `[N, F]`: its vector `[V]`, or all of it."""
        return frames if self.crops else clip_vector(frames, self.statistics, self.ratio)

    def _standardised(self, inputs: Tensor) -> Tensor:
        return (inputs - self.mean) / self.deviation

    def epoch_units(self, *, clips: int, frames: int, shortest: int) -> float:
        """The clips: each is one vector, or the frames of one crop."""
        return clips * (min(self.crop, shortest) if self.crops else 1)

    def sample(self, training: Training, length: int) -> tuple[dict[str, Any], list[int]]:
        """Two batches of clips of one frame, or of crops."""
        return self.arguments, [max(min(self.crop, length), self.frame_context) if self.crops else 1] * (
            2 * training.batch_size
        )

    def scoring_units(self, *, clips: int, frames: int, trained_clips: int) -> float:
        """The frames that convolutions hear; otherwise the clips: what a frame or a kept clip adds is small."""
        return frames if self.crops else clips

    def batches(self, frames: Tensor, bank: Bank, training: Training) -> Iterable[Batch]:
        """All clips in a random order, some mixed with another of their batch at an even share."""
        options: dict[str, Any] = {"generator": self.generator, "device": frames.device}
        for chunk in torch.split(torch.randperm(len(self._targets), **options), training.batch_size):
            if len(chunk) > 1:  # batch norm cannot learn from a single vector
                inputs, targets = self._drawn(chunk, options), self._targets[chunk]
                other = torch.randperm(len(chunk), **options)
                share, draw = torch.rand(2, len(chunk), 1, **options)
                share = torch.where(draw < self.mixup, share, 1.0)
                mixed = share[..., None] if self.crops else share
                yield mixed * inputs + (1 - mixed) * inputs[other], share * targets + (1 - share) * targets[other]

    def _drawn(self, chunk: Tensor, options: dict[str, Any]) -> Tensor:
        """The standardised vectors of some clips, or a random crop of each."""
        if isinstance(self._inputs, Tensor):
            return self._inputs[chunk]
        return self._standardised(random_crops([self._inputs[place] for place in chunk.tolist()], self._crop, options))

    def forward(self, x: Tensor) -> Tensor:
        """Points on the sphere from standardised vectors."""
        return F.normalize(widened(self.layers(x)))

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Cross-entropy of the classes, whose scale is set anew first."""
        x, targets = batch
        points = self(x)
        with torch.autocast(x.device.type, enabled=False):
            cosines = points @ self.centres.T  # [B, K * sub_clusters]
            self.scale = adapted_scale(cosines.detach(), targets, self.scale)
            return {"loss": cross_entropy(self.scale * cosines, targets), "scale": self.scale}

    def fit_scores(self, bank: Bank) -> None:
        """Embed the training clips."""
        self._inputs, self._targets = [], torch.zeros(0)
        self.embeddings = torch.cat(
            [self(self._standardised(self._input(clip)[None])) for clip, _ in self._clips(bank)]
        )

    def clip_frame_scores(self, frames: Tensor, machine_id: str) -> Tensor:
        """Score of each frame `[N]` or, of a spectrogram, of each window `[N - frame_context + 1]`: evidence only.

        As if the clip were no more, or this frame throughout; statistics but mean and maximum are the machine's means.
        """
        place = self.place_of(machine_id)
        if self.crops:
            windows = window_view(frames, self.frame_context).reshape(-1, self.frame_context, self.n_bins)
            return self._scores(windows, torch.tensor(place, device=frames.device))
        vectors = self.id_means[place].repeat(len(frames), 1)
        for start, name in zip(range(0, self.n_values, self.n_bins), self.statistics, strict=True):
            if name in ("mean", "maximum"):
                vectors[:, start : start + self.n_bins] = frames
        return self._scores(vectors, torch.tensor(place, device=frames.device))

    def clip_score(self, frames: Tensor, machine_id: str, pooling: str | None, frame_rate: float | None) -> float:
        """Mean cosine distance to the nearest clips of the machine."""
        return float(self.plain_scores(frames, torch.tensor(self.place_of(machine_id), device=frames.device)))

    def plain(self) -> Self:
        """All operations are plain."""
        return self

    def plain_scores(self, frames: Tensor, machine: Tensor) -> Tensor:
        """Score of the clip."""
        return self._scores(self._input(frames)[None], machine)[0]

    def nearest(self, frames: Tensor, machine_id: str) -> int:
        """Which training clip of the machine is nearest in the embedding."""
        machine = torch.tensor(self.place_of(machine_id), device=frames.device)
        return int(self._distances(self._input(frames)[None], machine).argmin())

    def _distances(self, inputs: Tensor, machine: Tensor) -> Tensor:
        """Cosine distances of vectors `[B, V]`, or clips `[B, N, F]`, to the training clips `[B, C]`.

        Infinite to those of other machines.
        """
        distances = (1 - self(self._standardised(inputs)).double() @ self.embeddings.double().T).clamp(min=0)
        return torch.where(self.places == machine, distances, torch.inf)

    def _scores(self, inputs: Tensor, machine: Tensor) -> Tensor:
        """Scores `[B]` of vectors or clips of the machine at a place `[]` among the ids."""
        nearest = self._distances(inputs, machine).topk(min(self.k, len(self.places)), largest=False).values
        there = nearest < torch.inf
        return torch.where(there, nearest, 0.0).sum(dim=1) / there.sum(dim=1)

    def clip_maps(self, frames: Tensor, machine_id: str) -> dict[str, Tensor]:
        """What each value adds to the score on the straight way from the machine's mean to the clip `[N, F]`.

        By the gradients along the way (integrated gradients), so that the map's sum is by how much the clip's score
        exceeds that of the mean; below 0 stands what makes the clip more normal. Of statistics but the plain mean the
        map does not know when, and spreads them over all frames.
        """
        place = self.place_of(machine_id)
        machine = torch.tensor(place, device=frames.device)
        slope, way = mean_slope(lambda x: self._scores(x, machine), self.id_means[place], self._input(frames))
        if self.crops:
            return {"contribution to the score": slope * way}
        added, start = torch.zeros_like(frames), self.id_means[place]
        for first, name in zip(range(0, self.n_values, self.n_bins), self.statistics, strict=True):
            own = slice(first, first + self.n_bins)
            step = frames - start[own] if name == "mean" and self.ratio == 1 else way[own]
            added = added + slope[own] * step / len(frames)
        return {"contribution to the score": added}
