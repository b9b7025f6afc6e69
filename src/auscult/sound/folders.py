"""Which files below a folder are sounds: those that are read, and those whose format is not, which are named."""

from pathlib import Path

from auscult.sound.audio import SUFFIXES

OTHER_SUFFIXES = (
    ".aac", ".aif", ".aiff", ".amr", ".ape", ".au", ".caf", ".m4a", ".mp3", ".mp4", ".oga", ".opus", ".rf64", ".w64",
    ".wma", ".wv",
)  # fmt: skip
"""File names of sound that is not read, in lower case."""


def sounds_below(folder: Path) -> tuple[list[Path], list[Path]]:
    """Sound files below a folder, and those of formats that are not read, in the order of their names.

    Hidden files, and files in hidden folders, are neither.
    """
    read: list[Path] = []
    unread: list[Path] = []
    for path in sorted(folder.rglob("*")):
        suffix = path.suffix.lower()
        if suffix in (*SUFFIXES, *OTHER_SUFFIXES) and not is_hidden(path.relative_to(folder)) and path.is_file():
            (read if suffix in SUFFIXES else unread).append(path)
    return read, unread


def is_hidden(path: Path) -> bool:
    """Whether a file, by its path in a folder that was named, is hidden, or a folder in which it lies."""
    return any(part.startswith(".") for part in path.parts)


def not_read(path: Path) -> str:
    """A sentence on a file whose format is not read."""
    return f"{path}: {', '.join(SUFFIXES[:-1])} and {SUFFIXES[-1]} files are read; convert or remove it"
