"""From frame scores to one score per clip, by name."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from auscult.errors import ModelError

WINDOW_SECONDS = 3.0
"""Length of the windows of *winmed*, in seconds (report, section 2.3)."""

CAP_DEVIATIONS = 3.0
"""Standard deviations at which *meancap* clips (report, section 2.3)."""


def mean(scores: NDArray[np.float64]) -> float:
    """Mean over the frames `[N]`."""
    return float(scores.mean())


def median(scores: NDArray[np.float64]) -> float:
    """Median over the frames `[N]`."""
    return float(np.median(scores))


def winmed(scores: NDArray[np.float64], *, window: int, hop: int | None = None) -> float:
    """Mean of the medians of windows, weighted by their lengths: every frame counts alike.

    Args:
        scores: `[N]`.
        window: length, in frames.
        hop: distance of the windows' starts, in frames; without it the windows stand one behind the other and the last
            is partial. With it only whole windows count, or the clip where it is shorter than one.
    """
    starts = range(0, len(scores), window) if hop is None else range(0, max(len(scores) - window, 0) + 1, hop)
    windows = [scores[start : start + window] for start in starts]
    return float(np.average([np.median(one) for one in windows], weights=[len(one) / window for one in windows]))


def meancap(scores: NDArray[np.float64], *, centre: float, deviation: float) -> float:
    """Mean after clipping to `centre` plus and minus three times `deviation`.

    Args:
        scores: `[N]`.
        centre: mean of all training frames of the machine type.
        deviation: their standard deviation.
    """
    margin = CAP_DEVIATIONS * deviation
    return float(np.clip(scores, centre - margin, centre + margin).mean())


POOLINGS: dict[str, Callable[..., float]] = {
    "mean": mean,
    "median": median,
    "winmed": winmed,
    "winmed-sliding": winmed,
    "meancap": meancap,
}


REDEFINED = {"winmed": "winmed-2"}
"""Poolings that gave other numbers before -> how keys and files name them: nothing old is taken for the same."""


def lasting_name(pooling: str | None) -> str | None:
    """The name of a pooling in keys and files."""
    return REDEFINED.get(pooling, pooling) if pooling else pooling


def pool(
    scores: NDArray[np.float64],
    pooling: str,
    *,
    frame_rate: float | None = None,
    training_frames: tuple[float, float] | None = None,
) -> float:
    """Pool the frame scores of one clip.

    Args:
        scores: `[N]`.
        pooling: one of `POOLINGS`: `mean`, `median`, `winmed` (windows of 3 s), `winmed-sliding` (the same, a window
            for each frame), `meancap`.
        frame_rate: frames per second; only `winmed` needs it.
        training_frames: mean and standard deviation over all training frames; only `meancap` needs them.

    Raises:
        ModelError: for an unknown name, no frame, or what the name needs and was not given.
    """
    if pooling not in POOLINGS:
        raise ModelError(f"pooling {pooling!r} is unknown; choose one of {', '.join(POOLINGS)}")
    if len(scores) == 0:
        raise ModelError("a clip without frame scores cannot be pooled; give a longer clip")
    if pooling.startswith("winmed"):
        if frame_rate is None:
            raise ModelError(f"pooling {pooling!r} needs the frames per second; give the bank its frame_rate")
        window = max(1, round(WINDOW_SECONDS * frame_rate))
        return winmed(scores, window=window, hop=1 if pooling == "winmed-sliding" else None)
    if pooling == "meancap":
        if training_frames is None:
            raise ModelError("pooling 'meancap' needs the training frames' statistics; fit the model first")
        return meancap(scores, centre=training_frames[0], deviation=training_frames[1])
    return POOLINGS[pooling](scores)
