"""The file list is the diagram: imports point upwards in this order only, and files stay short."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from benchmarks import house

PROJECT = Path(__file__).parents[1]
SOURCE = PROJECT / "src" / "auscult"

ORDER = """
errors files clips processes
sound training
datasets scores recipe
denoising
features
models
members
runs
detector
live export submission report
cli __main__
""".split()
"""Rooms in the order of the line; a module may import what stands before it, and its own room."""

WITHOUT_TORCH = ("sound", "datasets", "scores", "recipe", "detector/alarms", "detector/calibration")
"""Rooms, and folders of rooms, that need no torch."""

LONGEST = 320

MODULES = sorted(path for path in SOURCE.rglob("*.py") if path != SOURCE / "__init__.py")
BENCHMARKS = sorted((PROJECT / "benchmarks").glob("*.py"))


def room(path: Path) -> str:
    """The entry of `ORDER` that a file belongs to."""
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imported_rooms(path: Path) -> set[str]:
    """The entries of `ORDER` that a file imports, anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name} has a relative import; write auscult.…"
            module = node.module or ""
            names |= {f"auscult.{alias.name}" for alias in node.names} if module == "auscult" else {module}
    return {name.split(".")[1] for name in names if name.startswith("auscult.")} - {"__version__"}


def test_every_file_has_a_place_in_the_order() -> None:
    assert {room(path) for path in MODULES} <= set(ORDER)


def test_no_place_in_the_order_is_empty() -> None:
    assert set(ORDER) <= {room(path) for path in MODULES}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_point_upwards_only(path: Path) -> None:
    own = room(path)
    below = {name for name in imported_rooms(path) if name != own and ORDER.index(name) >= ORDER.index(own)}
    assert not below, f"{path.name} imports {below}, which stand below it"


@pytest.mark.parametrize("name", WITHOUT_TORCH)
def test_what_reads_only_sounds_and_tables_needs_no_torch(name: str) -> None:
    files = [path for path in MODULES if path.is_relative_to(SOURCE / name)]
    assert files
    for path in files:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        modules = {getattr(node, "module", None) for node in ast.walk(tree)}
        modules |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        assert not {module for module in modules if module and module.split(".")[0] == "torch"}


@pytest.mark.parametrize("path", MODULES + BENCHMARKS, ids=lambda path: str(path.relative_to(PROJECT)))
def test_files_are_short_and_say_their_purpose_in_their_first_line(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= LONGEST
    assert ast.get_docstring(ast.parse(text)), f"{path.name} does not say what it is for"


def imported(folder: str) -> Iterator[str]:
    """Distributions whose packages the Python files of a folder import, anywhere in them."""
    here = {"auscult", "benchmarks", *(path.stem for path in (PROJECT / folder).iterdir())}
    distributions = packages_distributions()
    for path in (PROJECT / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for name in {name.partition(".")[0] for name in names} - here - sys.stdlib_module_names:
                yield from (written(found) for found in distributions.get(name, [name]))


def written(requirement: str) -> str:
    """The name of a requirement, as registries compare it."""
    return re.split(r"[^\w.-]", requirement)[0].lower().replace("_", "-")


def test_what_is_imported_is_declared_and_what_is_declared_is_imported() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = {name: set(map(written, names)) for name, names in project["optional-dependencies"].items()}
    core = set(map(written, project["dependencies"]))
    used = core.union(*(names for name, names in extras.items() if name != "dev"))
    assert set(imported("src")) <= used
    assert core <= set(imported("src"))
    assert {*imported("tests"), *imported("benchmarks")} <= used | extras["dev"]


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_the_map_names_every_room_in_the_order_of_imports(page: str) -> None:
    text = (PROJECT / page).read_text(encoding="utf-8")
    table = text.partition("<!-- rooms -->")[2].partition("<!-- end of rooms -->")[0]
    assert re.findall(r"^\| `(\w+)` \| \S", table, flags=re.MULTILINE) == [name for name in ORDER if name != "__main__"]


def test_the_house_keeps_its_measure() -> None:
    figures = house.measure(commands=())
    assert figures.rooms <= 20
    assert 0 < figures.floors <= 12
    assert not figures.circles
    assert not figures.shared_class_names
    assert figures.longest_function <= 50


@pytest.mark.slow
def test_the_way_of_a_sound_is_short() -> None:
    figures = house.measure(commands=("score", "monitor"))
    assert 0 < figures.files_entered["score"] <= 50
    assert 0 < figures.calls_to_score <= 8
