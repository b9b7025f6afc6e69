"""From file to clip score with the baseline, against the same steps written with librosa and a plain PyTorch loop."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from benchmarks.features import RATE, clips, librosa_log_mel
from benchmarks.timing import side_by_side

if TYPE_CHECKING:
    import torch

N_CLIPS = 20


def figures() -> dict[str, float]:
    import soundfile
    import torch

    from auscult.features import LogMel
    from auscult.features.front_end import FrontEnd
    from auscult.models import Autoencoder
    from auscult.training import Training

    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{index}.wav" for index in range(N_CLIPS)]
        for path, waveform in zip(paths, clips(N_CLIPS), strict=True):
            soundfile.write(path, waveform, RATE)
        front_end = FrontEnd(LogMel(RATE))
        bank = [front_end(path) for path in paths[:2]]
        model = Autoencoder().fit(bank, ["id_00"] * 2, training=Training(epochs=1))

        def ours() -> Any:
            return [model.score_clips([front_end(path)], ["id_00"])[0] for path in paths]

        def theirs() -> Any:
            with torch.no_grad():
                return [plain_score(path, model.network) for path in paths]

        np.testing.assert_allclose(ours(), theirs(), rtol=1e-4)  # the same scores, or the race means nothing
        return {"baseline_score_vs_plain": side_by_side(theirs, ours)}


def plain_score(path: Path, network: Any) -> float:
    """The steps as a script would write them: load, log-mel, windows of 5 frames, batches of 512, mean error."""
    import librosa
    import torch

    waveform, _ = librosa.load(path, sr=None, mono=True)
    batches = plain_windows(librosa_log_mel(waveform), 5)
    return float(torch.cat([(network(batch) - batch).square().mean(dim=1) for batch in batches]).mean())


def plain_windows(frames: Any, context: int) -> "torch.utils.data.DataLoader[torch.Tensor]":
    """Batches of 512 windows of frames `[N, F]`, copied one frame after the other."""
    import torch

    count, width = len(frames) - context + 1, frames.shape[1]
    windows = np.zeros((count, context * width), dtype=np.float32)
    for position in range(context):
        windows[:, position * width : (position + 1) * width] = frames[position : position + count]
    dataset = cast("torch.utils.data.Dataset[torch.Tensor]", torch.from_numpy(windows))  # a tensor has what one needs
    return torch.utils.data.DataLoader(dataset, batch_size=512)
