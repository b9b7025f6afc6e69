"""The time of events and scores: the wall clock's, or that of a replay."""

from collections.abc import Callable

CLOCK_JUMP_SECONDS = 5.0
"""A wall clock that strays further from the steady one, from one look to the next, was set."""


class MonitorClock:
    """Two clocks: one for the time of day, which people set, and one that only goes on.

    Args:
        wall: in seconds since 1970.
        monotonic: in seconds.
        begins: of a replay, when its sound began, in seconds since 1970; the wall clock is then not looked at.
    """

    def __init__(self, wall: Callable[[], float], monotonic: Callable[[], float], begins: float | None) -> None:
        self.wall, self.monotonic, self._begins = wall, monotonic, begins
        self._offset = wall() - monotonic()

    def time(self, heard: float) -> float:
        """The time of what happens now, in seconds since 1970.

        Args:
            heard: seconds of sound and known gaps since monitoring began.
        """
        return self.wall() if self._begins is None else self._begins + heard

    def jump(self) -> str | None:
        """That the wall clock was set since the last call, in a sentence, if it was."""
        wall, offset = self._offset, self.wall() - self.monotonic()
        self._offset = offset
        jump = offset - wall
        if self._begins is not None or abs(jump) <= CLOCK_JUMP_SECONDS:
            return None
        return f"the clock was set {'forward' if jump > 0 else 'back'} by {abs(jump):.0f} s; alarms do not use it"
