"""What every output gets: alarms and troubles that begin and end, each message with a name of its own; as JSON."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

Kind = Literal["alarm", "warning", "trouble"]
Phase = Literal["raised", "cleared", "noted"]


@dataclass(frozen=True, slots=True)
class Event:
    """An alarm, a warning or a trouble was raised or cleared, or something happened once (noted).

    Args:
        kind: "alarm", "warning" or "trouble".
        id: of the alarm, warning or trouble, the same when it is raised and when it is cleared.
        phase: "raised", "cleared" or "noted".
        time: by the wall clock, in seconds since 1970.
        heard_seconds: sound and known gaps since monitoring began; it never goes back.
        machine_id: whose sound it is.
        details: what else there is to say, JSON-able.
    """

    kind: Kind
    id: str
    phase: Phase
    time: float
    heard_seconds: float
    machine_id: str
    details: Mapping[str, Any]

    @property
    def key(self) -> str:
        """The name of this message: a message with the same name is the same message."""
        return f"{self.id}:{self.phase}"

    def to_json(self) -> dict[str, Any]:
        """The event as JSON."""
        return {
            "type": self.kind,
            "event": self.phase,
            "id": self.id,
            "time": iso(self.time),
            "machine_id": self.machine_id,
            "heard_seconds": round(self.heard_seconds, 6),
            **self.details,
        }


def dumps(data: Mapping[str, Any]) -> str:
    """One line of JSON; numbers that JSON lacks are null."""
    return json.dumps({name: _plain(value) for name, value in data.items()}, separators=(", ", ": "), allow_nan=False)


def iso(seconds: float) -> str:
    """A time of the wall clock, in seconds since 1970, as ISO 8601 in UTC.

    >>> iso(0.5)
    '1970-01-01T00:00:00.500Z'
    """
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
