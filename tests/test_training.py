"""The training loop on a straight line: resume, schedule, seeds, precision, and losses that are no numbers."""

import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import auscult.training
from auscult.errors import ModelError, TrainingError
from auscult.training import Adam, Training, choose_device, generator_of, seed_of, settings, train

SETTINGS = Training(epochs=6, learning_rate=0.05, decay=0.5, decay_every=2)


class Line(nn.Module):
    """Fits y = 3 x - 1, and an image whose channels are last in memory."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(1, 1)
        self.norm = nn.BatchNorm1d(1, affine=False)
        self.image = nn.Parameter(torch.ones(4, 3, 2, 2).contiguous(memory_format=torch.channels_last))
        nn.init.zeros_(self.layer.weight)
        nn.init.zeros_(self.layer.bias)
        self.modes: list[bool] = []
        self.dtypes: list[torch.dtype] = []

    def loss(self, batch: Tensor) -> dict[str, Tensor]:
        self.modes.append(self.training)
        y = self.layer(self.norm(batch))
        self.dtypes.append(y.dtype)
        rows = torch.arange(48.0).view(4, 3, 2, 2)
        error = (y.float() - (3 * batch - 1)).square().mean() + (self.image - rows).square().mean()
        return {"loss": error, "size": batch.abs().mean()}


def batches(epoch: int) -> Iterator[Tensor]:
    generator = generator_of("line", epoch)
    for _ in range(5):
        yield torch.randn(16, 1, generator=generator)


@pytest.fixture(autouse=True)
def _checkpoint_after_every_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auscult.training, "CHECKPOINT_SECONDS", 0)


def test_a_training_learns_and_its_history_has_every_entry() -> None:
    module = Line()
    settings = Training(epochs=200, learning_rate=0.1)
    history = train(module, batches, training=settings, member="line")
    assert len(history) == 200
    assert all(entry.keys() == {"loss", "size", "learning_rate"} for entry in history)
    assert history[-1]["loss"] < 0.05 * history[0]["loss"]
    assert history[0]["size"] == pytest.approx(torch.cat(list(batches(0))).abs().mean().item(), rel=1e-5)


def test_a_module_trains_in_training_mode_and_comes_back_in_evaluation_mode() -> None:
    module = Line().eval()
    train(module, batches, training=SETTINGS, member="line")
    assert all(module.modes)
    assert not module.training


def test_the_learning_rate_falls_in_steps() -> None:
    history = train(Line(), batches, training=SETTINGS, member="line")
    rates = [entry["learning_rate"] for entry in history]
    assert rates == pytest.approx([0.05, 0.05, 0.025, 0.025, 0.0125, 0.0125])


def test_a_step_of_adam_is_as_long_as_the_learning_rate() -> None:
    """The rate is used, not only reported: where the slope is constant, each step has the rate's length."""
    weights: list[float] = []

    class Slope(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(()))

        def loss(self, batch: Tensor) -> dict[str, Tensor]:
            weights.append(self.weight.item())
            return {"loss": -self.weight * batch}

    train(Slope(), lambda epoch: [torch.tensor(2.0)], training=SETTINGS, member="slope")
    steps = [after - before for before, after in pairwise(weights)]
    assert steps == pytest.approx([0.05, 0.05, 0.025, 0.025, 0.0125], rel=1e-4)


def test_adam_is_torchs_own_bit_for_bit() -> None:
    ours, theirs = Line(), Line()
    adam = Adam(ours.parameters(), betas=(0.85, 0.999))
    reference = torch.optim.Adam(theirs.parameters(), betas=(0.85, 0.999), fused=True)
    for step, batch in enumerate([*batches(0), *batches(1)]):
        for module in (ours, theirs):
            module.zero_grad()
            module.loss(batch)["loss"].backward()
        reference.param_groups[0]["lr"] = 0.1 / (1 + step)
        adam.step(0.1 / (1 + step))
        reference.step()
    assert all(torch.equal(one, other) for one, other in zip(ours.parameters(), theirs.parameters(), strict=True))


@pytest.mark.parametrize("epochs_before", [1, 3, 5])
def test_a_training_broken_off_goes_on_bit_for_bit(tmp_path: Path, epochs_before: int) -> None:
    path = tmp_path / "checkpoint"

    def broken(epoch: int) -> Iterator[Tensor]:
        for index, batch in enumerate(batches(epoch)):
            if (epoch, index) == (epochs_before, 2):
                raise ConnectionError("power cut")
            yield batch

    with pytest.raises(ConnectionError):
        train(Line(), broken, training=SETTINGS, member="line", checkpoint=path)
    epochs: list[int] = []
    resumed, undisturbed = Line(), Line()
    history = train(
        resumed,
        batches,
        training=SETTINGS,
        member="line",
        checkpoint=path,
        on_epoch=lambda epoch, entry: epochs.append(epoch),
    )
    assert epochs == list(range(epochs_before + 1, 7)), "what was done is not done again"
    assert history == train(undisturbed, batches, training=SETTINGS, member="line")
    for name, tensor in undisturbed.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], tensor), name
    assert [file.name for file in tmp_path.iterdir()] == ["checkpoint"]


