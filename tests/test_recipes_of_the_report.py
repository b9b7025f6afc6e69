"""The recipes of the report hold what its tables and sections say, member by member."""

import json
from itertools import product

import pytest

from auscult.clips import MACHINE_TYPES
from auscult.recipe import COLUMNS, Member, Recipe, leave_out, load_recipe, what_is_left_out
from auscult.report.reference import printed_rows

BOTH = ["development", "additional"]
SUBMISSIONS = ("daniluk-1", "kapka-2", "kosmider-3", "daniluk-4", "srpol", "srpol-small")


def family(recipe: Recipe, machine_type: str, name: str) -> list[Member]:
    return [member for member in recipe.members_of(machine_type) if member.family == name]


def score_of(freak: Member) -> tuple[str, str, str]:
    """Norm, score, and the covariance where the score has one, shrunk or not."""
    covariance = freak.model["covariance"] if freak.model["score"] == "gaussian" else ""
    return freak.model["norm"], freak.model["score"], covariance.replace("shrunk", "full")


def networks(recipe: Recipe) -> list[Member]:
    """The members that are the report's own."""
    return [member for member in recipe.member if member.family not in ("autoencoder", "spectral")]


@pytest.mark.parametrize("name", [*SUBMISSIONS, "hvae", "idcae", "freak"])
def test_baseline_and_yardstick_stand_beside_every_network_and_in_no_ensemble(name: str) -> None:
    recipe = load_recipe(name)
    for machine_type in (*MACHINE_TYPES, "mill"):
        assert {"baseline", "spectral"} <= {member.name for member in recipe.members_of(machine_type)}
    assert not {"baseline-eval", "baseline", "spectral"} & {one for e in recipe.ensembles() for one in e.members}
    if name != "srpol-small":
        own, published = (one.member[1] for one in (recipe, load_recipe("baseline")))
        assert (own.train_on or recipe.train_on) == ["development"]
        assert recipe.training_of(own) == load_recipe("baseline").training_of(published)
    assert (recipe.scale == "training") == (name in SUBMISSIONS)


def test_the_30_hvaes_are_those_of_table_1_cell_by_cell() -> None:
    recipe = load_recipe("daniluk-1")
    found = [
        {
            "machine_type": "".join(member.machine_types or ()),
            "features": member.features["kind"],
            "denoise_level": str(member.level),
            "hidden": member.model["hidden"],
            "n_latent": str(member.model["n_latent"]),
            "big_precision": json.dumps(member.model["big_precision"]),
            "beta": str(member.model["beta"]),
            "epochs": str(member.training.epochs),
            "averaging": member.pooling,
        }
        for member in networks(recipe)
    ]
    assert found == [{**row, "hidden": json.loads(row["hidden"])} for row in printed_rows("table1")]


def test_the_30_hvaes_read_what_the_report_says() -> None:
    recipe = load_recipe("daniluk-1")
    assert len(networks(recipe)) == 30
    assert sum(member.features["kind"] == "openl3" for member in networks(recipe)) == 15
    assert sum(member.level > 0 for member in networks(recipe)) == 21
    openl3 = {"kind": "openl3", "content": "env", "input": "mel256", "embedding_size": 512, "generation": "0.2"}
    log_mel = {"kind": "log_mel", "n_fft": 1024, "hop_length": 512, "n_mels": 128}
    for member in networks(recipe):
        on_openl3 = member.features["kind"] == "openl3"
        assert member.features == (openl3 if on_openl3 else log_mel)
        assert member.model["context"] == (1 if on_openl3 else 5)
        assert (member.family, member.train_on or recipe.train_on) == ("hvae", BOTH)
    assert recipe.ensembles()[-1].members == [member.name for member in networks(recipe)]
    assert not recipe.chooses


def test_table_1_can_be_trained_in_part() -> None:
    recipe = load_recipe("daniluk-1")
    assert len(networks(leave_out(recipe, ["openl3"]))) == 15
    assert len(networks(leave_out(recipe, ["denoiser"]))) == 9
    assert "pump without openl3: no hvae member is left, ensemble 'hvae' drops out." in what_is_left_out(
        recipe, ["openl3"], MACHINE_TYPES
    )


def test_the_unified_idcae_is_trained_in_both_set_ups_of_table_3() -> None:
    recipe = load_recipe("kapka-2")
    members = {member.name: member for member in recipe.member}
    assert {name: one.train_on or recipe.train_on for name, one in members.items()} == {
        "baseline-eval": ["additional"],
        "baseline": ["development"],
        "spectral": BOTH,
        "kapka-dev": ["development"],
        "kapka-dev-add": BOTH,
    }
    assert recipe.compare == {"table3": {"baseline": "baseline", "dev": "kapka-dev", "dev+add": "kapka-dev-add"}}
    dev, both = members["kapka-dev"], members["kapka-dev-add"]
    assert both == dev.model_copy(update={"name": "kapka-dev-add", "train_on": BOTH})
    (unified,) = networks(load_recipe("idcae"))
    assert (dev.features, dev.model) == (unified.features, unified.model)
    assert recipe.training_of(dev) == load_recipe("idcae").training_of(unified)
    _, baseline = load_recipe("baseline").member
    assert members["baseline"].model == baseline.model
    assert recipe.training_of(members["baseline"]) == load_recipe("baseline").training_of(baseline)


