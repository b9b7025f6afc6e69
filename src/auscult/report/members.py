"""Which members carry an ensemble: their own figures, their weights, what is lost without them, how alike they are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from auscult.report.axes import line, path, svg, true_minus
from auscult.report.data import Cell, Plot, Table, Tick, Word
from auscult.report.evidence import SIGNED, gradient
from auscult.report.pictures import picture
from auscult.report.summary import sort_protocols
from auscult.report.tables import NONE, exact, figure_cells, named, titles, units
from auscult.scores.intervals import Interval
from auscult.scores.metrics import Figures, shown_metrics

FEW_MEMBERS = 14
"""Up to this many, the squares of the heat map hold their number."""

MANY_MEMBERS = 30
"""With more than this, only every fifth column of the heat map is numbered."""

PIXELS = 8
"""Width of a square of the heat map in its picture."""


@dataclass(frozen=True, slots=True)
class MemberEffect:
    """What one member of an ensemble does for it, for one machine type.

    Attributes:
        name: of the member.
        family: of the member.
        alone: its own metrics, mean over ids.
        weights: protocol -> its share of the ensemble's score, 0 to 1; the mean over held-out ids where each has its
            own. A protocol that is missing left the member out.
        without: change of the ensemble's metrics when the member is left out, fractions of 1: negative if the
            member helps; `None` where nothing is left without it.
        interval: of `alone`, over clips.
    """

    name: str
    family: str
    alone: Figures
    weights: Mapping[str, float]
    without: Figures | None = None
    interval: Interval | None = None


def members_table(
    machine_type: str, members: Sequence[MemberEffect], *, ensemble: str, without_protocol: str = "uniform"
) -> Table:
    """A row per member: alone, its weight under each protocol, and what the ensemble loses without it.

    Args:
        machine_type: for instance `"fan"`.
        members: in any order; they are shown by family.
        ensemble: whose members they are.
        without_protocol: under which `MemberEffect.without` was computed.
    """
    rows = by_family(members)
    protocols = sort_protocols(protocol for member in members for protocol in member.weights)
    metrics = shown_metrics(member.alone for member in members)
    groups = [("", 2), ("alone", len(metrics)), *([("weight", len(protocols))] if protocols else [])]
    return Table(
        caption=(
            f"{machine_type}: members of {ensemble}. {named(metrics)} in percent, mean over ids; change without it: of "
            f"{ensemble} in points when the member is left out ({without_protocol})"
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


def correlation_plot(
    machine_type: str, names: Sequence[str], correlations: NDArray[np.float64], *, families: Sequence[str] = ()
) -> Plot:
    """The rank correlation of members' scores as a heat map, rows and columns in the given order.

    Args:
        machine_type: for instance `"fan"`.
        names: of the members, `[M]`; family by family.
        correlations: `[M, M]`, NaN where a member's scores are all equal.
        families: of the members, `[M]`, to draw a line between families; empty for no lines.
    """
    values, size = np.asarray(correlations, dtype=np.float64), len(names)
    centres = 100 * (np.arange(size) + 0.5) / max(size, 1)
    edges = [100 * n / size for n in range(1, size) if families and families[n] != families[n - 1]]
    marks = [picture(values.repeat(PIXELS, axis=0).repeat(PIXELS, axis=1), SIGNED, -1.0, 1.0)] if size else []
    marks += [path(line([edge, edge], [0, 100]) + line([0, 100], [100 - edge, 100 - edge]), "seam") for edge in edges]
    step = 1 if size <= MANY_MEMBERS else 5
    return Plot(
        body=svg(marks),
        alt=_closest(machine_type, names, values),
        shape="heat few" if size <= FEW_MEMBERS else "heat",
        title=f"Rank correlation of members' scores, {machine_type}",
        x_ticks=[Tick(float(centres[n]), str(n + 1)) for n in range(size) if n == 0 or (n + 1) % step == 0],
        y_ticks=[Tick(100 - float(centres[n]), f"{name}  {n + 1}") for n, name in enumerate(names)],
        scale=(gradient(SIGNED), true_minus("-1"), "1"),
        words=_numbers(values, centres) if size <= FEW_MEMBERS else [],
        rows=size,
        name=f"correlation_{machine_type}",
    )


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


def _numbers(values: NDArray[np.float64], centres: NDArray[np.float64]) -> list[Word]:
    """Each square's correlation, in a lightness that stands out from the square."""
    return [
        Word(
            float(centres[column]),
            100 - float(centres[row]),
            true_minus(f"{value:.2f}"),
            style="on-dark" if abs(value) > 0.65 else "on-light",
        )
        for (row, column), value in np.ndenumerate(values)
        if np.isfinite(value)
    ]


def _closest(machine_type: str, names: Sequence[str], values: NDArray[np.float64]) -> str:
    """The heat map in words: the most and the least alike of its pairs."""
    text = f"Rank correlations of the scores of {len(names)} members, {machine_type}"
    rows, columns = np.triu_indices(len(names), 1)
    pairs = [(float(values[n, m]), names[n], names[m]) for n, m in zip(rows.tolist(), columns.tolist(), strict=True)]
    pairs = sorted(pair for pair in pairs if np.isfinite(pair[0]))
    if not pairs:
        return f"{text}."
    (low, *least), (high, *most) = pairs[0], pairs[-1]
    return f"{text}: highest {high:.2f} ({' and '.join(most)}), lowest {low:.2f} ({' and '.join(least)})."
