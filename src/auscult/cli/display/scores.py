"""What the terminal shows of a detector: that it loads, scores in three forms, thresholds, facts."""

import csv
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import Timer
from typing import TYPE_CHECKING, Any

from auscult.errors import plain

if TYPE_CHECKING:
    from rich.table import Table

    from auscult.detector import Detector, Score

COLUMNS = ("file", "machine_id", "score", "threshold", "p_value", "decision", "reason", "warning", "caveat", "words")

SLOW_SECONDS = 1.0
"""After which people want to know what is going on."""

Write = Callable[[Path, "Score"], None]


class Patience:
    """Says on standard error, if it is a terminal, what is going on once it takes long; and takes it off again."""

    def __init__(self, text: str) -> None:
        self._text, self._shown = text, False
        self._timer: Timer | None = None

    def __enter__(self) -> "Patience":
        self.wait(self._text)
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def wait(self, text: str) -> None:
        """From now on this is going on."""
        self.end()
        self._text = text
        if sys.stderr.isatty():
            self._timer = Timer(SLOW_SECONDS, self._say)
            self._timer.daemon = True
            self._timer.start()

    def end(self) -> None:
        """There is something else to read."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer.join()
        if self._shown:
            self._shown = False
            self._write("\r\x1b[K")

    def _say(self) -> None:
        self._shown = True
        self._write(f"{self._text} ...")

    def _write(self, text: str) -> None:
        sys.stderr.write(text)
        sys.stderr.flush()


@contextmanager
def writer_of(form: str) -> Iterator[Write]:
    """Gives `write(file, score)`, which prints to standard output as `"json"` lines, `"csv"`, or a `"table"`."""
    match form:
        case "json":
            yield lambda file, score: _line(
                json.dumps({**_fields(file, score), "differences": [one.to_json() for one in score.differences]})
            )
        case "csv":
            writer = csv.writer(sys.stdout, lineterminator="\n")
            writer.writerow(COLUMNS)
            yield lambda file, score: writer.writerow(
                "" if value is None else repr(value) if isinstance(value, float) else value
                for value in _fields(file, score).values()
            )
        case _:
            yield _Lines()


def _fields(file: Path, score: "Score") -> dict[str, Any]:
    decided = (score.threshold, score.p_value, score.decision, score.reason, score.warning, score.caveat)
    values = (str(file), score.machine, score.score, *decided, _words(score))
    return dict(zip(COLUMNS, values, strict=True))


def _words(score: "Score") -> str:
    """What differs; empty where nothing is said of a sound."""
    from auscult.detector.scoring import SPOKEN_OF

    if score.decision not in SPOKEN_OF:
        return ""
    from auscult.detector.difference import sentence

    return sentence(score.differences)


def _line(text: str) -> None:
    sys.stdout.write(f"{plain(text)}\n")
    sys.stdout.flush()


class _Lines:
    """Prints a line for each score as it comes; the head stands before the first."""

    def __init__(self) -> None:
        self._begun = False
        self._noted: set[str] = set()

    def __call__(self, file: Path, score: "Score") -> None:
        if not self._begun:
            _line(f"{'score':>9} {'warning':>9} {'threshold':>9} {'p-value':>8}  {'decision':<9}  machine  file")
            self._begun = True
        thresholds = " ".join("" if value is None else f"{value:9.4g}" for value in (score.warning, score.threshold))
        p_value = "" if score.p_value is None else f"{score.p_value:8.2g}"
        line = f"{score.score:9.4g} {thresholds:>19} {p_value:>8}  {score.decision:<9}  {score.machine}  {file}"
        _line(line)
        if words := _words(score):
            _line(f"{'':>40}{words}")
        self._note(score.reason and f"unknown: {score.reason}")
        self._note(score.caveat and f"{score.machine}: {score.caveat}")

    def _note(self, sentence: str) -> None:
        """On standard error, each sentence once."""
        if sentence and sentence not in self._noted:
            self._noted.add(sentence)
            sys.stderr.write(f"note: {sentence}\n")


def thresholds_table(detector: "Detector") -> "Table":
    """A row for each machine: its threshold, the promise and how far it is supported."""
    from rich.table import Table
    from rich.text import Text

    from auscult.detector.calibration.result import format_rate, warning_text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in ("machine", "warning", "threshold", "false alarms", "true rate, 95 %", "sound"):
        table.add_column(column, overflow="fold")
    for machine in detector.machines.values():
        calibration = machine.calibration
        if calibration is None:
            table.add_row(Text(machine.name), "", "none", "", "", "")
            continue
        low, high = (format_rate(bound, like=calibration.promised) for bound in calibration.rate_interval())
        table.add_row(
            Text(machine.name),
            warning_text(calibration),
            f"{calibration.threshold:.4g}",
            f"{format_rate(calibration.promised)}, {'supported' if calibration.supported else 'extrapolated'}",
            f"{low} to {high}",
            f"{calibration.hours:.3g} h",
        )
    return table


def info_lines(facts: Mapping[str, Any]) -> str:
    """The facts of a detector as lines for people."""
    alarm, provenance, far = facts["alarm"], facts["provenance"], facts["reference_channel"]
    lines = [
        f"made by: {provenance.get('made_by', 'unknown')}, auscult {provenance.get('auscult', 'unknown')}",
        f"hears: {facts['window_seconds']:g} s every {facts['step_seconds']:g} s, at {facts['sample_rate']} Hz"
        + ("" if far is None else f", channel {facts['channel']} without what channel {far} predicts"),
        f"alarm: {alarm['k']} of {alarm['n']} windows above the threshold, {alarm['cool_down_seconds']:g} s cool-down",
    ]
    if facts["licence"]:
        lines.append(f"licence of the training data: {facts['licence']}")
    lines.append("members:")
    lines += [
        f"  {member['name']}: {member['family']}, weight {member['weight']:.3g}, "
        f"{member['parameters']:,} trained parameters{', denoised' if member['denoised'] else ''}"
        for member in facts["members"]
    ]
    lines.append("machines:")
    for machine in facts["machines"]:
        if machine["calibration"] is None:
            lines.append(f"  {machine['name']}: no threshold; its decisions are unknown")
            continue
        promised = machine["calibration"]["promised"]
        warning = "" if machine["warning"] is None else f"warning {machine['warning']:.6g}, "
        lines.append(f"  {machine['name']}: {warning}threshold {machine['threshold']:.6g} for at most {promised}")
        lines += [f"    {sentence}" for sentence in machine["calibration"]["description"]]
    return "\n".join([*lines, ""])
