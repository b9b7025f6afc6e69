"""The official archives of DCASE 2020 Task 2: fetched with resume, checked, unpacked into the layout of `dcase`."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from auscult.clips import MACHINE_TYPES
from auscult.datasets.dcase import DEVELOPMENT_FOLDER, EVALUATION_FOLDER
from auscult.datasets.transfer import alone_in, fetch, md5_of
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
    record: int
    name: str
    md5: str
    folder: str


_PARTS = {
    "development": (3678171, "dev_data", DEVELOPMENT_FOLDER),
    "additional": (3727685, "eval_data_train", EVALUATION_FOLDER),
    "evaluation": (3841772, "eval_data_test", EVALUATION_FOLDER),
}
_MD5 = {
    "development": {
        "ToyCar": "4dec75ca8d9f666aa9e4c1894a740501",
        "ToyConveyor": "03b6aa1bfd09a39d53af0ba39f71fa91",
        "fan": "649bdfc06263ae7a838963f43b6641e6",
        "pump": "90e7091ef722b7238a7f1009365779cd",
        "slider": "da24a757719f0d94d5aa2d646bbfdc86",
        "valve": "34d2672f55bb041589ef79c10dc89934",
    },
    "additional": {
        "ToyCar": "a5d4ccd498af70b04dd74b644b820006",
        "ToyConveyor": "0e808ac0b761e9fb13d5e0c65caff00d",
        "fan": "567798854130c8019df8b664c095ed1e",
        "pump": "4e33ae9c0db5cc88437675f5e317caee",
        "slider": "f84f186f4295fc23754abcdd1b0580a7",
        "valve": "057cdd560caffb8305449541afd28c6d",
    },
    "evaluation": {
        "ToyCar": "bea2bdd612f616be8f2b8eb087b32c7c",
        "ToyConveyor": "ccfcc9847c7d3404d7ee9d6d9e0b2ba2",
        "fan": "1eb9356a768cadfd0f2e59a5c57e578b",
        "pump": "23a8f8f924be218c69df67fe07360348",
        "slider": "0193c769073840332ce3aad84b1ccaa2",
        "valve": "f69c551d2088691050d20cccca9d631c",
    },
}

ARCHIVES: tuple[Archive, ...] = tuple(
    Archive(part, machine_type, record, f"{prefix}_{machine_type}.zip", _MD5[part][machine_type], folder)
    for part, (record, prefix, folder) in _PARTS.items()
    for machine_type in MACHINE_TYPES
)
PARTS = tuple(_PARTS)
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
    download_archives(chosen, to, base_url=base_url, keep_archives=keep_archives, progress=progress)
    return list(dict.fromkeys(to / archive.folder / archive.machine_type for archive in chosen))


def download_archives(
    archives: Iterable[Archive], to: Path, *, base_url: str, keep_archives: bool, progress: bool
) -> None:
    """Fetch, check and unpack archives one after the other; see `download_dcase2020`."""
    folder = to / ARCHIVES_FOLDER
    with alone_in(to, lock=folder / "lock"):
        for archive in archives:
            if not _is_done(archive, to):
                _install(archive, to, base_url=base_url, keep=keep_archives, progress=progress)


def _install(archive: Archive, to: Path, *, base_url: str, keep: bool, progress: bool) -> None:
    file = to / ARCHIVES_FOLDER / archive.name
    url = f"{base_url.rstrip('/')}/{archive.record}/files/{archive.name}"
    fetch(url, file, expected=archive.md5, hash_of=md5_of, hash_name="md5", progress=progress)
    unpacked = unpack(file, to / archive.folder)
    names = sorted(path.relative_to(to).as_posix() for path in unpacked)
    record = _record(archive, to)
    temporary = record.with_suffix(".tmp")
    temporary.write_text("\n".join([archive.md5, *names]) + "\n", encoding="utf-8")
    temporary.replace(record)
    if not keep:
        file.unlink()


def _is_done(archive: Archive, to: Path) -> bool:
    """Whether this archive was unpacked and all its files are still there."""
    record = _record(archive, to)
    if not record.is_file():
        return False
    md5, *names = record.read_text(encoding="utf-8").splitlines()
    return md5 == archive.md5 and all((to / name).is_file() for name in names)


def _record(archive: Archive, to: Path) -> Path:
    return to / ARCHIVES_FOLDER / f"{archive.name}.ok"


def _require_known(what: str, given: Iterable[str], known: Sequence[str]) -> None:
    for name in given:
        if name not in known:
            raise DownloadError(
                f"unknown {what} {name!r}{nearest(name, known)}; DCASE 2020 Task 2 has {', '.join(known)}"
            )
