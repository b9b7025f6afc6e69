"""From recordings of normal sound to a calibrated detector."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from auscult import __version__
from auscult.detector import Detector
from auscult.detector.alarms import WindowScores
from auscult.detector.calibration.folds import Fold, Span, contiguous_folds
from auscult.detector.learn.judging import judge, on_recordings
from auscult.detector.learn.recordings import Recording, Stretch, find_recordings, stretches_of, unread
from auscult.detector.learn.scores import OnProgress, Pieces, score_pieces
from auscult.detector.learn.settings import LearnSettings
from auscult.detector.learn.windows import Piece
from auscult.detector.learn.work import Learner
from auscult.errors import CalibrationError, DatasetError, DetectorError, nearest
from auscult.members.fitting import front_ends_of, members_for
from auscult.processes import require_workers, single_thread
from auscult.recipe import Recipe
from auscult.runs.store import environment
from auscult.sound.audio import Channel, require_channel

FOLDS = {"split": 2, "cross-fitted": 5}

CALIBRATION = "calibration"
"""Label of the progress of scoring held-out sound."""

Stretches = Mapping[str, Sequence[Stretch]]
"""Machine -> its sound."""


@dataclass(frozen=True, slots=True)
class Learned:
    """What came of learning.

    Attributes:
        detector: calibrated where there was enough sound.
        settings: how it was learned.
        recordings: machine -> its recordings.
        training_seconds: machine -> sound that its models heard; empty where that is not known.
        pieces: machine -> the sound that calibrated it.
        series: machine -> the scores of each of these pieces.
        warnings: what its user must know, a sentence each.
    """

    detector: Detector
    settings: LearnSettings
    recordings: dict[str, list[Recording]]
    training_seconds: dict[str, float]
    pieces: Pieces
    series: dict[str, list[WindowScores]]
    warnings: list[str]


def learn(
    normals: Path,
    *,
    recipe: Recipe,
    settings: LearnSettings,
    machine: str | None = None,
    otherwise: str | None = None,
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
        otherwise: its name where there is one machine, and what was given says none (see `find_recordings`).
        machine_type: whose members of the recipe are wanted.
        device: on which to train; calibration and later scoring are on the CPU.
        workers: processes that score the calibration sound.
        weights: folder of published weights, for features that need them.
        licence: of the recordings, kept in the detector.
        on_progress: called as the work advances.

    Raises:
        AuscultError: for recordings that cannot be read or are too little, and recipes that cannot be learned so.
    """
    require_workers(workers)
    members = members_for(recipe, machine_type)
    front_ends = front_ends_of(members, recipe, weights=weights)
    advance = on_progress or _silent
    seen = partial(advance, "recordings")
    recordings = find_recordings(normals, machine=machine, otherwise=otherwise, on_recording=seen)
    _require_channel(recordings, recipe.microphones)
    stretches, settings = _sound(recordings, settings, share=0.5 if settings.method == "split" else 1.0)
    work = Learner(recipe, members, front_ends, stretches, settings, device, advance)
    folds = {name: _folds(name, found, settings) for name, found in stretches.items()}
    work, left_out = work.possible(_pieces(stretches, {name: found[-1].train for name, found in folds.items()}))
    with single_thread():
        found = _split(work, folds, workers) if settings.method == "split" else _crossed(work, folds, workers)
        judged, told = judge(found.detector, found.training, found.pieces, found.series, settings, advance=advance)
    seconds = {name: sum(piece.seconds for piece in pieces) for name, pieces in found.training.items()}
    provenance = {
        "made_by": "auscult learn",
        "auscult": __version__,
        "recipe": recipe.model_dump(mode="json", exclude_none=True),
        "method": settings.method,
        "machines": _origin(recordings, seconds),
        "windows": _windows(found.detector.provenance["windows"], normals),
        "libraries": environment(),
    }
    detector = replace(judged, provenance=provenance, licence=licence)
    warnings = [*left_out, *unread(normals), *on_recordings(recordings, detector), *told]
    return Learned(detector, settings, recordings, seconds, found.pieces, found.series, warnings)


def calibrate_detector(
    detector: Detector,
    normals: Path,
    *,
    settings: LearnSettings,
    machine: str | None = None,
    workers: int = 1,
    on_progress: OnProgress | None = None,
) -> Learned:
    """Set the thresholds of a detector on recordings of normal sound that its models have not heard.

    Args:
        detector: whose windows are taken.
        normals: a recording, a folder of one machine's recordings, or one with a folder for each machine; folders have
            the names of the detector's machines.
        settings: of the promise and the alarm logic.
        machine: which machine made all recordings; none if folders name them, or the detector knows one alone.
        workers: processes that score.
        on_progress: called as the work advances.

    Raises:
        AuscultError: for recordings that cannot be read, or of a machine that the detector does not know.
    """
    require_workers(workers)
    settings = replace(
        settings,
        window_seconds=detector.window_seconds,
        step_seconds=detector.step_seconds,
        method="split",
        adapt_window=False,
    )
    alone = next(iter(detector.machines)) if len(detector.machines) == 1 else None
    advance = on_progress or _silent
    recordings = find_recordings(normals, machine=machine or alone, on_recording=partial(advance, "recordings"))
    for name in recordings:
        if name not in detector.machines:
            raise DetectorError(
                f"{normals} holds recordings of {name!r}{nearest(name, detector.machines)}, and the detector knows "
                f"{', '.join(detector.machines)}: give their folder one of these names, or say which with --machine"
            )
    _require_channel(recordings, detector.channel)
    stretches, settings = _sound(recordings, settings, share=1.0)
    pieces = _pieces(stretches, {name: _whole(found) for name, found in stretches.items()})
    series = score_pieces(detector, pieces, workers=workers, label=CALIBRATION, advance=advance)
    judged, told = judge(detector, {}, pieces, series, settings, advance=advance)
    provenance = {**detector.provenance, "calibrated_on": _origin(recordings, {})}
    calibrated = replace(judged, provenance=provenance)
    warnings = [*unread(normals), *on_recordings(recordings, calibrated), *told]
    return Learned(calibrated, settings, recordings, {}, pieces, series, warnings)


