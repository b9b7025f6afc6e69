"""IDCAE: the match reconstructs, other labels give the constant; how windows and labels are drawn; ids by name."""

import functools
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from auscult.errors import ModelError
from auscult.features.bank import Bank, bank_of
from auscult.models import IDCAE
from auscult.models.idcae import MeanError
from auscult.training import Training, generator_of

N_BINS = 6
IDS = ("id_00", "id_02", "pump 7")


def clips(n_clips: int, *, seed: int = 0, n_frames: int = 50) -> Any:
    """Clip i belongs to machine `IDS[i % 3]`, and each machine has bins of its own that swing."""
    rng = np.random.default_rng(seed)
    data = rng.normal(scale=0.3, size=(n_clips, n_frames, N_BINS))
    for index, clip in enumerate(data):
        machine = index % len(IDS)
        clip[:, 2 * machine : 2 * machine + 2] += 4 * np.sin(np.arange(n_frames) / 4 + rng.uniform(0, 6))[:, None]
    return data.astype(np.float32)


def ids(n_clips: int) -> list[str]:
    return [IDS[index % len(IDS)] for index in range(n_clips)]


def fitted(norm: Any = "l1", target: float = 5.0) -> IDCAE:
    """A trained model that no test may change."""
    return trained(norm, target)


@functools.cache
def trained(norm: Any, target: float) -> IDCAE:
    model = IDCAE(N_BINS, context=3, norm=norm, target=target, windows_per_clip=60)
    return model.fit(clips(24), ids(24), training=Training(epochs=32, batch_size=64, learning_rate=2e-3))


def drawn(
    data: Any, machine_ids: list[str], *, epoch: int = 0, batch_size: int = 64, **arguments: Any
) -> tuple[IDCAE, list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]]:
    """An untrained model and the batches of one epoch."""
    model = IDCAE(N_BINS, **{"context": 3, "windows_per_clip": 40, **arguments})
    bank: Bank = bank_of(data, machine_ids)
    model.ids, frames = tuple(sorted(set(machine_ids))), torch.tensor(bank.frames)
    model.fit_statistics(frames, bank)
    model.generator = generator_of("drawn", epoch)
    return model, list(model.batches(frames, bank, Training(batch_size=batch_size)))


def windows_of(model: IDCAE, data: Any) -> torch.Tensor:
    """All standardised windows of one clip `[W, context * F]`, in the plainest way."""
    x = ((torch.tensor(data) - model.mean) / model.deviation).numpy()
    return torch.tensor(np.stack([x[first : first + 3].reshape(-1) for first in range(len(x) - 2)]))


@pytest.mark.parametrize("norm", ["l1", "l2"])
@pytest.mark.parametrize("target", [5.0, 0.0])
def test_a_match_reconstructs_and_a_non_match_gives_the_constant(norm: str, target: float) -> None:
    model = fitted(norm, target)
    data = clips(6, seed=1)
    for clip, machine_id in zip(data, ids(6), strict=True):
        windows = windows_of(model, clip)
        for label, name in enumerate(model.ids):
            with torch.inference_mode():
                output = model(windows, torch.full((len(windows),), label))
            if name == machine_id:
                assert (output - windows).abs().mean() < 0.6 * windows.abs().mean()
            else:
                assert (output - target).abs().mean() < 0.25


def test_another_machine_under_this_label_scores_higher() -> None:
    data = clips(9, seed=2)
    own = fitted().score_clips(data, ids(9))
    for shift in (1, 2):
        foreign = fitted().score_clips(data, [IDS[(index + shift) % 3] for index in range(9)])
        assert foreign.min() > 2 * own.max()


@pytest.mark.parametrize(("norm", "power"), [("l1", 1), ("l2", 2)])
def test_the_frame_score_is_the_mean_error_under_the_matching_label(norm: str, power: int) -> None:
    model, clip = fitted(norm), clips(3, seed=3)[2]
    windows = windows_of(model, clip)
    with torch.inference_mode():
        output = model(windows, torch.full((len(windows),), model.ids.index(IDS[2])))
    expected = ((output - windows).abs() ** power).mean(dim=1)
    np.testing.assert_allclose(model.frame_scores([clip], [IDS[2]])[0], expected.numpy(), rtol=1e-4)
    assert model.score_clips([clip], [IDS[2]])[0] == pytest.approx(expected.mean().item(), rel=1e-4)


def test_the_maps_show_the_matching_and_the_best_other_label() -> None:
    data = clips(3, seed=4)
    maps = fitted().maps(data[0], IDS[0])
    assert list(maps) == ["error under the matching label", "error under the best non-matching label"]
    others = [fitted().error_map(data[:1], [name])[0] for name in IDS[1:]]
    best = min(others, key=lambda values: float(values[2:-2].mean()))
    np.testing.assert_allclose(maps["error under the best non-matching label"], best, rtol=1e-5)
    foreign = fitted().maps(data[1], IDS[0])
    assert foreign["error under the best non-matching label"].mean() < maps["error under the matching label"].mean() * 2
    assert foreign["error under the matching label"].mean() > 2 * maps["error under the matching label"].mean()


