"""Which members carry an ensemble: their own figures, their weights, what is lost without them, how alike they are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from auscult.report.data import Cell, Table
from auscult.report.drawing import true_minus
from auscult.report.summary import sort_protocols
from auscult.report.tables import NONE, exact, figure_cells, named, titles, units
from auscult.scores.intervals import Interval
from auscult.scores.metrics import Figures, shown_metrics


@dataclass(frozen=True, slots=True)
class MemberEffect:
    """What one member of an ensemble does for it, for one machine type.

    Attributes:
        name: of the member.
        family: of the member.
        alone: its own metrics, mean over ids.
        weights: protocol -> its share of the ensemble's score, 0 to 1; the mean over held-out ids where each has its
            own. A protocol that is missing left the member out.
        without: change of the metrics of the ensemble with equal weights when the member is left out, fractions of 1:
            negative if the member helps; `None` where nothing is left without it.
        interval: of `alone`, over clips.
    """

    name: str
    family: str
    alone: Figures
    weights: Mapping[str, float]
    without: Figures | None = None
    interval: Interval | None = None


def members_table(machine_type: str, members: Sequence[MemberEffect], *, ensemble: str) -> Table:
    """A row per member: alone, its weight under each protocol, and what the ensemble loses without it.

    Args:
        machine_type: for instance `"fan"`.
        members: in any order; they are shown by family.
        ensemble: whose members they are.
    """
    rows = by_family(members)
    protocols = sort_protocols(protocol for member in members for protocol in member.weights)
    metrics = shown_metrics(member.alone for member in members)
    groups = [("", 2), ("alone", len(metrics)), *([("weight", len(protocols))] if protocols else [])]
    return Table(
        caption=(
            f"{machine_type}: members of {ensemble}. {named(metrics)} in percent, mean over ids; change without it: of "
            f"{ensemble} in points when the member is left out (uniform)"
        ),
        columns=["member", "family", *titles(metrics), *protocols, *titles(metrics)],
        groups=[*groups, ("change without it", len(metrics))],
        rows=[
            [
                Cell(member.name),
                Cell(member.family),
                *figure_cells(member.alone, metrics, interval=member.interval),
                *(_weight(member.weights.get(protocol)) for protocol in protocols),
                *(_change((member.without or {}).get(metric)) for metric in metrics),
            ]
            for member in rows
        ],
        texts=2,
        note="A negative change: the member helps." if members else "",
        name=f"members_{machine_type}",
        units=units(metrics),
        starts=[n for n in range(1, len(rows)) if rows[n].family != rows[n - 1].family],
    )


def by_family(members: Sequence[MemberEffect]) -> list[MemberEffect]:
    """Members family by family, families and members in the order of their first appearance."""
    families = list(dict.fromkeys(member.family for member in members))
    return sorted(members, key=lambda member: families.index(member.family))


def correlation_table(machine_type: str, names: Sequence[str], correlations: NDArray[np.float64]) -> Table:
    """The same numbers as a table, folded away."""
    return Table(
        caption=f"{machine_type}: rank correlation of members' scores",
        columns=["member", *names],
        rows=[
            [Cell(name), *(_number(float(value), "{:.2f}") for value in row)]
            for name, row in zip(names, np.asarray(correlations, dtype=np.float64), strict=True)
        ],
        name=f"correlation_{machine_type}",
        fold="Correlations as numbers",
    )


def _weight(weight: float | None) -> Cell:
    return Cell(NONE) if weight is None else Cell(f"{weight:.2f}", value=weight)


def _change(change: float | None) -> Cell:
    return Cell(NONE) if change is None else Cell(true_minus(f"{100 * change:+.2f}"), value=exact(change))


def _number(value: float, form: str) -> Cell:
    return Cell(true_minus(form.format(value)), value=value) if np.isfinite(value) else Cell(NONE)
