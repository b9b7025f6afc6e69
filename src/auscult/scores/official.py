"""The challenge's official score of a year with domains: one harmonic mean over all machines.

A zero counts as the smallest step of floating point at 1, as in the published evaluators, so that the
mean stays defined.

References:
    Kawaguchi et al., DCASE 2021 Task 2, arXiv:2106.04492; Dohi et al., DCASE 2022 and 2023 Task 2, arXiv:2206.05876,
    arXiv:2305.07828.
"""

import sys
from collections.abc import Iterable, Mapping

import numpy as np

from auscult.errors import ScoreError
from auscult.scores.areas import both_kinds
from auscult.scores.metrics import auc, columns_of, pauc
from auscult.scores.table import ScoreTable

DOMAINS = ("source", "target")

Values = Mapping[tuple[str, str], Mapping[str, float]]
"""(machine type, machine id) -> the figures that the score averages, by name, fractions of 1."""


def official_values(table: ScoreTable, *, scoring: int) -> dict[tuple[str, str], dict[str, float]]:
    """What the official score of a year averages, machine by machine.

    Args:
        table: scores of clips with label and domain.
        scoring: 2022, which holds to 2026: AUC of the normals of each domain against all anomalies, and pAUC of all
            clips; or 2021: AUC and pAUC of each domain by itself.

    Raises:
        ScoreError: if the scoring is another, or a machine lacks normal clips of a domain, anomalies or labels.
    """
    if scoring not in (2021, 2022):
        raise ScoreError(f"scoring {scoring} is no harmonic mean over domains; there are 2021 and 2022 (to 2026)")
    found: dict[tuple[str, str], dict[str, float]] = {}
    for machine_type, ids in table.groups().items():
        for machine_id, rows in ids.items():
            if any(row.label is None or row.domain is None for row in rows):
                raise ScoreError(f"{machine_type} {machine_id} has clips without label or domain; give the truth list")
            labels, domains, scores = columns_of(rows)
            figures = found[machine_type, machine_id] = {}
            for domain in DOMAINS:
                mine = domains == domain if scoring == 2021 else labels | (domains == domain)
                if not both_kinds(labels[mine]):
                    raise ScoreError(
                        f"{machine_type} {machine_id} lacks normal clips or anomalies for the {domain} domain; "
                        "the official score needs both kinds in every section"
                    )
                figures[f"auc_{domain}"] = auc(labels[mine], scores[mine])
                if scoring == 2021:
                    figures[f"pauc_{domain}"] = pauc(labels[mine], scores[mine])
            if scoring == 2022:
                figures["pauc"] = pauc(labels, scores)
    return found


def official_means(values: Values) -> dict[str, float]:
    """The official score, `harmonic`, and the arithmetic mean of the same values, `arithmetic`.

    Raises:
        ScoreError: if there are no values.
    """
    every = [value for figures in values.values() for value in figures.values()]
    if not every:
        raise ScoreError("no values to average; an official score needs one machine at least")
    return {"harmonic": harmonic_mean(every), "arithmetic": float(np.mean(every))}


def harmonic_mean(values: Iterable[float]) -> float:
    """The harmonic mean of fractions of 1, where a zero counts as the smallest step of floating point at 1.

    >>> harmonic_mean([1.0, 0.5])
    0.6666666666666666
    """
    kept = np.maximum(np.fromiter(values, dtype=np.float64), sys.float_info.epsilon)
    return float(len(kept) / np.sum(1.0 / kept))
