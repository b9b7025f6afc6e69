"""The plan: which banks and members a recipe needs, what is refused before any work, and what changes which key."""

import os
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import auscult.runs.plan
from auscult.clips import MACHINE_TYPES, Clip, Label, Split, Subset
from auscult.errors import AudioError, AuscultError, RecipeError
from auscult.features import openl3, openl3_weights, yamnet
from auscult.members.making import make_features
from auscult.recipe import builtin_recipes, load_recipe, parse_recipe
from auscult.runs.jobs import needs
from auscult.runs.plan import MemberJob, Plan, make_plan
from auscult.runs.store import NoStore, Store
from auscult.sound.audio import AudioInfo

PARTS: list[tuple[Split, Subset, str, Label | None]] = [
    ("train", "development", "id_00", "normal"),
    ("test", "development", "id_00", "anomaly"),
    ("train", "additional", "id_01", "normal"),
    ("test", "evaluation", "id_01", None),
    ("train", "development", "id_02", "normal"),  # the machines of the two sets take turns
    ("test", "development", "id_02", "normal"),
]
BOTH = '["development", "additional"]'


@pytest.fixture
def clips(tmp_path: Path) -> list[Clip]:
    """Two clips of each part of fan and valve; nobody opens them as sound."""
    found = []
    for machine_type in ("fan", "valve"):
        for split, subset, machine_id, label in PARTS:
            for index in range(2):
                path = tmp_path / "data" / machine_type / split / f"{machine_id}_{index}.wav"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(str(path))
                found.append(Clip(path, machine_type, machine_id, split, label, subset, path.name))
    return found


@pytest.fixture
def planned(tmp_path: Path, clips: list[Clip]) -> Callable[..., Plan]:
    """Plans the members of a recipe, by default for all clips: `planned('name = "a"...', seed=3)`."""

    def call(
        *members: str,
        only: list[Clip] | None = None,
        device: str = "cpu",
        top: str = "",
        missing: list[str] | None = None,
    ) -> Plan:
        tables = "".join(f"[[member]]\n{member}\n" for member in members)
        recipe = parse_recipe(f'name = "test"\n{top}\n{tables}', "test.toml")
        store = Store(tmp_path / "store")
        return make_plan(recipe, clips if only is None else only, store, device=device, missing=missing)

    return call


def member(name: str = "ae", family: str = "autoencoder", **keys: str) -> str:
    return "\n".join([f'name = "{name}"', f'family = "{family}"', *(f"{key} = {text}" for key, text in keys.items())])


def parts(jobs: Any) -> list[tuple[str, str, str]]:
    return [(job.machine_type, job.split, job.subset) for job in jobs]


def test_every_member_is_trained_once_for_each_of_its_machine_types(planned: Callable[..., Plan]) -> None:
    plan = planned(member("a"), member("b", machine_types='["valve"]'), member("c", "spectral"))
    assert [job.label for job in plan.members] == ["fan a", "fan c", "valve a", "valve b", "valve c"]
    assert plan.machine_types == ["fan", "valve"]
    assert [job.name for job in plan.members_of("valve")] == ["a", "b", "c"]


def test_banks_hold_the_clips_of_one_machine_type_split_and_subset(
    planned: Callable[..., Plan], clips: list[Clip]
) -> None:
    plan = planned(member())
    for bank in plan.banks:
        part = (bank.machine_type, bank.split, bank.subset)
        assert bank.clips == tuple(clip for clip in clips if (clip.machine_type, clip.split, clip.subset) == part)
    assert sorted(clip.path for bank in plan.banks for clip in bank.clips) == sorted(clip.path for clip in clips)


