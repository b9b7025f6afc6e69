"""YAMNet learns on to tell the machines of a data folder apart; the weights that come of it are as any of YAMNet's."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from auscult.clips import Clip
from auscult.errors import FeatureError, WeightsError
from auscult.features.yamnet import LENGTH, Yamnet
from auscult.features.yamnet_network import PATCH, SAMPLE_RATE, MobileNet
from auscult.features.yamnet_weights import KERAS, ONNX, TENSORS
from auscult.files import replacing, saving, write_text
from auscult.models.adaptation import adapt_encoder, adaptable
from auscult.sound.audio import read_waveform
from auscult.training import History, Training

FACTS, CHECKPOINT = "adaptation.json", "adaptation-{}.checkpoint"
"""Files beside the weights; a checkpoint is named by all that the training depends on."""


def adapt_yamnet(
    clips: Sequence[Clip],
    yamnet: Yamnet,
    folder: Path,
    *,
    training: Training,
    rank: int = 8,
    channel: int = 0,
    on_step: Callable[[int, int, str], None] = lambda *_: None,
) -> Path:
    """Train low-rank additions to YAMNet's weights on normal clips, and write the sum.

    Args:
        clips: training clips; a class is a machine with its domain and attributes.
        yamnet: whose weights begin.
        folder: of the new weights, made if missing; `adaptation.json` beside them says how they came about.
        training: its settings.
        rank: of the additions.
        channel: of multi-channel files, counted from 0.
        on_step: called with the number of clips read, then of epochs done, of all, and a word.

    Returns:
        The file of weights.

    Raises:
        AuscultError: if a clip cannot be read, is shorter than a window, or all are of one class; if the training
            fails; if the folder holds weights already, or cannot be written to.
    """
    classes = [(clip.machine_type, *clip.known) for clip in clips]
    adaptable(classes, rank)
    for name in (KERAS, ONNX, TENSORS):
        if (folder / name).exists():
            raise WeightsError(f"{folder} holds {name} already; name another folder for the adapted weights")
    with saving(folder):
        folder.mkdir(parents=True, exist_ok=True)
    network = yamnet.network().to(training.device)
    spectrograms = []
    for clip in clips:
        spectrograms.append(_spectrogram(clip.path, yamnet, channel))
        on_step(len(spectrograms), len(clips), "clips")

    def draw(places: Sequence[int], generator: torch.Generator) -> Tensor:
        starts = torch.rand(len(places), generator=generator)
        windows = []
        for place, start in zip(places, starts.tolist(), strict=True):
            whole = spectrograms[place]
            first = int(start * (len(whole) - PATCH + 1))
            windows.append(whole[first : first + PATCH])
        return torch.stack(windows)[:, None].float().to(training.device)

    history = adapt_encoder(
        network,
        classes,
        draw,
        width=yamnet.n_bins,
        training=training,
        rank=rank,
        checkpoint=folder / CHECKPOINT.format(_digest([classes, yamnet.sha256, rank, asdict(training)], spectrograms)),
        on_epoch=lambda done, _: on_step(done, training.epochs, "epochs"),
    )
    path = _write(network.cpu(), folder, {"from": yamnet.sha256, "rank": rank, "clips": len(clips)}, history)
    for checkpoint in folder.glob(CHECKPOINT.format("*")):
        checkpoint.unlink()
    return path


def _digest(facts: list[Any], spectrograms: Sequence[Tensor]) -> str:
    found = hashlib.sha256(repr(facts).encode())
    for one in spectrograms:
        found.update(one.numpy().tobytes())
    return found.hexdigest()[:16]


def _spectrogram(path: Path, yamnet: Yamnet, channel: int) -> Tensor:
    """Log-mel of a clip `[N, 64]`, in half the memory."""
    waveform = read_waveform(path, sample_rate=SAMPLE_RATE, channel=channel)
    if len(waveform) < LENGTH:
        raise FeatureError(
            f"{path} has {len(waveform) / SAMPLE_RATE:.2f} s, and a window of YAMNet {LENGTH / SAMPLE_RATE:.3f} s; "
            "remove the clip"
        )
    return yamnet.spectrogram(waveform).half().cpu()


def _write(network: MobileNet, folder: Path, facts: dict[str, Any], history: History) -> Path:
    from safetensors.torch import save

    content = save({name: tensor.contiguous() for name, tensor in network.state_dict().items()})
    path = folder / TENSORS
    with saving(folder):
        facts |= {"sha256": hashlib.sha256(content).hexdigest(), "history": history}
        write_text(folder / FACTS, json.dumps(facts, indent=1) + "\n")
        with replacing(path) as fresh:
            fresh.write_bytes(content)
    return path
