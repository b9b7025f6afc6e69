"""Figure 1: how well each weighting of three members does, as a triangle whose corners are the members alone."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Polygon
from matplotlib.transforms import Affine2D
from numpy.typing import ArrayLike, NDArray

from auscult.errors import ScoreError
from auscult.report.drawing import COLOURS, SOUND, Plot, canvas, colour_scale, dots, safe, styled
from auscult.report.reference import PrintedOptimum

CORNERS = np.array([[0.5, np.sqrt(3) / 2], [0.0, 0.0], [1.0, 0.0]])
"""Where the first, second and third member stand alone."""

GRID = (0.2, 0.4, 0.6, 0.8)
"""Weights at which lines and ticks stand."""


@dataclass(frozen=True, slots=True, eq=False)
class WeightSurface:
    """How well three members do under each weighting, for one machine type.

    Attributes:
        machine_type: for instance `"fan"`.
        names: of the members, for the top, the left and the right corner.
        weights: `[W, 3]`, all points of the simplex in equal steps, in any order.
        reached: what was maximised, a fraction of 1, `[W]`.
        best_weights: of the best point, `[3]`.
        best: there.
        held_out: the best weights without one machine id each, `[I, 3]`; empty for none.
        printed: the report's own optimum.
        what: the name of what was maximised.
    """

    machine_type: str
    names: tuple[str, str, str]
    weights: NDArray[np.float64]
    reached: NDArray[np.float64]
    best_weights: NDArray[np.float64]
    best: float
    held_out: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 3)))
    printed: PrintedOptimum | None = None
    what: str = "mAUC"


@styled
def weight_triangle(surface: WeightSurface) -> Plot:
    """The report's Figure 1: a triangle whose corners are the members alone, the optimum in red.

    Raises:
        ScoreError: if the weights are not all the points of the simplex in equal steps.
    """
    lattice = _lattice(surface)
    low, high = float(np.nanmin(lattice)), float(np.nanmax(lattice))
    figure, axes = canvas(300, 354, left=30, right=30, bottom=102, top=44)
    axes.set_axis_off()
    axes.set(xlim=(0, 1), ylim=(0, CORNERS[0, 1]), aspect="equal")
    rim = Polygon(CORNERS, closed=True, fill=False, edgecolor=COLOURS["ink"], linewidth=1.4, clip_on=False, zorder=2)
    axes.add_patch(rim)
    picture = axes.imshow(_beyond(lattice), cmap=SOUND, vmin=low, vmax=high, aspect="equal")
    picture.set_transform(_of_lattice(len(lattice) - 1) + axes.transData)
    picture.set_clip_path(Polygon(CORNERS, transform=axes.transData))
    axes.set(xlim=(0, 1), ylim=(0, CORNERS[0, 1]))
    _lines_and_names(axes, surface.names)
    _optima(axes, surface)
    axes.legend(loc="upper left", bbox_to_anchor=(-0.1, -0.17), reverse=True, handletextpad=0.4, borderpad=0)
    colour_scale(axes, (296, 340), SOUND, low=f"{surface.what} {100 * low:.1f}", high=f"{100 * high:.1f}")
    best = ", ".join(f"{weight:g}" for weight in np.round(surface.best_weights, 4).tolist())
    return Plot(
        figure,
        alt=(
            f"Triangle of the {surface.what} of {surface.machine_type} over the weights of {', '.join(surface.names)}: "
            f"best {100 * surface.best:.2f} at {best}, worst {100 * low:.2f}."
        ),
        shape="ternary",
        title=surface.machine_type,
        note=f"Best {surface.what}: {100 * surface.best:.2f}, weights [{best}]",
        name=f"figure1_{surface.machine_type}",
    )


def place(weights: ArrayLike) -> NDArray[np.float64]:
    """Where weights `[..., 3]` lie in the triangle, `[..., 2]`."""
    return np.asarray(np.asarray(weights, dtype=np.float64) @ CORNERS)


def _lattice(surface: WeightSurface) -> NDArray[np.float64]:
    """Values by steps of the first and the second weight, `[n + 1, n + 1]`, NaN beyond the simplex."""
    weights, count = np.asarray(surface.weights, dtype=np.float64), len(surface.reached)
    steps = round((np.sqrt(8 * count + 1) - 3) / 2)
    places = np.rint(steps * weights[:, :2]).astype(int) if weights.shape == (count, 3) else np.zeros((0, 2), int)
    whole = count == (steps + 1) * (steps + 2) // 2 and steps >= 1 and len(places) == count
    if not whole or len(np.unique(places, axis=0)) < count or np.abs(places - steps * weights[:, :2]).max() > 1e-3:
        raise ScoreError(
            f"{surface.machine_type}: {count} values for weights of shape {weights.shape}; a weight surface needs all "
            "weightings of three members in equal steps, once each"
        )
    lattice = np.full((steps + 1, steps + 1), np.nan)
    lattice[places[:, 0], places[:, 1]] = surface.reached
    return lattice


def _beyond(lattice: NDArray[np.float64]) -> NDArray[np.float64]:
    """The lattice with each value beyond the edge that of the nearest point on it, lest the picture fade there."""
    first, second = np.indices(lattice.shape)
    over = np.maximum(first + second - len(lattice) + 1, 0)
    nearest: NDArray[np.float64] = lattice[np.maximum(first - (over + 1) // 2, 0), np.maximum(second - over // 2, 0)]
    return nearest


def _of_lattice(steps: int) -> Affine2D:
    """From places in the lattice's picture, second weight to the right and first upwards, to the triangle."""
    top, left, right = CORNERS
    (a, b), (c, d) = (left - right) / steps, (top - right) / steps
    return Affine2D(np.array([[a, c, right[0]], [b, d, right[1]], [0.0, 0.0, 1.0]]))


