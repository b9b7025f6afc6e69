"""Features of one frame a clip: statistics over time of other features, as the input of any family."""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from auscult.errors import FeatureError, ModelError
from auscult.features.base import Features


class Statistics(Features):
    """Statistics over time of other features: one vector for a clip of any length.

    Args:
        sample_rate: of the waveforms, in Hz, where the other features do not say it.
        of: kind and arguments of the other features.
        statistics: of each bin, side by side; see `auscult.features.statistics`.
        ratio: of the mean among them.
        device: on which to compute the other features, where they can choose.
        weights: folder of published weights, where the other features need them.

    Shape:
        `[T]` -> `[1, F * len(statistics)]`.

    Raises:
        FeatureError: for arguments that do not exist or are out of range.
    """

    kind: ClassVar[str] = "statistics"
    one_frame: ClassVar[bool] = True
    places: ClassVar[frozenset[str]] = frozenset({"weights"})

    def __init__(
        self,
        sample_rate: int,
        *,
        of: dict[str, Any],
        statistics: Sequence[str] = ("mean",),
        ratio: float = 1.0,
        device: str = "cpu",
        weights: str | None = None,
    ) -> None:
        from auscult.features import features_within
        from auscult.features.statistics import check_statistics

        try:
            self.statistics, self.ratio = check_statistics("statistics", statistics, ratio), ratio
        except ModelError as error:
            raise FeatureError(str(error)) from error
        self.weights, self.device = weights, device
        self.inner = features_within(of, sample_rate=sample_rate, weights=weights, device=device, outline=self._outline)
        self.of = {name: value for name, value in self.inner.config().items() if name != "device"}
        self.sample_rate = self.inner.sample_rate
        self.n_bins, self.frame_rate = self.inner.n_bins * len(self.statistics), 1.0

    def carried(self) -> tuple[dict[str, Any], dict[str, bytes]]:
        """Those of the other features."""
        if self.kept is not None:
            return self.config(), self.kept
        of, files = self.inner.carried()
        inner = {name: value for name, value in of.items() if name != "device"}
        return {**self.config(), "of": inner}, files

    _outline = False

    @classmethod
    def outline(cls, **arguments: Any) -> "Statistics":
        """Of an outline."""
        return StatisticsOutline(**arguments)

    def n_frames(self, n_samples: int) -> int:
        """One, of a clip of any length."""
        return 1

    def __call__(self, waveform: NDArray[np.float32]) -> NDArray[np.float32]:
        """Compute the vector of one waveform `[T]` -> `[1, F * len(statistics)]`."""
        import torch

        from auscult.features.statistics import clip_vector

        frames = torch.from_numpy(self.inner(waveform))
        vector: NDArray[np.float32] = clip_vector(frames, self.statistics, self.ratio)[None].numpy()
        return vector


class StatisticsOutline(Statistics):
    """Statistics of an outline, which needs no files."""

    _outline = True
