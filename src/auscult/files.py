"""Writing files so that nothing is ever half-written: a temporary name, then a rename."""

import errno
import glob
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from auscult.errors import RunError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; what is written there takes the place of `path` at the end, or vanishes.

    The temporary name is the process's own, so that two runs never write to the same one.

    Raises:
        RunError: if the disk is full or the folder cannot be written to.
    """
    temporary = _temporary(path)
    try:
        with saving(path):
            temporary.touch()
            mode = temporary.stat().st_mode
            yield temporary
            if temporary.stat().st_mode != mode:
                temporary.chmod(mode)  # safetensors writes files that nobody but their owner can read
            temporary.replace(path)
    finally:
        with suppress(OSError):  # where nothing can be written, nothing can be removed
            temporary.unlink()


def write_text(path: Path, text: str) -> None:
    """Write a text, which is there as a whole or not at all.

    Raises:
        RunError: if the disk is full or the folder cannot be written to.
    """
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def require_writable(path: Path) -> None:
    """Refuse a place, of a file or of a folder to be made, in which nothing can be written, before any work is done.

    The folder in which it is to lie is made.

    Raises:
        RunError: if it cannot be written.
    """
    temporary = _temporary(path)
    with saving(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.touch()
        temporary.unlink()


def require_new_folder(path: Path) -> None:
    """Refuse a folder that is there already, or cannot be made.

    Raises:
        RunError: if it is, or cannot.
    """
    if path.exists():
        raise RunError(f"{path} is there already; name another folder, or remove it")
    require_writable(path)


def _temporary(path: Path) -> Path:
    return path.with_name(f"{path.name}.{os.getpid()}.tmp")


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Give a new folder beside `path`; it takes the place of `path` at the end, or vanishes.

    What had the name keeps it if anything fails. What a killed process left beside it is cleared away, with what had
    the name put back.

    Raises:
        OSError: if the folder cannot be written to; `saving` turns it into a sentence.
    """
    from filelock import FileLock

    target = path.resolve()
    target.parent.mkdir(parents=True, exist_ok=True)
    for left in target.parent.glob(f".{glob.escape(target.name)}.*.unfinished"):
        with suppress(OSError), FileLock(left / "lock", timeout=0):  # whoever writes it holds the lock
            if (left / "old").exists() and not target.exists():
                (left / "old").rename(target)
            shutil.rmtree(left, ignore_errors=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".unfinished", dir=target.parent))
    fresh, old = scratch / "fresh", scratch / "old"
    try:
        with FileLock(scratch / "lock"):
            fresh.mkdir()
            yield fresh
            if target.exists():
                target.rename(old)
            try:
                fresh.rename(target)
            finally:
                if old.exists() and not target.exists():
                    old.rename(target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


@contextmanager
def saving(path: Path) -> Iterator[None]:
    """Turn the operating system's refusals to write into one clear line that names the path.

    Raises:
        RunError: if the disk is full or the folder cannot be written to.
    """
    from safetensors import SafetensorError

    try:
        yield
    except SafetensorError as error:  # it hides the number of the operating system's error in its text
        raise _refused(path, errno.ENOSPC if "os error 28" in str(error) else None, str(error)) from error
    except OSError as error:
        raise _refused(path, error.errno, error.strerror or str(error)) from error


def _refused(path: Path, number: int | None, text: str) -> RunError:
    if number in (errno.ENOSPC, errno.EDQUOT):
        return RunError(
            f"{path} cannot be written: the disk is full; free some space and repeat the command. "
            "Nothing that was finished is lost"
        )
    return RunError(f"{path} cannot be written: {text}; choose another folder or mend its permissions")
