"""Evidence of one clip: spectrogram, error maps and frame scores on one time axis, and the sound itself."""

import base64
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from auscult.report.axes import Axis, area, axis_of, frequency_ticks, line, path, svg, tick_text
from auscult.report.data import Evidence, Plot, Tick

MAX_FRAMES = 640
"""Longer spectrograms are averaged over neighbouring frames to at most this many columns."""

MAX_SECONDS = 60.0
"""The player holds at most this much of a clip."""

MAX_GAIN = 5
"""The player doubles the amplitude at most this often (6 dB each)."""

SOUND, ERROR, SIGNED = "viridis", "inferno", "RdBu_r"
"""Colour maps: uniform steps of lightness for sounds and for errors; two hues for errors with a sign."""

Limits = Mapping[tuple[str, str, str], tuple[float, float]]
"""(system, machine type, group of maps) -> lowest and highest value of its colour scale."""


@dataclass(frozen=True, slots=True)
class View:
    """A clip as one system sees it: plots above each other, on a time axis from `start` to `end`, in seconds."""

    evidence: Evidence
    plots: Sequence[Plot]
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Card:
    """What the page shows of one clip: a view per system, and the sound as a data URI, empty for none."""

    views: Sequence[View]
    audio: str
    audio_note: str

    @property
    def first(self) -> Evidence:
        """The evidence that came first; its rank and score stand on top of the card."""
        return self.views[0].evidence


def cards(evidence: Iterable[Evidence]) -> list[Card]:
    """A card per clip, in the order of their first evidence; a clip that several systems scored has several views."""
    clips: dict[tuple[str, str, str], list[Evidence]] = {}
    for one in evidence:
        clips.setdefault((one.machine_type, one.machine_id, one.file), []).append(one)
    limits = map_limits(one for views in clips.values() for one in views)
    return [_card(views, limits) for views in clips.values()]


def map_limits(evidence: Iterable[Evidence]) -> Limits:
    """Colour scales of the error maps: 0 to the 99.8th percentile, or symmetrical where an error has a sign."""
    values: dict[tuple[str, str, str], list[NDArray[np.float32]]] = {}
    for clip in evidence:
        for name, error in clip.maps.items():
            values.setdefault(_scale(clip, name), []).append(error[np.isfinite(error)])
    limits = {}
    for key, parts in values.items():
        numbers = np.concatenate(parts)
        high = float(np.quantile(np.abs(numbers), 0.998)) if numbers.size else 0.0
        high = high or 1.0
        limits[key] = (-high if numbers.size and numbers.min() < 0 else 0.0, high)
    return limits


def spectrogram_plot(clip: Evidence) -> Plot:
    """The clip's spectrogram; the colour scale leaves out the lowest and highest few values."""
    finite = clip.spectrogram[np.isfinite(clip.spectrogram)]
    low, high = np.quantile(finite, [0.01, 0.999])
    texts = (f"{tick_text(round(float(low)))}", f"{tick_text(round(float(high)))} {clip.spectrogram_unit}")
    return Plot(
        body=image(clip.spectrogram, SOUND, float(low), float(high)),
        alt=f"Spectrogram of {clip.file}, {len(clip.spectrogram)} frames of {clip.spectrogram.shape[1]} bins.",
        shape="map",
        title="Spectrogram",
        y_ticks=_bin_ticks(clip),
        y_label="Hz" if clip.bin_frequencies is not None else "bin",
        scale=(gradient(SOUND), *texts),
    )


def map_plot(clip: Evidence, name: str, limits: Limits) -> Plot:
    """One error map on the axes of the spectrogram; colour follows the square root of an error without a sign."""
    error, (low, high) = clip.maps[name], limits[_scale(clip, name)]
    if low < 0:
        colours, body = SIGNED, image(error, SIGNED, low, high)
    else:
        colours, body = ERROR, image(np.sqrt(np.maximum(error, 0)), ERROR, 0.0, float(np.sqrt(high)))
    unit = clip.map_units.get(name, "")
    finite = np.where(np.isfinite(error), error, -np.inf)
    frame, band = np.unravel_index(int(finite.argmax()), error.shape)
    return Plot(
        body=body,
        alt=f"{name} of {clip.file}: largest at {frame * clip.seconds_per_frame:.2f} s, {_bin_name(clip, int(band))}.",
        shape="map",
        title=name,
        y_ticks=_bin_ticks(clip),
        y_label="Hz" if clip.bin_frequencies is not None else "bin",
        scale=(gradient(colours), tick_text(float(f"{low:.2g}")), f"{tick_text(float(f'{high:.2g}'))} {unit}".strip()),
    )


