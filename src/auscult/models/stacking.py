"""A stack: models of the same shapes that train as one, each with its own random numbers, learning rate and loss."""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any, cast

import torch
from numpy.typing import ArrayLike
from torch import Tensor
from torch.nn import Parameter

from auscult import training as single
from auscult.errors import ModelError, TrainingError
from auscult.features.bank import Bank
from auscult.models.base import Model
from auscult.models.stacked_layers import stack_modules, take_apart
from auscult.models.window import WindowModel, chunks
from auscult.training import History, Training, generator_of, load_checkpoint, require_finite, save_checkpoint

SHARED_SETTINGS = ("batch_size", "precision", "device")
"""Settings of the training that are the same for all members of a stack."""


def in_common(model: Model, training: Training) -> str | None:
    """What models must have in common to train as one, as text; none if the family cannot be stacked."""
    if not isinstance(model, WindowModel):
        return None
    arguments = {name: value for name, value in model.arguments.items() if name not in model.per_member}
    settings = [getattr(training, name) for name in SHARED_SETTINGS]
    return json.dumps([model.family, arguments, settings], sort_keys=True)


def fit_stack(
    models: Sequence[Model],
    features: "ArrayLike | Bank",
    machine_ids: Sequence[str] = (),
    *,
    trainings: Sequence[Training],
    members: Sequence[str],
    checkpoints: Sequence[Path] | None = None,
    on_epoch: Callable[[int, int, dict[str, float]], None] | None = None,
    on_fitted: Callable[[int], None] | None = None,
) -> list[TrainingError | None]:
    """Fit M models to the same features at once; each becomes what `Model.fit` makes of it, up to rounding.

    Args:
        models: of one family and the same shapes; they may differ in the arguments that the family names in
            `per_member`.
        features: a bank, or clips `[C, N, F]`, or a sequence of `[N, F]` of any lengths.
        machine_ids: `[C]`; a bank has its own.
        trainings: of each model; they may differ in seed, epochs and all that concerns the learning rate and Adam.
        members: name of each model, as in `Model.fit`.
        checkpoints: a file for each model to resume from and to write to, of the same kind as that of `Model.fit`. The
            models may stand at different epochs.
        on_epoch: called with the number of a model in `models`, its epochs done and their newest losses.
        on_fitted: called with the number of a model as soon as it is fitted, while others may go on.

    Returns:
        For each model none, or the error that broke off its training; the others are not affected.

    Raises:
        ModelError: if the models cannot be stacked or the features do not fit them.
        TrainingError: if a checkpoint is damaged.
    """
    shapes = {in_common(model, training) for model, training in zip(models, trainings, strict=True)}
    if None in shapes or len(shapes) != 1:
        raise ModelError(
            "these models cannot be stacked: they must be of one family of windows, and alike in all arguments but "
            f"those of its `per_member`, and in {', '.join(SHARED_SETTINGS)}. Fit them one by one"
        )
    bank = models[0].checked(features, machine_ids)
    frames = torch.tensor(bank.frames, device=trainings[0].device)
    left = [
        _Member(number, cast(WindowModel, model), trainings[number], members[number])
        for number, model in enumerate(models)
    ]
    for member in left:
        member.model.prepare(frames, bank, training=member.training, member=member.name)
        if checkpoints is not None:
            member.resume(checkpoints[member.number])
    windows = left[0].model.windows(frames, bank)
    errors: list[TrainingError | None] = [None] * len(models)
    while left:
        for member in left:
            if member.is_done:
                member.model.history = member.history
                member.model.finish(bank)
                if on_fitted is not None:
                    on_fitted(member.number)
        left = [member for member in left if not member.is_done]
        if left:
            _train(left, windows, bank, on_epoch, errors)
        left = [member for member in left if errors[member.number] is None]
    return errors


@dataclass
class _Member:
    """A model on its way.

    Attributes:
        number: of the model in the stack's list.
        model: whose weights are trained.
        training: its settings.
        name: for seeds and messages.
        checkpoint: its file, if it has one.
        history: of the epochs done.
        remembered: by Adam of each parameter, between two stacks.
    """

    number: int
    model: WindowModel
    training: Training
    name: str
    checkpoint: Path | None = None
    history: History = field(default_factory=list)
    remembered: Mapping[int, Mapping[str, Tensor]] = field(default_factory=dict)

    @property
    def is_done(self) -> bool:
        return len(self.history) >= self.training.epochs

    @property
    def pace(self) -> tuple[Any, ...]:
        """What members must share to be updated by one Adam."""
        training = self.training
        return training.learning_rate, training.decay, training.decay_every, training.betas, len(self.history)

    def resume(self, checkpoint: Path) -> None:
        """Go on from a checkpoint, if it is there."""
        self.checkpoint = checkpoint
        if checkpoint.exists():
            self.history, self.remembered = load_checkpoint(checkpoint, self.model)

    def note(self, losses: Mapping[str, float]) -> None:
        """End an epoch."""
        epoch = len(self.history)
        require_finite(losses, epoch, member=self.name, checkpoint=self.checkpoint)
        self.history.append({**losses, "learning_rate": self.training.rate(epoch)})

    def save(self) -> None:
        """Write the checkpoint; what Adam remembers must be up to date."""
        if self.checkpoint is not None:
            save_checkpoint(self.checkpoint, self.model, self.remembered, self.history)


