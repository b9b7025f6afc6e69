"""The classifier: what it learns from, its loss and scale by plain formulas, mixup, evidence, untrusted files."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from auscult.errors import ModelError
from auscult.features.bank import Bank, bank_of
from auscult.models import Classifier, load_model
from auscult.models.adacos import adapted_scale, cross_entropy
from auscult.training import Training

N_BINS = 12
CONVOLUTIONS = {"network": "spectrogram", "channels": [8], "crop": 4}
BRIEF = Training(epochs=20, batch_size=16, learning_rate=1e-2)


def blobs(n_clips: int, *, kinds: int, seed: int) -> NDArray[np.float32]:
    """Clips `[C, N, F]` of kinds in turn, each with two bins of its own that are loud."""
    rng = np.random.default_rng(seed)
    clips = rng.normal(scale=0.5, size=(n_clips, 6, N_BINS))
    for index in range(n_clips):
        first = 2 * (index % kinds)
        clips[index, :, first : first + 2] += 3
    return clips.astype(np.float32)


def model(**arguments: object) -> Classifier:
    return Classifier(N_BINS, **{"hidden": (16,), "n_embedding": 8, "sub_clusters": 2, **arguments})


@pytest.mark.parametrize("arguments", [{}, CONVOLUTIONS])
def test_a_clip_like_another_machine_scores_above_its_own(arguments: dict[str, object]) -> None:
    train, ids = blobs(60, kinds=3, seed=0), ["a", "b", "c"] * 20
    fitted = model(k=2, **arguments).fit(train, ids, training=BRIEF)
    test = blobs(12, kinds=3, seed=1)
    own = fitted.score_clips(test, ["a", "b", "c"] * 4)
    other = fitted.score_clips(test, ["b", "c", "a"] * 4)
    assert own.max() < other.min()
    with torch.inference_mode():
        assert [fitted.nearest(torch.tensor(train[place]), ids[place]) for place in (5, 40)] == [5, 40]
    assert fitted.history[-1]["loss"] < fitted.history[0]["loss"]


def attributed(clips: NDArray[np.float32], values: str) -> Bank:
    speeds = tuple((("speed", value),) for value in values)
    return replace(bank_of(clips, ["a"] * len(clips)), attributes=speeds)


def test_one_machine_teaches_nothing_unless_attributes_or_domains_tell_its_clips_apart() -> None:
    clips = blobs(40, kinds=2, seed=0)
    with pytest.raises(ModelError, match="training clips of a alone, all of one class by id and domain and attributes"):
        model().fit(clips, ["a"] * 40, training=BRIEF)
    bank = attributed(clips, "xy" * 20)
    with pytest.raises(ModelError, match="all of one class by id, and"):
        model(classes=["id"]).fit(bank, training=BRIEF)
    domains = replace(bank_of(clips, ["a"] * 40), domains=("source", "target") * 20)
    third = blobs(9, kinds=3, seed=1)[2::3]
    for told in (bank, domains):
        fitted = model().fit(told, training=BRIEF)
        normal, foreign = (fitted.score_clips(some, ["a"] * len(some)) for some in (blobs(6, kinds=2, seed=2), third))
        assert normal.max() < foreign.min()


def test_a_machine_alone_is_told_from_machines_of_other_types() -> None:
    """What another type has and this one lacks is abnormal; folds and hold-outs keep the others."""
    loud = np.repeat(blobs(40, kinds=6, seed=0)[:, :1], 6, axis=1)
    other = bank_of(loud + np.eye(N_BINS, dtype=np.float32)[10] * 3, ["a", "b"] * 20)
    bank = replace(bank_of(blobs(40, kinds=2, seed=1), ["a"] * 40), others=(other, other)).select(list(range(30)))
    fitted = model().fit(bank, training=BRIEF)
    assert (fitted.ids, len(fitted.embeddings)) == (("a",), 30)
    normal = blobs(8, kinds=2, seed=2)
    faulty = normal + np.eye(N_BINS, dtype=np.float32)[10] * 3
    scores = fitted.score_clips(np.concatenate([normal, faulty]), ["a"] * 16)
    assert scores[:8].max() < scores[8:].min()
    with pytest.raises(ModelError, match="none of other machine types"):
        model(others=False).fit(bank, training=BRIEF)


def test_the_loss_and_the_scale_are_those_of_the_papers() -> None:
    """Two classes of two points; cosines and targets by hand, one clip half and half."""
    cosines = np.array([[0.9, 0.1, -0.2, 0.3], [0.0, 0.2, 0.8, -0.5], [0.4, 0.6, 0.5, 0.1]])
    targets, scale = np.array([[1.0, 0.0], [0.0, 1.0], [0.6, 0.4]]), 5.0
    each = np.exp(scale * cosines)
    probability = np.stack([each[:, :2].sum(axis=1), each[:, 2:].sum(axis=1)], axis=1) / each.sum(axis=1)[:, None]
    entropy = -(targets * np.log(probability)).sum(axis=1).mean()
    found = cross_entropy(torch.tensor(scale * cosines), torch.tensor(targets))
    assert float(found) == pytest.approx(entropy, abs=1e-12)
    angle = np.median(np.arccos([0.9, 0.8, 0.6]))
    assert angle < np.pi / 4
    wanted = np.log(each.sum(axis=1).mean()) / np.cos(angle)
    found = adapted_scale(torch.tensor(cosines), torch.tensor(targets), torch.tensor(scale))
    assert float(found) == pytest.approx(wanted, abs=1e-12)


@pytest.mark.parametrize("mixup", [0.0, 0.5, 1.0])
def test_mixup_mixes_vectors_and_classes_alike(mixup: float) -> None:
    train, ids = np.repeat(np.eye(2, N_BINS, dtype=np.float32), 500, axis=0)[:, None], ["a"] * 500 + ["b"] * 500
    mixing = model(mixup=mixup)
    bank = bank_of(train, ids)
    frames = torch.tensor(bank.frames)
    mixing.prepare(frames, bank, training=BRIEF, member="m")
    batches = list(mixing.batches(frames, bank, BRIEF))
    x, targets = (torch.cat(parts) for parts in zip(*batches, strict=True))
    assert torch.allclose(x * mixing.deviation + mixing.mean, targets @ torch.eye(2, N_BINS), atol=1e-6)
    pure = float((targets.amax(dim=1) > 1 - 1e-6).float().mean())
    assert pure == pytest.approx(1 - mixup / 2, abs=0.06)  # half of the pairs are of one class


@pytest.mark.parametrize("arguments", [{}, {"statistics": ["mean", "flux", "deviation"]}, CONVOLUTIONS])
def test_the_map_adds_up_to_what_the_clip_scores_above_the_mean_of_its_machine(arguments: dict[str, object]) -> None:
    train, ids = blobs(60, kinds=3, seed=0), ["a", "b", "c"] * 20
    fitted = model(**arguments).fit(train, ids, training=BRIEF)
    clip = blobs(2, kinds=2, seed=3)[1]
    with torch.no_grad():
        mean = fitted.id_means[0] if not fitted.crops else fitted.id_means[0].expand(6, -1)
        start = float(fitted._scores(mean[None], torch.tensor(0)))
    score = fitted.score_clips(clip[None], ["a"])[0]
    assert fitted.error_map(clip[None], ["a"]).sum() == pytest.approx(score - start, rel=0.1)
    assert score > start + 0.1


def test_kept_clips_that_do_not_belong_to_the_machines_are_refused(tmp_path: Path) -> None:
    fitted = model().fit(blobs(6, kinds=2, seed=0), ["a", "b"] * 3, training=replace(BRIEF, epochs=1))
    fitted.places = torch.zeros(6, dtype=torch.int64)
    fitted.save(tmp_path / "model")
    with pytest.raises(ModelError, match="embedded clips and machine ids do not belong together"):
        load_model(tmp_path / "model")


@pytest.mark.parametrize(
    "arguments",
    [
        {"classes": ["machine"]},
        {"classes": []},
        {"k": 0},
        {"sub_clusters": 0},
        {"mixup": 1.5},
        {"network": "wave"},
        {"channels": []},
        {"crop": 0},
    ],
)
def test_arguments_out_of_range_are_refused_by_name(arguments: dict[str, object]) -> None:
    with pytest.raises(ModelError, match=f"classifier: {next(iter(arguments))} is"):
        model(**arguments)