def test_members_with_one_front_end_share_its_banks(planned: Callable[..., Plan]) -> None:
    """However the front end is written down."""
    plan = planned(
        member("a"),
        member("b", "hvae", features='{ kind = "log_mel", n_mels = 128 }'),
        member("c", "spectral", features="{ sample_rate = 16000, hop_length = 512 }"),
        member("d", "spectral", features="{ n_mels = 64 }"),
    )
    assert len(plan.banks) == 2 * 2 * 4
    a, b, c, d = plan.members_of("fan")
    assert [job.key for job in a.train] == [job.key for job in b.train] == [job.key for job in c.train]
    assert not {job.key for job in a.train} & {job.key for job in d.train}
    assert {bank.key for bank in plan.banks} == {bank.key for job in plan.members for bank in (*job.train, *job.test)}


def test_banks_of_the_same_clips_have_names_of_their_own(planned: Callable[..., Plan]) -> None:
    """Progress is shown by name."""
    plan = planned(member("a"), member("b", features="{ n_mels = 64 }"))
    assert len({bank.label for bank in plan.banks}) == len(plan.banks)


@pytest.mark.parametrize(
    ("train_on", "train", "test"),
    [
        ('["development"]', ["development"], ["development"]),
        ('["additional"]', ["additional"], ["evaluation"]),
        (BOTH, ["additional", "development"], ["development", "evaluation"]),
        ('["additional", "development", "additional"]', ["additional", "development"], ["development", "evaluation"]),
    ],
)
def test_only_who_trains_on_the_additional_data_scores_the_evaluation_clips(
    planned: Callable[..., Plan], train_on: str, train: list[str], test: list[str]
) -> None:
    """Those machines are known from the additional training data alone."""
    for plan in (planned(member(train_on=train_on)), planned(member(), top=f"train_on = {train_on}")):
        for job in plan.members:
            assert sorted(bank.subset for bank in job.train) == train
            assert sorted(bank.subset for bank in job.test) == test
            assert {bank.split for bank in job.train} == {"train"}
            assert {bank.split for bank in job.test} == {"test"}


def test_a_members_own_choice_of_training_data_counts(planned: Callable[..., Plan]) -> None:
    plan = planned(member("a"), member("b", train_on='["development"]'), top='train_on = ["additional"]')
    a, b = plan.members_of("fan")
    assert [bank.subset for bank in a.train] == ["additional"]
    assert [bank.subset for bank in b.train] == ["development"]


def test_development_data_alone_is_enough_for_a_member_that_would_take_both(
    planned: Callable[..., Plan], clips: list[Clip]
) -> None:
    plan = planned(member(train_on=BOTH), only=[clip for clip in clips if clip.subset == "development"])
    assert {bank.subset for job in plan.members for bank in (*job.train, *job.test)} == {"development"}


def test_a_member_without_training_data_is_refused(planned: Callable[..., Plan], clips: list[Clip]) -> None:
    development = [clip for clip in clips if clip.subset == "development"]
    with pytest.raises(RecipeError, match=r"member 'ae' trains on additional data; fan has none.*change train_on"):
        planned(member(train_on='["additional"]'), only=development)
    tests = [clip for clip in clips if clip.split == "test"]
    with pytest.raises(RecipeError, match="trains on development and additional data; fan has none"):
        planned(member(train_on=BOTH), only=tests)


def test_quick_serves_one_machine_and_says_once_what_it_left_out(clips: list[Clip]) -> None:
    alone = [clip for clip in clips if clip.machine_id == "id_00"]
    plan = make_plan(load_recipe("quick"), alone, NoStore(), device="cpu")
    assert [job.name for job in plan.members_of("fan")] == ["baseline", "spectral", "hvae", "freak"]
    (sentence,) = plan.left_out
    assert sentence.startswith("idcae is left out for fan, valve: each has training clips of id_00 alone")
    assert make_plan(load_recipe("quick"), clips, NoStore(), device="cpu").left_out == ()
    optional = [one for one in load_recipe("quick").member if one.optional]
    with pytest.raises(RecipeError, match="nothing to train: idcae is left out for fan, valve"):
        make_plan(load_recipe("quick").model_copy(update={"member": optional}), alone, NoStore(), device="cpu")