@pytest.mark.parametrize("norm", ["l1", "l2"])
def test_the_loss_is_the_mean_error_to_what_the_label_asks_for(norm: str) -> None:
    model, batches = drawn(clips(6), ids(6), norm=norm, target=2.5)
    model.build()
    model.eval()
    x, labels, is_match = batches[0]
    losses = model.loss(batches[0])
    errors = []
    for row in range(len(x)):
        difference = model(x[row : row + 1], labels[row : row + 1])[0] - (x[row] if is_match[row] else 2.5)
        errors.append((difference.abs() if norm == "l1" else difference**2).mean().item())
    assert losses["loss"].item() == pytest.approx(np.mean(errors), rel=1e-4)
    for name, mask in (("match", is_match), ("non_match", ~is_match)):
        assert losses[name].item() == pytest.approx(np.mean(np.array(errors)[mask.numpy()]), rel=1e-4)


@pytest.mark.parametrize(("norm", "power"), [("l1", 1), ("l2", 2)])
def test_the_gradient_is_that_of_plain_operations(norm: str, power: int) -> None:
    generator = torch.Generator().manual_seed(0)
    output, target = torch.randn(2, 7, 30, generator=generator)
    target[3] = output[3]  # no error at all has no gradient
    output.requires_grad_()
    plain = (output - target).abs().pow(power).mean(dim=1)
    (expected,) = torch.autograd.grad(plain.square().sum(), output)
    errors = MeanError.apply(output, target.clone(), norm)
    torch.testing.assert_close(errors, plain)
    (gradient,) = torch.autograd.grad(errors.square().sum(), output)
    torch.testing.assert_close(gradient, expected)


def test_the_network_is_that_of_table_2() -> None:
    model = IDCAE(128, context=10)
    model.ids = IDS
    model.build()

    def kinds(network: torch.nn.Sequential) -> list[str]:
        return [type(layer).__name__ for layer in network]

    def widths(network: torch.nn.Sequential) -> list[tuple[int, int]]:
        return [(layer.in_features, layer.out_features) for layer in network if isinstance(layer, torch.nn.Linear)]

    block = ["Linear", "BatchNorm1d", "ReLU"]
    assert kinds(model.encoder) == block * 4, "batch norm and ReLU on the code too"
    assert widths(model.encoder) == list(pairwise([1280, 128, 64, 32, 16]))
    assert kinds(model.decoder) == [*block * 4, "Linear"]
    assert widths(model.decoder) == list(pairwise([16, 128, 128, 128, 128, 1280]))
    for network in (model.gamma, model.beta):
        assert kinds(network) == ["Linear", "Sigmoid", "Linear"]
        assert widths(network) == [(3, 16), (16, 16)]


def test_the_label_enters_by_a_factor_and_a_summand_of_the_code() -> None:
    model, _ = drawn(clips(3), ids(3))
    model.build()
    model.eval()
    x, one_hot = torch.randn(3, 18), torch.eye(3)
    expected = model.decoder(model.gamma(one_hot) * model.encoder(x) + model.beta(one_hot))
    torch.testing.assert_close(model(x, torch.arange(3)), expected)


def test_a_sigmoid_can_close_the_conditioning() -> None:
    model = IDCAE(N_BINS, conditioning_sigmoid=True)
    model.ids = IDS
    model.build()
    for network in (model.gamma, model.beta):
        assert 0 < network(torch.eye(3)).min() < network(torch.eye(3)).max() < 1


def test_an_epoch_draws_as_many_windows_of_each_clip_and_none_across_clips() -> None:
    """Each frame carries its own number, so that a window tells where it was cut."""
    numbers = np.repeat(np.arange(41.0), N_BINS).reshape(41, N_BINS)
    data = np.split(numbers, [3, 33])  # clips of 3, 30 and 8 frames
    model, batches = drawn(data, ["b", "a", "b"], windows_per_clip=300)
    assert [len(x) for x, _, _ in batches] == [64] * 14 + [4]
    x = torch.cat([x for x, _, _ in batches]).view(-1, 3, N_BINS) * model.deviation + model.mean
    cut = x[:, :, 0].round().long()
    assert torch.equal(cut, cut[:, :1] + torch.arange(3)), "three frames that follow each other"
    starts = Counter(cut[:, 0].tolist())
    assert set(starts) == {0, *range(3, 31), *range(33, 39)}, "every start that lies within a clip, and no other"
    assert starts[0] == 300
    assert sum(starts[start] for start in range(3, 31)) == 300
    assert max(starts[start] for start in range(3, 31)) > 1, "with replacement"


