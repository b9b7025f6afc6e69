"""The figures of pictures, one function each: a clip as a system sees it, a mixture, correlations of members."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize, PowerNorm
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from numpy.typing import NDArray

from auscult.report.data import Evidence
from auscult.report.drawing import (
    COLOURS,
    ERROR,
    SIGNED,
    SIZE,
    SOUND,
    Plot,
    axes_at,
    bare,
    canvas,
    colour_scale,
    limits,
    pixels,
    safe,
    some_ticks,
    styled,
    tick_text,
    true_minus,
)

MAX_FRAMES = 640
"""Longer spectrograms are averaged over neighbouring frames to at most this many columns."""

WIDTH, LEFT, HEAD, MAP, TRACE, FOOT = 360, 46, 24, 124, 56, 32
"""Of the figure of a clip, in pixels: its width and left margin, and the heights of its parts."""

MAX_TITLE = 28
"""Letters of a map's title that leave room for its colour scale beside it."""

FEW_MEMBERS = 14
"""Up to this many, the squares of the heat map hold their number."""

MANY_MEMBERS = 30
"""With more than this, only every fifth column of the heat map is numbered."""

BESIDE = "The nearest normal clip"
"""Title of its spectrogram."""

Limits = Mapping[tuple[str, str, str], tuple[float, float]]
"""(system, machine type, group of maps) -> lowest and highest value of its colour scale."""


@styled
def clip_view(clip: Evidence, scales: Limits, *, spectrogram: bool = True) -> Plot:
    """A clip as one system sees it: spectrogram, error maps and frame scores above each other, on one time axis."""
    beside = [BESIDE] if spectrogram and clip.beside is not None else []
    names = [*([""] if spectrogram else []), *beside, *clip.maps]
    heads = [HEAD + 14 * (len(name) > MAX_TITLE) for name in names]
    trace = HEAD + TRACE if len(clip.frame_scores) else 0
    height = y = FOOT + trace + sum(heads) + MAP * len(names)
    ends, boxes, words = time_axis(clip), [], []
    figure, axes = _room(height, ends)
    for name, head in zip(names, heads, strict=True):
        y -= head + MAP
        boxes.append((100 * (height - y - MAP) / height, 100 * MAP / height))
        if name == BESIDE and clip.beside is not None:
            norm = _of_sound(clip.spectrogram)
            _picture(axes, y, _as_long(clip.beside.spectrogram, len(clip.spectrogram)), norm, SOUND)
            _words(axes, y, norm, SOUND, title=BESIDE, unit=clip.spectrogram_unit)
            words.append(f"Spectrogram of the nearest normal clip, {clip.beside.file}.")
        elif name:
            low, high = scales[scale_of(clip, name)]
            norm, colours = (Normalize(low, high), SIGNED) if low < 0 else (PowerNorm(0.5, 0, high), ERROR)
            _picture(axes, y, clip.maps[name], norm, colours)
            _words(axes, y, norm, colours, title=name[:1].upper() + name[1:])
            words.append(_peak(clip, name))
        else:
            norm = _of_sound(clip.spectrogram)
            _picture(axes, y, clip.spectrogram, norm, SOUND)
            _words(axes, y, norm, SOUND, title="Spectrogram", unit=clip.spectrogram_unit)
            words.append(f"Spectrogram of {clip.file}, {len(clip.spectrogram)} frames.")
        _bins(axes, y, clip.spectrogram.shape[1], clip.bin_frequencies)
    if trace:
        boxes.append((100 * (height - FOOT - TRACE) / height, 100 * TRACE / height))
        words.append(_trace(figure, axes, clip))
    else:
        _time(figure, ends, height=MAP)
    return Plot(figure, alt=" ".join(words), shape="map", times=ends, boxes=boxes)


@styled
def mixture(
    name: str, log_mel: NDArray[np.float32], norm: Normalize, frequencies: NDArray[np.float64], *, seconds: float
) -> Plot:
    """The log-mel `[N, F]` of a mixture."""
    figure, axes = _room(HEAD + MAP + FOOT, (0, seconds))
    _picture(axes, FOOT, log_mel, norm, SOUND)
    _words(axes, FOOT, norm, SOUND, title="", unit="dB")
    _bins(axes, FOOT, log_mel.shape[1], frequencies)
    _time(figure, (0, seconds), height=MAP)
    return Plot(figure, alt=f"Spectrogram of the mixture: {name}.", shape="map", title=name)


