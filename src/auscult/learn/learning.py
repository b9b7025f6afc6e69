"""From recordings of normal sound to a calibrated detector."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from auscult import __version__
from auscult.alarms import WindowScores
from auscult.calibration import Calibration, Fold, Span, calibrate, contiguous_folds
from auscult.condition import Condition, changed, learn_condition
from auscult.detector import Detector, Machine
from auscult.errors import AuscultError, CalibrationError, DatasetError
from auscult.jobs import single_thread
from auscult.learn.members import front_ends_of, members_for
from auscult.learn.recordings import Recording, find_recordings, stretches_of
from auscult.learn.settings import Settings
from auscult.learn.windows import Piece, level_blocks
from auscult.learn.work import OnProgress, Spans, Work
from auscult.recipe import Recipe
from auscult.store import environment

FOLDS = {"split": 2, "cross-fitted": 5}


@dataclass(frozen=True, slots=True)
class Learned:
    """What came of learning.

    Attributes:
        detector: calibrated where there was enough sound.
        settings: how it was learned.
        recipe: what was trained.
        recordings: machine -> its recordings.
        training_seconds: machine -> sound that its models heard.
        pieces: machine -> the sound that calibrated it.
        series: machine -> the scores of each of these pieces.
        warnings: what its user must know, a sentence each.
    """

    detector: Detector
    settings: Settings
    recipe: Recipe
    recordings: dict[str, list[Recording]]
    training_seconds: dict[str, float]
    pieces: dict[str, list[Piece]]
    series: dict[str, list[WindowScores]]
    warnings: list[str]


def learn(
    normals: Path,
    *,
    recipe: Recipe,
    settings: Settings,
    machine: str | None = None,
    machine_type: str | None = None,
    device: str = "cpu",
    workers: int = 1,
    weights: Path | None = None,
    licence: str = "",
    on_progress: OnProgress | None = None,
) -> Learned:
    """Learn what is normal from recordings of healthy machines, and set thresholds that keep a promise.

    Args:
        normals: a recording, a folder of one machine's recordings, or one with a folder for each machine.
        recipe: what to train; ensembles have equal weights.
        settings: of windows, calibration and alarm logic.
        machine: name of the one machine that made all recordings; none if folders name them.
        machine_type: whose members of the recipe are wanted.
        device: on which to train; calibration and later scoring are on the CPU.
        workers: processes that score the calibration sound.
        weights: folder of published weights, for features that need them.
        licence: of the recordings, kept in the detector.
        on_progress: called as the work advances.

    Raises:
        AuscultError: for recordings that cannot be read or are too little, and recipes that cannot be learned so.
    """
    members = members_for(recipe, machine_type)
    front_ends = front_ends_of(members, recipe, weights=weights)
    recordings = find_recordings(normals, machine=machine)
    stretches = {name: stretches_of(found, short_seconds=settings.short_seconds) for name, found in recordings.items()}
    advance = on_progress or (lambda label, done, total: None)
    work = Work(recipe, members, front_ends, stretches, settings, device, workers, advance)
    folds = {
        name: _folds(name, [stretch.seconds for stretch in found], settings) for name, found in stretches.items()
    }
    with single_thread():
        detector, training, pieces, series = _split(work, folds) if settings.method == "split" else _crossed(work, folds)
        judged = {name: _judged(name, series[name], settings) for name in stretches}
        levels = {name: _levels(work, training[name], pieces[name]) for name in stretches}
    warnings = [
        *_on_recordings(recordings, detector),
        *(line for name in stretches for line in (*judged[name][1], *levels[name][1])),
    ]
    machines = {name: Machine(name, name, judged[name][0], levels[name][0]) for name in stretches}
    seconds = {name: sum(piece.seconds for piece in training[name]) for name in stretches}
    provenance = _provenance(recipe, settings, recordings, seconds)
    detector = replace(detector, machines=machines, provenance=provenance, licence=licence)
    return Learned(detector, settings, recipe, recordings, seconds, pieces, series, warnings)


Found = tuple[Detector, dict[str, list[Piece]], dict[str, list[Piece]], dict[str, list[WindowScores]]]
"""Detector without thresholds; machine -> what it trained on, what it calibrates on, and the scores of that."""


def _folds(machine: str, seconds: Sequence[float], settings: Settings) -> list[Fold]:
    try:
        return contiguous_folds(seconds, n_folds=FOLDS[settings.method], gap_seconds=settings.window_seconds)
    except CalibrationError as error:
        raise DatasetError(
            f"{machine}: {error}; or choose shorter windows with --window, now {settings.window_seconds:g} s"
        ) from error


def _split(work: Work, folds: Mapping[str, Sequence[Fold]]) -> Found:
    """The first half trains, the second calibrates: the deployed model is the calibrated one."""
    training = _pieces(work, {name: found[-1].train for name, found in folds.items()})
    pieces = _pieces(work, {name: found[-1].held_out for name, found in folds.items()})
    detector = work.trained(training, "")
    return detector, training, pieces, _scored(work, detector, pieces, "calibration")


def _crossed(work: Work, folds: Mapping[str, Sequence[Fold]]) -> Found:
    """Each fold is scored by a model that has not heard it; the deployed one has heard all."""
    pieces: dict[str, list[Piece]] = {name: [] for name in folds}
    series: dict[str, list[WindowScores]] = {name: [] for name in folds}
    count = FOLDS["cross-fitted"]
    for fold in range(count):
        label = f"fold {fold + 1} of {count}: "
        held_out = _pieces(work, {name: found[fold].held_out for name, found in folds.items()})
        detector = work.trained(_pieces(work, {name: found[fold].train for name, found in folds.items()}), label)
        scores = _scored(work, detector, held_out, f"{label}calibration")
        for name in folds:
            pieces[name] += held_out[name]
            series[name] += scores[name]
    every = {
        name: [Span(place, 0.0, stretch.seconds) for place, stretch in enumerate(found)]
        for name, found in work.stretches.items()
    }
    return work.trained(training := _pieces(work, every), ""), training, pieces, series


def _pieces(work: Work, spans: Spans) -> dict[str, list[Piece]]:
    return {
        name: [Piece(name, work.stretches[name][span.recording], span) for span in found]
        for name, found in spans.items()
    }


def _scored(
    work: Work, detector: Detector, pieces: Mapping[str, Sequence[Piece]], label: str
) -> dict[str, list[WindowScores]]:
    scores = work.scored(detector, [piece for found in pieces.values() for piece in found], label)
    remaining = iter(scores)
    return {name: [next(remaining) for _ in found] for name, found in pieces.items()}


def _judged(name: str, series: Sequence[WindowScores], settings: Settings) -> tuple[Calibration | None, list[str]]:
    """The calibration of a machine, or the sentence that says why there is none."""
    try:
        return calibrate(series, settings.rate, settings=settings.alarm, method=settings.method), []
    except CalibrationError as error:
        return None, [f"{name} has no threshold: {error}. Until then its decisions are unknown."]


def _levels(
    work: Work, training: Sequence[Piece], calibrating: Sequence[Piece]
) -> tuple[Condition | None, list[str]]:
    """How the sound of a machine came, and sentences on what changed between training and calibration."""
    heard, later = (
        level_blocks(pieces, sample_rate=work.sample_rate, channel=work.channel) for pieces in (training, calibrating)
    )
    name = training[0].machine
    try:
        if work.settings.method == "cross-fitted":
            return learn_condition(heard), []
        before = learn_condition(heard)
        sentences = changed(np.concatenate(later), before) if later else []
        warnings = [f"{name}, from training to calibration: {sentence}" for sentence in sentences[:-1]]
        return learn_condition([*heard, *later]), warnings
    except CalibrationError as error:
        return None, [f"{name}: a change of microphone or gain will not be noticed: {error}."]


def _on_recordings(recordings: Mapping[str, Sequence[Recording]], detector: Detector) -> list[str]:
    """Sentences on rates and channels."""
    infos = [recording.info for found in recordings.values() for recording in found]
    warnings = []
    rates = sorted({info.sample_rate for info in infos})
    if len(rates) > 1:
        warnings.append(f"The recordings have several rates, {', '.join(map(str, rates))} Hz: is the microphone one?")
    if rates[0] < detector.sample_rate:
        warnings.append(
            f"The recordings have {rates[0]} Hz and the detector hears at {detector.sample_rate} Hz: the highest "
            "frequencies are empty. Choose a lower rate in the recipe (--override sample_rate), or record at a higher."
        )
    if any(info.channels > 1 for info in infos):
        warnings.append(f"Of several channels the detector hears channel {detector.channel} alone, counted from 0.")
    return warnings


def _provenance(
    recipe: Recipe,
    settings: Settings,
    recordings: Mapping[str, Sequence[Recording]],
    training_seconds: Mapping[str, float],
) -> dict[str, Any]:
    """What people may want to know of where a detector comes from."""
    return {
        "made_by": "auscult learn",
        "auscult": __version__,
        "recipe": recipe.model_dump(mode="json", exclude_none=True),
        "method": settings.method,
        "machines": {
            name: {
                "recordings": len(found),
                "hours": sum(recording.info.duration for recording in found) / 3600,
                "training_hours": training_seconds[name] / 3600,
                "first": found[0].path.name,
                "last": found[-1].path.name,
            }
            for name, found in recordings.items()
        },
        "libraries": environment(),
    }
