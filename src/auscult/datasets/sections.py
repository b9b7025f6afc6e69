"""DCASE Task 2 since 2021, MIMII DUE and MIMII DG: sections, domains, attributes, supplemental clips."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from auscult.clips import Clip, Subset
from auscult.datasets.names import (
    DEVELOPMENT_FOLDER,
    EVALUATION_FOLDER,
    TEST_FOLDERS,
    Attributes,
    Found,
    Named,
    parse_name,
    read_attributes,
    stem_of,
)
from auscult.datasets.tree import Dataset, Problem, SoundFile, parsed, refuse_duplicates
from auscult.datasets.truth import TruthList, find_truth, read_list
from auscult.datasets.which_year import found_years
from auscult.datasets.years import YEARS, Year
from auscult.errors import DatasetError

NAME = "section_00_source_train_normal_0000_<attributes>.wav"
SUPPLEMENTAL = "supplemental"

_NO_TYPES = ("", DEVELOPMENT_FOLDER, EVALUATION_FOLDER, "raw")
_OLD_NAME = re.compile(r"(?:(?:normal|anomaly)_)?id_\d+_\d+")
_CLEAN = re.compile(r"(?<![a-z])(?:clean|machine)(?![a-z])")
_NOISE = re.compile(r"(?<![a-z])noise(?![a-z]|_\d{1,2}(?!\d))")
"""The word, and no attribute such as `noise_1`."""

Tables = Mapping[Path, Mapping[str, Attributes]]
"""Folder of a machine type -> stem of a file -> attributes that its tables say."""


def read(root: Path, *, years: Iterable[int], truth: Path | None = None) -> Dataset:
    """List the clips of a tree whose files are named by sections.

    Clips of the evaluation are those below `eval_data` and, elsewhere, those whose names hide the label, with the
    training clips of machines that are in the evaluation only. Recordings in `supplemental` are no clips, but sound of
    the machine alone (`clean`) or noise alone (`noise`), as the folders below it or else the name say.

    Args:
        root: the folder of the data set, or of a part of it.
        years: those that it may be; which one, names, machine types and folders say.
        truth: list of labels, domains and attributes of the evaluation test; by default the one beside the data.

    Raises:
        DatasetError: if the list cannot be read or is of another year.
    """
    found, problems = parsed(root, _parse)
    known, mixed = found_years(found, [YEARS[year] for year in years if year > 2020])
    problems += mixed
    listed = None
    if truth := truth or find_truth(root, (facts.year for facts in known)):
        listed = read_list(truth)
        listed.require_year((facts.year for facts in known), root)
    extra = [one for one in found if one.folder == SUPPLEMENTAL]
    found = [one for one in found if one.folder != SUPPLEMENTAL]
    tables, lacking = _read_tables(found)
    problems += lacking
    clips = refuse_duplicates(_clips(found, known, tables, listed), problems)
    if listed is not None and not mixed:
        missing = f"is not in the ground-truth list {listed.path}; complete the list, or remove the one or the other"
        problems += [Problem(clip.path, missing) for clip in clips if clip.label is None]
    clean, noise, notes = _supplements(extra)
    if len(known) > 1:
        each = ", ".join(str(facts.year) for facts in known)
        notes.append(f"this may be DCASE {each}, which share what is here; say which by --layout dcase{known[-1].year}")
    notes += _one_domain(clips)
    return Dataset(clips, problems, tuple(facts.year for facts in known), clean, noise, tuple(notes))


def fits(file: SoundFile) -> bool:
    """Whether a file is named by its section."""
    return parse_name(stem_of(file.path.name)) is not None


def _parse(file: SoundFile) -> Found | Problem:
    n_below = len(file.inside) - file.inside.index(SUPPLEMENTAL) if SUPPLEMENTAL in file.inside else 1
    machine_type, folder, *below = ("", *file.folders)[-n_below - 1 :]
    if machine_type in _NO_TYPES or folder not in (*TEST_FOLDERS, "train", SUPPLEMENTAL):
        layout = f"<machine type>/{{train,test}}/{NAME}"
        return Problem(file.path, f"lies in no <machine type>/train or <machine type>/test; the layout is {layout}")
    stem = stem_of(file.path.name)
    named = parse_name(stem)
    if folder != SUPPLEMENTAL and (trouble := _trouble(stem, folder, named)):
        return Problem(file.path, trouble)
    texts = tuple(text.lower() for text in (*below, stem))
    path = file.path.parent if file.depth >= n_below else file.path.parent.resolve()  # the data folder may be `train`
    home = (path, *path.parents)[n_below]
    return Found(file, home, machine_type, folder, named, texts)


def _trouble(stem: str, folder: str, named: Named | None) -> str | None:
    """Why a clip cannot lie in its folder."""
    if named is None and _OLD_NAME.fullmatch(stem):
        return "is named as in DCASE 2020, and others as since 2021; give each year a folder of its own"
    if named is None:
        return f"fits no name of {NAME}, in tests with normal or anomaly or section_00_0000.wav; rename or remove it"
    wanted = "train" if folder == "train" else "test"
    if named.split not in (None, wanted):
        return f"is named {named.split}, but lies in {folder}; move or rename it"
    if folder == "train" and named.label != "normal":
        text = f"does not say that it is normal, as training data must ({NAME}); rename it"
        return "is an anomaly in the training data, which is normal only; remove it" if named.label else text
    if named.domain and folder.endswith("_test") and not folder.startswith(named.domain):
        return f"is named {named.domain}, but lies in {folder}; move or rename it"
    return None


def _clips(found: Sequence[Found], known: Sequence[Year], tables: Tables, truth: TruthList | None) -> Iterator[Clip]:
    """The clips, with what names, tables of attributes and the ground-truth list say."""
    tests = [one for one in found if one.named and one.split == "test"]
    told = {(one.machine_type, one.machine_id) for one in tests if one.named and one.named.label}
    hidden = {(one.machine_type, one.machine_id) for one in tests} - told
    sets = ([facts.evaluation for facts in known], [facts.development for facts in known])
    later, first = ({(kind, id_) for each in some for kind, ids in each.items() for id_ in ids} for some in sets)
    hidden |= later - first - told
    for one in found:
        named, kind, path = one.named, one.machine_type, one.file.path
        if named is None:
            continue
        evaluation = named.label is None or (one.split == "train" and (kind, named.machine_id) in hidden)
        otherwise: Subset = "development"
        if evaluation:
            otherwise = "additional" if one.split == "train" else "evaluation"
        stem = stem_of(path.name)
        attributes = tables[one.home].get(stem) or named.attributes
        label, domain = named.label, named.domain
        if label is None and truth and (right := truth.clips.get(kind, {}).get(f"{path.stem}.wav")):
            label, domain, attributes = right.label, right.domain or domain, right.attributes or attributes
        subset = one.subset or otherwise
        yield Clip(path, kind, named.machine_id, one.split, label, subset, path.name, domain, attributes)


def _read_tables(found: Sequence[Found]) -> tuple[Tables, list[Problem]]:
    """What the tables of attributes in the folder of each machine type say, and what they lack or have too much."""
    tables: dict[Path, dict[str, Attributes]] = {}
    problems: list[Problem] = []
    homes: dict[Path, dict[str, Found]] = {}
    for one in found:
        homes.setdefault(one.home, {})[stem_of(one.file.path.name)] = one
    for home, mine in homes.items():
        tables[home] = {}
        # Tables of the evaluation may list its tests under the names that tell their labels.
        hidden = any(one.named and one.named.label is None for one in mine.values())
        for path in sorted(home.glob("attributes_*.csv")):
            try:
                table = read_attributes(path)
            except DatasetError as error:
                problems.append(Problem(path, str(error).removeprefix(str(path)).lstrip(",: ")))
                continue
            tables[home] |= table
            if gone := [stem for stem in table if stem not in mine and not (hidden and "_test_" in stem)]:
                what = f"lists {len(gone)} clips that are not there ({gone[0]}, for instance)"
                problems.append(Problem(path, f"{what}; copy them again, or remove their lines"))
        problems += _without_attributes(mine, tables[home])
    return tables, problems


def _without_attributes(found: Mapping[str, Found], table: Mapping[str, Attributes]) -> Iterator[Problem]:
    """Training clips without attributes beside others of the machine type that have some."""
    trained = {stem: one for stem, one in found.items() if one.folder == "train" and one.named}
    bare = [one for stem, one in trained.items() if not (table.get(stem) or (one.named and one.named.attributes))]
    if 0 < len(bare) < len(trained):
        what = f"has no attributes in its name or in attributes_00.csv, like {len(bare)} of {len(trained)} clips here"
        yield Problem(bare[0].file.path, f"{what}; complete the table, or remove the clips")


def _supplements(found: Sequence[Found]) -> tuple[tuple[Clip, ...], tuple[Clip, ...], list[str]]:
    """Clean sound, noise, and a note on what is neither."""
    clean: list[Clip] = []
    noise: list[Clip] = []
    neither: list[Path] = []
    for one in found:
        folders, stem = "/".join(one.below[:-1]), one.below[-1]
        kinds = [(bool(_CLEAN.search(text)), bool(_NOISE.search(text))) for text in (folders, stem)]
        kind = next((kind for kind in kinds if any(kind)), (False, False))
        path = one.file.path
        if kind[0] == kind[1]:
            neither.append(path)
            continue
        subset: Subset = "additional" if one.subset == "additional" else "development"
        clip = Clip(path, one.machine_type, one.machine_id, "train", "normal" if kind[0] else None, subset, path.name)
        (clean if kind[0] else noise).append(clip)
    notes = []
    if neither:
        notes.append(
            f"{len(neither)} supplemental clips are left out, whose folders and names do not say which of clean, "
            f"machine or noise they are ({neither[0]}, for instance)"
        )
    return tuple(clean), tuple(noise), notes


def _one_domain(clips: Sequence[Clip]) -> Iterator[str]:
    """Machines with training clips of one domain only."""
    domains: dict[tuple[str, str], set[str | None]] = {}
    for clip in clips:
        if clip.split == "train":
            domains.setdefault((clip.machine_type, clip.machine_id), set()).add(clip.domain)
    for (kind, machine_id), there in domains.items():
        for name in sorted({"source", "target"} - there):
            yield f"{kind} {machine_id} has no {name} clips to train with: its {name} tests are judged by the others"
