"""Writing a submission folder: whole or not at all, and never over anything but a submission."""

import csv
from pathlib import Path

from auscult.errors import RunError, ScoreError
from auscult.files import require_writable, saving, whole_folder
from auscult.scores.table import ScoreTable
from auscult.submission.metadata import METADATA_SUFFIX
from auscult.submission.read import SCORE_FILE

_DESKTOP_FILES = (".DS_Store", "Thumbs.db", "desktop.ini")


def write_submission(table: ScoreTable, metadata: str, *, label: str, out: Path, force: bool = False) -> list[Path]:
    """Write a score file per machine, `file,score` without a header and sorted by file, and the metadata file.

    Args:
        table: scores of the evaluation clips.
        metadata: text of the metadata file.
        label: of the submission; names the metadata file.
        out: the folder to make.
        force: replace the submission that is there, its metadata included.

    Returns:
        The files, the metadata last.

    Raises:
        RunError: if `out` is not free or cannot be written.
        ScoreError: if a machine's name does not fit the challenge's file names.
    """
    names = {}
    for machine_type, ids in table.groups().items():
        for machine_id, rows in ids.items():
            name = f"anomaly_score_{machine_type}_{machine_id}.csv"
            if not SCORE_FILE.fullmatch(name):
                raise ScoreError(f"{machine_type} {machine_id} has no name in the challenge, where ids are id_<nn>")
            names[name] = rows
    with saving(out):
        require_free(out, force=force)
        with whole_folder(out) as fresh:
            for name, rows in names.items():
                _write_scores(fresh / name, rows)
            (fresh / f"{label}{METADATA_SUFFIX}").write_text(metadata, encoding="utf-8")
            require_free(out, force=force)
    return [out / name for name in (*names, f"{label}{METADATA_SUFFIX}")]


def _write_scores(path: Path, rows: ScoreTable) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([row.file, repr(row.score)] for row in rows)


def require_free(out: Path, *, force: bool) -> None:
    """Pass if `out` can be made, or replaced without loss of anything but a submission.

    Raises:
        RunError: if not.
    """
    require_writable(out)
    if not out.exists():
        return
    if not out.is_dir():
        raise RunError(f"{out} is a file; give a folder for the submission")
    entries = [path for path in sorted(out.iterdir()) if path.name not in _DESKTOP_FILES]
    foreign = [path for path in entries if not _of_a_submission(path)]
    if foreign:
        raise RunError(f"{out} holds what is of no submission, such as {foreign[0].name}; give another --out")
    if entries and not force:
        raise RunError(f"{out} holds a submission; give another --out, or --force to replace it, metadata included")


def _of_a_submission(path: Path) -> bool:
    named = SCORE_FILE.fullmatch(path.name) is not None or path.name.endswith(METADATA_SUFFIX)
    return named and path.is_file() and not path.is_symlink()
