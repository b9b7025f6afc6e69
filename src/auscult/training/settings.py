"""What a training is told: its settings, a precision that the processor is made for, a device that is there."""

import math
import os
import time
from dataclasses import dataclass
from functools import cache
from typing import Literal, get_args

from auscult.errors import ModelError

Precision = Literal["fp32", "bf16"]

SLOWEST_BF16 = 4.0
"""How many times as long as float32 bfloat16 may take; without its own instructions a processor takes 20 to 320."""

INSIST = "AUSCULT_SLOW_BF16"
"""Environment variable that, if it is set, allows bfloat16 however slow it is."""


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
        ModelError: for a value out of range, or bfloat16 on a processor that has no instructions for it.
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
        require_fast(self.precision, self.device)

    def rate(self, epoch: int) -> float:
        """The learning rate of an epoch, counted from 0."""
        return self.learning_rate * self.decay ** (epoch // self.decay_every)


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


def require_fast(precision: Precision, device: str) -> None:
    """Refuse bfloat16 where a training would take hours for minutes.

    Raises:
        ModelError: if the processor computes in bfloat16 much more slowly than in float32, and nobody insists.
    """
    if precision == "fp32" or not device.startswith("cpu") or INSIST in os.environ:
        return
    if (slow := bf16_slowness()) > SLOWEST_BF16:
        raise ModelError(
            f"precision is 'bf16', and this processor computes in bfloat16 {slow:.0f} times as slowly as in float32: "
            f"it has no instructions for it. Choose fp32, or set the environment variable {INSIST} to insist"
        )


@cache
def bf16_slowness() -> float:
    """How many times as long as in float32 a small matrix product takes in bfloat16; measured once, in milliseconds."""
    import torch

    def seconds(factor: torch.Tensor) -> float:
        times = []
        for _ in range(4):  # the first time does not count
            started = time.perf_counter()
            torch.mm(factor, factor)
            times.append(time.perf_counter() - started)
        return min(times[1:])

    factor = torch.ones(128, 128)
    return seconds(factor.bfloat16()) / seconds(factor)