def test_labels_match_with_probability_alpha_and_are_else_drawn_uniformly_from_the_others() -> None:
    data, names = clips(3), ["a", "b", "c"]
    for index, clip in enumerate(data):
        clip[:] = index
    model, batches = drawn(data, names, windows_per_clip=4000, alpha=0.7)
    x, labels, is_match = (torch.cat(parts) for parts in zip(*batches, strict=True))
    machine = (x.view(-1, 3, N_BINS) * model.deviation + model.mean)[:, 0, 0].round().long()
    assert torch.equal(labels == machine, is_match)
    assert is_match.float().mean().item() == pytest.approx(0.7, abs=0.02)
    for own in range(3):
        wrong = labels[(machine == own) & ~is_match]
        counts = torch.bincount(wrong, minlength=3) / len(wrong)
        assert counts[own] == 0
        assert counts.max() == pytest.approx(0.5, abs=0.05)


def test_windows_are_shuffled_and_each_epoch_draws_anew() -> None:
    _, first = drawn(clips(6), ids(6), alpha=1.0)
    _, again = drawn(clips(6), ids(6), alpha=1.0)
    _, second = drawn(clips(6), ids(6), alpha=1.0, epoch=1)
    assert torch.equal(first[0][0], again[0][0])
    assert not torch.equal(first[0][0], second[0][0])
    assert len(first[0][1].unique()) == 3, "a batch holds windows of all machines"
    assert torch.cat([is_match for _, _, is_match in first]).all()


def test_a_last_batch_of_a_single_window_is_left_out() -> None:
    _, batches = drawn(clips(5), ["a", "b", "a", "b", "a"], windows_per_clip=13)
    assert [len(x) for x, _, _ in batches] == [64]


def test_each_clip_can_have_its_own_statistics() -> None:
    """Then a gain and an offset of each bin, constant over a clip, change nothing."""
    model, data = IDCAE(N_BINS, context=3, standardise="clip"), clips(3, seed=5)
    model.fit(clips(24), ids(24), training=Training(epochs=2, batch_size=64))
    scores = model.score_clips(data, ids(3))
    np.testing.assert_allclose(model.score_clips(data * 7 - 30, ids(3)), scores, rtol=1e-3)
    changed = fitted().score_clips(data * 7 - 30, ids(3))
    assert (changed > 2 * fitted().score_clips(data, ids(3))).all()


def test_clip_statistics_are_used_in_training_too() -> None:
    data = clips(3) * np.array([1, 5, 20], dtype=np.float32)[:, None, None]
    _, batches = drawn(data, ["a", "b", "c"], standardise="clip", windows_per_clip=2000, batch_size=6000)
    x, labels, is_match = batches[0]
    for machine in range(3):
        values = x[is_match & (labels == machine)]
        assert values.mean().item() == pytest.approx(0, abs=0.1)
        assert values.std().item() == pytest.approx(1, abs=0.1)


def test_ids_are_carried_by_name(tmp_path: Path) -> None:
    fitted().save(tmp_path / "model.safetensors")
    loaded, data, order = IDCAE.load(tmp_path / "model.safetensors"), clips(3, seed=6), [2, 0, 1]
    assert loaded.ids == IDS
    scores = loaded.score_clips(data[order], [IDS[i] for i in order])
    np.testing.assert_array_equal(scores, fitted().score_clips(data, IDS)[order])


def test_an_id_that_was_not_trained_is_refused_and_the_known_ones_listed() -> None:
    data = clips(2)
    for call in (fitted().score_clips, fitted().frame_scores, fitted().error_map):
        with pytest.raises(ModelError, match=r"'id_01' was not trained; known are id_00, id_02, pump 7"):
            call(data, ["id_00", "id_01"])


def test_one_id_is_not_enough() -> None:
    with pytest.raises(ModelError, match=r"one machine id only, 'id_00'.*another family"):
        IDCAE(N_BINS, context=3).fit(clips(4), ["id_00"] * 4)


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        ({"alpha": 0}, "alpha"),
        ({"alpha": 1.5}, "alpha"),
        ({"alpha": float("nan")}, "alpha"),
        ({"norm": "l3"}, "norm is 'l3'; choose one of l1, l2"),
        ({"windows_per_clip": 0}, "windows_per_clip"),
        ({"windows_per_clip": 1.5}, "windows_per_clip"),
        ({"standardise": "never"}, "standardise is 'never'; choose one of bank, clip"),
        ({"context": 0}, "context"),
    ],
)
def test_arguments_out_of_range_are_named(arguments: dict[str, Any], what: str) -> None:
    with pytest.raises(ModelError, match=what):
        IDCAE(N_BINS, **arguments)


def test_the_default_training_is_the_reports() -> None:
    training = IDCAE.default_training
    assert (training.epochs, training.batch_size, training.learning_rate) == (100, 512, 1e-3)
    assert (training.decay, training.decay_every, training.betas) == (0.95, 5, (0.9, 0.999))
