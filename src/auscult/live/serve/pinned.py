"""The detectors of a plant as they were when the server was started: copies, so that all who score use the same."""

import shutil
from pathlib import Path
from typing import Literal

from auscult.files import saving
from auscult.live.history import file_hash

FOLDER = ".detectors"
"""In that of the history, emptied at each start, so of a name that nobody gives to one of their own."""

Since = Literal["same", "changed", "gone"]
"""What became of a detector's file since the start."""


class Pinned:
    """Copies of detectors: a file that is replaced while the server runs changes nothing before the next start.

    Args:
        state: folder of the history.

    Raises:
        RunError: if it cannot be written to.
    """

    def __init__(self, state: Path) -> None:
        self._folder = emptied(state / FOLDER)
        self._copies: dict[Path, Path] = {}
        self._known: dict[Path, tuple[tuple[int, ...] | None, Since]] = {}  # what was found at a mark of the file

    def copy(self, detector: Path) -> Path:
        """The copy of a detector's file, made when it is first asked for.

        Raises:
            RunError: if it cannot be made.
        """
        if detector not in self._copies:
            copy = self._folder / f"{len(self._copies)}.auscult"
            with saving(copy):
                self._known[detector] = _mark(detector), "same"
                shutil.copyfile(detector, copy)
            self._copies[detector] = copy
        return self._copies[detector]

    def since(self, detector: Path) -> Since:
        """Whether a detector's file is still what was copied; one that was written anew with the same content is."""
        mark = _mark(detector)
        if mark is None:
            return "gone"
        if mark != self._known[detector][0]:
            try:
                same = file_hash(detector) == file_hash(self._copies[detector])
            except OSError:
                return "gone"
            self._known[detector] = mark, "same" if same else "changed"
        return self._known[detector][1]


def emptied(folder: Path) -> Path:
    """A folder without what a server that was killed left in it.

    Raises:
        RunError: if it cannot be made.
    """
    shutil.rmtree(folder, ignore_errors=True)
    with saving(folder):
        folder.mkdir()
    return folder


def _mark(file: Path) -> tuple[int, ...] | None:
    """By which a change is noticed without reading the file; none if it is gone."""
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
