"""The training of a detector: windows of some spans of the recordings become members without thresholds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from auscult.detector import Detector, Machine
from auscult.detector.learn.recordings import Stretch
from auscult.detector.learn.scores import OnProgress, Pieces
from auscult.detector.learn.settings import LearnSettings
from auscult.detector.learn.windows import expected_windows, require_windows, training_banks
from auscult.features.front_end import FrontEnd
from auscult.members.ensembles import nodes_of
from auscult.members.fitting import fit_parts, learnable
from auscult.recipe import Member, Recipe


@dataclass(frozen=True, slots=True)
class Learner:
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
    settings: LearnSettings
    device: str
    advance: OnProgress

    @property
    def sample_rate(self) -> int:
        """At which sounds are read, in Hz."""
        return max(front_end.features.sample_rate for front_end in self.front_ends.values())

    def possible(self, pieces: Pieces) -> "tuple[Learner, list[str]]":
        """Without the optional members that cannot learn, and a sentence on each.

        What training would refuse minutes later is refused: too few windows, too few machines, too short windows.

        Args:
            pieces: machine -> what is to be trained on.

        Raises:
            AuscultError: for sound or a recipe of which nothing can be learned.
        """
        seconds = self.settings.window_seconds
        flat = [piece for found in pieces.values() for piece in found]
        require_windows(expected_windows(flat, seconds), seconds)
        ids = tuple(sorted(pieces))
        members, left_out = learnable(
            self.members, self.recipe, self.front_ends, ids=ids, seconds=seconds, device=self.device
        )
        front_ends = {member.name: self.front_ends[member.name] for member in members}
        return replace(self, members=members, front_ends=front_ends), left_out

    def trained(self, pieces: Pieces, label: str) -> Detector:
        """A detector without thresholds that has heard these pieces, by machine.

        Raises:
            DatasetError: if they are too little.
        """
        banks, places = training_banks(
            [piece for found in pieces.values() for piece in found],
            self.front_ends,
            seconds=self.settings.window_seconds,
            sample_rate=self.sample_rate,
            on_window=lambda done, total: self.advance(f"{label}features", done, total),
        )
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
        nodes = nodes_of(self.recipe)
        fusion = nodes[-1].fusion if nodes else "mean"
        return Detector(
            parts,
            machines,
            settings.window_seconds,
            settings.step_seconds,
            settings.alarm,
            provenance={"windows": [[round(one.start, 6), *map(str, one.files)] for one in places]},
            fusion=fusion,
        )
