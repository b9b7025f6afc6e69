"""The main job, whole: what a run folder holds, that it repeats and continues, and data that lacks something."""

import csv
import json
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

import auscult.runs.jobs
from auscult.datasets import load_clips
from auscult.errors import AuscultError, RecipeError, RunError
from auscult.models import Model, load_model
from auscult.models.saved import read_model_file
from auscult.recipe import load_recipe, parse_recipe
from auscult.report.collect import report_data
from auscult.report.data import ReportData
from auscult.report.run import write_pages
from auscult.runs import run as runs
from auscult.runs.analysis import analyse
from auscult.runs.jobs import ENDS, load_banks
from auscult.runs.parts import read_part
from auscult.runs.results import read_results, read_scores_of
from auscult.runs.run import Run
from auscult.scores.table import ScoreTable

run = partial(runs.run, pages=write_pages)  # as the command does
run_without_page = runs.run  # where nobody reads it: drawing it takes longer than all the rest

RECIPE = """
name = "small"
[training]
epochs = 2
[[member]]
name = "ae"
family = "autoencoder"
features = { n_mels = 32 }
model = { context = 3, hidden = [16], n_latent = 2 }
[[member]]
name = "gauss"
family = "spectral"
features = { n_mels = 24, hop_length = 1024 }
"""

ALONE = """
name = "alone"
[[member]]
name = "gauss"
family = "spectral"
features = { n_mels = 24 }
"""

SYSTEMS = ("ae", "gauss", "ensemble")

FILES = {"ae": "ae", "gauss": "gauss", "ensemble": "ensemble.uniform"}
"""How the files of a system's scores begin."""

KILLED = """
import os, signal, sys
from pathlib import Path
import auscult.training
from auscult.recipe import load_recipe
from auscult.runs.run import run
recipe, data, out, label, step = sys.argv[1:]
auscult.training.CHECKPOINT_SECONDS = 0
def kill(job, done, total, text):
    if job.startswith(label) and done == int(step):
        os.kill(os.getpid(), signal.SIGKILL)
run(load_recipe(recipe), data=Path(data), out=Path(out), on_progress=kill)
"""

INTERRUPTED = """
import signal, sys
import auscult.training
from auscult.cli import main
signal.signal(signal.SIGINT, signal.default_int_handler)  # also where the tests run in the background
auscult.training.CHECKPOINT_SECONDS = 0
main(sys.argv[1:])
"""


def recipe(text: str = RECIPE, *overrides: str) -> Any:
    return parse_recipe(text, "test.toml", overrides)


def copy(factory: Path, to: Path, *without: str) -> Path:
    """A copy of a factory without what fits the patterns."""
    shutil.copytree(factory, to)
    for pattern in without:
        found = list(to.glob(pattern))
        assert found, pattern
        for path in found:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    return to


