"""One file over HTTP: continued where it broke off, checked by its hash, and never half there."""

import hashlib
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from auscult.errors import DownloadError

if TYPE_CHECKING:
    import requests
    from rich.progress import Progress, TaskID

Hash = tuple[str, Callable[[Path], str]]
"""Name and function of a hash."""

_CHUNK = 1 << 16  # bytes; at most so many that had come are lost when a transfer breaks off
_TIMEOUT = (10.0, 60.0)  # seconds to connect, and to wait for more
_PASSING = (408, 425, 429, 500, 502, 503, 504)  # answers that may be better in a moment
_ATTEMPTS, _WAIT = 5, 2.0  # failures in a row; seconds after the first, doubled after each further one
_RANGE = re.compile(r"bytes (?:(?P<first>\d+)-\d+|\*)/(?P<total>\d+)")


def fetch(url: str, file: Path, *, hashed: Hash, expected: str, progress: bool = True) -> None:
    """Fetch a file, unless it is there already, and check it before it gets its name.

    Args:
        url: its address.
        file: where to put it; until it is complete and checked, what has come lies in `<file>.part`.
        hashed: name and function of the hash by which it is known.
        expected: what that gives.
        progress: show a progress bar on standard error.

    Raises:
        DownloadError: if the server refuses, the transfer breaks off for good, the disk is full or the hash is wrong.
    """
    name, digest = hashed
    if file.is_file() and digest(file) == expected:
        return
    part = file.with_name(f"{file.name}.part")
    _Transfer(url, part).run(progress=progress)
    if digest(part) != expected:
        part.unlink()
        raise DownloadError(
            f"{url} is not the official file, its {name} is not {expected}; what came was removed. Run the command "
            "again; if this happens twice, the server or a proxy alters the file"
        )
    part.replace(file)


def md5(file: Path) -> str:
    """The md5 of a file, in hexadecimal digits."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "md5").hexdigest()


class _Transfer:
    """Fetches an address into a file in which the bytes gather; it survives breaks and the end of the program."""

    def __init__(self, url: str, part: Path) -> None:
        self.url, self.part = url, part

    def run(self, *, progress: bool) -> None:
        """Fetch what is missing; after some failures in a row, without one more byte, give up."""
        import requests

        failures, most = 0, self._size()
        with _progress_bar(progress) as bar:
            task = bar.add_task(self.part.stem, total=None)
            while True:
                try:
                    self._continue(bar, task)
                    return
                except requests.RequestException as error:
                    failures = failures + 1 if self._size() <= most else 1
                    most = max(most, self._size())
                    if failures >= _ATTEMPTS:
                        raise self._broken(error) from error
                    time.sleep(_WAIT * 2 ** (failures - 1))

    def _continue(self, bar: "Progress", task: "TaskID") -> None:
        """One request for what is missing; a break in it raises a `requests.RequestException`."""
        import requests

        there = self._size()
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={there}-"} if there else {})
        with requests.get(self.url, headers=headers, stream=True, timeout=_TIMEOUT) as response:
            match = _RANGE.fullmatch(response.headers.get("Content-Range", ""))
            if response.status_code == 416 and match and int(match["total"]) == there:
                return  # the last break came after the last byte
            resumed = response.status_code == 206 and match is not None and match["first"] == str(there)
            if response.status_code in (206, 416) and not resumed:
                self.part.unlink(missing_ok=True)
                raise requests.ConnectionError("the server cannot continue the transfer")
            _require_success(self.url, response)
            there = there if resumed else 0
            length = response.headers.get("Content-Length")
            total = there + int(length) if length else None
            self._require_space(total, there)
            bar.update(task, completed=there, total=total)
            with self.part.open("ab" if resumed else "wb") as file:
                for chunk in response.iter_content(_CHUNK):
                    file.write(chunk)
                    bar.advance(task, len(chunk))
        if total is not None and self._size() < total:
            raise requests.ConnectionError(f"{self._size()} of {total} bytes came")

    def _size(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def _require_space(self, total: int | None, there: int) -> None:
        free = shutil.disk_usage(self.part.parent).free
        if total is not None and total - there > free:
            raise DownloadError(
                f"{self.part.stem} needs {total - there:,} more bytes and {self.part.parent} has {free:,} free; free "
                "some space and run the command again, it continues"
            )

    def _broken(self, error: "requests.RequestException") -> DownloadError:
        return DownloadError(
            f"{self.url} could not be fetched ({error}); {self._size():,} bytes are kept. Check the connection and run "
            "the command again, it continues there"
        )


def _require_success(url: str, response: "requests.Response") -> None:
    if response.status_code in _PASSING:
        response.raise_for_status()
    if response.status_code not in (200, 206):
        answer = f"{response.status_code} {response.reason}"
        raise DownloadError(f"{url}: the server answers {answer}; check the address, or try another mirror")


def _progress_bar(shown: bool) -> "Progress":
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=Console(stderr=True), disable=not shown)


@contextmanager
def alone_in(to: Path, *, lock: Path) -> Iterator[None]:
    """Hold the lock of a folder that is downloaded to, made if missing.

    Raises:
        DownloadError: if another download is working there, or the folder cannot be written to.
    """
    from filelock import FileLock, Timeout

    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(lock, timeout=0):
            yield
    except Timeout:
        raise DownloadError(
            f"another download is working in {to}; wait for its end, or choose another folder"
        ) from None
    except OSError as error:
        raise DownloadError(
            f"cannot write to {to}: {error.strerror or error}; mend this and run the command again"
        ) from error
