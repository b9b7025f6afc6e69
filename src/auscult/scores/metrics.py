"""How well scores tell anomalies from normal clips: metrics by name, per machine, then their means.

Conventions:
    Labels `[C]` are 1 (or True) for an anomaly and 0 for a normal clip. Scores `[C]` are higher for the more abnormal
    clip. Metrics are fractions of 1, computed per machine id, averaged over the ids of a machine type, then over
    the types; scores of different machines are never pooled, because nothing makes them comparable.

References:
    Koizumi et al., DCASE 2020 Task 2, arXiv:2006.05822.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from auscult.clips import MACHINE_TYPES
from auscult.errors import ScoreError
from auscult.scores.areas import MAX_FPR, Domains, Floats, Labels, areas, areas_by_name, domain_areas
from auscult.scores.table import ScoreTable

MEAN = "mean"

Figures = Mapping[str, float]
"""Metric, a key of `METRICS` -> its value, a fraction of 1; a metric that is not defined there is missing."""


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
    truth, values = validate(labels, scores)
    return float(areas(values[None], truth)[0][0])


def pauc(labels: ArrayLike, scores: ArrayLike, *, max_fpr: float = MAX_FPR) -> float:
    """Area under the ROC curve up to a false positive rate, rescaled by McClish: chance is 0.5, the best is 1.

    Args:
        labels: `[C]`, 1 for an anomaly.
        scores: `[C]`.
        max_fpr: greatest false positive rate, in (0, 1].

    Raises:
        ScoreError: as `auc`, and if `max_fpr` is out of range.
    """
    if not 0 < max_fpr <= 1:
        raise ScoreError(f"max_fpr is {max_fpr}; it must be above 0 and at most 1")
    truth, values = validate(labels, scores)
    return float(areas(values[None], truth, max_fpr=max_fpr)[1][0])


def roc(labels: ArrayLike, scores: ArrayLike) -> tuple[Floats, Floats]:
    """Corners of the ROC curve, from (0, 0) to (1, 1): false positive rates and true positive rates.

    What lies on a straight line between two corners is none.

    Args:
        labels: `[C]`, 1 for an anomaly.
        scores: `[C]`.

    Raises:
        ScoreError: as `auc`.
    """
    truth, values = validate(labels, scores)
    order = np.argsort(-values, kind="stable")
    last = np.append(np.diff(values[order]) != 0, True)  # the last clip of each score
    true, false = (np.append(0, np.cumsum(kind[order])[last]) for kind in (truth, ~truth))
    turns = np.diff(true)[:-1] * np.diff(false)[1:] != np.diff(true)[1:] * np.diff(false)[:-1]
    kept = np.concatenate([[True], turns, [True]])
    return false[kept] / false[-1], true[kept] / true[-1]


@dataclass(frozen=True, slots=True)
class Metric:
    """How well the scores of one machine tell its anomalies from its normal clips; higher is better.

    Attributes:
        title: heading of its columns, for instance `"AUC"`.
        description: what it is, a few words, as a report says beneath its tables.
        function: labels, domains, scores `[C]` -> a fraction of 1, or `None` where it is not defined.
        fast: the same for many at once: labels, domains, scores `[W, C]`, and none or counts `[C, R]` with which the
            clips of the only row of scores count -> values `[W]` or `[R]` by name, NaN where there is none; those of
            other metrics that come with them, too. Without it, `function` is called one by one.
    """

    title: str
    description: str
    function: Callable[[Labels, Domains, Floats], float | None]
    fast: Callable[[Labels, Domains, Floats, Floats | None], Mapping[str, Floats]] | None = None


METRICS: dict[str, Metric] = {
    "auc": Metric("AUC", "area under the ROC curve", lambda labels, _, scores: auc(labels, scores), areas_by_name),
    "pauc": Metric(
        "pAUC",
        "the part of it below a false positive rate of 0.1, rescaled by McClish",
        lambda labels, _, scores: pauc(labels, scores),
        areas_by_name,
    ),
    "auc_source": Metric(
        "AUC source", "AUC of the source domain's normal clips against all anomalies", *domain_areas("source", "auc")
    ),
    "auc_target": Metric(
        "AUC target", "AUC of the target domain's normal clips against all anomalies", *domain_areas("target", "auc")
    ),
}
"""Metrics by name, in the order of their columns: all that tables, results, intervals and effects show."""

OBJECTIVE = ("auc", "pauc")
"""The metrics whose mean, averaged over machine ids, choices maximise for data of no year: the report's mAUC."""


