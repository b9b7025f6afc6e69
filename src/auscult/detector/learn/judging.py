"""From scores of held-out normal sound to thresholds and conditions, or to sentences on why there are none."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from auscult.detector import Detector, Machine
from auscult.detector.alarms import WindowScores
from auscult.detector.calibration.fit import calibrate
from auscult.detector.calibration.result import Calibration, format_rate
from auscult.detector.learn.recordings import Recording
from auscult.detector.learn.scores import OnProgress, Pieces
from auscult.detector.learn.settings import LearnSettings
from auscult.detector.learn.windows import Judgements, Piece, PieceLevels, flawed, levels_of
from auscult.detector.words import normal_of, statistics_heard
from auscult.errors import CalibrationError
from auscult.sound.audio import head, near_channel
from auscult.sound.coherence import coherence_of
from auscult.sound.condition import (
    EXTENT_SECONDS,
    Condition,
    Origin,
    changed,
    extent_of,
    learn_condition,
    learn_origin,
)

MOST_NAMED = 3
"""Recordings that a sentence names."""


def judge(
    detector: Detector,
    training: Pieces,
    pieces: Pieces,
    series: Mapping[str, Sequence[WindowScores]],
    settings: LearnSettings,
    *,
    advance: OnProgress,
) -> tuple[Detector, list[str]]:
    """Set the thresholds and conditions of a detector's machines; and what their user must know, a sentence each.

    Args:
        detector: without thresholds, or with old ones.
        training: machine -> what it trained on; empty where that is not known.
        pieces: machine -> what calibrates it; machines that are not among them stay as they are.
        series: machine -> the scores of these pieces.
        settings: whose alarm logic is complete.
        advance: called as the work advances, with seconds of sound.
    """
    machines, warnings = dict(detector.machines), []
    total, done = sum(piece.seconds for name in pieces for piece in (*training.get(name, ()), *pieces[name])), 0.0

    def heard(seconds: float) -> None:
        nonlocal done
        done += seconds
        advance("levels", min(round(done), round(total)), round(total))

    for name in pieces:
        calibration, lines = _calibration(name, series[name], settings)
        learned = pieces[name] if settings.method == "cross-fitted" else [*training.get(name, ()), *pieces[name]]
        earlier = _levels(detector, learned[: -len(pieces[name])], heard)
        later = _levels(detector, pieces[name], heard)
        condition, more = _condition(name, earlier, later)
        origin = _origin(detector, learned, [*earlier.extents, *later.extents])
        normal = normal_of([*earlier.sounds, *later.sounds], detector.sample_rate, detector.window_seconds)
        found = calibration, condition, origin, None if normal is None else normal.arrays()
        machines[name] = Machine(name, machines[name].machine_id, *found)
        scored = [
            Judgements(piece, detector.window_seconds, part.times - detector.window_seconds, part.scored)
            for piece, part in zip(pieces[name], series[name], strict=True)
        ]
        warnings += [*_left_out(name, "training", earlier.windows), *_left_out(name, "calibration", scored)]
        warnings += [*lines, *more]
    return replace(detector, machines=machines, alarm=settings.alarm), warnings


def _left_out(name: str, half: str, windows: Sequence[Judgements]) -> list[str]:
    """A sentence if windows were no sound."""
    total = sum(len(part.sound) for part in windows)
    left_out = total - sum(int(part.sound.sum()) for part in windows)
    if not left_out:
        return []
    files = [path.name for path in flawed(windows)]
    more = f" and {len(files) - MOST_NAMED} more" if len(files) > MOST_NAMED else ""
    return [
        f"{name}: {left_out:,} of {total:,} {half} windows are silence, clipped or with a drop-out, and were left out, "
        f"as the monitor will leave out such; look after the recorder. They are in {', '.join(files[:MOST_NAMED])}"
        f"{more}."
    ]


def _calibration(
    name: str, series: Sequence[WindowScores], settings: LearnSettings
) -> tuple[Calibration | None, list[str]]:
    try:
        calibration = calibrate(series, settings.rate, settings=settings.alarm, method=settings.method)
    except CalibrationError as error:
        return None, [f"{name} has no threshold, and its decisions are unknown: {error}."]
    if calibration.supported:
        return calibration, []
    low, high = (format_rate(bound, like=settings.rate) for bound in calibration.rate_interval())
    return calibration, [
        f"{name}: {format_rate(settings.rate)} cannot be promised from {calibration.hours:.3g} hours of calibration "
        f"sound: {calibration.caveat}. The true rate may be {low} to {high}."
    ]


def _levels(detector: Detector, pieces: Sequence[Piece], heard: Callable[[float], None]) -> PieceLevels:
    rate, channel, seconds = detector.sample_rate, detector.channel, detector.window_seconds
    hear = partial(statistics_heard, sample_rate=rate, seconds=seconds)
    return levels_of(pieces, sample_rate=rate, channel=channel, window_seconds=seconds, on_seconds=heard, hear=hear)


def _condition(name: str, earlier: PieceLevels, later: PieceLevels) -> tuple[Condition | None, list[str]]:
    """How the sound of a machine came, and sentences on what changed between training and calibration."""
    try:
        if not earlier.windows:
            return learn_condition(later.blocks), []
        condition = learn_condition([*earlier.blocks, *later.blocks])
        found = changed(np.concatenate(later.blocks), learn_condition(earlier.blocks))
        return condition, [f"{name}, between the training and the calibration sound: {line}" for line in found[:-1]]
    except CalibrationError as error:
        return None, [f"{name}: a change of microphone or gain will not be noticed: {error}."]


def _origin(detector: Detector, pieces: Sequence[Piece], extents: Sequence[tuple[float, float]]) -> Origin | None:
    """Of what kind the recordings of a machine are, as the detector hears them."""
    found = {recording.path: recording.info for piece in pieces for recording in piece.stretch.recordings}
    faster = {path: info.sample_rate for path, info in found.items() if info.sample_rate > detector.sample_rate}
    whole = [
        extent_of(head(path, EXTENT_SECONDS, channel=near_channel(detector.channel)), sample_rate=rate)
        for path, rate in faster.items()
    ]
    codecs = {info.codec for info in found.values()}
    return learn_origin([info.sample_rate for info in found.values()], codecs, whole or extents)


def on_recordings(recordings: Mapping[str, Sequence[Recording]], detector: Detector) -> list[str]:
    """Sentences on rates, channels, the far microphone and lengths of recordings."""
    infos = [recording.info for found in recordings.values() for recording in found]
    rates = sorted({info.sample_rate for info in infos})
    odd = [recording for found in recordings.values() for recording in found if recording.info.note]
    warnings = [f"{recording.path}: {recording.info.note}." for recording in odd]
    if len(rates) > 1:
        warnings.append(
            f"The recordings have several rates, {', '.join(map(str, rates))} Hz; record as you will listen."
        )
    if rates[0] < detector.sample_rate:
        warnings.append(
            f"Recordings have {rates[0]} Hz and the detector hears at {detector.sample_rate} Hz: the highest "
            "frequencies are empty, and decisions on such sound are unknown. Choose --override "
            f"sample_rate={rates[0]}, or record at a higher rate."
        )
    if isinstance(detector.channel, tuple):
        paths = [recording.path for found in recordings.values() for recording in found]
        warnings.append(coherence_of(paths, detector.channel).sentence())
    elif any(info.channels > 1 for info in infos):
        warnings.append(f"Of several channels the detector hears channel {detector.channel} alone, counted from 0.")
    return warnings
