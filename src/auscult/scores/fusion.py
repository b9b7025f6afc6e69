"""Scales and fusions: from the scores of a system's members to numbers that compare, and to one number. No label."""

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

Curve = Literal["line", "asinh"]
"""How a score of z standard deviations counts: z, or the area hyperbolic sine of z, which grows as its logarithm."""

Fusion = Literal["mean", "minimum", "tail"]
FUSIONS: tuple[Fusion, ...] = get_args(Fusion)

LOGISTIC = np.pi / np.sqrt(3)
"""Standard deviation of the logistic law 1 / (1 + exp(-x))."""


def standardised(scores: Floats, mean: float, deviation: float, curve: Curve = "line") -> Floats:
    """Scores of any shape on the scale of normal ones.

    >>> standardised(np.array([5.0, 9.0]), 5.0, 2.0, "asinh").round(3).tolist()
    [0.0, 1.444]
    """
    z = (scores - mean) / deviation
    return np.arcsinh(z) if curve == "asinh" else z


def fused(members: Floats, weights: Floats, fusion: Fusion) -> Floats:
    """One score `[C]` for each clip, over the members that scored it; NaN where none did.

    *mean* is the weighted mean. *minimum* is that of the least abnormal member: a clip is as abnormal as all agree that
    it is. *tail* is minus the logarithm of the weighted mean of p, a member's chance that a normal clip is as abnormal,
    by the logistic law of standard deviation 1, whose tail is heavier than a normal law's: close to *minimum*, but
    members that are nearly as sure count, too.

    Args:
        members: standardised scores `[K, C]`, NaN where a member did not score the clip.
        weights: `[K]`, at least 0; of members of weight 0 nothing is heard.
        fusion: one of `FUSIONS`.

    >>> fused(np.array([[1.0, 4.0], [3.0, np.nan]]), np.ones(2), "minimum").tolist()
    [1.0, 4.0]
    """
    heard = ~np.isnan(members) & (weights > 0)[:, None]
    share = np.where(heard, weights[:, None], 0.0)
    total = share.sum(axis=0)
    share = share / np.where(total > 0, total, 1.0)
    if fusion == "mean":
        found = (share * np.where(heard, members, 0.0)).sum(axis=0)
    elif fusion == "minimum":
        found = np.where(heard, members, np.inf).min(axis=0)
    else:
        chance = np.where(heard, -np.logaddexp(0.0, LOGISTIC * np.where(heard, members, 0.0)), -np.inf)
        with np.errstate(divide="ignore"):  # the logarithm of no weight
            found = -np.logaddexp.reduce(chance + np.log(share), axis=0)
    return np.where(total > 0, found, np.nan)
