"""Where the next part of a list begins, as text that goes through a URL."""

import base64
import binascii
import json
from contextlib import suppress
from typing import Any

from sqlalchemy import ColumnElement, tuple_

from auscult.errors import MonitorError


def cursor_of(*values: float | str) -> str:
    """The place behind a row, by the values that order the list.

    >>> cursor_of(1.5, "a")
    'WzEuNSwgImEiXQ'
    """
    return base64.urlsafe_b64encode(json.dumps(values).encode()).decode().rstrip("=")


def after(cursor: str, number: Any, text: Any) -> ColumnElement[bool]:
    """The rows behind a place, in descending order of a number and a text.

    Raises:
        MonitorError: if the cursor was not made for them.
    """
    try:
        values = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (binascii.Error, ValueError):
        values = None
    match values:
        case [int() | float() as first, str() as second]:
            with suppress(OverflowError, UnicodeEncodeError):
                second.encode()
                return tuple_(number, text) < tuple_(float(first), second)
    raise _refused(cursor)


def number_of(cursor: str) -> int:
    """The number before which the next part lies.

    Raises:
        MonitorError: if the cursor is none.
    """
    if not cursor.isascii() or not cursor.isdecimal() or len(cursor) > 18:
        raise _refused(cursor)
    return int(cursor)


def _refused(cursor: str) -> MonitorError:
    return MonitorError(f"the cursor {cursor[:40]!r} is none of this list; give `next` of the part before, or none")
