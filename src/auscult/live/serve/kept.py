"""What was made at some cost, kept for a while."""

from collections import OrderedDict
from typing import Any


class Kept:
    """The evidence that was asked for of late: what was made once is not made again soon."""

    def __init__(self, most: int = 64) -> None:
        self._most = most
        self._content: OrderedDict[str, dict[str, Any]] = OrderedDict()

    def get(self, name: str) -> dict[str, Any] | None:
        """What is kept under a name."""
        if name in self._content:
            self._content.move_to_end(name)
        return self._content.get(name)

    def put(self, name: str, content: dict[str, Any]) -> None:
        """Keep it, and forget what was not asked for longest."""
        self._content[name] = content
        while len(self._content) > self._most:
            self._content.popitem(last=False)
