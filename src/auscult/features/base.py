"""What every kind of features promises: a rate, a width, and frames of a waveform."""

import inspect
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray


class Features(ABC):
    """Turns a waveform into frames.

    The constructor is the configuration: every argument is kept as an attribute of its name, unless `config` says else.

    Attributes:
        kind: name in recipes.
        sample_rate: rate of the waveforms it takes, in Hz.
        n_bins: width F of a frame.
        frame_rate: frames per second.
    """

    kind: ClassVar[str]
    places: ClassVar[frozenset[str]] = frozenset()
    """Arguments that say where something lies: they change nothing in the result, and no file names them."""
    limits: ClassVar[Mapping[str, int]] = {}
    """Greatest arguments that a file from elsewhere may ask for."""
    kept: "dict[str, bytes] | None" = None
    """Files of weights that came with what these features were made from, a detector for instance, by name."""
    one_frame: ClassVar[bool] = False
    """Whether a clip of any length has one frame."""
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

    @classmethod
    def outline(cls, **arguments: Any) -> Self:
        """For a plan: features of the same shapes and speed that need no files, and are of no use besides."""
        return cls(**arguments)

    def config(self) -> dict[str, Any]:
        """Kind and arguments, as JSON can hold them, without places: part of every key that depends on the features."""
        names = [name for name in inspect.signature(type(self)).parameters if name not in self.places]
        return {"kind": self.kind, **{name: getattr(self, name) for name in names}}

    def arguments(self) -> dict[str, Any]:
        """What makes the same features again: the configuration and the places."""
        return {**self.config(), **{name: getattr(self, name) for name in sorted(self.places)}}

    def carried(self) -> tuple[dict[str, Any], dict[str, bytes]]:
        """The configuration, and the files of weights by which it can be made elsewhere, by name; here none."""
        return self.config(), self.kept or {}

    @property
    def least_samples(self) -> int:
        """The shortest sound of which they say anything, in samples; 0 where any will do or frames tell it, as here."""
        return 0

    @property
    def bin_frequencies(self) -> NDArray[np.float64] | None:
        """Centre of each bin in Hz `[F]`, or none where a bin is no frequency, as here."""
        return None
