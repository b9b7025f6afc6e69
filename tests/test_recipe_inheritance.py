"""Inheritance of recipes (`extends`) and members (`like`): what is taken over, what wins, and cycles."""

from pathlib import Path
from typing import Any

import pytest

from auscult.errors import RecipeError
from auscult.recipe import Recipe, load_recipe, parse_recipe

FIRST = """
name = "first"
[[member]]
name = "a"
family = "hvae"
machine_types = ["fan"]
denoise_level = 2
pooling = "median"
train_on = ["additional"]
features = { kind = "log_mel", n_mels = 64 }
model = { beta = 4.0, n_latent = 8 }
training = { epochs = 3, batch_size = 5 }
"""


def parse(text: str, *overrides: str) -> Recipe:
    return parse_recipe(text, "mine.toml", overrides)


def member(name: str, *lines: str) -> str:
    return "\n".join(["[[member]]", f'name = "{name}"', *lines, ""])


def members(recipe: Recipe) -> dict[str, dict[str, Any]]:
    """Each member's keys, without those that say nothing."""
    tables = (one.model_dump(exclude_unset=True, exclude_none=True) for one in recipe.member)
    return {table.pop("name"): table for table in tables}


# Members: as another, but


def test_a_member_like_another_has_all_of_it_but_its_name_and_what_it_says() -> None:
    more = member("b", 'like = "a"', 'pooling = "mean"', "model = { beta = 1.0 }")
    recipe = parse(f"{FIRST}{more}")
    a, b = members(recipe).values()
    assert b == {**a, "pooling": "mean", "model": {"beta": 1.0, "n_latent": 8}}
    assert parse(recipe.to_toml()) == recipe


def test_it_does_not_matter_who_comes_first() -> None:
    later = member("b", 'like = "a"', "model = { beta = 1.0 }")
    head, _, rest = FIRST.partition("[[member]]")
    forward = members(parse(f"{FIRST}{later}"))
    assert members(parse(f"{head}{later}[[member]]{rest}")) == forward
    assert list(members(parse(f"{head}{later}[[member]]{rest}"))) == ["b", "a"]


def test_likeness_goes_on() -> None:
    chain = member("c", 'like = "b"', "training = { epochs = 9 }") + member("b", 'like = "a"', "model = { beta = 1.0 }")
    c = members(parse(f"{FIRST}{chain}"))["c"]
    assert (c["model"], c["training"]) == ({"beta": 1.0, "n_latent": 8}, {"epochs": 9, "batch_size": 5})


def test_another_kind_of_features_or_family_brings_its_own_table() -> None:
    more = member("b", 'like = "a"', 'features = { kind = "openl3" }') + member("c", 'like = "a"', 'family = "freak"')
    found = members(parse(f"{FIRST}{more}"))
    assert found["b"]["features"] == {"kind": "openl3"}
    assert found["b"]["model"] == found["a"]["model"]
    assert "model" not in found["c"]
    assert found["c"]["features"] == found["a"]["features"]
    again = member("d", 'like = "a"', 'features = { kind = "log_mel", fmin = 50.0 }')
    assert members(parse(f"{FIRST}{again}"))["d"]["features"] == {"kind": "log_mel", "n_mels": 64, "fmin": 50.0}


def test_a_name_for_several_types_means_the_same_types_or_the_first() -> None:
    def typed(name: str, kind: str, *lines: str) -> str:
        return member(name, f'machine_types = ["{kind}"]', *lines)

    text = 'name = "x"\n' + typed("a", "fan", 'family = "hvae"') + typed("a", "pump", 'family = "freak"')
    text += typed("a", "valve", 'like = "a"') + typed("b", "pump", 'like = "a"') + member("c", 'like = "a"')
    found = [(one.name, one.machine_types, one.family) for one in parse(text).member]
    assert found[2:] == [("a", ["valve"], "hvae"), ("b", ["pump"], "freak"), ("c", ["fan"], "hvae")]


def test_a_grid_can_be_like_another_but() -> None:
    text = 'name = "x"\n' + member("g-{m}", 'family = "freak"', 'grid = { "model.m" = [5, 6] }')
    text += member("h-{m}", 'like = "g-{m}"', "model = { n_layers = 4 }")
    text += member("i-{m}-{k}", 'like = "g-{m}"', 'grid = { "model.m" = [7], "model.k" = [1, 2] }')
    found = {name: table["model"] for name, table in members(parse(text)).items()}
    assert found == {
        "g-5": {"m": 5},
        "g-6": {"m": 6},
        "h-5": {"n_layers": 4, "m": 5},
        "h-6": {"n_layers": 4, "m": 6},
        "i-7-1": {"m": 7, "k": 1},
        "i-7-2": {"m": 7, "k": 2},
    }


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (
            member("b", 'like = "aa"'),
            r"member 'b' is like 'aa', which is no other member \(did you mean 'a'\?\); known: a",
        ),
        (member("b", 'like = "b"'), "member 'b' is like 'b', which is no other member; known: a"),
        (
            member("b", 'like = "c"') + member("c", 'like = "d"') + member("d", 'like = "b"'),
            "like each other in a cycle: 'b' is like 'c' is like 'd' is like 'b'; write one",
        ),
        (member("b", "like = 3"), "member 'b' is like '3', which is no other member"),
    ],
)
def test_likeness_that_cannot_be_is_named(more: str, words: str) -> None:
    with pytest.raises(RecipeError, match=f"^the recipe mine.toml: .*{words}"):
        parse(f"{FIRST}{more}")


