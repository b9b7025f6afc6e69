"""The page on what was learned: thresholds, the calibration's scores, its most abnormal moments, the members."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auscult import __version__
from auscult.detector.alarms import AlarmSettings, WindowScores
from auscult.detector.calibration.result import format_rate, warning_text
from auscult.detector.learn.learning import Learned
from auscult.files import write_text
from auscult.report.data import Cell, Table
from auscult.report.drawing import Plot
from auscult.report.evidence import Card
from auscult.report.figures import window_histogram, window_trend
from auscult.report.html import filled
from auscult.report.moments import Moment, evidence_cards, worst_moments

SHOWN = ("kind", "n_fft", "hop_length", "n_mels")
"""What the page says of features."""


@dataclass(frozen=True, slots=True)
class MachinePage:
    """What the page says of one machine."""

    name: str
    sentences: Sequence[str]
    plots: Sequence[Plot]
    cards: Sequence[Card]
    worst: Table


def write_learned(learned: Learned, path: Path) -> None:
    """Write the page.

    Raises:
        RunError: if the file cannot be written.
    """
    write_text(path, render(learned))


def render(learned: Learned) -> str:
    """The page as one HTML document that needs nothing else."""
    names = list(learned.pieces)
    return filled(
        (files("auscult.detector.learn") / "template.html.j2").read_text(encoding="utf-8"),
        title=", ".join(names),
        verdict=verdict(learned),
        facts=_facts(learned),
        warnings=learned.warnings,
        thresholds=_thresholds(learned),
        machines=[_part(learned, name) for name in names],
        members=_members(learned),
        alarm=_logic(learned.detector.alarm),
    )


def verdict(learned: Learned) -> str:
    """The page's first sentence."""
    machines = [learned.detector.machines[name] for name in learned.pieces]
    rate = format_rate(learned.settings.rate)
    calibrated = [machine.calibration for machine in machines if machine.calibration is not None]
    supported = sum(calibration.supported for calibration in calibrated)
    if not calibrated:
        return "Nothing could be calibrated: the detector scores sounds, and its decisions are unknown."
    whom = (
        "The threshold is"
        if len(machines) == 1
        else f"The thresholds of {len(calibrated)} of {len(machines)} machines are"
    )
    worst = max(calibrated, key=lambda calibration: calibration.more_hours)
    held = (
        "and the calibration sound supports it"
        if supported == len(calibrated)
        else (
            f"and the calibration sound cannot support it: {worst.caveat}"
            if not supported
            else f"and the calibration sound supports it for {supported} of them; of the others, {worst.caveat}"
        )
    )
    return f"{whom} set for {rate} of normal sound, {held}."


def _facts(learned: Learned) -> list[tuple[str, str]]:
    detector = learned.detector
    recordings = [recording for found in learned.recordings.values() for recording in found]
    heard = sum(learned.training_seconds.values())
    calibrated = sum(piece.seconds for pieces in learned.pieces.values() for piece in pieces)
    facts = [("recordings", f"{len(recordings):,}")]
    if heard:
        facts.append(("training sound", _duration(heard)))
    facts += [
        ("calibration sound", _duration(calibrated)),
        ("windows", f"{detector.window_seconds:g} s every {detector.step_seconds:g} s at {detector.sample_rate} Hz"),
        ("method", learned.settings.method),
        ("auscult", __version__),
    ]
    return facts


def _thresholds(learned: Learned) -> Table:
    rows = []
    for name in learned.pieces:
        machine = learned.detector.machines[name]
        calibration = machine.calibration
        if calibration is None:
            rows.append([Cell(name), *(Cell("none") for _ in range(6))])
            continue
        low, high = (format_rate(bound, like=calibration.promised) for bound in calibration.rate_interval())
        cells = (
            warning_text(calibration),
            f"{calibration.threshold:.4g}",
            format_rate(calibration.promised),
            "supported" if calibration.supported else "extrapolated",
            f"{low} to {high}",
            f"{calibration.hours:.3g} h",
        )
        rows.append([Cell(name), *map(Cell, cells)])
    columns = ("machine", "warning", "threshold", "false alarms", "promise", "true rate, 95 %", "calibration sound")
    return Table("Thresholds and what they promise", columns, rows, stacked=True)


def _members(learned: Learned) -> Table:
    rows = [
        [
            Cell(part.name),
            Cell(part.family),
            Cell(_words(part.front_end.features.config(), SHOWN)),
            Cell(_words(part.model.arguments, [name for name in part.model.arguments if name != "n_bins"])),
            Cell(f"{part.weight:.3g}"),
            Cell(f"{part.model.n_parameters:,}"),
        ]
        for part in learned.detector.parts
    ]
    return Table(
        "The members, combined by weight",
        ("member", "family", "features", "model", "weight", "parameters"),
        rows,
        texts=4,
        stacked=True,
    )


def _words(facts: Mapping[str, Any], names: Sequence[str]) -> str:
    def text(value: Any) -> str:
        return " + ".join(map(str, value)) if isinstance(value, (tuple, list)) else str(value)

    return ", ".join(f"{name} {text(facts[name])}" for name in names if name in facts)


def _part(learned: Learned, name: str) -> MachinePage:
    machine, series = learned.detector.machines[name], learned.series[name]
    scores = _scored(series)
    sentences = [] if machine.calibration is None else machine.calibration.describe()
    plots = []
    if len(scores):
        step = series[0].step_seconds
        plots = [
            window_histogram(scores, machine.threshold, warning=machine.warning, machine=name),
            window_trend(scores, machine.threshold, warning=machine.warning, step_seconds=step, machine=name),
        ]
    worst = worst_moments(learned.pieces[name], series)
    return MachinePage(name, sentences, plots, evidence_cards(learned.detector, machine, worst), _worst(worst))


def _scored(series: Sequence[WindowScores]) -> NDArray[np.float64]:
    return np.concatenate([part.scores[part.scored] for part in series])


def _worst(moments: Sequence[Moment]) -> Table:
    rows = []
    for moment in moments:
        file, second = moment.place
        rows.append([Cell(file.name), Cell(f"{second:.1f} s"), Cell(f"{moment.score:.4g}")])
    return Table("The most abnormal moments of the calibration sound", ("recording", "from", "score"), rows)


def _logic(alarm: AlarmSettings) -> str:
    rest = f"none for {alarm.cool_down_seconds:g} s after an alarm's end"
    return f"{alarm.k} of the last {alarm.n} windows above it, and {rest}"


def _duration(seconds: float) -> str:
    return f"{seconds / 3600:.3g} h" if seconds >= 3600 else f"{seconds / 60:.3g} min"
