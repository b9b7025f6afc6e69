"""The store: artefacts by a hash of all that they depend on. A finished one is never made twice."""

import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from auscult import __version__
from auscult.errors import AudioError, RunError
from auscult.files import saving, write_text

FORMAT = 1
"""Version of what artefacts hold; a new one makes all old artefacts strangers."""

LIBRARIES = ("torch", "numpy", "scipy", "scikit-learn", "soundfile", "soxr")
"""Libraries whose versions may change a figure's last bits: part of every key."""

MEL_FILTERS = {"librosa": "0.11.0"}
"""Whose mel filters ours are, bit for bit: part of every key, so that what was made with these filters stays good."""


class Store:
    """A folder of artefacts, `KIND/KEY/`, each a folder that is complete or not there.

    Two runs may share a store: whoever comes second to an artefact in the making waits for it.

    Args:
        folder: made if it is not there.
        on_read: called with the files read and the files to read, when contents are hashed that are not known yet.

    Raises:
        RunError: if the folder cannot be written to, or is a store of another format.
    """

    def __init__(self, folder: Path, *, on_read: Callable[[int, int], None] | None = None) -> None:
        self.folder = folder
        self._on_read = on_read
        with saving(folder):
            (folder / "locks").mkdir(parents=True, exist_ok=True)
        _require_format(folder)

    def path(self, kind: str, key: str) -> Path:
        """Where the artefact lies once it is finished."""
        return self.folder / kind / key

    def has(self, kind: str, key: str) -> bool:
        """Whether the artefact is finished."""
        return self.path(kind, key).is_dir()

    def make(self, kind: str, key: str, facts: Mapping[str, Any], build: Callable[[Path], None]) -> Path:
        """Give the artefact's folder, after building it if it is not finished.

        Args:
            kind: for instance `"bank"`.
            key: from `key_of(kind, facts)`.
            facts: what the key was made of; kept beside the artefact as `facts.json`.
            build: fills a working folder. One that a killed run left is handed over as it was, so that a training
                continues from its checkpoint; files named `checkpoint*` are removed at the end.

        Raises:
            RunError: if the disk is full or the store cannot be written to.
        """
        final = self.path(kind, key)
        if final.is_dir():
            return final
        with self.alone(kind, key):
            if final.is_dir():
                return final
            working = self.working(kind, key)
            build(working)
            (working / "facts.json").write_text(json.dumps(facts, indent=1, default=str))
            for leftover in (*working.glob("checkpoint*"), *working.rglob("*.tmp")):  # .tmp: of a killed run
                leftover.unlink()
            final.parent.mkdir(exist_ok=True)
            working.replace(final)
        return final

    def note(self, kind: str, key: str, facts: Mapping[str, Any]) -> None:
        """Keep what is worth knowing of how an artefact was made: beside it, part of no key, other in every run.

        Raises:
            RunError: if the disk is full or the store cannot be written to.
        """
        path = self._note(kind, key)
        path.parent.mkdir(exist_ok=True)
        write_text(path, json.dumps(facts))

    def noted(self, kind: str, key: str) -> dict[str, Any]:
        """What was noted of an artefact; nothing if there is no note, or a damaged one."""
        try:
            return dict(json.loads(self._note(kind, key).read_text()))
        except (OSError, ValueError, TypeError):
            return {}

    def _note(self, kind: str, key: str) -> Path:
        return self.folder / "notes" / f"{kind}-{key}.json"

    @contextmanager
    def alone(self, kind: str, key: str) -> Iterator[None]:
        """While it lasts, whoever else comes to the same work waits.

        Raises:
            RunError: if the disk is full or the store cannot be written to.
        """
        from filelock import FileLock

        with saving(self.folder), FileLock(self.folder / "locks" / f"{kind}-{key}.lock"):
            yield

    def working(self, kind: str, key: str) -> Path:
        """The working folder of an artefact in the making, with what a killed run left in it."""
        folder = self.folder / "unfinished" / f"{kind}-{key}"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def content_hashes(self, paths: list[Path]) -> list[str]:
        """SHA-256 of each file; remembered by path, size and time of change, so that a file is read once.

        Raises:
            AudioError: if a file cannot be read.
            RunError: if the memory is damaged, or the disk is full.
        """
        memory = self.folder / "hashes.sqlite"
        try:
            with closing(sqlite3.connect(memory, timeout=60)) as database:
                return _remembered_hashes(paths, database, self._on_read)
        except sqlite3.Error as error:
            raise RunError(
                f"{memory} cannot be used: {error}; free some space or mend its permissions. "
                "If it is damaged, remove it: it only remembers what was computed from the files"
            ) from error


