"""The official archives of DCASE 2020 Task 2: fetched with resume, checked, unpacked into the layout of `dcase`."""

import csv
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from auscult.clips import MACHINE_TYPES
from auscult.datasets.transfer import alone_in, fetch
from auscult.datasets.unpacking import unpack
from auscult.errors import DownloadError, nearest

ZENODO = "https://zenodo.org/records"
"""Where the archives are published: `<record>/files/<archive>` below this address."""

ARCHIVES_FOLDER = ".archives"
"""In the data folder: archives, unfinished transfers, and a record of each archive that was unpacked."""


@dataclass(frozen=True, slots=True)
class Archive:
    """One published archive.

    Attributes:
        part: part of the challenge: development, additional or evaluation.
        machine_type: the machine type whose clips it holds, below a folder of that name.
        record: number of the Zenodo record.
        name: file name.
        md5: checksum, in hexadecimal digits.
        folder: folder of the layout into which it is unpacked.
    """

    part: str
    machine_type: str
    record: str
    name: str
    md5: str
    folder: str


_TABLE = (files("auscult.datasets") / "dcase2020.csv").read_text(encoding="utf-8")
ARCHIVES = tuple(Archive(**row) for row in csv.DictReader(_TABLE.splitlines()))
PARTS = tuple(dict.fromkeys(archive.part for archive in ARCHIVES))
"""Parts of the challenge, each of which can be fetched alone."""


def download_dcase2020(
    to: Path,
    *,
    parts: Sequence[str] = PARTS,
    machine_types: Sequence[str] | None = None,
    base_url: str = ZENODO,
    keep_archives: bool = False,
    progress: bool = True,
) -> list[Path]:
    """Fetch and unpack the official archives.

    Archives that were unpacked before are not fetched again, and a transfer that broke off continues. The labels of the
    evaluation set are no part of them: put the challenge's `eval_data_list.csv` into the folder.

    Args:
        to: the data folder, made if missing.
        parts: of "development", "additional" and "evaluation".
        machine_types: only these; by default all six.
        base_url: another server with the same paths, a mirror for instance.
        keep_archives: keep the archives after unpacking, in the hidden folder `.archives`.
        progress: show progress bars on standard error.

    Returns:
        The folders of the machine types.

    Raises:
        DownloadError: if a part or machine type is not known, a transfer fails, an archive is not the official one or
            not safe to unpack, the disk is full, or another download is working in the folder.
    """
    _require_known("part", parts, PARTS)
    _require_known("machine type", machine_types or (), MACHINE_TYPES)
    chosen = [
        archive
        for archive in ARCHIVES
        if archive.part in parts and (machine_types is None or archive.machine_type in machine_types)
    ]
    with alone_in(to, lock=to / ARCHIVES_FOLDER / "lock"):
        for archive in chosen:
            if not _is_done(archive, to):
                _install(archive, to, base_url=base_url, keep=keep_archives, progress=progress)
    return list(dict.fromkeys(to / archive.folder / archive.machine_type for archive in chosen))


def _install(archive: Archive, to: Path, *, base_url: str, keep: bool, progress: bool) -> None:
    """Fetch, check and unpack one archive."""
    file = to / ARCHIVES_FOLDER / archive.name
    url = f"{base_url.rstrip('/')}/{archive.record}/files/{archive.name}"
    fetch(url, file, expected=archive.md5, digest=_md5, kind="md5", progress=progress)
    unpacked = unpack(file, to / archive.folder)
    names = sorted(path.relative_to(to).as_posix() for path in unpacked)
    temporary = _record(archive, to).with_suffix(".tmp")
    temporary.write_text("\n".join([archive.md5, *names]) + "\n", encoding="utf-8")
    temporary.replace(_record(archive, to))
    if not keep:
        file.unlink()


def _md5(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "md5").hexdigest()


def _is_done(archive: Archive, to: Path) -> bool:
    """Whether this archive was unpacked and all its files are still there."""
    record = _record(archive, to)
    if not record.is_file():
        return False
    unpacked, *names = record.read_text(encoding="utf-8").splitlines()
    return unpacked == archive.md5 and all((to / name).is_file() for name in names)


def _record(archive: Archive, to: Path) -> Path:
    return to / ARCHIVES_FOLDER / f"{archive.name}.ok"


def _require_known(what: str, given: Iterable[str], known: Sequence[str]) -> None:
    for name in given:
        if name not in known:
            raise DownloadError(
                f"unknown {what} {name!r}{nearest(name, known)}; DCASE 2020 Task 2 has {', '.join(known)}"
            )
