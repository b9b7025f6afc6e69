"""Work with one detector in several processes, which read it from a file once."""

import tempfile
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

from auscult.detector.detector import Detector
from auscult.processes import single_thread

Item = TypeVar("Item")
Made = TypeVar("Made")


def in_processes(
    detector: Detector, work: Callable[[Detector, Item], Made], items: Iterable[Item], *, workers: int
) -> Iterator[Made]:
    """What the work makes of each item, in order; a few items are in flight.

    Args:
        detector: that the work is given.
        work: a function of a module, or a `partial` of one.
        items: to work on.
        workers: processes, with one thread each.
    """
    from joblib import Parallel, delayed

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "shared.auscult")
        detector.save(file)
        calls = (delayed(_by_file)(file, work, item) for item in items)
        yield from Parallel(n_jobs=workers, return_as="generator")(calls)


def _by_file(file: Path, work: Callable[[Detector, Item], Made], item: Item) -> Made:
    """In a worker."""
    with single_thread():
        return work(_loaded(file), item)


@lru_cache(maxsize=1)
def _loaded(file: Path) -> Detector:
    return Detector.load(file)
