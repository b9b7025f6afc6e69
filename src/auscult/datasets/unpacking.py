"""Zip archives unpacked safely: nothing outside the folder, nothing half-written, nothing that the disk cannot hold."""

import shutil
import stat
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from auscult.errors import DownloadError


def unpack(archive: Path, into: Path) -> list[Path]:
    """Unpack a zip archive into a folder that may already hold others.

    Everything is unpacked into a temporary folder beside `archive`, checked, and then moved: new folders whole, in one
    step.

    Returns:
        The files, in the archive's order.

    Raises:
        DownloadError: if the archive is damaged, holds a name that is absolute or leads out of the folder, a link or an
            encrypted file, or does not fit on the disk.
        OSError: if the disk cannot be written to.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            entries = opened.infolist()
            for entry in entries:
                _require_safe(archive, entry)
            _require_space(archive, sum(entry.file_size for entry in entries))
            scratch = archive.with_name(f"{archive.stem}.unpacking")
            try:
                opened.extractall(scratch)
                _merge(scratch, into)
            finally:
                shutil.rmtree(scratch, ignore_errors=True)
            return [into / entry.filename for entry in entries if not entry.is_dir()]
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise DownloadError(f"{archive} is damaged ({error}); remove it and download it again") from error


def _require_safe(archive: Path, entry: zipfile.ZipInfo) -> None:
    name, mode = entry.filename, entry.external_attr >> 16
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or ":" in name or not path.parts:
        wrong = "a name that leads out of the folder"
    elif stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
        wrong = "a link or device"
    elif entry.flag_bits & 1:
        wrong = "an encrypted file"
    else:
        return
    raise DownloadError(f"{archive} holds {wrong}, {name!r}; it was not unpacked, remove it")


def _require_space(archive: Path, n_bytes: int) -> None:
    free = shutil.disk_usage(archive.parent).free
    if n_bytes > free:
        raise DownloadError(
            f"{archive.name} needs {n_bytes / 1e9:.2f} GB unpacked and {archive.parent} has {free / 1e9:.2f} GB free; "
            "free some space and run the command again"
        )


def _merge(source: Path, target: Path) -> None:
    """Move what `source` holds to `target`; folders that are there already are filled, files replaced."""
    target.mkdir(parents=True, exist_ok=True)
    for path in sorted(source.iterdir()):
        destination = target / path.name
        if path.is_dir() and destination.is_dir():
            _merge(path, destination)
        else:
            path.replace(destination)
