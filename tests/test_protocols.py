"""Protocols of combining: who may see which label, and that nobody sees more."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from auscult.datasets.years import YEARS
from auscult.errors import ScoreError
from auscult.scores.ensemble import (
    PROTOCOLS,
    Choice,
    Combiner,
    Node,
    Scores,
    combine,
    member_effects,
    weight_surface,
)
from auscult.scores.metrics import auc, evaluate, pauc
from auscult.scores.official import official
from auscult.scores.table import ScoreRow, ScoreTable

IDS = ("id_01", "id_02", "id_03", "id_04")
CHOOSING = tuple(name for name in PROTOCOLS if name != "uniform")
NONE = ScoreTable([])

Leaves = dict[str, Scores]


def rows(machine_id: str, label: str | None, scores: Sequence[float], kind: str = "fan") -> list[ScoreRow]:
    return [
        ScoreRow(kind, machine_id, f"{label}_{place:02d}.wav", label, float(score))
        for place, score in enumerate(scores)
    ]


def leaf(seed: int, gain: Sequence[float] = (1, 1, 1, 1), ids: Sequence[str] = IDS, n_clips: int = 12) -> Scores:
    """Noise on a scale of its own, to which anomalies of each machine add a gain."""
    rng = np.random.default_rng(seed)
    scale, offset = rng.uniform(0.5, 20), rng.uniform(-50, 50)

    def noise() -> np.ndarray:
        return rng.standard_normal(n_clips)

    train, development, evaluation = [], [], []
    for machine_id, own in zip(ids, gain, strict=True):
        train += rows(machine_id, "normal", scale * noise() + offset)
        development += rows(machine_id, "normal", scale * noise() + offset)
        development += rows(machine_id, "anomaly", scale * (noise() + own) + offset)
    for machine_id in ("id_05", "id_06"):
        evaluation += rows(machine_id, None, scale * noise() + offset)
    return Scores(ScoreTable(train), ScoreTable(development), ScoreTable(evaluation))


@pytest.fixture(scope="module")
def leaves() -> Leaves:
    gains = [(2, 0.5, 0, 1), (0, 1, 2, 0.5), (0.5, 0.5, 0.5, 1.5), (1, 1.5, 0, 0), (0, 0, 1, 0.5), (1, 0.3, 1, 0.3)]
    return {f"m{place}": leaf(place, gain) for place, gain in enumerate(gains)}


NESTED = (
    Node("mean", ("m0", "m1")),
    Node("best", ("m2", "m3", "m4", "m5"), select=2, weights="search"),
    Node("final", ("mean", "best", "m5"), weights="search"),
)


def changed(leaves: Mapping[str, Scores], change: Callable[[ScoreTable], ScoreTable]) -> Leaves:
    """The same with other development tables."""
    return {name: replace(scores, development=change(scores.development)) for name, scores in leaves.items()}


def shuffled_labels(machine_id: str, seed: int = 0) -> Callable[[ScoreTable], ScoreTable]:
    """Labels of one machine in another order, the same for every leaf; no clip keeps both kind and place."""

    def change(table: ScoreTable) -> ScoreTable:
        own = [row for row in table if row.machine_id == machine_id]
        labels = np.random.default_rng(seed).permutation([row.label for row in own])
        moved = [replace(row, label=str(label)) for row, label in zip(own, labels, strict=True)]
        return ScoreTable([*moved, *(row for row in table if row.machine_id != machine_id)])

    return change


def scores_of(table: ScoreTable, machine_id: str) -> dict[tuple[str, str, str], float]:
    return {row.key: row.score for row in table if row.machine_id == machine_id}


def standardised(leaves: Mapping[str, Scores], by: str) -> np.ndarray:
    """Development scores `[K, C]` in deviations of the training or of the development clips."""
    stacked = []
    for scores in leaves.values():
        reference = getattr(scores, by).scores
        stacked.append((scores.development.scores - reference.mean()) / reference.std())
    return np.stack(stacked)


def brute_force(
    leaves: Mapping[str, Scores], by: str, ids: Sequence[str], steps: int
) -> tuple[float, set[tuple[int, ...]]]:
    """The best mean over ids of (AUC + pAUC) / 2 by scikit-learn, and all weights, in steps, that reach it."""
    stacked = standardised(leaves, by)
    table = next(iter(leaves.values())).development
    found: dict[tuple[int, ...], float] = {}
    for weights in product(range(steps + 1), repeat=len(leaves)):
        if sum(weights) == steps:
            combined = sum(weight * scores for weight, scores in zip(weights, stacked, strict=True)) / steps
            values = []
            for machine_id in ids:
                own = [place for place, row in enumerate(table) if row.machine_id == machine_id]
                labels = [table.rows[place].label == "anomaly" for place in own]
                values.append((auc(labels, combined[own]) + pauc(labels, combined[own])) / 2)
            found[weights] = float(np.mean(values))
    highest = max(found.values())
    return highest, {weights for weights, value in found.items() if value > highest - 1e-9}


def in_steps(choice: Choice, steps: int) -> tuple[int, ...]:
    return tuple(round(weight * steps) for weight in choice.weights.values())


@pytest.mark.parametrize("names", [("m0", "m1", "m2"), ("m2", "m4", "m5"), ("m0", "m3")], ids=" ".join)
def test_the_optimum_of_the_paper_protocol_is_that_of_a_plain_search(leaves: Leaves, names: tuple[str, ...]) -> None:
    chosen = {name: leaves[name] for name in names}
    systems, [choice] = combine([Node("all", names, weights="search")], leaves, "paper", step=0.1)
    highest, where = brute_force(chosen, "development", IDS, 10)
    assert choice.reached == pytest.approx(highest, abs=1e-12)
    assert list(choice.weights) == list(names)
    assert sum(choice.weights.values()) == pytest.approx(1)
    assert in_steps(choice, 10) in where
    figures = evaluate(systems["all"].development)["fan"]["mean"]
    assert (figures["auc"] + figures["pauc"]) / 2 == pytest.approx(highest, abs=1e-12)


def test_the_optimum_of_figure_1_is_the_red_dot(leaves: Leaves) -> None:
    node = Node("all", ("m0", "m1", "m2"), weights="search")
    weights, mauc = weight_surface(node, leaves)
    assert weights.shape == (5151, 3)
    assert weights.sum(axis=1) == pytest.approx(1)
    assert (weights >= 0).all()
    _, [choice] = combine([node], leaves, "paper")
    assert choice.reached == pytest.approx(mauc.max(), abs=1e-12)
    dot = np.flatnonzero((np.abs(weights - list(choice.weights.values())) < 1e-9).all(axis=1))
    assert mauc[dot] == pytest.approx(mauc.max(), abs=1e-12)
    coarse, values = weight_surface(node, leaves, step=0.25)
    assert brute_force({name: leaves[name] for name in node.members}, "development", IDS, 4)[0] == pytest.approx(
        values.max(), abs=1e-12
    )
    assert len(coarse) == 15


def test_a_surface_over_families_is_that_of_their_combined_scores(leaves: Leaves) -> None:
    *families, final = NESTED
    _, mauc = weight_surface(final, leaves, nodes=families, step=0.1)
    _, choices = combine(NESTED, leaves, "paper", step=0.1)
    assert choices[-1].reached == mauc.max()


@pytest.mark.parametrize("members", [("m0", "m1"), ("m0", "m1", "m2", "m3"), ("m0", "m1", "absent")], ids=len)
def test_only_three_members_have_a_surface(leaves: Leaves, members: tuple[str, ...]) -> None:
    with pytest.raises(ScoreError, match="no surface of weights: it needs three members"):
        weight_surface(Node("all", members, weights="search"), leaves)


def test_uniform_is_the_mean_of_scores_standardised_by_training_clips(leaves: Leaves) -> None:
    nodes = [Node("all", ("m0", "m1", "m2"), select=1, weights="search")]
    systems, [choice] = combine(nodes, leaves, "uniform")
    chosen = {name: leaves[name] for name in nodes[0].members}
    assert systems["all"].development.scores == pytest.approx(standardised(chosen, "train").mean(axis=0))
    assert choice == Choice("fan", "all", "uniform", None, dict.fromkeys(chosen, pytest.approx(1 / 3)), None)


def test_raw_scores_are_averaged_where_the_node_says_so(leaves: Leaves) -> None:
    systems, _ = combine([Node("raw", ("m0", "m1"), standardise=False)], leaves, "uniform")
    mean = (leaves["m0"].evaluation.scores + leaves["m1"].evaluation.scores) / 2
    assert systems["raw"].evaluation.scores == pytest.approx(mean)


def test_uniform_reads_no_label(leaves: Leaves) -> None:
    def unlabelled(table: ScoreTable) -> ScoreTable:
        return ScoreTable(replace(row, label=None) for row in table)

    with_labels, choices = combine(NESTED, leaves, "uniform")
    without, same = combine(NESTED, changed(leaves, unlabelled), "uniform")
    assert choices == same
    for name, scores in with_labels.items():
        assert (scores.development.scores == without[name].development.scores).all()


@pytest.mark.parametrize("machine_id", IDS)
def test_the_row_of_an_id_does_not_change_when_its_labels_are_shuffled(leaves: Leaves, machine_id: str) -> None:
    before, choices = combine(NESTED, leaves, "leave-one-id-out", step=0.1)
    shuffled = changed(leaves, shuffled_labels(machine_id))
    after, new_choices = combine(NESTED, shuffled, "leave-one-id-out", step=0.1)
    for name in before:
        own = scores_of(before[name].development, machine_id)
        assert len(own) == 24
        assert own == scores_of(after[name].development, machine_id)
    assert [one for one in choices if one.held_out == machine_id] == [
        one for one in new_choices if one.held_out == machine_id
    ]
    # The labels matter to everything else, or this test would show nothing.
    assert [one for one in choices if one.held_out is None] != [one for one in new_choices if one.held_out is None]
    assert combine(NESTED, leaves, "paper", step=0.1)[1] != combine(NESTED, shuffled, "paper", step=0.1)[1]


@pytest.mark.parametrize("machine_id", IDS)
def test_what_is_chosen_without_an_id_is_what_is_chosen_where_the_id_is_not_there(
    leaves: Leaves, machine_id: str
) -> None:
    """Selection, weights of members, weights of families: none sees labels or test scores of the held-out machine."""
    _, choices = combine(NESTED, leaves, "leave-one-id-out", step=0.1)
    others = changed(leaves, lambda table: ScoreTable(row for row in table if row.machine_id != machine_id))
    _, elsewhere = combine(NESTED, others, "leave-one-id-out", step=0.1)
    held_out = [replace(choice, held_out=None) for choice in choices if choice.held_out == machine_id]
    assert held_out == [choice for choice in elsewhere if choice.held_out is None]


def test_a_held_out_id_is_scored_with_the_best_weights_of_the_others(leaves: Leaves) -> None:
    names = ("m0", "m1", "m2")
    chosen = {name: leaves[name] for name in names}
    systems, choices = combine([Node("all", names, weights="search")], leaves, "leave-one-id-out", step=0.2)
    assert [choice.held_out for choice in choices] == [*IDS, None]
    stacked = standardised(chosen, "train")
    for choice in choices[:-1]:
        others = [machine_id for machine_id in IDS if machine_id != choice.held_out]
        highest, where = brute_force(chosen, "train", others, 5)
        assert choice.reached == pytest.approx(highest, abs=1e-12)
        assert in_steps(choice, 5) in where
        own = [row.machine_id == choice.held_out for row in leaves["m0"].development]
        expected = np.array(list(choice.weights.values())) @ stacked[:, own]
        found = scores_of(systems["all"].development, str(choice.held_out))
        assert list(found.values()) == pytest.approx(expected.tolist())


def test_evaluation_clips_are_scored_with_the_choice_of_all_development_ids(leaves: Leaves) -> None:
    names = ("m0", "m1", "m2")
    systems, choices = combine([Node("all", names, weights="search")], leaves, "leave-one-id-out", step=0.1)
    weights = choices[-1].weights
    for part in ("train", "evaluation"):
        expected = sum(
            weight
            * (getattr(leaves[name], part).scores - leaves[name].train.scores.mean())
            / leaves[name].train.scores.std()
            for name, weight in weights.items()
        )
        assert getattr(systems["all"], part).scores == pytest.approx(expected)


def test_the_paper_protocol_standardises_by_development_clips(leaves: Leaves) -> None:
    systems, [choice] = combine([Node("all", ("m0", "m1"))], leaves, "paper")
    assert choice.weights == {"m0": 0.5, "m1": 0.5}
    assert choice.reached is None
    expected = np.mean(
        [
            (leaves[name].evaluation.scores - leaves[name].development.scores.mean())
            / leaves[name].development.scores.std()
            for name in ("m0", "m1")
        ],
        axis=0,
    )
    assert systems["all"].evaluation.scores == pytest.approx(expected)


def test_the_best_members_are_selected_one_by_one(leaves: Leaves) -> None:
    alone = {}
    for name, scores in leaves.items():
        figures = evaluate(scores.development)["fan"]["mean"]
        alone[name] = figures["auc"] + figures["pauc"]
    best = sorted(sorted(alone, key=lambda name: -alone[name])[:3])
    _, [choice] = combine([Node("all", tuple(leaves), select=3)], leaves, "paper")
    assert list(choice.weights) == best
    assert set(choice.weights.values()) == {1 / 3}
    assert choice.reached is not None
    _, [every] = combine([Node("all", tuple(leaves), select=10)], leaves, "paper")
    assert list(every.weights) == list(leaves)


def test_among_equally_good_weights_the_most_uniform_are_taken(leaves: Leaves) -> None:
    twins = {"a": leaves["m0"], "b": leaves["m0"], "c": leaves["m0"]}
    _, [choice] = combine([Node("all", ("a", "b", "c"), weights="search")], twins, "paper")
    assert choice.weights == {"a": 0.33, "b": 0.33, "c": 0.34}


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_equal_scores_of_all_clips_are_no_error(leaves: Leaves, protocol: str) -> None:
    def flat(table: ScoreTable) -> ScoreTable:
        return ScoreTable(replace(row, score=0.1) for row in table)

    constant = Scores(*(flat(getattr(leaves["m0"], part)) for part in ("train", "development", "evaluation")))
    systems, choices = combine([Node("one", ("flat",), weights="search")], {"flat": constant}, protocol, step=0.1)
    assert set(systems["one"].development.scores) == {0.0}
    assert {choice.reached for choice in choices} == ({None} if protocol == "uniform" else {0.5})
    both, _ = combine([Node("two", ("flat", "m0"))], {**leaves, "flat": constant}, protocol)
    half, _ = combine([Node("two", ("m0",))], leaves, protocol)
    assert both["two"].development.scores == pytest.approx(half["two"].development.scores / 2)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_clip_that_some_did_not_score_has_the_weighted_mean_of_the_others(leaves: Leaves, protocol: str) -> None:
    """A member that was trained on development data alone has no evaluation scores."""
    some = {**leaves, "m0": replace(leaves["m0"], evaluation=NONE)}
    systems, choices = combine([Node("all", ("m0", "m1", "m2"), weights="search")], some, protocol, step=0.1)
    weights = choices[-1].weights
    by = "development" if protocol == "paper" else "train"
    parts = []
    for name in ("m1", "m2"):
        reference = getattr(leaves[name], by).scores
        parts.append(weights[name] * (leaves[name].evaluation.scores - reference.mean()) / reference.std())
    assert systems["all"].evaluation.scores == pytest.approx(sum(parts) / (weights["m1"] + weights["m2"]))


@pytest.mark.parametrize("protocol", CHOOSING)
def test_a_clip_that_no_chosen_member_scored_has_the_plain_mean_of_those_that_did(protocol: str) -> None:
    good, bad = leaf(1, (9, 9, 9, 9)), leaf(2, (0, 0, 0, 0))
    leaves = {"good": replace(good, evaluation=NONE), "bad": bad}
    systems, choices = combine([Node("best", ("good", "bad"), select=1)], leaves, protocol)
    assert [choice.weights for choice in choices] == [{"good": 1.0}] * len(choices)
    alone, _ = combine([Node("best", ("bad",))], leaves, protocol)
    assert len(systems["best"].evaluation) == 24
    assert systems["best"].evaluation == alone["best"].evaluation


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_what_is_not_there_drops_out(leaves: Leaves, protocol: str) -> None:
    empty = Scores(NONE, NONE, NONE)
    nodes = [
        Node("gone", ("absent", "empty")),
        Node("left", ("absent", "m0", "empty", "m1")),
        Node("final", ("gone", "left")),
    ]
    systems, choices = combine(nodes, {**leaves, "empty": empty}, protocol)
    assert list(systems) == ["left", "final"]
    assert {choice.ensemble: list(choice.weights) for choice in choices} == {"left": ["m0", "m1"], "final": ["left"]}
    assert combine(nodes, {}, protocol) == ({}, [])
    assert combine(nodes, {"empty": empty}, protocol) == ({}, [])


@pytest.mark.parametrize("protocol", CHOOSING)
def test_an_id_without_both_labels_does_not_choose(leaves: Leaves, protocol: str) -> None:
    def normal_only(table: ScoreTable) -> ScoreTable:
        return ScoreTable(row for row in table if row.machine_id != "id_02" or row.label == "normal")

    def without_some(table: ScoreTable) -> ScoreTable:
        first = next(row for row in table if row.machine_id == "id_02")
        return ScoreTable(replace(row, label=None) if row == first else row for row in table)

    for change in (normal_only, without_some):
        systems, choices = combine(NESTED, changed(leaves, change), protocol, step=0.1)
        assert len(systems["final"].development) == len(change(leaves["m0"].development))
        held_out = {choice.held_out for choice in choices}
        assert held_out == ({None} if protocol == "paper" else {None, *IDS} - {"id_02"})
    if protocol == "leave-one-id-out":  # the id is scored by the choice of all others, which never saw it
        everything, folds = combine(NESTED, leaves, protocol, step=0.1)
        assert scores_of(systems["final"].development, "id_02") == scores_of(everything["final"].development, "id_02")
        assert [replace(one, held_out=None) for one in folds if one.held_out == "id_02"] == choices[-3:]


def test_one_labelled_id_has_nothing_to_choose_on(leaves: Leaves) -> None:
    one = changed(leaves, lambda table: ScoreTable(row for row in table if row.machine_id == "id_01"))
    systems, choices = combine(NESTED, one, "leave-one-id-out", step=0.1)
    uniform, _ = combine(NESTED, one, "uniform")
    assert [choice.reached for choice in choices if choice.held_out == "id_01"] == [None] * 3
    for name in systems:
        assert systems[name].development == uniform[name].development
    assert choices[-1].held_out is None
    assert choices[-1].reached is not None


@pytest.mark.parametrize("protocol", CHOOSING)
def test_without_labels_only_uniform_is_defined(leaves: Leaves, protocol: str) -> None:
    for change in (
        lambda table: ScoreTable(replace(row, label=None) for row in table),
        lambda table: ScoreTable(row for row in table if row.label == "normal"),
        lambda table: NONE,
    ):
        some = changed(leaves, change)
        with pytest.raises(ScoreError, match=r"fan: no machine id has labelled development clips .* protocol uniform"):
            combine(NESTED, some, protocol)
        assert set(combine(NESTED, some, "uniform")[0]) == {"mean", "best", "final"}


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ([Node("a", ("b",)), Node("b", ("m0",))], "'a' stands before its member 'b'"),
        ([Node("a", ("a", "m0"))], "'a' stands before its member 'a'"),
        ([Node("a", ("m0",)), Node("a", ("m1",))], "two systems are called 'a'"),
        ([Node("m0", ("m1",))], "two systems are called 'm0'"),
        ([Node("a", ())], "list each once"),
        ([Node("a", ("m0", "m0"))], "list each once"),
        ([Node("a", ("m0",), select=0)], "selects 0 members"),
        ([Node("a", ("m0",), weights="equal")], "can be uniform, search"),
    ],
)
def test_nodes_that_are_no_list_of_ensembles_are_refused(leaves: Leaves, nodes: list[Node], message: str) -> None:
    with pytest.raises(ScoreError, match=message):
        combine(nodes, leaves, "uniform")


def test_other_bad_input_is_named(leaves: Leaves) -> None:
    node = Node("all", tuple(leaves), weights="search")
    with pytest.raises(ScoreError, match=r"'papers' is unknown \(did you mean 'paper'\?\)"):
        combine([node], leaves, "papers")
    with pytest.raises(
        ScoreError, match=r"6 members in steps of 0\.01 have 96,560,646 weight vectors; at most 200,000"
    ):
        combine([node], leaves, "paper")
    assert combine([node], leaves, "uniform")
    with pytest.raises(ScoreError, match=r"steps of 0\.3 do not add up to 1"):
        combine([node], leaves, "paper", step=0.3)
    valve = Scores(ScoreTable(rows("id_00", "normal", [0.0], "valve")), NONE, NONE)
    with pytest.raises(ScoreError, match="fan, valve cannot be one ensemble"):
        combine([Node("all", ("m0", "valve"))], {**leaves, "valve": valve}, "uniform")
    with pytest.raises(ScoreError, match="m0 has no training score to standardise by"):
        combine([Node("all", ("m0", "m1"))], {**leaves, "m0": replace(leaves["m0"], train=NONE)}, "uniform")
    other = changed({"m0": leaves["m0"]}, shuffled_labels("id_01"))
    with pytest.raises(ScoreError, match=r"id_01 .* in one score table and .* in another"):
        combine([Node("all", ("m0", "m1"))], {**leaves, **other}, "uniform")


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_effect_of_a_member_is_what_the_ensemble_gains_without_it(leaves: Leaves, protocol: str) -> None:
    node = Node("all", ("m0", "m1", "m4"))

    def figures(*members: str) -> dict[str, float]:
        systems, _ = combine([replace(node, members=members)], leaves, protocol)
        return dict(evaluate(systems["all"].development)["fan"]["mean"])

    effects = member_effects(node, leaves, protocol)
    assert list(effects) == ["m0", "m1", "m4"]
    for name in ("auc", "pauc"):
        assert effects["m0"][name] == pytest.approx(figures("m1", "m4")[name] - figures(*node.members)[name])
    useless = {**leaves, "m4": leaf(9, (-3, -3, -3, -3))}
    assert member_effects(node, useless)["m4"]["auc"] > 0 > member_effects(node, useless)["m0"]["auc"]


def test_effects_reach_through_families(leaves: Leaves) -> None:
    families = [Node("one", ("m0", "m1")), Node("two", ("m2",))]
    final = Node("final", ("one", "two"))
    effects = member_effects(final, leaves, nodes=families)
    assert set(effects) == {"m0", "m1", "m2", "one", "two"}
    assert effects["m2"] == effects["two"]
    without, _ = combine([Node("one", ("m1",)), families[1], final], leaves, "uniform")
    whole, _ = combine([*families, final], leaves, "uniform")
    means = [evaluate(systems["final"].development)["fan"]["mean"]["auc"] for systems in (without, whole)]
    assert effects["m0"]["auc"] == pytest.approx(means[0] - means[1])


def test_where_nothing_is_left_there_is_no_effect(leaves: Leaves) -> None:
    assert member_effects(Node("all", ("m0", "absent")), leaves) == {}
    unlabelled = changed(leaves, lambda table: ScoreTable(replace(row, label=None) for row in table))
    assert member_effects(Node("all", ("m0", "m1")), unlabelled) == {}


# Years with one machine of each type


def section(kind: str, seed: int, gain: float) -> Scores:
    """One machine whose anomalies and target clips stand out by a gain of a member's own."""
    rng = np.random.default_rng([seed, *kind.encode()])
    train = rows("section_00", "normal", rng.standard_normal(20), kind)
    development = [
        ScoreRow(kind, "section_00", f"{label}_{domain}_{n}", label, float(rng.normal(shift)), domain)
        for domain, target in (("source", 0.0), ("target", 1.0 - gain))
        for label, shift in (("normal", target), ("anomaly", gain + target))
        for n in range(15)
    ]
    return Scores(ScoreTable(train), ScoreTable(development), ScoreTable([]))


