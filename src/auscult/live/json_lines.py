"""JSON lines on a stream: every event, and every window if asked for."""

from collections.abc import Callable, Mapping
from typing import Any, TextIO

from auscult.live.delivery import DeliveryError
from auscult.live.events import Event, dumps


class JsonLines:
    """An output, that writes each event as a line of JSON, and a screen.

    Args:
        stream: to write to.
        windows: also write every window; a line that cannot be written is lost.
        refused: is called when the stream does not take a line.
    """

    name = "json"

    def __init__(self, stream: TextIO, *, windows: bool, refused: Callable[[OSError], None]) -> None:
        self.stream, self.windows = stream, windows
        self._refused = refused
        self._buffered: str | None = None  # key of a line that the stream holds and could not pass on

    def send(self, key: str, line: str) -> None:
        """Write one event.

        Raises:
            DeliveryError: if the stream does not take it.
        """
        try:
            if key != self._buffered:
                self.stream.write(line + "\n")
                self._buffered = key
            self.stream.flush()
        except OSError as error:
            self._refused(error)
            raise DeliveryError(f"standard output takes no lines ({error.strerror or error})") from error
        self._buffered = None

    def begin(self, facts: Mapping[str, Any]) -> None:
        """What is about to be watched."""
        self._write({"type": "start", **facts})

    def end(self, facts: Mapping[str, Any]) -> None:
        """What was heard."""
        self._write({"type": "end", **facts})

    def window(self, window: Mapping[str, Any], *, heard: float, state: str) -> None:
        """A window was heard."""
        if self.windows:
            self._write({"type": "window", "heard_seconds": round(heard, 6), **window})

    def event(self, event: Event) -> None:
        """Events come by `send`."""

    def waiting(self, state: str) -> None:
        """Nothing is written while no sound comes; a stall is an event."""

    def close(self) -> None:
        """The stream belongs to others."""

    def _write(self, data: Mapping[str, Any]) -> None:
        if self._buffered is not None:  # what the stream could not pass on comes first
            return
        try:
            self.stream.write(dumps(data) + "\n")
            self.stream.flush()
        except OSError as error:
            self._refused(error)
