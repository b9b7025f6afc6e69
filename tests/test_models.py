"""What every family promises: the same tests for all, on toy machines of eight bins."""

import functools
import inspect
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import auscult.training
from auscult.errors import ModelError
from auscult.features.bank import bank_of
from auscult.models import HVAE, MODELS, Autoencoder, Freak, Model, load_model
from auscult.training import Training

N_BINS, N_FRAMES = 8, 40
IDS = ("id_00", "id_02", "id_04")

TOY = Training(epochs=30, batch_size=64, learning_rate=1e-2)
BRIEF = Training(epochs=4, batch_size=64, learning_rate=1e-2)

CASES: dict[str, dict[str, Any]] = {
    "autoencoder": {"context": 3, "hidden": (16,), "n_latent": 3},
    "mahalanobis": {"context": 3, "hidden": (16,), "n_latent": 3},
    "spectral": {},
    "hvae": {"context": 3, "hidden": (24, 16), "n_latent": 3},
    "idcae": {"context": 4, "windows_per_clip": 40},
    "freak": {"m": 2, "n_layers": 1, "groups": 2, "crop": 30},
    "neighbours": {"k": 2, "density": 3},
    "classifier": {"hidden": (16,), "n_embedding": 6, "sub_clusters": 2},
}
"""The arguments of a tiny model of each family."""

FAMILIES = [family for family in CASES if family in MODELS]
TRAINED = [family for family in FAMILIES if MODELS[family].learns_in_epochs()]
every_family = pytest.mark.parametrize("family", FAMILIES)
every_network = pytest.mark.parametrize("family", TRAINED)


def sounds(n_clips: int, *, seed: int, abnormal: bool = False, n_frames: int = N_FRAMES) -> NDArray[np.float32]:
    """Log-mels `[C, N, F]` of machines whose hum swings slowly; a fault raises a band and makes it rattle."""
    rng = np.random.default_rng(seed)
    time, bins = np.arange(n_frames)[:, None], np.arange(N_BINS)
    clips = []
    for index in range(n_clips):
        hum = 10 * np.sin(bins + index % len(IDS))
        swing = 3 * np.sin(2 * np.pi * (time / 20 + rng.random())) * np.cos(bins)
        clip = -30 + hum + swing + rng.normal(scale=0.5, size=(n_frames, N_BINS))
        if abnormal:
            clip[:, 5:7] += 4 + rng.normal(scale=3, size=(n_frames, 2))
        clips.append(clip)
    return np.stack(clips).astype(np.float32)


def ids_of(clips: NDArray[np.float32]) -> list[str]:
    return [IDS[index % len(IDS)] for index in range(len(clips))]


TRAIN = sounds(24, seed=0)
TEST = np.concatenate([sounds(9, seed=1), sounds(9, seed=2, abnormal=True)])
TEST_IDS = ids_of(TEST)


def new(family: str) -> Model:
    make: Callable[..., Model] = MODELS[family]
    return make(N_BINS, **CASES[family])


@functools.cache
def fitted(family: str) -> Model:
    """A trained model that no test may change."""
    return new(family).fit(TRAIN, ids_of(TRAIN), training=TOY)


def trained(family: str, **changes: Any) -> Model:
    """A briefly trained model of one's own."""
    return new(family).fit(TRAIN, ids_of(TRAIN), training=BRIEF, **changes)


def same_weights(one: Model, other: Model) -> bool:
    a, b = one.state_dict(), other.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def test_each_family_has_its_tiny_model_here() -> None:
    assert set(MODELS) <= set(CASES)


@every_family
def test_a_family_goes_by_its_name_and_its_arguments_are_its_attributes(family: str) -> None:
    kind = MODELS[family]
    assert kind.family == family
    assert isinstance(kind.default_training, Training)
    model = kind()
    parameters = inspect.signature(kind).parameters
    assert next(iter(parameters)) == "n_bins"
    assert model.n_bins == 128
    assert json.loads(json.dumps(model.arguments)).keys() == parameters.keys()
    assert all(value.kind is value.KEYWORD_ONLY for name, value in parameters.items() if name != "n_bins")


