"""The built wheel works by itself: recipes and report template are in it, and no source tree is needed."""

import importlib.util
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow  # builds a package, for which pip may have to fetch the build backend

ROOT = Path(__file__).parents[1]

RENDER = """
from auscult.report.data import ReportData
from auscult.report.html import laid_out, render
page = render(laid_out(ReportData("A title", "quick", "", "factory", "today", "hvae", [], [], {})))
print("</html>" in page)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    isolation = ["--no-isolation"] if importlib.util.find_spec("hatchling") else []
    build = [sys.executable, "-m", "build", "--wheel", *isolation, "--outdir", str(folder), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True, timeout=300)
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """Runs Python where the wheel's package hides the one of the source tree, and gives what it prints."""
    target = tmp_path_factory.mktemp("installed")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(target)]
    subprocess.run([*pip, str(wheel)], check=True, capture_output=True, timeout=300)
    elsewhere = tmp_path_factory.mktemp("elsewhere")

    def call(*arguments: str) -> str:
        answer = subprocess.run(
            [sys.executable, *arguments],
            cwd=elsewhere,
            env={**os.environ, "PYTHONPATH": str(target)},
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert answer.returncode == 0, answer.stderr
        return answer.stdout

    assert call("-c", "import auscult; print(auscult.__file__)").startswith(str(target))
    return call


def test_the_wheel_holds_every_file_of_the_package(wheel: Path) -> None:
    source = ROOT / "src"
    expected = {
        str(path.relative_to(source))
        for path in source.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and not path.name.startswith(".")
    }
    packed = set(zipfile.ZipFile(wheel).namelist())
    assert {name for name in packed if name.startswith("auscult/")} == expected
    assert any(name.endswith(".toml") for name in expected)
    assert any(name.endswith(".j2") for name in expected)
    assert any(name.endswith("licenses/LICENSE") for name in packed)
    assert {name.split("/")[0].split("-")[0] for name in packed} == {"auscult"}


def test_recipes_come_along(python: Callable[..., str]) -> None:
    assert "baseline" in python("-m", "auscult", "recipes")


def test_a_factory_and_a_run_with_its_report_need_nothing_else(python: Callable[..., str], tmp_path: Path) -> None:
    data, out, recipe = tmp_path / "data", tmp_path / "run", tmp_path / "alone.toml"
    recipe.write_text('name = "alone"\n[[member]]\nname = "gauss"\nfamily = "spectral"\n')
    python("-m", "auscult", "synth", str(data), "--size", "tiny", "--machine-type", "fan")
    python("-m", "auscult", "run", str(recipe), "--data", str(data), "--out", str(out), "--device", "cpu")
    assert (out / "report.html").read_text().rstrip().endswith("</html>")


def test_the_report_template_comes_along(python: Callable[..., str]) -> None:
    assert python("-c", RENDER).strip() == "True"
