"""Work with one detector in several processes, which read it from a file once."""

import tempfile
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache, partial
from pathlib import Path
from typing import TypeVar

from auscult.detector.detector import Detector
from auscult.detector.writing import write_detector
from auscult.processes import in_order, single_thread

Item = TypeVar("Item")
Made = TypeVar("Made")


def in_processes(
    detector: Detector,
    work: Callable[[Detector, Item], Made],
    items: Iterable[Item],
    *,
    workers: int,
    died: Callable[[Item], Made],
) -> Iterator[Made]:
    """What the work makes of each item, in order; see `in_order`.

    Args:
        detector: that the work is given.
        work: a function of a module, or a `partial` of one.
        items: to work on.
        workers: processes, with one thread each.
        died: gives what stands for an item at which two processes died, or raises.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "shared.auscult")
        write_detector(detector, file)
        yield from in_order(partial(_by_file, file, work), items, workers=workers, died=died)


def _by_file(file: Path, work: Callable[[Detector, Item], Made], item: Item) -> Made:
    """In a worker."""
    with single_thread():
        return work(_loaded(file), item)


@lru_cache(maxsize=1)
def _loaded(file: Path) -> Detector:
    return Detector.load(file)
