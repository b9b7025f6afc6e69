"""Several screens as one."""

from collections.abc import Iterable
from typing import Any

from auscult.live.events import Event
from auscult.live.home_assistant import HomeAssistant
from auscult.live.summary import Screen


class Screens:
    """Shows all on each screen, in order.

    Args:
        screens: to show it on.
    """

    def __init__(self, *screens: Screen) -> None:
        self._screens = screens

    @classmethod
    def of(cls, screen: Screen, outputs: Iterable[object]) -> "Screens":
        """A screen, and those of the outputs that are screens as well."""
        return cls(screen, *(output for output in outputs if isinstance(output, HomeAssistant)))

    def window(self, window: dict[str, Any], *, heard: float, state: str) -> None:
        """A window was heard."""
        for screen in self._screens:
            screen.window(window, heard=heard, state=state)

    def event(self, event: Event) -> None:
        """Something new happened."""
        for screen in self._screens:
            screen.event(event)

    def waiting(self, state: str) -> None:
        """No sound comes."""
        for screen in self._screens:
            screen.waiting(state)
