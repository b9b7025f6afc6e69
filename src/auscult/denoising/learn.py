"""From files to a denoiser: which sounds are used, how they are split, and the training."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auscult.clips import Clip
from auscult.denoising.sounds import CleanSound, Item, Part, split_parts
from auscult.errors import DatasetError
from auscult.sound.audio import read_waveform
from auscult.training import Training

MOST_NOISE, MOST_CLEAN = 720, 2000
"""Files of noise and of clean sounds that are used at most, spread evenly over all."""
FEWEST = 3
"""Files of each: one to train, one to choose levels by, one to measure them with."""
MOST_SECONDS = 30
"""What is used of a file at most, from its beginning."""
FIXED_SECONDS = 4.0
"""Length of a fixed mixture."""
FINAL_RATE = 0.02
"""Learning rate of the last epoch, relative to the first: it falls by the same factor in every epoch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DenoiserSettings:
    """How a denoiser is trained, besides `Training`.

    Attributes:
        sample_rate: of all sounds, in Hz.
        steps: batches in an epoch.
        seconds: length of a mixture in training.
        fixed: mixtures that choose the levels, and as many others that measure them.
        channel: of multi-channel recordings, counted from 0; clean sounds are taken from channel 0.
    """

    sample_rate: int = 16000
    steps: int = 50
    seconds: float = 1.0
    fixed: int = 32
    channel: int = 0


def denoiser_training(**differences: Any) -> Training:
    """The default training, 40 epochs of 12 mixtures, with some differences."""
    epochs = differences.get("epochs", 40)
    decay = FINAL_RATE ** (1 / max(1, epochs - 1))
    return Training(
        **{"epochs": epochs, "batch_size": 12, "learning_rate": 1e-3, "decay": decay, "decay_every": 1, **differences}
    )


def choose_clean(sounds: Sequence[CleanSound]) -> tuple[CleanSound, ...]:
    """The clean sounds to use.

    Raises:
        DatasetError: if they come from fewer than three recordings.
    """
    n = len({sound.recording for sound in sounds})
    if n < FEWEST:
        raise DatasetError(
            f"there are clean sounds of {n} recordings; a denoiser needs {FEWEST} at least, to train, to choose "
            "its levels and to measure them. Add mechanical sounds to the folder of clean sounds"
        )
    return _spread(sounds, MOST_CLEAN)


def supplemental_clean(clips: Sequence[Clip], machine_type: str) -> list[CleanSound]:
    """The supplemental clips of a machine type without any noise around it, as clean sounds; none of too few."""
    own = [clip for clip in clips if clip.machine_type == machine_type]
    return [CleanSound(clip.path, machine_type, clip.file) for clip in own] if len(own) >= FEWEST else []


def choose_noise(clips: Sequence[Clip], machine_type: str, *, alone: Sequence[Clip] = ()) -> tuple[Clip, ...]:
    """The noise for one machine type: that of its surroundings alone, and normal clips of the others.

    Of these training clips, where there are any.

    Args:
        clips: of all machine types.
        machine_type: whose sounds are to be kept.
        alone: supplemental clips of noise, of all machine types.

    Raises:
        DatasetError: if there are fewer than three in all.
    """
    own = [clip for clip in alone if clip.machine_type == machine_type]
    others = [clip for clip in clips if clip.machine_type != machine_type]
    normal = [clip for clip in others if clip.split == "train"] or [clip for clip in others if clip.label == "normal"]
    if len(own) + len(normal) < FEWEST:
        there = f"the data has {len(normal)} of them" if others else "the data has no other machine type"
        raise DatasetError(
            f"a denoiser for {machine_type} learns what noise is from normal clips of other machine types, and needs 3 "
            f"at least; {there}. Add recordings of other machines, or set denoise_level to 0"
        )
    return _spread([*own, *normal], MOST_NOISE)


def learn_denoiser(
    clean: Sequence[CleanSound],
    noise: Sequence[Clip],
    *,
    folder: Path,
    machine_type: str,
    settings: DenoiserSettings,
    training: Training,
    on_epoch: Callable[[int, str], None] | None = None,
) -> None:
    """Train a denoiser for one machine type and write its levels to a folder.

    Args:
        clean: from `choose_clean`.
        noise: from `choose_noise`.
        folder: must exist; what a killed training left there is continued.
        machine_type: whose sounds are to be kept.
        settings: see there.
        training: from `denoiser_training`.
        on_epoch: called with the number of epochs done and a word on the newest snapshot.

    Raises:
        AudioError: if a file cannot be read.
        DatasetError: if the clean sounds of a part are silent.
        TrainingError: if the loss is no finite number.
    """
    from auscult.denoising.levels import train_denoiser
    from auscult.denoising.mixtures import Mixer, WaveBank

    clean_waves = read_clean(clean, sample_rate=settings.sample_rate)
    noise_parts = split_parts(noise, lambda clip: (clip.machine_type, clip.path))

    def mixer(part: Part, seconds: float) -> Mixer:
        waves = [_read(clip.path, settings.sample_rate, settings.channel) for clip in noise_parts[part]]
        clean_bank, noise_bank = (WaveBank(some, device=training.device) for some in (clean_waves[part], waves))
        return Mixer(clean_bank, noise_bank, length=round(seconds * settings.sample_rate))

    train_denoiser(
        mixer("train", settings.seconds),
        validation=mixer("validation", FIXED_SECONDS).fixed(settings.fixed, seed=training.seed, name="validation"),
        test=mixer("test", FIXED_SECONDS).fixed(settings.fixed, seed=training.seed, name="test"),
        folder=folder,
        machine_type=machine_type,
        sample_rate=settings.sample_rate,
        training=training,
        steps=settings.steps,
        on_epoch=lambda done, newest: on_epoch(done, f"gain {newest.gain.snr_db:.1f} dB") if on_epoch else None,
    )


def read_clean(clean: Sequence[CleanSound], *, sample_rate: int) -> dict[Part, list[NDArray[np.float32]]]:
    """The clean waveforms `[T]` of each part, silent ends cut off; silent sounds are left out.

    Raises:
        AudioError: if a file cannot be read.
        DatasetError: if too few are not silent.
    """
    from auscult.denoising.mixtures import trim_silence

    waves = [(sound, trim_silence(_read(sound.path, sample_rate, 0))) for sound in clean]
    silent = [sound.path for sound, wave in waves if not len(wave)]
    parts = split_parts([pair for pair in waves if len(pair[1])], lambda pair: pair[0].recording)
    if not all(parts.values()):
        raise DatasetError(
            f"{len(silent)} of {len(waves)} clean sounds are silent, such as {silent[0]}; a denoiser needs sounds of 3 "
            "recordings at least. Give mechanical sounds that can be heard"
        )
    return {part: [wave for _, wave in some] for part, some in parts.items()}


def _read(path: Path, sample_rate: int, channel: int) -> NDArray[np.float32]:
    return read_waveform(path, sample_rate=sample_rate, channel=channel)[: MOST_SECONDS * sample_rate]


def _spread(items: Sequence[Item], most: int) -> tuple[Item, ...]:
    """At most so many of the items, spread evenly."""
    if len(items) <= most:
        return tuple(items)
    return tuple(items[index * len(items) // most] for index in range(most))
