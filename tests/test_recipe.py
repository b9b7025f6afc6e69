"""Recipes: what comes with auscult is valid, what is written is read back, and what is wrong is named."""

import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auscult.errors import RecipeError
from auscult.recipe import Ensemble, Member, Recipe, TrainingTable, builtin_recipes, load_recipe, parse_recipe

MEMBER = '[[member]]\nname = "ae"\nfamily = "autoencoder"\n'
PLAIN = f'name = "plain"\n{MEMBER}'
TWO = """
name = "two"
[training]
epochs = 10
[[member]]
name = "ae"
family = "autoencoder"
machine_types = ["fan"]
model = { context = 3 }
[[member]]
name = "ae"
family = "autoencoder"
machine_types = ["valve"]
[[member]]
name = "hvae-0.5"
family = "hvae"
pooling = "median"
training = { epochs = 20 }
"""


def parse(text: str, *overrides: str) -> Recipe:
    return parse_recipe(text, "mine.toml", overrides)


def test_every_recipe_that_comes_along_is_valid_and_described() -> None:
    recipes = builtin_recipes()
    assert {"baseline", "quick"} <= set(recipes)
    for name, recipe in recipes.items():
        assert recipe.name == name
        assert recipe.description
        assert load_recipe(name) == recipe


def test_the_baseline_is_the_published_one() -> None:
    """Koizumi et al., DCASE 2020 Task 2: development data, 100 epochs of 512 windows, Adam at 1e-3."""
    recipe = load_recipe("baseline")
    evaluation, member = recipe.member
    assert recipe.train_on == ["development"]
    assert (evaluation.train_on, evaluation.optional) == (["additional"], True)
    assert (evaluation.features, evaluation.model) == (member.features, member.model)
    assert recipe.training_of(member) == {"epochs": 100, "batch_size": 512, "learning_rate": 1e-3}
    assert member.features == {"kind": "log_mel", "n_fft": 1024, "hop_length": 512, "n_mels": 128}
    assert member.model == {"context": 5, "hidden": [128, 128, 128, 128], "n_latent": 8, "held_out": 0.1}


def test_reading_recipes_needs_no_torch() -> None:
    script = "import sys; from auscult.recipe import builtin_recipes; builtin_recipes(); print('torch' in sys.modules)"
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert answer.stdout.strip() == "False"


@pytest.mark.parametrize("name", builtin_recipes())
def test_a_resolved_recipe_is_read_back_as_it_was(name: str) -> None:
    recipe = load_recipe(name)
    assert parse(recipe.to_toml()) == recipe
    assert parse(recipe.to_toml()).to_toml() == recipe.to_toml()


values = st.one_of(st.booleans(), st.integers(-9999, 9999), st.floats(-1e6, 1e6), st.text(max_size=9))
arguments = st.dictionaries(
    st.text(min_size=1, max_size=9), st.one_of(values, st.lists(values, max_size=3)), max_size=3
)
trainings = st.builds(
    TrainingTable,
    epochs=st.none() | st.integers(1, 999),
    learning_rate=st.none() | st.floats(1e-9, 10),
    betas=st.none() | st.tuples(st.floats(0, 0.5), st.floats(0, 0.5)),
    precision=st.sampled_from([None, "fp32", "bf16"]),
)
members = st.builds(
    Member,
    name=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,9}", fullmatch=True),
    family=st.text(max_size=9),
    machine_types=st.none() | st.lists(st.text(max_size=9), min_size=1, max_size=2),
    pooling=st.none() | st.text(max_size=9),
    train_on=st.none() | st.just(["additional"]),
    features=arguments,
    model=arguments,
    training=trainings,
)
recipes = st.builds(
    Recipe,
    name=st.text(min_size=1, max_size=9),
    description=st.text(max_size=20),
    seed=st.integers(0, 2**31),
    channel=st.integers(0, 7),
    ensemble=st.sampled_from([None, [], [Ensemble(name="all", members=["*"], select=2, standardise=False)]]),
    training=trainings,
    member=st.lists(
        members.filter(lambda member: member.name not in ("ensemble", "all")),
        min_size=1,
        max_size=3,
        unique_by=lambda member: member.name,
    ),
)


