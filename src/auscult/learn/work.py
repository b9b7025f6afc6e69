"""The training of a detector: windows of some spans of the recordings become members without thresholds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from auscult.detector import Detector, Machine
from auscult.errors import DatasetError
from auscult.features.front_end import FrontEnd
from auscult.learn.members import fit_parts
from auscult.learn.recordings import Stretch
from auscult.learn.scores import OnProgress, Pieces
from auscult.learn.settings import Settings
from auscult.learn.windows import training_banks
from auscult.recipe import Member, Recipe

FEWEST_WINDOWS = 8
"""That can be trained on."""


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
        advance: called as the work advances.
    """

    recipe: Recipe
    members: Sequence[Member]
    front_ends: Mapping[str, FrontEnd]
    stretches: Mapping[str, Sequence[Stretch]]
    settings: Settings
    device: str
    advance: OnProgress

    @property
    def sample_rate(self) -> int:
        """At which sounds are read, in Hz."""
        return max(front_end.features.sample_rate for front_end in self.front_ends.values())

    def trained(self, pieces: Pieces, label: str) -> Detector:
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
