"""The work of learning: detectors trained on some spans of the recordings, and others scored by them."""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from auscult.alarms import WindowScores
from auscult.calibration import Span
from auscult.detector import Detector, Machine
from auscult.errors import DatasetError
from auscult.features.front_end import FrontEnd
from auscult.learn.members import fit_parts
from auscult.learn.recordings import Stretch
from auscult.learn.settings import Settings
from auscult.learn.windows import Piece, score_piece, score_piece_of_file, training_banks
from auscult.recipe import Member, Recipe

FEWEST_WINDOWS = 8
"""That can be trained on."""

PIECE_SECONDS = 600.0
"""Of sound that is worth a worker's while."""

OnProgress = Callable[[str, int, int], None]
"""Called with what is done, the steps done, and the steps in all."""

Spans = Mapping[str, Sequence[Span]]
"""Machine -> spans of its stretches."""


@dataclass(frozen=True, slots=True)
class Work:
    """What all of the work needs.

    Attributes:
        recipe: what to train.
        members: of it.
        front_ends: member -> front end.
        stretches: machine -> its sound.
        settings: how to learn.
        device: on which to train.
        workers: processes that score.
        advance: called as the work advances.
    """

    recipe: Recipe
    members: Sequence[Member]
    front_ends: Mapping[str, FrontEnd]
    stretches: Mapping[str, Sequence[Stretch]]
    settings: Settings
    device: str
    workers: int
    advance: OnProgress

    @property
    def sample_rate(self) -> int:
        """At which sounds are read, in Hz."""
        return max(front_end.features.sample_rate for front_end in self.front_ends.values())

    @property
    def channel(self) -> int:
        """Of multi-channel files."""
        return self.recipe.channel

    def trained(self, pieces: Mapping[str, Sequence[Piece]], label: str) -> Detector:
        """A detector without thresholds that has heard these pieces, by machine.

        Raises:
            DatasetError: if they are too little.
        """
        banks = training_banks(
            [piece for found in pieces.values() for piece in found],
            self.front_ends,
            seconds=self.settings.window_seconds,
            sample_rate=self.sample_rate,
            on_window=lambda done, total: self.advance(f"{label}features", done, total),
        )
        require_windows(min(bank.n_clips for bank in banks.values()), self.settings)
        parts = fit_parts(
            self.members,
            self.recipe,
            self.front_ends,
            banks,
            device=self.device,
            on_epoch=lambda name, done, total: self.advance(f"{label}{name}", done, total),
        )
        settings = self.settings
        machines = {name: Machine(name, name) for name in self.stretches}
        return Detector(parts, machines, settings.window_seconds, settings.step_seconds, settings.alarm)

    def scored(self, detector: Detector, pieces: Sequence[Piece], label: str) -> list[WindowScores]:
        """The window scores of each piece, by the very detector that is to be deployed, on as many workers as there are.

        Scores do not depend on the number of workers.
        """
        self.advance(label, 0, len(pieces))
        if self.workers == 1:
            found = []
            for done, piece in enumerate(pieces, start=1):
                found.append(score_piece(detector, piece))
                self.advance(label, done, len(pieces))
            return found
        from joblib import Parallel, delayed

        length, step = detector.window_seconds, detector.step_seconds
        cut = [
            piece.parts(min(2 * self.workers, 1 + int(piece.seconds / PIECE_SECONDS)), length=length, step=step)
            for piece in pieces
        ]
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "learning.auscult")
            detector.save(path)
            calls = [delayed(score_piece_of_file)(path, part) for parts in cut for part in parts]
            scores: list[WindowScores] = []
            for one in Parallel(n_jobs=self.workers, return_as="generator")(calls):
                scores.append(one)
                self.advance(label, len(scores), len(calls))
        found = []
        for parts in cut:
            own, scores = scores[: len(parts)], scores[len(parts) :]
            found.append(_one_behind_the_other(own, length, step))
        return found


def _one_behind_the_other(parts: Sequence[WindowScores], length: float, step: float) -> WindowScores:
    """The scores of the parts of a piece as those of the piece."""
    import numpy as np

    empty = np.empty(0)
    times = np.concatenate([empty, *(part.times for part in parts)])
    return WindowScores(times, np.concatenate([empty, *(part.scores for part in parts)]), length, step)


def require_windows(n_windows: int, settings: Settings) -> None:
    """Refuse to learn from next to nothing.

    Raises:
        DatasetError: if there are too few windows to train on.
    """
    if n_windows < FEWEST_WINDOWS:
        raise DatasetError(
            f"there are {n_windows} windows of {settings.window_seconds:g} s to train on, and {FEWEST_WINDOWS} are the "
            "least; record more normal sound, or choose shorter windows with --window"
        )
