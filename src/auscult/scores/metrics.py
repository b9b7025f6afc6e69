"""How well scores tell anomalies from normal clips: AUC and pAUC per machine, then their means.

Conventions:
    Labels `[C]` are 1 (or True) for an anomaly and 0 for a normal clip. Scores `[C]` are higher for the more abnormal
    clip. AUC and pAUC are fractions of 1, computed per machine id, averaged over the ids of a machine type, then over
    the types; scores of different machines are never pooled, because nothing makes them comparable.

References:
    Koizumi et al., DCASE 2020 Task 2, arXiv:2006.05822; McClish, Analyzing a portion of the ROC curve, 1989.
"""

from collections.abc import Iterable
from typing import Any, Literal, TypedDict

import numpy as np
from numpy.typing import ArrayLike, NDArray

from auscult.clips import MACHINE_TYPES
from auscult.errors import ScoreError
from auscult.scores.table import ScoreTable

MAX_FPR = 0.1
MEAN = "mean"


class Figures(TypedDict):
    """AUC and pAUC, fractions of 1."""

    auc: float
    pauc: float


def auc(labels: ArrayLike, scores: ArrayLike) -> float:
    """Area under the ROC curve: the chance that an anomaly scores higher than a normal clip (ties count one half).

    Args:
        labels: `[C]`, 1 for an anomaly.
        scores: `[C]`.

    Raises:
        ScoreError: if shapes differ, a label is neither 0 nor 1, a score is not finite, or a class is missing.

    >>> auc([0, 0, 1, 1], [0.1, 0.3, 0.2, 0.4])
    0.75
    """
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(*validate(labels, scores)))


def pauc(labels: ArrayLike, scores: ArrayLike, *, max_fpr: float = MAX_FPR) -> float:
    """Area under the ROC curve up to a false positive rate, rescaled by McClish: chance is 0.5, the best is 1.

    Args:
        labels: `[C]`, 1 for an anomaly.
        scores: `[C]`.
        max_fpr: greatest false positive rate, in (0, 1].

    Raises:
        ScoreError: as `auc`, and if `max_fpr` is out of range.
    """
    from sklearn.metrics import roc_auc_score

    if not 0 < max_fpr <= 1:
        raise ScoreError(f"max_fpr is {max_fpr}; it must be above 0 and at most 1")
    return float(roc_auc_score(*validate(labels, scores), max_fpr=max_fpr))


def roc(labels: ArrayLike, scores: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Corners of the ROC curve, from (0, 0) to (1, 1): false positive rates and true positive rates.

    Args:
        labels: `[C]`, 1 for an anomaly.
        scores: `[C]`.

    Raises:
        ScoreError: as `auc`.
    """
    from sklearn.metrics import roc_curve

    false_positive_rates, true_positive_rates, _ = roc_curve(*validate(labels, scores))
    return np.asarray(false_positive_rates, np.float64), np.asarray(true_positive_rates, np.float64)


def validate(labels: ArrayLike, scores: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Labels and scores `[C]` as arrays, fit for a metric.

    Raises:
        ScoreError: if shapes differ, a label is neither 0 nor 1, a score is not finite, or a class is missing.
    """
    truth, values = np.asarray(labels), np.asarray(scores, dtype=np.float64)
    if truth.ndim != 1 or truth.shape != values.shape:
        raise ScoreError(f"labels have shape {truth.shape}, scores {values.shape}; give one of each per clip")
    if not np.isin(truth, (0, 1)).all():
        raise ScoreError("a label is neither 0 (normal) nor 1 (anomaly)")
    if not np.isfinite(values).all():
        raise ScoreError("a score is not finite; a clip that cannot be scored has no place in a metric")
    anomalies = int(np.count_nonzero(truth))
    if anomalies in (0, len(truth)):
        raise ScoreError(f"{len(truth) - anomalies} normal and {anomalies} anomalous clips; a metric needs both")
    return truth.astype(np.int64), values


def evaluate(table: ScoreTable, *, incomplete: Literal["error", "skip"] = "error") -> dict[str, Any]:
    """AUC and pAUC per machine id, their means per machine type, and the mean over types.

    Args:
        table: scores of labelled clips.
        incomplete: what to do with a machine id that has no AUC (see `incomplete_ids`): refuse the table, or leave the
            id out of the result and of the means. A type without any other id is then left out as well, and an empty
            result has no mean.

    Returns:
        `{"ToyCar": {"id_01": Figures, ..., "mean": Figures}, ..., "mean": Figures}`, the challenge's machine types
        first and in its order, then others by name.

    Raises:
        ScoreError: if the table is empty, a machine is called "mean", or an id has no AUC and `incomplete` is "error".
    """
    if not len(table):
        raise ScoreError("the score table holds no clips; there is nothing to evaluate")
    missing = incomplete_ids(table)
    if missing and incomplete == "error":
        (machine_type, machine_id), reason = next(iter(missing.items()))
        more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
        raise ScoreError(
            f"{machine_type} {machine_id} has {reason}{more}; AUC needs a label for every clip and clips of both "
            f"kinds: give the ground truth, or leave such ids out"
        )
    result: dict[str, Any] = {}
    groups = table.groups()
    for machine_type in sort_machine_types(groups):
        ids = groups[machine_type]
        if MEAN in (machine_type, *ids):
            raise ScoreError(f"a machine is called {MEAN!r}, the name of the means; rename it")
        figures = {id_: _figures(rows) for id_, rows in ids.items() if (machine_type, id_) not in missing}
        if figures:
            result[machine_type] = {**figures, MEAN: mean_figures(figures.values())}
    if result:
        result[MEAN] = mean_figures(ids[MEAN] for ids in result.values())
    return result


def incomplete_ids(table: ScoreTable) -> dict[tuple[str, str], str]:
    """The machines, as (machine type, machine id), that have no AUC, each with what its clips are like."""
    missing: dict[tuple[str, str], str] = {}
    for machine_type, ids in table.groups().items():
        for machine_id, rows in ids.items():
            labels = [row.label for row in rows]
            counts = {label: labels.count(label) for label in ("normal", "anomaly", None)}
            if counts[None]:
                missing[machine_type, machine_id] = f"{counts[None]} of {len(rows)} clips without a label"
            elif not (counts["normal"] and counts["anomaly"]):
                missing[machine_type, machine_id] = f"{counts['normal']} normal and {counts['anomaly']} anomalous clips"
    return missing


def mean_figures(figures: Iterable[Figures]) -> Figures:
    """The plain mean of AUCs and of pAUCs."""
    rows = list(figures)
    return {
        "auc": float(np.mean([row["auc"] for row in rows])),
        "pauc": float(np.mean([row["pauc"] for row in rows])),
    }


def sort_machine_types(machine_types: Iterable[str]) -> list[str]:
    """The challenge's machine types in its order, then others by name.

    >>> sort_machine_types(["valve", "compressor", "fan"])
    ['fan', 'valve', 'compressor']
    """
    order = {name: place for place, name in enumerate(MACHINE_TYPES)}
    return sorted(set(machine_types), key=lambda name: (order.get(name, len(order)), name))


def _figures(table: ScoreTable) -> Figures:
    labels = [row.label == "anomaly" for row in table]
    return {"auc": auc(labels, table.scores), "pauc": pauc(labels, table.scores)}
