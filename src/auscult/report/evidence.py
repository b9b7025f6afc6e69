"""Evidence of one clip: what each system saw of it, and the sound itself."""

import base64
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from auscult.report.data import Evidence
from auscult.report.drawing import Plot
from auscult.report.maps import Limits, clip_view, scale_of

MAX_SECONDS = 60.0
"""The player holds at most this much of a clip."""

MAX_GAIN = 5
"""The player doubles the amplitude at most this often (6 dB each)."""


@dataclass(frozen=True, slots=True)
class Card:
    """What the page shows of one clip: a figure per system, and the sound as a data URI, empty for none.

    So that of the normal clip beside it, with its name in the note.
    """

    views: Sequence[tuple[Evidence, Plot]]
    audio: str
    audio_note: str
    normal_audio: str = ""
    normal_note: str = ""

    @property
    def first(self) -> Evidence:
        """The evidence that came first; its rank and score stand on top of the card."""
        return self.views[0][0]


def cards(evidence: Iterable[Evidence]) -> list[Card]:
    """A card per clip, in the order of their first evidence; a clip that several systems scored has several views."""
    clips: dict[tuple[str, str, str], list[Evidence]] = {}
    for one in evidence:
        clips.setdefault((one.machine_type, one.machine_id, one.file), []).append(one)
    scales = map_limits(one for views in clips.values() for one in views)
    return [_card(views, scales) for views in clips.values()]


def map_limits(evidence: Iterable[Evidence]) -> Limits:
    """Colour scales of the error maps: 0 to the 99.8th percentile, or symmetrical where an error has a sign."""
    values: dict[tuple[str, str, str], list[NDArray[np.float32]]] = {}
    for clip in evidence:
        for name, error in clip.maps.items():
            values.setdefault(scale_of(clip, name), []).append(error[np.isfinite(error)])
    limits = {}
    for key, parts in values.items():
        numbers = np.concatenate(parts)
        high = float(np.quantile(np.abs(numbers), 0.998)) if numbers.size else 0.0
        high = high or 1.0
        limits[key] = (-high if numbers.size and numbers.min() < 0 else 0.0, high)
    return limits


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
    return f"data:audio/flac;base64,{base64.b64encode(file.getvalue()).decode('ascii')}", "; ".join(notes)


def _normal(clip: Evidence) -> tuple[str, str]:
    """The sound of the normal clip beside one, and which it is."""
    if clip.beside is None or clip.beside.waveform is None or clip.sample_rate is None:
        return "", ""
    audio, note = flac(clip.beside.waveform, clip.sample_rate)
    return audio, "; ".join(filter(None, (f"the nearest normal clip, {clip.beside.file}", note)))


def _card(clips: Sequence[Evidence], scales: Limits) -> Card:
    """Views in the given order; a spectrogram that an earlier view shows is not repeated."""
    views: list[tuple[Evidence, Plot]] = []
    for clip in clips:
        shown = any(np.array_equal(earlier.spectrogram, clip.spectrogram) for earlier, _ in views)
        views.append((clip, clip_view(clip, scales, spectrogram=not shown)))
    for clip in clips:
        if clip.waveform is not None and clip.sample_rate:
            return Card(views, *flac(clip.waveform, clip.sample_rate), *_normal(clip))
    return Card(views, "", "")
