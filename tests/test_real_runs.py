"""Whole runs on real clips, from wav files to the report: 75 normal training clips and 16 test clips of sliders."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from auscult.recipe import load_recipe
from auscult.report.run import write_pages
from auscult.runs.results import read_results, read_scores_of
from auscult.runs.run import run

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(("recipe", "epochs"), [("baseline", 3), ("spectral", 1), ("hvae", 1), ("freak", 1)], ids=str)
def test_a_recipe_runs_on_real_sliders(shared_data: Path, tmp_path: Path, recipe: str, epochs: int) -> None:
    data = shared_data / "dcase2020_mini" / "dev_data"
    chosen = load_recipe(recipe, [f"member.*.training.epochs={epochs}"])
    finished = run(chosen, data=data, out=tmp_path / "run", machine_types=["slider"], pages=write_pages)
    assert {job.train[0].clips[0].machine_type for job in finished.plan.members} == {"slider"}
    assert len(read_scores_of(finished.folder, recipe, part="train")) == 75
    assert len(read_scores_of(finished.folder, recipe)) == 16
    rows = [row for row in read_results(finished.folder).development if row.system == recipe]
    assert [row.machine_id for row in rows] == ["id_00", "id_02", "id_04", "id_06"]
    assert all(0 <= row.figures["auc"] <= 1 and math.isfinite(row.figures["pauc"]) for row in rows)
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "slider" in page
    assert "<audio" in page


DENOISED = """
name = "denoised"
denoiser = { epochs = 1, steps = 1, batch_size = 2, seconds = 0.5, fixed = 4, precision = "bf16" }
[[member]]
name = "hvae"
family = "hvae"
denoise_level = 10
pooling = "median"
model = { hidden = [32], n_latent = 4 }
training = { epochs = 1 }
"""


@pytest.mark.bf16
def test_the_command_runs_hvae_on_denoised_real_sliders(
    shared_data: Path, tmp_path: Path, command: Callable[..., Any]
) -> None:
    recipe, out = tmp_path / "denoised.toml", tmp_path / "run"
    recipe.write_text(DENOISED)
    data, clean = shared_data / "dcase2020_mini", shared_data / "mechanical"
    done = command("run", recipe, "--data", data, "--clean", clean, "--machine-type", "slider", "--out", out)
    assert done.code == 0, done.err
    rows = read_results(out).development
    assert [row.machine_id for row in rows] == ["id_00", "id_02", "id_04", "id_06"]
    assert all(0 <= figure <= 1 for row in rows for figure in (row.figures["auc"], row.figures["pauc"]))
    assert "The denoiser of slider" in (out / "report.html").read_text(encoding="utf-8")


def test_idcae_refuses_the_single_id_of_the_real_training_clips(shared_data: Path, tmp_path: Path) -> None:
    from auscult.errors import RecipeError

    data = shared_data / "dcase2020_mini" / "dev_data"
    with pytest.raises(RecipeError, match=r"slider.*at least two machine ids"):
        run(load_recipe("idcae"), data=data, out=tmp_path / "run", machine_types=["slider"])