# Recipes


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "first.toml").write_text(FIRST)
    return tmp_path


def extending(folder: Path, text: str, extends: str = '"base/first.toml"', *overrides: str) -> Recipe:
    path = folder / "mine.toml"
    path.write_text(f'name = "mine"\nextends = {extends}\n{text}')
    return load_recipe(str(path), overrides)


def test_a_recipe_has_the_members_of_the_one_that_it_extends_and_its_own(folder: Path) -> None:
    recipe = extending(folder, member("b", 'family = "spectral"') + member("c", 'like = "a"'))
    first = parse(FIRST).member[0]
    assert [one.name for one in recipe.member] == ["a", "b", "c"]
    assert recipe.member[0] == first
    assert recipe.member[2] == first.model_copy(update={"name": "c"})
    assert parse(recipe.to_toml()) == recipe
    assert (recipe.name, recipe.description) == ("mine", "")


def test_a_built_in_recipe_can_be_extended_without_a_file() -> None:
    recipe = parse('name = "mine"\nextends = "quick"\n' + member("hvae", "model = { beta = 2.0 }"))
    quick = load_recipe("quick")
    assert [one.name for one in recipe.member] == [one.name for one in quick.member]
    assert recipe.ensembles() == quick.ensembles()
    changed = {one.name: one.model for one in recipe.member if one not in quick.member}
    assert changed == {"hvae": {"hidden": [256, 128], "n_latent": 8, "big_precision": True, "beta": 2.0}}


def test_what_wins() -> None:
    """The recipe's own over what it extends, a later extended one over an earlier; tables are merged."""
    own = '[denoiser]\nepochs = 2\n[compare.table3]\ndev = "baseline"\n'
    recipe = parse(f'name = "mine"\nextends = ["kapka-2", "daniluk-4"]\nseed = 7\n{own}')
    assert recipe.seed == 7
    assert recipe.denoiser.epochs == 2
    assert recipe.compare["table3"] == {"baseline": "baseline", "dev": "baseline", "dev+add": "kapka-dev-add"}
    sentences = [load_recipe(name).chosen_on.strip() for name in ("kapka-2", "daniluk-4")]
    assert all(sentence in recipe.chosen_on for sentence in sentences)


def test_a_recipes_training_and_data_go_with_its_own_members(folder: Path) -> None:
    """So that recipes of several families can be extended together."""
    for name, training, train_on in (
        ("one", "epochs = 5\nbatch_size = 8", "development"),
        ("two", "epochs = 6", "additional"),
    ):
        text = f'name = "{name}"\ntrain_on = ["{train_on}"]\n[training]\n{training}\n' + member(
            name, 'family = "spectral"'
        )
        (folder / f"{name}.toml").write_text(text)
    own = member("own", 'family = "spectral"')
    both = extending(folder, own + member("one-but", 'like = "one"', "pooling = 'x'"), '["one.toml", "two.toml"]')
    assert [(one.name, both.training_of(one), one.train_on) for one in both.member] == [
        ("one", {"epochs": 5, "batch_size": 8}, ["development"]),
        ("two", {"epochs": 6}, ["additional"]),
        ("own", {}, None),
        ("one-but", {"epochs": 5, "batch_size": 8}, ["development"]),
    ]
    own_wins = 'train_on = ["development", "additional"]\n[training]\nepochs = 1\n'
    (folder / "both.toml").write_text('name = "both"\nextends = ["one.toml", "two.toml"]\n')
    for extends in ('["one.toml", "two.toml"]', '"both.toml"'):
        recipe = extending(folder, f"{own_wins}{own}", extends)
        assert [recipe.training_of(one) for one in recipe.member] == [
            {"epochs": 1, "batch_size": 8},
            {"epochs": 1},
            {"epochs": 1},
        ]
        assert {tuple(one.train_on or recipe.train_on) for one in recipe.member} == {("development", "additional")}


def test_an_own_member_of_an_inherited_name_changes_it_in_its_place(folder: Path) -> None:
    first = members(parse(FIRST))["a"]
    text = member("b", 'family = "spectral"') + member("a", 'machine_types = ["fan"]', "model = { beta = 1.0 }")
    found = members(extending(folder, text))
    assert list(found) == ["a", "b"]
    assert found["a"] == {**first, "model": {"beta": 1.0, "n_latent": 8}}
    assert members(extending(folder, member("a", "denoise_level = 0")))["a"] == {**first, "denoise_level": 0}
    pump = members(extending(folder, member("b", 'like = "a"', 'machine_types = ["pump"]')))
    assert pump["b"] == {**first, "machine_types": ["pump"]}
    with pytest.raises(RecipeError, match=r"the key 'member\.a\.family' is missing"):
        extending(folder, member("a", 'machine_types = ["pump"]'))


