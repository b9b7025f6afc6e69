"""From the windows of a sound to what a detector says of it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from auscult.detector.alarms import AlarmSettings
from auscult.detector.alarms.series import largest
from auscult.detector.contents import NEARLY, Contents, Machine
from auscult.errors import AudioError
from auscult.members.part import Part, Scored
from auscult.sound.audio import Codec, near_of
from auscult.sound.condition import extent_of
from auscult.sound.defects import is_sound, problems_of
from auscult.sound.windows import Waveform, Window

if TYPE_CHECKING:
    from auscult.detector.difference import Difference

Decision = Literal["normal", "warning", "anomalous", "unknown"]

SPOKEN_OF = ("warning", "anomalous")
"""Decisions of which is said in what the sound differs from normal ones."""


UNSOUND = "the sound says nothing about the machine"
"""How the reason begins where the sound is defective; the defect follows."""


@dataclass(frozen=True, slots=True, eq=False)
class Score:
    """What a detector says of a sound. Higher is more abnormal.

    Attributes:
        machine: its name.
        score: of the sound's one window; of a longer sound, what the alarm logic compares with the threshold at the
            worst moment: the k-th largest score of n windows on end (of all, if there are fewer than k).
        threshold: none without a calibration.
        p_value: how likely a normal sound of so many windows has such a score or a higher one, at most; none where
            there is no calibration for such a sound.
        decision: "anomalous" if the score is above the threshold, "warning" if it is above that of warnings alone,
            "unknown" if there is no threshold for such a sound.
        reason: why the decision is unknown; else empty.
        windows: whose scores count: those that are no silence, clipped or with a drop-out in them, if there are such.
        start: of the window with the highest score, in seconds.
        seconds: length of that window.
        families: family -> standardised score of that window, the weighted mean of the family's members.
        members: member -> standardised score of that window.
        frame_scores: of the member with the greatest weight in that window `[N']`; none if they were not asked for.
        error_map: where in time and frequency it heard the unexpected `[N, F]`, NaN where nothing was predicted.
        seconds_per_frame: distance of frames.
        warning: threshold of warnings; none where there is no such level.
        caveat: what must be known of an extrapolated threshold; else empty.
        differences: in what that window differs from normal sound, where the decision is a warning or worse, or frame
            scores were asked for; empty where nothing stands out.
    """

    machine: str
    score: float
    threshold: float | None
    p_value: float | None
    decision: Decision
    reason: str
    windows: int
    start: float
    seconds: float
    families: dict[str, float]
    members: dict[str, float]
    frame_scores: NDArray[np.float64] | None
    error_map: NDArray[np.float64] | None
    seconds_per_frame: float
    warning: float | None
    caveat: str
    differences: "tuple[Difference, ...]" = ()


def score_sound(
    detector: Contents,
    machine: Machine,
    windows: Iterable[Window],
    *,
    given_rate: int,
    codec: Codec | None = None,
    extent: tuple[float, float] | None = None,
    evidence: bool,
) -> Score:
    """Score the windows of a sound, and decide.

    Args:
        detector: whose parts score.
        machine: that made the sound.
        windows: at the detector's rate.
        given_rate: of the sound before it was resampled, in Hz.
        codec: of its file; none if there is none.
        extent: of a sound that was resampled, before it was (see `extent_of`).
        evidence: also give frame scores and error map of the worst window.

    Raises:
        AudioError: if there is no window.
    """
    rate = detector.sample_rate
    scores, worst, scored = _scores(detector, machine, windows)
    waveform = worst.samples
    score = alarm_score(np.array(scores), detector.alarm)
    share = len(scores) / min(detector.alarm.k, len(scores))
    flaw = _flaw(detector, waveform, given_rate)
    if not flaw and machine.origin is not None:
        extent = extent or extent_of(near_of(waveform), sample_rate=rate)
        flaw = machine.origin.difference(extent, sample_rate=rate, rate=given_rate, codec=codec)
    p_value, decision, reason = _judge(machine, score, share, flaw)
    frame_scores, error_map = _evidence(detector, waveform, machine) if evidence else (None, None)
    return Score(
        machine=machine.name,
        score=score,
        threshold=machine.threshold,
        p_value=p_value,
        decision=decision,
        reason=reason,
        windows=len(scores),
        start=worst.start / rate,
        seconds=len(waveform) / rate,
        families=family_scores(detector.parts, scored),
        members=scored.members,
        frame_scores=frame_scores,
        error_map=error_map,
        seconds_per_frame=1 / detector.leading.front_end.features.frame_rate,
        warning=machine.warning,
        caveat="" if machine.calibration is None else machine.calibration.caveat,
        differences=_differences(detector, machine, waveform) if evidence or decision in SPOKEN_OF else (),
    )


def _scores(detector: Contents, machine: Machine, windows: Iterable[Window]) -> tuple[list[float], Window, Scored]:
    """The scores of the windows that say something about the machine, or of all if none does; and the worst of them."""
    scores: dict[bool, list[float]] = {True: [], False: []}
    worst: dict[bool, tuple[Window, Scored]] = {}
    for window in windows:
        scored = detector.scorer.score(window.samples, machine.machine_id, sample_rate=detector.sample_rate)
        says = is_sound(window.samples, sample_rate=detector.sample_rate)
        scores[says].append(scored.score)
        if says not in worst or scored.score > worst[says][1].score:
            worst[says] = window, scored
    if not worst:
        raise AudioError("the sound holds no samples; give a longer one")
    says = True in worst
    return scores[says], *worst[says]


def _flaw(detector: Contents, waveform: Waveform, given_rate: int) -> str:
    """Why there is no threshold for such a window; empty if there is."""
    rate = detector.sample_rate
    if problems := problems_of(waveform, sample_rate=rate):
        return f"{UNSOUND}: {next(iter(problems.values()))}"
    if len(waveform) < NEARLY * detector.samples(detector.window_seconds):
        return f"the sound is shorter than {detector.window_seconds:g} s, for which the threshold is"
    if given_rate < rate:
        return f"the sound has {given_rate} Hz: the upper bands of the detector's {rate} Hz are missing"
    return ""


def alarm_score(scores: NDArray[np.float64], settings: AlarmSettings) -> float:
    """What the alarm logic compares with the threshold, at the worst moment of a sound.

    Args:
        scores: of the windows `[W]`, in the order of time.
        settings: of the logic.

    >>> alarm_score(np.array([0.0, 9.0, 1.0, 5.0, 3.0, 0.0]), AlarmSettings(k=2, n=3))
    5.0
    """
    k = min(settings.k, len(scores))
    return float(largest(scores, n=min(settings.n, len(scores)), ranks=[k]).max())


def family_scores(parts: Iterable[Part], scored: Scored) -> dict[str, float]:
    """Family -> mean of its members' standardised scores by their weights."""
    sums: dict[str, tuple[float, float]] = {}
    for part in parts:
        total, weight = sums.get(part.family, (0.0, 0.0))
        sums[part.family] = total + part.weight * scored.members[part.name], weight + part.weight
    return {family: total / weight for family, (total, weight) in sums.items()}


def _judge(machine: Machine, score: float, share: float, flaw: str) -> tuple[float | None, Decision, str]:
    """P-value, decision, and the reason of one that is unknown.

    Args:
        machine: that made the sound.
        score: the k-th largest of some windows.
        share: windows over k. Where k are as high, the chance is at most the expected number of such, over k.
        flaw: of the sound.
    """
    calibration = machine.calibration
    if calibration is None:
        return None, "unknown", f"nothing was calibrated for {machine.name}"
    if flaw:
        return None, "unknown", flaw
    p_value = min(1.0, share * calibration.p_value(score))
    return p_value, calibration.decide(score), ""


def _differences(detector: Contents, machine: Machine, waveform: Waveform) -> "tuple[Difference, ...]":
    from auscult.detector.words import differences_of  # most sounds are normal, and nothing is said of them

    return tuple(differences_of(detector, machine, waveform))


def _evidence(
    detector: Contents, waveform: Waveform, machine: Machine
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    frames, ids = [detector.leading.frames(waveform, sample_rate=detector.sample_rate)], [machine.machine_id]
    model = detector.leading.model
    return model.frame_scores(frames, ids)[0], model.error_map(frames, ids)[0]
