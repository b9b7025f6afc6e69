"""Neighbours: how far a clip is from the nearest normal clips, in units of how far those are from one another.

References:
    Wilkinghoff, Yang, Ebbers, Germain, Wichern and Le Roux, Keeping the balance: anomaly score calculation for domain
    generalization, ICASSP 2025 (distances over those of the neighbours to their own neighbours); Sener and Savarese,
    Active learning for convolutional neural networks: a core-set approach, ICLR 2018 (a k-centre subset).
"""

from collections.abc import Mapping, Sequence
from copy import copy
from itertools import accumulate, pairwise
from typing import Any, ClassVar, Literal, NamedTuple, Self, get_args

import numpy as np
import torch
from torch import Tensor

from auscult.errors import ModelError
from auscult.features.bank import Bank
from auscult.features.statistics import check_statistics, clip_vector
from auscult.models.base import Model
from auscult.models.density import GaussianMixture
from auscult.models.layers import standardisation
from auscult.models.nearness import k_centres, known, mean_nearest, mean_of_least, means, mixed, quotas, usable
from auscult.training import Training

Space = Literal["standardised", "whitened", "cosine"]

PRIOR = 10
"""Clips that the deviations of all ids count for beside an id's own: few clips do not know theirs."""

NEAR = 0.1
"""Least distance to its own neighbours that a kept clip is given, in units of the mean one: recordings that repeat."""

LEAST = 1e-3
"""Least distance of which a logarithm is taken, in units of what is usual."""


class KeptBank(NamedTuple):
    """A bank: its number, its first kept clip, the one behind its last, its machine among the ids."""

    number: int
    begin: int
    end: int
    machine: int


