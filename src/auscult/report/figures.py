"""The figures of lines, dots and bars: one function each, for the page and for files alike."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from auscult.denoising.levels import Levels
from auscult.report.data import ReportData
from auscult.report.drawing import (
    COLOURS,
    LineStyle,
    Plot,
    canvas,
    dots,
    limits,
    safe,
    some_ticks,
    styled,
    tick_text,
    true_minus,
)
from auscult.report.tables import by_system, headline_figures, number, percent, type_means
from auscult.scores.metrics import mean_figures, roc, sort_machine_types
from auscult.scores.table import ScoreTable

FINAL = LineStyle("accent", 2.4)
"""The line of the run's final system."""

OTHERS = tuple(LineStyle(f"s{1 + place}", dashes=((), (7, 3), (3, 2), (9, 3, 2, 3))[place % 4]) for place in range(8))
"""The lines of other systems; more than these share them."""

FEW = 50
"""Histograms of fewer clips than this show their whole range."""

MAX_POINTS = 240
"""A drawn line has at most about this many points; figures are rarely wider on a screen."""

WINDOW_BARS = 50
"""Bars of the histogram of a calibration's windows."""

CHANCE: dict[str, Any] = {
    "color": COLOURS["muted"],
    "linewidth": 1,
    "dashes": (1, 4),
    "dash_capstyle": "round",
    "clip_on": False,
}


def system_styles(data: ReportData) -> dict[str, LineStyle]:
    """System -> how its lines look, the final one first."""
    names = dict.fromkeys([*data.tables, *(row.system for row in data.results)])
    others = [name for name in names if name != data.headline]
    return {data.headline: FINAL} | {name: OTHERS[place % len(OTHERS)] for place, name in enumerate(others)}


@styled
def overview(data: ReportData) -> Plot:
    """One line per machine type: the final system's AUC of each machine and its mean, and the other systems' means."""
    machines = headline_figures(data)
    types = sort_machine_types(row.machine_type for row in data.results)
    styles = system_styles(data)
    means = {system: type_means(figures) for (system, _), figures in reversed(by_system(data.results).items())}
    aucs = [figures["auc"] for ids in machines.values() for figures in ids.values()]
    lowest = min([0.5, *aucs, *(mean["auc"] for found in means.values() for mean in found.values())])
    heights = {name: len(types) - place - 0.5 for place, name in enumerate(types)}
    figure, axes = canvas(
        600, 54 + 30 * len(types), bottom=44, left=min(28 + 9.5 * max(map(len, types), default=0), 200)
    )
    axes.set(xlim=(10 * np.floor(10 * lowest), 100), ylim=(0, len(types)), xlabel="AUC, %")
    axes.xaxis.labelpad = 8
    axes.xaxis.set_major_locator(some_ticks(6))
    axes.grid(axis="x", clip_on=False)
    axes.plot([50, 50], [0, len(types)], **CHANCE)
    axes.set_yticks(list(heights.values()), [safe(name) for name in types])
    for system in sorted(means, key=lambda system: system == data.headline):
        if system == data.headline:
            _machines(axes, {heights[name]: [one["auc"] for one in ids.values()] for name, ids in machines.items()})
        x, y = [100 * mean["auc"] for mean in means[system].values()], [heights[name] for name in means[system]]
        size = 12 if system == data.headline else 8
        dots(axes, x, y, size=size, colour=COLOURS[styles[system].colour], label=safe(system))
    shown = ", ".join(f"{name} {percent(mean_figures(ids.values())['auc'])}" for name, ids in machines.items())
    return Plot(
        figure,
        alt=f"AUC in percent by machine type. Means of {data.headline}: {shown}.",
        shape="strips",
        title="AUC by machine type",
        note=f"large dots: means of the systems; small dots: the machines under {data.headline}",
        name="overview",
    )


@styled
def roc_curves(
    tables: Mapping[str, ScoreTable], styles: Mapping[str, LineStyle], *, machine: tuple[str, str], note: str = ""
) -> Plot | None:
    """ROC curves of one machine, a line per system; `None` where labels or a class are missing.

    Args:
        tables: system -> scores of this machine's clips.
        styles: system -> how its line looks.
        machine: its type and id.
        note: beside the title.
    """
    figure, axes = canvas(240, 232)
    axes.axvspan(0, 10, color=COLOURS["wash"], linewidth=0, clip_on=False)
    axes.plot([0, 100], [0, 100], **CHANCE)
    drawn = []
    for system in sorted(tables, key=lambda system: styles[system] == FINAL):
        labels = [row.label for row in tables[system]]
        if None in labels or len(set(labels)) < 2:
            continue
        x, y = thin(*roc([label == "anomaly" for label in labels], tables[system].scores))
        axes.plot(100 * x, 100 * y, **styles[system].options, clip_on=False, label=safe(system))
        drawn.append(system)
    if not drawn:
        return None
    axes.set(xlim=(0, 100), ylim=(0, 100), xlabel="false alarms, %", ylabel="found, %")
    axes.set(xticks=[0, 50, 100], yticks=[0, 50, 100])
    title = " ".join(machine)
    return Plot(
        figure,
        alt=f"ROC curves of {title} for {', '.join(drawn)}; {note}.",
        shape="",
        title=title,
        note=note,
        name=f"roc_{'_'.join(machine)}",
    )


