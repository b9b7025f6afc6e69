"""What the protocols chose: members and weights of every ensemble, and on whose labels."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from auscult.report.data import Cell, Table
from auscult.report.tables import NONE, exact
from auscult.scores.ensemble import Choice
from auscult.scores.metrics import sort_machine_types

ALL_IDS = (
    "Under leave-one-id-out, the row without a held-out machine chose on all of them; it scores training and "
    "evaluation clips, and machines that have no AUC. Of a type with one machine, those of other types chose."
)


def choices_table(choices: Sequence[Choice], what: str = "mAUC") -> Table:
    """A row per machine type, ensemble, protocol and held-out id, folded away; `what` was maximised."""
    order = sort_machine_types(one.machine_type for one in choices)
    rows = sorted(choices, key=lambda one: order.index(one.machine_type))
    return Table(
        caption=f"What was chosen, and the {what}, in percent, that it reached on the clips whose labels chose it",
        columns=["machine type", "ensemble", "protocol", "held out", "weights", what],
        rows=[_row(one) for one in rows],
        texts=5,
        name="choices",
        units={what: "%"},
        starts=[n for n in range(1, len(rows)) if rows[n].machine_type != rows[n - 1].machine_type],
        note=ALL_IDS if any(one.protocol == "leave-one-id-out" for one in rows) else "",
        fold=f"{len(rows)} choices of members and weights",
    )


def held_out_weights(
    choices: Sequence[Choice], *, machine_type: str, ensemble: str, names: Sequence[str]
) -> NDArray[np.float64]:
    """The weights that an ensemble got without each machine id, `[I, len(names)]`; members without any have 0."""
    found = [
        [one.weights.get(name, 0.0) for name in names]
        for one in choices
        if (one.machine_type, one.ensemble) == (machine_type, ensemble) and one.held_out
    ]
    return np.array(found, dtype=np.float64).reshape(-1, len(names))


def _row(choice: Choice) -> list[Cell]:
    weights = ", ".join(f"{name} {weight:g}" for name, weight in choice.weights.items() if weight)
    return [
        Cell(choice.machine_type),
        Cell(choice.ensemble),
        Cell(choice.protocol),
        Cell(choice.held_out or NONE),
        Cell(weights or NONE),
        Cell(NONE) if choice.reached is None else Cell(f"{100 * choice.reached:.2f}", value=exact(choice.reached)),
    ]
