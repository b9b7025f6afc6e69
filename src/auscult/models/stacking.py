"""A stack: models of the same shapes and settings that train as one, each with its own random numbers and loss."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from auscult.errors import ModelError
from auscult.features.bank import Bank
from auscult.models.base import Model
from auscult.models.stacked_layers import stack_modules, take_apart
from auscult.models.window import WindowModel, chunks
from auscult.training import Training, generator_of, train


def in_common(model: Model, training: Training) -> str | None:
    """What models must have in common to train as one, as text; none if the family cannot be stacked."""
    if not isinstance(model, WindowModel):
        return None
    arguments = {name: value for name, value in model.arguments.items() if name not in model.per_member}
    return json.dumps([model.family, arguments, {**asdict(training), "seed": None}], sort_keys=True)


def fit_stack(
    models: Sequence[Model],
    features: "ArrayLike | Bank",
    machine_ids: Sequence[str] = (),
    *,
    trainings: Sequence[Training],
    members: Sequence[str],
    checkpoint: Path | None = None,
    on_epoch: Callable[[int, dict[str, float]], None] | None = None,
) -> None:
    """Fit M models to the same features at once; each becomes what `Model.fit` makes of it, up to rounding.

    Args:
        models: of one family and the same shapes; they may differ in the arguments that the family names in
            `per_member`.
        features: a bank, or clips `[C, N, F]`, or a sequence of `[N, F]` of any lengths.
        machine_ids: `[C]`; a bank has its own.
        trainings: of each model; they may differ in the seed.
        members: name of each model, as in `Model.fit`.
        checkpoint: a file of the whole stack, to resume from and to write to.
        on_epoch: called with the number of epochs done and their newest losses, summed over the models.

    Raises:
        ModelError: if the models cannot be stacked or the features do not fit them.
        TrainingError: if the loss of a model is no finite number, or the checkpoint is damaged.
    """
    shapes = {in_common(model, training) for model, training in zip(models, trainings, strict=True)}
    if None in shapes or len(shapes) != 1:
        raise ModelError(
            "these models cannot be stacked: they must be of one family of windows, and alike in all arguments but "
            "those of its `per_member`, and in their training but for the seed, batch_size for instance. Fit them one "
            "by one"
        )
    bank = models[0].checked(features, machine_ids)
    frames = torch.tensor(bank.frames, device=trainings[0].device)
    windowed = [cast(WindowModel, model) for model in models]
    for model, training, member in zip(windowed, trainings, members, strict=True):
        model.prepare(frames, bank, training=training, member=member)
    stack = _Stack(windowed, [(training.seed, member) for training, member in zip(trainings, members, strict=True)])
    windows = windowed[0].windows(frames, bank)
    try:
        history = train(
            stack,
            lambda epoch: stack.batches(windows, bank, epoch=epoch, size=trainings[0].batch_size),
            training=trainings[0],
            member=f"{len(models)} x {models[0].family}",
            checkpoint=checkpoint,
            on_epoch=on_epoch,
        )
    finally:
        for model in windowed:
            take_apart(model)
    for number, model in enumerate(windowed):
        model.history = [
            {name.removeprefix(f"{number} "): value for name, value in entry.items() if name.startswith(f"{number} ")}
            | {"learning_rate": entry["learning_rate"]}
            for entry in history
        ]
        model.finish(bank)


class _Stack(nn.Module):
    """M models as one `[M, ...]`, which the training loop takes for one.

    Args:
        models: whose weights are views of the stack's from now on.
        seeds: seed and name of each.
    """

    def __init__(self, models: Sequence[WindowModel], seeds: Sequence[tuple[int, str]]) -> None:
        super().__init__()
        self.shell, self._models, self._seeds = _shell(models), list(models), list(seeds)

    def batches(self, windows: Tensor, bank: Bank, *, epoch: int, size: int) -> Iterator[Any]:
        """The batches of an epoch: what each model draws with its own generator, side by side."""
        device, drawn = windows.device, []
        generators = tuple(generator_of(*seed, epoch, device=device) for seed in self._seeds)
        for model, generator in zip(self._models, generators, strict=True):
            model.generator = generator
            drawn.append(model.draws(bank, device))
        self.shell.generator = cast(torch.Generator, generators)  # layers take either, see `Random`
        for chunk in chunks([torch.stack(same) for same in zip(*drawn, strict=True)], size):
            yield self.shell.batch(windows, *chunk)

    def loss(self, batch: Any) -> dict[str, Tensor]:
        """The sum, of which each weight belongs to one summand; and the losses of each model, by its number."""
        losses = self.shell.loss(batch)
        each = {f"{number} {name}": value for name, some in losses.items() for number, value in enumerate(some)}
        return {"loss": losses["loss"].sum(), **each}


def _shell(models: Sequence[WindowModel]) -> WindowModel:
    """The first model with stacked layers, and with tensors in place of the numbers by which the members differ."""
    shell = cast(WindowModel, stack_modules(models))
    weight = next(shell.parameters())
    for name, axes in shell.per_member.items():
        if axes is not None:
            values = torch.tensor([getattr(model, name) for model in models], dtype=weight.dtype, device=weight.device)
            setattr(shell, name, values.view(-1, *[1] * axes))
    return shell