@pytest.fixture(scope="module")
def sections() -> dict[str, Leaves]:
    gains = {"ToyCar": (0.9, 0.2, 0.6), "fan": (0.3, 0.8, 0.4), "slider": (0.5, 0.6, 0.1)}
    return {
        kind: {f"m{place}": section(kind, place, gain) for place, gain in enumerate(own)} for kind, own in gains.items()
    }


ALL = Node("all", ("m0", "m1", "m2"), weights="search")


def held_out(sections: Mapping[str, Leaves], kind: str) -> tuple[dict[str, Scores], list[Choice]]:
    combiners = {name: Combiner([ALL], own, step=0.1, rule=2022) for name, own in sections.items()}
    return combiners[kind].scores([ALL], "leave-one-id-out", [one for name, one in combiners.items() if name != kind])


def searched(
    sections: Mapping[str, Leaves], kinds: Sequence[str], year: int, by: str = "train"
) -> tuple[float, set[tuple[int, ...]]]:
    """The best official score of a year over all weights in steps of a tenth, and the weights that reach it."""
    found = {}
    stacked = {kind: standardised(sections[kind], by) for kind in kinds}
    for weights in product(range(11), repeat=3):
        if sum(weights) == 10:
            combined = [
                replace(row, score=float(score))
                for kind in kinds
                for row, score in zip(sections[kind]["m0"].development, weights @ stacked[kind] / 10, strict=True)
            ]
            score = official(ScoreTable(combined), years=[year])
            assert score is not None
            found[weights] = score.score
    highest = max(found.values())
    return highest, {weights for weights, value in found.items() if value > highest - 1e-9}


