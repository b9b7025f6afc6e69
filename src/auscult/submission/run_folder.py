"""What a submission takes from a finished run: its systems' evaluation scores, figures, members and recipe."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from auscult.errors import ModelError, RunError, nearest
from auscult.metrics import MEAN, Figures, mean_figures
from auscult.recipe import ENSEMBLE, Member, Recipe, load_recipe
from auscult.scores import ScoreTable

PLAIN = "none"
"""The protocol of a single model, whose score file names none."""

MEANINGS = {
    "paper": "choices and weights made on the labels of the development test clips, as the report's; "
    "no evaluation label was used",
    "uniform": "members combined with equal weights; combining used no label",
    "leave-one-id-out": "every choice repeated without the id that is scored",
    PLAIN: "a single model; nothing was combined",
}
"""The protocols in the order in which a submission prefers them, and what each means for the evaluation set."""

_SUFFIX = ".evaluation.csv"


@dataclass(frozen=True, slots=True)
class FinishedRun:
    """A run folder as it was read.

    Attributes:
        folder: the run folder.
        recipe: as the run resolved it.
        headline: name of the system that is the run's result; none if the run does not say.
        rows: rows of `results.json`.
        files: system -> machine type -> protocol -> table of evaluation scores.
    """

    folder: Path
    recipe: Recipe
    headline: str | None
    rows: list[dict[str, Any]]
    files: Mapping[str, Mapping[str, Mapping[str, Path]]]


@dataclass(frozen=True, slots=True)
class Choice:
    """The system of a run that is submitted.

    Attributes:
        system: its name.
        protocol: a key of `MEANINGS`.
        others: protocols that it has besides.
        table: scores of the evaluation clips.
        figures: machine type -> means over the ids of the development test clips, where there are any.
    """

    system: str
    protocol: str
    others: list[str]
    table: ScoreTable
    figures: dict[str, Figures]


def read_run(folder: Path) -> FinishedRun:
    """Read a finished run.

    Raises:
        RunError: if the folder holds none, or it has no evaluation scores.
        RecipeError: if its recipe is damaged.
    """
    headline, rows = _read_results(folder / "results.json")
    if not (folder / "recipe.toml").is_file():
        raise RunError(f"{folder} is no finished run: it lacks recipe.toml; give the folder of `auscult run`")
    files = _score_files(folder / "scores", rows)
    if not files:
        raise RunError(
            f"{folder} has no evaluation scores: its data have no evaluation clips, or its members were trained on "
            'development machines only; run with the challenge\'s eval_data and train_on = [..., "additional"]'
        )
    return FinishedRun(folder, load_recipe(str(folder / "recipe.toml")), headline, rows, files)


def choose(run: FinishedRun, *, system: str | None = None, protocol: str | None = None) -> Choice:
    """Find a system's scores under a protocol.

    Args:
        run: the run.
        system: name of a member or an ensemble; the run's result if none is given.
        protocol: a key of `MEANINGS`; if none is given, the first in its order that the system has for all its types.

    Raises:
        RunError: if there is no such system or protocol.
        ScoreError: if a table is damaged.
    """
    name = system or _default_system(run)
    if name not in run.files:
        raise RunError(
            f"{run.folder} has no evaluation scores of a system {name!r}{nearest(name, run.files)}; "
            f"it has them of {', '.join(run.files)}"
        )
    by_type = run.files[name]
    there = [one for one in MEANINGS if any(one in files for files in by_type.values())]
    if protocol is None:
        protocol = next((one for one in there if all(one in files for files in by_type.values())), there[0])
    elif protocol not in there:
        has = "is a single model, which has no protocol: leave --protocol out"
        if there != [PLAIN]:
            has = f"has no evaluation scores under {protocol!r}{nearest(protocol, there)}; choose {', '.join(there)}"
        raise RunError(f"the system {name!r} {has}")
    rows: list[Any] = []
    figures: dict[str, Figures] = {}
    for machine_type, files in by_type.items():
        of_type = protocol if protocol in files else PLAIN
        if of_type not in files:
            continue
        rows += ScoreTable.read(files[of_type]).rows
        if mean := _development_mean(run.rows, machine_type, name, of_type):
            figures[machine_type] = mean
    others = [one for one in there if one not in (protocol, PLAIN)]
    return Choice(name, protocol, others, ScoreTable(rows), figures)


def members_of(recipe: Recipe, system: str, machine_type: str) -> list[Member]:
    """The members of a machine type that enter a system's scores: itself, or those that an ensemble combines."""
    members = recipe.members_of(machine_type)
    if system == ENSEMBLE:
        return [member for member in members if recipe.in_ensemble(member.name)]
    return [member for member in members if member.name == system]