def test_what_is_as_before_has_the_key_of_before() -> None:
    """Stores that were made without these arguments go on."""
    assert {"held_out", "precision_link"}.isdisjoint(
        Autoencoder.key_arguments(Autoencoder().arguments) | HVAE.key_arguments(HVAE().arguments)
    )
    assert Autoencoder.key_arguments(Autoencoder(held_out=0.1).arguments)["held_out"] == 0.1
    keys = [Freak.key_arguments(Freak(covariance=name).arguments)["covariance"] for name in ("shrunk", "full")]
    assert keys == ["full", "full and plain"]


def test_the_baseline_does_not_train_on_the_last_windows_that_it_holds_out() -> None:
    bank = bank_of(sounds(3, seed=0), IDS)
    model = Autoencoder(N_BINS, context=1, held_out=0.1)
    model.generator = torch.Generator().manual_seed(0)
    (starts,) = model.draws(bank, torch.device("cpu"))
    assert sorted(starts.tolist()) == list(range(108))  # of 120
    assert model.epoch_units(clips=3, frames=120, shortest=40) == 108
    with pytest.raises(ModelError, match="held_out is 1; it must be"):
        Autoencoder(N_BINS, held_out=1)
    model.spread = True
    (starts,) = model.draws(bank, torch.device("cpu"))
    left = sorted({*range(120)} - {*starts.tolist()})
    assert len(left) == 12
    assert set(np.diff(left)) <= {9, 10, 11}


@every_family
def test_higher_is_more_abnormal(family: str) -> None:
    normal, abnormal = fitted(family).score_clips(TEST, TEST_IDS).reshape(2, 3, len(IDS))
    assert (abnormal.min(axis=0) > normal.max(axis=0)).all(), "within each machine id"


@every_family
def test_shapes(family: str) -> None:
    model = fitted(family)
    n_scores = N_FRAMES - model.frame_context + 1
    assert model.score_clips(TEST, TEST_IDS).shape == (len(TEST),)
    assert model.score_clips(TEST, TEST_IDS).dtype == np.float64
    assert model.frame_scores(TEST, TEST_IDS).shape == (len(TEST), n_scores)
    errors = model.error_map(TEST, TEST_IDS)
    assert errors.shape == TEST.shape
    predicted = np.isfinite(errors)
    assert predicted.any(axis=1).all()
    assert not (predicted.any(axis=2) & ~predicted.all(axis=2)).any(), "a frame is predicted whole, or not at all"
    assert (~predicted.all(axis=2)).sum(axis=1).max() < model.frame_context


@every_family
def test_clips_of_different_lengths_come_as_a_list(family: str) -> None:
    model = fitted(family)
    clips = [TEST[0], TEST[1][:25], TEST[2][: model.frame_context]]
    assert [len(scores) for scores in model.frame_scores(clips, IDS)] == [
        len(clip) - model.frame_context + 1 for clip in clips
    ]
    assert [errors.shape for errors in model.error_map(clips, IDS)] == [clip.shape for clip in clips]
    scores = model.score_clips(clips, IDS)
    assert np.isfinite(scores).all()
    assert scores[0] == pytest.approx(model.score_clips(TEST[:1], IDS[:1])[0], rel=1e-5)


@every_family
def test_the_error_map_is_the_first_of_the_named_maps(family: str) -> None:
    maps = fitted(family).maps(TEST[0], TEST_IDS[0])
    assert all(name == name.lower() and values.shape == TEST[0].shape for name, values in maps.items())
    np.testing.assert_array_equal(next(iter(maps.values())), fitted(family).error_map(TEST[:1], TEST_IDS[:1])[0])


@every_family
def test_the_error_map_points_at_the_fault(family: str) -> None:
    errors = np.nanmean(fitted(family).error_map(TEST[9:], TEST_IDS[9:]), axis=(0, 1))
    assert set(np.argsort(errors)[-2:]) & {5, 6}


