"""Troubles: what keeps the monitor from hearing the machine, raised once and cleared after a calm while."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from auscult.errors import MonitorError

CALM_SECONDS = 60.0
"""Of sound without a trouble, after which it is over: trouble that comes and goes is one trouble."""


@dataclass(frozen=True, slots=True)
class Change:
    """A trouble began, ended, or happened once."""

    id: str
    kind: str
    phase: Literal["raised", "cleared", "noted"]
    message: str


@dataclass(slots=True)
class _Active:
    id: str
    message: str
    last: float


class Troubles:
    """Which troubles there are; each has an id.

    Args:
        name: begins every id.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._count = 0
        self._active: dict[str, _Active] = {}

    @property
    def active(self) -> dict[str, str]:
        """Kind to message of all that last."""
        return {kind: trouble.message for kind, trouble in self._active.items()}

    def begin(self, kind: str, message: str, *, time: float = 0.0) -> list[Change]:
        """A trouble is there; nothing new if it was there before."""
        if kind in self._active:
            self._active[kind].last = time
            return []
        self._active[kind] = _Active(self._next(), message, time)
        return [Change(self._active[kind].id, kind, "raised", message)]

    def end(self, kind: str) -> list[Change]:
        """A trouble is over, if it was there."""
        trouble = self._active.pop(kind, None)
        return [] if trouble is None else [Change(trouble.id, kind, "cleared", trouble.message)]

    def note(self, kind: str, message: str) -> list[Change]:
        """Something happened once."""
        return [Change(self._next(), kind, "noted", message)]

    def update(self, time: float, found: Mapping[str, str], *, of: Iterable[str]) -> list[Change]:
        """What is found now begins; other troubles of these kinds end after `CALM_SECONDS` without them.

        Args:
            time: in seconds of sound.
            found: kind to message.
            of: kinds that were looked for.
        """
        changes = [change for kind, message in found.items() for change in self.begin(kind, message, time=time)]
        for kind in of:
            if kind in self._active and kind not in found and time - self._active[kind].last >= CALM_SECONDS:
                changes += self.end(kind)
        return changes

    def to_json(self) -> dict[str, Any]:
        """All that `from_json` needs to go on."""
        active = {kind: [trouble.id, trouble.message, trouble.last] for kind, trouble in self._active.items()}
        return {"name": self.name, "count": self._count, "active": active}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Troubles":
        """Go on where `to_json` stood.

        Raises:
            MonitorError: if the data are damaged.
        """
        try:
            troubles = cls(str(data["name"]))
            troubles._count = int(data["count"])
            for kind, (key, message, last) in data["active"].items():
                troubles._active[str(kind)] = _Active(str(key), str(message), float(last))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise MonitorError(f"the saved state of the monitor is damaged ({error!r}); name a new --state") from error
        return troubles

    def _next(self) -> str:
        self._count += 1
        return f"{self.name}-t{self._count}"
