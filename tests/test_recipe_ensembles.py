"""Nested ensembles of a recipe: patterns, order, cycles, and what is left without OpenL3 or denoisers."""

import pytest

from auscult.errors import RecipeError
from auscult.recipe import Ensemble, Part, Recipe, leave_out, load_recipe, parse_recipe, what_is_left_out

MEMBERS = """
name = "mine"
[[member]]
name = "hvae-1"
family = "hvae"
features = { kind = "openl3" }
machine_types = ["pump"]
[[member]]
name = "hvae-2"
family = "hvae"
denoise_level = 2
machine_types = ["fan"]
[[member]]
name = "hvae-3"
family = "hvae"
machine_types = ["fan"]
[[member]]
name = "freak-1"
family = "freak"
[[member]]
name = "freak-2"
family = "freak"
"""


def ensemble(name: str, members: str, more: str = "") -> str:
    return f'[[ensemble]]\nname = "{name}"\nmembers = {members}\n{more}\n'


def parse(*ensembles: str, top: str = "") -> Recipe:
    return parse_recipe(f"{top}{MEMBERS}{''.join(ensembles)}", "mine.toml")


def listed(recipe: Recipe) -> dict[str, list[str]]:
    return {one.name: one.members for one in recipe.ensembles()}


FAMILIES = (
    ensemble("all", '["hvae", "freak"]', 'weights = "search"'),
    ensemble("hvae", '["hvae-*"]'),
    ensemble("freak", '["freak-[12]"]', "select = 1\nstandardise = false"),
    ensemble("result", '["all", "freak-1"]'),
)


def test_children_come_before_parents_and_the_result_last() -> None:
    recipe = parse(*FAMILIES)
    assert listed(recipe) == {
        "hvae": ["hvae-1", "hvae-2", "hvae-3"],
        "freak": ["freak-1", "freak-2"],
        "all": ["hvae", "freak"],
        "result": ["all", "freak-1"],
    }
    assert list(listed(recipe)) == ["hvae", "freak", "all", "result"]
    _, freak, both, _ = recipe.ensembles()
    assert (freak.select, freak.weights, freak.standardise) == (1, "uniform", False)
    assert (both.select, both.weights, both.standardise) == (None, "search", True)


def test_the_resolved_recipe_keeps_its_ensembles() -> None:
    recipe = parse(*FAMILIES)
    again = parse_recipe(recipe.to_toml(), "again")
    assert again == recipe
    assert again.ensembles() == recipe.ensembles()


def test_without_ensembles_all_members_are_combined_alike() -> None:
    names = ["hvae-1", "hvae-2", "hvae-3", "freak-1", "freak-2"]
    assert parse().ensembles() == [Ensemble(name="ensemble", members=names)]
    assert parse(top="ensemble = []\n").ensembles() == []


def test_one_system_needs_no_ensemble() -> None:
    """Two members of one name, for two machine types, are one system."""
    text = '[[member]]\nname = "a"\nfamily = "spectral"\nmachine_types = ["{}"]\n'
    recipe = parse_recipe(f'name = "x"\n{text.format("fan")}{text.format("pump")}', "x")
    assert recipe.ensembles() == []


@pytest.mark.parametrize(
    ("more", "chooses"),
    [("", False), ("select = 2", True), ('weights = "search"', True), ("standardise = false", False)],
)
def test_a_recipe_chooses_where_it_selects_or_searches(more: str, chooses: bool) -> None:
    assert parse(ensemble("a", '["freak-*"]', more), ensemble("b", '["a"]')).chooses == chooses


def test_patterns_never_fit_the_ensemble_itself_and_keep_the_recipes_order() -> None:
    recipe = parse(ensemble("hvae-mean", '["freak-2", "hvae*", "hvae-1"]'), ensemble("h", '["hvae*"]'))
    assert listed(recipe) == {
        "hvae-mean": ["freak-2", "hvae-1", "hvae-2", "hvae-3"],
        "h": ["hvae-1", "hvae-2", "hvae-3", "hvae-mean"],
    }


