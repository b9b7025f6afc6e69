"""The one training loop: epochs of batches, Adam, history, atomic checkpoints, resume."""

import hashlib
import json
import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, get_args

from auscult.errors import ModelError, TrainingError
from auscult.files import replacing

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Precision = Literal["fp32", "bf16"]
History = list[dict[str, float]]
"""One dictionary per epoch: the mean of every entry of `module.loss` by its name, and the `learning_rate`."""

CHECKPOINT_SECONDS = 5.0
"""A checkpoint is written when this time has passed since the last one; a resumed training repeats the rest exactly."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """Settings of one training.

    Attributes:
        epochs: passes over what the model's `batches` call an epoch.
        batch_size: in windows, or in crops for models that train on crops.
        learning_rate: of Adam, in the first epoch.
        betas: of Adam.
        decay: factor on the learning rate every `decay_every` epochs.
        decay_every: in epochs.
        precision: `"fp32"`, or `"bf16"`: bfloat16 autocast with float32 weights.
        seed: of everything random in the training.
        device: `"cpu"`, `"cuda"`, `"cuda:1"`, `"mps"`, ...

    Raises:
        ModelError: for a value out of range.
    """

    epochs: int = 100
    batch_size: int = 512
    learning_rate: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    decay: float = 1.0
    decay_every: int = 5
    precision: Precision = "fp32"
    seed: int = 0
    device: str = "cpu"

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "decay_every"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise ModelError(f"training: {name} is {value!r}; it must be a whole number of at least 1")
        for name in ("learning_rate", "decay"):
            if not 0 < getattr(self, name) < math.inf:
                raise ModelError(f"training: {name} is {getattr(self, name)!r}; it must be finite and greater than 0")
        if not all(0 <= beta < 1 for beta in self.betas):
            raise ModelError(f"training: betas are {self.betas!r}; each must be at least 0 and below 1")
        if self.precision not in get_args(Precision):
            raise ModelError(f"training: precision is {self.precision!r}; choose {' or '.join(get_args(Precision))}")

    def rate(self, epoch: int) -> float:
        """The learning rate of an epoch, counted from 0."""
        return self.learning_rate * self.decay ** (epoch // self.decay_every)


class Trainable(Protocol):
    """What can be trained: a module that knows the loss of a batch."""

    def loss(self, batch: Any) -> "dict[str, Tensor]":
        """Scalars by name; `"loss"` is minimised, every entry is logged."""


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
    import torch

    device = torch.device(training.device)
    fused = device.type in ("cpu", "cuda")
    optimizer = torch.optim.Adam(module.parameters(), lr=training.learning_rate, betas=training.betas, fused=fused)
    history: History = []
    if checkpoint is not None and checkpoint.exists():
        history, state = load_checkpoint(checkpoint, module)
        optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    saved_at = time.monotonic()
    module.train()
    for epoch in range(len(history), training.epochs):
        rate = training.rate(epoch)
        for group in optimizer.param_groups:
            group["lr"] = rate
        entry = _epoch(module, batches(epoch), optimizer, training.precision, device.type)
        require_finite(entry, epoch, member=member, checkpoint=checkpoint)
        history.append({**entry, "learning_rate": rate})
        last = epoch + 1 == training.epochs
        if checkpoint is not None and (last or time.monotonic() - saved_at >= CHECKPOINT_SECONDS):
            save_checkpoint(checkpoint, module, optimizer.state_dict()["state"], history)
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


def _epoch(
    module: Any, batches: Iterable[Any], optimizer: "torch.optim.Optimizer", precision: Precision, device_type: str
) -> dict[str, float]:
    """One pass; the sums stay on the device, so that nothing waits for them until the end."""
    import torch

    sums: dict[str, Tensor] = {}
    count = 0
    for batch in batches:
        with torch.autocast(device_type, dtype=torch.bfloat16, enabled=precision == "bf16"):
            losses = module.loss(batch)
        optimizer.zero_grad(set_to_none=True)
        losses["loss"].backward()
        optimizer.step()
        for name, value in losses.items():
            detached = value.detach().float()
            sums[name] = sums[name] + detached if name in sums else detached
        count += 1
    if count == 0:
        raise TrainingError("an epoch had no batch; give clips with more windows, and a batch_size of at least 2")
    return {name: float(total) / count for name, total in sums.items()}


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


def choose_device(name: str) -> str:
    """Check a device's name; `"auto"` is CUDA, else MPS, else the CPU.

    Raises:
        ModelError: if the name is unknown or this machine lacks the device.
    """
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        device = torch.device("meta")
    if device.type not in ("cpu", "cuda", "mps"):
        raise ModelError(f"device {name!r} is unknown; choose auto, cpu, cuda, cuda:N or mps")
    there = {
        "cpu": device.index in (None, 0),
        "cuda": torch.cuda.is_available() and (device.index or 0) < torch.cuda.device_count(),
        "mps": torch.backends.mps.is_available(),
    }
    if not there[device.type]:
        raise ModelError(f"device {name!r} is not on this machine; choose cpu, or auto to take what is there")
    return name


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
    import torch
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
            else:
                index, name = name.split(".", 1)
                tensor, parameter = file.get_tensor(key), parameters[int(index)]
                if tensor.shape == parameter.shape:  # fused Adam needs the parameter's own order in memory
                    tensor = torch.empty_like(parameter, requires_grad=False).copy_(tensor)
                state.setdefault(int(index), {})[name] = tensor
    module.load_state_dict(weights)
    return history, state
