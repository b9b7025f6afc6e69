"""Contiguous folds of recordings, so that what calibrates was not heard in training, nor was its neighbourhood."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from auscult.errors import CalibrationError

SNAP = 0.25
"""Share of a fold by which a cut may move to fall between two recordings."""


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A piece of a recording: its place in the list of recordings, begin and end in seconds."""

    recording: int
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Fold:
    """What a model trains on, and what it then scores; no window lies in both, and a gap lies between."""

    train: tuple[Span, ...]
    held_out: tuple[Span, ...]


def contiguous_folds(seconds: Sequence[float], *, n_folds: int, gap_seconds: float) -> list[Fold]:
    """Cut recordings, in their order, into folds of about equal length; each is held out once.

    A cut falls between two recordings where one ends near enough, else within a recording.

    Args:
        seconds: lengths of the recordings, in the order of time.
        n_folds: number of folds, at least 2.
        gap_seconds: sound on each side of what is held out that does not train; at least a window's length.

    Raises:
        CalibrationError: if the recordings are too short for so many folds and gaps.
    """
    ends = np.cumsum([0.0, *seconds])
    if n_folds < 2 or gap_seconds < 0 or len(ends) < 2 or min(seconds) <= 0:
        raise CalibrationError(
            f"{len(ends) - 1} recordings cannot make {n_folds} folds with gaps of {gap_seconds} s; give recordings "
            "longer than 0 s, at least 2 folds and a gap of at least 0"
        )
    length = float(ends[-1]) / n_folds
    cuts = [0.0]
    for cut in length * np.arange(1, n_folds):
        nearest = float(ends[np.argmin(np.abs(ends - cut))])
        cuts.append(nearest if abs(nearest - cut) <= SNAP * length else float(cut))
    folds = [_fold(ends.tolist(), start, end, gap_seconds) for start, end in pairwise([*cuts, float(ends[-1])])]
    if length <= gap_seconds or not all(fold.train for fold in folds):
        raise CalibrationError(
            f"{ends[-1]:.0f} s of sound are too short for {n_folds} folds with gaps of {gap_seconds:g} s; record more, "
            "or ask for fewer folds"
        )
    return folds


def _fold(ends: list[float], start: float, end: float, gap: float) -> Fold:
    """The fold that holds out what lies from `start` to `end` in the recordings laid end to end."""
    train, held_out = [], []
    for number, (first, last) in enumerate(pairwise(ends)):
        inside = max(first, start), min(last, end)
        if inside[0] >= inside[1]:
            pieces = [(first, last)]
        else:
            held_out.append(Span(number, inside[0] - first, inside[1] - first))
            pieces = [(first, inside[0] - gap), (inside[1] + gap, last)]
        train += [Span(number, a - first, b - first) for a, b in pieces if a < b]
    return Fold(tuple(train), tuple(held_out))
