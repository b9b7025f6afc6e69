"""The one training loop: epochs of batches, Adam, history, atomic checkpoints, resume."""

import hashlib
import json
import math
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from auscult.errors import TrainingError
from auscult.training.settings import Precision, Training, choose_device

__all__ = [
    "Adam",
    "History",
    "Precision",
    "Training",
    "choose_device",
    "generator_of",
    "load_checkpoint",
    "require_finite",
    "save_checkpoint",
    "seed_of",
    "train",
]

if TYPE_CHECKING:
    import torch
    from torch import Tensor

History = list[dict[str, float]]
"""One dictionary per epoch: the mean of every entry of `module.loss` by its name, and the `learning_rate`."""

CHECKPOINT_SECONDS = 5.0
"""A checkpoint is written when this time has passed since the last one; a resumed training repeats the rest exactly."""


def train(
    module: "torch.nn.Module",
    batches: Callable[[int], Iterable[Any]],
    *,
    training: Training,
    member: str,
    checkpoint: Path | None = None,
    on_epoch: Callable[[int, dict[str, float]], None] | None = None,
) -> History:
    """Train a module in place, on the device on which it is.

    Args:
        module: has `loss(batch) -> dict[str, Tensor]`.
        batches: epoch (from 0) -> its batches. What is random in them, and in the module, comes from generators that
            `batches` seeds by the epoch, so that a resumed training repeats an undisturbed one bit for bit.
        training: the settings.
        member: name for messages.
        checkpoint: a file to resume from and to write to; removed by whoever has stored the result.
        on_epoch: called with the number of epochs done and the newest entry of the history.

    Returns:
        The history, one entry per epoch.

    Raises:
        TrainingError: if an epoch's mean loss is not finite, in which case the last good checkpoint stays; or if the
            checkpoint is damaged.
    """
    adam = Adam(module.parameters(), betas=training.betas)
    history: History = []
    if checkpoint is not None and checkpoint.exists():
        history, state = load_checkpoint(checkpoint, module)
        adam.state |= state
    saved_at = time.monotonic()
    module.train()
    for epoch in range(len(history), training.epochs):
        entry = _epoch(module, batches(epoch), adam, training, training.rate(epoch))
        require_finite(entry, epoch, member=member, checkpoint=checkpoint)
        history.append({**entry, "learning_rate": training.rate(epoch)})
        last = epoch + 1 == training.epochs
        if checkpoint is not None and (last or time.monotonic() - saved_at >= CHECKPOINT_SECONDS):
            save_checkpoint(checkpoint, module, adam.state, history)
            saved_at = time.monotonic()
        if on_epoch is not None:
            on_epoch(epoch + 1, history[-1])
    module.eval()
    return history


def require_finite(entry: Mapping[str, float], epoch: int, *, member: str, checkpoint: Path | None) -> None:
    """Check the mean losses of an epoch, counted from 0.

    Raises:
        TrainingError: if one is not finite.
    """
    if not all(math.isfinite(value) for value in entry.values()):
        raise TrainingError(
            f"{member}: the loss is no finite number in epoch {epoch + 1} ({dict(entry)}); "
            "lower training.learning_rate or look for odd clips with `auscult inspect`"
            + (f"; the last good checkpoint is {checkpoint}" if checkpoint and checkpoint.exists() else "")
        )


def _epoch(module: Any, batches: Iterable[Any], adam: "Adam", training: Training, rate: float) -> dict[str, float]:
    """One pass; the sums stay on the device, so that nothing waits for them until the end."""
    import torch

    sums: dict[str, Tensor] = {}
    count, device_type = 0, torch.device(training.device).type
    for batch in batches:
        with torch.autocast(device_type, dtype=torch.bfloat16, enabled=training.precision == "bf16"):
            losses = module.loss(batch)
        module.zero_grad()
        losses["loss"].backward()
        adam.step(rate)
        for name, value in losses.items():
            detached = value.detach().float()
            sums[name] = sums[name] + detached if name in sums else detached
        count += 1
    if count == 0:
        raise TrainingError("an epoch had no batch; give clips with more windows, and a batch_size of at least 2")
    return {name: float(total) / count for name, total in sums.items()}


