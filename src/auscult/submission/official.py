"""The official score of a table, by the rule of its year."""

from collections.abc import Collection

from auscult.datasets.years import YEARS
from auscult.errors import ScoreError
from auscult.scores.official import official_means, official_values
from auscult.scores.table import ScoreTable


def official_of(
    table: ScoreTable, *, year: int | None = None, listed: Collection[int] = ()
) -> dict[str, object] | None:
    """The official score of the year that a table is of; `None` where no clip has a domain or the year is 2020.

    Args:
        table: scores of labelled clips.
        year: of the challenge; by default that of the list, or those that have the table's machines.
        listed: the years that the ground-truth list may be of.

    Returns:
        `years`, `harmonic` (the score), `arithmetic`, and `values` by machine type and section; see `official_values`.

    Raises:
        ScoreError: if the year is not known, is not the list's, cannot be found, or the score is not defined.
    """
    if year is not None and year not in YEARS:
        raise ScoreError(f"--year {year} is no year of Task 2; there are {', '.join(map(str, YEARS))}")
    if year is not None and listed and year not in listed:
        raise ScoreError(
            f"--year {year}, but the list is of DCASE {' or '.join(map(str, sorted(listed)))}; give one year"
        )
    if year == 2020 or not any(row.domain for row in table):
        return None
    years = [year] if year is not None else sorted(listed) or _years_of(table)
    rules = sorted({YEARS[one].scoring for one in years})
    if len(rules) != 1:
        found = " or ".join(map(str, years)) or "no year"
        raise ScoreError(f"the machines are those of {found}, whose official scores differ; say which by --year")
    values = official_values(table, scoring=rules[0])
    nested: dict[str, dict[str, dict[str, float]]] = {}
    for (machine_type, machine_id), figures in values.items():
        nested.setdefault(machine_type, {})[machine_id] = figures
    return {"years": " or ".join(map(str, years)), **official_means(values), "values": nested}


def _years_of(table: ScoreTable) -> list[int]:
    """The years since 2021 that have all machines of a table in one of their sets."""
    mine = {(kind, id_) for kind, ids in table.groups().items() for id_ in ids}
    sets = {
        year: [
            {(kind, id_) for kind, ids in part.items() for id_ in ids} for part in (facts.development, facts.evaluation)
        ]
        for year, facts in YEARS.items()
        if year > 2020
    }
    return [year for year, parts in sets.items() if any(mine <= part for part in parts)]
