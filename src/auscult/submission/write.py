"""Writing a submission folder: whole or not at all, and never over anything but a submission."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from auscult.errors import RunError, ScoreError
from auscult.files import require_writable, saving, whole_folder
from auscult.scores.table import ScoreTable
from auscult.submission.metadata import METADATA_SUFFIX
from auscult.submission.read import DECISION_FILE, SCORE_FILE, file_of

_DESKTOP_FILES = (".DS_Store", "Thumbs.db", "desktop.ini")


def decisions_of(table: ScoreTable, normals: ScoreTable, *, share: float) -> dict[str, ScoreTable]:
    """Decisions about clips, by thresholds from normal clips of the same machine; no test clip is looked at.

    Args:
        table: scores to decide about.
        normals: scores of training clips, as a run standardises by: by default of clips that members had not seen.
        share: of the normal clips that may lie above the threshold, between 0 and 1.

    Returns:
        Name of a file of decisions -> table whose scores are 0 or 1.

    Raises:
        ScoreError: for a share out of range, or a machine without normal clips.
    """
    if not 0 < share < 1:
        raise ScoreError(f"the share of false alarms is {share}; give a number between 0 and 1")
    found, known = {}, normals.groups()
    for machine_type, ids in table.groups().items():
        for machine_id, rows in ids.items():
            own = known.get(machine_type, {}).get(machine_id)
            if own is None:
                raise ScoreError(
                    f"{machine_type} {machine_id} has no training clips, so no threshold for decisions; train on them"
                )
            threshold = float(np.quantile(own.scores, 1 - share))
            decided = ScoreTable(replace(row, score=float(row.score > threshold)) for row in rows)
            found[file_of(machine_type, machine_id, "decision_result")] = decided
    return found


def write_submission(
    table: ScoreTable,
    metadata: str,
    *,
    label: str,
    out: Path,
    decisions: Mapping[str, ScoreTable] | None = None,
    force: bool = False,
) -> list[Path]:
    """Write a score file per machine, `file,score` without a header and sorted by file, and the metadata file.

    Args:
        table: scores of the evaluation clips.
        decisions: name of a file -> 0 or 1 for each clip, since 2021.
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
            name = file_of(machine_type, machine_id)
            if not SCORE_FILE.fullmatch(name):
                raise ScoreError(
                    f"{machine_type} {machine_id} has no name in the challenge, where ids are id_<nn> or section_<nn>"
                )
            names[name] = rows
    with saving(out):
        require_free(out, force=force)
        with whole_folder(out) as fresh:
            for name, rows in names.items():
                _write_rows(fresh / name, ([row.file, repr(row.score)] for row in rows))
            for name, rows in (decisions or {}).items():
                _write_rows(fresh / name, ([row.file, int(row.score)] for row in rows))
            (fresh / f"{label}{METADATA_SUFFIX}").write_text(metadata, encoding="utf-8")
            require_free(out, force=force)
    return [out / name for name in (*names, *(decisions or {}), f"{label}{METADATA_SUFFIX}")]


def _write_rows(path: Path, rows: Iterable[Sequence[str | int]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)


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
    shapes = SCORE_FILE, DECISION_FILE
    named = any(shape.fullmatch(path.name) for shape in shapes) or path.name.endswith(METADATA_SUFFIX)
    return named and path.is_file() and not path.is_symlink()
