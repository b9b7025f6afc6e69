"""Whose a run folder is: one recipe's, on one folder of data; and at work there is one run at a time."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from auscult.errors import RunError
from auscult.files import saving, write_text
from auscult.recipe import Recipe

RECIPE, IDENTITY, LOCK = "recipe.toml", "run.json", "run.lock"

Identity = Mapping[str, str | list[str] | None]
"""Data, machine types and the like, of which one run folder has the same in every run."""


def sign(out: Path, recipe: Recipe, identity: Identity) -> None:
    """Write down whose the run folder is.

    Raises:
        RunError: if the disk is full or the folder cannot be written to.
    """
    for name, text in ((RECIPE, recipe.to_toml()), (IDENTITY, json.dumps(identity, indent=1))):
        write_text(out / name, text)


@contextmanager
def taken(out: Path, recipe: Recipe, identity: Identity) -> Iterator[None]:
    """Make the run folder, or check that it belongs to the same run; while it lasts, no other run may work there.

    Raises:
        RunError: if another recipe, other data or other machine types ran there, other files lie there, or another run
            is at work there.
    """
    from filelock import FileLock, Timeout

    _require_free(out, recipe, identity)
    lock = FileLock(out / LOCK, timeout=0)
    with saving(out):
        try:
            lock.acquire()
        except Timeout as error:
            raise RunError(f"another run is at work in {out}; wait for its end, or give another --out") from error
    try:
        _require_free(out, recipe, identity)  # another one may have come and gone
        yield
    finally:
        lock.release()


AS_BEFORE = ("optional = ", 'scale = "training"', 'fusion = "mean"')
"""How lines begin that recipes once did not have, and that change nothing of a run without them."""


def _telling(text: str) -> list[str]:
    """The lines of a recipe that say what a run trains and combines."""
    return [line for line in text.splitlines() if not line.startswith(AS_BEFORE)]


def _require_free(out: Path, recipe: Recipe, identity: Identity) -> None:
    with saving(out):
        if out.exists() and not out.is_dir():
            raise RunError(f"{out} is a file; give a folder for the run")
        out.mkdir(parents=True, exist_ok=True)
        entries = {entry.name for entry in out.iterdir() if entry.suffix != ".tmp"}
    if not {RECIPE, IDENTITY} <= entries:
        if entries - {"store", RECIPE, IDENTITY, LOCK}:
            raise RunError(f"{out} holds files that are not of a run; give another --out, or an empty folder")
        return
    try:
        text = (out / RECIPE).read_text(encoding="utf-8")
        there = dict(json.loads((out / IDENTITY).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise RunError(f"the run {out} cannot be continued: {error}; give another --out") from error
    if (there_lines := _telling(text)) != (lines := _telling(recipe.to_toml())):
        older = [line for line in lines if line != 'scale = "unseen"'] == there_lines
        advice = ", or go on as an older auscult began, with --override 'scale=\"training\"'" if older else ""
        raise RunError(
            f"{out} belongs to another recipe (see {out / RECIPE}); give another --out, or remove it{advice}"
        )
    for key, value in identity.items():
        if there.get(key) != value:
            name = key.replace("_", " ")
            raise RunError(f"{out} was made with the {name} {there.get(key)}, not {value}; give another --out")
