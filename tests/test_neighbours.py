"""Neighbours: distances by brute force, density, domains, ids, few clips, clips that repeat."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.covariance import LedoitWolf

from auscult.datasets import DATASETS
from auscult.detector import Detector
from auscult.errors import ModelError
from auscult.features.bank import Bank, bank_of
from auscult.models import Neighbours, load_model
from auscult.models.nearness import k_centres, mean_nearest
from auscult.runs.results import read_scores_of
from toys import layout

F, IDS = 5, ["a", "b"] * 12


def clips(count: int, *, seed: int = 0, n_frames: int = 6) -> NDArray[np.float32]:
    """Clips `[C, N, F]`: each with levels of its own, the odd ones 20 higher."""
    rng = np.random.default_rng(seed)
    levels = rng.normal(size=(count, 1, F)) * [1, 2, 3, 4, 5] + 20 * (np.arange(count) % 2)[:, None, None]
    return (levels + rng.normal(size=(count, n_frames, F))).astype(np.float32)


TRAIN, TEST = clips(24), clips(10, seed=1)


def plainly(train: Any, test: Any, whiten: Any, k: int, density: int) -> NDArray[np.float64]:
    """The score by its definition, of vectors of one machine."""
    a, b = whiten(train), whiten(test)
    between = np.linalg.norm(a[:, None] - a[None], axis=2)
    np.fill_diagonal(between, np.inf)
    most = len(a) - 1
    radii = np.sort(between, axis=1)[:, : min(density, most)].mean(axis=1) if density else np.ones(len(a))
    usual = np.sort(np.sort(between / radii, axis=1)[:, : min(k, most)].mean(axis=1))[most // 2]  # torch's median
    return np.sort(np.linalg.norm(b[:, None] - a[None], axis=2) / radii, axis=1)[:, :k].mean(axis=1) / usual


@pytest.mark.parametrize(("k", "density"), [(1, 0), (3, 0), (2, 4), (30, 40)])
def test_the_score_is_the_whitened_distance_to_clips_of_the_same_machine(k: int, density: int) -> None:
    model = Neighbours(F, k=k, density=density, log=False).fit(TRAIN, IDS)
    scores = model.score_clips(TEST, IDS[:10])
    vectors, ids = TRAIN.astype(np.float64).mean(axis=1), np.array(IDS)
    centres = {id_: vectors[ids == id_].mean(axis=0) for id_ in "ab"}
    residuals = vectors - np.stack([centres[id_] for id_ in IDS])
    deviations = np.sqrt((residuals**2).mean(axis=0))
    covariance = LedoitWolf(assume_centered=True).fit(residuals / deviations).covariance_
    root = np.linalg.cholesky(np.linalg.inv(covariance))  # distances do not depend on which root it is
    for machine, id_ in enumerate("ab"):
        places = ids == id_
        expected = plainly(
            vectors[places],
            TEST[machine::2].astype(np.float64).mean(axis=1),
            lambda x: (x / deviations) @ root,
            k,
            density,
        )
        np.testing.assert_allclose(scores[machine::2], expected, rtol=1e-4)
    log = Neighbours(F, k=k, density=density).fit(TRAIN, IDS).score_clips(TEST, IDS[:10])
    np.testing.assert_allclose(log, np.log(scores))


def test_nearest_of_many_come_block_by_block(monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.from_numpy(np.random.default_rng(0).normal(size=(30, 4)))
    whole = mean_nearest(x, x, 3, itself=torch.arange(30))
    monkeypatch.setattr("auscult.models.nearness.PAIRS", 70)
    torch.testing.assert_close(mean_nearest(x, x, 3, itself=torch.arange(30)), whole)
    between = torch.cdist(x, x).fill_diagonal_(torch.inf)
    torch.testing.assert_close(whole, between.sort(dim=1).values[:, :3].mean(dim=1))


def test_centres_cover_what_is_left_out() -> None:
    x = torch.from_numpy(np.random.default_rng(0).normal(size=(60, 2)))
    some = k_centres(x, 12)
    assert len(some) == 12
    reach = torch.cdist(x, x[some]).min(dim=1).values.max()
    between = torch.cdist(x[some], x[some]).fill_diagonal_(torch.inf)
    assert reach <= between.min(), "else a clip left out would have been chosen instead"
    assert k_centres(torch.zeros(5, 2), 3).tolist() == [0], "clips that repeat are kept once"


def test_a_subset_is_kept_that_covers_the_rest() -> None:
    """A distance grows by at most that of the nearest clip to one that is kept."""
    train, test = clips(200), clips(30, seed=2)
    ids = ["a"] * 200
    whole, half = (Neighbours(F, bank=most, k=1, density=0, log=False).fit(train, ids) for most in (None, 100))
    assert (len(whole.vectors), len(half.vectors)) == (200, 100)
    rises = np.subtract(*(m.score_clips(test, ids[:30]) * m.usual[0].item() for m in (half, whole)))
    cover = torch.cdist(whole.vectors, half.vectors).min(dim=1).values.max().item()
    assert rises.min() > -1e-4
    assert 0 < rises.max() <= cover + 1e-4


def in_domains(train: NDArray[np.float32], domains: list[str | None], ids: list[str]) -> Bank:
    return replace(bank_of(train, ids), domains=tuple(domains))


def test_each_domain_is_judged_on_its_own_scale() -> None:
    """The target's clips are few and ten times as far apart: one more is as normal as one more of the source's."""
    rng = np.random.default_rng(0)
    source, target = rng.normal(size=(90, 1, F)), 40 + 10 * rng.normal(size=(10, 1, F))
    train = np.concatenate([source, target]).astype(np.float32)
    bank = in_domains(train, ["source"] * 90 + ["target"] * 10, ["a"] * 100)
    test = np.concatenate([rng.normal(size=(20, 1, F)), 40 + 10 * rng.normal(size=(20, 1, F))]).astype(np.float32)
    settings: Any = {"density": 0, "space": "standardised"}
    apart, together = (Neighbours(F, domains=on, **settings).fit(bank).score_clips(test, ["a"] * 40) for on in (1, 0))
    assert abs(np.median(apart[:20]) - np.median(apart[20:])) < 0.4
    assert np.median(together[20:]) - np.median(together[:20]) > 1.5


def test_an_unknown_machine_has_the_least_score_of_all() -> None:
    model = Neighbours(F).fit(TRAIN, IDS)
    each = [model.score_clips(TEST, [id_] * 10) for id_ in "ab"]
    np.testing.assert_array_equal(model.score_clips(TEST, ["c"] * 10), np.minimum(*each))
    assert (each[0][::2] < each[1][::2]).all(), "its own machine knows it best"
    one = Neighbours(F, per_id=False).fit(TRAIN, IDS)
    np.testing.assert_array_equal(one.score_clips(TEST, ["a"] * 10), one.score_clips(TEST, ["b"] * 10))


def test_a_kept_clip_is_at_no_distance_from_itself() -> None:
    bank = bank_of(TRAIN, IDS)
    assert (Neighbours(F, k=1, density=0).fit(bank).score_clips(bank) == np.log(1e-3)).all()


@pytest.mark.parametrize("space", ["standardised", "whitened", "cosine"])
@pytest.mark.parametrize(
    "train",
    [TRAIN[:2], TRAIN[:3], np.repeat(TRAIN[:1], 4, axis=0), np.concatenate([TRAIN[:4]] * 3), np.zeros((6, 6, F))],
    ids=["two", "three", "one repeated", "four repeated", "silence"],
)
def test_few_clips_and_clips_that_repeat_give_scores(train: NDArray[np.float32], space: Any) -> None:
    train = train.astype(np.float32)
    train[:, :, 3] = 7  # a bin that never varies
    model = Neighbours(F, space=space).fit(train, IDS[: len(train)])
    scores = model.score_clips(np.concatenate([train[:1], TEST + 100]), IDS[:11])
    assert np.isfinite(scores).all()
    assert space == "cosine" or (scores[1:] > scores[0]).all()


def test_evidence_is_the_nearest_clip_and_what_differs_from_it(tmp_path: Path) -> None:
    model = Neighbours(F, bank=10).fit(TRAIN, IDS)
    for place in model.places.tolist():
        assert model.nearest(torch.from_numpy(TRAIN[place]), IDS[place]) == place
    loud = TRAIN[4].copy()
    loud[3:, 2] += 30
    (name, values), *_ = model.maps(loud, "a").items()
    assert name == "difference from the nearest normal clip"
    kept = int(model.places[model._nearest_kept(torch.from_numpy(loud), "a")])
    expected = (loud - TRAIN[kept].mean(axis=0)) / TRAIN.std(axis=(0, 1))
    np.testing.assert_allclose(values, expected, rtol=1e-3, atol=1e-4)
    model.save(tmp_path / "model")
    loaded = load_model(tmp_path / "model")
    assert loaded.nearest(torch.from_numpy(loud), "a") == kept
    np.testing.assert_array_equal(loaded.score_clips(TEST, IDS[:10]), model.score_clips(TEST, IDS[:10]))


@pytest.mark.parametrize("space", ["standardised", "whitened", "cosine"])
def test_a_rarer_domain_is_oversampled_by_mixtures_with_its_nearest_of_the_other(space: str, tmp_path: Path) -> None:
    domains = tuple("target" if place % 5 == 0 else "source" for place in range(len(TRAIN)))
    bank = replace(bank_of(TRAIN, IDS[: len(TRAIN)]), domains=domains)
    plain, over = (Neighbours(F, space=space, oversample=count).fit(bank) for count in (0, 3))
    assert torch.equal(plain.usual, over.usual)
    for span, wide in zip(plain.spans(), over.spans(), strict=True):
        own, more = plain.vectors[span.begin : span.end], over.vectors[wide.begin : wide.end]
        most = max((one for one in plain.spans() if one.machine == span.machine), key=lambda one: one.end - one.begin)
        assert torch.equal(more[: len(own)], own)
        assert len(more) == len(own) * (1 if most == span else 4)
        others = plain.vectors[most.begin : most.end]
        for place, mixture in enumerate(more[len(own) :]):
            one = own[place // 3]
            nearest = others[torch.linalg.vector_norm(others - one, dim=1).argsort()[place % 3]]
            expected = 0.8 * one + 0.2 * nearest
            if space == "cosine":
                expected = expected / expected.norm()
            torch.testing.assert_close(mixture, expected, rtol=1e-4, atol=1e-5)
            for values in ("radii", "places"):
                kept, mixed = getattr(plain, values)[span.begin :], getattr(over, values)[wide.begin + len(own) :]
                assert mixed[place] == kept[place // 3]
    over.save(tmp_path / "model")
    np.testing.assert_array_equal(load_model(tmp_path / "model").score_clips(bank), over.score_clips(bank))
    alone = Neighbours(F, space=space, oversample=3).fit(bank_of(TRAIN, IDS[: len(TRAIN)]))
    assert len(alone.vectors) == len(TRAIN), "without domains there is none that is rarer"
    assert "oversample" not in Neighbours.key_arguments(plain.arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        {"k": 0},
        {"density": -1},
        {"oversample": -1},
        {"bank": 0},
        {"space": "flat"},
        {"statistics": "mean"},
        {"ratio": 2},
    ],
)
def test_arguments_out_of_range_are_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(ModelError, match=f"neighbours: {next(iter(arguments))} is"):
        Neighbours(F, **arguments)


@pytest.mark.parametrize("name", ["vectors", "radii", "starts", "owners", "centres", "places"])
def test_a_file_whose_parts_do_not_fit_together_is_refused(name: str) -> None:
    model = Neighbours(F).fit(TRAIN, IDS)
    tensors = model.state_dict()
    with pytest.raises(ModelError, match="it is a model whose kept clips, banks and machine ids do not belong"):
        Neighbours.rebuilt(model.arguments, model.ids, tensors | {name: tensors[name][:-1]}, what="it is a model")


RECIPE = """
name = "near"
sample_rate = 16000
[[member]]
name = "near"
family = "neighbours"
features = { kind = "log_mel", n_fft = 512, hop_length = 256, n_mels = 16 }
model = { statistics = ["mean", "flux"], k = 2 }
"""


@pytest.mark.slow
def test_a_run_shows_the_nearest_normal_clip_and_its_detector_scores_the_same(
    command: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(DATASETS, "toy", layout)
    data, recipe = layout.write(tmp_path / "data"), tmp_path / "near.toml"
    recipe.write_text(RECIPE)
    outcome = command("run", recipe, "--data", data, "--out", tmp_path / "run")
    assert outcome.code == 0, outcome.err
    rows = list(read_scores_of(tmp_path / "run", "near"))
    normal, faulty = ([row.score for row in rows if row.label == label] for label in ("normal", "anomaly"))
    assert min(faulty) > max(normal)
    page = (tmp_path / "run" / "report.html").read_text()
    shown = re.findall(r'data-beside aria-label="the nearest normal clip, (sounds/\S+?)[;"]', page)
    assert len(shown) == 3
    assert all("train_normal" in file for file in shown)
    assert page.count("The nearest normal clip</text>") + page.count("Spectrogram of the nearest normal clip") >= 3
    outcome = command("pack", tmp_path / "run", "--out", tmp_path / "fan.auscult", "--window", "1")
    assert outcome.code == 0, outcome.err
    detector = Detector.load(tmp_path / "fan.auscult")
    (part,) = detector.parts
    for row in rows:
        score = detector.score(data / row.file, machine_id=row.machine_id, evidence=False).score
        assert score == pytest.approx((row.score - part.mean) / part.sd, abs=1e-6)
