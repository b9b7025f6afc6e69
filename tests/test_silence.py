"""A clip of digital silence is a number everywhere: denoiser, features, models, whole runs."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from auscult.denoising.mixtures import Mixer, WaveBank
from auscult.denoising.streaming import Denoiser
from auscult.denoising.unet import UNet
from auscult.features import LogMel
from auscult.models import MODELS, Model
from auscult.recipe import parse_recipe
from auscult.runs.results import read_results
from auscult.runs.run import run
from auscult.scores.table import ScoreTable
from auscult.training import Training

RATE = 16000
SMALL: dict[str, dict[str, Any]] = {
    "autoencoder": {"hidden": [16], "n_latent": 4},
    "mahalanobis": {"hidden": [16], "n_latent": 4},
    "spectral": {},
    "hvae": {"hidden": [16], "n_latent": 4, "big_precision": True},
    "idcae": {"windows_per_clip": 20},
    "freak": {"m": 2, "crop": 40, "covariance": "diagonal"},
    "neighbours": {},
    "classifier": {"hidden": [16], "n_embedding": 6},
}
LEVELS = [pytest.param(False, id="plain"), pytest.param(True, id="denoised")]


def log_mels(denoised: bool) -> tuple[list[np.ndarray], list[str]]:
    """Five noisy clips of two machines and a silent one of each, the last two."""
    rng = np.random.default_rng(0)
    waves = [0.1 * rng.standard_normal(24000).astype(np.float32) for _ in range(6)]
    waves += [np.zeros(24000, dtype=np.float32)] * 2
    if denoised:
        denoiser = Denoiser(UNet(channels=(2, 2, 3, 3, 3, 3, 3, 4)), sample_rate=RATE)
        waves = [denoiser(wave) for wave in waves]
    features = LogMel(RATE, n_mels=32)
    return [features(wave) for wave in waves], ["id_00", "id_02"] * 4


def test_every_family_has_its_small_model_here() -> None:
    assert set(SMALL) == set(MODELS)


@pytest.mark.parametrize("denoised", LEVELS)
@pytest.mark.parametrize("trained_on", ["sounds alone", "silence too"])
@pytest.mark.parametrize("family", list(SMALL))
def test_a_silent_clip_has_a_score_and_maps(family: str, trained_on: str, denoised: bool) -> None:
    clips, ids = log_mels(denoised)
    n_train = len(clips) if trained_on == "silence too" else len(clips) - 2
    make: Callable[..., Model] = MODELS[family]
    model = make(32, **SMALL[family])
    model.fit(clips[:n_train], ids[:n_train], training=Training(epochs=2, batch_size=8))
    assert np.isfinite(model.score_clips(clips, ids)).all()
    assert all(np.isfinite(scores).all() for scores in model.frame_scores(clips, ids))
    error = model.error_map(clips[-1:], ids[-1:])[0]
    assert np.isfinite(error[-1]).all(), "the first frames may have no prediction"


def test_silence_among_noise_and_clean_sounds_makes_finite_mixtures() -> None:
    silence, sound = np.zeros(8000, dtype=np.float32), np.ones(8000, dtype=np.float32)
    for clean, noise in (([silence], [sound]), ([sound], [silence]), ([silence], [silence])):
        noisy, target = Mixer(WaveBank(clean), WaveBank(noise), length=4000).fixed(4, seed=0, name="test")
        assert torch.isfinite(noisy).all()
        loss = UNet(channels=(2, 2, 3, 3, 3, 3, 3, 4)).loss((noisy, target))["loss"]
        assert torch.isfinite(loss)


def test_a_run_with_silent_clips_denoises_trains_and_scores_them(tmp_path: Path, record: Callable[..., Path]) -> None:
    data = tmp_path / "recordings"
    for kind in ("pump", "fan"):
        for part in ("train", "test/normal", "test/anomaly"):
            for index in range(4):
                record(data / kind / part / f"{index}.wav", seconds=1.0)
            soundfile.write(data / kind / part / "silent.wav", np.zeros(RATE), RATE)
    for index in range(6):
        record(tmp_path / "clean" / f"{index}.wav", seconds=1.0)
    soundfile.write(tmp_path / "clean" / "silent.wav", np.zeros(RATE), RATE)
    recipe = parse_recipe(
        """
        name = "silent"
        training = { epochs = 1 }
        denoiser = { epochs = 1, steps = 1, batch_size = 2, seconds = 0.5, fixed = 4 }
        member = [
            { name = "spectral", family = "spectral", denoise_level = 10 },
            { name = "hvae", family = "hvae", denoise_level = 10, model = { hidden = [16], n_latent = 4 } },
        ]
        """,
        "test",
    )
    finished = run(recipe, data=data, out=tmp_path / "run", machine_types=["pump"], clean=tmp_path / "clean")
    for name in ("spectral", "hvae"):
        for part in ("train", "test"):
            table = ScoreTable.read(finished.folder / "scores" / "pump" / f"{name}.{part}.csv")
            assert len(table) == (5 if part == "train" else 10)
            assert all(np.isfinite(row.score) for row in table)
    assert not finished.failures
    assert all(0 <= row.figures["auc"] <= 1 for row in read_results(finished.folder).development)
