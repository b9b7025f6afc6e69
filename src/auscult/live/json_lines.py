"""JSON lines on a stream: every event, and every window if asked for."""

from collections.abc import Mapping
from typing import Any, TextIO

from auscult.live.delivery import DeliveryError
from auscult.live.events import dumps


class JsonLines:
    """Writes each event as a line of JSON.

    Args:
        stream: to write to.

    Attributes:
        refused: why the last line could not be written, if so.
    """

    name = "json"

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.refused: OSError | None = None

    def send(self, key: str, line: str) -> None:
        """Write one event.

        Raises:
            DeliveryError: if the stream does not take it.
        """
        self._write(line)
        if self.refused is not None:
            raise DeliveryError(f"standard output does not take JSON lines ({self.refused.strerror or self.refused})")

    def window(self, data: Mapping[str, Any]) -> None:
        """Write a window, once: windows are not kept."""
        self._write(dumps(data))

    def close(self) -> None:
        """The stream belongs to others."""

    def _write(self, line: str) -> None:
        self.refused = None
        try:
            self.stream.write(line + "\n")
            self.stream.flush()
        except OSError as error:
            self.refused = error