def test_a_classifier_needs_two_classes_be_they_attributes(planned: Callable[..., Plan], clips: list[Clip]) -> None:
    alone = [clip for clip in clips if clip.machine_id == "id_00" and clip.machine_type == "fan"]
    with pytest.raises(RecipeError, match="member 'c': fan has training clips of id_00 alone, all of one class"):
        planned(member("c", "classifier"), only=alone)
    plan = planned(member("s", "spectral"), member("c", "classifier", optional="true"), only=alone)
    assert [job.name for job in plan.members] == ["s"]
    assert plan.left_out[0].startswith("c is left out for fan: it has training clips of id_00 alone")
    told = [replace(clip, attributes=(("speed", clip.file[-5]),)) for clip in alone]
    (job,) = planned(member("c", "classifier"), only=told).members
    assert (job.others, "others" in job.facts) == ((), False)


def test_a_machine_alone_is_told_from_those_of_other_types_also_where_these_are_not_planned(
    clips: list[Clip], tmp_path: Path
) -> None:
    alone = [clip for clip in clips if clip.machine_id == "id_00"]
    recipe = parse_recipe(f'name = "x"\n[[member]]\n{member("c", "classifier")}', "x")
    for wanted in (alone, [clip for clip in alone if clip.machine_type == "fan"]):
        plan = make_plan(recipe, wanted, Store(tmp_path / "store"), device="cpu", all_clips=alone)
        job = plan.members_of("fan")[0]
        assert parts(job.others) == [("valve", "train", "development")]
        assert needs(job) == (*job.train, *job.test, *job.others)
        assert all(bank in plan.banks for bank in needs(job))
    before = job.key
    Path(job.others[0].clips[0].path).write_text("another sound")
    changed = make_plan(recipe, wanted, Store(tmp_path / "store"), device="cpu", all_clips=alone).members[0]
    assert changed.key != before and changed.train[0].key == job.train[0].key
    both = make_plan(recipe, clips, Store(tmp_path / "store"), device="cpu", all_clips=clips)
    assert not any(job.others for job in both.members), "two ids are told from each other"


def test_a_machine_type_without_a_member_is_refused(planned: Callable[..., Plan]) -> None:
    with pytest.raises(RecipeError, match=r"no member for the machine type valve; .* for fan, pump\..*--machine-type"):
        planned(member("a", machine_types='["fan", "pump"]'))


def test_a_machine_type_of_ones_own_is_told_which_recipes_are_for_it(clips: list[Clip], tmp_path: Path) -> None:
    mixers = [replace(clip, machine_type="mixer") for clip in clips if clip.machine_type == "fan"]
    with pytest.raises(RecipeError, match="no member for the machine type mixer") as refused:
        make_plan(load_recipe("hvae"), mixers, Store(tmp_path / "store"), device="cpu")
    named = set(re.search(r"for every machine type \(([^)]+)\)", str(refused.value))[1].split(", "))  # type: ignore[index]
    assert {"baseline", "spectral", "idcae", "quick"} <= named
    assert not {"hvae", "freak"} & named
    for name in named:
        assert make_plan(load_recipe(name), mixers, Store(tmp_path / "store"), device="cpu", missing=[]).members


# What is missing


OPENL3 = "{ kind = 'openl3' }"


def test_what_is_missing_stops_a_run_and_is_taken_down_for_a_look_at_the_plan(planned: Callable[..., Plan]) -> None:
    members = [
        member("a", "hvae", features=OPENL3, model="{ context = 1 }"),
        member("b", "hvae", features=OPENL3, model="{ context = 1, beta = 2.0 }", denoise_level="3"),
        member("c", "hvae", denoise_level="1", machine_types='["fan"]'),
    ]
    missing: list[str] = []
    plan = planned(*members, missing=missing)
    assert [job.label for job in plan.members] == ["fan a", "fan b", "fan c", "valve a", "valve b"]
    assert [job.machine_type for job in plan.denoisers] == ["fan", "valve"]
    assert {job.features["kind"] for job in plan.banks} == {"openl3", "log_mel"}
    clean, weights = missing
    assert "denoises for b, c" in clean
    assert "--clean" in clean
    assert "--without denoiser" in clean
    assert "`auscult download openl3" in weights
    assert weights.endswith("--without openl3")
    for message in missing:
        with pytest.raises(RecipeError) as refused:
            planned(*(member for member in members if (message == clean) == ("denoise" in member)))
        assert message in str(refused.value)