@styled
def score_histogram(table: ScoreTable, *, machine: str, title: str, beside: ScoreTable | None = None) -> Plot:
    """Scores of one machine's clips: normal and anomalous ones, or all of them where labels are missing.

    Of many clips, the far tail beyond the 99th percentile is gathered in the last bar, lest it flatten the rest.

    Args:
        table: the clips.
        machine: whose they are.
        title: of the plot.
        beside: the clips of all histograms that share these bars; these alone if none are given.
    """
    kinds = {"normal": "normal", "anomaly": "anomalous", None: "unlabelled"}
    scores = {label: table.scores[[row.label == label for row in table]] for label in kinds}
    edges = _bins((beside or table).scores)
    beyond = int(np.count_nonzero(table.scores > edges[-1]))
    figure, axes = canvas(240, 128)
    for label, values in scores.items():
        if len(values):
            counts, _ = np.histogram(np.minimum(values, edges[-1]), edges)
            _bars(axes, counts, edges, label or "accent")
    axes.set(xlim=(edges[0], edges[-1]), ylim=(0, None), xlabel="score", ylabel="clips")
    axes.xaxis.set_major_locator(some_ticks(4))
    means = ", ".join(
        f"{len(values)} {kinds[label]} with median {np.median(values):.4g}"
        for label, values in scores.items()
        if len(values)
    )
    return Plot(
        figure,
        alt=f"Histogram of scores of {machine}: {means}.",
        shape="",
        title=title,
        note=f"last bar: {beyond} up to {number(table.scores.max())}" if beyond else "",
    )


@styled
def losses(member: str, history: Sequence[Mapping[str, float]]) -> Plot | None:
    """A member's losses over the epochs, on a logarithmic scale where they allow it; `None` without any loss."""
    names = [name for name in dict.fromkeys(key for entry in history for key in entry) if name.endswith("loss")]
    curves = {name: np.array([entry.get(name, np.nan) for entry in history], dtype=np.float64) for name in names}
    curves = {name: values for name, values in curves.items() if np.isfinite(values).any()}
    if not curves:
        return None
    finite = np.concatenate([values[np.isfinite(values)] for values in curves.values()])
    logarithmic = bool(finite.min() > 0 and finite.max() > 20 * finite.min())
    figure, axes = canvas(240, 128)
    for style, (name, values) in zip((FINAL, *OTHERS), curves.items(), strict=False):
        x, y = thin(np.arange(1.0, len(values) + 1), np.log10(values) if logarithmic else values)
        axes.plot(x, y, **style.options, clip_on=False, marker="o" if len(x) == 1 else "", label=safe(name))
    axes.set(ylim=limits(np.log10(finite) if logarithmic else finite), xlim=(1, max(len(history), 2)), xlabel="epoch")
    axes.xaxis.set_major_locator(some_ticks(4, whole=True))
    axes.yaxis.set_major_locator(some_ticks(3))
    if logarithmic:
        axes.yaxis.set_major_formatter(lambda value, _: tick_text(float(f"{10**value:.2g}")))
    last = ", ".join(f"{name} {values[-1]:.4g}" for name, values in curves.items())
    return Plot(
        figure,
        alt=f"Losses of {member} over {len(history)} epochs; at the end {last}.",
        shape="",
        title=member,
        note=last,
    )


@styled
def denoiser_gains(levels: Levels) -> Plot:
    """Gains on the validation mixtures over the training; dots are the levels."""
    some = levels.validations
    curves = {"SNR": [one.gain.snr_db for one in some], "SI-SDR": [one.gain.si_sdr_db for one in some]}
    figure, axes = canvas(360, 150)
    axes.set(xlim=(1, max(len(some), 2)), ylim=limits([0.0, *curves["SNR"], *curves["SI-SDR"]]), xlabel="epoch")
    axes.plot(axes.get_xlim(), [0, 0], **CHANCE)
    chosen = sorted({level.epoch for level in levels.levels})
    for style, (name, values) in zip((FINAL, OTHERS[0]), curves.items(), strict=True):
        marks: dict[str, Any] = {"marker": "o", "markevery": [epoch - 1 for epoch in chosen]} if name == "SNR" else {}
        axes.plot([one.epoch for one in some], values, **style.options, **marks, clip_on=False, label=name)
    axes.xaxis.set_major_locator(some_ticks(4, whole=True))
    axes.yaxis.set_major_locator(some_ticks(3))
    last = ", ".join(f"{name} {true_minus(f'{max(values):+.2f}')}" for name, values in curves.items())
    return Plot(
        figure,
        alt=f"Gains of the denoiser of {levels.machine_type} over {len(some)} epochs; at best {last} dB.",
        shape="map",
        title="Gain against training",
        note=f"dB on the validation mixtures, at best {last}; dots: the levels",
    )


