"""The detector's file as bytes: a zip of stored entries, read in memory and checked before anything is looked at."""

import json
import struct
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from auscult.errors import DetectorError

DESCRIPTION = "detector.json"
"""The entry that says what all others are."""

MOST_BYTES = 2**29
"""Of a file."""

MOST_DESCRIPTION_BYTES = 2**23

MOST_ENTRIES, MOST_DIRECTORY_BYTES = 4096, 2**20
"""Of the zip: how many, and the length of the list of them."""

MOST_HEADER_BYTES, MOST_HEADERS_BYTES = 2**17, 2**20
"""Of what one entry, and all of them, say of their tensors: names, types and shapes."""

_TIME = (1980, 1, 1, 0, 0, 0)  # the same detector gives the same bytes


def write_archive(path: Path, description: Mapping[str, Any], blobs: Mapping[str, bytes]) -> None:
    """Write a description and further entries.

    Args:
        path: of the file; what lies there is replaced.
        description: what JSON can hold, without numbers that are not finite.
        blobs: entry -> its bytes.

    Raises:
        OSError: if the disk is full or the folder cannot be written to.
    """
    text = json.dumps(description, indent=1, allow_nan=False).encode()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, content in {DESCRIPTION: text, **blobs}.items():
            archive.writestr(zipfile.ZipInfo(name, date_time=_TIME), content)


def read_archive(path: Path) -> tuple[bytes, dict[str, bytes]]:
    """The description, as JSON, and the other entries of a file, in memory; nothing is unpacked on disk.

    Only stored entries are accepted, so that none is larger than the file; lists are measured before they are read.

    Raises:
        DetectorError: if the file cannot be read, is no such archive or is damaged.
    """
    n_bytes = _size(path)
    try:
        _check_directory(path, n_bytes)
        with zipfile.ZipFile(path) as archive:
            _check_entries(path, archive.infolist(), n_bytes)
            entries = {info.filename: archive.read(info) for info in archive.infolist()}
    except (
        zipfile.BadZipFile,
        zlib.error,
        struct.error,
        EOFError,
        ValueError,
        OverflowError,
        NotImplementedError,
        RuntimeError,  # of an entry that is encrypted
    ) as error:
        raise DetectorError(f"{path} is no detector, or damaged ({error}); {ADVICE}") from error
    except OSError as error:
        raise DetectorError(f"{path} cannot be read: {error.strerror or error}; check its permissions") from error
    text = entries.pop(DESCRIPTION, None)
    if text is None:
        raise DetectorError(f"{path} is a zip without {DESCRIPTION}, so it is no detector; {ADVICE}")
    _check_headers(path, entries)
    return text, entries


ADVICE = "give a file that `auscult learn` or `auscult pack` wrote, or make it again"
"""What to do about a file that cannot be read."""


def _size(path: Path) -> int:
    """Bytes of a file that may be a detector."""
    try:
        if not path.is_file():
            what = "is a folder" if path.is_dir() else "does not exist"
            raise DetectorError(f"{path} {what}; {ADVICE}")
        n_bytes = path.stat().st_size
    except OSError as error:
        raise DetectorError(f"{path} cannot be read: {error.strerror or error}; check its permissions") from error
    if n_bytes > MOST_BYTES:
        raise DetectorError(f"{path} has {n_bytes} bytes, more than any detector; {ADVICE}")
    return n_bytes


def _check_directory(path: Path, n_bytes: int) -> None:
    """Refuse a zip whose list of entries would take long to read: its length stands in the last 22 bytes."""
    with path.open("rb") as file:
        file.seek(max(0, n_bytes - 42))
        end = file.read()
    if end[-22:-18] != b"PK\5\6":
        raise zipfile.BadZipFile("it does not end as a zip file without a comment")
    if end[:4] == b"PK\6\7" or int.from_bytes(end[-10:-6], "little") > MOST_DIRECTORY_BYTES:
        raise zipfile.BadZipFile("its list of entries is too long")


def _check_headers(path: Path, entries: Mapping[str, bytes]) -> None:
    """Refuse more names of tensors than a detector can have; a safetensors file begins with their length."""
    lengths = [min(len(content), int.from_bytes(content[:8], "little")) for content in entries.values()]
    if max(lengths, default=0) > MOST_HEADER_BYTES or sum(lengths) > MOST_HEADERS_BYTES:
        raise DetectorError(
            f"{path} is damaged or not to be trusted: it has {max(lengths)} bytes of names of tensors in one entry and "
            f"{sum(lengths)} in all, and a detector has at most {MOST_HEADER_BYTES} and {MOST_HEADERS_BYTES}; {ADVICE}"
        )


def _check_entries(path: Path, entries: list[zipfile.ZipInfo], n_bytes: int) -> None:
    names = [info.filename for info in entries]
    problem = None
    if len(entries) > MOST_ENTRIES:
        problem = f"{len(entries)} entries"
    elif len(set(names)) < len(names):
        problem = "two entries of one name"
    elif wrong := [name for name in names if not _is_plain(name)]:
        problem = f"the entry {wrong[0]!r}, which is no plain name"
    elif wrong := [info.filename for info in entries if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1]:
        problem = f"the entry {wrong[0]!r}, which is compressed or encrypted"
    elif (
        any(info.file_size != info.compress_size for info in entries)
        or sum(info.file_size for info in entries) > n_bytes
    ):
        problem = "entries larger than itself"
    elif any(info.filename == DESCRIPTION and info.file_size > MOST_DESCRIPTION_BYTES for info in entries):
        problem = f"a {DESCRIPTION} larger than {MOST_DESCRIPTION_BYTES} bytes"
    if problem:
        raise DetectorError(f"{path} has {problem}; a detector never has. It may be damaged or not to be trusted")


def _is_plain(name: str) -> bool:
    """Whether a name is `a/b.c`, without anything that could lead out of a folder."""
    parts = name.split("/")
    return (
        name.isascii()
        and name.isprintable()
        and not set(name) & set('\\:*?"<>|')
        and all(part.strip(". ") for part in parts)
    )
