"""Figure 1: how well each weighting of three members does, as a triangle whose corners are the members alone."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from auscult.errors import ScoreError
from auscult.report.axes import dots, line, path, svg
from auscult.report.data import Key, Plot, Word
from auscult.report.evidence import SOUND, gradient
from auscult.report.pictures import picture
from auscult.report.reference import PrintedOptimum

WIDTH = 360
"""Pixels of the drawn surface from its left corner to its right one."""

GRID = (0.2, 0.4, 0.6, 0.8)
"""Weights at which lines and ticks stand."""

CORNERS = np.array([[50.0, 100.0], [0.0, 0.0], [100.0, 0.0]])
"""Where the first, second and third member stand alone: x and y in percent of the plot area, y upwards."""

ASPECT = float(np.sqrt(3) / 2)
"""Height of the plot area over its width that makes the triangle equal-sided; the style sheet has it too."""

_ANGLES = 2 * np.pi * np.arange(16) / 16
_DISC = np.stack([np.cos(_ANGLES), np.sin(_ANGLES) / ASPECT], axis=1)
"""A disc of radius 1 percent of the width of the plot area."""


@dataclass(frozen=True, slots=True, eq=False)
class WeightSurface:
    """How well three members do under each weighting, for one machine type.

    Attributes:
        machine_type: for instance `"fan"`.
        names: of the members, for the top, the left and the right corner.
        weights: `[W, 3]`, all points of the simplex in equal steps, in any order.
        mauc: (AUC + pAUC) / 2, a fraction of 1, averaged over ids, `[W]`.
        best_weights: of the best point, `[3]`.
        best_mauc: there.
        held_out: the best weights without one machine id each, `[I, 3]`; empty for none.
        printed: the report's own optimum.
    """

    machine_type: str
    names: tuple[str, str, str]
    weights: NDArray[np.float64]
    mauc: NDArray[np.float64]
    best_weights: NDArray[np.float64]
    best_mauc: float
    held_out: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 3)))
    printed: PrintedOptimum | None = None


def ternary_plot(surface: WeightSurface) -> Plot:
    """The surface as a triangle, the optimum in red.

    Raises:
        ScoreError: if the weights are not all the points of the simplex in equal steps.
    """
    lattice = _lattice(surface)
    low, high = float(np.nanmin(lattice)), float(np.nanmax(lattice))
    marks = [_picture(lattice, low, high), *_lines(), *_points(surface)]
    best = ", ".join(f"{weight:g}" for weight in np.round(surface.best_weights, 4).tolist())
    return Plot(
        body=svg(marks),
        alt=(
            f"Triangle of the mAUC of {surface.machine_type} over the weights of {', '.join(surface.names)}: "
            f"best {100 * surface.best_mauc:.2f} at {best}, worst {100 * low:.2f}."
        ),
        shape="ternary",
        title=surface.machine_type,
        note=f"Best mAUC: {100 * surface.best_mauc:.2f}, weights [{best}]",
        words=_words(surface.names),
        keys=_keys(surface),
        scale=(gradient(SOUND), f"mAUC {100 * low:.1f}", f"{100 * high:.1f}"),
        name=f"figure1_{surface.machine_type}",
    )


def place(weights: ArrayLike) -> NDArray[np.float64]:
    """Where weights `[..., 3]` lie: x and y in percent of the plot area, y upwards, `[..., 2]`."""
    return np.asarray(np.asarray(weights, dtype=np.float64) @ CORNERS)


def _lattice(surface: WeightSurface) -> NDArray[np.float64]:
    """Values by steps of the first and the second weight, `[n + 1, n + 1]`, NaN beyond the simplex."""
    weights, count = np.asarray(surface.weights, dtype=np.float64), len(surface.mauc)
    steps = round((np.sqrt(8 * count + 1) - 3) / 2)
    places = np.rint(steps * weights[:, :2]).astype(int) if weights.shape == (count, 3) else np.zeros((0, 2), int)
    whole = count == (steps + 1) * (steps + 2) // 2 and steps >= 1 and len(places) == count
    if not whole or len(np.unique(places, axis=0)) < count or np.abs(places - steps * weights[:, :2]).max() > 1e-3:
        raise ScoreError(
            f"{surface.machine_type}: {count} values for weights of shape {weights.shape}; a weight surface needs all "
            "weightings of three members in equal steps, once each"
        )
    lattice = np.full((steps + 1, steps + 1), np.nan)
    lattice[places[:, 0], places[:, 1]] = surface.mauc
    return lattice


def _picture(lattice: NDArray[np.float64], low: float, high: float) -> str:
    """The surface, linear between the points of the lattice, as a picture that fills the plot area."""
    height = round(ASPECT * WIDTH)
    x = 100 * (np.arange(WIDTH) + 0.5) / WIDTH
    y = 100 - 100 * (np.arange(height) + 0.5) / height
    first = np.broadcast_to(y[:, None] / 100, (height, WIDTH))
    third = x[None, :] / 100 - first / 2
    second = 1 - first - third
    bleed = 1.0 / WIDTH  # beneath the outline
    inside = np.minimum(np.minimum(first, second), third) > -bleed
    values = np.where(inside, _between(lattice, first, second), np.nan)
    return picture(values, SOUND, low, high)


def _between(
    lattice: NDArray[np.float64], first: NDArray[np.float64], second: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Values at any weights, linear within the small triangles of the lattice; those outside as on the next edge."""
    steps = len(lattice) - 1
    corners = np.clip(np.stack([first, second, 1 - first - second]), 0, None)
    u, v = (steps * corners / corners.sum(axis=0))[:2]
    i, j = np.minimum(u.astype(int), steps), np.minimum(v.astype(int), steps)
    p, q = u - i, v - j
    upper = p + q > 1
    padded = np.nan_to_num(np.pad(lattice, (0, 1), constant_values=np.nan))
    lower = (1 - p - q) * padded[i, j] + p * padded[i + 1, j] + q * padded[i, j + 1]
    other = (p + q - 1) * padded[i + 1, j + 1] + (1 - q) * padded[i + 1, j] + (1 - p) * padded[i, j + 1]
    return np.asarray(np.where(upper, other, lower))


