"""The detector's file as bytes: a zip of stored entries, read in memory and checked before anything is looked at."""

import io
import json
import struct
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from auscult.errors import DetectorError
from auscult.files import replacing

DESCRIPTION = "detector.json"
"""The entry that says what all others are."""

MOST_BYTES = 4 * 2**30
"""Of a file."""

MOST_DESCRIPTION_BYTES = 64 * 2**20

MOST_ENTRIES = 4096

_TIME = (1980, 1, 1, 0, 0, 0)  # the same detector gives the same bytes


def write_archive(path: Path, description: Mapping[str, Any], blobs: Mapping[str, bytes]) -> None:
    """Write a description and further entries by way of a temporary name.

    Args:
        path: of the file; what lies there is replaced at the end.
        description: what JSON can hold, without numbers that are not finite.
        blobs: entry -> its bytes.

    Raises:
        RunError: if the disk is full or the folder cannot be written to.
    """
    text = json.dumps(description, indent=1, allow_nan=False).encode()
    with replacing(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
        for name, content in {DESCRIPTION: text, **blobs}.items():
            archive.writestr(zipfile.ZipInfo(name, date_time=_TIME), content)


def read_archive(path: Path) -> tuple[dict[str, Any], dict[str, bytes]]:
    """The description and the other entries of a file, in memory; nothing is unpacked on disk.

    Only stored entries are accepted, so that none is larger than the file.

    Raises:
        DetectorError: if the file cannot be read, is no such archive or is damaged.
    """
    content = _content(path)
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            _check_entries(path, archive.infolist(), len(content))
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
        OSError,
    ) as error:
        raise DetectorError(f"{path} is no detector, or damaged ({error}); {ADVICE}") from error
    text = entries.pop(DESCRIPTION, None)
    if text is None:
        raise DetectorError(f"{path} is a zip without {DESCRIPTION}, so it is no detector; {ADVICE}")
    return _parsed(path, text), entries


ADVICE = "give a file that `auscult learn` or `auscult pack` wrote, or make it again"
"""What to do about a file that cannot be read."""


def _content(path: Path) -> bytes:
    try:
        if not path.is_file():
            what = "is a folder" if path.is_dir() else "does not exist"
            raise DetectorError(f"{path} {what}; {ADVICE}")
        if path.stat().st_size > MOST_BYTES:
            raise DetectorError(f"{path} has {path.stat().st_size} bytes, more than any detector; {ADVICE}")
        return path.read_bytes()
    except OSError as error:
        raise DetectorError(f"{path} cannot be read: {error.strerror or error}; check its permissions") from error


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


def _parsed(path: Path, text: bytes) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DetectorError(f"{path}: {DESCRIPTION} is no JSON that can be read ({error}); {ADVICE}") from error
    if not isinstance(found, dict):
        raise DetectorError(f"{path}: {DESCRIPTION} describes no detector; {ADVICE}")
    return found