def _lines_and_names(axes: Axes, names: Sequence[str]) -> None:
    """Lines of equal weight; each edge shows the weight that grows towards its end, each corner its member."""
    for weight in GRID:
        for corner in range(3):
            ends = place([np.roll([weight, 1 - weight, 0], corner), np.roll([weight, 0, 1 - weight], corner)])
            axes.plot(*ends.T, color=("white", 0.4), linewidth=0.8, clip_on=False)
        x, y = place([weight, 0, 1 - weight])
        axes.text(x + 0.02, y, f"{weight:g}", ha="left", va="center_baseline")
        x, y = place([1 - weight, weight, 0])
        axes.text(x - 0.02, y, f"{weight:g}", ha="right", va="center_baseline")
        axes.text(weight, -0.055, f"{weight:g}", ha="center", va="baseline")
    spots = ((0.5, 0.895, "center"), (-0.06, -0.12, "left"), (1.06, -0.12, "right"))
    for name, (x, y, side) in zip(names, spots, strict=True):
        axes.text(x, y, safe(name), ha=side, weight="bold")


def _optima(axes: Axes, surface: WeightSurface) -> None:
    """Without one id each, the report's, the run's; later ones lie above earlier ones."""
    rings = [("best on the test labels", "o", 11, "#d7191c", "white", np.asarray(surface.best_weights)[None])]
    if surface.printed is not None and surface.printed.completed is not None:
        inferred = ", its cut-off weight inferred" if None in surface.printed.weights else ""
        rings.append((f"the report's best{inferred}", "D", 9, "none", "black", np.array([surface.printed.completed])))
    if len(surface.held_out):
        rings.append(("best without one id each", "o", 8, "white", "black", surface.held_out))
    for label, marker, size, inside, edge, weights in reversed(rings):
        x, y = place(weights).T
        rim = {"markeredgecolor": edge, "markeredgewidth": 1.5}
        dots(axes, x, y, size=size, colour=inside, marker=marker, label=label, **rim)
