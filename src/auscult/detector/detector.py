"""The detector: members, thresholds and the alarm logic of some machines, in one file to carry."""

from dataclasses import replace
from pathlib import Path
from typing import Self

from numpy.typing import ArrayLike

from auscult.detector.contents import Contents, Machine
from auscult.detector.file import read_detector
from auscult.detector.scoring import UNSOUND, Score, score_sound
from auscult.errors import DetectorError, nearest
from auscult.sound.audio import head, near_channel, probe
from auscult.sound.condition import EXTENT_SECONDS, extent_of
from auscult.sound.defects import channels_sentence
from auscult.sound.windows import Waveform, sound_blocks, windows_of


class Detector(Contents):
    """Scores sounds of some machines and decides by their thresholds."""

    @classmethod
    def load(cls, path: Path | str, *, device: str = "cpu") -> Self:
        """Read a detector's file; nothing in it is executed, and nothing is written.

        Raises:
            DetectorError: if the file is missing, damaged, of a newer version or not to be trusted.
        """
        return cls(**read_detector(Path(path), device=device))

    def save(self, path: Path | str, *, carry: bool = True) -> None:
        """Write the detector's file by way of a temporary name; what was written is read, and must score the same.

        Args:
            path: of the file.
            carry: whether the file holds the weights of YAMNet and of encoders in ONNX files, too, so that it scores
                where they are not; otherwise it names them by their hash.

        Raises:
            DetectorError: if it does not; nothing is left under the name.
            RunError: if the disk is full or the folder cannot be written to.
        """
        from auscult.detector.writing import save_checked

        save_checked(self, Path(path), carry=carry)

    def machine(self, name: str | None = None) -> Machine:
        """The machine of a name; the only one if none is given.

        Raises:
            DetectorError: if there is no such machine, or none is named where there are several.
        """
        known = ", ".join(self.machines)
        if name is None:
            if len(self.machines) != 1:
                raise DetectorError(
                    f"the detector knows the machines {known}; say which one made the sound (--machine, machine_id)"
                )
            return next(iter(self.machines.values()))
        if name not in self.machines:
            raise DetectorError(
                f"the detector does not know the machine {name!r}{nearest(name, self.machines)}; it knows {known}"
            )
        return self.machines[name]

    def window_score(self, waveform: Waveform, *, machine_id: str | None = None) -> float:
        """The score of one window at the detector's rate, `[T]` or `[T, 2]`: what calibration and monitor threshold."""
        known = self.machine(machine_id).machine_id
        return self.scorer.score(waveform, known, sample_rate=self.sample_rate).score

    def score(
        self,
        sound: Path | str | ArrayLike,
        *,
        sample_rate: int | None = None,
        machine_id: str | None = None,
        channel: int | None = None,
        evidence: bool = True,
    ) -> Score:
        """Score a sound of any length.

        Args:
            sound: a file, or a waveform `[T]`, full scale is 1; `[T, 2]`, near the machine and far from it, where the
                detector hears two microphones.
            sample_rate: of a waveform, in Hz.
            machine_id: name of the machine that made it; needed where the detector knows several.
            channel: of a file with several, counted from 0, the one near the machine; the detector's if none is given.
            evidence: also give frame scores and error map.

        Raises:
            AudioError: if the file or the array is no sound.
            DetectorError: if the machine is not known.
            FeatureError, ModelError: if the sound is too short for a member.
        """
        machine = self.machine(machine_id)
        path = Path(sound) if isinstance(sound, (Path, str)) else None
        info = None if path is None else probe(path)
        read = self.listening(channel)
        given_rate, blocks = sound_blocks(sound, sample_rate=self.sample_rate, given_rate=sample_rate, channel=read)
        length, step = (self.samples(seconds) for seconds in (self.window_seconds, self.step_seconds))
        windows = windows_of(blocks, length=length, step=step)
        codec, extent = None if info is None else info.codec, None
        if path is not None and given_rate > self.sample_rate and machine.origin is not None:
            extent = extent_of(head(path, EXTENT_SECONDS, channel=near_channel(read)), sample_rate=given_rate)
        found = score_sound(
            self, machine, windows, given_rate=given_rate, codec=codec, extent=extent, evidence=evidence
        )
        if (
            path is not None
            and info is not None
            and info.channels > 1
            and isinstance(read, int)
            and found.reason.startswith(UNSOUND)
        ):
            return replace(found, reason=f"{found.reason} {channels_sentence(path, read)}".rstrip())
        return found