@pytest.mark.parametrize(
    ("ensembles", "words"),
    [
        ([ensemble("a", '["hvea-*"]')], r"ensemble 'a': no member or other ensemble is named 'hvea-\*' \(did you mean"),
        ([ensemble("a", '["freak-3"]')], r"is named 'freak-3' \(did you mean 'freak-[12]'\?\); known: hvae-1, .*, a"),
        ([ensemble("a", '["a*"]')], r"ensemble 'a': no member or other ensemble is named 'a\*'"),
        ([ensemble("a", '["a"]')], "cycle: 'a' is part of 'a'; remove"),
        (
            [ensemble("a", '["b"]'), ensemble("b", '["c"]'), ensemble("c", '["a"]')],
            "in a cycle: 'c' is part of 'b' is part of 'a' is part of 'c'; remove",
        ),
        ([ensemble("a", '["*"]'), ensemble("b", '["*"]')], "in a cycle: 'b' is part of 'a' is part of 'b'"),
        ([ensemble("a", '["b"]'), ensemble("b", '["hvae-1"]')], "'b', is the run's result and cannot be part of 'a'"),
        ([ensemble("a", '["hvae-1"]'), ensemble("a", '["hvae-2"]')], "two ensembles are named 'a'; rename one"),
        ([ensemble("hvae-1", '["hvae-2"]')], "a member and an ensemble are named 'hvae-1'; rename one"),
        ([ensemble("a", "[]")], r"ensemble\.a\.members is .*at least 1"),
        ([ensemble("a", '["hvae-1"]', "select = 0")], r"ensemble\.a\.select is 0"),
        ([ensemble("a", '["hvae-1"]', 'weights = "best"')], r"ensemble\.a\.weights is 'best': .*'uniform' or 'search'"),
        ([ensemble("a", '["hvae-1"]', "weigths = 1")], r"'ensemble\.a\.weigths' is unknown \(did you mean 'weights'"),
        ([ensemble("a/b", '["hvae-1"]')], r"ensemble\.0\.name is 'a/b': .*pattern"),
        (['[[ensemble]]\nmembers = ["hvae-1"]\n'], r"the key 'ensemble\.0\.name' is missing"),
    ],
)
def test_ensembles_that_cannot_be_are_named(ensembles: list[str], words: str) -> None:
    with pytest.raises(RecipeError, match=f"^the recipe mine.toml: .*{words}"):
        parse(*ensembles)


def test_overrides_reach_ensembles_by_name() -> None:
    text = f"{MEMBERS}{''.join(FAMILIES)}"
    recipe = parse_recipe(text, "x", ["ensemble.freak.select=2", 'ensemble.*.weights="uniform"'])
    assert [(one.name, one.select, one.weights) for one in recipe.ensembles()] == [
        ("hvae", None, "uniform"),
        ("freak", 2, "uniform"),
        ("all", None, "uniform"),
        ("result", None, "uniform"),
    ]
    assert parse_recipe(text, "x", ["ensemble=[]"]).ensembles() == []
    with pytest.raises(RecipeError, match=r"no ensemble is named 'freek' \(did you mean 'freak'\?\)"):
        parse_recipe(text, "x", ["ensemble.freek.select=2"])
    with pytest.raises(RecipeError, match="names an ensemble but no key of it"):
        parse_recipe(text, "x", ["ensemble.freak=2"])


# Without OpenL3, without denoisers


COMPARED = '[compare.table4]\nhvae = "hvae"\nfreak = "freak"\n'