@styled
def member_correlations(
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
    few = size <= FEW_MEMBERS
    side = size * (35 if few else 15)
    left = 40 + 6.4 * max(map(len, names), default=0)
    figure, axes = canvas(left + side + 8, side + 24, left=left, right=8, bottom=20, top=4)
    if size:
        axes.imshow(values, cmap=SIGNED, vmin=-1, vmax=1, aspect="auto", clip_on=False)
    axes.spines[:].set_visible(False)
    columns = [n for n in range(size) if n == 0 or (n + 1) % (1 if size <= MANY_MEMBERS else 5) == 0]
    axes.set_xticks(columns, [str(n + 1) for n in columns])
    axes.set_yticks(range(size), [safe(f"{name}  {n + 1}") for n, name in enumerate(names)])
    for edge in (n - 0.5 for n in range(1, size) if families and families[n] != families[n - 1]):
        axes.axvline(edge, color="black", linewidth=1.2)
        axes.axhline(edge, color="black", linewidth=1.2)
    for (row, column), value in np.ndenumerate(values) if few else ():
        if np.isfinite(value):
            colour = "white" if abs(value) > 0.65 else "#111111"  # black is left out of the SVG
            text = true_minus(f"{value:.2f}")
            axes.text(column, row, text, color=colour, ha="center", va="center_baseline")
    return Plot(
        figure,
        alt=_closest(machine_type, names, values),
        shape="heat",
        title=f"Rank correlation of members' scores, {machine_type}",
        name=f"correlation_{machine_type}",
    )


def scale_of(clip: Evidence, name: str) -> tuple[str, str, str]:
    """The colour scale that a map shares with others."""
    return clip.system, clip.machine_type, clip.map_groups.get(name, f"map {name}")


def time_axis(clip: Evidence) -> tuple[float, float]:
    """Seconds from the left edge of the first frame's column to the right edge of the last one's."""
    return -0.5 * clip.seconds_per_frame, (len(clip.spectrogram) - 0.5) * clip.seconds_per_frame


def shorten(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Means over neighbouring frames, so that `[N, F]` has at most `MAX_FRAMES` frames; NaN where all are NaN."""
    size = -(-len(values) // MAX_FRAMES)
    if size <= 1:
        return values
    padded = np.pad(values, ((0, -len(values) % size), (0, 0)), constant_values=np.nan)
    blocks = padded.reshape(-1, size, values.shape[1])
    present = np.isfinite(blocks).sum(axis=1)
    return np.where(present > 0, np.nansum(blocks, axis=1) / np.maximum(present, 1), np.nan).astype(np.float32)


def _as_long(values: NDArray[np.float32], frames: int) -> NDArray[np.float32]:
    """Values `[N, F]` cut to so many frames, or with NaN behind them."""
    lacking = max(0, frames - len(values))
    return np.pad(values[:frames], ((0, lacking), (0, 0)), constant_values=np.nan)


def _room(height: float, ends: tuple[float, float]) -> tuple[Figure, Axes]:
    """A figure and axes of its whole height, in seconds and pixels, for pictures above each other."""
    figure = bare(WIDTH, height)
    axes = axes_at(figure, LEFT, 0, WIDTH - LEFT - 8, height)
    axes.set_axis_off()
    axes.set(xlim=ends, ylim=(0, height), autoscale_on=False)
    return figure, axes


def _of_sound(spectrogram: NDArray[np.float32]) -> Normalize:
    """A colour scale that leaves out the lowest and highest few values."""
    low, high = np.quantile(spectrogram[np.isfinite(spectrogram)], [0.01, 0.999]).tolist()
    return Normalize(low, max(high, low + 1e-12))


def _picture(axes: Axes, y: float, values: NDArray[np.float32], norm: Normalize, colours: str) -> None:
    """Values `[N, F]`, time to the right, bins upwards from `y`, empty where they are NaN."""
    extent = (*axes.get_xlim(), y, y + MAP)
    image = AxesImage(axes, cmap=colours, norm=norm, origin="lower", extent=extent)
    image.set(data=shorten(values).T, clip_on=False)
    axes.add_image(image)


def _words(axes: Axes, y: float, norm: Normalize, colours: str, *, title: str, unit: str = "") -> None:
    """The title and the colour scale of a picture."""
    y += MAP + 6
    low, high = (float(value) for value in (norm.vmin or 0, norm.vmax or 0))
    low, high = (round(low), round(high)) if colours == SOUND else (float(f"{low:.2g}"), float(f"{high:.2g}"))
    words = f"{tick_text(high)} {unit}".strip()
    colour_scale(axes, (WIDTH - 8, y), colours, low=tick_text(low), high=words)
    _heading(axes, y + 14 * (len(title) > MAX_TITLE), title)


def _heading(axes: Axes, y: float, text: str) -> None:
    axes.text(LEFT, y, safe(text), transform=pixels(axes), weight="bold")


def _bins(axes: Axes, y: float, bins: int, frequencies: NDArray[np.float64] | None) -> None:
    """Words beside a picture: at octaves of 1 kHz where bins are frequencies."""
    ticks = {place: tick_text(place) for place in some_ticks(4).tick_values(0, bins - 1) if 0 <= place < bins}
    for bin_, text in (ticks if frequencies is None else frequency_ticks(frequencies)).items():
        axes.text(LEFT - 4, y + MAP * (bin_ + 0.5) / bins - 4, text, ha="right", transform=pixels(axes))
    unit = "bin" if frequencies is None else "Hz"
    axes.text(SIZE, y + MAP / 2, unit, rotation=90, ha="center", va="center", transform=pixels(axes))


def _time(figure: Figure, ends: tuple[float, float], *, height: float) -> Axes:
    """The axes of time at the foot of a figure."""
    axes = axes_at(figure, LEFT, FOOT, WIDTH - LEFT - 8, height)
    axes.set(xlim=ends, xlabel="time, s", yticks=[])
    axes.xaxis.set_major_locator(some_ticks(6))
    axes.spines["left"].set_visible(False)
    return axes


def frequency_ticks(frequencies: NDArray[np.float64], *, count: int = 5) -> dict[float, str]:
    """Bin -> words, at octaves of 1 kHz where bins `[F]` of the given centres, in Hz, stand at equal distances."""
    octaves = [1000.0 * 2.0**n for n in range(5, -4, -1) if frequencies[0] <= 1000.0 * 2.0**n <= frequencies[-1]]
    places = np.interp(octaves, frequencies, np.arange(len(frequencies))).tolist()
    kept: dict[float, str] = {}
    for bin_, octave in zip(places, octaves, strict=True):
        if not kept or min(kept) - bin_ >= len(frequencies) / (count + 2):
            kept[bin_] = f"{octave / 1000:g} k" if octave >= 1000 else f"{octave:g}"
    return kept


def _trace(figure: Figure, room: Axes, clip: Evidence) -> str:
    """Frame scores over time; where they are highest, in words."""
    scores = np.asarray(clip.frame_scores, dtype=np.float64)
    step = -(-len(scores) // MAX_FRAMES) or 1
    times = (np.arange(len(scores))[::step] + clip.frame_offset) * clip.seconds_per_frame
    scores = np.array([scores[start : start + step].max() for start in range(0, len(scores), step)])
    low, high = limits(scores)
    axes, accent = _time(figure, time_axis(clip), height=TRACE), COLOURS["accent"]
    axes.fill_between(times, scores, low, facecolor=(accent, 0.16), edgecolor=accent, linewidth=1.4, clip_on=False)
    axes.set_ylim(low, high)
    axes.yaxis.set_major_locator(some_ticks(2))
    where = f"highest at {times[int(np.argmax(scores))]:.2f} s"
    y = FOOT + TRACE + 6
    _heading(room, y, f"Frame score, {clip.frame_scores_of}" if clip.frame_scores_of else "Frame score")
    room.text(WIDTH - 8, y, where, ha="right", transform=pixels(room))
    return f"Frame scores: {where}."


def _peak(clip: Evidence, name: str) -> str:
    error = clip.maps[name]
    frame, band = np.unravel_index(int(np.where(np.isfinite(error), error, -np.inf).argmax()), error.shape)
    where = f"bin {band}" if clip.bin_frequencies is None else f"{clip.bin_frequencies[band]:.0f} Hz"
    return f"{name}: largest at {frame * clip.seconds_per_frame:.2f} s, {where}."


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
