"""The file list is the diagram: imports point upwards in this order only, and files stay short."""

import ast
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]
SOURCE = PROJECT / "src" / "auscult"

ORDER = """
errors clips files
pooling audio defects
training
datasets
denoising
features
models
store recipe constructors denoiser_jobs plan stacks jobs workers executors cluster estimate scoring
scores metrics ensemble intervals results submission
alarms calibration condition
detector export
analysis run_folder
report
runs learn pack
live
display  cli __main__
""".split()
"""Stages in the order of the line; a module may import what stands before it, and its own folder."""

TABLES = {
    "scores",
    "metrics",
    "ensemble",
    "intervals",
    "results",
    "submission",
    "recipe",
    "alarms",
    "calibration",
    "condition",
}
"""Stages that need no torch."""

LONGEST = 320

MODULES = sorted(path for path in SOURCE.rglob("*.py") if path != SOURCE / "__init__.py")
BENCHMARKS = sorted((PROJECT / "benchmarks").glob("*.py"))


def stage(path: Path) -> str:
    """The entry of `ORDER` that a file belongs to."""
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imported_stages(path: Path) -> set[str]:
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
    assert {stage(path) for path in MODULES} <= set(ORDER)


def test_no_place_in_the_order_is_empty() -> None:
    assert set(ORDER) <= {stage(path) for path in MODULES}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_point_upwards_only(path: Path) -> None:
    own = stage(path)
    below = {name for name in imported_stages(path) if name != own and ORDER.index(name) >= ORDER.index(own)}
    assert not below, f"{path.name} imports {below}, which stand below it"


@pytest.mark.parametrize("name", sorted(TABLES))
def test_what_reads_only_tables_needs_no_torch(name: str) -> None:
    files = [path for path in MODULES if stage(path) == name]
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
