"""The official scores of DCASE Task 2, year by year, as the challenge's own evaluators compute them.

    2020: the mean of AUC and pAUC, over machine ids, then machine types.
    2021: the harmonic mean of AUC and pAUC over machine types, sections and domains; a domain is judged with its own
        normal and its own anomalous clips.
    2022 and later: the harmonic mean over machine types and sections of three figures: the AUC of the normal clips of
        the source domain against all anomalies, that of the target domain, and the pAUC of all clips.

A figure of 0 counts as the least positive number of the evaluators, 2.2e-16, in a harmonic mean.
"""

import sys
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from auscult.datasets.years import YEARS
from auscult.errors import ScoreError
from auscult.scores.areas import Floats, Labels, domain_areas
from auscult.scores.intervals import Draws
from auscult.scores.metrics import METRICS, OBJECTIVE, Metric, columns_of, incomplete_ids, many, sort_machine_types
from auscult.scores.table import ScoreTable

DOMAINS = ("source", "target")

LEVEL = 0.95
"""Share of the replicates that lie within an interval."""

OWN: dict[str, Metric] = {
    f"own_{name}_{domain}": Metric(
        f"{title} {domain}", f"the {title} of the {domain} domain's own clips", *domain_areas(domain, name, own=True)
    )
    for domain in DOMAINS
    for name, title in (("auc", "AUC"), ("pauc", "pAUC"))
}
"""The figures of 2021."""

EVERY_FIGURE: dict[str, Metric] = {**METRICS, **OWN}
"""Figures by name, of all years."""

FIGURES: dict[int, tuple[str, ...]] = {
    2020: OBJECTIVE,
    2021: tuple(OWN),
    2022: ("auc_source", "auc_target", "pauc"),
}
"""Year of a rule -> the figures of a machine that its score is made of."""

RULES = {
    2020: "the mean of AUC and pAUC over machines, then over machine types",
    2021: "the harmonic mean of AUC and pAUC over machine types, sections and domains, each by its own clips",
    2022: "the harmonic mean of AUC source, AUC target and pAUC over machine types and sections",
}
"""The same in words."""


@dataclass(frozen=True, slots=True)
class Official:
    """An official score.

    Attributes:
        rule: the year whose rule it follows, a key of `FIGURES`.
        score: a fraction of 1.
        machine_types: the same of each machine type alone.
        harmonic: figure -> its harmonic mean over all machines, as the evaluators publish beside the score.
        arithmetic: figure -> its plain mean over all machines.
        interval: bounds of the score with other test clips of the same machines, where it was asked for.
    """

    rule: int
    score: float
    machine_types: dict[str, float]
    harmonic: dict[str, float]
    arithmetic: dict[str, float]
    interval: tuple[float, float] | None = None


def rule_name(rule: int) -> str:
    """The years whose rule it is.

    >>> rule_name(2022)
    '2022 to 2026'
    """
    years = [year for year, facts in YEARS.items() if facts.scoring == rule]
    return f"{years[0]} to {years[-1]}" if len(years) > 1 else str(years[0])


def years_of(table: ScoreTable) -> list[int]:
    """The years of the challenge that have these machines, and domains where these clips have one."""
    machines = {(row.machine_type, row.machine_id) for row in table}
    domains = any(row.domain for row in table)
    return [
        year
        for year, facts in YEARS.items()
        if domains == (year > 2020)
        and all(id_ in (*facts.development.get(kind, ()), *facts.evaluation.get(kind, ())) for kind, id_ in machines)
    ]


def rule_of(table: ScoreTable, years: Collection[int] = ()) -> int | None:
    """The year of the rule by which a table is judged.

    Args:
        table: scores of clips.
        years: of the challenge that it may be of; found from machines and domains if none are given.

    Returns:
        A key of `FIGURES`; none if the machines are those of no year, or of years whose rules differ.

    Raises:
        ScoreError: if there was no challenge in a year that was given.
    """
    if unknown := [year for year in years if year not in YEARS]:
        raise ScoreError(f"there is no official score of {unknown[0]}; choose one of {', '.join(map(str, YEARS))}")
    return common_rule(years or (years_of(table) if len(table) else ()))


def common_rule(years: Collection[int]) -> int | None:
    """The rule of some years of the challenge; none where there is no year, or their rules differ."""
    rules = {YEARS[year].scoring for year in years}
    return rules.pop() if len(rules) == 1 else None


