"""The window scores of normal sound that was held out, by the very detector that is to be deployed."""

from collections.abc import Callable, Mapping, Sequence
from itertools import count

import numpy as np

from auscult.detector import Detector
from auscult.detector.alarms import WindowScores
from auscult.detector.learn.windows import Piece
from auscult.detector.processes import in_processes
from auscult.errors import RunError
from auscult.processes import require_workers, single_thread
from auscult.sound.defects import is_sound

OnProgress = Callable[[str, int, int], None]
"""Called with what is done, the steps done, and the steps in all."""

PIECE_SECONDS = 600.0
"""Of sound that is worth a worker's while."""

Pieces = Mapping[str, Sequence[Piece]]
"""Machine -> pieces of its sound."""


def score_pieces(
    detector: Detector, pieces: Pieces, *, workers: int, label: str, advance: OnProgress
) -> dict[str, list[WindowScores]]:
    """The window scores of each piece; they do not depend on the number of workers.

    Args:
        detector: whose machines have the names of the pieces'.
        pieces: by machine.
        workers: processes; 1 is this one.
        label: of the progress.
        advance: called as the work advances.

    Raises:
        RunError: if there is no worker.
    """
    require_workers(workers)
    flat = [piece for found in pieces.values() for piece in found]
    every = iter(
        _here(detector, flat, label, advance) if workers == 1 else _apart(detector, flat, workers, label, advance)
    )
    return {machine: [next(every) for _ in found] for machine, found in pieces.items()}


def _here(detector: Detector, pieces: Sequence[Piece], label: str, advance: OnProgress) -> list[WindowScores]:
    total = sum(piece.n_windows(length=detector.window_seconds, step=detector.step_seconds) for piece in pieces)
    steps = count(1)
    with single_thread():
        return [_score(detector, piece, lambda: advance(label, next(steps), total)) for piece in pieces]


def _apart(
    detector: Detector, pieces: Sequence[Piece], workers: int, label: str, advance: OnProgress
) -> list[WindowScores]:
    length, step = detector.window_seconds, detector.step_seconds
    cut = [
        piece.parts(min(2 * workers, 1 + int(piece.seconds / PIECE_SECONDS)), length=length, step=step)
        for piece in pieces
    ]
    flat = [part for parts in cut for part in parts]
    advance(label, 0, len(flat))
    scores: list[WindowScores] = []
    for one in in_processes(detector, _score, flat, workers=workers, died=_died):
        scores.append(one)
        advance(label, len(scores), len(flat))
    remaining = iter(scores)
    return [_one_behind_the_other([next(remaining) for _ in parts], length, step) for parts in cut]


def _died(piece: Piece) -> WindowScores:
    file, _ = piece.stretch.place(piece.span.start)
    raise RunError(
        f"the process that scored {file} died twice, perhaps because memory ran out; start fewer workers with --workers"
    )


def _score(detector: Detector, piece: Piece, on_window: Callable[[], None] | None = None) -> WindowScores:
    """The scores of a piece's windows; times are of the windows' ends, in seconds of the stretch."""
    rate = detector.sample_rate
    length, step = detector.samples(detector.window_seconds), detector.samples(detector.step_seconds)
    times: list[float] = []
    scores: list[float] = []
    valid: list[bool] = []
    for start, waveform in piece.windows(sample_rate=rate, channel=detector.channel, length=length, step=step):
        times.append((start + length) / rate)
        valid.append(is_sound(waveform, sample_rate=rate))
        scores.append(detector.window_score(waveform, machine_id=piece.machine) if valid[-1] else 0.0)
        if on_window is not None:
            on_window()
    shape = detector.window_seconds, detector.step_seconds
    return WindowScores(np.array(times), np.array(scores), *shape, np.array(valid, dtype=bool))


def _one_behind_the_other(parts: Sequence[WindowScores], length: float, step: float) -> WindowScores:
    """The scores of the parts of a piece as those of the piece."""
    times, scores, valid = (
        np.concatenate([np.empty(0), *found])
        for found in (
            [part.times for part in parts],
            [part.scores for part in parts],
            [part.scored for part in parts],
        )
    )
    return WindowScores(times, scores, length, step, valid.astype(bool))