def test_weights_that_are_damaged_and_clean_sounds_that_are_not_there_are_missing(
    clips: list[Clip], tmp_path: Path
) -> None:
    (tmp_path / "openl3_audio_mel256_env-v0_2_0.h5.gz").write_text("an error page")
    recipe = parse_recipe(f'name = "r"\n[[member]]\n{member("a", "hvae", features=OPENL3, denoise_level="1")}', "test")
    missing: list[str] = []
    given: dict[str, Any] = {"device": "cpu", "weights": tmp_path, "clean": tmp_path / "none", "missing": missing}
    assert len(make_plan(recipe, clips, Store(tmp_path / "store"), **given).members) == 2
    assert len(missing) == 2
    assert "none does not exist" in missing[0]
    assert "is not the official one" in missing[1]


def test_noise_that_is_missing_is_taken_down(clips: list[Clip], tmp_path: Path, record: Callable[..., Path]) -> None:
    for index in range(3):
        record(tmp_path / "clean" / f"{index}.wav")
    recipe = parse_recipe(f'name = "r"\n[[member]]\n{member(denoise_level="1")}', "test")
    fans = [clip for clip in clips if clip.machine_type == "fan"]
    missing: list[str] = []
    make_plan(recipe, fans, Store(tmp_path / "store"), device="cpu", clean=tmp_path / "clean", missing=missing)
    (message,) = missing
    assert "normal clips of other machine types" in message


def test_a_machine_type_without_a_member_is_taken_down_if_another_has_one(planned: Callable[..., Plan]) -> None:
    missing: list[str] = []
    assert planned(member("a", machine_types='["fan"]'), missing=missing).machine_types == ["fan"]
    assert "no member for the machine type valve" in missing[0]
    with pytest.raises(RecipeError, match="no member for the machine type fan, valve"):
        planned(member("a", machine_types='["pump"]'), missing=[])


@pytest.mark.parametrize(
    "wrong",
    [
        {"family": "hvea"},
        {"features": "{ kind = 'openl3', contents = 'env' }"},
        {"features": "{ kind = 'openl3', embedding_size = 256 }"},
        {"train_on": '["additional"]', "machine_types": '["fan"]'},
    ],
)
def test_what_is_wrong_is_no_less_wrong_in_a_look_at_the_plan(
    planned: Callable[..., Plan], clips: list[Clip], wrong: dict[str, str]
) -> None:
    only = [clip for clip in clips if clip.subset == "development"]
    with pytest.raises(RecipeError, match="member 'ae'"):
        planned(member(**{"family": "hvae", **wrong}), only=only, missing=[])


