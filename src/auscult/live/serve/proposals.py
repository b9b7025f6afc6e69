"""What a sound that a user calls normal means for the threshold: a proposal, which the user takes or leaves."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Proposal:
    """Another threshold, and why.

    Attributes:
        note: the number of the note that led to it.
        before, after: thresholds.
        promised: rate of false alarms in words; none without a calibration.
        hours: of sound that were heard by the monitor.
        alarms: of these, alarms that are said to be of normal sound.
        kept: whether the promise holds without a change; the proposal then is for those who want quiet.
        reason: a sentence.
    """

    note: int
    before: float
    after: float
    promised: str | None
    hours: float
    alarms: int
    kept: bool
    reason: str

    def to_json(self) -> dict[str, Any]:
        """As the page reads it."""
        return asdict(self)


def propose(
    note: int,
    levels: Sequence[float],
    *,
    level: float,
    before: float,
    hours: float,
    rate: float | None,
    promised: str | None,
) -> Proposal | None:
    """The lowest threshold, not below the present one, at which alarms of normal sound keep the promised rate.

    Over the hours that the monitor heard, a threshold may let through `rate * hours` of the alarms that are known to
    be of normal sound. Where they are no more, nothing has to change, and the proposal is the level of the sound alone.

    Args:
        note: its number.
        levels: of all alarms that are said to be of normal sound, the one at hand among them: the lowest threshold that
            would not have raised it.
        level: of the one at hand.
        before: threshold in force.
        hours: of sound heard.
        rate: promised, in alarms per hour; none without a calibration.
        promised: the same in words.

    Returns:
        The proposal; none where the sound lies below the threshold already.

    >>> propose(1, [5.0, 4.0], level=5.0, before=3.0, hours=24, rate=1 / 24, promised="1/day").after
    4.0
    """
    if level <= before:
        return None
    if rate is None:
        reason = "nothing was calibrated, so no rate is promised; above this threshold, this sound raises no alarm"
        return Proposal(note, before, level, None, hours, len(levels), False, reason)
    above = sorted((one for one in levels if one > before), reverse=True)
    allowed = math.floor(rate * hours + 1e-9)
    heard = f"{len(above)} alarm{'' if len(above) == 1 else 's'} of normal sound in {hours:.1f} hours"
    if len(above) <= allowed:
        reason = (
            f"{heard}: no more than the promised {promised}, so the threshold can stay; above the proposed one, this "
            "sound raises no alarm, and faults that are no louder raise none either"
        )
        return Proposal(note, before, level, promised, hours, len(above), True, reason)
    reason = f"{heard}, and {promised} are promised: at the proposed threshold the promise is kept again"
    return Proposal(note, before, max(before, above[allowed]), promised, hours, len(above), False, reason)


def level_of(scores: Sequence[float], *, k: int, n: int) -> float:
    """The greatest k-th largest of n scores on end: the lowest threshold at which they raise no alarm.

    >>> level_of([0.0, 9.0, 5.0, 4.0], k=2, n=3)
    5.0
    """
    windows = [scores[first : first + n] for first in range(max(1, len(scores) - n + 1))]
    return max(sorted(window, reverse=True)[min(k, len(window)) - 1] for window in windows)
