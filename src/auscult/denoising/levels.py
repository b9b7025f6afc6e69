"""Ten levels of denoising: snapshots of one training, chosen by the gain in SNR on fixed mixtures."""

import json
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auscult.denoising.mixtures import Mixer, Mixture
from auscult.denoising.quality import Gain, gains, mean_gain
from auscult.denoising.unet import UNet
from auscult.errors import ModelError
from auscult.files import replacing, write_text
from auscult.training import Training, generator_of, seed_of, train

N_LEVELS = 10
FORMAT = "1"
INDEX = "denoiser.json"
EXAMPLE = "example.safetensors"
_VALIDATIONS = "validations.json"
_SHORT = 20  # epochs that may be shorter


@dataclass(frozen=True, slots=True)
class Validation:
    """One snapshot: after `epoch` epochs, with the training's mean `loss` and the `gain` on the validation mixtures."""

    epoch: int
    loss: float
    gain: Gain


@dataclass(frozen=True, slots=True)
class Level:
    """One strength: the snapshot after `epoch` epochs, with the `gain` measured on mixtures that did not choose it."""

    level: int
    epoch: int
    gain: Gain


@dataclass(frozen=True, slots=True)
class Levels:
    """What a denoiser's folder says about itself.

    Attributes:
        machine_type: whose sounds it keeps.
        sample_rate: in Hz.
        arguments: of the network.
        levels: 1 to 10, in order.
        validations: all snapshots of the training, also those that no level uses.
    """

    machine_type: str
    sample_rate: int
    arguments: dict[str, Any]
    levels: tuple[Level, ...]
    validations: tuple[Validation, ...]


def train_denoiser(
    mixer: Mixer,
    *,
    validation: Mixture,
    test: Mixture,
    folder: Path,
    machine_type: str,
    sample_rate: int,
    training: Training,
    steps: int = 100,
    arguments: dict[str, Any] | None = None,
    on_epoch: Callable[[int, Validation], None] | None = None,
) -> Levels:
    """Train a denoiser and keep ten strengths of it in a folder.

    Args:
        mixer: draws what it learns from.
        validation: fixed mixtures that choose the levels.
        test: fixed mixtures of other sounds that measure the chosen levels.
        folder: must exist; what a killed training left there is continued.
        machine_type: whose sounds are to be kept.
        sample_rate: of all mixtures, in Hz.
        training: the settings; the batch size is in mixtures. There is a validation after every epoch.
        steps: batches in an epoch; the first epochs are shorter (`steps_of`).
        arguments: of the network (`UNet`).
        on_epoch: called with the number of epochs done and the newest snapshot's figures.

    Raises:
        TrainingError: if the loss is no finite number.
    """
    member = f"{machine_type} denoiser"
    unet = UNet(**{"seed": seed_of(training.seed, member, "weights") % 2**31, **(arguments or {})})
    unet.to(training.device)
    memory = folder / _VALIDATIONS
    found = json.loads(memory.read_text(encoding="utf-8")) if memory.exists() else []
    validations = [Validation(**_with_gain(one)) for one in found]

    def batches(epoch: int) -> Iterable[Mixture]:
        if len(validations) < epoch:  # killed between a checkpoint and its validation
            validate(epoch, {})
        generator = generator_of(training.seed, member, epoch, device=training.device)
        return mixer.batches(steps_of(epoch, steps), training.batch_size, generator)

    def validate(done: int, losses: dict[str, float]) -> None:
        del validations[done - 1 :]  # those of epochs that a killed training had done beyond its checkpoint
        best = max((other.gain.snr_db for other in validations), default=-float("inf"))
        gain = mean_gain(gains(unet, validation, bf16=training.precision == "bf16"))
        unet.train()
        validations.append(Validation(done, losses.get("loss", 0.0), gain))
        if gain.snr_db > best:  # only such a one can be the first to reach a target
            save_unet(unet, _snapshot(folder, done))
        write_text(memory, json.dumps([asdict(one) for one in validations]))
        if on_epoch is not None:
            on_epoch(done, validations[-1])

    checkpoint = folder / "checkpoint.safetensors"
    history = train(unet, batches, training=training, member=member, checkpoint=checkpoint, on_epoch=validate)
    if len(validations) < len(history):
        validate(len(history), {})
    validations = [replace(one, loss=entry["loss"]) for one, entry in zip(validations, history, strict=True)]
    _save_example(folder, test)
    levels = _measured_levels(folder, validations, test, training)
    found = Levels(machine_type, sample_rate, _arguments(unet), levels, tuple(validations))
    _finish(folder, found)
    return found


def _measured_levels(
    folder: Path, validations: Sequence[Validation], test: Mixture, training: Training
) -> tuple[Level, ...]:
    """Choose the snapshot of each level, and measure these snapshots on sounds that chose nothing."""
    chosen = choose_levels([one.gain.snr_db for one in validations])
    measured: dict[int, Gain] = {}
    for index in sorted(set(chosen)):
        snapshot = load_unet(_snapshot(folder, validations[index].epoch), device=training.device)
        measured[index] = mean_gain(gains(snapshot, test, bf16=training.precision == "bf16"))
    return tuple(Level(number, validations[index].epoch, measured[index]) for number, index in enumerate(chosen, 1))


