"""From members to what a run says: protocols side by side, seeds apart, intervals that hold the figures, and notes."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import auscult.runs.run
from auscult.errors import ModelError, RunError
from auscult.models import Spectral
from auscult.recipe import parse_recipe
from auscult.report.run import write_pages
from auscult.runs import run as runs
from auscult.runs.results import ResultRow, averaged, read_results, read_scores_of
from auscult.runs.run import Run
from auscult.scores.table import ScoreTable

run = partial(runs.run, pages=write_pages)  # as the command does
run_without_page = runs.run  # where nobody reads it: drawing it takes longer than all the rest

RECIPE = """
name = "nested"
[[member]]
name = "coarse"
family = "spectral"
features = { n_mels = 16, hop_length = 1024 }
[[member]]
name = "fine-{ratio}"
family = "spectral"
features = { n_mels = 24, hop_length = 1024 }
grid = { "model.ratio" = [1.0, 0.5, 0.0] }
[[member]]
name = "outside"
family = "spectral"
features = { n_mels = 8, hop_length = 1024 }
[[ensemble]]
name = "fine"
members = ["fine-*"]
select = 2
weights = "search"
[[ensemble]]
name = "final"
members = ["coarse", "fine"]
weights = "search"
"""

PROTOCOLS = {"uniform", "leave-one-id-out", "paper"}


def test_choices_of_older_runs_are_read(finished: Run, tmp_path: Path) -> None:
    content = json.loads((finished.folder / "results.json").read_text())
    for choice in content["choices"]:
        choice["mauc"] = choice.pop("reached")
    (tmp_path / "results.json").write_text(json.dumps(content))
    assert read_results(tmp_path).choices == read_results(finished.folder).choices


def rows_of(done: Run) -> dict[tuple[str, str, str, str], tuple[float, float]]:
    found = read_results(done.folder).development
    return {(row.machine_type, row.machine_id, row.system, row.protocol): (*row.figures.values(),) for row in found}


@pytest.fixture(scope="module")
def finished(factory: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return run(parse_recipe(RECIPE, "test"), data=factory, out=tmp_path_factory.mktemp("run") / "nested")


def test_ensembles_stand_under_every_protocol_and_members_under_none(finished: Run) -> None:
    found = {(system, protocol) for _, _, system, protocol in rows_of(finished)}
    members = {("coarse", "none"), ("outside", "none")} | {(f"fine-{ratio}", "none") for ratio in ("1", "0.5", "0")}
    assert found == members | {(name, protocol) for name in ("fine", "final") for protocol in PROTOCOLS}


def test_the_headline_is_the_last_ensemble_without_a_look_at_the_judged_labels(finished: Run) -> None:
    assert read_results(finished.folder).headline == ("final", "leave-one-id-out")


def test_one_labelled_machine_chooses_nothing_for_itself_and_the_headline_says_so(
    factory: Path, tmp_path: Path
) -> None:
    """Its weights are equal without it, so a headline under leave-one-id-out would claim a choice."""
    import shutil

    shutil.copytree(factory, tmp_path / "factory")
    for clip in (tmp_path / "factory" / "dev_data" / "fan" / "test").glob("anomaly_id_00_*.wav"):
        clip.unlink()
    done = run(parse_recipe(RECIPE, "test"), data=tmp_path / "factory", out=tmp_path / "run", machine_types=["fan"])
    results = read_results(done.folder)
    assert results.headline == ("final", "uniform")
    assert any(note.startswith("Only one machine of fan has development test clips") for note in results.notes)
    tables = [
        read_scores_of(done.folder, "final", protocol=protocol, machine_type="fan")
        for protocol in ("uniform", "leave-one-id-out")
    ]
    own, held_out = ([row.score for row in table if row.machine_id == "id_02"] for table in tables)
    assert own == held_out


def test_choosing_on_the_judged_labels_is_never_worse_than_on_those_of_others(finished: Run) -> None:
    """What the paper protocol maximises, on the same standardised scores, cannot be beaten by any other weights."""
    results = read_results(finished.folder)
    for machine_type in ("fan", "valve"):
        of_type = [row for row in results.development if (row.machine_type, row.system) == (machine_type, "fine")]
        mauc = {
            protocol: sum(sum(row.figures.values()) for row in of_type if row.protocol == protocol) / 4
            for protocol in PROTOCOLS
        }
        chosen = next(
            choice
            for choice in (item.choice for item in results.choices)
            if (choice.machine_type, choice.ensemble, choice.protocol) == (machine_type, "fine", "paper")
        )
        assert chosen.reached == pytest.approx(mauc["paper"], abs=1e-12)
        assert len(chosen.weights) == 2
        assert sum(chosen.weights.values()) == pytest.approx(1.0)


def test_the_figures_follow_from_the_score_tables_of_the_run_folder(finished: Run) -> None:
    from auscult.scores.metrics import evaluate

    for protocol in PROTOCOLS:
        table = read_scores_of(finished.folder, "final", protocol=protocol)
        figures = evaluate(table, incomplete="skip")
        for (machine_type, machine_id, system, of), (auc, pauc) in rows_of(finished).items():
            if (system, of) == ("final", protocol):
                assert figures[machine_type][machine_id] == {"auc": auc, "pauc": pauc}


def test_scores_that_are_not_there_are_named_with_those_that_are(finished: Run) -> None:
    with pytest.raises(RunError, match=r"no development scores of 'finale' .*did you mean 'final'"):
        read_scores_of(finished.folder, "finale", protocol="paper")


def test_labels_of_a_machine_do_not_move_its_own_row(factory: Path, finished: Run, tmp_path: Path) -> None:
    """Normal and anomalous clips of one fan exchange their names: its scores must not change where it is held out."""
    import shutil

    data = tmp_path / "factory"
    shutil.copytree(factory, data)
    clips = sorted((data / "dev_data" / "fan" / "test").glob("*_id_00_*.wav"))
    for clip in clips:
        other = "normal" if clip.name.startswith("anomaly") else "anomaly"
        clip.rename(clip.with_name("~" + other + clip.name.split("_id_", 1)[1].join(("_id_", ""))))
    for clip in clips[0].parent.glob("~*"):
        clip.rename(clip.with_name(clip.name[1:]))
    done = run_without_page(parse_recipe(RECIPE, "test"), data=data, out=tmp_path / "run", machine_types=["fan"])

    def scores(folder: Path, protocol: str) -> list[float]:
        table = read_scores_of(folder, "final", protocol=protocol, machine_type="fan")
        return sorted(row.score for row in table if row.machine_id == "id_00")

    for protocol, same in (("leave-one-id-out", True), ("uniform", True), ("paper", False)):
        assert (scores(done.folder, protocol) == pytest.approx(scores(finished.folder, protocol), rel=1e-12)) == same


def test_a_second_run_finds_everything_done_the_report_too(
    factory: Path, finished: Run, contents: Callable[..., dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contents(finished.folder)
    times = {path: path.stat().st_mtime_ns for path in finished.folder.rglob("*.csv")}

    def never(*_: Any, **__: Any) -> Any:
        raise AssertionError("what is finished is not done again")

    monkeypatch.setattr(auscult.runs.run, "analyse", never)
    again = run(parse_recipe(RECIPE, "test"), data=factory, out=finished.folder, pages=never)
    assert contents(finished.folder) == before
    assert {path: path.stat().st_mtime_ns for path in finished.folder.rglob("*.csv")} == times
    assert again.results == finished.results


def test_every_seed_is_a_run_of_its_own_and_the_first_one_is_not_changed_by_the_others(
    factory: Path, tmp_path: Path
) -> None:
    text = """
