"""A disk without room, for tests of what is said then."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest


@contextmanager
def little_room(n_bytes: int) -> Iterator[None]:
    """While it lasts, no file of this process grows beyond so many bytes: the system refuses it as a full disk does."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