class Adam:
    """Adam (Kingma and Ba, ICLR 2015), by torch's own function, fused where there is a kernel.

    `torch.optim.Adam` does the same, and loads torch's compiler: a second in every process that trains.

    Args:
        parameters: to be trained, all on one device.
        betas: of the running means.

    Attributes:
        state: of each parameter, by its number: the tensors `step`, `exp_avg` and `exp_avg_sq`.
    """

    def __init__(self, parameters: "Iterable[Tensor]", *, betas: tuple[float, float]) -> None:
        self.parameters, self.betas = list(parameters), betas
        self.state = {index: _nothing_yet(parameter) for index, parameter in enumerate(self.parameters)}

    def step(self, rate: float) -> None:
        """One step along the gradients; a parameter without a gradient stays as it is."""
        import torch
        from torch.optim.adam import adam

        moved = [(index, parameter) for index, parameter in enumerate(self.parameters) if parameter.grad is not None]
        means, squares, steps = (
            [self.state[index][name] for index, _ in moved] for name in ("exp_avg", "exp_avg_sq", "step")
        )
        with torch.no_grad():
            adam(
                [parameter for _, parameter in moved],
                [gradient for _, parameter in moved if (gradient := parameter.grad) is not None],
                *(means, squares, [], steps),
                fused=_is_fused(self.parameters[0]) or None,
                amsgrad=False,
                beta1=self.betas[0],
                beta2=self.betas[1],
                lr=rate,
                weight_decay=0,
                eps=1e-8,
                maximize=False,
            )


def _nothing_yet(parameter: "Tensor") -> "dict[str, Tensor]":
    """What Adam remembers of a parameter before the first step."""
    import torch

    step = torch.zeros((), device=parameter.device if _is_fused(parameter) else "cpu")
    return {"step": step, "exp_avg": torch.zeros_like(parameter), "exp_avg_sq": torch.zeros_like(parameter)}


def _is_fused(parameter: "Tensor") -> bool:
    return parameter.device.type in ("cpu", "cuda")


def seed_of(*parts: object) -> int:
    """A seed from what identifies it, for instance seed, member and epoch: 63 bits of a SHA-256."""
    digest = hashlib.sha256(json.dumps([str(part) for part in parts]).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def generator_of(*parts: object, device: "torch.device | str" = "cpu") -> "torch.Generator":
    """A generator of its own on a device, seeded by `seed_of`."""
    import torch

    generator = torch.Generator(device=device)
    generator.manual_seed(seed_of(*parts))
    return generator


def save_checkpoint(
    path: Path, module: "torch.nn.Module", state: "Mapping[int, Mapping[str, Tensor]]", history: History
) -> None:
    """Write all that a training goes on from.

    Args:
        path: of the file.
        module: that is trained.
        state: what Adam remembers of each parameter, by the parameter's number.
        history: of the epochs so far.
    """
    from safetensors.torch import save_file

    from auscult.files import replacing

    tensors = {f"module.{name}": tensor.contiguous() for name, tensor in module.state_dict().items()}
    for index, remembered in state.items():
        tensors |= {f"optimizer.{index}.{name}": tensor.contiguous() for name, tensor in remembered.items()}
    with replacing(path) as temporary:
        save_file(tensors, temporary, metadata={"history": json.dumps(history)})


def load_checkpoint(path: Path, module: "torch.nn.Module") -> "tuple[History, dict[int, dict[str, Tensor]]]":
    """Read what `save_checkpoint` wrote: the weights into the module; gives the history and what Adam remembers.

    Raises:
        TrainingError: if the file is damaged.
    """
    from safetensors import SafetensorError, safe_open

    weights: dict[str, Tensor] = {}
    state: dict[int, dict[str, Tensor]] = {}
    parameters = list(module.parameters())
    try:
        opened = safe_open(path, framework="pt")
    except SafetensorError as error:
        raise TrainingError(f"the checkpoint {path} is damaged: {error}; remove it to train from the start") from error
    with opened as file:
        history: History = json.loads(file.metadata()["history"])
        for key in file.keys():  # noqa: SIM118  # safetensors' handle is no dictionary
            kind, name = key.split(".", 1)
            if kind == "module":
                weights[name] = file.get_tensor(key)
                continue
            number, name = name.split(".", 1)
            remembered = state.setdefault(int(number), _nothing_yet(parameters[int(number)]))
            remembered[name].copy_(file.get_tensor(key))  # in the parameter's own order in memory, for the fused kernel
    module.load_state_dict(weights)
    return history, state