@pytest.mark.parametrize(
    ("parts", "hvae"), [(["openl3"], ["hvae-2", "hvae-3"]), (["denoiser"], ["hvae-1", "hvae-3"]), ([], None)]
)
def test_members_that_need_what_is_missing_leave_their_ensembles(parts: list[Part], hvae: list[str] | None) -> None:
    recipe = parse(*FAMILIES)
    left = leave_out(recipe, parts)
    if hvae is None:
        assert left == recipe
        return
    assert [member.name for member in left.member] == [*hvae, "freak-1", "freak-2"]
    assert listed(left) == {**listed(recipe), "hvae": hvae}
    assert parse_recipe(left.to_toml(), "again") == left


def test_an_ensemble_that_is_left_empty_leaves_those_that_it_is_part_of() -> None:
    families = (
        ensemble("hvae", '["hvae-1", "hvae-2"]'),
        ensemble("freak", '["freak-*"]'),
        ensemble("only", '["hvae"]'),
        ensemble("result", '["only", "hvae", "freak"]', 'weights = "search"'),
    )
    recipe = parse(*families, COMPARED)
    left = leave_out(recipe, ["openl3", "denoiser"])
    assert listed(left) == {"freak": ["freak-1", "freak-2"], "result": ["freak"]}
    assert left.chooses
    assert left.compare == {"table4": {"freak": "freak"}}
    assert parse_recipe(left.to_toml(), "again") == left
    assert what_is_left_out(recipe, ["openl3", "denoiser"], ["fan", "pump", "valve"]) == [
        "fan without openl3 and denoiser: 1 of 2 hvae members left out.",
        "pump without openl3 and denoiser: no hvae member is left, ensembles 'hvae' and 'only' drop out.",
    ]


def test_what_is_left_out_is_said_for_each_machine_type() -> None:
    recipe = parse(*FAMILIES)
    assert what_is_left_out(recipe, ["openl3"], ["fan", "pump"]) == [
        "pump without openl3: no hvae member is left, ensemble 'hvae' drops out."
    ]
    assert what_is_left_out(recipe, ["denoiser"], ["fan", "pump"]) == [
        "fan without denoiser: 1 of 2 hvae members left out."
    ]
    assert what_is_left_out(recipe, [], ["fan", "pump"]) == []


def test_the_ensemble_of_all_members_is_of_those_that_are_left() -> None:
    assert listed(leave_out(parse(), ["openl3"])) == {"ensemble": ["hvae-2", "hvae-3", "freak-1", "freak-2"]}
    text = MEMBERS.partition('[[member]]\nname = "hvae-3"')[0]
    assert leave_out(parse_recipe(text, "x"), ["openl3"]).ensembles() == []


def test_a_recipe_of_which_nothing_is_left_is_refused() -> None:
    text = MEMBERS.partition('[[member]]\nname = "hvae-3"')[0]
    with pytest.raises(RecipeError, match="every member of the recipe 'mine' needs openl3 or denoiser"):
        leave_out(parse_recipe(text, "x"), ["openl3", "denoiser"])
    with pytest.raises(
        RecipeError, match=r"cannot leave out 'openl' \(did you mean 'openl3'\?\); choose openl3 or yamnet or denoiser"
    ):
        leave_out(load_recipe("quick"), ["openl"])  # type: ignore[list-item]  # as a user may write it


# The report's tables


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ('[compare.table4]\nhvea = "hvae-1"', r"table4: .*no column 'hvea' \(did you mean 'hvae'\?\); it has b"),
        ('[compare.table3]\nhvae = "hvae-1"', r"compare\.table3: .*no column 'hvae'; it has baseline, dev, dev\+add"),
        ('[compare.table4]\nhvae = "hvae-9"', r"hvae is to be 'hvae-9', which is no member or ensemble \(did you mean"),
        ('[compare.table4]\nensemble = "result"', "ensemble is to be 'result', which .*known: hvae-1, .*, ensemble$"),
        ('[compare.table5]\nhvae = "hvae-1"', r"compare\.table5 is 'table5': .*'table3' or 'table4'"),
    ],
)
def test_a_comparison_with_what_is_not_there_is_named(table: str, words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        parse(table)
