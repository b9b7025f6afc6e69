"""Areas under ROC curves: of many score vectors of the same clips, or of one with clips that count several times.

References:
    McClish, Analyzing a portion of the ROC curve, 1989.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAX_FPR = 0.1
"""False positive rate up to which pAUC looks."""

Floats = NDArray[np.float64]

Labels = NDArray[np.bool_]
"""Which clips are anomalies `[C]`; there are clips of both kinds."""

Domains = NDArray[np.str_] | None
"""Domain of each clip `[C]`, empty where it has none; `None` where no clip has one."""


def areas(scores: Floats, anomaly: NDArray[np.bool_], *, max_fpr: float = MAX_FPR) -> tuple[Floats, Floats]:
    """Areas under the ROC curves of the rows of `scores`: AUC `[W]`, and pAUC `[W]` rescaled by McClish.

    The curve has one corner per distinct score: ties are crossed along a straight line, as scikit-learn does.

    Args:
        scores: `[W, C]`, finite.
        anomaly: `[C]`, with clips of both kinds.
        max_fpr: the false positive rate up to which pAUC looks, in (0, 1].
    """
    descending = np.argsort(-scores, axis=1)
    ordered = np.take_along_axis(scores, descending, axis=1)
    is_corner = np.ones(scores.shape, dtype=np.bool_)
    np.not_equal(ordered[:, 1:], ordered[:, :-1], out=is_corner[:, :-1])
    kinds = anomaly[descending]
    auc, area = _without_ties(kinds, max_fpr)
    tied = ~is_corner.all(axis=1)
    if tied.any():
        auc[tied], area[tied] = _with_ties(kinds[tied], is_corner[tied], max_fpr)
    return auc, mcclish(area, max_fpr)


def _without_ties(anomaly: NDArray[np.bool_], max_fpr: float) -> tuple[Floats, Floats]:
    """Areas of rows that list the clips from the highest score to the lowest: all, and below `max_fpr`.

    At each normal clip the curve takes one step to the right, as high as the anomalies before it.
    """
    n_rows, n_clips = anomaly.shape
    n_normals = n_clips - int(np.count_nonzero(anomaly[0]))
    steps = np.arange(n_normals)
    above = np.flatnonzero(~anomaly).reshape(n_rows, n_normals) % n_clips - steps
    inside = np.clip(max_fpr * n_normals - steps, 0, 1)  # what of each step lies below max_fpr
    inside = inside[inside > 0]
    pairs = n_normals * (n_clips - n_normals)
    return above.sum(axis=1) / pairs, (above[:, : len(inside)] * inside).sum(axis=1) / pairs


def _with_ties(anomaly: NDArray[np.bool_], is_corner: NDArray[np.bool_], max_fpr: float) -> tuple[Floats, Floats]:
    """The same where `is_corner` says which clips are the last of their score: a straight line crosses the others."""
    n_clips, n_anomalies = anomaly.shape[1], int(np.count_nonzero(anomaly[0]))
    n_normals = n_clips - n_anomalies
    # Corners of all rows, one behind the other: true positives, false positives, and their values one corner before.
    corners = np.flatnonzero(is_corner)
    true = np.cumsum(anomaly, axis=1, dtype=np.int64).ravel()[corners]
    false = corners % n_clips + 1 - true
    first = np.concatenate([[0], np.cumsum(np.count_nonzero(is_corner, axis=1))[:-1]])
    true_before, false_before = _before(true, first), _before(false, first)
    width, height = false - false_before, true - true_before
    below = _below(max_fpr * n_normals, false_before, width, true_before, height)
    pairs = n_normals * n_anomalies
    auc = np.add.reduceat(width * (true + true_before), first) / (2 * pairs)
    return auc, np.add.reduceat(below, first) / pairs


def resampled(
    scores: Floats, anomaly: NDArray[np.bool_], counts: Floats, *, max_fpr: float = MAX_FPR
) -> tuple[Floats, Floats]:
    """AUC `[R]` and pAUC `[R]` where each clip counts several times, as if it stood there as often.

    Args:
        scores: `[C]`, finite.
        anomaly: `[C]`, with clips of both kinds.
        counts: how often each clip counts in each replicate `[C, R]`; each column has the same number of normals, and
            the same of anomalies.
        max_fpr: the false positive rate up to which pAUC looks, in (0, 1].
    """
    order = np.argsort(-scores, kind="stable")
    normals, anomalies = order[~anomaly[order]], order[anomaly[order]]
    n_normals, n_anomalies = counts[normals, 0].sum(), counts[anomalies, 0].sum()
    # Thresholds fall from normal score to normal score; normals of one score are one step.
    levels, first = np.unique(-scores[normals], return_index=True)
    width = np.add.reduceat(counts[normals], first) if len(levels) < len(normals) else counts[normals]
    found = np.zeros((len(anomalies) + 1, counts.shape[1]))
    np.cumsum(counts[anomalies], axis=0, out=found[1:])
    above = found[np.searchsorted(-scores[anomalies], levels, side="left")]
    height = found[np.searchsorted(-scores[anomalies], levels, side="right")] - above
    auc = np.einsum("ij,ij->j", width, above + height / 2) / (n_normals * n_anomalies)
    false = np.cumsum(width, axis=0) - width
    limit = max_fpr * n_normals
    top = np.count_nonzero(false.min(axis=1) < limit)  # below, no replicate is inside the limit
    below = _below(limit, false[:top], width[:top], above[:top], height[:top])
    return auc, mcclish(below.sum(axis=0) / (n_normals * n_anomalies), max_fpr)


def _below(limit: float, false: NDArray[Any], width: NDArray[Any], true: NDArray[Any], height: NDArray[Any]) -> Floats:
    """What of each step of a curve, in counts, lies left of a number of false positives.

    Args:
        limit: the number.
        false: false positives where a step begins.
        width: of the step.
        true: true positives where it begins.
        height: by which it rises, along a straight line.
    """
    inside = np.clip(limit - false, 0, width)
    area: Floats = inside * (true + height * inside / (2 * np.maximum(width, 1)))
    return area


def mcclish(area: Floats, max_fpr: float = MAX_FPR) -> Floats:
    """The area under the ROC curve up to `max_fpr`, rescaled by McClish so that chance is 0.5 and the best is 1.

    >>> mcclish(np.array([0.005, 0.1])).tolist()
    [0.5, 1.0]
    """
    chance = max_fpr**2 / 2
    return 0.5 * (1 + (area - chance) / (max_fpr - chance))


def both_kinds(anomaly: NDArray[np.bool_]) -> bool:
    """Whether there are anomalies and normal clips, so that there is a ROC curve."""
    return bool(anomaly.any() and not anomaly.all())


def _before(counts: NDArray[np.int64], first: NDArray[np.int64]) -> NDArray[np.int64]:
    before = np.concatenate([[0], counts[:-1]])
    before[first] = 0
    return before


def areas_by_name(labels: Labels, _: Domains, scores: Floats, counts: Floats | None) -> dict[str, Floats]:
    """AUC and pAUC in one go; see `Metric.fast`."""
    both = areas(scores, labels) if counts is None else resampled(scores[0], labels, counts)
    return dict(zip(("auc", "pauc"), both, strict=True))


Value = Callable[[Labels, Domains, Floats], float | None]
Values = Callable[[Labels, Domains, Floats, Floats | None], Mapping[str, Floats]]


def domain_areas(domain: str, area: str, *, own: bool = False) -> tuple[Value, Values]:
    """The area of the normal clips of a domain against all anomalies, or against the domain's own, as a metric has it.

    Args:
        domain: for instance `"source"`.
        area: `"auc"` or `"pauc"`.
        own: whether anomalies of other domains are left out.

    Returns:
        `function` and `fast` of a `Metric`; it is not defined where the domain has no normal clips or no anomalies.
    """

    def fast(labels: Labels, domains: Domains, scores: Floats, counts: Floats | None) -> dict[str, Floats]:
        name = f"{'own_' if own else ''}{area}_{domain}"
        inside = np.zeros(len(labels), np.bool_) if domains is None else domains == domain
        some = inside if own else inside | labels
        if not inside.any() or labels[some].all() or not labels[some].any():
            return {name: np.full(len(scores) if counts is None else counts.shape[1], np.nan)}
        found = areas_by_name(labels[some], None, scores[:, some], None if counts is None else counts[some])
        return {name: found[area]}

    def function(labels: Labels, domains: Domains, scores: Floats) -> float | None:
        (value,) = fast(labels, domains, scores[None], None).values()
        return None if np.isnan(value[0]) else float(value[0])

    return function, fast
