"""One file over HTTP: continued where it broke off, checked by its hash, and never half there."""

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

_CHUNK = 1 << 16  # bytes; at most so many that had come are lost when a transfer breaks off
_TIMEOUT = (10.0, 60.0)  # seconds to connect, and to wait for more
_ATTEMPTS = 5  # failures in a row, without one more byte, after which to give up
_WAIT = 2.0  # seconds after the first failure; doubled after each further one
_PASSING = (408, 425, 429, 500, 502, 503, 504)  # answers that may be better in a moment
_RANGE = re.compile(r"bytes (?:(?P<first>\d+)-\d+|\*)/(?P<total>\d+)")


def fetch(
    url: str, file: Path, *, expected: str, digest: Callable[[Path], str], kind: str, progress: bool = True
) -> None:
    """Fetch a file, unless it is there already, and check it.

    Args:
        url: its address.
        file: where to put it; until it is complete and checked, what has come lies in `<file>.part`, which survives
            breaks and the end of the program.
        expected: hash of the official file.
        digest: the hash of a file.
        kind: the name of this hash.
        progress: show a progress bar on standard error.

    Raises:
        DownloadError: if the server refuses, the transfer breaks off for good, the disk is full or the hash is wrong.
    """
    if file.is_file() and digest(file) == expected:
        return
    part = file.with_name(f"{file.name}.part")
    _transfer(url, part, progress=progress)
    if digest(part) != expected:
        part.unlink()
        raise DownloadError(
            f"{url} is not the official file, its {kind} is not {expected}; what came was removed. Run the command "
            "again; if this happens twice, the server or a proxy alters the file"
        )
    part.replace(file)


def listing(url: str) -> dict[str, str]:
    """The files of a Zenodo record, from its address below `/api/records`: name -> MD5.

    Raises:
        DownloadError: if the server does not answer, or with something else.
    """
    import requests

    for failures in range(1, _ATTEMPTS + 1):
        try:
            with requests.get(url, timeout=_TIMEOUT) as response:
                _require_success(url, response)
                files = [(str(file["key"]), str(file["checksum"])) for file in response.json()["files"]]
        except requests.JSONDecodeError as error:
            raise DownloadError(f"{url} is no listing of a record ({error}); check the address") from error
        except requests.RequestException as error:
            if failures == _ATTEMPTS:
                text = f"{url} could not be read ({error}). Check the connection and run the command again"
                raise DownloadError(text) from error
            time.sleep(_WAIT * 2 ** (failures - 1))
        except (KeyError, TypeError) as error:
            raise DownloadError(f"{url} lists no files with their checksums; check the address") from error
        else:
            return {name: checksum.removeprefix("md5:") for name, checksum in files}
    raise AssertionError


def _transfer(url: str, part: Path, *, progress: bool) -> None:
    """Complete a part, in as many requests as it takes."""
    import requests
    from rich.console import Console
    from rich.progress import DownloadColumn, Progress, TransferSpeedColumn

    columns = (*Progress.get_default_columns(), DownloadColumn(), TransferSpeedColumn())
    failures, most = 0, _size(part)
    with Progress(*columns, console=Console(stderr=True), disable=not progress) as bar:
        task = bar.add_task(part.stem, total=None)
        while True:
            try:
                return _continue(url, part, bar, task)
            except requests.RequestException as error:
                failures = failures + 1 if _size(part) <= most else 1
                most = max(most, _size(part))
                if failures >= _ATTEMPTS:
                    raise DownloadError(
                        f"{url} could not be fetched ({error}); {_size(part):,} bytes are kept. Check the connection "
                        "and run the command again, it continues there"
                    ) from error
                time.sleep(_WAIT * 2 ** (failures - 1))


def _continue(url: str, part: Path, bar: "Progress", task: "TaskID") -> None:
    """One request for what is missing; a break in it raises a `requests.RequestException`."""
    import requests

    there = _size(part)
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={there}-"} if there else {})
    with requests.get(url, headers=headers, stream=True, timeout=_TIMEOUT) as response:
        match = _RANGE.fullmatch(response.headers.get("Content-Range", ""))
        if response.status_code == 416 and match and int(match["total"]) == there:
            return  # the last break came after the last byte
        resumed = response.status_code == 206 and match is not None and match["first"] == str(there)
        if response.status_code in (206, 416) and not resumed:
            part.unlink(missing_ok=True)
            raise requests.ConnectionError("the server cannot continue the transfer")
        _require_success(url, response)
        there = there if resumed else 0
        length = response.headers.get("Content-Length")
        total = there + int(length) if length else None
        if total is not None:
            _require_space(part, total - there)
        bar.update(task, completed=there, total=total)
        with part.open("ab" if resumed else "wb") as file:
            for chunk in response.iter_content(_CHUNK):
                file.write(chunk)
                bar.advance(task, len(chunk))
    if total is not None and _size(part) < total:
        raise requests.ConnectionError(f"{_size(part)} of {total} bytes came")


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _require_space(part: Path, missing: int) -> None:
    free = shutil.disk_usage(part.parent).free
    if missing > free:
        raise DownloadError(
            f"{part.stem} needs {missing:,} more bytes and {part.parent} has {free:,} free; free some space and run "
            "the command again, it continues"
        )


def _require_success(url: str, response: "requests.Response") -> None:
    if response.status_code in _PASSING:
        response.raise_for_status()
    if response.status_code not in (200, 206):
        answer = f"{response.status_code} {response.reason}"
        raise DownloadError(f"{url}: the server answers {answer}; check the address, or try another mirror")


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