def test_an_own_member_like_another_takes_an_inherited_ones_place(folder: Path) -> None:
    text = member("b", 'family = "spectral"') + member("a", 'like = "b"', 'machine_types = ["fan"]')
    assert members(extending(folder, text)) == {
        "a": {"family": "spectral", "machine_types": ["fan"]},
        "b": {"family": "spectral"},
    }


def test_a_pattern_changes_all_inherited_members_that_it_fits() -> None:
    text = member("idcae-grid-*-l1", "training = { epochs = 3 }") + member(
        "freak-*", 'machine_types = ["valve"]', 'pooling = "x"'
    )
    recipe, base = parse(f'name = "mine"\nextends = "daniluk-4"\n{text}'), load_recipe("daniluk-4")
    changed = [one for one, before in zip(recipe.member, base.member, strict=True) if one != before]
    assert len(changed) == 24 + 8
    assert {one.training.epochs for one in changed if one.family == "idcae"} == {3}
    assert {one.pooling for one in changed if one.machine_types == ["valve"]} == {"x"}
    with pytest.raises(
        RecipeError,
        match=r"member 'idcea-\*' fits no inherited member; inherited: baseline-eval, baseline, spectral, hvae",
    ):
        parse('name = "mine"\nextends = "daniluk-4"\n' + member("idcea-*", "denoise_level = 1"))


def test_ensembles_are_joined_and_changed_by_name() -> None:
    text = 'name = "mine"\nextends = "daniluk-4"\n'
    base = load_recipe("daniluk-4").ensembles()
    assert parse(text).ensembles() == base
    more = '[[ensemble]]\nname = "idcae"\nselect = 2\n[[ensemble]]\nname = "last"\nmembers = ["ensemble", "hvae"]\n'
    found = {one.name: one for one in parse(f"{text}{more}").ensembles()}
    assert list(found) == ["hvae", "freak", "idcae", "ensemble", "last"]
    assert (found["idcae"].select, len(found["idcae"].members), found["idcae"].weights) == (2, 48, "search")
    assert parse(f"{text}ensemble = []\n").ensembles() == []


def test_no_ensemble_of_one_recipe_takes_none_from_another() -> None:
    assert load_recipe("kapka-2").ensembles() == []
    for extends in ('["kapka-2", "daniluk-1"]', '["daniluk-1", "kapka-2"]'):
        assert [one.name for one in parse(f'name = "x"\nextends = {extends}\n').ensembles()] == ["hvae"]


def test_overrides_change_the_resolved_recipe(folder: Path) -> None:
    recipe = extending(
        folder, member("b", 'like = "a"'), '"base/first.toml"', "member.a.model.beta=1.0", "member.?.pooling=mean"
    )
    assert [(one.model["beta"], one.pooling) for one in recipe.member] == [(1.0, "mean"), (4.0, "mean")]


@pytest.mark.parametrize("override", ['extends="quick"', 'member.a.like="b"', 'member.*.grid={"model.m" = [5]}'])
def test_inheritance_cannot_be_overridden(override: str) -> None:
    with pytest.raises(RecipeError, match="is resolved before overrides; change it in the recipe"):
        parse(FIRST, override)


def test_a_cycle_of_recipes_names_its_chain(folder: Path) -> None:
    (folder / "base" / "x.toml").write_text('name = "x"\nextends = "../y.toml"\n')
    (folder / "y.toml").write_text('name = "y"\nextends = ["quick", "base/x.toml"]\n')
    words = r"cycle: \S*x\.toml extends \S*y\.toml extends \S*x\.toml; remove one `extends`"
    with pytest.raises(RecipeError, match=words):
        extending(folder, "", '"base/x.toml"')
    (folder / "self.toml").write_text('name = "self"\nextends = "self.toml"\n')
    with pytest.raises(RecipeError, match=r"cycle: \S*self\.toml extends \S*self\.toml;"):
        load_recipe(str(folder / "self.toml"))


@pytest.mark.parametrize(
    ("extends", "words"),
    [
        ('"quik"', r"there is no recipe 'quik' \(did you mean 'quick'\?\)"),
        ('"none.toml"', r"the recipe \S*none\.toml cannot be read: .*No such file"),
        ("3", "the recipe .*mine.toml: extends is 3; give a built-in recipe's name"),
        ('["quick", 3]', r"extends is \['quick', 3\]; give"),
    ],
)
def test_what_cannot_be_extended_is_named(folder: Path, extends: str, words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        extending(folder, "", extends)


def test_a_mistake_in_an_extended_recipe_is_found(folder: Path) -> None:
    (folder / "bad.toml").write_text('name = "bad"\nmember = 3\n')
    with pytest.raises(RecipeError, match=r"the recipe \S*bad\.toml: member is 3: it should be a list of tables"):
        extending(folder, "", '"bad.toml"')
    (folder / "bad.toml").write_text(f"{FIRST}modell = 3\n")
    with pytest.raises(RecipeError, match=r"the key 'member\.a\.modell' is unknown \(did you mean 'model'\?\)"):
        extending(folder, "", '"bad.toml"')
