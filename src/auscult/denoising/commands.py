"""The denoiser's two commands: learn from folders, denoise files."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from auscult.datasets import load_dataset
from auscult.denoising.learn import (
    FEWEST,
    DenoiserSettings,
    choose_clean,
    choose_noise,
    denoiser_training,
    learn_denoiser,
    supplemental_clean,
)
from auscult.denoising.levels import INDEX, Levels, read_levels
from auscult.denoising.sounds import find_sounds
from auscult.denoising.streaming import Denoiser
from auscult.errors import AudioError, DatasetError, RunError, nearest
from auscult.files import require_writable, saving, write_text
from auscult.sound.audio import SUFFIXES
from auscult.sound.folders import not_read, sounds_below

_FACTS = "training.json"


def learn_from_folders(
    data: Path,
    clean: Path | None,
    *,
    machine_type: str,
    out: Path,
    dataset: str | None = None,
    label: Callable[[Path], str | None] | None = None,
    training: dict[str, Any] | None = None,
    on_epoch: Callable[[int, int, str], None] | None = None,
) -> Levels:
    """Train the denoiser of one machine type from a data folder and a folder of clean sounds.

    Args:
        data: with normal clips of other machine types.
        clean: see `find_sounds`; none for the data's supplemental clips of the machine type without noise.
        machine_type: whose sounds are to be kept.
        out: folder of the denoiser; a killed training with the same arguments continues.
        dataset: layout of the data; detected if none is given.
        label: chooses among the clean sounds, see `find_sounds`.
        training: differences from the default training.
        on_epoch: called with the epochs done, the epochs in all, and a word on the newest snapshot.

    Raises:
        DatasetError: if sounds are missing.
        RunError: if `out` holds something else, or cannot be written.
    """
    settings, chosen = DenoiserSettings(), denoiser_training(**(training or {}))
    facts = json.dumps(
        [
            machine_type,
            str(data.resolve()),
            None if clean is None else str(clean.resolve()),
            asdict(settings),
            asdict(chosen),
            *["chosen"] * bool(label),
        ]
    )
    _entries(out)  # before anything is read
    found = load_dataset(data, dataset=dataset)
    known = sorted({clip.machine_type for clip in found.clips})
    if machine_type not in known:
        near = nearest(machine_type, known)
        raise DatasetError(f"{data} has no machine type {machine_type!r}{near}; it has {', '.join(known)}")
    _entries(out, facts)  # before thousands of sounds are read
    own = find_sounds(clean, label=label) if clean else supplemental_clean(found.clean, machine_type)
    if not own:
        raise DatasetError(
            f"{data} has not the {FEWEST} supplemental clips of {machine_type} without noise that a denoiser needs; "
            "give a folder of clean sounds with --clean"
        )
    sounds = choose_clean(own)
    noise = choose_noise(found.clips, machine_type, alone=found.noise)
    if _is_finished(out, facts):
        return read_levels(out)
    learn_denoiser(
        sounds,
        noise,
        folder=out,
        machine_type=machine_type,
        settings=settings,
        training=chosen,
        on_epoch=lambda done, text: on_epoch(done, chosen.epochs, text) if on_epoch else None,
    )
    return read_levels(out)


def _is_finished(out: Path, facts: str) -> bool:
    """Make the folder, or check that it belongs to the same training; whether that is finished."""
    entries = _entries(out, facts)
    if not entries:
        with saving(out):
            out.mkdir(exist_ok=True)
        write_text(out / _FACTS, facts)
    return INDEX in entries


def _entries(out: Path, facts: str | None = None) -> set[str]:
    """What lies in the folder of a denoiser, if that is free or of the same training, and can be written to.

    Without facts any training will do.
    """
    require_writable(out / _FACTS if out.is_dir() else out)
    with saving(out):
        if out.exists() and not out.is_dir():
            raise RunError(f"{out} is a file; give a folder for the denoiser")
        entries = {path.name for path in out.iterdir()} if out.exists() else set()
        there = (out / _FACTS).read_text(encoding="utf-8") if _FACTS in entries else ""
        if entries and (not there or facts not in (None, there)):
            raise RunError(f"{out} holds another denoiser, or other files; give another --out, or an empty folder")
    return entries


def denoise_files(
    sources: Sequence[Path],
    out: Path,
    denoiser: Denoiser,
    *,
    channel: int = 0,
    force: bool = False,
    on_file: Callable[[int, int], None] | None = None,
) -> list[Path]:
    """Denoise files, and all sound files below folders.

    Args:
        sources: files and folders.
        out: the new file for one file if its name ends as a sound's does; else a folder, in which what comes from a
            folder keeps its path below it.
        denoiser: one strength.
        channel: of multi-channel files, counted from 0.
        force: replace files that are there.
        on_file: called with the number of files done and the number of all.

    Returns:
        The new files.

    Raises:
        AudioError: if a source is missing or cannot be read, or a target is there, is a source, or is meant twice.
        RunError: if a target cannot be written.
    """
    pairs = _targets(sources, out)
    originals = {source.resolve() for source, _ in pairs}
    for source, target in pairs:
        if target.resolve() in originals:
            raise AudioError(f"{source} would be denoised onto a recording, {target}; give another folder")
        if target.exists() and not force:
            raise AudioError(f"{target} is there already; give another name, or replace it with --force")
    for done, (source, target) in enumerate(pairs, start=1):
        with saving(target):
            target.parent.mkdir(parents=True, exist_ok=True)
        denoiser.denoise_file(source, target, channel=channel)
        if on_file is not None:
            on_file(done, len(pairs))
    return [target for _, target in pairs]


def _targets(sources: Sequence[Path], out: Path) -> list[tuple[Path, Path]]:
    """Each source file with its target."""
    if len(sources) == 1 and sources[0].is_file() and out.suffix.lower() in SUFFIXES:
        return [(sources[0], out)]
    pairs: dict[Path, Path] = {}  # target -> source
    for source in sources:
        folder = source if source.is_dir() else source.parent
        found, unread = sounds_below(source) if source.is_dir() else ([source], [])
        if unread:
            raise AudioError(f"{not_read(unread[0])} ({len(unread)} such files in {source})")
        for path in found:
            target = out / path.relative_to(folder)
            if target in pairs:
                raise AudioError(f"{path} and {pairs[target]} would both become {target}; denoise them one by one")
            pairs[target] = path
    if not pairs:
        raise AudioError(f"{', '.join(map(str, sources))} holds no {', '.join(SUFFIXES)} files; give recordings")
    return [(source, target) for target, source in pairs.items()]