class NoStore(Store):
    """The store of a run that has not begun: it holds nothing, writes nothing, and opens no file to tell it apart."""

    def __init__(self) -> None:
        self.folder = Path()

    def has(self, kind: str, key: str) -> bool:
        """Nothing is finished."""
        return False

    def content_hashes(self, paths: list[Path]) -> list[str]:
        """What stands for the hashes: path, size and time of change.

        Raises:
            AudioError: if a file cannot be read.
        """
        return [json.dumps(_identity(path)) for path in paths]


def _require_format(folder: Path) -> None:
    """Refuse a store of another format; a new one gets this format's name."""
    stamp = folder / "format.json"
    if not stamp.exists():
        write_text(stamp, json.dumps({"format": FORMAT, "auscult": __version__}))
    try:
        there = dict(json.loads(stamp.read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise RunError(f"{stamp} is damaged ({error}); remove the store {folder}, or give another --store") from error
    if there.get("format") != FORMAT:
        raise RunError(
            f"the store {folder} was made by auscult {there.get('auscult')}, in format {there.get('format')}; this is "
            f"auscult {__version__}, which reads format {FORMAT}. Give another --out or --store, or remove the store: "
            "everything in it can be computed again"
        )


def _remembered_hashes(
    paths: list[Path], database: sqlite3.Connection, on_read: Callable[[int, int], None] | None
) -> list[str]:
    database.execute(
        "CREATE TABLE IF NOT EXISTS hashes (path TEXT PRIMARY KEY, size INTEGER, changed INTEGER, hash TEXT NOT NULL)"
    )
    known = {row[0]: row[1:] for row in database.execute("SELECT path, size, changed, hash FROM hashes")}
    identities = [_identity(path) for path in paths]
    found = {one: str(known[one[0]][2]) for one in identities if known.get(one[0], ())[:2] == one[1:]}
    fresh = {one: path for one, path in zip(identities, paths, strict=True) if one not in found}
    try:
        for done, (one, path) in enumerate(fresh.items(), start=1):
            found[one] = content_hash(path)
            if on_read is not None:
                on_read(done, len(fresh))
    finally:  # what was read before Ctrl-C is not read again
        with database:
            rows = [(*one, found[one]) for one in fresh if one in found]
            database.executemany("INSERT OR REPLACE INTO hashes VALUES (?, ?, ?, ?)", rows)
    return [found[one] for one in identities]


def key_of(kind: str, facts: Mapping[str, Any]) -> str:
    """The key of an artefact: 24 hexadecimal digits of a SHA-256 over its kind, its facts and the format."""
    text = json.dumps([FORMAT, kind, facts], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:24]


@cache
def environment() -> dict[str, str]:
    """The versions of `LIBRARIES` and `MEL_FILTERS`: facts of every artefact that is computed."""
    return {name: metadata.version(name) for name in LIBRARIES} | MEL_FILTERS


def _identity(path: Path) -> tuple[str, int, int]:
    try:
        status = path.stat()
    except OSError as error:
        raise AudioError(f"{path} cannot be read: {error.strerror}; check the path and its permissions") from error
    return str(path.resolve()), status.st_size, status.st_mtime_ns


def content_hash(path: Path) -> str:
    """SHA-256 of a file.

    Raises:
        AudioError: if it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise AudioError(f"{path} cannot be read: {error.strerror}; check the path and its permissions") from error