@styled
def window_histogram(
    scores: NDArray[np.float64], threshold: float | None, *, machine: str, warning: float | None = None
) -> Plot:
    """Scores `[W]` of the windows of a calibration, the threshold, and that of warnings."""
    reach = {value: dashes for value, dashes in ((threshold, "-"), (warning, "--")) if value is not None}
    figure, axes = canvas(480, 150)
    counts, edges = np.histogram(scores, WINDOW_BARS, limits([*scores, *reach]))
    _bars(axes, counts, edges, "normal")
    axes.set(xlim=(edges[0], edges[-1]), xlabel="score", ylabel="windows")
    for value, dashes in reach.items():
        axes.axvline(value, color=COLOURS["anomaly"], linewidth=1.6, linestyle=dashes)
    return Plot(
        figure,
        alt=f"Histogram of {len(scores)} calibration windows of {machine}, median {np.median(scores):.4g}.",
        shape="wide",
        title="Scores of the calibration windows",
        note=_thresholds(threshold, warning),
    )


@styled
def window_trend(
    scores: NDArray[np.float64],
    threshold: float | None,
    *,
    step_seconds: float,
    machine: str,
    warning: float | None = None,
    points: int = 400,
) -> Plot:
    """The highest of the scores `[W]` along the calibration's sound, at some points, and both thresholds."""
    reach = {value: dashes for value, dashes in ((threshold, "-"), (warning, "--")) if value is not None}
    hours = len(scores) * step_seconds / 3600
    end, unit = (hours, "hours") if hours >= 1 else (60 * hours, "minutes")
    highest = [part.max() for part in np.array_split(scores, min(points, len(scores)))]
    figure, axes = canvas(480, 150)
    places = np.linspace(0, end, len(highest)) if len(highest) > 1 else [end / 2]
    axes.plot(places, highest, **FINAL.options, marker="o" if len(highest) == 1 else "")
    axes.set(xlim=(0, end), ylim=limits([*scores, *reach]), xlabel=unit, ylabel="score")
    axes.yaxis.set_major_locator(some_ticks(4))
    for value, dashes in reach.items():
        axes.axhline(value, color=COLOURS["anomaly"], linewidth=1.6, linestyle=dashes)
    return Plot(
        figure,
        alt=f"Highest scores of {machine} along {hours:.3g} hours of calibration sound.",
        shape="wide",
        title="Along the calibration sound",
        note=f"the highest score of each moment; {_thresholds(threshold, warning)}",
    )


def thin(*arrays: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """The same points, at most about `MAX_POINTS` of them, first and last included."""
    size = len(arrays[0])
    kept = np.unique(np.linspace(0, size - 1, min(size, MAX_POINTS)).round().astype(int))
    return [array[kept] for array in arrays]


def _machines(axes: Axes, aucs: Mapping[float, Sequence[float]]) -> None:
    """Height -> AUCs of the machines of a type: a small dot each, and their span."""
    for height, values in aucs.items():
        axes.plot([100 * min(values), 100 * max(values)], [height] * 2, color=COLOURS["rule"], linewidth=2)
        dots(axes, 100 * np.array(values), [height] * len(values), size=5, colour=COLOURS["muted"])


def _bars(axes: Axes, counts: NDArray[np.int_], edges: NDArray[np.float64], colour: str) -> None:
    shade = (COLOURS[colour], 0.28)
    axes.stairs(counts, edges, fill=True, facecolor=shade, edgecolor=COLOURS[colour], linewidth=1.4, clip_on=False)
    axes.yaxis.set_major_locator(some_ticks(3, whole=True))
    axes.set_ylim(0, max(1.08 * max(counts), axes.get_ylim()[1]))


def _bins(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Edges of 8 to 32 bars up to the 99th percentile, or to the highest score where few lie far beyond."""
    low, high = float(scores.min()), float(scores.max())
    shoulder = float(np.quantile(scores, 0.99, method="lower"))
    if len(scores) >= FEW and high - shoulder > 0.5 * (shoulder - low) > 0:
        high = shoulder
    if low == high:
        low, high = low - 0.5, high + 0.5
    bars = int(np.clip(2 * np.sqrt(len(scores)), 8, 32))
    return np.linspace(low, high, bars + 1)


def _thresholds(threshold: float | None, warning: float | None) -> str:
    dashed = "" if warning is None else f"; dashed: warning {warning:.4g}"
    return "no threshold" if threshold is None else f"threshold {threshold:.4g}{dashed}"