name = "seeds"
[training]
epochs = 1
[[member]]
name = "ae"
family = "autoencoder"
features = { n_mels = 16, hop_length = 1024 }
model = { context = 2, hidden = [8], n_latent = 2 }
[[member]]
name = "gauss"
family = "spectral"
features = { n_mels = 16, hop_length = 1024 }
"""
    one = run_without_page(parse_recipe(text, "test"), data=factory, out=tmp_path / "one", machine_types=["fan"])
    two = run(
        parse_recipe(text, "test", ["repeats=2", "seed=0"]), data=factory, out=tmp_path / "two", machine_types=["fan"]
    )
    by_seed = {seed: [row for row in read_results(two.folder).development if row.seed == seed] for seed in (0, 1)}
    assert by_seed[0] == read_results(one.folder).development
    ae = {seed: [row.figures["auc"] for row in rows if row.system == "ae"] for seed, rows in by_seed.items()}
    gauss = {seed: [row.figures["auc"] for row in rows if row.system == "gauss"] for seed, rows in by_seed.items()}
    assert gauss[0] == gauss[1], "nothing is random in it"
    first = ScoreTable.read(two.folder / "scores" / "fan" / "ae.test.csv")
    second = ScoreTable.read(two.folder / "scores" / "fan" / "ae.seed-1.test.csv")
    assert first != second
    assert len(ae[0]) == len(ae[1]) == 2
    assert (two.folder / "weights" / "fan" / "ae.seed-1.safetensors").is_file()


def test_figures_of_several_seeds_are_averaged_machine_by_machine() -> None:
    rows = [
        ResultRow("fan", "id_00", "ae", "none", {"auc": 0.5, "pauc": 0.6}, 0),
        ResultRow("fan", "id_02", "ae", "none", {"auc": 0.9, "pauc": 0.9}, 0),
        ResultRow("fan", "id_00", "ae", "none", {"auc": 0.7, "pauc": 0.8}, 1),
        ResultRow("fan", "id_02", "ae", "none", {"auc": 0.9, "pauc": 0.9}, 1),
    ]
    mean, same = averaged(rows)
    assert (mean.machine_id, mean.figures) == ("id_00", pytest.approx({"auc": 0.6, "pauc": 0.7}))
    assert (same.machine_id, same.figures) == ("id_02", pytest.approx({"auc": 0.9, "pauc": 0.9}))


@pytest.mark.parametrize("damage", ["", "[]", '{"rows": []}', '{"rows": [{"subset": "other"}]}'])
def test_a_damaged_results_file_says_how_to_write_it_again(tmp_path: Path, damage: str) -> None:
    (tmp_path / "results.json").write_text(damage)
    with pytest.raises(RunError, match=r"is damaged or of another version .* writes it again"):
        read_results(tmp_path)


def test_a_folder_without_results_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="so it is no finished run"):
        read_results(tmp_path)


SMALL = "{ n_mels = 8, hop_length = 1024 }"
FAILING = "{ m = 1, n_layers = 8, crop = 2000 }"
"""A model that needs clips of more frames than there are."""


def members(*lines: str) -> str:
    return "".join(f"[[member]]\n{line}\nfeatures = {SMALL}\n" for line in lines)


def test_a_result_without_a_finished_member_gives_its_place_to_the_one_before(factory: Path, tmp_path: Path) -> None:
    text = 'name = "gone"\n' + members(
        'name = "one"\nfamily = "spectral"',
        'name = "two"\nfamily = "spectral"\nmodel = { ratio = 0.5 }',
        f'name = "freak"\nfamily = "freak"\nmodel = {FAILING}',
    )
    text += '[[ensemble]]\nname = "both"\nmembers = ["one", "two"]\n'
    text += '[[ensemble]]\nname = "last"\nmembers = ["freak"]\n'
    done = run(parse_recipe(text, "test"), data=factory, out=tmp_path / "run", machine_types=["fan"])
    results = read_results(done.folder)
    assert results.headline == ("both", "uniform")
    assert "last, the recipe's result, has no finished member: both stands in its place." in results.notes
    assert (done.folder / "report.html").is_file()


def test_a_run_whose_first_seed_failed_is_that_of_the_next(
    factory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fit = Spectral.fit

    def fails(self: Any, *args: Any, training: Any, **more: Any) -> Any:
        if training.seed == 0:
            raise ModelError("not today")
        return fit(self, *args, training=training, **more)

    monkeypatch.setattr(Spectral, "fit", fails)
    text = 'name = "seeds"\nrepeats = 2\n' + members('name = "one"\nfamily = "spectral"')
    done = run(parse_recipe(text, "test"), data=factory, out=tmp_path / "run", machine_types=["fan"])
    assert [failure.label for failure in done.failures] == ["fan one"]
    assert {row.seed for row in read_results(done.folder).development} == {1}
    assert len(read_scores_of(done.folder, "one"))
    assert "one" in (done.folder / "report.html").read_text()


def test_labels_that_no_part_of_an_ensemble_scored_choose_nothing(factory: Path, tmp_path: Path) -> None:
    text = 'name = "apart"\n' + members(
        'name = "heard"\nfamily = "spectral"\ntrain_on = ["development"]',
        'name = "one"\nfamily = "spectral"\ntrain_on = ["additional"]',
        'name = "two"\nfamily = "spectral"\ntrain_on = ["additional"]\nmodel = { ratio = 0.5 }',
    )
    text += '[[ensemble]]\nname = "both"\nmembers = ["one", "two"]\nweights = "search"\n'
    done = run(parse_recipe(text, "test"), data=factory, out=tmp_path / "run", machine_types=["fan"])
    results = read_results(done.folder)
    assert results.headline == ("both", "uniform")
    assert {row.system for row in results.development} == {"heard"}
    assert any(note.startswith("both scored no development test clip") for note in results.notes)


def test_a_member_that_cannot_be_judged_leaves_a_report_without_its_surface(factory: Path, tmp_path: Path) -> None:
    text = 'name = "four"\n' + members(
        *(f'name = "m{place}"\nfamily = "spectral"\nmodel = {{ ratio = {place / 3} }}' for place in range(3)),
        'name = "apart"\nfamily = "spectral"\ntrain_on = ["additional"]',
    )
    text += '[[ensemble]]\nname = "all"\nmembers = ["*"]\nweights = "search"\n'
    done = run(parse_recipe(text, "test"), data=factory, out=tmp_path / "run", machine_types=["fan"])
    paper = [item.choice for item in read_results(done.folder).choices if item.choice.protocol == "paper"]
    assert [set(choice.weights) for choice in paper] == [{"m0", "m1", "m2"}]
    assert not (done.folder / "figures" / "figure1_fan.svg").exists()


def test_results_hold_nothing_but_json_numbers(finished: Run) -> None:
    content = json.loads((finished.folder / "results.json").read_text())
    assert set(content) == {"headline", "rows", "choices", "failures", "notes", "scales", "official"}
    assert content["failures"] == []