def official(
    table: ScoreTable,
    *,
    years: Collection[int] = (),
    replicates: int = 0,
    draws: Draws | None = None,
) -> Official | None:
    """The official score of a system.

    Args:
        table: scores of labelled clips; machines without both labels are left out.
        years: of the challenge that it may be of; found from machines and domains if none are given.
        replicates: draws of test clips for an interval, see `auscult.scores.intervals.bootstrap`; 0 for none.
        draws: to use instead, which several systems share.

    Returns:
        The score; none if the machines are those of no year or of years whose rules differ, or a figure is not defined
        for a machine: `why_none` says it.

    Raises:
        ScoreError: if a year is none of the challenge's.
    """
    if (rule := rule_of(table, years)) is None:
        return None
    names, judged = FIGURES[rule], _judged(table)
    figures = {kind: [_figures(rows, names) for rows in ids.values()] for kind, ids in judged.items()}
    rows = [row for some in figures.values() for row in some]
    if not rows or not all(np.isfinite(row[name]).all() for row in rows for name in names):
        return None
    interval = None
    if draws or replicates:
        draws = draws or Draws(replicates, seed=0)
        drawn = {
            kind: [draws.figures(kind, id_, rows, names=names, metrics=EVERY_FIGURE) for id_, rows in ids.items()]
            for kind, ids in judged.items()
        }
        if all(set(names) <= set(row) for some in drawn.values() for row in some):
            low, high = np.quantile(score_of(rule, drawn.values()), [(1 - LEVEL) / 2, (1 + LEVEL) / 2]).tolist()
            interval = low, high
    return Official(
        rule,
        float(score_of(rule, figures.values())[0]),
        {kind: float(score_of(rule, [some])[0]) for kind, some in figures.items()},
        {name: float(harmonic_mean([row[name][0] for row in rows])) for name in names},
        {name: float(np.mean([row[name][0] for row in rows])) for name in names},
        interval,
    )


def why_none(table: ScoreTable, years: Collection[int] = (), *, option: str = "--year") -> str:
    """Why a table has no official score, in words; nothing if it has one.

    Args:
        table: scores of clips.
        years: as in `official`.
        option: of the command, by which a user says the year.
    """
    known = years or (years_of(table) if len(table) else ())
    if (rule := rule_of(table, years)) is None:
        if not known:
            return "no year of DCASE Task 2 has these machines"
        return f"these may be machines of {' or '.join(map(str, known))}: say which year's official score with {option}"
    if not (judged := _judged(table)):
        return "no machine has test clips of both labels"
    for kind, ids in judged.items():
        for id_, rows in ids.items():
            found = _figures(rows, FIGURES[rule])
            if lacking := [EVERY_FIGURE[name].title for name in FIGURES[rule] if not np.isfinite(found[name]).all()]:
                return f"{kind} {id_} has no {' and no '.join(lacking)}, for want of such clips"
    return ""


def harmonic_mean(values: ArrayLike) -> Floats:
    """Harmonic mean over the first axis; 0 counts as the least positive number of the evaluators.

    >>> float(harmonic_mean([0.5, 1.0]))
    0.6666666666666666
    """
    x = np.maximum(np.asarray(values, dtype=np.float64), sys.float_info.epsilon)
    return np.asarray(len(x) / (1 / x).sum(axis=0))


def decision_figures(decisions: ScoreTable) -> dict[str, dict[str, dict[str, dict[str, float]]]]:
    """Precision, recall and F1 of decisions, of each domain's own clips, as the evaluators publish beside the score.

    Args:
        decisions: labelled clips; the score is 1 where a clip was taken for anomalous, 0 elsewhere.

    Returns:
        Machine type -> machine id -> domain, empty where there is none -> figure -> a fraction of 1; 0 where nothing
        was found.
    """
    found: dict[str, dict[str, dict[str, dict[str, float]]]] = {}
    for kind, ids in decisions.groups().items():
        for id_, rows in ids.items():
            labels, domains, raised = columns_of(rows)
            domains = np.full(len(rows), "") if domains is None else domains
            own = {str(name): domains == name for name in np.unique(domains)}
            each = {name: _f1(labels[some], raised[some]) for name, some in own.items()}
            found.setdefault(kind, {})[id_] = each
    return found


def _f1(labels: Labels, raised: Floats) -> dict[str, float]:
    true = float(raised[labels].sum())
    precision, recall = (true / total if total else 0.0 for total in (raised.sum(), np.count_nonzero(labels)))
    f1 = 2 * precision * recall / (precision + recall) if true else 0.0
    return {"precision": float(precision), "recall": float(recall), "f1": float(f1)}


def official_facts(found: Official) -> dict[str, Any]:
    """As JSON has it."""
    return {
        "rule": found.rule,
        "score": found.score,
        **({"interval": list(found.interval)} if found.interval else {}),
        "machine_types": found.machine_types,
        "harmonic": found.harmonic,
        "arithmetic": found.arithmetic,
    }


def _judged(table: ScoreTable) -> dict[str, dict[str, ScoreTable]]:
    """Machine type -> machine id -> clips, of the machines that have both labels."""
    missing, groups = incomplete_ids(table), table.groups()
    judged = {
        kind: {id_: rows for id_, rows in groups[kind].items() if (kind, id_) not in missing}
        for kind in sort_machine_types(groups)
    }
    return {kind: ids for kind, ids in judged.items() if ids}


def _figures(table: ScoreTable, names: Iterable[str]) -> dict[str, Floats]:
    labels, domains, scores = columns_of(table)
    return many(names, labels, domains, scores[None], metrics=EVERY_FIGURE)


def score_of(rule: int, figures: Iterable[Iterable[Mapping[str, Floats]]]) -> Floats:
    """The score `[R]` of the figures `[R]` of each machine of each type; what a machine has not is left out."""
    if rule == 2020:
        each = [
            np.mean([np.mean([row[name] for name in FIGURES[rule]], axis=0) for row in rows], axis=0)
            for rows in figures
        ]
        return np.asarray(np.mean(each, axis=0))
    return harmonic_mean([row[name] for rows in figures for row in rows for name in FIGURES[rule] if name in row])
