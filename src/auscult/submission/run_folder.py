"""What a submission takes from a finished run: its systems' evaluation scores, figures, members and recipe."""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from auscult.errors import ModelError, RunError, nearest
from auscult.recipe import Member, Recipe, load_recipe
from auscult.runs.results import Results, read_results
from auscult.scores.ensemble import shares
from auscult.scores.metrics import Figures, mean_figures
from auscult.scores.table import ScoreTable

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
        results: what `results.json` says.
        files: system -> machine type -> protocol -> table of evaluation scores.
    """

    folder: Path
    recipe: Recipe
    results: Results
    files: Mapping[str, Mapping[str, Mapping[str, Path]]]


@dataclass(frozen=True, slots=True)
class SubmittedSystem:
    """The system of a run that is submitted.

    Attributes:
        system: its name.
        protocol: a key of `MEANINGS`.
        others: protocols that it has besides.
        table: scores of the evaluation clips.
        figures: machine type -> means over the ids of the development test clips, where there are any; since 2023 these
            are other types than those of the evaluation.
        normals: scores of the normal clips by which the system is standardised.
    """

    system: str
    protocol: str
    others: list[str]
    table: ScoreTable
    figures: dict[str, Figures]
    normals: ScoreTable


def read_run(folder: Path) -> FinishedRun:
    """Read a finished run.

    Raises:
        RunError: if the folder holds none, or it has no evaluation scores.
        RecipeError: if its recipe is damaged.
    """
    results = read_results(folder)
    if not (folder / "recipe.toml").is_file():
        raise RunError(f"{folder} is no finished run: it lacks recipe.toml; give the folder of `auscult run`")
    files = _score_files(folder / "scores")
    if not files:
        raise RunError(
            f"{folder} has no evaluation scores: its data have no evaluation clips, or its members were trained on "
            'development machines only; run with the challenge\'s eval_data and train_on = [..., "additional"]'
        )
    return FinishedRun(folder, load_recipe(str(folder / "recipe.toml")), results, files)


def choose(run: FinishedRun, *, system: str | None = None, protocol: str | None = None) -> SubmittedSystem:
    """Find a system's scores under a protocol.

    Args:
        run: the run.
        system: name of a member or an ensemble; the run's result if none is given.
        protocol: a key of `MEANINGS`; if none is given, the first in its order that the system has for all its types.

    Raises:
        RunError: if there is no such system or protocol.
        ScoreError: if a table is damaged.
    """
    name = system or run.results.headline[0]
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
    normals: list[Any] = []
    for files in by_type.values():
        of_type = protocol if protocol in files else PLAIN
        if of_type not in files:
            continue
        rows += ScoreTable.read(files[of_type]).rows
        heard = files[of_type].with_name(files[of_type].name.replace(_SUFFIX, ".train.csv"))
        normals += ScoreTable.read(heard).rows if heard.is_file() else ()
    figures = {}
    for machine_type in dict.fromkeys(row.machine_type for row in run.results.development):
        means = (_development_mean(run.results, machine_type, name, one) for one in (protocol, PLAIN))
        if mean := next(filter(None, means), None):
            figures[machine_type] = mean
    others = [one for one in there if one not in (protocol, PLAIN)]
    return SubmittedSystem(name, protocol, others, ScoreTable(rows), figures, ScoreTable(normals))


def members_of(run: FinishedRun, choice: SubmittedSystem, machine_type: str) -> list[Member]:
    """The members of a machine type that enter a system's evaluation scores with a weight above 0."""
    seed = _first_seed(run.results)
    chosen = [
        item.choice
        for item in run.results.choices
        if (item.seed, item.choice.machine_type, item.choice.protocol) == (seed, machine_type, choice.protocol)
        and item.choice.held_out is None
    ]
    taken = {name for name, share in shares(choice.system, chosen).items() if share > 0}
    return [member for member in run.recipe.members_of(machine_type) if member.name in taken]


@dataclass(frozen=True, slots=True)
class RunData:
    """The data of a run.

    Attributes:
        folder: that holds them.
        dataset: the layout that was asked for, if any.
        truth: the ground-truth list that was given, if any.
    """

    folder: Path
    dataset: str | None
    truth: Path | None


def data_of(folder: Path) -> RunData | None:
    """The data that a run was made with, if it says so and the folder is there; a list that is gone is left out."""
    try:
        facts = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        data, dataset, truth = facts["data"], facts.get("dataset"), facts.get("truth")
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    if not isinstance(data, str) or not Path(data).is_dir():
        return None
    there = isinstance(truth, str) and Path(truth).is_file()
    return RunData(Path(data), dataset if isinstance(dataset, str) else None, Path(truth) if there else None)


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
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as file:
            facts = json.loads(file.metadata()["auscult"])
            sizes = {name: math.prod(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
        trained = sum(size for name, size in sizes.items() if name.rpartition(".")[2] in ("weight", "bias"))
        return ModelFile(facts["family"], facts["arguments"], trained or sum(sizes.values()))
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise ModelError(f"{path} cannot be read as a model ({error}); give a file that auscult saved") from error


def _score_files(folder: Path) -> dict[str, dict[str, dict[str, Path]]]:
    """System -> machine type -> protocol -> file of the run's first seed."""
    files: dict[str, dict[str, dict[str, Path]]] = {}
    for path in sorted(folder.glob(f"*/*{_SUFFIX}")):
        name, protocol = path.name.removesuffix(_SUFFIX), PLAIN
        if re.search(r"\.seed-\d+$", name):
            continue
        stem, _, ending = name.rpartition(".")
        if stem and ending in MEANINGS:
            name, protocol = stem, ending
        files.setdefault(name, {}).setdefault(path.parent.name, {})[protocol] = path
    return files


def _first_seed(results: Results) -> int:
    """The first seed of which a member is finished; any where nothing was chosen and nothing judged."""
    return min([*(row.seed for row in results.development), *(item.seed for item in results.choices)], default=0)


def _development_mean(results: Results, machine_type: str, system: str, protocol: str) -> Figures | None:
    """Of the first seed, whose scores are submitted."""
    wanted = _first_seed(results), machine_type, system, protocol
    figures = [
        row.figures for row in results.development if (row.seed, row.machine_type, row.system, row.protocol) == wanted
    ]
    return mean_figures(figures) if figures else None