def frame_plot(clip: Evidence) -> Plot:
    """Frame scores over time, with the time axis that the maps above share."""
    frames = np.arange(len(clip.frame_scores)) + clip.frame_offset
    scores = np.asarray(clip.frame_scores, dtype=np.float64)
    step = -(-len(scores) // MAX_FRAMES) or 1
    frames, scores = frames[::step], np.array([scores[i : i + step].max() for i in range(0, len(scores), step)])
    across, up, times = Axis(-0.5, len(clip.spectrogram) - 0.5), axis_of(scores), _time_axis(clip)
    x, y = across.place(frames), up.place(scores)
    where = f"highest at {frames[int(np.argmax(scores))] * clip.seconds_per_frame:.2f} s"
    return Plot(
        body=svg([path(area(x, y), "fill score"), path(line(x, y), "outline score")]),
        alt=f"Frame scores of {clip.file}: {where}.",
        shape="trace",
        title=f"Frame score, {clip.frame_scores_of}" if clip.frame_scores_of else "Frame score",
        note=where,
        x_ticks=times.ticks(count=6),
        y_ticks=up.ticks(count=2),
        x_label="time, s",
    )


def flac(waveform: NDArray[np.float32], sample_rate: int) -> tuple[str, str]:
    """A waveform `[T]` as FLAC in a data URI, and a note of what was done to it.

    Quiet recordings are raised by whole steps of 6 dB, which are exact in 16 bits and cost no space.
    """
    import soundfile

    kept = waveform[: int(MAX_SECONDS * sample_rate)]
    samples = np.clip(np.round(32768.0 * kept), -32768, 32767).astype(np.int16)
    peak = max(int(np.abs(samples.astype(np.int32)).max(initial=0)), 1)
    gain = min(MAX_GAIN, int(np.log2(32767 / peak)))
    file = io.BytesIO()
    soundfile.write(file, samples << gain, sample_rate, format="FLAC", subtype="PCM_16")
    notes = [f"played {6 * gain} dB louder than recorded"] if gain else []
    if len(kept) < len(waveform):
        notes.append(f"the first {MAX_SECONDS:g} s of {len(waveform) / sample_rate:.0f} s")
    return _data_uri("audio/flac", file.getvalue()), "; ".join(notes)


def _card(clips: Sequence[Evidence], limits: Limits) -> Card:
    """Views in the given order; a spectrogram that an earlier view shows is not repeated."""
    views: list[View] = []
    for clip in clips:
        shown = any(np.array_equal(view.evidence.spectrogram, clip.spectrogram) for view in views)
        plots = [] if shown else [spectrogram_plot(clip)]
        plots += [map_plot(clip, name, limits) for name in clip.maps]
        plots += [frame_plot(clip)] if len(clip.frame_scores) else []
        axis = _time_axis(clip)
        views.append(View(clip, plots, axis.low, axis.high))
    for clip in clips:
        if clip.waveform is not None and clip.sample_rate:
            return Card(views, *flac(clip.waveform, clip.sample_rate))
    return Card(views, "", "")


def _scale(clip: Evidence, name: str) -> tuple[str, str, str]:
    group = clip.map_groups.get(name) or clip.map_units.get(name) or f"map {name}"
    return clip.system, clip.machine_type, group


def _time_axis(clip: Evidence) -> Axis:
    """Seconds from the left edge of the first frame's column to the right edge of the last one's."""
    return Axis(-0.5 * clip.seconds_per_frame, (len(clip.spectrogram) - 0.5) * clip.seconds_per_frame)


def _bin_ticks(clip: Evidence) -> list[Tick]:
    if clip.bin_frequencies is not None:
        return frequency_ticks(clip.bin_frequencies)
    return Axis(-0.5, clip.spectrogram.shape[1] - 0.5).ticks(count=4)


def _bin_name(clip: Evidence, place: int) -> str:
    return f"bin {place}" if clip.bin_frequencies is None else f"{clip.bin_frequencies[place]:.0f} Hz"


def image(values: NDArray[np.float32], colours: str, low: float, high: float) -> str:
    """An `<img>` of values `[N, F]`, time to the right, bins upwards, transparent where values are NaN."""
    from matplotlib.image import imsave

    file = io.BytesIO()
    imsave(
        file,
        _shorten(values).T,
        cmap=colours,
        vmin=low,
        vmax=max(high, low + 1e-12),
        origin="lower",
        format="webp",
        pil_kwargs={"lossless": True},
    )
    return f'<img alt="" src="{_data_uri("image/webp", file.getvalue())}">'


def _shorten(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Means over neighbouring frames, so that `[N, F]` has at most `MAX_FRAMES` frames; NaN where all are NaN."""
    size = -(-len(values) // MAX_FRAMES)
    if size <= 1:
        return values
    groups = -(-len(values) // size)
    padded = np.full((groups * size, values.shape[1]), np.nan, dtype=np.float32)
    padded[: len(values)] = values
    blocks = padded.reshape(groups, size, -1)
    present = np.isfinite(blocks).sum(axis=1)
    sums = np.nansum(blocks, axis=1)
    return np.where(present > 0, sums / np.maximum(present, 1), np.nan).astype(np.float32)


def gradient(colours: str) -> str:
    """A colour map as a CSS gradient."""
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    return ", ".join(to_hex(colour) for colour in colormaps[colours](np.linspace(0, 1, 12)))


def _data_uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"
