"""What the history takes and gives: scores, sounds, incidents, notes, thresholds."""

from dataclasses import asdict, dataclass
from typing import Any, Generic, TypeVar

Row_ = TypeVar("Row_")


@dataclass(frozen=True, slots=True)
class WindowScore:
    """The score of one window.

    Args:
        time: of the window's end, in seconds since 1970.
        score: None if it could not be scored.
        above: the threshold in force.
    """

    time: float
    score: float | None
    above: bool


@dataclass(frozen=True, slots=True)
class Sound:
    """The kept sound of an alarm or a warning.

    Args:
        start: of its first sample, in seconds since 1970.
        before: seconds of it that lie before the windows that raised it.
        sample_rate: in Hz.
        flac: a FLAC file of 24 bits.
        seconds: its length.
        channels: 1 or 2.
    """

    start: float
    before: float
    sample_rate: int
    flac: bytes
    seconds: float
    channels: int


@dataclass(frozen=True, slots=True)
class SoundFacts:
    """What is known of a kept sound without reading it: see `Sound`; `size` in bytes."""

    start: float
    seconds: float
    before: float
    size: int

    def to_json(self) -> dict[str, Any]:
        """As JSON."""
        return {"start": self.start, "seconds": self.seconds, "before": self.before, "bytes": self.size}


@dataclass(frozen=True, slots=True)
class ScoreColumns:
    """Scores in buckets of `step` seconds, each column as long as `time`, the start of each bucket.

    Args:
        step: seconds of a bucket.
        time: starts of buckets, in whole seconds since 1970; those without a window are left out.
        low: lowest score; None where nothing was scored.
        mean: mean score, likewise.
        high: highest score, likewise.
        count: windows.
        scored: windows with a score.
        above: windows above the threshold that was in force.
    """

    step: int
    time: list[int]
    low: list[float | None]
    mean: list[float | None]
    high: list[float | None]
    count: list[int]
    scored: list[int]
    above: list[int]

    def to_json(self) -> dict[str, Any]:
        """As JSON; the columns are not copied."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class ThresholdRow:
    """From `time` on, this threshold and this level of warnings were in force.

    Args:
        machine: its name.
        time: in seconds since 1970.
        threshold: of alarms.
        warning: of warnings, if there is that level.
        why: in a word: start, note or undo.
        note: by which it came, if by one.
        author: who decided it.
    """

    machine: str
    time: float
    threshold: float
    warning: float | None
    why: str
    note: int | None = None
    author: str = ""

    def to_json(self) -> dict[str, Any]:
        """As JSON."""
        return {key: value for key, value in asdict(self).items() if key != "machine"}


@dataclass(frozen=True, slots=True)
class Note:
    """What somebody said of a moment.

    Args:
        number: its own.
        machine: its name.
        incident: that it is about, if it is about one.
        start: of the moment, in seconds since 1970.
        end: likewise.
        verdict: normal, fault or remark.
        text: what was said.
        author: who said it.
        said: when, in seconds since 1970.
        undone: when it was taken back, if it was.
        undone_by: who took it back.
        score: of the moment, if known.
        threshold: that was in force then, if known.
        heard: whether an alarm overlapped the moment when the note was said.
    """

    number: int
    machine: str
    incident: str | None
    start: float
    end: float
    verdict: str
    text: str
    author: str
    said: float
    undone: float | None
    undone_by: str | None
    score: float | None
    threshold: float | None
    heard: bool

    def to_json(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Incident:
    """An alarm, a warning or a trouble, from its beginning to its end.

    Args:
        id: its own.
        machine: its name.
        kind: alarm, warning or trouble.
        raised: when, in seconds since 1970.
        cleared: when it was over, if it is.
        score: that raised it, if one did.
        threshold: above which it lay.
        trouble: which kind of trouble.
        message: of a trouble.
        words: in what the sound differs from normal, in a sentence.
        differences: the parts of that sentence.
        sound: that was kept, if any was.
        notes: about it, the oldest first, those that were taken back as well.
    """

    id: str
    machine: str
    kind: str
    raised: float
    cleared: float | None
    score: float | None
    threshold: float | None
    trouble: str | None
    message: str
    words: str
    differences: list[dict[str, Any]]
    sound: SoundFacts | None
    notes: list[Note]

    @property
    def verdict(self) -> str | None:
        """The last one that stands: normal or fault; None if nobody said either."""
        said = [note.verdict for note in self.notes if note.undone is None and note.verdict != "remark"]
        return said[-1] if said else None

    def to_json(self) -> dict[str, Any]:
        """As JSON."""
        plain = "id machine kind raised cleared score threshold trouble message words differences".split()
        return {
            **{name: getattr(self, name) for name in plain},
            "sound": None if self.sound is None else self.sound.to_json(),
            "notes": [note.to_json() for note in self.notes],
            "verdict": self.verdict,
        }


@dataclass(frozen=True, slots=True)
class Faults:
    """How many faults were confirmed by notes, and how many of them overlapped an alarm."""

    confirmed: int
    heard: int

    def to_json(self) -> dict[str, int]:
        """As JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Glance:
    """A machine at a glance, at the end of some time by its own clock.

    Args:
        trend: of its scores in that time.
        open: ids of incidents that last, the oldest first.
        alarms: raised in that time.
        faults: that were confirmed, ever.
    """

    trend: ScoreColumns
    open: list[str]
    alarms: int
    faults: Faults


@dataclass(frozen=True, slots=True)
class Listing(Generic[Row_]):
    """A part of a list.

    Args:
        rows: the part.
        next: cursor of the next part; None at the end.
        total: rows in all parts.
    """

    rows: list[Row_]
    next: str | None
    total: int
