"""From file to clip score with the baseline, against the same steps written with librosa and a plain PyTorch loop."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from benchmarks.features import RATE, clips
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
    mel = librosa.feature.melspectrogram(
        y=waveform, sr=RATE, n_fft=1024, hop_length=512, n_mels=128, power=2.0, pad_mode="constant"
    )
    log_mel = 10 * np.log10(mel + np.finfo(np.float64).eps)
    count = log_mel.shape[1] - 5 + 1
    windows = np.zeros((count, 640), dtype=np.float32)
    for position in range(5):
        windows[:, 128 * position : 128 * (position + 1)] = log_mel[:, position : position + count].T
    errors = []
    dataset = cast("torch.utils.data.Dataset[torch.Tensor]", torch.from_numpy(windows))  # a tensor has what one needs
    for batch in torch.utils.data.DataLoader(dataset, batch_size=512):
        errors.append((network(batch) - batch).square().mean(dim=1))
    return float(torch.cat(errors).mean())