@every_family
def test_scores_depend_neither_on_the_order_nor_on_the_company_of_clips(family: str) -> None:
    model = fitted(family)
    scores = model.score_clips(TEST, TEST_IDS)
    order = np.random.default_rng(0).permutation(len(TEST))
    shuffled = model.score_clips(TEST[order], [TEST_IDS[i] for i in order])
    np.testing.assert_allclose(shuffled, scores[order], rtol=1e-5)
    alone = [model.score_clips(TEST[i : i + 1], TEST_IDS[i : i + 1])[0] for i in range(len(TEST))]
    np.testing.assert_allclose(alone, scores, rtol=1e-5)


@every_family
def test_frame_scores_depend_only_on_the_frames_that_they_may_see(family: str) -> None:
    """The batch in which windows are scored changes nothing: the end of a clip cut off, its beginning stays."""
    model = fitted(family)
    whole, part = model.frame_scores([TEST[0], TEST[0][:30]], TEST_IDS[:1] * 2)
    np.testing.assert_allclose(part, whole[: len(part)], rtol=1e-4, atol=1e-5)


@every_family
def test_an_array_a_list_and_a_bank_are_the_same_to_a_model(family: str) -> None:
    model = fitted(family)
    scores = model.score_clips(TEST, TEST_IDS)
    np.testing.assert_array_equal(model.score_clips(list(TEST), TEST_IDS), scores)
    np.testing.assert_array_equal(model.score_clips(bank_of(TEST, TEST_IDS)), scores)


@every_family
def test_save_and_load_give_the_same_model(family: str, tmp_path: Path) -> None:
    model, path = fitted(family), tmp_path / "model.safetensors"
    model.save(path)
    loaded = load_model(path)
    assert type(loaded) is MODELS[family]
    assert (loaded.ids, loaded.arguments, loaded.history) == (model.ids, model.arguments, model.history)
    assert loaded.n_parameters == model.n_parameters
    np.testing.assert_array_equal(loaded.score_clips(TEST, TEST_IDS), model.score_clips(TEST, TEST_IDS))
    assert [file.name for file in tmp_path.iterdir()] == ["model.safetensors"]


