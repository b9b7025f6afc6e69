"""Denoising sounds of any length in overlapping chunks: bounded memory, and the result of the whole."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray

from auscult.denoising.levels import load_level, read_levels
from auscult.denoising.unet import UNet
from auscult.errors import ModelError
from auscult.files import replacing
from auscult.sound.audio import Block, blocks_of
from auscult.sound.writing import new_sound

CHUNK_SECONDS = 20.0
"""What is denoised at once, without the overlap."""


class Denoiser:
    """One strength of a trained denoiser, ready to use.

    Args:
        unet: the network.
        sample_rate: of the sounds that it takes, in Hz.
        chunk_seconds: how much is denoised at once; more needs more memory, less repeats more of the overlap.

    Shape:
        waveform `[T]` -> `[T]`.
    """

    def __init__(self, unet: UNet, *, sample_rate: int, chunk_seconds: float = CHUNK_SECONDS) -> None:
        self.unet = unet.eval()
        self.sample_rate = sample_rate
        self.core = max(1, round(chunk_seconds * sample_rate / unet.grid)) * unet.grid
        self.overlap = -(-unet.reach // unet.grid) * unet.grid  # beyond it no sample matters, so there is no seam

    @classmethod
    def load(cls, folder: Path, level: int, *, device: str = "cpu") -> Self:
        """Open one strength, 1 to 10, of a denoiser's folder.

        Raises:
            ModelError: if there is no such level, or the folder is no denoiser.
        """
        return cls(load_level(folder, level, device=device), sample_rate=read_levels(folder).sample_rate)

    def __call__(self, waveform: NDArray[np.float32]) -> NDArray[np.float32]:
        """Denoise a waveform."""
        if waveform.ndim != 1:
            raise ModelError(f"the waveform has the shape {waveform.shape}; give one channel, [T]")
        if not len(waveform):
            return waveform
        rms = float(np.sqrt(np.mean(np.square(waveform, dtype=np.float64))))
        return np.concatenate(list(self.stream([waveform], rms=rms)))

    def stream(self, blocks: Iterable[Block], *, rms: float) -> Iterator[Block]:
        """Denoise a long sound block by block; all blocks together are as long as those given.

        Args:
            blocks: the sound in parts `[T]` of any lengths.
            rms: root mean square of the whole sound, by which the network scales it.
        """
        held = np.zeros(0, dtype=np.float32)
        before = 0  # samples of `held` that are there for the overlap alone
        for block in blocks:
            held = np.concatenate([held, block])
            while len(held) > before + self.core + self.overlap:
                part = self._denoise(held[: before + self.core + self.overlap], rms)
                yield part[before : before + self.core]
                held = held[max(0, before + self.core - self.overlap) :]
                before = min(self.overlap, before + self.core)
        if len(held) > before:
            yield self._denoise(held, rms)[before:]

    def denoise_file(self, source: Path, target: Path, *, channel: int = 0) -> None:
        """Denoise one channel of a file of any length into another file, at the denoiser's rate, in 24 bits.

        Args:
            source: wav, flac or ogg.
            target: appears when it is complete; its suffix decides on the format.
            channel: counted from 0.

        Raises:
            AudioError: if the source cannot be read.
            RunError: if the target cannot be written.
        """

        def read() -> Iterator[Block]:
            return blocks_of(source, sample_rate=self.sample_rate, channel=channel)

        count, energy = 0, 0.0
        for block in read():
            count, energy = count + len(block), energy + float(np.sum(np.square(block, dtype=np.float64)))
        subtype = "VORBIS" if target.suffix.lower() == ".ogg" else "PCM_24"
        kind = target.suffix[1:].upper()
        with (
            replacing(target) as temporary,
            new_sound(temporary, self.sample_rate, format=kind, subtype=subtype) as file,
        ):
            for block in self.stream(read(), rms=(energy / max(1, count)) ** 0.5):
                file.write(np.clip(block, -1.0, 1.0))

    def _denoise(self, part: Block, rms: float) -> Block:
        device = self.unet.window.device
        with torch.inference_mode():
            noisy = torch.tensor(part, device=device)[None]
            clean: Block = self.unet(noisy, torch.tensor([rms], dtype=torch.float32, device=device))[0].cpu().numpy()
        return clean
