"""The detector: scores, decisions, and the file that carries it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from auscult.denoising.streaming import Denoiser
from auscult.denoising.unet import UNet
from auscult.detector import Detector, Machine, Part
from auscult.detector.alarms import AlarmSettings, WindowScores
from auscult.detector.calibration.fit import calibrate
from auscult.detector.calibration.result import Calibration
from auscult.errors import AuscultError, DetectorError
from auscult.features.bank import bank_of
from auscult.features.front_end import FrontEnd
from auscult.features.log_mel import LogMel
from auscult.models import (
    HVAE,
    IDCAE,
    MODELS,
    Autoencoder,
    Classifier,
    Freak,
    Mahalanobis,
    Model,
    Neighbours,
    Spectral,
)
from auscult.sound.condition import band_levels, learn_condition
from auscult.sound.windows import windows_of
from auscult.training import Training

RATE = 16000
ALARM = AlarmSettings(k=2, n=3, cool_down_seconds=2.0)
FEW = Training(epochs=1, batch_size=16)

MEMBERS: dict[str, Model] = {
    "spectral": Spectral(32),
    "autoencoder": Autoencoder(32, hidden=(16,), n_latent=2),
    "mahalanobis": Mahalanobis(32, hidden=(16,), n_latent=2),
    "hvae": HVAE(32, hidden=(16,), n_latent=2),
    "idcae": IDCAE(32, context=3, windows_per_clip=10),
    "freak": Freak(32, m=1, n_layers=2, crop=20, covariance="diagonal"),
    "neighbours": Neighbours(32),
    "classifier": Classifier(32, hidden=(16,), n_embedding=6),
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


def test_a_sound_is_decided_by_the_threshold(detector: Detector) -> None:
    normal, strange = (
        detector.score(sound(1, tone=tone), sample_rate=RATE, machine_id="left", evidence=False) for tone in (0.0, 0.5)
    )
    assert strange.score > normal.score
    assert strange.decision == "anomalous"
    assert strange.threshold is not None
    assert strange.score > strange.threshold
    assert strange.p_value == pytest.approx(1 / 201)  # every second window of 400 shares no sound with the next
    assert normal.p_value is None or normal.p_value > strange.p_value
    assert strange.frame_scores is None
    assert strange.families.keys() == {"spectral", "hvae"}
    assert strange.score == pytest.approx(0.5 * sum(strange.families.values()))


@pytest.mark.parametrize(("machine", "seconds", "reason"), [("right", 2.0, "calibrated"), ("left", 1.0, "shorter")])
def test_without_a_threshold_for_it_a_sound_is_unknown(
    detector: Detector, machine: str, seconds: float, reason: str
) -> None:
    found = detector.score(sound(1, seconds), sample_rate=RATE, machine_id=machine)
    assert (found.decision, found.p_value) == ("unknown", None)
    assert reason in found.reason


def test_a_lower_rate_lacks_bands_and_is_unknown(detector: Detector) -> None:
    found = detector.score(sound(1)[::2].copy(), sample_rate=RATE // 2, machine_id="left")
    assert (found.decision, found.p_value) == ("unknown", None)
    assert "8000 Hz" in found.reason
    assert detector.score(np.repeat(sound(1), 2), sample_rate=2 * RATE, machine_id="left").decision != "unknown"


def test_silence_is_unknown_and_does_not_hide_what_is_around_it(detector: Detector) -> None:
    silence = np.zeros(2 * RATE, dtype=np.float32)
    found = detector.score(silence, sample_rate=RATE, machine_id="left")
    assert (found.decision, found.p_value) == ("unknown", None)
    assert "silence" in found.reason
    around = np.concatenate([sound(1), silence, sound(2)])
    found = detector.score(around, sample_rate=RATE, machine_id="left")
    assert found.windows == 2
    assert found.score == min(detector.window_score(one, machine_id="left") for one in (sound(1), sound(2)))


def test_the_evidence_is_of_the_member_with_the_greatest_weight(detector: Detector) -> None:
    found = detector.score(sound(1), sample_rate=RATE, machine_id="left")
    assert found.error_map is not None
    assert found.frame_scores is not None
    assert found.error_map.shape == (63, 32)
    assert len(found.frame_scores) == 63
    assert found.seconds_per_frame == 512 / RATE


def test_a_long_sound_has_the_score_of_the_alarm_logic_at_its_worst_moment(detector: Detector) -> None:
    long = np.concatenate([sound(1, 6.0), sound(2, 3.0, tone=0.5), sound(3, 6.0)])
    windows = [detector.window_score(long[at : at + 2 * RATE], machine_id="left") for at in range(0, 14 * RATE, RATE)]
    found = detector.score(long, sample_rate=RATE, machine_id="left", evidence=False)
    assert found.windows == len(windows) == 14
    assert found.score == max(sorted(windows[at : at + 3])[1] for at in range(12))  # 2 of 3
    assert found.start == int(np.argmax(windows))
    assert found.p_value == pytest.approx(14 / 2 / 201)  # two windows of the 14 must be as high


def test_a_file_that_would_score_otherwise_is_not_left_behind(
    detector: Detector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of a disk that does not keep what it was given."""
    from auscult.detector import writing

    parts = [replace(part, mean=part.mean + 1e-9) for part in detector.parts]
    monkeypatch.setattr(
        writing,
        "read_detector",
        lambda *_, **__: {"parts": parts, "machines": detector.machines, "window_seconds": 2.0, "step_seconds": 1.0},
    )
    with pytest.raises(DetectorError, match=r"a\.auscult was written, and what was read from it scores"):
        detector.save(tmp_path / "a.auscult")
    assert not list(tmp_path.iterdir())


