"""From numbers to the marks of a plot: scales in percent, ticks, SVG paths that stretch with the page."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from auscult.report.data import Tick

MAX_POINTS = 240
"""A drawn line has at most about this many points; plots are rarely wider on a screen."""


@dataclass(frozen=True, slots=True)
class Axis:
    """A linear scale: `low` at 0 percent, `high` at 100."""

    low: float
    high: float

    def place(self, values: ArrayLike) -> NDArray[np.float64]:
        """Where values lie, in percent."""
        span = (self.high - self.low) or 1.0
        return 100 * (np.asarray(values, dtype=np.float64) - self.low) / span

    def ticks(self, *, count: int = 4) -> list[Tick]:
        """About `count` ticks at round values within the scale."""
        from matplotlib.ticker import MaxNLocator

        values = MaxNLocator(nbins=count, steps=[1, 2, 5, 10]).tick_values(self.low, self.high)
        margin = 1e-9 * (self.high - self.low)
        inside = [float(value) for value in values if self.low - margin <= value <= self.high + margin]
        return [Tick(float(self.place(value)), tick_text(value)) for value in inside]


def axis_of(values: ArrayLike, *, margin: float = 0.05) -> Axis:
    """The scale that holds all finite values, with a margin as a fraction of their range."""
    numbers = np.asarray(values, dtype=np.float64)
    numbers = numbers[np.isfinite(numbers)]
    low, high = (float(numbers.min()), float(numbers.max())) if numbers.size else (0.0, 1.0)
    pad = margin * (high - low) or 0.5 * abs(high) or 0.5
    return Axis(low - pad, high + pad)


def tick_text(value: float) -> str:
    """A tick's value, short, with a true minus sign.

    >>> tick_text(-0.5), tick_text(2000.0)
    ('−0.5', '2000')
    """
    return true_minus(f"{value:g}")


def true_minus(text: str) -> str:
    """A number's text with the typographer's minus sign."""
    return text.replace("-", "\N{MINUS SIGN}")


def frequency_ticks(frequencies: NDArray[np.float64], *, count: int = 5) -> list[Tick]:
    """Ticks at octaves of 1 kHz where bins `[F]` of the given centres, in Hz, stand at equal distances."""
    bins = len(frequencies)
    octaves = 1000.0 * 2.0 ** np.arange(-3, 6)
    octaves = octaves[(octaves >= frequencies[0]) & (octaves <= frequencies[-1])]
    places = 100 * (np.interp(octaves, frequencies, np.arange(bins)) + 0.5) / bins
    kept: list[Tick] = []
    for place, frequency in sorted(zip(places, octaves, strict=True), reverse=True):
        if not kept or kept[-1].place - place >= 100 / (count + 2):
            text = f"{frequency / 1000:g} k" if frequency >= 1000 else f"{frequency:g}"
            kept.append(Tick(float(place), text))
    return kept[::-1]


def line(x: ArrayLike, y: ArrayLike) -> str:
    """SVG path data of a line through points in percent, y upwards; points that are not finite break it."""
    across, up = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    words, gap, last = [], True, ""
    for place, height in zip(across, up, strict=True):
        if not (np.isfinite(place) and np.isfinite(height)):
            gap = True
            continue
        point = f"{_short(place)} {_short(100 - height)}"
        if point != last or gap:
            words.append(("M" if gap else "L") + point)
        gap, last = False, point
    return "".join(words)


def area(x: ArrayLike, y: ArrayLike) -> str:
    """SVG path data of the area between a line without gaps and the bottom."""
    across = np.asarray(x, dtype=np.float64)
    if not across.size:
        return ""
    return f"{line(across, y)}L{_short(across[-1])} 100L{_short(across[0])} 100Z"


def dots(x: ArrayLike, y: ArrayLike) -> str:
    """SVG path data of dots: lines of no length, which round caps make into discs that do not stretch."""
    places = zip(np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64), strict=True)
    return "".join(f"M{_short(place)} {_short(100 - height)}h0" for place, height in places)


def path(data: str, style: str) -> str:
    """A path of a named style, its line width independent of the stretching."""
    return f'<path class="{style}" d="{data}"/>'


def svg(marks: Sequence[str]) -> str:
    """The drawing that fills a plot area."""
    return f'<svg viewBox="0 0 100 100" preserveAspectRatio="none" aria-hidden="true">{"".join(marks)}</svg>'


def thin(*arrays: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """The same points, at most about `MAX_POINTS` of them, first and last included."""
    size = len(arrays[0])
    kept = np.unique(np.linspace(0, size - 1, min(size, MAX_POINTS)).round().astype(int))
    return [array[kept] for array in arrays]


def _short(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")
