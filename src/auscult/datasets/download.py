"""The official archives of DCASE Task 2: fetched with resume, checked, unpacked into the layout of `dcase`."""

import csv
import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from auscult.datasets.transfer import alone_in, fetch, listing
from auscult.datasets.unpacking import unpack
from auscult.datasets.years import YEARS
from auscult.errors import DownloadError, nearest

ZENODO = "https://zenodo.org/records"
"""Where the archives are published: `<record>/files/<archive>` below this address, and what a record holds at
`/api/records/<record>` on the same server."""

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
"""Those of 2020, whose record does not change any more."""

PARTS = ("development", "additional", "evaluation")
"""Parts of the challenge, each of which can be fetched alone."""

_NAME = re.compile(
    r"(?P<set>dev|eval)(?:_data)?(?:_(?P<early>train|test))?_(?P<machine_type>[0-9A-Za-z]+)(?:_(?P<split>train|test))?"
    r"(?:_r(?P<revision>\d+))?\.zip"
)
_PLACES = {"development": ("dev", None), "additional": ("eval", "train"), "evaluation": ("eval", "test")}


def download_dcase(
    year: int,
    to: Path,
    *,
    parts: Sequence[str] = PARTS,
    machine_types: Sequence[str] | None = None,
    base_url: str = ZENODO,
    keep_archives: bool = False,
    progress: bool = True,
) -> list[Path]:
    """Fetch and unpack the official archives of a year.

    Which archives there are, and their checksums, the records themselves say (in 2020, a table here): a file that was
    replaced (`dev_ToyCar_r2.zip`) takes the place of the one before. Archives that were unpacked before are not fetched
    again, and a transfer that broke off continues. The labels of the evaluation set are no part of them: put the
    challenge's `eval_data_list.csv` into the folder.

    Args:
        year: of the challenge.
        to: the data folder, made if missing.
        parts: of "development", "additional" and "evaluation".
        machine_types: only these, in the parts that have them; by default all of the year.
        base_url: another server with the same paths, a mirror for instance.
        keep_archives: keep the archives after unpacking, in the hidden folder `.archives`.
        progress: show progress bars on standard error.

    Returns:
        The folders of the machine types.

    Raises:
        DownloadError: if a year, part or machine type is not known, a transfer fails, an archive is not the official
            one or not safe to unpack, the disk is full, or another download is working in the folder.
    """
    _require_known("year", [str(year)], [str(known) for known in YEARS], year=None)
    _require_known("part", parts, PARTS, year=year)
    _require_known("machine type", machine_types or (), YEARS[year].machine_types, year=year)
    with alone_in(to, lock=to / ARCHIVES_FOLDER / "lock"):
        published = [archive for part in parts for archive in _published(year, part, base_url, machine_types)]
        chosen = [one for one in published if machine_types is None or one.machine_type in machine_types]
        for name in machine_types or ():
            if all(one.machine_type != name for one in chosen):
                there = ", ".join(dict.fromkeys(one.machine_type for one in published))
                raise DownloadError(f"DCASE {year} has no {name} in {', '.join(parts)}; there are {there}")
        for archive in chosen:
            if not _is_done(archive, to):
                _install(archive, to, base_url=base_url, keep=keep_archives, progress=progress)
    return list(dict.fromkeys(to / archive.folder / archive.machine_type for archive in chosen))


def _published(year: int, part: str, base_url: str, machine_types: Sequence[str] | None = None) -> list[Archive]:
    """The archives of a part, each in its newest revision, as the record lists them.

    Raises:
        DownloadError: if the record cannot be read or lacks the archive of a machine type.
    """
    if year == 2020:
        return [archive for archive in ARCHIVES if archive.part == part]
    record = YEARS[year].records[PARTS.index(part)]
    base = base_url.rstrip("/")
    url = f"{base.removesuffix('/records')}/api/records/{record}"
    newest: dict[tuple[str, str], tuple[int, Archive]] = {}
    files = listing(url)
    place, wanted = _PLACES[part]
    for name, md5 in files.items():
        if (match := _NAME.fullmatch(name)) is None or match["set"] != place:
            continue
        kind, split, revision = (
            match["machine_type"],
            match["early"] or match["split"] or "",
            int(match["revision"] or 1),
        )
        if wanted and split not in (wanted, ""):
            continue
        if revision > newest.get((kind, split), (0, None))[0]:
            newest[kind, split] = revision, Archive(part, kind, record, name, md5, f"{place}_data")
    machines = YEARS[year].development if part == "development" else YEARS[year].evaluation
    there = {kind for kind, _ in newest}
    if lacking := [kind for kind in machines if kind not in there and kind in (machine_types or machines)]:
        raise DownloadError(
            f"{url} lists no archive of {', '.join(lacking)} for the {part} data, only {', '.join(files) or 'none'}; "
            "the record was moved or renamed: fetch it by hand"
        )
    return [archive for _, (_, archive) in sorted(newest.items())]


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


def _require_known(what: str, given: Iterable[str], known: Sequence[str], *, year: int | None) -> None:
    for name in given:
        if name not in known:
            whose = f"DCASE {year or ''} Task 2".replace("  ", " ")
            raise DownloadError(f"unknown {what} {name!r}{nearest(name, known)}; {whose} has {', '.join(known)}")