@pytest.mark.parametrize("machine_type", MACHINE_TYPES)
def test_freak_has_four_to_fourteen_networks_and_the_score_of_its_type(machine_type: str) -> None:
    recipe = load_recipe("kosmider-3")
    (alone,) = family(load_recipe("freak"), machine_type, "freak")
    members = family(recipe, machine_type, "freak")
    assert 4 <= len(members) <= 14
    for member in members:
        assert (member.features["n_fft"], member.features["hop_length"]) == (2048, 512)
        assert member.features["n_mels"] in (64, 128)
        scales = ("sqrt", "linear") if machine_type == "valve" else ("log",)
        assert member.features["scale"] in scales
        assert member.model["m"] in (5, 6)
        assert member.model["n_layers"] in (3, 4)
        assert score_of(member) == score_of(alone)
        assert member.model["crop"] == alone.model["crop"] == 0  # whole clips
        assert "shrunk" not in (member.model.get("covariance"), alone.model.get("covariance"))
        assert recipe.training_of(member) == load_recipe("freak").training_of(alone)
    assert len({json.dumps([member.features, member.model]) for member in members}) == len(members)


@pytest.mark.parametrize("name", ["daniluk-4", "srpol"])
@pytest.mark.parametrize("machine_type", MACHINE_TYPES)
def test_the_grid_has_48_idcaes_for_each_type(name: str, machine_type: str) -> None:
    recipe = load_recipe(name)
    grid = [one for one in family(recipe, machine_type, "idcae") if one.name.startswith("idcae-grid-")]
    points = [
        (one.model["alpha"], one.model["target"], one.features["n_mels"], one.model["norm"], one.model["context"])
        for one in grid
    ]
    assert points == list(product((0.9, 0.75, 0.5), (0.0, 2.5, 5.0, 10.0), (128, 256), ("l1", "l2"), (10,)))
    (unified,) = networks(load_recipe("idcae"))
    assert all(recipe.training_of(one) == load_recipe("idcae").training_of(unified) for one in grid)
    assert all(one.train_on == BOTH for one in grid)


def test_the_final_ensemble_combines_the_families_of_the_other_submissions() -> None:
    final = {one.name: one for one in load_recipe("daniluk-4").ensembles()}
    for name, family_name in (("daniluk-1", "hvae"), ("kosmider-3", "freak")):
        (ensemble,) = load_recipe(name).ensembles()
        assert final[family_name] == ensemble
        assert (ensemble.weights, ensemble.select, ensemble.standardise) == ("uniform", None, True)
    assert (final["idcae"].select, final["idcae"].weights, len(final["idcae"].members)) == (4, "search", 48)
    last = load_recipe("daniluk-4").ensembles()[-1]
    assert (last.name, last.members, last.weights) == ("ensemble", ["hvae", "idcae", "freak"], "search")


def test_srpol_is_all_submissions_the_baseline_and_the_yardstick() -> None:
    recipe = load_recipe("srpol")
    parts = [*load_recipe("kapka-2").member, *networks(load_recipe("daniluk-4"))]
    assert [one.name for one in recipe.member] == [one.name for one in parts]
    assert [(one.family, one.features, one.model, one.level, one.pooling) for one in recipe.member] == [
        (one.family, one.features, one.model, one.level, one.pooling) for one in parts
    ]
    assert recipe.ensembles() == load_recipe("daniluk-4").ensembles()


@pytest.mark.parametrize("name", ["srpol", "srpol-small"])
def test_both_tables_of_results_are_compared_in_full(name: str) -> None:
    recipe = load_recipe(name)
    assert {table: [*cells] for table, cells in recipe.compare.items()} == {one: [*COLUMNS[one]] for one in COLUMNS}
    members = {one.name: one for one in recipe.member}
    table3 = [members[system].train_on for system in recipe.compare["table3"].values()]
    assert table3 == [["development"], ["development"], BOTH]
    assert recipe.compare["table4"] == {column: column for column in COLUMNS["table4"]}


@pytest.mark.parametrize("machine_type", MACHINE_TYPES)
def test_the_small_recipe_has_the_structure_of_the_large_one(machine_type: str) -> None:
    small, large = load_recipe("srpol-small"), load_recipe("srpol")
    assert [
        (one.name, one.select, one.weights, one.standardise) for one in sorted(small.ensembles(), key=lambda e: e.name)
    ] == [
        (one.name, one.select, one.weights, one.standardise) for one in sorted(large.ensembles(), key=lambda e: e.name)
    ]
    assert leave_out(small, ["openl3"]) == small
    assert 1 <= sum(one.level > 0 for one in small.member) <= 3
    assert {one.family for one in small.members_of(machine_type)} == {
        one.family for one in large.members_of(machine_type)
    }
    assert len(family(small, machine_type, "hvae")) >= 2
    assert len(family(small, machine_type, "freak")) == 4
    assert {score_of(one) for one in family(small, machine_type, "freak")} == {
        score_of(one) for one in family(large, machine_type, "freak")
    }
    grid = [one for one in family(small, machine_type, "idcae") if one.name.startswith("idcae-")]
    assert len(grid) == 8


@pytest.mark.parametrize("name", SUBMISSIONS)
def test_the_recipes_say_on_what_they_were_chosen(name: str) -> None:
    text = load_recipe(name).chosen_on
    assert text.endswith(".")
    assert "\n" not in text
    if name != "kapka-2":
        assert "development test clips" in text
