"""Whether a graph says what torch says: the same sounds through both."""

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from auscult.detector.scorer import Scorer
from auscult.export.front_ends import least_samples
from auscult.export.steps import Step
from auscult.members.part import Part
from auscult.sound.audio import heard_of

SEED = 0


def compare(
    part: Part, folder: Path, steps: Sequence[Step], machine_ids: Sequence[str], *, window: int
) -> tuple[float, float]:
    """Greatest difference between graphs and torch over some sounds and all machines.

    Args:
        part: the member.
        folder: of its graphs.
        steps: its graphs.
        machine_ids: by which the models know the machines.
        window: samples of a window.

    Returns:
        The difference of standardised scores, divided by the score where that is greater than 1; and the seconds that
        one window took in onnxruntime with one thread, the least of all.
    """
    from auscult.export.runner import Steps

    chain = [dict(step) for step in steps]
    graphs, features = Steps(folder, [chain]), part.front_end.features
    scorer, rate = Scorer([part]), features.sample_rate
    difference, seconds = 0.0, float("inf")
    made = sounds(window, least_samples(features, part.model.frame_context), sample_rate=rate)
    if isinstance(part.front_end.channel, tuple):
        made = [np.stack([near, near[::-1]], axis=1) for near in made]
    for waveform in made:
        for machine_id in machine_ids:
            expected = scorer.score(waveform, machine_id, sample_rate=rate).score
            place = part.model.ids.index(machine_id) if machine_id in part.model.ids else -1
            heard, start = heard_of(waveform), time.perf_counter()
            raw = graphs.score(chain, heard, place, {})
            if len(waveform) == window:
                seconds = min(seconds, time.perf_counter() - start)
            found = part.standardise(raw)
            difference = max(difference, float(abs(found - expected) / max(1.0, abs(expected))))
            if not np.isfinite(found):
                return float("inf"), seconds
    return difference, seconds


def sounds(window: int, least: int, *, sample_rate: int) -> list[NDArray[np.float32]]:
    """Noise with tones, a louder one, noise that fades, silence; of a window, of other lengths, the shortest `[T]`."""
    rng = np.random.default_rng(SEED)
    found = []
    for number, length in enumerate((window, max(least, window // 2 + 1), least)):
        instants = np.arange(length) / sample_rate
        tone = np.sin(2 * np.pi * 0.03 * sample_rate * instants + rng.random())
        noise = rng.standard_normal(length)
        found += [0.02 * noise + 0.1 * tone, 0.2 * noise]
        if number == 0:
            found += [0.1 * noise * np.linspace(1, 0, length) ** 4, np.zeros(length)]
    return [sound.astype(np.float32) for sound in found]