def many(
    names: Iterable[str],
    labels: Labels,
    domains: Domains,
    scores: Floats,
    *,
    counts: Floats | None = None,
    metrics: Mapping[str, Metric] = METRICS,
) -> dict[str, Floats]:
    """Some metrics of many score vectors at once, or of one with clips that count several times.

    Args:
        names: keys of `METRICS`.
        labels: `[C]`.
        domains: `[C]`, or `None`.
        scores: `[W, C]`, finite; one row where counts are given.
        counts: how often each clip counts in each replicate `[C, R]`, whole numbers.
        metrics: those that have the names.

    Returns:
        Name -> values `[W]`, or `[R]`; NaN where the metric is not defined.
    """
    found: dict[str, Floats] = {}
    wanted = list(names)
    for name in wanted:
        metric = metrics[name]
        if name not in found and metric.fast is not None:
            found.update(metric.fast(labels, domains, scores, counts))
        elif name not in found:
            cases = _cases(labels, domains, scores, counts)
            values = [metric.function(*case) for case in cases]
            found[name] = np.array([np.nan if value is None else value for value in values], dtype=np.float64)
    return {name: found[name] for name in wanted}


def _cases(
    labels: Labels, domains: Domains, scores: Floats, counts: Floats | None
) -> Iterable[tuple[Labels, Domains, Floats]]:
    """What a metric's function is called with, one by one."""
    if counts is None:
        yield from ((labels, domains, row) for row in scores)
        return
    for column in counts.T:
        places = np.repeat(np.arange(len(labels)), column.astype(np.int64))
        yield labels[places], None if domains is None else domains[places], scores[0][places]


def validate(labels: ArrayLike, scores: ArrayLike) -> tuple[Labels, Floats]:
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
    return truth.astype(np.bool_), values


def evaluate(table: ScoreTable, *, incomplete: Literal["error", "skip"] = "error") -> dict[str, Any]:
    """Every metric per machine id, its means per machine type, and the mean over types.

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


def mean_figures(figures: Iterable[Figures]) -> dict[str, float]:
    """The plain mean of each metric over where it is defined."""
    rows = list(figures)
    return {name: float(np.mean([row[name] for row in rows if name in row])) for name in dict.fromkeys(chain(*rows))}


def shown_metrics(figures: Iterable[Figures | None]) -> dict[str, Metric]:
    """The metrics that are defined anywhere among some figures: the columns of their table, in order."""
    there = {name for row in figures if row is not None for name in row}
    return {name: metric for name, metric in METRICS.items() if name in there}


def sort_machine_types(machine_types: Iterable[str]) -> list[str]:
    """The challenge's machine types in its order, then others by name.

    >>> sort_machine_types(["valve", "compressor", "fan"])
    ['fan', 'valve', 'compressor']
    """
    order = {name: place for place, name in enumerate(MACHINE_TYPES)}
    return sorted(set(machine_types), key=lambda name: (order.get(name, len(order)), name))


def columns_of(table: ScoreTable) -> tuple[Labels, Domains, Floats]:
    """Labels, domains and scores of a table of labelled clips."""
    domains = [row.domain or "" for row in table]
    labels = np.array([row.label == "anomaly" for row in table], dtype=np.bool_)
    return labels, np.array(domains) if any(domains) else None, table.scores


def _figures(table: ScoreTable) -> dict[str, float]:
    columns = columns_of(table)
    values = {name: metric.function(*columns) for name, metric in METRICS.items()}
    return {name: float(value) for name, value in values.items() if value is not None}
