"""Rates of alarms in words and numbers: "1/day" is one in 24 hours of scored sound."""

import math
import re

from auscult.errors import CalibrationError, nearest

HOURS = {"hour": 1.0, "day": 24.0, "week": 168.0, "month": 720.0, "year": 8760.0}
"""Hours in each unit; a month has 30 days, a year 365."""


def parse_rate(text: str) -> float:
    """Alarms per hour.

    Args:
        text: a number, a slash and a unit of `HOURS`.

    Raises:
        CalibrationError: if the text is no such rate or the number is not above 0.

    >>> parse_rate("12/day")
    0.5
    """
    match = re.fullmatch(r"\s*([^/\s]+)\s*/\s*([A-Za-z]+)\s*", text)
    units = ", ".join(HOURS)
    if not match:
        raise CalibrationError(
            f'the rate {text!r} is not understood; write it as "1/day", with one of the units {units}'
        )
    unit = match[2].lower()
    if unit not in HOURS:
        raise CalibrationError(f"the rate {text!r} has an unknown unit{nearest(unit, HOURS)}; use one of {units}")
    try:
        number = float(match[1])
    except ValueError:
        raise CalibrationError(f'the rate {text!r} has no number before the slash; write it as "0.5/{unit}"') from None
    rate = number / HOURS[unit]
    if not (math.isfinite(rate) and rate > 0):
        raise CalibrationError(
            f"the rate {text!r} must be a number above 0: no threshold can promise that there is never a false alarm"
        )
    return rate


def format_rate(per_hour: float, *, like: float | None = None) -> str:
    """A rate in words, in the shortest of hour, day, week, month and year that holds at least one, or per year.

    Args:
        per_hour: the rate.
        like: another rate, per hour, whose unit is to be used.

    >>> format_rate(2 / 168), format_rate(0), format_rate(30), format_rate(2, like=1 / 24)
    ('2/week', '0/year', '30/hour', '48/day')
    """
    measure = per_hour if like is None else like
    unit = next((unit for unit, hours in HOURS.items() if measure * hours >= 0.9995), "year")
    return f"{per_hour * HOURS[unit]:.3g}/{unit}"