def test_a_store_that_is_not_there_is_not_made_by_planning(clips: list[Clip], tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    plan = make_plan(load_recipe("quick"), clips, NoStore(), device="cpu")
    assert sorted(tmp_path.rglob("*")) == before
    assert len(plan.members) == 2 * 5
    clips[0].path.unlink()
    with pytest.raises(AudioError, match="cannot be read"):
        make_plan(load_recipe("quick"), clips, NoStore(), device="cpu")


# Seeds


def test_a_repeated_training_has_the_next_seed_and_shares_banks_and_denoisers(
    planned: Callable[..., Plan],
) -> None:
    plan = planned(member("a"), member("b"), top="seed = 5\nrepeats = 3")
    assert plan.seeds == [5, 6, 7]
    assert [job.label for job in plan.members_of("fan")] == [
        *("fan a", "fan b", "fan a seed 6", "fan b seed 6", "fan a seed 7", "fan b seed 7"),
    ]
    assert [job.name for job in plan.members_of("fan", 6)] == ["a", "b"]
    assert [job.training.seed for job in plan.members_of("fan", 6)] == [6, 6]
    assert len({job.key for job in plan.members}) == len(plan.members) == 12
    assert len({job.scores_key for job in plan.members}) == 12
    assert [bank.key for bank in plan.banks] == [bank.key for bank in planned(member(), top="seed = 5").banks]
    first, second, third = (plan.members_of("valve", seed)[0] for seed in plan.seeds)
    assert first.train == second.train == third.train


def test_repeating_does_not_touch_the_first_training(planned: Callable[..., Plan]) -> None:
    once, thrice = planned(member()), planned(member(), top="repeats = 3")
    assert once.seeds == [0]
    assert [job.key for job in once.members] == [job.key for job in thrice.members if job.seed == 0]
    assert [job.label for job in once.members] == [job.label for job in thrice.members if job.seed == 0]


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        (
            {"family": "autoencodr"},
            r"'autoencodr' is unknown \(did you mean 'autoencoder'\?\); known: autoencoder, mahalanobis, sp",
        ),
        ({"family": "IDCAE2"}, r"'IDCAE2' is unknown \(did you mean 'idcae'\?\)"),
        (
            {"model": "{ contxt = 3 }"},
            r"'autoencoder' has no argument 'contxt' \(did you mean 'context'\?\); it has con",
        ),
        ({"model": "{ n_bins = 3 }"}, r"has no argument 'n_bins'"),
        ({"model": "{ context = 0 }"}, r"context is 0; it must be"),
        ({"model": "{ context = '5' }"}, r"context is '5': .*integer"),
        ({"model": "{ context = true }"}, r"context is True: .*integer"),
        ({"model": "{ hidden = 'abc' }"}, r"hidden is 'abc'"),
        ({"model": "{ hidden = [1.5] }"}, r"hidden is \[1\.5\]: .*integer"),
        ({"model": "{ standardise = 'no' }"}, r"standardise is 'no': .*boolean"),
        ({"features": "{ kind = 'logmel' }"}, r"kind 'logmel' \(did you mean 'log_mel'\?\); known: log_mel"),
        ({"features": "{ kind = ['log_mel'] }"}, r"kind \['log_mel'\]"),
        (
            {"features": "{ n_mel = 3 }"},
            r"'log_mel' has no argument 'n_mel' \(did you mean 'n_mels'\?\); it has sample",
        ),
        ({"features": "{ n_mels = 0 }"}, r"n_mels is 0; it must be"),
        ({"features": "{ n_mels = 64.0 }"}, r"n_mels is 64\.0: .*integer"),
        ({"features": "{ scale = 'lin' }"}, r"scale is 'lin': .*'log', 'sqrt' or 'linear'"),
        ({"features": "{ fmin = 9000 }"}, r"band is 9000"),
        ({"pooling": "'meen'"}, r"pooling is 'meen' \(did you mean 'mean'\?\); choose one of mean, median, winmed"),
        ({"family": "spectral", "pooling": "'mean'"}, r"spectral defines its score on the clip and takes no pooling"),
    ],
)
def test_what_does_not_exist_is_named_with_its_member_and_the_nearest(
    planned: Callable[..., Plan], keys: dict[str, str], words: str
) -> None:
    with pytest.raises(RecipeError, match=f"^member 'mine': .*{words}"):
        planned(member("mine", **{"family": "autoencoder", **keys}))


@pytest.mark.parametrize("family", auscult.runs.plan.MODELS)
def test_every_family_can_be_planned_with_its_defaults_and_with_its_own_arguments(
    planned: Callable[..., Plan], family: str
) -> None:
    """What a recipe says is the same as what the signature says: types included."""
    (job, _) = planned(member("m", family)).members
    lists = {name: list(value) if isinstance(value, tuple) else value for name, value in job.arguments.items()}
    stated = {name: value for name, value in lists.items() if name != "n_bins" and value is not None}
    text = (
        "{ "
        + ", ".join(
            f"{name} = {str(value).lower() if isinstance(value, bool) else repr(value)}"
            for name, value in stated.items()
        )
        + " }"
    )
    (again, _) = planned(member("m", family, model=text)).members
    assert again.key == job.key


