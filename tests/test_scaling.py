"""Scales and fusion: which normal clips standardise a member, what becomes one score, in run, pack and learn alike."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from auscult.datasets import load_clips
from auscult.detector import Detector, Part
from auscult.detector.pack import pack
from auscult.errors import RecipeError, ScoreError
from auscult.features.bank import Bank, bank_of
from auscult.features.front_end import FrontEnd
from auscult.features.log_mel import LogMel
from auscult.members.fitting import fit_parts, learnable
from auscult.members.scaling import Scaling, normal_scores, scaling_of
from auscult.models import HVAE, Classifier, Spectral
from auscult.recipe import parse_recipe
from auscult.runs.parts import RunPart, read_part
from auscult.runs.results import read_results, read_scores_of
from auscult.runs.run import run
from auscult.scores.ensemble import Node, Scores, combine
from auscult.scores.ensemble.scales import fusion_of, member_scales
from auscult.scores.fusion import LOGISTIC, fused
from auscult.scores.table import ScoreRow, ScoreTable

NAN = float("nan")
NETWORK, DENSITY = HVAE(4, context=1, hidden=(4,), n_latent=2), Spectral(4)


def known(n_source: int, n_target: int = 0, ids: str = "ab") -> list[tuple[str, str | None, tuple[()]]]:
    """Clips of each machine, source before target."""
    return [
        (id_, domain, ()) for id_ in ids for domain, n in (("source", n_source), ("target", n_target)) for _ in [0] * n
    ]


def test_a_network_that_compares_with_its_own_clips_always_holds_out_a_tenth() -> None:
    classifier = Classifier(4, hidden=(4,), n_embedding=2)
    for combined in (False, True):
        assert scaling_of(classifier, known(20), unseen=True, combined=combined) == Scaling(
            "held-out", (18, 19, 38, 39)
        )
    assert scaling_of(classifier, known(5), unseen=True, combined=True).method == "asinh"


@pytest.mark.parametrize(
    ("network", "clips", "unseen", "combined", "method"),
    [
        (False, known(5, 5), True, True, "cross-fitted"),
        (False, known(5, 5), True, False, "cross-fitted"),
        (False, known(5), True, True, "asinh"),
        (False, known(5), True, False, "training"),
        (False, known(50), False, True, "training"),
        (True, known(105), True, True, "asinh"),
        (True, known(105), True, False, "training"),
        (True, known(250), True, True, "held-out"),
        (True, known(250), False, True, "training"),
        (True, known(5, ids="abcdefghijklmnopqrstuvwxyz" * 5), True, True, "asinh"),  # a tenth of 5 is none
    ],
)
def test_the_method_follows_from_family_and_number_of_clips(
    network: bool, clips: list[tuple[str, str | None, tuple[()]]], unseen: bool, combined: bool, method: str
) -> None:
    clips = clips if len(clips) < 600 else [(f"{id_}{place // 130}", *rest) for place, (id_, *rest) in enumerate(clips)]
    found = scaling_of(NETWORK if network else DENSITY, clips, unseen=unseen, combined=combined)
    assert found.method == method
    assert bool(found.held_out) == (method == "held-out")


def test_a_hold_out_is_a_tenth_of_each_machine_and_domain() -> None:
    clips = known(240, 30)
    held_out = scaling_of(NETWORK, clips, unseen=True, combined=True).held_out
    kinds = [clips[place][:2] for place in held_out]
    assert {kind: kinds.count(kind) for kind in kinds} == {
        ("a", "source"): 24,
        ("a", "target"): 3,
        ("b", "source"): 24,
        ("b", "target"): 3,
    }
    assert len(held_out) >= 20


def bank(n_clips: int, seed: int = 0) -> Bank:
    frames = np.random.default_rng(seed).normal(size=(n_clips, 12, 4)).astype(np.float32)
    return bank_of(frames, [id_ for id_ in "ab" for _ in range(n_clips // 2)], frame_rate=10.0)


def test_clips_are_scored_by_models_that_have_not_heard_them() -> None:
    clips = bank(40)
    crossed = normal_scores(Spectral(4).fit(clips), clips, Scaling("cross-fitted"), pooling=None)
    rest = [place for place in range(40) if place % 20 >= 4]  # the first fifth of each machine apart
    other = Spectral(4).fit(clips.select(rest))
    np.testing.assert_array_equal(crossed[[0, 3, 20, 23]], other.score_clips(clips.select([0, 3, 20, 23])))
    held = Scaling("held-out", (18, 19, 38, 39))
    model = Spectral(4).fit(held.kept(clips))
    scores = normal_scores(model, clips, held, pooling=None)
    assert np.flatnonzero(~np.isnan(scores)).tolist() == [18, 19, 38, 39]
    louder = replace(clips, frames=clips.frames.copy())
    louder.frames[-24:] += 9.0  # of the two last clips
    after = normal_scores(Spectral(4).fit(held.kept(louder)), louder, held, pooling=None)
    np.testing.assert_array_equal(scores[:38], after[:38])
    assert (after[38:] > scores[38:]).all()


def test_fusions_by_hand() -> None:
    members = np.array([[1.0, 5.0, NAN, NAN], [3.0, -2.0, 4.0, NAN]])
    np.testing.assert_allclose(fused(members, np.array([1.0, 3.0]), "mean"), [2.5, -0.25, 4.0, NAN])
    np.testing.assert_allclose(fused(members, np.ones(2), "minimum"), [1.0, -2.0, 4.0, NAN])
    np.testing.assert_allclose(fused(members, np.array([1.0, 0.0]), "minimum"), [1.0, 5.0, NAN, NAN])
    chance = 1 / (1 + np.exp(LOGISTIC * members))
    expected = [-np.log(chance[:, 0].mean()), -np.log(chance[:, 1].mean()), -np.log(chance[1, 2]), NAN]
    np.testing.assert_allclose(fused(members, np.ones(2), "tail"), expected)
    far = fused(np.array([[500.0, 900.0], [800.0, 901.0]]), np.ones(2), "tail")
    assert far[0] < far[1] < np.inf  # no two sounds are alike for want of digits


def leaves(curves: dict[str, str]) -> dict[str, Scores]:
    rng = np.random.default_rng(1)

    def table(n: int, spread: float, label: str) -> list[ScoreRow]:
        return [ScoreRow("fan", "a", f"{label}{n}", label, spread * rng.normal()) for n in range(n)]

    return {
        name: Scores(
            ScoreTable(table(20, place + 1.0, "normal")),
            ScoreTable(table(9, place + 3.0, "normal") + table(9, 9.0, "anomaly")),
            ScoreTable([]),
            curve,  # type: ignore[arg-type]  # one of its names
        )
        for place, (name, curve) in enumerate(curves.items())
    }


@pytest.mark.parametrize("protocol", ["uniform", "paper"])
@pytest.mark.parametrize("fusion", ["mean", "minimum", "tail"])
def test_a_detector_has_the_scores_of_the_ensemble(fusion: str, protocol: str) -> None:
    found = leaves({"x": "asinh", "y": "line", "z": "asinh"})
    nodes = [Node("all", ("x", "y", "z"), fusion=fusion)]  # type: ignore[arg-type]  # one of its names
    tables, _ = combine(nodes, found, protocol)
    scales, _ = member_scales(nodes, found, protocol, system="all")
    assert [scale.curve for scale in scales.values()] == (
        ["asinh", "line", "asinh"] if protocol == "uniform" else ["line"] * 3
    )
    parts = [Part(name, "", None, None, None, s.mean, s.sd, s.weight, s.curve) for name, s in scales.items()]  # type: ignore[arg-type]  # neither front end nor model
    rows = zip(*(found[part.name].development for part in parts), strict=True)
    members = np.array([[part.standardise(row.score) for part, row in zip(parts, own, strict=True)] for own in rows]).T
    weights = np.array([part.weight for part in parts])
    found_scores, expected = fused(members, weights, fusion_of(nodes, "all")), tables["all"].development.scores
    if fusion == "mean":  # scales are about training clips under each protocol, which a factor tells apart
        expected = expected * found_scores.std() / expected.std()
    np.testing.assert_allclose(found_scores, expected)


def test_curved_members_in_nested_ensembles() -> None:
    found = leaves({"x": "asinh", "y": "line", "z": "asinh"})
    nodes = [Node("pair", ("x", "y")), Node("all", ("pair", "z"))]
    expected = combine(nodes, found, "uniform")[0]["all"].development.scores
    scales, _ = member_scales(nodes, found, "uniform", system="all")
    total = np.zeros(18)
    for name, scale in scales.items():
        z = (found[name].development.scores - scale.mean) / scale.sd
        total += scale.weight * (np.arcsinh(z) if scale.curve == "asinh" else z)
    slope, shift = np.polyfit(expected, total, 1)
    assert slope > 0
    np.testing.assert_allclose(slope * expected + shift, total, atol=1e-9)
    raw = [Node("raw", ("x", "y"), standardise=False), Node("all", ("raw", "z"))]
    with pytest.raises(ScoreError, match="takes the raw scores of 'x'"):
        member_scales(raw, found, "uniform", system="all")


@pytest.mark.parametrize(
    ("ensemble", "sentence"),
    [
        ('members = ["a", "b"]\nfusion = "minimum"\nweights = "search"', "leave out select, weights and standardise"),
        ('members = ["a", "b"]\nfusion = "tail"\nstandardise = false', "leave out select, weights and standardise"),
        ('members = ["a", "b"]\nfusion = "middle"', "'mean', 'minimum' or 'tail'"),
        ('members = ["pair", "a"]\nfusion = "minimum"', "only means of means can be nested"),
    ],
)
def test_a_fusion_that_is_no_mean_takes_members_alike(ensemble: str, sentence: str) -> None:
    members = "".join(f'[[member]]\nname = "{name}"\nfamily = "spectral"\n' for name in "ab")
    pair = '[[ensemble]]\nname = "pair"\nmembers = ["a", "b"]\n'
    with pytest.raises(RecipeError, match=sentence):
        parse_recipe(f'name = "x"\n{members}{pair}[[ensemble]]\nname = "all"\n{ensemble}', "a test")


RECIPE = """
name = "two"
sample_rate = 8000
[[member]]
name = "level"
family = "spectral"
features = { n_mels = 8 }
[[member]]
name = "change"
family = "spectral"
features = { n_mels = 8 }
model = { statistics = ["flux"] }
[[ensemble]]
name = "both"
members = ["level", "change"]
fusion = "tail"
"""


@pytest.fixture
def ten(tmp_path: Path, record: Callable[..., Path]) -> Path:
    for index in range(10):
        record(tmp_path / "data" / "pump" / "train" / f"{index}.wav", seed=index)
    for index in range(4):
        record(tmp_path / "data" / "pump" / "test" / ("normal", "anomaly")[index % 2] / f"{index}.wav", seed=20 + index)
    return tmp_path / "data"


def test_run_pack_and_learn_have_one_scale_which_no_test_clip_changes(
    ten: Path, tmp_path: Path, record: Callable[..., Path]
) -> None:
    recipe = parse_recipe(RECIPE, "a test")
    run(recipe, data=ten, out=tmp_path / "one")
    results = read_results(tmp_path / "one")
    assert [(scale["member"], scale["method"], scale["clips"]) for scale in results.scales] == [
        ("level", "cross-fitted", 10),
        ("change", "cross-fitted", 10),
    ]
    assert any("learned from four fifths without it: level, change." in note for note in results.notes)
    packed = pack(tmp_path / "one", window_seconds=0.5).detector
    assert packed.fusion == "tail"
    packed.save(tmp_path / "pump.auscult")
    detector = Detector.load(tmp_path / "pump.auscult")
    for row in read_scores_of(tmp_path / "one", "both", protocol="uniform"):
        score = detector.score(ten / "pump" / row.file, machine_id=row.machine_id, evidence=False).score
        assert score == pytest.approx(row.score, rel=1e-6)
    clips = [clip for clip in load_clips(ten) if clip.split == "train"]
    front_ends = {name: packed.parts[place].front_end for place, name in enumerate(("level", "change"))}
    banks = {
        name: bank_of(
            [end(clip.path) for clip in clips], [clip.machine_id for clip in clips], frame_rate=end.features.frame_rate
        )
        for name, end in front_ends.items()
    }
    learned = fit_parts(recipe.member, recipe, front_ends, banks, device="cpu", on_epoch=lambda *_: None)
    for one, other in zip(learned, packed.parts, strict=True):
        assert (one.mean, one.sd, one.weight) == pytest.approx((other.mean, other.sd, other.weight), rel=1e-6)
    for index in range(4):
        record(ten / "pump" / "test" / ("normal", "anomaly")[index % 2] / f"{index}.wav", seed=90 + index)
    run(recipe, data=ten, out=tmp_path / "other")
    for name in ("level", "change"):
        assert read_part(tmp_path / "one", "pump", name) == read_part(tmp_path / "other", "pump", name)


def test_parts_of_older_runs_are_read(ten: Path, tmp_path: Path) -> None:
    run(parse_recipe(RECIPE, "a test"), data=ten, out=tmp_path / "one")
    path = tmp_path / "one" / "weights" / "pump" / "level.json"
    content = json.loads(path.read_text())
    del content["scale"], content["part"]["curve"]
    path.write_text(json.dumps(content))
    old = read_part(tmp_path / "one", "pump", "level")
    assert isinstance(old, RunPart)
    assert (old.scale, old.part.curve) == ("training", "line")


def test_learn_leaves_out_an_optional_member_that_cannot_learn() -> None:
    text = RECIPE.partition("[[ensemble]]")[0] + '[[member]]\nname = "ids"\nfamily = "idcae"\noptional = true\n'
    recipe = parse_recipe(text, "a test")
    front_ends = {member.name: FrontEnd(LogMel(8000, n_mels=8)) for member in recipe.member}
    kept, left_out = learnable(recipe.member, recipe, front_ends, ids=["a"], seconds=5.0, device="cpu")
    assert [member.name for member in kept] == ["level", "change"]
    (sentence,) = left_out
    assert sentence.startswith("Left out: member 'ids'")
    assert len(learnable(recipe.member, recipe, front_ends, ids=["a", "b"], seconds=5.0, device="cpu")[0]) == 3
    needed = [member.model_copy(update={"optional": None}) for member in recipe.member]
    with pytest.raises(RecipeError, match="member 'ids'"):
        learnable(needed, recipe, front_ends, ids=["a"], seconds=5.0, device="cpu")