@settings(max_examples=20)
@given(recipes)
def test_any_recipe_is_read_back_as_it_was(recipe: Recipe) -> None:
    assert parse(recipe.to_toml()) == recipe


def test_a_recipe_is_found_by_its_path(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes(b"\xef\xbb\xbf" + PLAIN.encode())  # with the mark that some editors put in front
    assert load_recipe(str(path)) == parse(PLAIN)
    assert load_recipe(str(path), ["seed=3"]).seed == 3


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("basline", r"no recipe 'basline' \(did you mean 'baseline'\?\).*\.toml.* one of baseline, .*quick"),
        ("fan", r"no recipe 'fan'; give a TOML file .* or one of"),
        ("missing.toml", r"missing\.toml cannot be read: .*No such file"),
        ("folder.toml", r"folder\.toml cannot be read: .*directory"),
        ("binary.toml", r"binary\.toml cannot be read: .*utf-8"),
        ("broken.toml", r"broken\.toml is no valid TOML: .*line 2"),
        ("deep.toml", r"deep\.toml is nested too deeply"),
        ("digits.toml", r"digits\.toml is no valid TOML: .*digits"),
        ("large.toml", r"large\.toml has 3000000 bytes; at most 2097152 are read"),
        ("pipe.toml", r"pipe\.toml is a pipe or a device"),
    ],
)
def test_what_is_no_recipe_is_named(name: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("folder.toml").mkdir()
    Path("binary.toml").write_bytes(b"\xff\xfe\x00")
    Path("broken.toml").write_text('name = "x"\nseed = \n')
    Path("deep.toml").write_text("seed = " + 20_000 * "[")
    Path("digits.toml").write_text("seed = " + 5_000 * "1")
    Path("large.toml").write_bytes(bytes(3_000_000))
    Path("pipe.toml").symlink_to("/dev/zero")
    with pytest.raises(RecipeError, match=words):
        load_recipe(name)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("sed = 1", r"the key 'sed' is unknown \(did you mean 'seed'\?\); allowed are name, .*seed"),
        ("[training]\nepoch = 1", r"'training\.epoch' is unknown \(did you mean 'epochs'\?\); allowed .*precision"),
        ("members = 3", r"'members' is unknown \(did you mean 'member'\?\)"),
        ("seed = -1", "seed is -1: .*greater than or equal to 0"),
        ('seed = "one"', "seed is 'one': .*integer"),
        ("sample_rate = 0", "sample_rate is 0"),
        ('train_on = ["evaluation"]', r"train_on\.0 is 'evaluation': .*'development' or 'additional'"),
        ("train_on = []", "train_on is .*at least 1"),
        ('ensemble = "mean"', r"ensemble is 'mean': .*list of tables; write \[\[ensemble\]\]"),
        ("[ensemble]\nmembers = []", r"ensemble is .*list of tables; write \[\[ensemble\]\]"),
        ("[training]\nepochs = 0", r"training\.epochs is 0"),
        ('[training]\nprecision = "fp16"', r"training\.precision is 'fp16': .*'fp32' or 'bf16'"),
        ("[training]\nlearning_rate = nan", r"training\.learning_rate is nan"),
        ("[training]\nlearning_rate = inf", r"training\.learning_rate is inf"),
        ("[training]\nbatch_size = true", r"training\.batch_size: give a number, not true"),
        ("[training]\ndecay = false", r"training\.decay: give a number, not false"),
        ("[training]\nbatch_size = 65537", r"training\.batch_size is 65537: .*65536"),
        (f"seed = {10**30}", "seed is a number of more than 20 digits"),
        (
            "[denoiser]\nbatch_size = 4000\nseconds = 30\nsample_rate = 48000",
            "denoiser: batch_size x seconds x sample_rate are 5760000000 samples; at most 134217728",
        ),
    ],
)
def test_a_wrong_key_or_value_is_named_with_the_nearest_right_one(line: str, words: str) -> None:
    with pytest.raises(RecipeError, match=f"^the recipe mine.toml: .*{words}"):
        parse(f'name = "x"\n{line}\n{MEMBER}')


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("poolin = 'mean'", r"'member\.ae\.poolin' is unknown \(did you mean 'pooling'\?\); allowed .*family"),
        ("epochs = 3", r"'member\.ae\.epochs' is unknown; allowed are name, family"),
        ("[member.training]\nlearn_rate = 1", r"ae\.training\.learn_rate' .*'learning_rate'\?\); allowed are epochs"),
        ("train_on = []", r"member\.ae\.train_on is .*at least 1"),
        ("machine_types = []", r"member\.ae\.machine_types is .*at least 1"),
        ("model = 3", r"member\.ae\.model is 3: .*dictionary"),
        ("model = { n_latent = 1000000000 }", r"member\.ae\.model: n_latent is 1000000000; at most 16384"),
        ("model = { hidden = [1000000, 8] }", r"member\.ae\.model: hidden is 1000000; at most 16384"),
        (f"model = {{ hidden = [{'9, ' * 1001}] }}", "hidden has 1001 items; at most 1000"),
        ("model = { context = 100000 }", r"member\.ae\.model: context is 100000; at most 2000"),
        ("features = { n_mels = 100000 }", r"member\.ae\.features: n_mels is 100000; at most 2048"),
        (
            f"grid = {{ 'model.m' = {list(range(99))}, 'training.epochs' = {list(range(1, 199))} }}",
            "has 19602 combinations; at most 3000",
        ),
    ],
)
def test_a_members_wrong_key_or_value_is_named_with_its_place(line: str, words: str) -> None:
    with pytest.raises(RecipeError, match=f"^the recipe mine.toml: .*{words}"):
        parse(f"{PLAIN}{line}\n")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('name = "x"\n', "the key 'member' is missing"),
        (MEMBER, "the key 'name' is missing"),
        ('name = "x"\n[[member]]\nname = "a"\n', r"the key 'member\.a\.family' is missing"),
        ('name = "x"\nmember = []\n', "member is .*at least 1"),
        ('name = "x"\nmember = "ae"\n', "member is 'ae': .*list"),
        (f'name = ""\n{MEMBER}', "name is ''"),
        (PLAIN.replace("ae", 5000 * "a"), r"\(5002 characters\): .*at most 100"),
        (PLAIN.replace('"ae"', '"../a"'), r"member\.0\.name is '\.\./a': .*pattern"),
        (PLAIN.replace('"ae"', '"ensemble"'), "named 'ensemble'.*rename"),
    ],
)
def test_what_is_missing_or_named_wrongly_is_named(text: str, words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        parse(text)


def test_all_mistakes_are_named_at_once() -> None:
    with pytest.raises(RecipeError, match=r"member\.ae\.train_on is .*; the key 'sed' is unknown"):
        parse(f'name = "x"\nsed = 1\n{MEMBER}train_on = []\n')


@pytest.mark.parametrize("types", ["", 'machine_types = ["fan"]\n', 'machine_types = ["valve", "fan"]\n'])
def test_two_members_of_one_name_and_type_are_refused(types: str) -> None:
    other = '[[member]]\nname = "ae"\nfamily = "hvae"\nmachine_types = ["fan"]\n'
    with pytest.raises(RecipeError, match="two members are named 'ae' for the same machine type; rename one"):
        parse(PLAIN + types + other)


@pytest.mark.parametrize("ending", ["uniform", "leave-one-id-out", "paper", "seed-1"])
def test_a_name_that_would_be_that_of_another_systems_file_is_refused(ending: str) -> None:
    with pytest.raises(RecipeError, match=rf"the name 'ae\.{ending}' ends in '\.{ending}'"):
        parse(PLAIN.replace('"ae"', f'"ae.{ending}"'))
    assert parse(PLAIN.replace('"ae"', f'"{ending}"')).names == [ending]


def test_one_name_may_stand_for_several_types() -> None:
    recipe = parse(TWO)
    assert [member.name for member in recipe.members_of("fan")] == ["ae", "hvae-0.5"]
    assert recipe.members_of("fan")[0].model == {"context": 3}
    assert recipe.members_of("valve")[0].model == {}
    assert [member.name for member in recipe.members_of("pump")] == ["hvae-0.5"]


def test_a_members_training_is_the_recipes_with_its_own_differences() -> None:
    recipe = parse(TWO)
    fan, hvae = recipe.members_of("fan")
    assert recipe.training_of(fan) == {"epochs": 10}
    assert recipe.training_of(hvae) == {"epochs": 20}


def models_of(recipe: Recipe) -> list[dict[str, Any]]:
    return [member.model for member in recipe.member]


def test_overrides_change_what_they_name() -> None:
    recipe = parse(
        TWO, "seed=7", "training.epochs=3", 'train_on=["additional"]', "description=a plain text", "name = x"
    )
    assert (recipe.seed, recipe.training.epochs, recipe.train_on) == (7, 3, ["additional"])
    assert (recipe.description, recipe.name) == ("a plain text", "x")
    assert parse(PLAIN, "training.betas=[0.8, 0.9]").training.betas == (0.8, 0.9)
    assert parse(TWO, "seed=1", "seed=2").seed == 2, "the last one counts"


def test_overrides_reach_all_members_of_a_name_or_all_members() -> None:
    assert models_of(parse(TWO, "member.ae.model.context=7")) == [{"context": 7}, {"context": 7}, {}]
    assert models_of(parse(TWO, "member.hvae-0.5.model.beta=4.0")) == [{"context": 3}, {}, {"beta": 4.0}]
    assert models_of(parse(TWO, "member.*.model={}")) == [{}, {}, {}]
    assert [member.pooling for member in parse(TWO, "member.*.pooling=mean").member] == ["mean"] * 3
    assert [member.training.epochs for member in parse(TWO, "member.ae.training.epochs=1").member] == [1, 1, 20]


def test_the_longest_name_is_meant_where_names_hold_dots() -> None:
    text = f'{PLAIN}[[member]]\nname = "ae.model"\nfamily = "hvae"\n'
    assert models_of(parse(text, "member.ae.model.model.x=1")) == [{}, {"x": 1}]
    assert models_of(parse(text, "member.ae.features.x=1", "member.ae.model.pooling=mean")) == [{}, {}]


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("epochs", "'epochs' is not of the form key=value, for instance training.epochs=3"),
        ("=3", "not of the form key=value"),
        ("training..epochs=3", "not of the form"),
        ("", "not of the form"),
        ("training.epoch=3", r"'training\.epoch' is unknown \(did you mean 'epochs'\?\)"),
        ("epochs=3", "'epochs' is unknown"),
        ("training.epochs=many", r"training\.epochs is 'many': .*integer"),
        ("training.epochs=", r"training\.epochs is ''"),
        ("seed.x=1", "'seed.x=1': 'seed' is a value and has no keys"),
        (
            "member.hvae.pooling=mean",
            r"no member is named 'hvae' \(did you mean 'hvae-0\.5'\?\); known: ae, hvae-0\.5, and \*",
        ),
        ("member.ae=3", "names a member but no key of it"),
        ("member.ae.poling=mean", r"'member\.ae\.poling' is unknown \(did you mean 'pooling'\?\)"),
        ("member=3", "member is 3: .*list"),
    ],
)
def test_an_override_that_cannot_be_is_named(override: str, words: str) -> None:
    text = TWO.replace("[training]", "seed = 1\n[training]")
    with pytest.raises(RecipeError, match=words):
        parse(text, override)


@pytest.mark.parametrize("member", ['"ae"', "3", '["ae"]', "{ name = 'ae' }"])
def test_overrides_of_members_that_are_no_tables_are_a_clear_error(member: str) -> None:
    with pytest.raises(RecipeError, match=r"member is .*: it should be a list of tables; write \[\[member\]\]"):
        parse(f'name = "x"\nmember = {member}\n', "member.ae.pooling=mean")


def test_a_recipe_does_not_change() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load_recipe("quick").seed = 3  # type: ignore[misc]


def test_the_resolved_recipe_says_every_default() -> None:
    """So that a run can be repeated by a version with other defaults."""
    content = tomllib.loads(parse(PLAIN).to_toml())
    assert content["seed"] == 0
    assert content["sample_rate"] == 16000
    assert content["train_on"] == ["development", "additional"]
