"""The most abnormal moments of the calibration sound: which they are, what they look and sound like."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from auscult.detector import Detector, Machine
from auscult.detector.alarms import WindowScores
from auscult.detector.difference import sentence
from auscult.detector.learn.windows import Piece
from auscult.detector.words import differences_of
from auscult.features.heard import FrontEnds
from auscult.report.data import Evidence
from auscult.report.evidence import Card, cards
from auscult.sound.audio import Channel, near_of
from auscult.sound.windows import Waveform, cut

WORST, SEEN = 8, 6
"""Moments that are named, and those that are shown."""


@dataclass(frozen=True, slots=True)
class Moment:
    """A window of the calibration sound.

    Attributes:
        score: of it.
        start: in its piece's stretch, in seconds.
        seconds: its length.
        piece: that it lies in.
    """

    score: float
    start: float
    seconds: float
    piece: Piece

    @property
    def place(self) -> tuple[Path, float]:
        """The file in which it begins, and the second there."""
        return self.piece.stretch.place(self.start)

    def sound(self, *, sample_rate: int, channel: Channel) -> Waveform:
        """Its samples, `[T]` or `[T, 2]`."""
        first = round(self.start * sample_rate)
        blocks = self.piece.stretch.blocks(sample_rate=sample_rate, channel=channel)
        return np.concatenate(list(cut(blocks, first=first, last=first + round(self.seconds * sample_rate))))


def worst_moments(pieces: Sequence[Piece], series: Sequence[WindowScores]) -> list[Moment]:
    """The windows with the highest scores, none of which share sound."""
    moments = [
        Moment(float(score), float(time) - part.window_seconds, part.window_seconds, piece)
        for piece, part in zip(pieces, series, strict=True)
        for score, time in zip(part.scores[part.scored], part.times[part.scored], strict=True)
    ]
    kept: list[Moment] = []
    for moment in sorted(moments, key=lambda moment: -moment.score):
        if len(kept) == WORST:
            break
        if all(moment.piece is not other.piece or abs(moment.start - other.start) >= moment.seconds for other in kept):
            kept.append(moment)
    return kept


def evidence_cards(detector: Detector, machine: Machine, moments: Sequence[Moment]) -> list[Card]:
    """What the detector's weightiest member sees in the first of the moments, and their sound."""
    part = detector.leading
    heard, features, ids = FrontEnds({part.name: part.front_end}), part.front_end.features, [machine.machine_id]
    found = []
    for rank, moment in enumerate(moments[:SEEN], start=1):
        waveform = moment.sound(sample_rate=detector.sample_rate, channel=detector.channel)
        frames = heard.frames(waveform, sample_rate=detector.sample_rate)[part.name]
        maps = part.model.maps(frames, machine.machine_id)
        file, second = moment.place
        found.append(
            Evidence(
                system="the detector",
                machine_type=machine.name,
                machine_id=machine.name,
                file=f"{file.name}, from {second:.1f} s",
                label="normal",
                score=moment.score,
                rank=rank,
                spectrogram=frames,
                maps={name: values.astype(np.float32) for name, values in maps.items()},
                frame_scores=part.model.frame_scores([frames], ids)[0].astype(np.float32),
                frame_offset=part.model.frame_offset,
                seconds_per_frame=1 / features.frame_rate,
                bin_frequencies=features.bin_frequencies,
                spectrogram_unit="dB" if features.config().get("scale") == "log" else "",
                words=sentence(differences_of(detector, machine, waveform)),
                waveform=near_of(waveform),
                sample_rate=detector.sample_rate,
            )
        )
    return cards(found)
