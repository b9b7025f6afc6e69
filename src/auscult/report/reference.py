"""What others reached: Tables 1, 3 and 4 of the report and the optima of Figure 1; official scores of each year.

References:
    Daniluk, Goździewski, Kapka, Kośmider: Ensemble of auto-encoder based and WaveNet like systems for unsupervised
    anomaly detection. Technical report, DCASE 2020 Challenge, Task 2.
"""

import csv
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files

from auscult.recipe import COLUMNS
from auscult.scores.metrics import MEAN, Figures
from auscult.scores.official import FIGURES, harmonic_mean

FAMILIES = ("hvae", "idcae", "freak")
"""The corners of Figure 1, in the order of its printed weights."""

TITLES = {"table3": "Table 3, the unified IDCAE", "table4": "Table 4, the families and the ensemble"}


@dataclass(frozen=True, slots=True)
class PrintedOptimum:
    """The optimum that Figure 1 names for one machine type.

    Attributes:
        mauc: (AUC + pAUC) / 2, a fraction of 1, averaged over ids.
        weights: of HVAE, IDCAE and FREAK; `None` where the print is cut off.
    """

    mauc: float
    weights: tuple[float | None, float | None, float | None]

    @property
    def completed(self) -> tuple[float, ...] | None:
        """The weights, a single one that was cut off being what the others leave of 1; `None` if more are missing."""
        known = [weight for weight in self.weights if weight is not None]
        if len(known) < len(self.weights) - 1:
            return None
        rest = round(1 - sum(known), 10)
        return tuple(rest if weight is None else weight for weight in self.weights)


@dataclass(frozen=True, slots=True)
class Published:
    """What a system reached on the evaluation machines of a year, by others' word.

    Attributes:
        system: what it is.
        score: the official score, a fraction of 1.
        source: where that is from.
        machine_types: official score of each machine type, where they are known.
        harmonic: harmonic means over types of the figures that make the score, likewise.
    """

    system: str
    score: float
    source: str
    machine_types: dict[str, float] = field(default_factory=dict)
    harmonic: dict[str, float] = field(default_factory=dict)


def published_scores(year: int) -> list[Published]:
    """The published systems of a year, in the order of its table; none for a year without one.

    A row with a machine type has its figures; one without has the official score of all types.
    """
    if not (files("auscult.report") / "reference" / f"dcase{year}.csv").is_file():
        return []
    rows = printed_rows(f"dcase{year}")
    found = []
    for row in rows:
        if row["official"]:
            types = {one["machine_type"]: one for one in rows if one["machine_type"] and one["system"] == row["system"]}
            parts = {kind: {name: float(one[name]) for name in FIGURES[2022]} for kind, one in types.items()}
            alone = {kind: float(harmonic_mean([*figures.values()])) for kind, figures in parts.items()}
            means = {
                name: float(harmonic_mean([one[name] for one in parts.values()])) for name in FIGURES[2022] if parts
            }
            found.append(Published(row["system"], _fraction(row["official"]), row["source"], alone, means))
    return found


def printed_table(name: str) -> Mapping[str, Mapping[str, Figures]]:
    """A table's columns: column -> machine type -> AUC and pAUC, fractions of 1; `"mean"` is the printed average.

    Args:
        name: `"table3"` or `"table4"`.
    """
    table: dict[str, dict[str, Figures]] = {column: {} for column in COLUMNS[name]}
    for row in printed_rows(name):
        machine_type = MEAN if row["machine_type"] == "average" else row["machine_type"]
        table[row["column"]][machine_type] = {"auc": _fraction(row["auc"]), "pauc": _fraction(row["pauc"])}
    return table


def printed_optima() -> Mapping[str, PrintedOptimum]:
    """Machine type -> the optimum that Figure 1 names."""
    optima = {}
    for row in printed_rows("figure1"):
        first, second, third = (float(row[family]) if row[family] else None for family in FAMILIES)
        optima[row["machine_type"]] = PrintedOptimum(_fraction(row["mauc"]), (first, second, third))
    return optima


def printed_rows(name: str) -> list[dict[str, str]]:
    """The rows of a table as they were printed, cleaned of defects in print.

    Args:
        name: `"dcase2025"`, published systems of a year;
            `"table1"`, the 30 HVAEs, of whose last one beta was printed as "40", without its point; `"table3"`,
            `"table4"` or `"figure1"`.
    """
    text = (files("auscult.report") / "reference" / f"{name}.csv").read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))


def _fraction(percent: str) -> float:
    return round(float(percent) / 100, 6)
