"""Whole runs on real clips, from wav files to the report: 75 normal training clips and 16 test clips of sliders."""

import math
from pathlib import Path

import pytest

from auscult.recipe import load_recipe
from auscult.results import read_results, read_scores_of
from auscult.runs import run

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(("recipe", "epochs"), [("baseline", 3), ("spectral", 1), ("hvae", 1), ("freak", 1)], ids=str)
def test_a_recipe_runs_on_real_sliders(shared_data: Path, tmp_path: Path, recipe: str, epochs: int) -> None:
    data = shared_data / "dcase2020_mini" / "dev_data"
    chosen = load_recipe(recipe, [f"member.*.training.epochs={epochs}"])
    finished = run(chosen, data=data, out=tmp_path / "run", machine_types=["slider"])
    assert [job.train[0].clips[0].machine_type for job in finished.plan.members] == ["slider"]
    assert len(read_scores_of(finished.folder, recipe, part="train")) == 75
    assert len(read_scores_of(finished.folder, recipe)) == 16
    rows = read_results(finished.folder).development
    assert [row.machine_id for row in rows] == ["id_00", "id_02", "id_04", "id_06"]
    assert all(0 <= row.auc <= 1 and math.isfinite(row.pauc) for row in rows)
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "slider" in page
    assert "<audio" in page


def test_idcae_refuses_the_single_id_of_the_real_training_clips(shared_data: Path, tmp_path: Path) -> None:
    from auscult.errors import RecipeError

    data = shared_data / "dcase2020_mini" / "dev_data"
    with pytest.raises(RecipeError, match=r"slider.*at least two machine ids"):
        run(load_recipe("idcae"), data=data, out=tmp_path / "run", machine_types=["slider"])
