"""What every kind of features promises: a rate, a width, and frames of a waveform."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray


class Features(ABC):
    """Turns a waveform into frames.

    Attributes:
        kind: name in recipes.
        sample_rate: rate of the waveforms it takes, in Hz.
        n_bins: width F of a frame.
        frame_rate: frames per second.
    """

    kind: ClassVar[str]
    sample_rate: int
    n_bins: int
    frame_rate: float

    @abstractmethod
    def __call__(self, waveform: NDArray[np.float32]) -> NDArray[np.float32]:
        """Compute the frames of one waveform.

        Shape:
            `[T]` -> `[N, F]`.

        Raises:
            FeatureError: if the waveform is too short for a frame.
        """

    @abstractmethod
    def n_frames(self, n_samples: int) -> int:
        """Frames N of a waveform of so many samples at the rate of the features."""

    @abstractmethod
    def config(self) -> dict[str, Any]:
        """All arguments of the constructor, as JSON can hold them: part of every key that depends on the features."""

    def arguments(self) -> dict[str, Any]:
        """What makes the same features again: the configuration, and places that change nothing in the result."""
        return self.config()

    @property
    @abstractmethod
    def bin_frequencies(self) -> NDArray[np.float64] | None:
        """Centre of each bin in Hz `[F]`, or none where a bin is no frequency."""
