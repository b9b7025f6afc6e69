"""What a monitor shows besides its events, and what it has done in the end."""

import math
from dataclasses import dataclass
from typing import Any, Protocol

from auscult.live.events import Event


class Screen(Protocol):
    """What people or programs see besides events."""

    def window(self, window: dict[str, Any], *, heard: float, state: str) -> None:
        """A window was heard."""
        ...

    def event(self, event: Event) -> None:
        """Something new happened."""
        ...

    def waiting(self, state: str) -> None:
        """No sound comes."""
        ...


@dataclass(slots=True)
class MonitorSummary:
    """What a monitor did: windows, those with a score, alarms and warnings raised, troubles raised or noted."""

    windows: int = 0
    scored: int = 0
    alarms: int = 0
    troubles: int = 0
    highest: float = -math.inf
    warnings: int = 0

    def add(self, score: float | None) -> None:
        """Count a window; None if it could not be scored."""
        self.windows += 1
        if score is not None:
            self.scored += 1
            self.highest = max(self.highest, score)