def _lines() -> list[str]:
    """Lines of equal weight and the outline."""
    marks = []
    for weight in GRID:
        for corner in range(3):
            ends = [np.roll([weight, 1 - weight, 0], corner), np.roll([weight, 0, 1 - weight], corner)]
            marks.append(_drawn(place(ends), "lattice"))
    return [*marks, _drawn(CORNERS, "rim", close=True)]


def _points(surface: WeightSurface) -> list[str]:
    """The optima: without one id each, the report's, the run's; later ones lie above earlier ones."""
    marks = []
    if len(surface.held_out):
        marks += [_drawn(centre + 1.6 * _DISC, "held", close=True) for centre in place(surface.held_out)]
    printed = surface.printed.completed if surface.printed else None
    if printed is not None:
        diamond = place(printed) + 2.6 * _DISC[::4]
        marks += [_drawn(diamond, "printed-rim", close=True), _drawn(diamond, "printed", close=True)]
    x, y = place(np.asarray(surface.best_weights)[None]).T
    return [*marks, path(dots(x, y), "best-rim"), path(dots(x, y), "best")]


def _drawn(points: NDArray[np.float64], style: str, *, close: bool = False) -> str:
    return path(line(points[:, 0], points[:, 1]) + ("Z" if close else ""), style)


def _words(names: Sequence[str]) -> list[Word]:
    """The members at their corners, and the ticks: each edge shows the weight that grows towards its end."""
    top, left, right = names
    words = [
        Word(50, 103, top, "middle", "corner"),
        Word(0, -11, left, "start", "corner"),
        Word(100, -11, right, "end", "corner"),
    ]
    for weight in GRID:
        text = f"{weight:g}"
        on_right, on_left, below = place([weight, 0, 1 - weight]), place([1 - weight, weight, 0]), [100 * weight, 0]
        words.append(Word(float(on_right[0]) + 1.5, float(on_right[1]) + 1, text, "start", "tick"))
        words.append(Word(float(on_left[0]) - 1.5, float(on_left[1]) + 1, text, "end", "tick"))
        words.append(Word(float(below[0]), float(below[1]) - 4, text, "middle", "tick"))
    return words


def _keys(surface: WeightSurface) -> list[Key]:
    dot = "M13 5h0"
    keys = [Key("best", "best on the test labels", dot)]
    if len(surface.held_out):
        keys.append(Key("held", "best without one id each", "M16 5a3 3 0 1 0-6 0a3 3 0 1 0 6 0Z"))
    if surface.printed is not None and surface.printed.completed is not None:
        inferred = ", its cut-off weight inferred" if None in surface.printed.weights else ""
        keys.append(Key("printed", f"the report's best{inferred}", "M9 5L13 1L17 5L13 9Z"))
    return keys
