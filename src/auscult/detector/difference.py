"""One thing in which a sound differs from normal sound, and how it is said."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

SHORT_SECONDS = 0.25
"""What is shorter has a time, no beginning and end."""

NOTHING = "no single band or moment stands out"
TEXTS = {
    "tone": "a tone{where}, {size} above normal{when}",
    "band": "{noise}{where}, {size} above normal{when}",
    "fainter": "quieter{where} by {size}{when}",
    "louder": "louder by {size} in all bands",
    "quieter": "quieter by {size} in all bands",
    "blow": "{blows}{where}, {size} above the loudest of normal ones{when}",
    "swing": "irregular: the level{where} swings at {rate} by {size} more than normal",
    "missing": "the stroke at {rate} is missing{where}, {size} less than normal",
    "unlike": "unlike normal{where}{when}",
}
"""Kind -> its sentence."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing in which a sound differs from normal sound.

    Attributes:
        kind: a key of `TEXTS`.
        low_hz, high_hz: the band; none for all, or where bins are no frequencies.
        start, end: in seconds of the sound; none for its beginning and its end.
        decibels: above normal, below 0 for less; of a rhythm, from trough to crest; none if it is not known.
        rate_hz: of a rhythm; of blows that come regularly.
        count: of moments.
        strength: deviation over the limit of normal sounds, above 1.
    """

    kind: str
    low_hz: float | None = None
    high_hz: float | None = None
    start: float | None = None
    end: float | None = None
    decibels: float | None = None
    rate_hz: float | None = None
    count: int | None = None
    strength: float = 1.0

    def __str__(self) -> str:
        low, high, many = self.low_hz, self.high_hz, self.count is not None and self.count > 1
        where = ""
        if low is not None and high is not None:
            apart = self.kind != "tone" and _hz(low) != _hz(high)
            where = f" from {_hz(low)} to {_hz(high)}" if apart else f" at {_hz((low * high) ** 0.5)}"
        return TEXTS[self.kind].format(
            where=where,
            when=self._when(),
            size="" if self.decibels is None else f"{abs(self.decibels):.0f} dB",
            rate="" if self.rate_hz is None else _hz(self.rate_hz),
            noise="hiss" if low and low >= 1000 else "rumble" if high and high <= 500 else "noise",
            blows=f"{self.count} blows" if many else "a blow",
        )

    def _when(self) -> str:
        if self.start is None:
            return "" if self.end is None else f", until {self.end:.1f} s"
        if self.end is None:
            return f", since {self.start:.1f} s"
        rate = "" if self.rate_hz is None else f", {_hz(self.rate_hz)}"
        often = f", {self.count} times" if self.count and self.count > 1 and self.kind != "blow" else ""
        if self.end - self.start < SHORT_SECONDS:
            return f", at {self.start:.1f} s"
        return f"{often}{rate}, from {self.start:.1f} to {self.end:.1f} s"

    def to_json(self) -> dict[str, Any]:
        """All of it and its sentence."""
        numbers = {name: round(value, 3) if isinstance(value, float) else value for name, value in asdict(self).items()}
        return {**numbers, "sentence": str(self)}


def sentence(found: Iterable[Difference]) -> str:
    """What differs, in one sentence."""
    return "; ".join(map(str, found)) or NOTHING


def _hz(value: float) -> str:
    """In words.

    >>> _hz(3213.0), _hz(1.23)
    ('3.2 kHz', '1.2 Hz')
    """
    return f"{value / 1000:.1f} kHz" if value >= 1000 else f"{value:.0f} Hz" if value >= 20 else f"{value:.1f} Hz"