def test_a_file_scores_as_its_samples_at_any_rate(detector: Detector, tmp_path: Path) -> None:
    import soundfile

    soundfile.write(tmp_path / "a.wav", sound(5), RATE, subtype="FLOAT")
    of_file = detector.score(tmp_path / "a.wav", machine_id="left")
    of_samples = detector.score(sound(5), sample_rate=RATE, machine_id="left")
    assert of_file.score == of_samples.score
    doubled = np.repeat(sound(5), 2)
    soundfile.write(tmp_path / "b.wav", doubled, 2 * RATE, subtype="FLOAT")
    of_file, of_samples = (
        detector.score(tmp_path / "b.wav", machine_id="left"),
        detector.score(doubled, sample_rate=2 * RATE, machine_id="left"),
    )
    assert of_file.score == pytest.approx(of_samples.score, rel=1e-5)


@pytest.mark.parametrize("block", [1, 7, 100, 399, 400, 1000, 5000])
@pytest.mark.parametrize(("length", "step"), [(400, 100), (400, 400), (100, 250)])
def test_windows_do_not_depend_on_the_blocks(block: int, length: int, step: int) -> None:
    whole = np.arange(3000, dtype=np.float32)
    found = list(windows_of((whole[at : at + block] for at in range(0, 3000, block)), length=length, step=step))
    assert [window.start for window in found] == list(range(0, 3000 - length + 1, step))
    for window in found:
        np.testing.assert_array_equal(window.samples, whole[window.start : window.start + length])


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda d: d.score(sound(1), sample_rate=RATE), "left, right"),
        (lambda d: d.score(sound(1), sample_rate=RATE, machine_id="lefd"), "did you mean 'left'"),
        (lambda d: d.score(sound(1), machine_id="left"), "sample rate"),
        (lambda d: d.score(np.zeros((2, 100)), sample_rate=RATE, machine_id="left"), r"\(2, 100\)"),
        (lambda d: d.score(np.array([np.nan] * 40000), sample_rate=RATE, machine_id="left"), "finite"),
        (lambda d: d.score(np.zeros(40000, dtype=np.int16), sample_rate=RATE, machine_id="left"), "full scale"),
        (lambda d: d.score(sound(1, 0.01), sample_rate=RATE, machine_id="left"), "a frame needs"),
        (lambda d: d.score("/nowhere.wav", machine_id="left"), "does not exist"),
    ],
)
def test_bad_sounds_are_one_clear_error(detector: Detector, call: Callable[[Detector], object], words: str) -> None:
    with pytest.raises(AuscultError, match=words):
        call(detector)
