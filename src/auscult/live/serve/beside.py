"""The normal sound that is nearest to what a detector heard: found by its members, read from where it was learned."""

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auscult.detector import Detector, Score
from auscult.detector.learn.recordings import Recording, Stretch
from auscult.errors import AuscultError
from auscult.members.part import Part
from auscult.sound.audio import near_of, probe
from auscult.sound.windows import Waveform, cut


def nearest_normal(
    detector: Detector, machine: str, waveform: Waveform, found: Score, normals: Path
) -> dict[str, Any] | None:
    """The nearest normal window, as FLAC with the name of its file; none where no member knows it, or it is not there.

    A member tells the place of the nearest among the windows that it was trained on, and the detector says where these
    lie. What is read there must be what that member itself takes for that window; otherwise nothing is shown.

    Args:
        detector: that scored.
        machine: its name of the machine.
        waveform: that was scored, `[T]` or `[T, 2]`, at the detector's rate.
        found: its score, whose window is looked at.
        normals: folder (or file) that the detector was learned from.
    """
    rate, length = detector.sample_rate, detector.samples(detector.window_seconds)
    begin = round(found.start * rate)
    window = waveform[begin : begin + length]
    machine_id = detector.machine(machine).machine_id
    windows = detector.provenance.get("windows")
    if not isinstance(windows, list):
        return None
    for part in sorted(detector.parts, key=lambda part: -part.weight):
        place = _nearest(part, window, machine_id, rate)
        if place is None or not 0 <= place < len(windows):
            continue
        try:
            normal, file = _read(windows[place], normals, detector, length)
        except (
            AuscultError,
            ArithmeticError,
            LookupError,
            OSError,
            RuntimeError,
            TypeError,
            ValueError,
        ):  # moved, changed, or a detector that says nonsense
            continue
        if len(normal) == length and _nearest(part, normal, machine_id, rate) == place:
            return {"file": file, "flac": _flac(near_of(normal), rate)}
    return None


def _nearest(part: Part, window: Waveform, machine_id: str, rate: int) -> int | None:
    return part.model.nearest_clip(part.frames(window, sample_rate=rate), machine_id)


def _read(entry: list[Any], normals: Path, detector: Detector, length: int) -> tuple[Waveform, str]:
    """The window of an entry; nothing outside the folder is read, whatever the detector says."""
    start, names = float(entry[0]), [str(name) for name in entry[1:]]
    above = (normals if normals.is_dir() else normals.parent).resolve()
    paths = [(above / name).resolve() for name in names]
    if not all(path.is_relative_to(above) and path.is_file() for path in paths):
        raise ValueError(f"{names} are not below {above}")
    stretch = Stretch(tuple(Recording(path, probe(path)) for path in paths))
    first = round(start * detector.sample_rate)
    blocks = stretch.blocks(sample_rate=detector.sample_rate, channel=detector.channel)
    return np.concatenate([*cut(blocks, first=first, last=first + length)]), names[0]


def _flac(waveform: NDArray[np.float32], rate: int) -> bytes:
    import soundfile

    file = io.BytesIO()
    soundfile.write(file, waveform, rate, format="FLAC", subtype="PCM_16")
    return file.getvalue()