def steps_of(epoch: int, steps: int) -> int:
    """Batches of an epoch, counted from 0: few at first, so that there are snapshots of weak denoising.

    >>> [steps_of(epoch, 30) for epoch in range(10)]
    [1, 2, 3, 4, 6, 8, 12, 18, 26, 30]
    """
    return min(steps, math.ceil(1.5**epoch)) if epoch < _SHORT else steps


def choose_levels(gains_db: Sequence[float]) -> list[int]:
    """The snapshot of each level: level i is the first whose gain reached i/10 of the best.

    Args:
        gains_db: gain in SNR of each snapshot, in the order of the training.

    Returns:
        Ten indices, rising. If nothing was gained at all, each is that of the best snapshot.

    >>> choose_levels([0.2, 0.9, 0.8, 2.0])
    [0, 1, 1, 1, 3, 3, 3, 3, 3, 3]
    """
    best = max(gains_db)
    targets = [best * (level / N_LEVELS) if best > 0 and level < N_LEVELS else best for level in range(1, N_LEVELS + 1)]
    return [next(index for index, gain in enumerate(gains_db) if gain >= target) for target in targets]


def save_unet(unet: UNet, path: Path) -> None:
    """Write arguments and tensors to one safetensors file, by way of a temporary name."""
    from safetensors.torch import save_file

    tensors = {key: tensor.contiguous() for key, tensor in unet.state_dict().items()}
    with replacing(path) as temporary:
        save_file(tensors, temporary, metadata={"format": FORMAT, "arguments": json.dumps(_arguments(unet))})


def load_unet(path: Path, *, device: str = "cpu") -> UNet:
    """Read what `save_unet` wrote, ready to denoise.

    Raises:
        ModelError: if the file is missing, damaged or of another format.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt", device=device) as file:
            metadata = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  # the handle is no dictionary
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{path} cannot be read as a denoiser ({error}); train it again") from error
    if metadata.get("format") != FORMAT:
        raise ModelError(f"{path} has the format {metadata.get('format')!r}; this version reads {FORMAT!r}")
    try:
        unet = UNet(**json.loads(metadata["arguments"]))
        unet.load_state_dict(tensors)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise ModelError(f"{path} is no denoiser of this version ({error}); train it again") from error
    return unet.to(device).eval()


def read_levels(folder: Path) -> Levels:
    """What a denoiser's folder says about itself.

    Raises:
        ModelError: if it is no finished denoiser.
    """
    try:
        content = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        if content.pop("format") != FORMAT:
            raise ModelError(f"{folder} is a denoiser of another format; this version reads {FORMAT!r}")
        levels = tuple(Level(**_with_gain(one)) for one in content.pop("levels"))
        validations = tuple(Validation(**_with_gain(one)) for one in content.pop("validations"))
        return Levels(levels=levels, validations=validations, **content)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(
            f"{folder} is no denoiser ({error}); give a folder that `auscult train-denoiser` wrote"
        ) from error


def read_example(folder: Path) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """One mixture of those that measured the levels, to look at: noisy and clean waveform `[T]`.

    Raises:
        ModelError: if the folder is no denoiser.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        found = load_file(folder / EXAMPLE)
        return found["noisy"], found["clean"]
    except (OSError, SafetensorError, KeyError) as error:
        raise ModelError(f"{folder / EXAMPLE} cannot be read ({error}); train the denoiser again") from error


def _save_example(folder: Path, test: Mixture) -> None:
    from safetensors.numpy import save_file

    place = min(1, len(test[0]) - 1)  # the second of the fixed mixtures has 0 dB
    noisy, clean = (np.ascontiguousarray(part[place].cpu().numpy()) for part in test)
    with replacing(folder / EXAMPLE) as temporary:
        save_file({"noisy": noisy, "clean": clean}, temporary)


def level_file(folder: Path, level: int) -> Path:
    """The file that holds the network of one strength, which some may share.

    Raises:
        ModelError: if there is no such level, or the folder is no denoiser.
    """
    levels = {one.level: one for one in read_levels(folder).levels}
    if level not in levels:
        raise ModelError(f"level {level} of denoising was asked for; choose 1 to {N_LEVELS}")
    return _snapshot(folder, levels[level].epoch)


def load_level(folder: Path, level: int, *, device: str = "cpu") -> UNet:
    """The network of one strength.

    Raises:
        ModelError: if there is no such level, or the folder is no denoiser.
    """
    return load_unet(level_file(folder, level), device=device)


def _snapshot(folder: Path, epoch: int) -> Path:
    return folder / f"epoch_{epoch:04d}.safetensors"


def _finish(folder: Path, levels: Levels) -> None:
    """Write the index and remove the snapshots that no level uses."""
    used = {_snapshot(folder, level.epoch) for level in levels.levels}
    write_text(folder / INDEX, json.dumps({"format": FORMAT, **asdict(levels)}, indent=1))
    for path in folder.glob("epoch_*.safetensors"):
        if path not in used:
            path.unlink()
    for path in (folder / _VALIDATIONS, folder / "checkpoint.safetensors"):
        path.unlink(missing_ok=True)


def _arguments(unet: UNet) -> dict[str, Any]:
    return {name: getattr(unet, name) for name in ("n_fft", "hop_length", "channels", "seed")}


def _with_gain(content: dict[str, Any]) -> dict[str, Any]:
    return {**content, "gain": Gain(**content["gain"])}