@pytest.mark.parametrize("year", [2020, 2021, 2025])
def test_the_paper_protocol_maximises_the_official_score_of_the_year(sections: dict[str, Leaves], year: int) -> None:
    rule = YEARS[year].scoring
    _, [choice] = combine([ALL], sections["fan"], "paper", step=0.1, rule=rule)
    highest, where = searched(sections, ["fan"], year, by="development")
    assert choice.reached == pytest.approx(highest, abs=1e-12)
    assert in_steps(choice, 10) in where
    _, values = weight_surface(ALL, sections["fan"], step=0.1, rule=rule)
    assert values.max() == pytest.approx(highest, abs=1e-12)


def test_machines_without_any_figure_of_the_year_choose_nothing(sections: dict[str, Leaves]) -> None:
    def apart(table: ScoreTable) -> ScoreTable:
        return ScoreTable(replace(row, domain="source" if row.label == "normal" else "target") for row in table)

    _, [choice] = combine([ALL], changed(sections["fan"], apart), "paper", step=0.1, rule=2021)
    assert choice.reached is None or np.isnan(choice.reached)
    assert sum(choice.weights.values()) == pytest.approx(1)


def test_a_machine_alone_in_its_type_is_scored_by_what_other_types_chose(sections: dict[str, Leaves]) -> None:
    systems, choices = held_out(sections, "fan")
    highest, where = searched(sections, ["ToyCar", "slider"], 2025)
    own, everyone = choices
    assert (own.held_out, everyone.held_out) == ("section_00", None)
    assert own.reached == pytest.approx(highest, abs=1e-12)
    assert in_steps(own, 10) in where
    assert everyone.reached == pytest.approx(searched(sections, list(sections), 2025)[0], abs=1e-12)
    expected = [*own.weights.values()] @ standardised(sections["fan"], "train")
    np.testing.assert_allclose(systems["all"].development.scores, expected, atol=1e-12)

    shuffled = {**sections, "fan": changed(sections["fan"], shuffled_labels("section_00"))}
    again, same = held_out(shuffled, "fan")
    assert scores_of(again["all"].development, "section_00") == scores_of(systems["all"].development, "section_00")
    assert same[0] == own
    assert held_out(shuffled, "slider")[1][0] != held_out(sections, "slider")[1][0]


def test_a_type_without_labels_takes_what_the_others_chose_and_one_with_other_members_does_not(
    sections: dict[str, Leaves],
) -> None:
    bare = {
        name: replace(scores, development=NONE, evaluation=scores.development)
        for name, scores in sections["fan"].items()
    }
    systems, [choice] = held_out({**sections, "fan": bare}, "fan")
    assert choice.held_out is None
    assert choice.weights == held_out(sections, "fan")[1][0].weights
    assert len(systems["all"].evaluation) == 60
    fewer = {kind: {name: own[name] for name in ("m0", "m1")} for kind, own in sections.items() if kind != "fan"}
    with pytest.raises(ScoreError, match="the protocol leave-one-id-out has nothing to choose on"):
        held_out({**fewer, "fan": bare}, "fan")
    _, [alone, _] = held_out({**fewer, "fan": sections["fan"]}, "fan")
    assert alone.reached is None
    assert set(alone.weights.values()) == {1 / 3}