def data_of(folder: Path) -> Path | None:
    """The data folder that a run was made with, if it says so and the folder is still there."""
    try:
        data = json.loads((folder / "run.json").read_text(encoding="utf-8"))["data"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return Path(data) if isinstance(data, str) and Path(data).is_dir() else None


@dataclass(frozen=True, slots=True)
class ModelFile:
    """What the head of a model's file tells.

    Attributes:
        family: for instance `"hvae"`.
        arguments: of the family's constructor.
        parameters: number of trained values; of a model without any, of all that it learned.
    """

    family: str
    arguments: dict[str, Any]
    parameters: int


def read_model_head(path: Path) -> ModelFile:
    """Read family, arguments and number of parameters of a safetensors file, and none of its tensors.

    Raises:
        ModelError: if it is no model that auscult saved.
    """
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if length > path.stat().st_size:
                raise ValueError("its head is cut off")
            head: dict[str, Any] = json.loads(file.read(length))
        facts = json.loads(head.pop("__metadata__")["auscult"])
        sizes = {name: _product(tensor["shape"]) for name, tensor in head.items()}
        trained = sum(size for name, size in sizes.items() if name.rpartition(".")[2] in ("weight", "bias"))
        return ModelFile(facts["family"], facts["arguments"], trained or sum(sizes.values()))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"{path} cannot be read as a model ({error}); give a file that auscult saved") from error


def _product(numbers: Iterable[int]) -> int:
    result = 1
    for number in numbers:
        result *= number
    return result


def _read_results(path: Path) -> tuple[str | None, list[dict[str, Any]]]:
    """The headline's system, if there is one, and the rows, of an object or of a bare list of rows."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RunError(
            f"{path.parent} is no finished run: {path.name} cannot be read ({error.strerror}); finish it with "
            "`auscult run`, or give its folder"
        ) from error
    except ValueError as error:
        raise RunError(f"{path} is damaged: {error}; repeat `auscult run`, which keeps what is finished") from error
    headline = None
    if isinstance(content, dict):
        headline = (content.get("headline") or {}).get("system")
        content = content.get("rows")
    if not isinstance(content, list) or not all(isinstance(row, dict) for row in content):
        raise RunError(f"{path} holds no list of results; repeat `auscult run`, which keeps what is finished")
    return headline, content


def _score_files(folder: Path, rows: list[dict[str, Any]]) -> dict[str, dict[str, dict[str, Path]]]:
    """System -> machine type -> protocol -> file; a plain name's protocol is the rows' where they know only one."""
    protocols: dict[str, set[str]] = {}
    for row in rows:
        protocols.setdefault(str(row.get("system")), set()).add(str(row.get("protocol")))
    files: dict[str, dict[str, dict[str, Path]]] = {}
    for path in sorted(folder.glob(f"*/*{_SUFFIX}")):
        name, protocol = path.name.removesuffix(_SUFFIX), PLAIN
        stem, _, ending = name.rpartition(".")
        if name not in protocols and stem and ending in MEANINGS:
            name, protocol = stem, ending
        elif len(stated := protocols.get(name, set()) & set(MEANINGS)) == 1:
            (protocol,) = stated
        files.setdefault(name, {}).setdefault(path.parent.name, {})[protocol] = path
    return files


def _default_system(run: FinishedRun) -> str:
    if run.headline:
        return run.headline
    if ENSEMBLE in run.files:
        return ENSEMBLE
    if len(run.files) == 1:
        return next(iter(run.files))
    raise RunError(f"{run.folder} names no system as its result; choose one of {', '.join(run.files)} with --system")


def _development_mean(rows: list[dict[str, Any]], machine_type: str, system: str, protocol: str) -> Figures | None:
    wanted = {"machine_type": machine_type, "system": system, "protocol": protocol, "subset": "development"}
    figures: list[Figures] = [
        {"auc": row["auc"], "pauc": row["pauc"]}
        for row in rows
        if wanted.items() <= row.items() and row.get("machine_id") != MEAN and row.get("auc") is not None
    ]
    return mean_figures(figures) if figures else None