class Neighbours(Model):
    """Keeps the vectors of normal clips; a clip's score is its mean distance to the k nearest of its machine.

    Distances are exact. The state is 4 (D + F) bytes for each kept clip, with D = F * len(statistics), and 8 D^2 where
    it whitens: 16 MB for 10,000 clips of 2 x 128 values. A score costs one pass over the kept clips of its machine,
    learning compares all pairs of a bank block by block; `python -m benchmarks.full_size` measures both.

    Args:
        n_bins: width F of a frame.
        statistics: of each bin over time, side by side in a clip's vector.
        ratio: of the mean, see `ranking_pooling`; 1 is the mean over time.
        space: `"whitened"` takes the mean of the id from each vector and whitens by one covariance of what is left of
            all ids (Ledoit-Wolf): for vectors whose values move together. `"standardised"` divides by the id's own
            deviations alone: for wide vectors, of which whitening would raise the noise. `"cosine"` compares directions
            of vectors as they are: for embeddings.
        per_id: whether a clip is compared with the clips of its own machine id alone, and those with their own mean. A
            clip of an unknown id has the least of its scores among all ids.
        k: nearest clips whose distances are averaged.
        density: nearest clips of each kept clip whose mean distance divides the distances to it; 0 for none. Where
            normal sounds are sparse, a distance means less.
        domains: whether source and target domain, where the training clips know theirs, have a bank each: a distance
            counts in units of its bank's median leave-one-out distance, and the smallest counts.
        bank: most clips to keep, a greedy k-centre subset of each bank; none for all.
        log: whether the score is the logarithm of the distance, whose tail is closer to that of a normal density.
        oversample: for each clip of a rarer domain, how many mixtures with its nearest clips of the machine's greatest
            bank are kept beside it (mixup); 0 for none. They count as that clip, and change no scale.
    """

    family: ClassVar[str] = "neighbours"
    later: ClassVar[Mapping[str, Any]] = {"oversample": 0}
    default_training: ClassVar[Training] = Training(epochs=1)

    def __init__(
        self,
        n_bins: int = 128,
        *,
        statistics: Sequence[str] = ("mean",),
        ratio: float = 1.0,
        space: Space = "whitened",
        per_id: bool = True,
        k: int = 4,
        density: int = 4,
        domains: bool = True,
        bank: int | None = None,
        log: bool = True,
        oversample: int = 0,
    ) -> None:
        super().__init__(n_bins=n_bins)
        self.statistics, self.ratio = check_statistics(self.family, statistics, ratio), ratio
        if space not in get_args(Space):
            raise ModelError(f"neighbours: space is {space!r}; choose one of {', '.join(get_args(Space))}")
        numbers = (("k", k, 1), ("density", density, 0), ("oversample", oversample, 0))
        for name, value, least in (*numbers, ("bank", 1 if bank is None else bank, 1)):
            if not isinstance(value, int) or value < least:
                raise ModelError(f"neighbours: {name} is {value!r}; it must be a whole number of at least {least}")
        self.space, self.per_id, self.k, self.density = space, per_id, k, density
        self.domains, self.bank, self.log, self.oversample = domains, bank, log, oversample
        self.least_clips = 2
        width, whole = n_bins * len(self.statistics), torch.float64
        self.register_buffer("deviation", torch.ones(n_bins))
        self.register_buffer("levels", torch.zeros(0, n_bins))
        self.register_buffer("profiles", torch.zeros(0, n_bins))
        self.register_buffer("centres", torch.zeros(0, width, dtype=whole))
        self.register_buffer("scales", torch.zeros(0, width, dtype=whole))
        self.register_buffer("vectors", torch.zeros(0, width))
        self.register_buffer("radii", torch.zeros(0, dtype=whole))
        self.register_buffer("places", torch.zeros(0, dtype=torch.int64))
        self.register_buffer("starts", torch.zeros(0, dtype=torch.int64))
        self.register_buffer("owners", torch.zeros(0, dtype=torch.int64))
        self.register_buffer("usual", torch.zeros(0, dtype=whole))
        self.whitening = GaussianMixture(width) if space == "whitened" else None
        self._spans: list[KeptBank] | None = None  # of a plain copy

    deviation: Tensor
    """Of each bin among all training frames `[F]`."""
    levels: Tensor
    """Mean frame of each machine `[G, F]`."""
    profiles: Tensor
    """Mean frame of each kept clip `[C, F]`."""
    centres: Tensor
    """Mean vector of each machine `[G, D]`."""
    scales: Tensor
    """Deviations of the vectors of each machine `[G, D]`."""
    vectors: Tensor
    """Of the kept clips, in their space, bank after bank `[C, D]`."""
    radii: Tensor
    """By which distances to a kept clip are divided `[C]`."""
    places: Tensor
    """Of the kept clips among the training clips `[C]`."""
    starts: Tensor
    """First kept clip of each bank, and how many there are `[B + 1]`."""
    owners: Tensor
    """Machine of each bank `[B]`."""
    usual: Tensor
    """Median leave-one-out distance of each bank `[B]`."""

    @classmethod
    def rebuilt(
        cls,
        arguments: Mapping[str, Any],
        ids: Sequence[str],
        tensors: Mapping[str, Tensor],
        *,
        what: str,
        device: str = "cpu",
    ) -> Self:
        """As of all families; what is said of kept clips, banks and machines must fit together."""
        model = super().rebuilt(arguments, ids, tensors, what=what, device=device)
        machines, owners, starts = len(model.ids) if model.per_id else 1, model.owners.tolist(), model.starts.tolist()
        clips = {len(each) for each in (model.vectors, model.profiles, model.radii, model.places)}
        fit = (
            {len(model.centres), len(model.scales), len(model.levels)} == {machines}
            and set(owners) == set(range(machines))
            and len(starts) - 1 == len(owners) == len(model.usual)
            and starts[0] == 0
            and all(begin < end for begin, end in pairwise(starts))
            and clips == {starts[-1]}
        )
        if not fit:
            raise ModelError(f"{what} whose kept clips, banks and machine ids do not belong together")
        return model

    def fit_statistics(self, frames: Tensor, bank: Bank) -> None:
        """All there is to learn: the space, which clips are kept, and how far they are from one another."""
        if bank.n_clips < self.least_clips:
            raise ModelError(f"neighbours: {bank.n_clips} training clip has no neighbour; give at least 2")
        device = torch.device("cpu") if frames.device.type == "mps" else frames.device  # mps has no float64
        self.to(device)
        shape = bank.n_clips, self.vectors.shape[1]
        vectors = torch.empty(shape, dtype=torch.float64, device=device)
        profiles = torch.empty((bank.n_clips, self.n_bins), device=device)
        for place in range(bank.n_clips):
            clip = torch.tensor(bank.clip(place), dtype=torch.float64, device=device)
            vectors[place] = clip_vector(clip, self.statistics, self.ratio)
            profiles[place] = clip.mean(dim=0)
        of_each = [self.ids.index(id_) if self.per_id else 0 for id_ in bank.ids]
        machines = torch.tensor(of_each, device=device)
        self.deviation = standardisation(frames)[1].to(device)
        self.levels = means(profiles, machines)
        self._learn_space(vectors, machines)
        domains = bank.domains if self.domains and bank.domains else [None] * bank.n_clips
        banks: dict[tuple[int, str], list[int]] = {}
        for place, (machine, domain) in enumerate(zip(of_each, domains, strict=True)):
            banks.setdefault((machine, domain or ""), []).append(place)
        self.owners = torch.tensor([machine for machine, _ in sorted(banks)], device=device)
        placed = self._placed(vectors, machines)
        self._keep(placed, [torch.tensor(banks[key], device=device) for key in sorted(banks)])
        if self.oversample:
            self._mix()
        self.profiles = profiles[self.places]

    def _learn_space(self, vectors: Tensor, machines: Tensor) -> None:
        """What takes the vectors `[C, D]` of machines `[C]` to where distances are measured."""
        self.centres = means(vectors, machines)
        residuals = vectors - self.centres[machines]
        pooled = residuals.square().mean(dim=0)
        counts = torch.bincount(machines)[:, None]
        own = (counts * means(residuals.square(), machines) + PRIOR * pooled) / (counts + PRIOR)
        self.scales = usable(own if self.whitening is None else pooled.expand_as(own)).sqrt()
        if self.whitening is not None:
            from sklearn.covariance import LedoitWolf

            fitted = LedoitWolf(assume_centered=True).fit((residuals / self.scales[machines]).cpu().numpy())
            self.whitening.set_components(np.zeros((1, vectors.shape[1])), fitted.covariance_[None])

    def _placed(self, vectors: Tensor, machines: Tensor) -> Tensor:
        """Vectors `[C, D]` of machines `[C]` where distances are measured, as they are kept."""
        if self.space == "cosine":
            lengths = vectors.square().sum(dim=1, keepdim=True).sqrt()
            return (vectors / torch.where(lengths > 0, lengths, 1.0)).float()
        x = (vectors - self.centres[machines]) / self.scales[machines]
        return (x if self.whitening is None else self.whitening.whitened(x)[0]).float()

    def _keep(self, vectors: Tensor, banks: Sequence[Tensor]) -> None:
        """Keep of the vectors `[C, D]` those of each bank, a tensor of places, that cover it."""
        each = [vectors[places].double() for places in banks]
        itself = [torch.arange(len(own), device=own.device) for own in each]
        radii = [torch.ones_like(own[:, 0]) for own in each]
        if self.density:
            radii = [mean_nearest(x, x, self.density, itself=i) for x, i in zip(each, itself, strict=True)]
            radii = [found.clamp(min=NEAR * float(found.mean())) for found in radii]
        radii = list(torch.split(known(torch.cat(radii)), [len(own) for own in each]))
        chosen = [k_centres(own, quota) for own, quota in zip(each, quotas([*map(len, each)], self.bank), strict=True)]
        usual = []
        for own, radius, places, some in zip(each, radii, itself, chosen, strict=True):
            kept = torch.full_like(places, -1).scatter(0, some, places[: len(some)])
            usual.append(mean_nearest(own, own[some], self.k, radii=radius[some], itself=kept).nanmedian())
        self.usual = known(torch.stack(usual))
        self.places = torch.cat([places[some] for places, some in zip(banks, chosen, strict=True)])
        self.radii = torch.cat([radius[some] for radius, some in zip(radii, chosen, strict=True)])
        self.starts = torch.tensor([0, *accumulate(map(len, chosen))], device=vectors.device)
        self.vectors = vectors[self.places]

    def _mix(self) -> None:
        """Keep mixtures of the clips of rarer domains with their nearest of the greatest bank of their machine."""
        each: list[list[Tensor]] = []
        for span in (spans := self.spans()):
            kept = [values[span.begin : span.end] for values in (self.vectors, self.radii, self.places)]
            most = max((one for one in spans if one.machine == span.machine), key=lambda one: one.end - one.begin)
            if span.end - span.begin < most.end - most.begin:
                between = mixed(kept[0], self.vectors[most.begin : most.end], self.oversample)
                between = torch.nn.functional.normalize(between, dim=1) if self.space == "cosine" else between
                more = [between, *(values.repeat_interleave(len(between) // len(kept[0])) for values in kept[1:])]
                kept = [torch.cat(pair) for pair in zip(kept, more, strict=True)]
            each.append(kept)
        self.vectors, self.radii, self.places = (torch.cat(values) for values in zip(*each, strict=True))
        self.starts = torch.tensor([0, *accumulate(len(kept[0]) for kept in each)], device=self.starts.device)

    def spans(self, machine_id: str | None = None) -> list[KeptBank]:
        """The banks that a clip of a machine is compared with: its own, or all where it is unknown."""
        starts, owners = self.starts.tolist(), self.owners.tolist()
        found = [KeptBank(n, starts[n], starts[n + 1], machine) for n, machine in enumerate(owners)]
        known = self.per_id and machine_id in self.ids
        return [span for span in found if not known or self.ids[span.machine] == machine_id]

    def _distances(self, vector: Tensor, span: KeptBank) -> Tensor:
        """Distances of a vector `[D]` to the kept clips of a bank, in units of what is usual there."""
        query = self._placed(vector[None], self.owners[span.number : span.number + 1])
        found: Tensor = torch.linalg.vector_norm(self.vectors[span.begin : span.end] - query, dim=1).double()
        return found / (self.radii[span.begin : span.end] * self.usual[span.number])

    def _least(self, means: Sequence[Tensor]) -> Tensor:
        """The score `[]` from the mean distances in each bank."""
        score = torch.stack(list(means)).min()
        return score.clamp(min=LEAST).log() if self.log else score

    def clip_score(self, frames: Tensor, machine_id: str, pooling: str | None, frame_rate: float | None) -> float:
        """Mean distance to the nearest clips of its machine, or its logarithm."""
        vector = clip_vector(frames.double(), self.statistics, self.ratio)
        spans = self.spans(machine_id)
        return float(self._least([mean_of_least(self._distances(vector, span), self.k) for span in spans]))

    def nearest(self, frames: Tensor, machine_id: str) -> int:
        """Which training clip is nearest, by the distances that the score is made of."""
        return int(self.places[self._nearest_kept(frames, machine_id)])

    def _nearest_kept(self, frames: Tensor, machine_id: str) -> int:
        vector = clip_vector(frames.double(), self.statistics, self.ratio)
        spans = self.spans(machine_id)
        kept = torch.cat([torch.arange(span.begin, span.end) for span in spans])
        return int(kept[int(torch.cat([self._distances(vector, span) for span in spans]).argmin())])

    def clip_maps(self, frames: Tensor, machine_id: str) -> dict[str, Tensor]:
        """Each value less the mean of its bin in the nearest normal clip, in deviations of training frames `[N, F]`."""
        profile = self.profiles[self._nearest_kept(frames, machine_id)]
        return {"difference from the nearest normal clip": (frames - profile) / self.deviation}

    def clip_frame_scores(self, frames: Tensor, machine_id: str) -> Tensor:
        """Root mean square deviation of each frame `[N]` from the machine's mean frame: evidence only."""
        levels = self.levels[sorted({span.machine for span in self.spans(machine_id)})]
        distances: Tensor = ((frames - levels[:, None]) / self.deviation).square().mean(dim=2).sqrt()
        return distances.min(dim=0).values

    @property
    def reads_id(self) -> bool:
        """Whether a clip's score depends on its id."""
        return self.per_id

    def plain(self) -> Self:
        """A copy whose banks are numbers that an exporter can follow."""
        copied = copy(self)
        copied._spans = self.spans()
        return copied

    def plain_scores(self, frames: Tensor, machine: Tensor) -> Tensor:
        """The score of a clip `[]`; of an unknown machine, -1, the least among all."""
        assert self._spans is not None
        vector = clip_vector(frames.double(), self.statistics, self.ratio)
        means = [mean_of_least(self._distances(vector, span), self.k) for span in self._spans]
        if self.per_id:
            theirs = [(machine < 0) | (machine == span.machine) for span in self._spans]
            means = [torch.where(own, mean, torch.inf) for own, mean in zip(theirs, means, strict=True)]
        return self._least(means)
