"""From the windows of a sound to what a detector says of it."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from auscult.alarms import AlarmSettings
from auscult.detector.sounds import Waveform
from auscult.errors import AudioError
from auscult.scoring import Part, Scored, Scorer

if TYPE_CHECKING:
    from auscult.detector.detector import Decision, Detector, Machine, Score

NEARLY = 0.99
"""Share of a window's length from which on a sound counts as a window: recorders stop a little early."""


def score_sound(
    detector: "Detector", machine: "Machine", windows: Iterable[tuple[int, Waveform]], *, evidence: bool
) -> "Score":
    """Score the windows of a sound, and decide.

    Args:
        detector: whose parts score.
        machine: that made the sound.
        windows: first samples and waveforms `[T]` at the detector's rate.
        evidence: also give frame scores and error map of the worst window.

    Raises:
        AudioError: if there is no window.
    """
    from auscult.detector.detector import Score

    rate = detector.sample_rate
    scores: list[float] = []
    worst: tuple[int, Waveform, Scored] | None = None
    for start, waveform in windows:
        scored = detector.scorer.score(waveform, machine.machine_id, sample_rate=rate)
        scores.append(scored.score)
        if worst is None or scored.score > worst[2].score:
            worst = start, waveform.copy(), scored
    if worst is None:
        raise AudioError("the sound holds no samples; give a longer one")
    start, waveform, scored = worst
    score = alarm_score(np.array(scores), detector.alarm)
    whole = len(waveform) >= NEARLY * detector.samples(detector.window_seconds)
    p_value, decision, reason = _judge(machine, score, len(scores), detector.window_seconds if not whole else None)
    leading = max(detector.parts, key=lambda part: part.weight)
    frame_scores, error_map = _evidence(detector, leading, waveform, machine) if evidence else (None, None)
    return Score(
        machine=machine.name,
        score=score,
        threshold=machine.threshold,
        p_value=p_value,
        decision=decision,
        reason=reason,
        windows=len(scores),
        start=start / rate,
        seconds=len(waveform) / rate,
        families=family_scores(detector.parts, scored),
        members=scored.members,
        frame_scores=frame_scores,
        error_map=error_map,
        seconds_per_frame=1 / leading.front_end.features.frame_rate,
    )


def alarm_score(scores: NDArray[np.float64], settings: AlarmSettings) -> float:
    """What the alarm logic compares with the threshold, at the worst moment of a sound.

    Args:
        scores: of the windows `[W]`, in the order of time.
        settings: of the logic.

    >>> alarm_score(np.array([0.0, 9.0, 1.0, 5.0, 3.0, 0.0]), AlarmSettings(k=2, n=3))
    5.0
    """
    k = min(settings.k, len(scores))
    n = min(settings.n, len(scores))
    runs = np.lib.stride_tricks.sliding_window_view(scores, n)
    return float(np.sort(runs, axis=1)[:, n - k].max())


def family_scores(parts: Iterable[Part], scored: Scored) -> dict[str, float]:
    """Family -> mean of its members' standardised scores by their weights."""
    sums: dict[str, tuple[float, float]] = {}
    for part in parts:
        total, weight = sums.get(part.family, (0.0, 0.0))
        sums[part.family] = total + part.weight * scored.members[part.name], weight + part.weight
    return {family: total / weight for family, (total, weight) in sums.items()}


def _judge(
    machine: "Machine", score: float, n_windows: int, shorter_than: float | None
) -> tuple[float | None, "Decision", str]:
    """P-value, decision, and the reason of one that is unknown."""
    calibration = machine.calibration
    if calibration is None:
        return None, "unknown", f"nothing was calibrated for {machine.name}"
    if shorter_than is not None:
        return None, "unknown", f"the sound is shorter than {shorter_than:g} s, for which the threshold is"
    p_value = min(1.0, n_windows * calibration.p_value(score))
    return p_value, "anomalous" if score > calibration.threshold else "normal", ""


def _evidence(
    detector: "Detector", part: Part, waveform: Waveform, machine: "Machine"
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    frames = Scorer([part]).frames(waveform, sample_rate=detector.sample_rate)[part.name]
    ids = [machine.machine_id]
    return part.model.frame_scores([frames], ids)[0], part.model.error_map([frames], ids)[0]
