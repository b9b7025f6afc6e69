"""A watched folder: each file is heard once, in order, and not before it is complete."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from auscult.errors import AudioError, MonitorError
from auscult.live.sound import POLL_SECONDS, End, FileKey, Item, Solved, SourceProblem, Waiting, file_key, hear_file
from auscult.sound.audio import SUFFIXES, Channel, probe
from auscult.sound.folders import OTHER_SUFFIXES, is_hidden, not_read

STABLE_SECONDS = 2.0
"""A file that has not changed for so long, and whose header promises no more than is there, is complete."""

GIVE_UP_SECONDS = 60.0
"""A file that has not changed for so long and still cannot be read is damaged; one that does not say its length is
complete."""

SCAN_SECONDS = 1.0


class FolderSource:
    """New files of a folder and its subfolders, the oldest change first, then by name; hidden files are left out.

    A file waits for older ones that are not complete. A file that cannot be read is reported and passed over; so is a
    folder that vanishes, until it is back.

    Args:
        folder: to watch.
        sample_rate: of the scorer, in Hz.
        channel: that is heard, or the two.
        heard: gives a file of a name as it was heard before, or None. Those that are there are remembered, so that
            memory is as large as the folder; others are asked for when they come back, as after a mount that failed.
        stop: ends the iteration when set.
        stall_seconds: without a new file.
        stable_seconds: see `STABLE_SECONDS`.
        give_up_seconds: see `GIVE_UP_SECONDS`.
        until_idle: end when all is heard, instead of watching.
    """

    live = False

    def __init__(
        self,
        folder: Path,
        *,
        sample_rate: int,
        channel: Channel,
        heard: Callable[[str], FileKey | None],
        stop: threading.Event,
        stall_seconds: float,
        stable_seconds: float = STABLE_SECONDS,
        give_up_seconds: float = GIVE_UP_SECONDS,
        until_idle: bool = False,
    ) -> None:
        self.folder, self.sample_rate, self.channel, self.stop = folder, sample_rate, channel, stop
        self.stall_seconds, self.stable_seconds, self.give_up_seconds = stall_seconds, stable_seconds, give_up_seconds
        self.name, self.until_idle = str(folder), until_idle
        self._look_up = heard
        self._heard: dict[str, FileKey | None] = {}
        self._since: dict[FileKey, float] = {}  # when a file that was not heard was first seen like this
        self._unread: dict[str, bool] = {}  # files of other formats, and whether they were named
        self._gone = False

    def __iter__(self) -> Iterator[Item]:
        """Complete files, one after the other."""
        last = time.monotonic()
        while not self.stop.is_set():
            waiting = False
            for path, key in self._new_files():
                readable = self._readable(path, key)
                waiting = readable is None
                if self.stop.is_set() or readable is None:
                    break
                yield from self._hear(path, key, readable)
                last = time.monotonic()
            yield from self._folder_problems()
            if self.until_idle and not waiting:
                return
            yield Waiting(time.monotonic() - last)
            self._pause()

    def _pause(self) -> None:
        for _ in range(round(SCAN_SECONDS / POLL_SECONDS)):
            self.stop.wait(POLL_SECONDS)

    def _new_files(self) -> list[tuple[Path, FileKey]]:
        """Files that were not heard, in order; and forgets those that are gone."""
        there: dict[str, tuple[Path, FileKey]] = {}
        with suppress(OSError):  # of a folder that vanishes; `_folder_problems` reports it
            for path in self.folder.rglob("*"):
                name = path.relative_to(self.folder)
                if is_hidden(name):
                    continue
                if path.suffix.lower() in OTHER_SUFFIXES:
                    self._unread.setdefault(str(path), False)
                elif path.suffix.lower() in SUFFIXES:
                    with suppress(OSError):  # of a file that vanishes
                        if path.is_file():
                            key = file_key(path, str(name))
                            there[key.name] = path, key
        self._heard = {name: self._heard.get(name) or self._look_up(name) for name in there}
        new = [(path, key) for name, (path, key) in there.items() if self._heard.get(name) != key]
        now = time.monotonic()
        self._since = {key: self._since.get(key, now) for _, key in new}
        return sorted(new, key=lambda item: (item[1].mtime_ns, item[1].name))

    def _readable(self, path: Path, key: FileKey) -> bool | None:
        """True for a complete file, False for a damaged one, None for one that may still grow."""
        unchanged = time.monotonic() - self._since[key]
        if unchanged < self.stable_seconds:
            return None
        try:
            if file_key(path, str(path.relative_to(self.folder))) != key:
                return None
            if probe(path).note and unchanged < self.give_up_seconds:  # its recorder may have stopped, or be slow
                return None
        except FileNotFoundError:
            return None
        except AudioError:
            return False if unchanged >= self.give_up_seconds else None
        return True

    def _hear(self, path: Path, key: FileKey, readable: bool) -> Iterator[Item]:
        """One file; it is heard when all that follows from it is written down, so the next item comes after that."""
        try:
            if not readable:
                probe(path)  # says what is wrong
            for item in hear_file(path, key, sample_rate=self.sample_rate, channel=self.channel):
                if self.stop.is_set():
                    return
                yield item
        except (AudioError, MonitorError, OSError) as error:
            yield SourceProblem("file", f"not heard, or not to its end: {error}", lasts=False)
            yield End(key)
        self._heard[key.name] = key
        self._since.pop(key, None)

    def _folder_problems(self) -> Iterator[Item]:
        for path in [path for path, named in self._unread.items() if not named]:
            self._unread[path] = True
            yield SourceProblem("file", f"not heard: {not_read(Path(path))}", lasts=False)
        gone = not self.folder.is_dir()
        if gone and not self._gone:
            yield SourceProblem("vanished", f"{self.folder} is gone; mount or create it again, it is looked for")
        elif self._gone and not gone:
            yield Solved("vanished")
        self._gone = gone