def test_a_finished_training_is_not_done_again(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint"
    first = Line()
    history = train(first, batches, training=SETTINGS, member="line", checkpoint=path)
    again = Line()
    assert train(again, batches, training=SETTINGS, member="line", checkpoint=path) == history
    assert again.modes == []
    assert torch.equal(again.layer.weight, first.layer.weight)


def test_checkpoints_keep_their_distance_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auscult.training, "CHECKPOINT_SECONDS", 3600)
    path, seen = tmp_path / "checkpoint", []
    train(
        Line(),
        batches,
        training=SETTINGS,
        member="line",
        checkpoint=path,
        on_epoch=lambda epoch, entry: seen.append(path.exists()),
    )
    assert seen == [False] * 5 + [True]


def with_nan_in(epoch_of_nan: int) -> Any:
    def broken(epoch: int) -> Iterator[Tensor]:
        for index, batch in enumerate(batches(epoch)):
            yield batch * float("nan") if (epoch, index) == (epoch_of_nan, 3) else batch

    return broken


def test_a_loss_that_is_no_number_stops_the_training_and_names_the_member(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint"
    with pytest.raises(TrainingError, match=r"fan-hvae-3: .* in epoch 4 .*learning_rate.*checkpoint is .*checkpoint"):
        train(Line(), with_nan_in(3), training=SETTINGS, member="fan-hvae-3", checkpoint=path)
    good = Line()
    history = train(good, batches, training=SETTINGS, member="line", checkpoint=path)
    assert len(history) == 6, "the last good checkpoint stayed, and can be trained on"
    assert torch.isfinite(good.layer.weight).all()


def test_no_checkpoint_is_spoken_of_where_there_is_none(tmp_path: Path) -> None:
    with pytest.raises(TrainingError) as caught:
        train(Line(), with_nan_in(0), training=SETTINGS, member="line", checkpoint=tmp_path / "checkpoint")
    assert "checkpoint" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_any_entry_that_is_no_number_stops_the_training() -> None:
    class Side(Line):
        def loss(self, batch: Tensor) -> dict[str, Tensor]:
            return super().loss(batch) | {"side": torch.tensor(float("inf"))}

    with pytest.raises(TrainingError, match="epoch 1"):
        train(Side(), batches, training=SETTINGS, member="line")


def test_an_epoch_without_a_batch_is_an_error() -> None:
    with pytest.raises(TrainingError, match="no batch"):
        train(Line(), lambda epoch: [], training=SETTINGS, member="line")


@pytest.mark.bf16
def test_bfloat16_computes_in_bfloat16_and_keeps_the_weights_in_float32() -> None:
    module = Line()
    settings = Training(epochs=100, learning_rate=0.1, precision="bf16")
    history = train(module, batches, training=settings, member="line")
    assert set(module.dtypes) == {torch.bfloat16}
    assert module.layer.weight.dtype == torch.float32
    assert history[-1]["loss"] < 0.3 * history[0]["loss"]


def test_bfloat16_is_refused_on_a_processor_that_would_take_hours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "bf16_slowness", lambda: 75.0)
    with pytest.raises(ModelError, match=r"75 times as slowly as in float32.* Choose fp32, or set .*AUSCULT_SLOW_BF16"):
        Training(precision="bf16")
    assert Training(precision="bf16", device="cuda").precision == "bf16", "a GPU is another matter"
    monkeypatch.setenv(settings.INSIST, "1")
    assert Training(precision="bf16").precision == "bf16"


def test_the_slowness_of_bfloat16_is_measured() -> None:
    assert 0.01 < settings.bf16_slowness() < 1000


def test_a_process_that_trains_does_not_load_torchs_compiler() -> None:
    """It costs a second; torch's own optimisers do."""
    code = "import sys; import test_training as t; t.train(t.Line(), t.batches, training=t.SETTINGS, member='line'); "
    code += "sys.exit('torch._dynamo' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parent, check=True, timeout=60)


def test_seeds_differ_with_every_part_and_never_with_the_run() -> None:
    parts = [(0, "hvae", 1), (1, "hvae", 1), (0, "idcae", 1), (0, "hvae", 2), (0, "hva", "e1"), ("0hvae", 1)]
    seeds = [seed_of(*part) for part in parts]
    assert len(set(seeds)) == len(parts)
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert seed_of(0, "hvae", 1) == 3512262176128317507, "the same in every process"


def test_a_generator_is_independent_of_the_global_state() -> None:
    torch.manual_seed(0)
    state = torch.get_rng_state()
    one = torch.rand(5, generator=generator_of(0, "hvae", 3))
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(1)
    assert torch.equal(one, torch.rand(5, generator=generator_of(0, "hvae", 3)))
    assert not torch.equal(one, torch.rand(5, generator=generator_of(0, "hvae", 4)))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("epochs", 0),
        ("epochs", 2.5),
        ("batch_size", -1),
        ("decay_every", 0),
        ("learning_rate", 0.0),
        ("learning_rate", float("nan")),
        ("decay", -1.0),
        ("precision", "fp16"),
    ],
)
def test_settings_out_of_range_are_named(name: str, value: Any) -> None:
    with pytest.raises(ModelError, match=name):
        Training(**{name: value})


def test_devices() -> None:
    assert choose_device("cpu") == "cpu"
    assert choose_device("auto") in ("cpu", "cuda", "mps")
    for name in ("tpu", "meta", "nonsense:1"):
        with pytest.raises(ModelError, match="unknown"):
            choose_device(name)
    if not torch.cuda.is_available():
        with pytest.raises(ModelError, match="not on this machine"):
            choose_device("cuda:7")
