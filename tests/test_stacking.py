"""Stacks: each member becomes what it becomes alone."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import auscult.training
from auscult.errors import ModelError, TrainingError
from auscult.features.bank import Bank
from auscult.models import HVAE, IDCAE, Autoencoder, Freak, Model
from auscult.models.stacking import fit_stack
from auscult.models.window import WindowModel
from auscult.training import Training

N_BINS = 7
IDS = [f"id_{index % 3:02d}" for index in range(9)]
CLIPS = np.random.default_rng(0).standard_normal((9, 40, N_BINS)).astype(np.float32) + 2

SETTINGS = Training(epochs=3, batch_size=32, decay=0.9, decay_every=1)
TRAININGS = [replace(SETTINGS, seed=seed) for seed in (0, 1, 2, 0)]
NAMES = ["a", "b", "c", "d"]

GRIDS: dict[str, tuple[type[WindowModel], list[dict[str, Any]]]] = {
    "idcae l1": (IDCAE, [{"alpha": a, "target": t} for a in (0.5, 0.9) for t in (0.0, 5.0)]),
    "idcae l2, clips": (
        IDCAE,
        [{"alpha": a, "norm": "l2", "standardise": "clip", "conditioning_sigmoid": True} for a in (0.3, 0.5, 0.7, 1.0)],
    ),
    "hvae": (HVAE, [{"beta": beta, "hidden": (20, 9), "n_latent": 3} for beta in (0.3, 0.5, 1.0, 3.0)]),
    "hvae, big precision": (
        HVAE,
        [{"score": s, "hidden": (20,), "n_latent": 3, "big_precision": True} for s in ("wmse", "mse", "nll", "wmse")],
    ),
    "autoencoder": (Autoencoder, [{"hidden": (12, 9), "n_latent": 4, "standardise": True}] * 4),
}


def models(grid: str, *, double: bool = False) -> list[WindowModel]:
    """Untrained members of a grid."""
    family, arguments = GRIDS[grid]
    more = {"windows_per_clip": 31} if family is IDCAE else {}
    return [(in_double(family) if double else family)(N_BINS, context=3, **more, **one) for one in arguments]


def in_double(family: type[WindowModel]) -> type[Any]:
    """A family that computes in float64."""

    class Double(family):  # type: ignore[misc,valid-type]  # a class known only here
        def prepare(self, frames: Tensor, bank: Bank, **settings: Any) -> None:
            super().prepare(frames, bank, **settings)
            self.double()

        def windows(self, frames: Tensor, bank: Bank) -> Tensor:
            return super().windows(frames.double(), bank)

        def _clips(self, bank: Bank) -> Any:
            return ((frames.double(), machine_id) for frames, machine_id in super()._clips(bank))

    return Double


def alone(some: list[WindowModel], trainings: list[Training] = TRAININGS) -> list[WindowModel]:
    """Each trained by itself."""
    for model, training, name in zip(some, trainings, NAMES, strict=False):
        model.fit(CLIPS, IDS, training=training, member=name)
    return some


def stacked(some: list[WindowModel], trainings: list[Training] = TRAININGS, **options: Any) -> list[WindowModel]:
    """All trained as one."""
    fit_stack(some, CLIPS, IDS, trainings=trainings[: len(some)], members=NAMES[: len(some)], **options)
    return some


def difference(one: Model, other: Model) -> float:
    """The largest difference of two models in weights, running statistics, history and scores."""
    first, second = one.state_dict(), other.state_dict()
    assert first.keys() == second.keys()
    pairs = [(first[name].numpy(), second[name].numpy()) for name in first]
    assert len(one.history) == len(other.history)
    pairs += [
        (np.array(list(entry.values())), np.array([same[name] for name in entry]))
        for entry, same in zip(one.history, other.history, strict=True)
    ]
    pairs.append((one.score_clips(CLIPS, IDS), other.score_clips(CLIPS, IDS)))
    return max(float(np.abs(a - b).max()) for a, b in pairs)


def bits(model: Model) -> list[bytes]:
    return [tensor.numpy().tobytes() for tensor in model.state_dict().values()]


@pytest.fixture(autouse=True)
def _checkpoint_after_every_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auscult.training, "CHECKPOINT_SECONDS", 0)


@pytest.mark.parametrize("grid", GRIDS)
def test_in_float64_each_member_of_a_stack_is_what_it_is_alone(grid: str) -> None:
    """The members differ in seeds and in the arguments of the grid."""
    for one, other in zip(stacked(models(grid, double=True)), alone(models(grid, double=True)), strict=True):
        assert next(one.parameters()).dtype == torch.float64
        assert difference(one, other) < 1e-8


def test_the_comparison_would_see_a_wrong_argument() -> None:
    one, other = models("idcae l1", double=True)[:1], models("idcae l1", double=True)[1:2]
    assert difference(stacked(one)[0], alone(other)[0]) > 1e-3


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize(
    ("precision", "tolerance"), [("fp32", 5e-3), pytest.param("bf16", 5e-2, marks=pytest.mark.bf16)]
)
def test_losses_agree_in_the_usual_precisions(grid: str, precision: Any, tolerance: float) -> None:
    """Up to rounding, which trainings with batch norm amplify, in a stack and alone."""
    trainings = [replace(training, precision=precision) for training in TRAININGS]
    for one, other in zip(stacked(models(grid), trainings), alone(models(grid), trainings), strict=True):
        losses, expected = ([entry["loss"] for entry in model.history] for model in (one, other))
        np.testing.assert_allclose(losses, expected, rtol=tolerance)


def test_models_are_their_own_again(tmp_path: Path) -> None:
    """After the training nothing joins them: one can be changed, saved and read."""
    first, second, *_ = stacked(models("hvae"))
    before = second.score_clips(CLIPS, IDS)
    with torch.no_grad():
        for parameter in first.parameters():
            parameter.zero_()
    np.testing.assert_array_equal(second.score_clips(CLIPS, IDS), before)
    assert all(p.untyped_storage().nbytes() == p.numel() * p.itemsize for p in second.parameters())
    second.save(tmp_path / "model")
    np.testing.assert_array_equal(HVAE.load(tmp_path / "model").score_clips(CLIPS, IDS), before)


@pytest.mark.parametrize("grid", ["idcae l1", "hvae", "autoencoder"])
def test_a_broken_stack_goes_on_with_the_same_bits(grid: str, tmp_path: Path) -> None:
    def power_cut(done: int, losses: dict[str, float]) -> None:
        if done == 2:
            raise ConnectionError("power cut")

    checkpoint = tmp_path / "checkpoint"
    with pytest.raises(ConnectionError):
        stacked(models(grid), checkpoint=checkpoint, on_epoch=power_cut)
    again = stacked(models(grid), checkpoint=checkpoint)
    for one, other in zip(again, stacked(models(grid)), strict=True):
        assert bits(one) == bits(other)
        assert one.history == other.history


def test_a_member_that_fails_is_an_error_of_the_stack() -> None:
    trainings = [replace(training, learning_rate=1e30) for training in TRAININGS]
    with pytest.raises(TrainingError, match="4 x idcae: the loss is no finite number"):
        stacked(models("idcae l1"), trainings)


@pytest.mark.parametrize(
    "others",
    [
        [IDCAE(N_BINS, context=4)],
        [IDCAE(N_BINS, context=3, norm="l2")],
        [HVAE(N_BINS, context=3)],
        [Freak(8)],
    ],
    ids=["context", "norm", "family", "no windows"],
)
def test_unlike_models_are_refused(others: list[Model]) -> None:
    both = [IDCAE(N_BINS, context=3), *others]
    with pytest.raises(ModelError, match=r"cannot be stacked.*batch_size"):
        fit_stack(both, CLIPS, IDS, trainings=[SETTINGS] * 2, members=["a", "b"])


@pytest.mark.parametrize("other", [{"batch_size": 16}, {"epochs": 4}, {"learning_rate": 0.1}], ids=str)
def test_unlike_settings_are_refused(other: dict[str, Any]) -> None:
    trainings = [SETTINGS, replace(SETTINGS, **other)]
    with pytest.raises(ModelError, match="cannot be stacked"):
        fit_stack(models("hvae")[:2], CLIPS, IDS, trainings=trainings, members=["a", "b"])
