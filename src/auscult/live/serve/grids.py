"""Pictures as numbers: spectrograms and error maps in a byte for each cell, as the page draws them."""

import base64
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

MOST_FRAMES = 2000
"""Of one picture: wider ones are made narrower, by the greatest of neighbouring frames."""

RANGE_DECIBELS = 80.0
"""Of a spectrogram, below its loudest cell."""


@dataclass(frozen=True, slots=True)
class Grid:
    """A picture `[N, F]` of time and frequency, in 256 steps from low to high; the first band is the lowest."""

    values: NDArray[np.uint8]
    low: float
    high: float
    unit: Literal["dB", "deviation"]

    @classmethod
    def of(cls, values: NDArray[Any], *, low: float, high: float, unit: Literal["dB", "deviation"]) -> "Grid":
        """Numbers `[N, F]` between two limits; what is no number is as low as can be."""
        narrowed = _narrowed(np.nan_to_num(np.asarray(values, dtype=np.float64), nan=low, posinf=high, neginf=low))
        span = max(high - low, 1e-9)
        steps = np.clip((narrowed - low) / span * 255, 0, 255).round().astype(np.uint8)
        return cls(steps, float(low), float(low + span), unit)

    @classmethod
    def of_levels(cls, levels: NDArray[Any], *, high: float | None = None) -> "Grid":
        """Levels in decibels `[N, F]`, down to `RANGE_DECIBELS` below the loudest or below `high`."""
        top = float(np.max(levels, initial=-RANGE_DECIBELS)) if high is None else high
        return cls.of(levels, low=top - RANGE_DECIBELS, high=top, unit="dB")

    @classmethod
    def of_errors(cls, errors: NDArray[Any], *, high: float | None = None) -> "Grid":
        """An error map `[N, F]`, without regard to signs, from 0 to `high`, or to its own `usual_limit`."""
        sizes = np.abs(np.asarray(errors, dtype=np.float64))
        return cls.of(sizes, low=0.0, high=usual_limit(errors) if high is None else high, unit="deviation")

    def to_json(self) -> dict[str, Any]:
        """As the page reads it."""
        frames, bands = self.values.shape
        data = base64.b64encode(np.ascontiguousarray(self.values).tobytes()).decode()
        return {"frames": frames, "bands": bands, "low": self.low, "high": self.high, "unit": self.unit, "data": data}


def usual_limit(errors: NDArray[Any]) -> float:
    """What one cell in 500 of an error map `[N, F]` exceeds; 1 of one without numbers."""
    sizes = np.abs(np.asarray(errors, dtype=np.float64))
    known = sizes[np.isfinite(sizes)]
    return float(np.quantile(known, 0.998)) if known.size else 1.0


def _narrowed(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """At most `MOST_FRAMES` frames."""
    every = -(-len(values) // MOST_FRAMES)
    if every <= 1:
        return values
    return np.maximum.reduceat(values, np.arange(0, len(values), every), axis=0)