def _train(
    members: list[_Member],
    windows: Tensor,
    bank: Bank,
    on_epoch: Callable[[int, int, dict[str, float]], None] | None,
    errors: list[TrainingError | None],
) -> None:
    """Train until a member is done or fails; all of them are whole models again afterwards.

    All checkpoints together are written as often for each member as a single one would be.
    """
    stack = _Stack(members)
    saved_at = time.monotonic()
    leaving = False
    while not leaving:
        for member, losses in zip(stack.members, stack.epoch(windows, bank), strict=True):
            try:
                member.note(losses)
            except TrainingError as error:
                errors[member.number], leaving = error, True
                continue
            leaving |= member.is_done
            if on_epoch is not None:
                on_epoch(member.number, len(member.history), member.history[-1])
        due = time.monotonic() - saved_at >= single.CHECKPOINT_SECONDS * len(members)
        if leaving or due:
            stack.remember()
            for member in stack.members:
                if errors[member.number] is None and (due or member.is_done):
                    member.save()
            saved_at = time.monotonic()
    for member in members:
        take_apart(member.model)


class _Stack:
    """M members as one model `[M, ...]`; those that one Adam can update stand side by side."""

    def __init__(self, members: Sequence[_Member]) -> None:
        self.members = sorted(members, key=lambda member: member.pace)
        self.training = members[0].training
        self.shell = _shell([member.model for member in self.members])
        self.parameters = list(self.shell.parameters())
        self.paces = list(self._paces())

    def _paces(self) -> Iterator["_Pace"]:
        first = 0
        for _, some in groupby(self.members, key=lambda member: member.pace):
            together = list(some)
            yield _Pace(together, self.parameters, slice(first, first + len(together)))
            first += len(together)

    def epoch(self, windows: Tensor, bank: Bank) -> list[dict[str, float]]:
        """One epoch of every member; its mean losses."""
        names, settings = [member.name for member in self.members], [member.training for member in self.members]
        epochs = [len(member.history) for member in self.members]
        device = windows.device
        self.shell.generators = tuple(
            generator_of(own.seed, name, epoch, device=device)
            for own, name, epoch in zip(settings, names, epochs, strict=True)
        )
        drawn = []
        for member, generator in zip(self.members, self.shell.generators, strict=True):
            member.model.generator = generator
            drawn.append(member.model.draws(bank, device))
        for pace in self.paces:
            pace.begin_epoch()
        sums: dict[str, Tensor] = {}
        count = 0
        self.shell.train()
        for chunk in chunks([torch.stack(same) for same in zip(*drawn, strict=True)], self.training.batch_size):
            for name, value in self.step(self.shell.batch(windows, *chunk)).items():
                sums[name] = sums[name] + value if name in sums else value
            count += 1
        if count == 0:
            raise TrainingError("an epoch had no batch; give clips with more windows, and a batch_size of at least 2")
        columns = {name: total.tolist() for name, total in sums.items()}
        return [{name: column[m] / count for name, column in columns.items()} for m in range(len(self.members))]

    def step(self, batch: Any) -> dict[str, Tensor]:
        """One step of every member; its losses `[M]`."""
        precision = self.training.precision
        with torch.autocast(self.parameters[0].device.type, dtype=torch.bfloat16, enabled=precision == "bf16"):
            losses = self.shell.loss(batch)
        losses["loss"].sum().backward()  # type: ignore[no-untyped-call]  # each weight belongs to one summand
        for pace in self.paces:
            pace.step()
        self.shell.zero_grad(set_to_none=True)
        return {name: value.detach().float() for name, value in losses.items()}

    def remember(self) -> None:
        """Give each member what Adam remembers of it."""
        for pace in self.paces:
            pace.remember()


class _Pace:
    """Members with the same settings of Adam and as many epochs behind them, and their Adam.

    Args:
        members: that stand side by side in the stack.
        parameters: of the stack `[M, ...]`.
        part: of the stack that these members are.
    """

    def __init__(self, members: list[_Member], parameters: list[Parameter], part: slice) -> None:
        self.members, self.parameters, self.part = members, parameters, part
        self.views = views = [parameter.detach()[part] for parameter in parameters]
        training = members[0].training
        fused = views[0].device.type in ("cpu", "cuda")
        self.adam = torch.optim.Adam(views, lr=training.learning_rate, betas=training.betas, fused=fused)
        for index, view in enumerate(views):
            remembered = [member.remembered[index] for member in members if member.remembered]
            if remembered:
                self.adam.state[view] = {
                    "step": remembered[0]["step"].clone().to(view.device if fused else "cpu"),
                    **{name: torch.stack([one[name] for one in remembered]) for name in ("exp_avg", "exp_avg_sq")},
                }

    def begin_epoch(self) -> None:
        """Set the epoch's learning rate."""
        for group in self.adam.param_groups:
            group["lr"] = self.members[0].training.rate(len(self.members[0].history))

    def step(self) -> None:
        """One step of Adam, by the parameters' gradients."""
        for view, parameter in zip(self.views, self.parameters, strict=True):
            view.grad = None if parameter.grad is None else parameter.grad[self.part]
        self.adam.step()

    def remember(self) -> None:
        """Give each member its part of what Adam remembers."""
        states = [self.adam.state[view] for view in self.views]
        for place, member in enumerate(self.members):
            member.remembered = {
                index: {name: value if name == "step" else value[place] for name, value in state.items()}
                for index, state in enumerate(states)
            }


def _shell(models: Sequence[WindowModel]) -> WindowModel:
    """The first model with stacked layers, and with tensors in place of the numbers by which the members differ."""
    shell = cast(WindowModel, stack_modules(models))
    weight = next(shell.parameters())
    for name, axes in shell.per_member.items():
        if axes is not None:
            values = torch.tensor([getattr(model, name) for model in models], dtype=weight.dtype, device=weight.device)
            setattr(shell, name, values.view(-1, *[1] * axes))
    return shell