def _require_channel(recordings: Mapping[str, Sequence[Recording]], channel: Channel) -> None:
    for recording in (recording for found in recordings.values() for recording in found):
        require_channel(recording.path, recording.info.channels, channel)


def _sound(
    recordings: Mapping[str, Sequence[Recording]], settings: LearnSettings, *, share: float
) -> tuple[dict[str, list[Stretch]], LearnSettings]:
    """The stretches of each machine, and the settings for the least of their calibration sound."""
    least = min(sum(recording.info.duration for recording in found) for found in recordings.values())
    settings = settings.for_seconds(share * least)
    return {
        name: stretches_of(found, short_seconds=settings.short_seconds) for name, found in recordings.items()
    }, settings


@dataclass(frozen=True, slots=True)
class _Found:
    """Detector without thresholds; machine -> what it trained on, what calibrates it, and the scores of that."""

    detector: Detector
    training: Pieces
    pieces: Pieces
    series: dict[str, list[WindowScores]]


def _folds(machine: str, stretches: Sequence[Stretch], settings: LearnSettings) -> list[Fold]:
    seconds = [stretch.seconds for stretch in stretches]
    try:
        return contiguous_folds(seconds, n_folds=FOLDS[settings.method], gap_seconds=settings.window_seconds)
    except CalibrationError as error:
        raise DatasetError(
            f"{machine}: {error}; or choose shorter windows with --window, now {settings.window_seconds:g} s"
        ) from error


def _split(work: Learner, folds: Mapping[str, Sequence[Fold]], workers: int) -> _Found:
    """The first half trains, the second calibrates: the deployed model is the calibrated one."""
    training = _pieces(work.stretches, {name: found[-1].train for name, found in folds.items()})
    pieces = _pieces(work.stretches, {name: found[-1].held_out for name, found in folds.items()})
    detector = work.trained(training, "")
    series = score_pieces(detector, pieces, workers=workers, label=CALIBRATION, advance=work.advance)
    return _Found(detector, training, pieces, series)


def _crossed(work: Learner, folds: Mapping[str, Sequence[Fold]], workers: int) -> _Found:
    """Each fold is scored by a model that has not heard it; the deployed one has heard all."""
    pieces: dict[str, list[Piece]] = {name: [] for name in folds}
    series: dict[str, list[WindowScores]] = {name: [] for name in folds}
    count = FOLDS["cross-fitted"]
    for fold in range(count):
        label = f"fold {fold + 1} of {count}: "
        held_out = _pieces(work.stretches, {name: found[fold].held_out for name, found in folds.items()})
        training = _pieces(work.stretches, {name: found[fold].train for name, found in folds.items()})
        detector = work.trained(training, label)
        scores = score_pieces(detector, held_out, workers=workers, label=f"{label}{CALIBRATION}", advance=work.advance)
        for name in folds:
            pieces[name] += held_out[name]
            series[name] += scores[name]
    every = _pieces(work.stretches, {name: _whole(found) for name, found in work.stretches.items()})
    return _Found(work.trained(every, ""), every, pieces, series)


def _whole(stretches: Sequence[Stretch]) -> list[Span]:
    return [Span(place, 0.0, stretch.seconds) for place, stretch in enumerate(stretches)]


def _pieces(stretches: Stretches, spans: Mapping[str, Sequence[Span]]) -> dict[str, list[Piece]]:
    return {
        name: [Piece(name, stretches[name][span.recording], span) for span in found] for name, found in spans.items()
    }


def _windows(places: Sequence[Sequence[Any]], normals: Path) -> list[list[Any]]:
    """Of each window that was trained on, in the order of training: its start, and the files below `normals`."""
    above = normals if normals.is_dir() else normals.parent
    return [[start, *(Path(file).relative_to(above).as_posix() for file in files)] for start, *files in places]


def _origin(
    recordings: Mapping[str, Sequence[Recording]], training_seconds: Mapping[str, float]
) -> dict[str, dict[str, Any]]:
    """What people may want to know of recordings."""
    return {
        name: {
            "recordings": len(found),
            "hours": sum(recording.info.duration for recording in found) / 3600,
            "first": found[0].path.name,
            "last": found[-1].path.name,
            **({"training_hours": training_seconds[name] / 3600} if name in training_seconds else {}),
        }
        for name, found in recordings.items()
    }


def _silent(label: str, done: int, total: int) -> None:
    """Show no progress."""
