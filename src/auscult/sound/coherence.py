"""What a far microphone hears: how much of the near one it predicts, and whether that is the noise or the machine."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from auscult.sound.audio import head
from auscult.sound.far import TOLERANCE, prediction_of

SAMPLED, SECONDS = 12, 10.0
"""Recordings that are looked at, spread evenly over all, and how much of the beginning of each."""

NOTHING = 0.1
"""Share below which the two have nothing in common that matters."""


@dataclass(frozen=True, slots=True)
class Coherence:
    """Shares of the near microphone's power that the far one predicts, means over recordings.

    Attributes:
        recordings: that were looked at.
        noise: at frequencies of which the far one hears what both hear about as loud as the near one, or louder.
        machine: at those of which it hears that more softly, by over 3 dB.
    """

    recordings: int
    noise: float
    machine: float

    def sentence(self) -> str:
        """What it means."""
        both = self.noise + self.machine
        if both < NOTHING:
            meaning = "the two have next to nothing in common, and the subtraction changes little"
        elif self.noise >= self.machine:
            meaning = "the far one hears the noise of the place, which is what the subtraction removes"
        else:
            meaning = "the far one hears mostly the machine, which the guard spares"
        some = f"{self.recordings} recording{'' if self.recordings == 1 else 's'}"
        return (
            f"The far microphone predicts {both:.0%} of the power near the machine: {self.noise:.0%} where it hears "
            f"the same about as loud or louder, {self.machine:.0%} where over 3 dB softer (first {SECONDS:g} s of "
            f"{some}); {meaning}."
        )


def coherence(sound: NDArray[np.float32]) -> tuple[float, float]:
    """Shares of the near channel's power `[T, 2]` that one complex factor per frequency predicts from the far one.

    Returns:
        The shares at frequencies at which that factor is at most `TOLERANCE` in size, and at which it is greater.
    """
    factor, near, far = prediction_of(sound)
    size = np.abs(factor)
    predicted = size**2 * far / max(float(near.sum()), 1e-12)
    return float(predicted[size <= TOLERANCE].sum()), float(predicted[size > TOLERANCE].sum())


def coherence_of(recordings: Sequence[Path], channel: tuple[int, int]) -> Coherence:
    """That of some of the recordings.

    Args:
        recordings: at least one, each with both channels.
        channel: near the machine, and far from it.

    Raises:
        AudioError: if one cannot be read.
    """
    places = np.unique(np.linspace(0, len(recordings) - 1, min(SAMPLED, len(recordings))).round().astype(int))
    shares = [coherence(head(recordings[place], SECONDS, channel=channel)) for place in places.tolist()]
    noise, machine = np.mean(shares, axis=0).tolist()
    return Coherence(len(shares), noise, machine)