@every_family
def test_a_file_of_another_family_is_refused(family: str, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    fitted(family).save(path)
    other = next(kind for name, kind in MODELS.items() if name != family)
    with pytest.raises(ModelError, match=family):
        other.load(path)


@every_family
def test_the_global_random_state_is_neither_used_nor_touched(family: str, tmp_path: Path) -> None:
    torch.manual_seed(1)
    one = trained(family)
    torch.manual_seed(2)
    before, numpy_before = torch.get_rng_state(), np.random.get_state()[1].copy()
    other = trained(family)
    other.score_clips(TEST, TEST_IDS)
    other.save(tmp_path / "model.safetensors")
    load_model(tmp_path / "model.safetensors")
    assert same_weights(one, other)
    assert torch.equal(before, torch.get_rng_state())
    assert np.array_equal(numpy_before, np.random.get_state()[1])


@every_network
def test_random_numbers_do_not_depend_on_what_else_is_trained(family: str) -> None:
    one = trained(family, member="first")
    for other in TRAINED:
        trained(other, member="between")
    assert same_weights(one, trained(family, member="first"))
    assert not same_weights(one, trained(family, member="second"))


@every_network
def test_the_seed_decides(family: str) -> None:
    other = Training(epochs=4, batch_size=64, learning_rate=1e-2, seed=1)
    assert not same_weights(trained(family), new(family).fit(TRAIN, ids_of(TRAIN), training=other))


@every_network
def test_the_history_tells_each_epoch(family: str) -> None:
    model = fitted(family)
    assert len(model.history) == TOY.epochs
    assert all({"loss", "learning_rate"} <= entry.keys() for entry in model.history)
    assert model.history[-1]["loss"] < model.history[0]["loss"]
    assert model.n_parameters > 0


@every_network
def test_a_broken_training_is_resumed_bit_for_bit(family: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auscult.training, "CHECKPOINT_SECONDS", 0)

    def power_cut(epoch: int, entry: dict[str, float]) -> None:
        if epoch == 2:
            raise KeyboardInterrupt

    path = tmp_path / "checkpoint"
    with pytest.raises(KeyboardInterrupt):
        trained(family, checkpoint=path, on_epoch=power_cut)
    resumed, undisturbed = trained(family, checkpoint=path), trained(family)
    assert resumed.history == undisturbed.history
    assert same_weights(resumed, undisturbed)


@pytest.mark.bf16
@every_network
def test_bfloat16_trains_and_keeps_float32_weights(family: str) -> None:
    training = Training(epochs=2, batch_size=64, precision="bf16")
    model = new(family).fit(TRAIN, ids_of(TRAIN), training=training)
    assert all(parameter.dtype == torch.float32 for parameter in model.parameters())
    assert np.isfinite(model.score_clips(TEST, TEST_IDS)).all()


@every_family
def test_features_are_left_as_they_are(family: str) -> None:
    train = TRAIN.copy()
    new(family).fit(train, ids_of(train), training=BRIEF).error_map(train, ids_of(train))
    np.testing.assert_array_equal(train, TRAIN)


@every_family
def test_frames_of_the_wrong_width_are_refused(family: str) -> None:
    with pytest.raises(ModelError, match=r"7 bins.*8"):
        new(family).fit(TRAIN[:, :, :7], ids_of(TRAIN), training=BRIEF)
    with pytest.raises(ModelError, match=r"7 bins.*8"):
        fitted(family).score_clips(TEST[:, :, :7], TEST_IDS)


@pytest.mark.parametrize("family", [family for family in FAMILIES if new(family).frame_context > 1])
def test_a_clip_that_is_too_short_is_refused(family: str) -> None:
    model = fitted(family)
    short = [TEST[0], TEST[1][: model.frame_context - 1]]
    for call in (model.score_clips, model.frame_scores, model.error_map):
        with pytest.raises(ModelError, match=rf"clip 1 has {model.frame_context - 1} frames.*{model.frame_context}"):
            call(short, TEST_IDS[:2])
    with pytest.raises(ModelError, match="clip 1 has"):
        new(family).fit(short, TEST_IDS[:2], training=BRIEF)


@every_family
def test_an_unknown_pooling_is_refused(family: str) -> None:
    with pytest.raises(ModelError, match="pooling 'loudest'"):
        fitted(family).score_clips(TEST, TEST_IDS, pooling="loudest")


@every_family
def test_a_model_without_training_says_so(family: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="fit or load"):
        new(family).score_clips(TEST, TEST_IDS)
    with pytest.raises(ModelError, match="fit or load"):
        new(family).save(tmp_path / "model.safetensors")


@every_family
@pytest.mark.parametrize("n_bins", [0, -1, 2.5, "8"])
def test_a_width_that_is_none_is_refused(family: str, n_bins: Any) -> None:
    make: Callable[..., Model] = MODELS[family]
    with pytest.raises(ModelError, match="n_bins"):
        make(n_bins)


@every_family
def test_a_fit_that_failed_leaves_no_model_that_scores(family: str) -> None:
    model = MODELS[family](N_BINS, **CASES[family])
    clips = sounds(1, seed=0, n_frames=1)
    with pytest.raises(ModelError):
        model.fit(clips, ["id_00"], training=BRIEF)
    with pytest.raises(ModelError, match="fit or load first"):
        model.score_clips(sounds(3, seed=0), IDS)


@every_family
def test_other_weights_count_at_once_and_into_a_model_that_has_scored(family: str) -> None:
    clips = sounds(12, seed=0)
    one, other = (
        MODELS[family](N_BINS, **CASES[family]).fit(clips, ids_of(clips), training=replace(BRIEF, seed=seed))
        for seed in (0, 1)
    )
    one.score_clips(clips, ids_of(clips))
    one.load_state_dict(other.state_dict())
    assert np.array_equal(one.score_clips(clips, ids_of(clips)), other.score_clips(clips, ids_of(clips)))
