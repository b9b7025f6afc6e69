"""Models on a GPU: the same scores as on the CPU, and trainings that resume and run in bfloat16."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from auscult.models import MODELS, load_model
from auscult.training import Training

ARGUMENTS = {
    "autoencoder": {"context": 3, "hidden": (16,), "n_latent": 4},
    "hvae": {"context": 3, "hidden": (16, 8), "n_latent": 4, "big_precision": True},
    "idcae": {"context": 3, "windows_per_clip": 20},
    "freak": {"m": 2, "groups": 2, "crop": 40, "covariance": "diagonal"},
    "mahalanobis": {"context": 3, "hidden": (16,), "n_latent": 4},
    "spectral": {},
    "neighbours": {"k": 2, "density": 3},
    "classifier": {"hidden": (16,), "n_embedding": 6},
}

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no CUDA device")


def test_every_family_is_tested() -> None:
    assert set(ARGUMENTS) == set(MODELS)


@pytest.mark.parametrize("family", ARGUMENTS)
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_model_trained_on_the_gpu_scores_alike_on_the_cpu(family: str, precision: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    clips = rng.standard_normal((12, 60, 16)).astype(np.float32)
    ids = [f"id_{index % 2:02d}" for index in range(12)]
    model = MODELS[family](16, **ARGUMENTS[family])
    training: Training = replace(model.default_training, epochs=2, batch_size=8, device="cuda", precision=precision)
    model.fit(clips, ids, training=training, checkpoint=tmp_path / "checkpoint")
    assert model.device.type == "cuda"
    on_gpu = model.score_clips(clips, ids)
    model.save(tmp_path / "model.safetensors")
    on_cpu = load_model(tmp_path / "model.safetensors").score_clips(clips, ids)
    np.testing.assert_allclose(on_gpu, on_cpu, rtol=1e-3, atol=1e-4)
