"""The detector: scores, decisions, and the file that carries it."""

from pathlib import Path

import numpy as np
import pytest
import torch

from auscult.alarms import AlarmSettings, WindowScores
from auscult.calibration import Calibration, calibrate
from auscult.condition import band_levels, learn_condition
from auscult.denoising.streaming import Denoiser
from auscult.denoising.unet import UNet
from auscult.detector import Detector, Machine, Part
from auscult.features.bank import bank_of
from auscult.features.front_end import FrontEnd
from auscult.features.log_mel import LogMel
from auscult.models import HVAE, IDCAE, MODELS, Autoencoder, Freak, Model, Spectral
from auscult.training import Training

RATE = 16000
ALARM = AlarmSettings(k=2, n=3, cool_down_seconds=2.0)
FEW = Training(epochs=1, batch_size=16)

MEMBERS: dict[str, Model] = {
    "spectral": Spectral(32),
    "autoencoder": Autoencoder(32, hidden=(16,), n_latent=2),
    "hvae": HVAE(32, hidden=(16,), n_latent=2),
    "idcae": IDCAE(32, context=3, windows_per_clip=10),
    "freak": Freak(32, m=1, n_layers=2, crop=20, covariance="diagonal"),
}


def sound(seed: int, seconds: float = 2.0, *, tone: float = 0.0) -> np.ndarray:
    """Noise of a healthy machine, with a tone that is none."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * RATE)) / RATE
    waveform = 0.02 * rng.standard_normal(len(time)) + 0.1 * np.sin(2 * np.pi * 440 * time + rng.random())
    return (waveform + tone * np.sin(2 * np.pi * 3000 * time)).astype(np.float32)


def calibration_of(scores: np.ndarray) -> Calibration:
    series = WindowScores(2.0 + np.arange(len(scores)), scores, 2.0, 1.0)
    return calibrate([series], 20.0, settings=ALARM)


def heard(waveform: np.ndarray, denoiser: Denoiser | None) -> np.ndarray:
    return waveform if denoiser is None else denoiser(waveform)


def make(*families: str, denoised: bool = False) -> Detector:
    """A small detector of two machines; only the first is calibrated."""
    denoiser = Denoiser(UNet(channels=(2,) * 8), sample_rate=RATE) if denoised else None
    front_end = FrontEnd(LogMel(RATE, n_mels=32), denoiser=denoiser)
    frames = [front_end.frames(heard(sound(seed), denoiser), name="a sound") for seed in range(6)]
    bank = bank_of(frames, ["a", "a", "a", "b", "b", "b"], frame_rate=front_end.features.frame_rate)
    parts = []
    for family in families:
        model = MODELS[family](**MEMBERS[family].arguments).fit(bank, training=FEW)
        scores = model.score_clips(bank)
        pooling = "winmed" if model.default_pooling else None
        parts.append(Part(f"my {family}", family, front_end, model, pooling, scores.mean(), scores.std(), 0.5))
    rng = np.random.default_rng(0)
    condition = learn_condition([band_levels(sound(seed), sample_rate=RATE) for seed in range(4)])
    machines = {
        "left": Machine("left", "a", calibration_of(rng.standard_normal(400)), condition),
        "right": Machine("right", "b"),
    }
    return Detector(parts, machines, 2.0, 1.0, ALARM, {"recipe": "test"}, "CC0")


@pytest.fixture(scope="module")
def detector() -> Detector:
    return make("spectral", "hvae")


@pytest.mark.parametrize("family", MODELS)
@pytest.mark.parametrize("denoised", [False, True])
def test_a_saved_detector_scores_the_same(family: str, denoised: bool, tmp_path: Path) -> None:
    before = make(family, denoised=denoised)
    before.save(tmp_path / "one.auscult")
    state = torch.random.get_rng_state()
    after = Detector.load(tmp_path / "one.auscult")
    assert torch.equal(torch.random.get_rng_state(), state)
    one, two = (each.score(sound(9), sample_rate=RATE, machine_id="left") for each in (before, after))
    assert (one.score, one.members, one.families) == (two.score, two.members, two.families)
    np.testing.assert_array_equal(one.error_map, two.error_map)
    assert after.machines == before.machines
    assert (after.alarm, after.provenance, after.licence) == (before.alarm, before.provenance, before.licence)
    after.save(tmp_path / "two.auscult")
    assert (tmp_path / "one.auscult").read_bytes() == (tmp_path / "two.auscult").read_bytes()