@pytest.mark.parametrize("name", builtin_recipes())
def test_every_recipe_that_comes_along_can_be_planned(
    name: str, clips: list[Clip], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All that constructors would refuse is found by the plan. Nobody opens weights or clean sounds."""
    monkeypatch.setattr(openl3_weights, "OFFICIAL", {})
    monkeypatch.setattr(openl3, "read_state", lambda path: {})
    monkeypatch.setattr(yamnet, "find_weights", lambda folder, sha256: (Path(folder), "0" * 64))
    monkeypatch.setattr(yamnet, "read_state", lambda path, sha256: {})
    (tmp_path / "clean").mkdir()
    for file in ("1.wav", "2.wav", "3.wav", openl3_weights.file_name("env", "mel256", "0.2")):
        (tmp_path / "clean" / file).write_text(file)
    fans = [clip for clip in clips if clip.machine_type == "fan"]
    six = [replace(clip, machine_type=kind) for kind in MACHINE_TYPES for clip in fans]
    recipe, places = load_recipe(name), {"clean": tmp_path / "clean", "weights": tmp_path / "clean"}
    plan = make_plan(recipe, six, Store(tmp_path / "store"), device="cpu", **places)
    assert plan.machine_types == list(MACHINE_TYPES)
    for kind in MACHINE_TYPES:
        assert [job.name for job in plan.members_of(kind)] == [one.name for one in recipe.members_of(kind)]


@pytest.mark.parametrize("betas", ["[1.5, 0.9]", "[0.9, 1.0]", "[-0.1, 0.9]"])
def test_training_that_cannot_be_is_found_before_any_work(planned: Callable[..., Plan], betas: str) -> None:
    with pytest.raises(AuscultError, match="betas are"):
        planned(member(), top=f"[training]\nbetas = {betas}")


def test_a_clip_that_is_gone_is_named(planned: Callable[..., Plan], clips: list[Clip]) -> None:
    clips[3].path.unlink()
    with pytest.raises(AudioError, match=f"{clips[3].path} cannot be read"):
        planned(member())


def test_training_settings_are_the_familys_then_the_recipes_then_the_members(planned: Callable[..., Plan]) -> None:
    plan = planned(
        member("freak", "freak"),
        member("own", "freak", training="{ epochs = 5 }"),
        top="[training]\nepochs = 3\nlearning_rate = 0.5",
    )
    freak, own = plan.members_of("fan")
    default = auscult.runs.plan.MODELS["freak"].default_training
    assert freak.training == replace(default, epochs=3, learning_rate=0.5)
    assert own.training == replace(default, epochs=5, learning_rate=0.5)


def test_features_take_the_recipes_rate_unless_they_name_one(planned: Callable[..., Plan]) -> None:
    plan = planned(member("a"), member("b", features="{ sample_rate = 8000 }"), top="sample_rate = 32000")
    assert [job.train[0].features["sample_rate"] for job in plan.members_of("fan")] == [32000, 8000]
    assert make_features({}, sample_rate=48000, where="here").sample_rate == 48000


def test_embeddings_are_computed_where_the_run_computes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless the recipe says otherwise."""
    monkeypatch.setattr("auscult.features.openl3.choose_device", str)
    monkeypatch.delenv("AUSCULT_WEIGHTS", raising=False)
    for table, device, expected in (
        ({"kind": "openl3"}, "cuda:1", "cuda:1"),
        ({"kind": "openl3", "device": "cpu"}, "cuda", "cpu"),
        ({"kind": "openl3"}, "mps", "cpu"),
        ({"kind": "log_mel"}, "cuda", None),
    ):
        features = make_features(table, sample_rate=16000, device=device, where="here", missing=[])
        assert features.config().get("device") == expected


def test_the_model_is_made_for_the_width_of_its_features(planned: Callable[..., Plan]) -> None:
    (job, _) = planned(member(features="{ n_mels = 40 }")).members
    assert job.arguments["n_bins"] == 40


# Keys


def keys(plan: Plan) -> dict[str, Any]:
    """Of the fan's first member: keys of its banks, of the model and of the scores."""
    job: MemberJob = plan.members_of("fan")[0]
    return {
        **{f"{bank.subset} {bank.split}": bank.key for bank in (*job.train, *job.test)},
        "model": job.key,
        "scores": job.scores_key,
    }


def changes(before: dict[str, Any], after: dict[str, Any]) -> set[str]:
    assert before.keys() == after.keys()
    return {name for name in before if before[name] != after[name]}


TRAIN = {"development train", "additional train"}
BANKS = TRAIN | {"development test", "evaluation test"}
WORK = {"model", "scores"}
ALL = BANKS | WORK


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ({"pooling": "'median'"}, {"pooling": "'mean'"}, {"scores"}),
        ({"name": "a"}, {"name": "b"}, WORK),
        ({"family": "autoencoder"}, {"family": "hvae"}, WORK),
        ({"model": "{ context = 4 }"}, {"model": "{ context = 5 }"}, WORK),
        ({"training": "{ epochs = 3 }"}, {"training": "{ epochs = 4 }"}, WORK),
        ({"training": "{ batch_size = 3 }"}, {"training": "{ batch_size = 4 }"}, WORK),
        ({"training": "{ learning_rate = 0.1 }"}, {"training": "{ learning_rate = 0.2 }"}, WORK),
        ({"training": "{ betas = [0.8, 0.9] }"}, {"training": "{ betas = [0.8, 0.99] }"}, WORK),
        ({"training": "{ decay = 0.8 }"}, {"training": "{ decay = 0.9 }"}, WORK),
        ({"training": "{ decay_every = 1 }"}, {"training": "{ decay_every = 2 }"}, WORK),
        pytest.param(
            {"training": "{ precision = 'fp32' }"},
            {"training": "{ precision = 'bf16' }"},
            WORK,
            marks=pytest.mark.bf16,
        ),
        ({"features": "{ n_mels = 64 }"}, {"features": "{ n_mels = 65 }"}, ALL),
        ({"features": "{ scale = 'log' }"}, {"features": "{ scale = 'sqrt' }"}, ALL),
        ({"features": "{ hop_length = 256 }"}, {"features": "{ hop_length = 512 }"}, ALL),
        # the same, said in another way
        ({}, {"features": "{ kind = 'log_mel', n_fft = 1024, sample_rate = 16000 }"}, set()),
        ({}, {"model": "{ context = 5, hidden = [128, 128, 128, 128] }"}, set()),
        ({}, {"training": "{ epochs = 100, precision = 'fp32' }"}, set()),
        ({}, {"machine_types": '["valve", "fan"]'}, set()),
        ({}, {"train_on": '["additional", "development"]'}, set()),
    ],
)
def test_a_members_keys_change_with_what_matters_and_only_then(
    planned: Callable[..., Plan], one: dict[str, str], other: dict[str, str], expected: set[str]
) -> None:
    assert changes(keys(planned(member(**one))), keys(planned(member(**other)))) == expected


