"""The line figures of the page: overview, ROC curves, score histograms, training curves."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from auscult.report.axes import Axis, area, axis_of, dots, line, path, svg, thin, tick_text
from auscult.report.data import Plot, ReportData, Tick
from auscult.report.tables import by_system, headline_figures, number, percent, type_means
from auscult.scores.metrics import mean_figures, roc, sort_machine_types
from auscult.scores.table import ScoreTable

STYLES = 8
"""The style sheet has this many line styles for systems beside the final one; more systems share them."""

FEW = 50
"""Histograms of fewer clips than this show their whole range."""

_UNIT = Axis(0.0, 1.0)


def system_styles(data: ReportData) -> dict[str, str]:
    """System -> its line style: `s0` for the final one, `s1` and so on for the others."""
    names = dict.fromkeys([*data.tables, *(row.system for row in data.results)])
    others = [name for name in names if name != data.headline]
    return {data.headline: "s0"} | {name: f"s{1 + place % STYLES}" for place, name in enumerate(others)}


def overview_plot(data: ReportData) -> Plot:
    """One line per machine type: the final system's AUC of each machine and its mean, and the other systems' means."""
    machines = headline_figures(data)
    types = sort_machine_types(row.machine_type for row in data.results)
    styles = system_styles(data)
    means = {system: type_means(figures) for (system, _), figures in reversed(by_system(data.results).items())}
    lowest = min((ids["auc"] for figures in machines.values() for ids in figures.values()), default=0.5)
    lowest = min([lowest, *(mean["auc"] for found in means.values() for mean in found.values())])
    axis = Axis(min(0.5, np.floor(10 * lowest) / 10), 1.0)
    heights = {name: 100 * (len(types) - place - 0.5) / len(types) for place, name in enumerate(types)}
    marks = [path(line([tick.place] * 2, [0, 100]), "grid") for tick in axis.ticks(count=6)]
    marks.append(path(line([axis.place(0.5)] * 2, [0, 100]), "chance"))
    for name in types:
        aucs = axis.place([figures["auc"] for figures in machines.get(name, {}).values()])
        if len(aucs):
            marks.append(path(line([aucs.min(), aucs.max()], [heights[name]] * 2), "span"))
            marks.append(path(dots(aucs, [heights[name]] * len(aucs)), "machine"))
        for system in sorted(means, key=lambda system: system == data.headline):
            if name in means[system]:
                place = axis.place([means[system][name]["auc"]])
                marks.append(path(dots(place, [heights[name]]), f"dot {styles[system]}"))
    shown = ", ".join(f"{name} {percent(mean_figures(ids.values())['auc'])}" for name, ids in machines.items())
    return Plot(
        body=svg(marks),
        alt=f"AUC in percent by machine type. Means of {data.headline}: {shown}.",
        shape=f"strips strips-{min(len(types), 8)}",
        title="AUC by machine type",
        note=f"large dots: means of the systems; small dots: the machines under {data.headline}",
        x_ticks=[Tick(tick.place, f"{100 * float(tick.text):.0f}") for tick in axis.ticks(count=6)],
        y_ticks=[Tick(heights[name], name) for name in types],
        x_label="AUC, %",
    )


def roc_plot(tables: Mapping[str, ScoreTable], styles: Mapping[str, str], *, title: str, note: str) -> Plot | None:
    """ROC curves of one machine, a line per system; `None` where labels or a class are missing.

    Args:
        tables: system -> scores of this machine's clips.
        styles: system -> line style.
        title: of the plot: the machine.
        note: beside the title.
    """
    marks = [path("M0 0H10V100H0Z", "band"), path("M0 100L100 0", "chance")]
    drawn = []
    for system in sorted(tables, key=lambda system: styles[system] == "s0"):
        labels = [row.label for row in tables[system]]
        if None in labels or len(set(labels)) < 2:
            continue
        curve = thin(*roc([label == "anomaly" for label in labels], tables[system].scores))
        marks.append(path(line(*(_UNIT.place(values) for values in curve)), f"curve {styles[system]}"))
        drawn.append(system)
    if not drawn:
        return None
    ticks = [Tick(0, "0"), Tick(50, "50"), Tick(100, "100")]
    return Plot(
        body=svg(marks),
        alt=f"ROC curves of {title} for {', '.join(drawn)}; {note}.",
        shape="square",
        title=title,
        note=note,
        x_ticks=ticks,
        y_ticks=ticks,
        x_label="false alarms, %",
        y_label="found, %",
    )


def histogram_plot(table: ScoreTable, *, machine: str, title: str) -> Plot:
    """Scores of one machine's clips: normal and anomalous ones, or all of them where labels are missing.

    Of many clips, the far tail beyond the 99th percentile is gathered in the last bar, lest it flatten the rest.
    """
    kinds = {"normal": "normal", "anomaly": "anomalous", None: "unlabelled"}
    scores = {name: table.scores[[row.label == label for row in table]] for label, name in kinds.items()}
    scores = {name: values for name, values in scores.items() if len(values)}
    edges, beyond = _bins(table.scores)
    across = Axis(float(edges[0]), float(edges[-1]))
    counts = {name: np.histogram(np.minimum(values, edges[-1]), edges)[0] for name, values in scores.items()}
    up = Axis(0.0, 1.08 * max(int(count.max()) for count in counts.values()))
    marks = []
    for name, count in counts.items():
        x, y = across.place(np.repeat(edges, 2)), up.place(np.concatenate([[0], np.repeat(count, 2), [0]]))
        marks += [path(area(x, y), f"fill {name}"), path(line(x, y), f"outline {name}")]
    means = ", ".join(f"{len(values)} {name} with median {np.median(values):.4g}" for name, values in scores.items())
    return Plot(
        body=svg(marks),
        alt=f"Histogram of scores of {machine}: {means}.",
        shape="bars",
        title=title,
        note=f"last bar: {beyond} up to {number(table.scores.max())}" if beyond else "",
        x_ticks=across.ticks(count=4),
        y_ticks=[tick for tick in up.ticks(count=3) if tick.text.isdigit()],
        x_label="score",
        y_label="clips",
    )


def history_plot(member: str, history: Sequence[Mapping[str, float]]) -> Plot | None:
    """A member's losses over the epochs, on a logarithmic scale where they allow it; `None` without any loss."""
    names = [name for name in dict.fromkeys(key for entry in history for key in entry) if name.endswith("loss")]
    curves = {name: np.array([entry.get(name, np.nan) for entry in history], dtype=np.float64) for name in names}
    curves = {name: values for name, values in curves.items() if np.isfinite(values).any()}
    if not curves:
        return None
    finite = np.concatenate([values[np.isfinite(values)] for values in curves.values()])
    logarithmic = bool(finite.min() > 0 and finite.max() > 20 * finite.min())
    up = axis_of(np.log10(finite) if logarithmic else finite)
    epochs = Axis(1.0, max(float(len(history)), 2.0))
    marks = []
    for place, values in enumerate(curves.values()):
        x, y = thin(np.arange(1.0, len(values) + 1), np.log10(values) if logarithmic else values)
        marks.append(path(line(epochs.place(x), up.place(y)), f"curve s{place}"))
        if len(x) == 1:
            marks.append(path(dots(epochs.place(x), up.place(y)), f"dot s{place}"))
    last = ", ".join(f"{name} {values[-1]:.4g}" for name, values in curves.items())
    ticks = up.ticks(count=3)
    if logarithmic:
        ticks = [
            Tick(tick.place, tick_text(float(f"{10 ** (up.low + tick.place * (up.high - up.low) / 100):.2g}")))
            for tick in ticks
        ]
    return Plot(
        body=svg(marks),
        alt=f"Losses of {member} over {len(history)} epochs; at the end {last}.",
        shape="bars",
        title=member,
        note=last,
        x_ticks=[tick for tick in epochs.ticks(count=4) if tick.text.isdigit()],
        y_ticks=ticks,
        x_label="epoch",
    )


def _bins(scores: NDArray[np.float64]) -> tuple[NDArray[np.float64], int]:
    """Edges of 8 to 32 bars up to the 99th percentile, and the number of scores beyond it, if it matters."""
    low, high = float(scores.min()), float(scores.max())
    shoulder = float(np.quantile(scores, 0.99, method="lower"))
    if len(scores) >= FEW and high - shoulder > 0.5 * (shoulder - low) > 0:
        high = shoulder
    if low == high:
        low, high = low - 0.5, high + 0.5
    bars = int(np.clip(2 * np.sqrt(len(scores)), 8, 32))
    return np.linspace(low, high, bars + 1), int(np.count_nonzero(scores > high))