def rows(out: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((out / "results.json").read_text())["rows"]
    return found


def page(done: Run) -> ReportData:
    """What the report of a run shows."""
    return report_data(analyse(done.recipe, done.data, done.plan, done.store))


def same_model(one: Path, other: Path) -> bool:
    """Equal bits and metadata; the order of a safetensors file's metadata is not fixed."""
    (metadata, tensors), (other_metadata, others) = read_model_file(one), read_model_file(other)
    assert tensors
    return metadata == other_metadata and {name: tensor.numpy().tobytes() for name, tensor in tensors.items()} == {
        name: tensor.numpy().tobytes() for name, tensor in others.items()
    }


def reasons(some: Run) -> dict[str, str]:
    """Why jobs failed, by their labels."""
    return {failure.label: failure.reason for failure in some.failures}


def never(*_: Any, **__: Any) -> Any:
    raise AssertionError("what is finished is not done again")


@pytest.fixture(scope="module")
def finished(factory: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run that no test may change."""
    return run(recipe(), data=factory, out=tmp_path_factory.mktemp("run") / "small")


# The run folder


def test_the_run_folder_holds_all_that_was_made(finished: Run, contents: Callable[..., dict[str, str]]) -> None:
    tables = {
        f"scores/{machine_type}/{system}.{part}.csv"
        for machine_type in ("fan", "valve")
        for system in ("ae", "gauss", "ensemble.uniform")
        for part in ("train", "test", "evaluation")
    }
    parts = [f"{name}.{end}" for name in ("ae", "gauss") for end in ("safetensors", "json")]
    weights = {f"weights/{kind}/{name}" for kind in ("fan", "valve") for name in parts}
    files = {name for name in contents(finished.folder) if not name.startswith("store/")}
    shown = {name for name in files if name.startswith(("tables/", "figures/"))}
    assert {"tables/summary.csv", "tables/machines_fan.md", "figures/roc_fan_id_00.svg"} <= shown
    assert files - shown == tables | weights | {"recipe.toml", "run.json", "run.lock", "results.json", "report.html"}
    assert not list(finished.folder.glob("store/unfinished/*"))


def test_the_resolved_recipe_gives_the_same_run(finished: Run) -> None:
    assert load_recipe(str(finished.folder / "recipe.toml")) == finished.recipe == recipe()


def test_every_clip_has_one_score_in_the_table_of_its_part(finished: Run, factory: Path) -> None:
    parts = {"train": "train", "development": "test", "evaluation": "evaluation"}
    for clip in load_clips(factory):
        part = "train" if clip.split == "train" else parts[clip.subset]
        for system in SYSTEMS:
            table = ScoreTable.read(finished.folder / "scores" / clip.machine_type / f"{FILES[system]}.{part}.csv")
            (row,) = (row for row in table if (row.machine_id, row.file) == (clip.machine_id, clip.file))
            assert row.label == clip.label
    tables = list(finished.folder.glob("scores/*/ae.*.csv"))
    assert sum(len(ScoreTable.read(path)) for path in tables) == len(load_clips(factory))


def test_results_are_the_metrics_of_the_score_tables(finished: Run) -> None:
    found = {(row["machine_type"], row["machine_id"], row["system"]): row for row in rows(finished.folder)}
    ids = {"test": ("id_00", "id_02"), "evaluation": ("id_01",)}
    expected = {
        (kind, id_, name) for kind in ("fan", "valve") for some in ids.values() for id_ in some for name in SYSTEMS
    }
    assert set(found) == expected
    assert len(rows(finished.folder)) == len(expected)
    for (machine_type, machine_id, system), row in found.items():
        assert set(row) == {"machine_type", "machine_id", "system", "protocol", "auc", "pauc", "seed", "subset"}
        part = {"development": "test", "evaluation": "evaluation"}[row["subset"]]
        assert machine_id in ids[part]
        assert row["protocol"] == ("uniform" if system == "ensemble" else "none")
        with (finished.folder / "scores" / machine_type / f"{FILES[system]}.{part}.csv").open() as file:
            lines = [line for line in csv.DictReader(file) if line["machine_id"] == machine_id]
        labels, scores = zip(*((line["label"] == "anomaly", float(line["score"])) for line in lines), strict=True)
        assert row["auc"] == pytest.approx(roc_auc_score(labels, scores), rel=1e-14)
        assert row["pauc"] == pytest.approx(roc_auc_score(labels, scores, max_fpr=0.1), rel=1e-14)


def test_the_saved_weights_give_the_scores_of_the_tables(finished: Run) -> None:
    """They are whole: normalisation and ids come with them."""
    for job in finished.plan.members:
        model = load_model(finished.folder / "weights" / job.machine_type / f"{job.name}.safetensors")
        bank = next(bank for bank in job.test if bank.subset == "development")
        scores = model.score_clips(load_banks(finished.store, [bank])).tolist()
        table = ScoreTable.read(finished.folder / "scores" / job.machine_type / f"{job.name}.test.csv")
        assert {row.key: row.score for row in table} == {
            (clip.machine_type, clip.machine_id, clip.file): pytest.approx(score, rel=1e-6)
            for clip, score in zip(bank.clips, scores, strict=True)
        }


def test_the_pooling_is_the_members(finished: Run, factory: Path, tmp_path: Path) -> None:
    text = RECIPE.replace('name = "ae"', 'name = "ae"\npooling = "median"')
    done = run(recipe(text), data=factory, out=tmp_path / "run", machine_types=["fan"])
    (job,) = (job for job in finished.plan.members_of("fan") if job.name == "ae")
    model = load_model(finished.folder / "weights" / "fan" / "ae.safetensors")
    bank = next(bank for bank in job.test if bank.subset == "development")
    frames = model.frame_scores(load_banks(finished.store, [bank]))
    pooled = {clip.file: float(np.median(scores)) for clip, scores in zip(bank.clips, frames, strict=True)}
    assert {row.file: row.score for row in read_scores_of(done.folder, "ae")} == pytest.approx(pooled, rel=1e-6)


def test_the_ensemble_is_the_mean_of_standardised_scores(finished: Run) -> None:
    def scores(system: str, part: str) -> Any:
        return ScoreTable.read(finished.folder / "scores" / "fan" / f"{system}.{part}.csv").scores

    assert {name: read_part(finished.folder, "fan", name).scale for name in ("ae", "gauss")} == {
        "ae": "asinh",
        "gauss": "asinh",  # six clips of each machine are too few to leave a fifth out
    }
    for part in ("train", "test", "evaluation"):
        members = [
            np.arcsinh((scores(name, part) - scores(name, "train").mean()) / scores(name, "train").std())
            for name in ("ae", "gauss")
        ]
        assert scores("ensemble.uniform", part) == pytest.approx(np.mean(members, axis=0))


# The report's data


def test_the_report_counts_the_clips_of_the_data(finished: Run, factory: Path) -> None:
    clips = load_clips(factory)
    summary = {(row.machine_type, row.machine_id): row for row in page(finished).data_summary}
    assert set(summary) == {(clip.machine_type, clip.machine_id) for clip in clips}
    for (machine_type, machine_id), row in summary.items():
        mine = [clip for clip in clips if (clip.machine_type, clip.machine_id) == (machine_type, machine_id)]
        tested = [clip.label for clip in mine if clip.split == "test" and clip.subset == "development"]
        assert row.train == sum(clip.split == "train" for clip in mine)
        assert (row.normal, row.anomaly, row.unlabelled) == (tested.count("normal"), tested.count("anomaly"), 0)


def test_the_evidence_is_that_of_the_highest_scores_of_the_final_system(finished: Run) -> None:
    for machine_type in ("fan", "valve"):
        evidence = [clip for clip in page(finished).evidence if clip.machine_type == machine_type]
        table = ScoreTable.read(finished.folder / "scores" / machine_type / "ensemble.uniform.test.csv")
        highest = sorted(table, key=lambda row: -row.score)[: len(evidence)]
        assert [(clip.machine_id, clip.file, clip.score) for clip in evidence] == [
            (row.machine_id, row.file, row.score) for row in highest
        ]
        assert [clip.rank for clip in evidence] == [1, 2, 3]


def test_all_maps_of_a_clip_lie_on_the_frames_and_bins_of_its_spectrogram(finished: Run) -> None:
    """Also those of members that saw it with other features."""
    for clip in page(finished).evidence:
        assert clip.spectrogram.shape == (len(clip.spectrogram), 32)
        assert set(clip.map_groups.values()) == {"ae", "gauss"}
        assert all(values.shape == clip.spectrogram.shape for values in clip.maps.values())
        assert clip.frame_scores_of in ("ae", "gauss")
        assert clip.seconds_per_frame == 512 / 16000
        assert clip.sample_rate == 16000
        assert clip.waveform is not None
        assert len(clip.waveform) / 512 == pytest.approx(len(clip.spectrogram), abs=1)


def test_the_report_is_one_page_with_every_system(finished: Run) -> None:
    page = (finished.folder / "report.html").read_text(encoding="utf-8")
    assert page.startswith("<!DOCTYPE html>") or page.startswith("<!doctype html>")
    assert all(name in page for name in (*SYSTEMS, "fan", "valve", "id_00", "id_01"))


# It repeats


def test_a_run_killed_twice_ends_like_an_undisturbed_one(
    factory: Path, tmp_path: Path, contents: Callable[..., dict[str, str]]
) -> None:
    """Killed among the features, then after epoch 3 of 6 of the second machine type; bit for bit."""
    overrides = ("training.epochs=6",)
    (tmp_path / "six.toml").write_text(recipe(RECIPE, *overrides).to_toml())
    out = tmp_path / "killed"
    for label, step in (("fan development test: log_mel", 5), ("valve ae", 3)):
        arguments = [str(tmp_path / "six.toml"), str(factory), str(out), label, str(step)]
        killed = subprocess.run([sys.executable, "-c", KILLED, *arguments], check=False, timeout=120)
        assert killed.returncode == -signal.SIGKILL
        assert not (out / "results.json").exists()
    steps: list[tuple[str, int]] = []
    run_without_page(
        recipe(RECIPE, *overrides), data=factory, out=out, on_progress=lambda *step: steps.append(step[:2])
    )
    trained = [done for label, done in steps if label == "valve ae"]
    assert trained == [0, 4, 5, 6, 6], "epochs 1 to 3 are not trained again"
    assert [done for label, done in steps if label == "fan ae"] == [6], "a finished member is left alone"

    undisturbed = tmp_path / "undisturbed"
    run_without_page(recipe(RECIPE, *overrides), data=factory, out=undisturbed)
    for part in ("scores/**/*.csv", "results.json", "store/bank/**/*", "store/scores/**/*"):
        assert contents(out, part) == contents(undisturbed, part)
        assert contents(out, part)
    for path in out.glob("weights/*/*.safetensors"):
        assert same_model(path, undisturbed / path.relative_to(out))
    assert not list(out.glob("store/unfinished/*"))


def test_the_seed_counts(factory: Path, finished: Run, tmp_path: Path, contents: Callable[..., dict[str, str]]) -> None:
    out = run_without_page(recipe(RECIPE, "seed=1"), data=factory, out=tmp_path / "other", machine_types=["fan"]).folder
    again = run_without_page(recipe(), data=factory, out=tmp_path / "again", machine_types=["fan"]).folder
    table = "scores/fan/ae.test.csv"
    assert contents(again, table) == contents(finished.folder, table), "the other machine type changed nothing"
    assert contents(out, table) != contents(again, table)


def test_every_job_computes_with_one_thread(factory: Path, tmp_path: Path) -> None:
    import torch
    from threadpoolctl import threadpool_info, threadpool_limits

    seen: set[int] = set()

    def look(label: str, done: int, total: int, text: str) -> None:
        if text in ("", *ENDS):  # before a job, or after it
            return
        seen.update(pool["num_threads"] for pool in threadpool_info())
        seen.add(torch.get_num_threads())

    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        with threadpool_limits(limits=3, user_api="blas"):
            run_without_page(recipe(), data=factory, out=tmp_path / "run", machine_types=["fan"], on_progress=look)
        assert torch.get_num_threads() == 3, "as it was"
    finally:
        torch.set_num_threads(before)
    assert seen == {1}


# It continues, and shares


def test_the_same_folder_continues_and_does_nothing_twice(
    factory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, contents: Callable[..., dict[str, str]]
) -> None:
    out = tmp_path / "run"
    run(recipe(), data=factory, out=out)
    (out / "results.json").unlink()
    before = contents(out)
    times = {path: path.stat().st_mtime_ns for path in out.glob("store/*/*/*") if path.is_file()}
    monkeypatch.setattr(Model, "fit", never)
    monkeypatch.setattr(auscult.runs.jobs, "build_bank", never)
    run(recipe(), data=factory, out=out)
    assert (out / "results.json").exists()
    after = {name: hash_ for name, hash_ in contents(out).items() if name != "results.json"}
    assert {**after, "report.html": ""} == {**before, "report.html": ""}
    assert {path: path.stat().st_mtime_ns for path in times} == times


def test_runs_share_a_store(factory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = tmp_path / "shared"
    first = run_without_page(recipe(), data=factory, out=tmp_path / "one", store=store)
    assert not (tmp_path / "one" / "store").exists()
    monkeypatch.setattr(auscult.runs.jobs, "build_bank", never)
    with monkeypatch.context() as strict:
        strict.setattr(Model, "fit", never)
        second = run_without_page(recipe(), data=factory, out=tmp_path / "two", store=store)
    assert second.results == first.results
    third = run_without_page(recipe(RECIPE, "training.epochs=3"), data=factory, out=tmp_path / "three", store=store)
    assert {row.system for row in read_results(third.folder).development} == set(SYSTEMS), (
        "other members on the same banks"
    )


def test_a_changed_recording_makes_new_what_depends_on_it(factory: Path, tmp_path: Path, record: Any) -> None:
    data, out = copy(factory, tmp_path / "data"), tmp_path / "run"

    def scores() -> dict[Any, float]:
        return {row.key: row.score for row in read_scores_of(out, "ae")}

    before, scores_before = run_without_page(recipe(), data=data, out=out), scores()
    changed = next(data.glob("dev_data/fan/test/anomaly_id_00_*.wav"))
    record(changed, seconds=1.5)
    steps: list[str] = []
    after = run_without_page(recipe(), data=data, out=out, on_progress=lambda label, *_: steps.append(label))
    different = {key for key, score in scores().items() if score != scores_before[key]}
    assert different == {("fan", "id_00", changed.name)}
    assert [job.key for job in after.plan.members] == [job.key for job in before.plan.members], "nothing was trained"
    assert steps.count("fan ae") == 2, "begun, and done without an epoch"


def test_what_belongs_to_another_run_is_refused_and_kept(
    factory: Path, finished: Run, tmp_path: Path, contents: Callable[..., dict[str, str]]
) -> None:
    out = finished.folder
    before = contents(out)
    with pytest.raises(RunError, match=r"belongs to another recipe \(see .*recipe\.toml\); give another --out"):
        run(recipe(RECIPE, "training.epochs=3"), data=factory, out=out)
    with pytest.raises(RunError, match=r"made with the data .*factory, not .*elsewhere; give another --out"):
        run(recipe(), data=copy(factory, tmp_path / "elsewhere"), out=out)
    with pytest.raises(RunError, match=r"made with the machine types all, not \['fan'\]; give another --out"):
        run(recipe(), data=factory, out=out, machine_types=["fan"])
    assert contents(out) == before


def test_the_same_machine_types_in_another_order_are_the_same_run(factory: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    run_without_page(recipe(ALONE), data=factory, out=out, machine_types=["valve", "fan"])
    run_without_page(recipe(ALONE), data=factory, out=out, machine_types=["fan", "valve", "fan"])


def test_the_same_data_by_another_path_is_the_same_run(
    factory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "run"
    run_without_page(recipe(ALONE), data=factory, out=out)
    monkeypatch.chdir(factory.parent)
    run_without_page(recipe(ALONE), data=Path(factory.name), out=out)


def test_a_recipe_that_cannot_be_planned_does_not_take_the_folder(factory: Path, tmp_path: Path) -> None:
    """A typing error mended, the same command works."""
    out = tmp_path / "run"
    with pytest.raises(RecipeError, match="did you mean"):
        run_without_page(recipe(ALONE.replace("spectral", "spectrl")), data=factory, out=out)
    run_without_page(recipe(ALONE), data=factory, out=out)


@pytest.mark.parametrize("name", ["recipe.toml.4711.tmp", "recipe.toml", "run.json.1.tmp"])
def test_a_run_killed_at_its_very_beginning_is_begun_again(factory: Path, tmp_path: Path, name: str) -> None:
    out = tmp_path / "run"
    (out / "store").mkdir(parents=True)
    (out / name).write_text("half")
    run_without_page(recipe(ALONE), data=factory, out=out)
    assert rows(out)


def test_folders_and_files_of_others_are_not_written_to(factory: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(RunError, match="is a file; give a folder"):
        run(recipe(ALONE), data=factory, out=tmp_path / "file")
    with pytest.raises(RunError, match="holds files that are not of a run"):
        run(recipe(ALONE), data=factory, out=tmp_path)
    with pytest.raises(RunError, match="holds files that are not of a run"):
        run(recipe(ALONE), data=factory, out=factory)


@pytest.mark.parametrize("text", ["", "[]", "3", "{", "\udcff"])
def test_a_damaged_run_folder_is_named(factory: Path, tmp_path: Path, text: str) -> None:
    out = tmp_path / "run"
    run_without_page(recipe(ALONE), data=factory, out=out)
    (out / "run.json").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(RunError, match=f"{out}.*give another --out"):
        run_without_page(recipe(ALONE), data=factory, out=out)


# Ctrl-C


@pytest.mark.parametrize("workers", ["1", pytest.param("2", marks=pytest.mark.slow)])
def test_ctrl_c_leaves_nothing_half_written(factory: Path, tmp_path: Path, workers: str) -> None:
    """A checkpoint is written by the worker at once in the first case, after some seconds in the second."""
    from safetensors import safe_open

    (tmp_path / "long.toml").write_text(recipe(RECIPE, "training.epochs=1000000").to_toml())
    out = tmp_path / "run"
    arguments = ["run", str(tmp_path / "long.toml"), "--data", str(factory), "--out", str(out), "--device", "cpu"]
    arguments += ["--workers", workers]
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        until = time.monotonic() + 180
        while not (checkpoints := list(out.glob("store/unfinished/*/checkpoint.safetensors"))):
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < until
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        printed, errors = process.communicate(timeout=180)
    finally:
        process.kill()
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert errors.splitlines()[-1] == "stopped; what was finished is kept, and the same command continues"
    assert printed == ""
    assert not [path for path in out.rglob("*") if ".tmp" in path.name]
    assert not any("autoencoder" in path.read_text() for path in out.glob("store/model/*/facts.json"))
    assert {path.name for path in out.iterdir()} == {"recipe.toml", "run.json", "run.lock", "store"}
    with safe_open(checkpoints[0], framework="np") as file:
        assert json.loads(file.metadata()["history"]), "the checkpoint is whole"


# Data that lacks something


def notes_of(some: Run) -> str:
    assert (some.folder / "report.html").stat().st_size > 10_000
    return " ".join(read_results(some.folder).notes)


def test_an_evaluation_set_without_labels_is_scored(factory: Path, tmp_path: Path) -> None:
    data = copy(factory, tmp_path / "data", "eval_data_list.csv")
    done = run(recipe(), data=data, out=tmp_path / "run")
    assert {row["subset"] for row in rows(done.folder)} == {"development"}
    table = ScoreTable.read(done.folder / "scores" / "fan" / "ensemble.uniform.evaluation.csv")
    assert len(table) == len(list(data.glob("eval_data/fan/test/*")))
    assert {row.label for row in table} == {None}
    assert "The evaluation clips have no labels" in notes_of(done)


def test_a_ground_truth_list_labels_the_evaluation_set_later(factory: Path, tmp_path: Path) -> None:
    """The run continues: nothing that was computed depends on labels."""
    data, truth = copy(factory, tmp_path / "data", "eval_data_list.csv"), factory / "eval_data_list.csv"
    run(recipe(ALONE), data=data, out=tmp_path / "run")
    done = run(recipe(ALONE), data=data, out=tmp_path / "run", truth=truth)
    assert {row["subset"] for row in rows(done.folder)} == {"development", "evaluation"}
    assert read_results(done.folder).notes == []


def test_evaluation_data_alone_is_enough(factory: Path, tmp_path: Path) -> None:
    done = run(recipe(), data=copy(factory, tmp_path / "data", "dev_data"), out=tmp_path / "run")
    assert {(row["machine_id"], row["subset"]) for row in rows(done.folder)} == {("id_01", "evaluation")}
    notes = notes_of(done)
    assert "No development training data of fan, valve, on which the recipe would train too." in notes
    assert "There is no development test clip: only the evaluation clips were scored." in notes
    assert {clip.machine_id for clip in page(done).evidence} == {"id_01"}


def test_without_test_clips_a_run_trains_and_says_so(factory: Path, tmp_path: Path) -> None:
    data = copy(factory, tmp_path / "data", "*/*/test")
    done = run(recipe(), data=data, out=tmp_path / "run")
    assert rows(done.folder) == []
    assert (done.folder / "weights" / "fan" / "ae.safetensors").exists()
    assert len(ScoreTable.read(done.folder / "scores" / "fan" / "ensemble.uniform.train.csv")) == 12
    assert notes_of(done).startswith("There is no development test clip: only the training clips were scored.")


def test_a_machine_without_anomalies_is_scored_and_left_out_of_the_figures(factory: Path, tmp_path: Path) -> None:
    data = copy(factory, tmp_path / "data", "dev_data/fan/test/anomaly_id_00_*")
    done = run(recipe(), data=data, out=tmp_path / "run")
    machines = {(row["machine_type"], row["machine_id"]) for row in rows(done.folder) if row["subset"] == "development"}
    assert machines == {("fan", "id_02"), ("valve", "id_00"), ("valve", "id_02")}
    assert "fan id_00 has 3 normal and 0 anomalous clips: it has no AUC and is left out of all means." in notes_of(done)


def test_evaluation_clips_are_not_scored_where_their_machines_were_not_trained(factory: Path, tmp_path: Path) -> None:
    data = copy(factory, tmp_path / "data", "eval_data/*/train")
    done = run(recipe(), data=data, out=tmp_path / "run")
    assert {row["subset"] for row in rows(done.folder)} == {"development"}
    assert not list(done.folder.rglob("*.evaluation.csv"))
    assert "No additional training data of fan, valve, on which the recipe would train too." in notes_of(done)


def test_machines_that_were_tested_and_not_trained_are_named(factory: Path, tmp_path: Path) -> None:
    data = copy(factory, tmp_path / "data", "dev_data/fan/train/normal_id_02_*")
    done = run(recipe(), data=data, out=tmp_path / "run")
    assert "Tested without a training clip of the same machine: fan id_02." in notes_of(done)


def test_what_is_left_out_for_want_of_data_is_said(factory: Path, tmp_path: Path) -> None:
    """And a folder from before members could be optional goes on."""
    optional = recipe(f'{RECIPE}[[member]]\nname = "ids"\nfamily = "idcae"\noptional = true\n')
    data = copy(factory, tmp_path / "data", "dev_data/*/*/*id_02*", "eval_data")
    done = run(optional, data=data, out=tmp_path / "run")
    assert {row["system"] for row in rows(done.folder)} == set(SYSTEMS)
    assert "ids is left out for fan, valve: each has training clips of id_00 alone" in notes_of(done)
    old = done.folder / "recipe.toml"
    old.write_text(old.read_text().replace("optional = true\n", ""))
    run(optional, data=data, out=tmp_path / "run")


def test_what_the_settings_were_chosen_on_is_said(factory: Path, tmp_path: Path) -> None:
    chosen = recipe(RECIPE, 'chosen_on="The settings were chosen on the test labels of other machines."')
    done = run(chosen, data=factory, out=tmp_path / "run")
    assert chosen.chosen_on in notes_of(done)
    assert chosen.chosen_on in (done.folder / "report.html").read_text(encoding="utf-8")


def test_without_any_anomaly_there_are_scores_and_no_figures(factory: Path, tmp_path: Path) -> None:
    data = copy(factory, tmp_path / "data", "dev_data/*/test/anomaly_*", "eval_data", "eval_data_list.csv")
    done = run(recipe(), data=data, out=tmp_path / "run")
    assert rows(done.folder) == []
    (note,) = (note for note in read_results(done.folder).notes if "no AUC" in note)
    assert note.startswith(
        "fan id_00, fan id_02, valve id_00, valve id_02 have 3 normal and 0 anomalous clips each: they"
    )
    assert len(ScoreTable.read(done.folder / "scores" / "valve" / "ensemble.uniform.test.csv")) == 6
    notes_of(done)


def test_members_that_train_on_other_data_form_an_ensemble_where_they_can(factory: Path, tmp_path: Path) -> None:
    text = f'{RECIPE}train_on = ["additional"]\n'
    done = run(recipe(text), data=factory, out=tmp_path / "run")
    machines = {
        system: {(row["machine_id"], row["subset"]) for row in rows(done.folder) if row["system"] == system}
        for system in SYSTEMS
    }
    everywhere = {("id_00", "development"), ("id_02", "development"), ("id_01", "evaluation")}
    assert machines == {"ae": everywhere, "gauss": {("id_01", "evaluation")}, "ensemble": everywhere}
    assert all(set(clip.map_groups.values()) <= {"ae"} for clip in page(done).evidence)


def test_each_machine_type_may_have_a_member_of_its_own(factory: Path, tmp_path: Path) -> None:
    """The run's result then covers all of them."""
    text = RECIPE.replace('name = "ae"', 'name = "ae"\nmachine_types = ["fan"]')
    text = text.replace('name = "gauss"', 'name = "gauss"\nmachine_types = ["valve"]')
    done = run(recipe(text), data=factory, out=tmp_path / "run")
    found = {(row["system"], row["machine_type"]) for row in rows(done.folder)}
    assert found == {("ae", "fan"), ("gauss", "valve"), ("ensemble", "fan"), ("ensemble", "valve")}
    assert {clip.machine_type for clip in page(done).evidence} == {"fan", "valve"}


@pytest.mark.parametrize(
    ("ensemble", "systems"),
    [
        ('[{ name = "ensemble", members = ["ae", "gauss"] }]', {"ae", "gauss", "third", "ensemble"}),
        ("[]", {"ae", "gauss", "third"}),
    ],
)
def test_the_ensemble_takes_in_the_members_that_it_names(
    factory: Path, finished: Run, tmp_path: Path, ensemble: str, systems: set[str]
) -> None:
    text = f'ensemble = {ensemble}\n{RECIPE}[[member]]\nname = "third"\nfamily = "spectral"\n'
    done = run(recipe(text), data=factory, out=tmp_path / "run", machine_types=["fan"])
    assert {row.system for row in read_results(done.folder).development} == systems
    if "ensemble" in systems:
        third, without = (
            read_scores_of(one.folder, "ensemble", protocol="uniform", machine_type="fan") for one in (done, finished)
        )
        assert third == without, "as without the third"


def test_one_member_needs_no_ensemble(factory: Path, tmp_path: Path) -> None:
    done = run(recipe(ALONE), data=factory, out=tmp_path / "run")
    assert {row["system"] for row in rows(done.folder)} == {"gauss"}


def test_a_plain_folder_of_recordings_of_any_length(pumps: Path, tmp_path: Path, record: Any) -> None:
    record(pumps / "pump" / "train" / "long.wav", seconds=1.3)
    record(pumps / "pump" / "test" / "anomaly" / "short.wav", seconds=0.2)
    done = run(recipe(), data=pumps, out=tmp_path / "run")
    assert {(row["machine_type"], row["machine_id"]) for row in rows(done.folder)} == {("pump", "id_00")}
    table = ScoreTable.read(done.folder / "scores" / "pump" / "ae.test.csv")
    assert [row.file for row in table if row.label == "anomaly"] == [
        "test/anomaly/0.wav",
        "test/anomaly/1.wav",
        "test/anomaly/short.wav",
    ]


@pytest.mark.parametrize("part", ["train", "test/normal"])
def test_a_clip_too_short_for_the_model_is_named_before_the_training(
    pumps: Path, tmp_path: Path, record: Any, part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Long enough for a frame, not for a window of frames."""
    monkeypatch.setattr(Model, "fit", never)
    short = record(pumps / "pump" / part / "short.wav", seconds=0.07)
    done = run_without_page(recipe(RECIPE, "member.ae.model.context=9"), data=pumps, out=tmp_path / "run")
    assert reasons(done)["pump ae"].startswith(f"{short}: the clip has 3 frames; pump ae needs at least 9. Remove")


def test_a_damaged_checkpoint_is_named(factory: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"

    def stop(label: str, done: int, *_: Any) -> None:
        if (label, done) == ("fan ae", 2):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_without_page(recipe(), data=factory, out=out, on_progress=stop)
    (checkpoint,) = out.glob("store/unfinished/*/checkpoint.safetensors")
    checkpoint.write_bytes(checkpoint.read_bytes()[:100])
    assert re.search(
        r"checkpoint\.safetensors is damaged: .*remove it to train from the start",
        reasons(run_without_page(recipe(), data=factory, out=out))["fan ae"],
    )
    checkpoint.unlink()
    assert not run_without_page(recipe(), data=factory, out=out).failures


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("bank/*/frames.f32", b""),
        ("bank/*/frames.f32", b"\0" * 400),
        ("bank/*/bank.json", b""),
        ("bank/*/bank.json", b"[]"),
        ("scores/*/scores.json", b"{"),
        ("scores/*/scores.json", b"3"),
        ("model/*/model.safetensors", b"half"),
        ("analysis/*/results.json", b"{"),
    ],
)
def test_a_damaged_artefact_is_named_and_made_again(factory: Path, tmp_path: Path, file: str, content: bytes) -> None:
    """A disk that lost what it had promised to keep."""
    out = tmp_path / "run"
    before = run_without_page(recipe(ALONE), data=factory, out=out)
    damaged = sorted(out.glob(f"store/{file}"))[0]
    damaged.write_bytes(content)
    if not file.startswith("analysis"):  # so that the artefact is needed again
        shutil.rmtree(out / "store" / "analysis")
    if not file.startswith(("scores", "analysis")):
        shutil.rmtree(out / "store" / "scores")
    try:
        (reason,) = reasons(run_without_page(recipe(ALONE), data=factory, out=out)).values()
    except AuscultError as error:  # of scores, which no job reads
        reason = str(error)
    assert str(damaged.parent) in reason
    shutil.rmtree(damaged.parent)
    assert run_without_page(recipe(ALONE), data=factory, out=out).results == before.results


def test_real_recordings_are_trained_on_and_scored(shared_data: Path, tmp_path: Path) -> None:
    """75 real training clips and 16 real test clips of sliders, by the quickest member."""
    data = shared_data / "dcase2020_mini" / "dev_data"
    done = run(recipe(ALONE, "train_on=['development']"), data=data, out=tmp_path / "run", machine_types=["slider"])
    (bank,) = done.plan.members[0].train
    assert len(bank.clips) == 75
    assert len(read_scores_of(done.folder, "gauss")) == 16
    assert {row.machine_type for row in read_results(done.folder).development} == {"slider"}
    assert (done.folder / "report.html").stat().st_size > 10_000


def test_a_run_that_is_left_without_any_member_is_refused(factory: Path, tmp_path: Path) -> None:
    text = RECIPE.replace('name = "ae"', 'name = "ae"\nmachine_types = ["fan"]\ndenoise_level = 1')
    text = text.replace('name = "gauss"', 'name = "gauss"\nmachine_types = ["valve"]')
    with pytest.raises(RecipeError, match="for fan is left out; nothing is left to train"):
        run(recipe(text), data=factory, out=tmp_path / "run", machine_types=["fan"], without=["denoiser"])
    assert not (tmp_path / "run").exists()


def test_members_for_machine_types_that_a_run_leaves_out_are_no_slips(factory: Path, tmp_path: Path) -> None:
    data = copy(factory, tmp_path / "data")
    (data / "dev_data" / "valve").rename(data / "dev_data" / "compressor")
    text = ALONE.replace("[[member]]", '[[member]]\nmachine_types = ["fan", "compressor"]')
    done = run(recipe(text), data=data, out=tmp_path / "run", machine_types=["fan"])
    assert done.plan.machine_types == ["fan"]
