"""What README and docs say is so: their examples run, their commands and links exist, their tables are the code's."""

import inspect
import json
import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest

from auscult import __version__
from auscult.features import FEATURES
from auscult.recipe import DenoiserTable, Ensemble, Member, Recipe, TrainingTable, builtin_recipes, parse_recipe

PROJECT = Path(__file__).resolve().parents[1]
PAGES = [PROJECT / "README.md", PROJECT / "CHANGELOG.md", PROJECT / "CONTRIBUTING.md", *PROJECT.glob("docs/*.md")]
NAMES = {page: str(page.relative_to(PROJECT)) for page in PAGES}


def blocks(language: str) -> list[Any]:
    """The code blocks of a language in all pages, as test parameters."""
    return [
        pytest.param(block, id=f"{NAMES[page]} {number}")
        for page in PAGES
        for number, block in enumerate(
            re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE), 1
        )
    ]


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Holds RUN, of which the examples read the weights, and a detector, pump.auscult."""
    import numpy as np

    from auscult.detector import Detector, Machine, Part
    from auscult.features import LogMel
    from auscult.features.front_end import FrontEnd
    from auscult.models import Spectral

    clips = np.random.default_rng(0).normal(size=(4, 6, 8))
    folder = tmp_path_factory.mktemp("run")
    weights = folder / "RUN" / "weights" / "fan" / "hvae.safetensors"
    weights.parent.mkdir(parents=True)
    model = Spectral(8).fit(clips, ["id_00"] * 4)
    model.save(weights)
    part = Part("spectral", "spectral", FrontEnd(LogMel(16000, n_mels=8)), model, None, 0.0, 1.0, 1.0)
    Detector([part], {"pump": Machine("pump", "id_00")}, 10.0, 1.0).save(folder / "pump.auscult")
    return folder


@pytest.mark.parametrize("block", blocks("python"))
def test_python_examples_run(block: str, run_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(run_folder)
    exec(compile(block, "example", "exec"), {})


@pytest.mark.parametrize("block", blocks("toml"))
def test_recipe_examples_are_recipes(block: str) -> None:
    if "[machines." in block:  # a plant of `auscult serve`
        from auscult.live.serve.settings import Plant

        assert Plant.model_validate(tomllib.loads(block)).machines
        return
    assert parse_recipe(block, "example").member


@pytest.mark.parametrize("block", blocks("sh"))
def test_commands_exist_and_take_these_options(block: str) -> None:
    from auscult.cli import app

    targets = re.findall(r"^(\w[\w-]*):", (PROJECT / "Makefile").read_text(), re.MULTILINE)
    for line in block.splitlines():
        match shlex.split(line, comments=True):
            case ["auscult", *arguments]:
                app.parse_args(arguments, print_error=False, exit_on_error=False)
            case ["make", *chosen]:
                assert set(chosen) <= set(targets)
            case ["python", "-m", module, *_]:
                assert (PROJECT / f"{module.replace('.', '/')}.py").is_file()


@pytest.mark.parametrize("page", PAGES, ids=NAMES.get)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", page.read_text(encoding="utf-8")):
        if target.startswith("https://"):
            continue
        file, _, anchor = target.partition("#")
        there = (page.parent / file).resolve() if file else page
        assert there.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.+)$", there.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def table(page: str, heading: str) -> list[list[str]]:
    """The cells of the first table below a heading, without its head."""
    text = (PROJECT / page).read_text(encoding="utf-8")
    below = text.split(f"{heading}\n", 1)[1]
    rows = re.search(r"^\|.*?\n(?!\|)", f"{below}\n", re.DOTALL | re.MULTILINE)
    assert rows, heading
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in rows[0].strip().splitlines()[2:]]


def toml(value: object) -> str:
    """A default as the pages write it."""
    if value is None:
        return "none"
    return f"`{json.dumps(list(value) if isinstance(value, tuple) else value)}`"


@pytest.mark.parametrize(
    ("heading", "kind"),
    [
        ("### At the top", Recipe),
        ("### `[training]`, also in a member", TrainingTable),
        ("### `[denoiser]`", DenoiserTable),
        ("### `[[member]]`", Member),
        ("### `[[ensemble]]`", Ensemble),
    ],
)
def test_every_key_of_a_recipe_is_listed_with_its_default(heading: str, kind: Any) -> None:
    listed = {key.strip("`"): default for key, _, default, *_ in table("docs/recipes.md", heading)}
    before = {Recipe: ["extends"], Member: ["like", "grid"]}.get(kind, [])
    assert list(listed) == [*before, *kind.model_fields]
    for name, field in kind.model_fields.items():
        default = field.get_default(call_default_factory=True)
        if field.is_required():
            assert listed[name] == "required"
        elif listed[name] != "see below" and not isinstance(default, (TrainingTable, DenoiserTable)):
            assert listed[name] == toml(default), name


@pytest.mark.parametrize("family", ["autoencoder", "mahalanobis", "spectral", "hvae", "idcae", "freak", "classifier"])
def test_every_argument_of_a_family_is_listed_with_its_default(family: str) -> None:
    from auscult.models import MODELS

    arguments = dict(inspect.signature(MODELS[family]).parameters)
    del arguments["n_bins"]
    listed = {key.strip("`"): default for key, _, default, *_ in table("docs/recipes.md", f"### `{family}`")}
    assert listed == {name: toml(argument.default) for name, argument in arguments.items()}


def test_every_family_has_its_default_training_listed() -> None:
    from auscult.models import MODELS

    names = list(TrainingTable.model_fields)
    listed = {family.strip("`"): values for family, *values in table("docs/recipes.md", "## Defaults of the training")}
    assert listed == {
        family: [toml(getattr(kind.default_training, name)) for name in names] for family, kind in MODELS.items()
    }


@pytest.mark.parametrize("kind", FEATURES)
def test_every_argument_of_a_kind_of_features_is_listed_with_its_default(kind: str) -> None:
    arguments = dict(inspect.signature(FEATURES[kind]).parameters)
    listed = {key.strip("`"): default for key, _, default, *_ in table("docs/recipes.md", f'### `kind = "{kind}"`')}
    if arguments.pop("sample_rate", None) is not None:
        assert listed.pop("sample_rate") == "the recipe's"
    defaults = {name: argument.default for name, argument in arguments.items()}
    empty = inspect.Parameter.empty
    assert listed == {name: "required" if value is empty else toml(value) for name, value in defaults.items()}


def test_every_command_and_every_recipe_is_listed() -> None:
    from auscult.cli import app

    commands = {name for name in app if not name.startswith("-")}
    assert {command.strip("`").removeprefix("auscult ") for command, _ in table("README.md", "## Use")} == commands
    assert {name.strip("`") for name, _ in table("README.md", "### Recipes")} == set(builtin_recipes())


def test_every_pooling_is_described() -> None:
    from auscult.scores.pooling import POOLINGS

    assert [name.strip("`") for name, _ in table("docs/method.md", "## Pooling")] == list(POOLINGS)


def test_faults_and_sizes_of_the_factory_are_its_own() -> None:
    from auscult.datasets.factory.catalogue import EXTENTS
    from auscult.datasets.factory.machine_types import KINDS, TYPES

    page = (PROJECT / "docs" / "data.md").read_text(encoding="utf-8")
    for name, kind in TYPES.items():
        assert f"| {name} | {', '.join(kind.faults)} |" in page
        assert f"| {name} | {' '.join(other for other, like in KINDS.items() if like == name != other)} |" in page
    sizes = {row[0].strip("`"): row[1:] for row in table("docs/data.md", "## The synthetic factory")}
    assert list(sizes) == list(EXTENTS)
    for size, extent in EXTENTS.items():
        seconds, machines, train, test = sizes[size]
        assert seconds == f"{extent.seconds:g} s"
        assert (int(machines[0]), int(machines[-1])) == (extent.development_ids, extent.evaluation_ids)
        assert train == str(extent.train_clips)
        assert test == f"{extent.test_clips} normal, {extent.test_clips} anomalous"


def test_the_citation_is_of_this_version() -> None:
    assert f"\nversion: {__version__}\n" in (PROJECT / "CITATION.cff").read_text(encoding="utf-8")
