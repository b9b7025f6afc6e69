"""Grids of a recipe: one member for each combination, names of their own, mistakes named."""

import pytest

from auscult.errors import RecipeError
from auscult.recipe import Recipe, parse_recipe


def parse(name: str, grid: str, *overrides: str, more: str = "") -> Recipe:
    text = f'name = "x"\n[[member]]\nname = "{name}"\nfamily = "idcae"\n{more}\ngrid = {grid}\n'
    return parse_recipe(text, "mine.toml", overrides)


REPORT = """{ "model.alpha" = [0.9, 0.75, 0.5], "model.target" = [0.0, 2.5, 5.0, 10.0], \
"features.n_mels" = [128, 256], "model.norm" = ["l1", "l2"] }"""


def test_there_is_one_member_for_each_combination_in_order() -> None:
    recipe = parse("g-{alpha}-{target}-{n_mels}-{norm}", REPORT, more="model = { context = 10, alpha = 0.1 }")
    expected = [
        (f"g-{alpha:g}-{target:g}-{n_mels}-{norm}", alpha, target, n_mels, norm)
        for alpha in (0.9, 0.75, 0.5)
        for target in (0.0, 2.5, 5.0, 10.0)
        for n_mels in (128, 256)
        for norm in ("l1", "l2")
    ]
    found = [
        (one.name, one.model["alpha"], one.model["target"], one.features["n_mels"], one.model["norm"])
        for one in recipe.member
    ]
    assert found == expected
    assert {one.model["context"] for one in recipe.member} == {10}
    assert parse_recipe(recipe.to_toml(), "again") == recipe


@pytest.mark.parametrize(
    ("name", "grid", "names"),
    [
        ("a", '{ "model.m" = [5, 6] }', ["a-5", "a-6"]),
        ("a", '{ "model.x" = [true, false], pooling = ["mean"] }', ["a-true-mean", "a-false-mean"]),
        ("a", '{ "model.hidden" = [[64, 32], [8]] }', ["a-64x32", "a-8"]),
        ("a", '{ "model.x" = [5.0, 0.25, -1.5] }', ["a-5", "a-0.25", "a--1.5"]),
        ("{m}.a", '{ "model.m" = [5, 6] }', ["5.a", "6.a"]),
        ("a{denoise_level}", '{ denoise_level = [0, 3], "training.epochs" = [7] }', ["a0", "a3"]),
    ],
)
def test_names_come_from_the_template_or_end_in_the_values(name: str, grid: str, names: list[str]) -> None:
    assert [one.name for one in parse(name, grid).member] == names


def test_plain_keys_and_training_are_varied_too() -> None:
    recipe = parse("a", '{ denoise_level = [0, 3], "training.epochs" = [7, 8] }', more="training = { batch_size = 2 }")
    found = [(one.denoise_level, one.training.epochs, one.training.batch_size) for one in recipe.member]
    assert found == [(0, 7, 2), (0, 8, 2), (3, 7, 2), (3, 8, 2)]


def test_an_override_reaches_some_members_of_a_grid_and_no_others() -> None:
    recipe = parse(
        "a-{m}-{x}", '{ "model.m" = [5, 6], "model.x" = [1, 2] }', "member.a-5-*.model.m=7", "member.a-6-1.model.y=3"
    )
    assert [one.model for one in recipe.member] == [
        {"m": 7, "x": 1},
        {"m": 7, "x": 2},
        {"m": 6, "x": 1, "y": 3},
        {"m": 6, "x": 2},
    ]
    recipe = parse("a-{m}", '{ "model.m" = [5, 6] }', "member.a-5.training.epochs=3", more="training = { epochs = 9 }")
    assert [one.training.epochs for one in recipe.member] == [3, 9]


@pytest.mark.parametrize(
    ("name", "grid", "words"),
    [
        ("a", '{ "modell.m" = [5] }', r"the grid of member 'a': the key 'modell\.m' .*\(did you mean 'model'\?\)"),
        ("a", '{ "pooling.x" = [5] }', r"the key 'pooling\.x' is unknown; allowed are features\.…, .*pooling"),
        ("a", "{ epochs = [5] }", r"the key 'epochs' is unknown.*allowed are .*training\.…"),
        ("a", "{ model = [5] }", "the key 'model' is unknown"),
        ("a", '{ name = ["b"] }', "the key 'name' is unknown"),
        ("a", '{ machine_types = ["fan"] }', "the key 'machine_types' is unknown"),
        ("a", '{ "training.epoch" = [5] }', r"'training\.epoch' .*\(did you mean 'epochs'\?\); training has epochs"),
        ("a", '{ "model.m" = [] }', r"model\.m is \[\]; give a list of at least one value"),
        ("a", '{ "model.m" = 5 }', r"model\.m is 5; give a list"),
        ("a", "{}", r"the grid of member 'a' is \{\}; give keys and lists"),
        ("a", "3", "the grid of member 'a' is 3; give keys"),
        ("a-{m}", '{ "model.m" = [5, 6], "model.x" = [1, 2] }', "two combinations are named 'a-5'"),
        ("a", '{ "model.m" = [5, 5.0] }', "two combinations are named 'a-5'"),
        ("a-{n}", '{ "model.m" = [5] }', r"the name asks for \{n\}, which is no key; it can ask for \{m\}"),
        ("a-{m}", '{ "model.m" = [5], "features.m" = [1] }', "two keys end alike"),
        ("a-{m", '{ "model.m" = [5] }', r"member\.0\.name is 'a-\{m': .*pattern"),
        ("a", '{ "model.m" = ["b/c"] }', r"member\.0\.name is 'a-b/c': .*pattern"),
    ],
)
def test_grids_that_cannot_be_are_named(name: str, grid: str, words: str) -> None:
    with pytest.raises(RecipeError, match=f"^the recipe mine.toml: .*{words}"):
        parse(name, grid)
