"""The one history of the machines: events, scores, sounds, thresholds, notes, and where each monitor goes on."""

from auscult.live.history.notes import Notes
from auscult.live.history.opening import file_hash, lock, read_events
from auscult.live.history.reader import Reader
from auscult.live.history.retention import Retention
from auscult.live.history.rows import (
    Faults,
    Glance,
    Incident,
    Listing,
    Note,
    ScoreColumns,
    Sound,
    ThresholdRow,
    WindowScore,
)
from auscult.live.history.tables import LEVELS, NAME, VERSION
from auscult.live.history.trend import MOST_POINTS
from auscult.live.history.writer import History

__all__ = [
    "LEVELS",
    "MOST_POINTS",
    "NAME",
    "VERSION",
    "Faults",
    "Glance",
    "History",
    "Incident",
    "Listing",
    "Note",
    "Notes",
    "Reader",
    "Retention",
    "ScoreColumns",
    "Sound",
    "ThresholdRow",
    "WindowScore",
    "file_hash",
    "lock",
    "read_events",
]