@pytest.mark.parametrize(
    ("top", "expected"),
    [
        ("seed = 1", WORK),
        ("sample_rate = 8000", ALL),
        ("channel = 1", ALL),
        ("[training]\nepochs = 3", WORK),
        ("description = 'another text'", set()),
        ("ensemble = []", set()),
    ],
)
def test_the_recipes_own_settings_change_what_they_touch(
    planned: Callable[..., Plan], top: str, expected: set[str]
) -> None:
    assert changes(keys(planned(member())), keys(planned(member(), top=top))) == expected


def test_a_far_microphone_is_part_of_the_keys(planned: Callable[..., Plan], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auscult.runs.plan, "probe", lambda path: AudioInfo(16_000, 2, 1, "PCM_16"))
    assert changes(keys(planned(member())), keys(planned(member(), top="reference_channel = 1"))) == ALL
    before = keys(planned(member(), top="reference_channel = 1"))
    monkeypatch.setattr(auscult.runs.plan, "VERSION", auscult.runs.plan.VERSION + 1)
    assert changes(before, keys(planned(member(), top="reference_channel = 1"))) == ALL, "what is subtracted is another"


def test_the_device_and_the_libraries_versions_are_part_of_the_keys(
    planned: Callable[..., Plan], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = keys(planned(member()))
    assert changes(before, keys(planned(member(), device="cuda"))) == WORK
    newer = {**auscult.runs.plan.environment(), "torch": "99.0"}
    monkeypatch.setattr(auscult.runs.plan, "environment", lambda: newer)
    assert changes(before, keys(planned(member()))) == ALL


def test_other_members_and_machine_types_do_not_matter(planned: Callable[..., Plan], clips: list[Clip]) -> None:
    """What else is trained never changes a member."""
    before = keys(planned(member()))
    assert changes(before, keys(planned(member(), member("b", "hvae")))) == set()
    fans = [clip for clip in clips if clip.machine_type == "fan"]
    assert changes(before, keys(planned(member(), only=fans))) == set()


@pytest.mark.parametrize(
    ("index", "expected"),
    [
        (0, {"development train", *WORK}),
        (2, {"development test", "scores"}),
        (4, {"additional train", *WORK}),
        (6, {"evaluation test", "scores"}),
    ],
)
def test_a_clips_content_changes_its_bank_and_what_depends_on_it(
    planned: Callable[..., Plan], clips: list[Clip], index: int, expected: set[str]
) -> None:
    before = keys(planned(member()))
    clips[index].path.write_text("another recording")
    after = keys(planned(member()))
    assert changes(before, after) == expected
    without = [clip for clip in clips if clip != clips[index]]
    assert changes(after, keys(planned(member(), only=without))) == expected
    for fact in ({"machine_id": "id_07"}, {"domain": "target"}, {"attributes": (("speed", "28V"),)}):
        other = [replace(clip, **fact) if clip == clips[index] else clip for clip in clips]
        assert changes(after, keys(planned(member(), only=other))) == expected
    assert clips[index].facts == [clips[index].machine_id], "keys of what has no domain stay what they were"


def test_training_and_test_clips_of_equal_content_are_two_banks(
    planned: Callable[..., Plan], clips: list[Clip]
) -> None:
    """The scores of a member are told apart by the keys of its banks."""
    for clip in clips:
        clip.path.write_text("silence")
    (job, _) = planned(member(train_on='["development"]')).members
    assert [[clip.machine_id for clip in bank.clips] for bank in job.train] == [
        [clip.machine_id for clip in bank.clips] for bank in job.test
    ]
    assert len({bank.key for bank in (*job.train, *job.test)}) == 2


def test_banks_are_made_once_however_many_members_read_them(planned: Callable[..., Plan]) -> None:
    plan = planned(*(member(f"m{index}", model=f"{{ n_latent = {index + 1} }}") for index in range(20)))
    assert len(plan.banks) == 8
    first, *others = plan.members_of("fan")
    assert all(one is other for job in others for one, other in zip(first.train, job.train, strict=True))


def test_moved_copied_and_touched_clips_are_the_same_clips(
    planned: Callable[..., Plan], clips: list[Clip], tmp_path: Path
) -> None:
    """Content counts, so that a data folder may move; labels are looked at only by the evaluation."""
    before = keys(planned(member()))
    os.utime(clips[0].path, ns=(0, 0))
    moved = []
    for clip in clips:
        path = tmp_path / "moved" / clip.path.relative_to(tmp_path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(clip.path.read_bytes())
        moved.append(
            replace(clip, path=path, file=f"x/{clip.file}", label=None if clip.split == "test" else clip.label)
        )
    assert changes(before, keys(planned(member()))) == set()
    assert changes(before, keys(planned(member(), only=moved))) == set()
