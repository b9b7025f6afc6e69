"""The yardstick: pooling between mean and maximum, densities of clips and frames."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.covariance import LedoitWolf

from auscult.errors import ModelError
from auscult.features.statistics import ranking_pooling
from auscult.models import Spectral, load_model

IDS = ["a", "b"] * 15


@pytest.fixture
def clips() -> np.ndarray:
    """Thirty clips `[30, 12, 6]` whose level differs from clip to clip and from bin to bin."""
    generator = np.random.default_rng(0)
    clips = generator.normal(size=(30, 12, 6)) + generator.normal(size=(30, 1, 6)) + 10 * np.arange(6)
    return clips.astype(np.float32)


def test_pooling_lies_between_the_mean_and_the_maximum() -> None:
    x = torch.tensor([[1.0, 5.0], [4.0, 5.0], [2.0, -5.0]], dtype=torch.float64)
    np.testing.assert_allclose(ranking_pooling(x, 1.0), x.mean(dim=0))
    np.testing.assert_allclose(ranking_pooling(x, 0.0), [4.0, 5.0])
    np.testing.assert_allclose(ranking_pooling(x, 0.5), [(4 + 1 + 0.25) / 1.75, (5 + 2.5 - 1.25) / 1.75])


@pytest.mark.parametrize("ratio", [0.0, 0.7, 1.0])
def test_pooling_does_not_depend_on_the_order_of_frames(ratio: float) -> None:
    x = torch.from_numpy(np.random.default_rng(0).normal(size=(40, 3)))
    np.testing.assert_allclose(ranking_pooling(x, ratio), ranking_pooling(x.flip(0), ratio))


def test_the_score_is_ledoit_and_wolfs_likelihood(clips: np.ndarray) -> None:
    scores = Spectral(6, per_id=False).fit(clips, IDS).score_clips(clips, IDS)
    means = ((clips - clips.mean(axis=(0, 1))) / clips.std(axis=(0, 1))).mean(axis=1)
    fitted = LedoitWolf().fit(means)
    deviations = means - fitted.location_
    expected = 0.5 * (
        np.einsum("ci,ij,cj->c", deviations, np.linalg.inv(fitted.covariance_), deviations)
        + np.linalg.slogdet(2 * np.pi * fitted.covariance_)[1]
    )
    np.testing.assert_allclose(scores, expected, rtol=1e-4)


def test_each_id_has_a_mean_and_all_share_a_covariance(clips: np.ndarray) -> None:
    apart = clips + 30 * (np.array(IDS) == "b")[:, None, None]
    apart = apart.astype(np.float32)
    model = Spectral(6).fit(apart, IDS)
    scores = model.score_clips(apart, IDS)
    means = apart.mean(axis=1, dtype=np.float64)
    residuals = means - np.stack([means[np.array(IDS) == id_].mean(axis=0) for id_ in IDS])
    scaled = residuals / residuals.std(axis=0)
    distances = np.einsum("ci,ij,cj->c", scaled, np.linalg.inv(LedoitWolf().fit(scaled).covariance_), scaled)
    np.testing.assert_allclose(np.diff(scores), 0.5 * np.diff(distances), rtol=1e-3, atol=1e-3)
    each = np.stack([model.score_clips(apart, [id_] * 30) for id_ in "ab"])
    np.testing.assert_array_equal(model.score_clips(apart, ["unknown"] * 30), each.min(axis=0))
    assert [int(column.argmin()) for column in each.T] == [int(id_ == "b") for id_ in IDS]


def test_a_model_of_before_has_one_density_for_all(clips: np.ndarray) -> None:
    old = Spectral(6, per_id=False).fit(clips, IDS)
    stored = Spectral.key_arguments(old.arguments)
    assert "per_id" not in stored
    again = Spectral.rebuilt(stored, old.ids, old.state_dict(), what="it is a model")
    np.testing.assert_array_equal(again.score_clips(clips, IDS), old.score_clips(clips, IDS))


EVERYTHING: dict[str, Any] = {"statistics": ["mean", "deviation", "flux"]}


def test_statistics_stand_side_by_side_and_their_units_do_not_matter(clips: np.ndarray) -> None:
    scores = Spectral(6, per_id=False, **EVERYTHING).fit(clips, IDS).score_clips(clips, IDS)
    x = ((clips - clips.mean(axis=(0, 1))) / clips.std(axis=(0, 1))).astype(np.float64)
    pooled = np.hstack([x.mean(axis=1), x.std(axis=1), np.abs(np.diff(x, axis=1)).mean(axis=1)])
    fitted = LedoitWolf().fit(pooled / pooled.std(axis=0))
    deviations = pooled / pooled.std(axis=0) - fitted.location_
    distances = np.einsum("ci,ij,cj->c", deviations, np.linalg.inv(fitted.covariance_), deviations)
    np.testing.assert_allclose(np.diff(scores), 0.5 * np.diff(distances), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(("statistic", "heard"), [("mean", False), ("deviation", True), ("flux", True)])
def test_a_rhythm_of_the_same_mean_is_heard_by_the_statistics_of_change(
    clips: np.ndarray, statistic: str, heard: bool
) -> None:
    model = Spectral(6, statistics=[statistic]).fit(clips, IDS)
    rhythm = clips + 5 * np.array([1, -1] * 6, dtype=np.float32)[:, None]
    rises = model.score_clips(rhythm, IDS) - model.score_clips(clips, IDS)
    assert (rises > 10).all() if heard else (abs(rises) < 1e-3).all()


def test_a_single_frame_has_no_change(clips: np.ndarray) -> None:
    model = Spectral(6, **EVERYTHING).fit(clips, IDS)
    assert np.isfinite(model.score_clips([clip[:1] for clip in clips], IDS)).all()


@pytest.mark.parametrize("statistics", ["mean", [], ["mean", "variance"], ["flux", "flux"]])
def test_statistics_are_a_list_of_known_names(statistics: Any) -> None:
    with pytest.raises(ModelError, match=r"statistics is .*; (give a list|name each once)"):
        Spectral(6, statistics=statistics)


@pytest.mark.parametrize("arguments", [{}, {"ratio": 0.9}, {"n_components": 2}, EVERYTHING])
def test_a_louder_bin_scores_higher_and_is_seen_in_the_map(clips: np.ndarray, arguments: dict[str, Any]) -> None:
    model = Spectral(6, **arguments).fit(clips, IDS)
    odd = clips.copy()
    odd[:, :, 2] += 12
    assert (model.score_clips(odd, IDS) > model.score_clips(clips, IDS)).all()
    assert (model.frame_scores(odd, IDS).mean(axis=1) > model.frame_scores(clips, IDS).mean(axis=1)).all()
    assert (model.error_map(odd, IDS).mean(axis=1).argmax(axis=1) == 2).all()


def test_the_map_is_one_on_average_over_the_training_frames(clips: np.ndarray) -> None:
    error = Spectral(6).fit(clips, IDS).error_map(clips, IDS)
    assert error.shape == clips.shape
    assert error.mean() == pytest.approx(1, abs=0.05)


def test_clips_of_any_length_are_learnt_and_scored(clips: np.ndarray) -> None:
    uneven = [clip[: 1 + i % 12] for i, clip in enumerate(clips)]
    model = Spectral(6).fit(uneven, IDS)
    assert np.isfinite(model.score_clips(uneven, IDS)).all()
    assert [len(scores) for scores in model.frame_scores(uneven, IDS)] == [len(clip) for clip in uneven]


def test_fewer_clips_than_bins_give_a_finite_density_that_still_ranks(clips: np.ndarray) -> None:
    model = Spectral(6).fit(clips[:3], IDS[:3])
    assert (model.score_clips(clips[3:] + 20, IDS[3:]) > model.score_clips(clips[3:], IDS[3:])).all()


def test_a_bin_that_never_varies_leaves_scores_finite(clips: np.ndarray) -> None:
    clips[:, :, 4] = -156.5
    model = Spectral(6).fit(clips, IDS)
    assert np.isfinite(model.score_clips(clips, IDS)).all()
    clips[:, :, 4] += 1
    assert np.isfinite(model.score_clips(clips, IDS)).all()


@pytest.mark.parametrize("arguments", [{}, {"n_components": 2}])
def test_fitting_twice_and_loading_give_the_same_scores(
    clips: np.ndarray, arguments: dict[str, int], tmp_path: Path
) -> None:
    model = Spectral(6, **arguments).fit(clips, IDS)
    again = Spectral(6, **arguments).fit(clips, IDS)
    model.save(tmp_path / "model.safetensors")
    for other in (again, load_model(tmp_path / "model.safetensors")):
        np.testing.assert_array_equal(other.score_clips(clips, IDS), model.score_clips(clips, IDS))
    assert model.n_parameters == 0
    assert model.history == []


@pytest.mark.parametrize("arguments", [{"ratio": 1.1}, {"ratio": -0.1}, {"n_components": 0}, {"n_components": 1.5}])
def test_arguments_out_of_range_are_refused(arguments: dict[str, float]) -> None:
    with pytest.raises(ModelError, match=next(iter(arguments))):
        Spectral(6, **arguments)


def test_too_few_clips_and_pooling_are_refused(clips: np.ndarray) -> None:
    with pytest.raises(ModelError, match="1 training clips are too few for 1 components; give at least 2"):
        Spectral(6).fit(clips[:1], IDS[:1])
    with pytest.raises(ModelError, match="5 training clips are too few for 3 components"):
        Spectral(6, n_components=3).fit(clips[:5], IDS[:5])
    with pytest.raises(ModelError, match="pooling 'mean'"):
        Spectral(6).fit(clips, IDS).score_clips(clips, IDS, pooling="mean")
