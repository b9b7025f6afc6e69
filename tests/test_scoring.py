"""A system scores as a run does, and shares what its members share."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from auscult.denoising.streaming import Denoiser
from auscult.denoising.unet import UNet
from auscult.detector import Detector, Machine, Score
from auscult.detector.listing import score_all
from auscult.detector.scorer import Scorer
from auscult.errors import ModelError
from auscult.features import LogMel
from auscult.features.front_end import FrontEnd
from auscult.members.part import Part
from auscult.models import Spectral, load_model
from auscult.recipe import parse_recipe
from auscult.runs.jobs import front_end_of, model_file, read_scores
from auscult.runs.run import run
from auscult.sound.audio import resample

SOUND = (0.1 * np.random.default_rng(1).standard_normal(44100)).astype(np.float32)
"""A second at 44.1 kHz."""

RECIPE = """
name = "small"
training = {epochs = 1, batch_size = 32}
[[member]]
name = "hvae"
family = "hvae"
pooling = "median"
model = {hidden = [32], n_latent = 4, big_precision = true}
[[member]]
name = "idcae"
family = "idcae"
model = {windows_per_clip = 20}
[[member]]
name = "freak"
family = "freak"
features = {n_mels = 32, n_fft = 2048}
model = {m = 2, crop = 40, covariance = "identity"}
"""


@pytest.fixture(scope="module")
def finished(factory: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return run(
        parse_recipe(RECIPE, "small"),
        data=factory,
        out=tmp_path_factory.mktemp("scored") / "run",
        machine_types=["fan"],
    )


def part_of(name: str, features: LogMel | None = None, **facts: Any) -> Part:
    """A member that has learnt noise."""
    features = features or LogMel(16000, n_mels=16)
    clips = np.random.default_rng(0).normal(-30, 5, size=(6, 40, features.n_bins)).astype(np.float32)
    model = Spectral(features.n_bins).fit(clips, ["id_00"] * 6)
    whole: dict[str, Any] = {"pooling": None, "mean": 0.0, "sd": 1.0, "weight": 1.0, "front_end": FrontEnd(features)}
    return Part(name, "spectral", model=model, **{**whole, **facts})


# The same numbers


def test_scores_are_those_of_a_run_bit_for_bit(finished: Any) -> None:
    jobs = finished.plan.members
    bank = jobs[0].test[0]
    banks = {job.name: next(one for one in job.test if one.clips == bank.clips) for job in jobs}
    parts = [
        Part(
            job.name,
            job.family,
            front_end_of(banks[job.name], finished.store),
            load_model(model_file(finished.store, job)),
            job.pooling,
            0.0,
            1.0,
            1.0,
        )
        for job in jobs
    ]
    clips = bank.clips
    machines = {id_: Machine(id_, id_) for id_ in {clip.machine_id for clip in clips}}
    detector = Detector(parts, machines, 60.0, 60.0)  # longer than a clip, which is then scored as it is
    scored = [score for _, score in score_all(detector, [clip.path for clip in clips], machine=None)]
    for job in jobs:
        expected = read_scores(finished.store, job)[banks[job.name].key]
        assert [score.members[job.name] for score in scored if isinstance(score, Score)] == expected


def test_the_score_is_the_weighted_mean_of_standardised_scores() -> None:
    plain = [part_of("a"), part_of("b", LogMel(16000, n_mels=8))]
    raw = Scorer(plain).score(SOUND, "id_00", sample_rate=44100).members
    parts = [replace(plain[0], mean=3.0, sd=2.0, weight=1.0), replace(plain[1], mean=-1.0, sd=0.5, weight=3.0)]
    scored = Scorer(parts).score(SOUND, "id_00", sample_rate=44100)
    assert scored.members == {"a": (raw["a"] - 3) / 2, "b": (raw["b"] + 1) / 0.5}
    assert scored.score == pytest.approx((scored.members["a"] + 3 * scored.members["b"]) / 4, rel=1e-12)


# What is shared


def test_what_members_share_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counts = {"resampled": 0, "features": 0, "denoised": 0}

    def counted(name: str, work: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            counts[name] += 1
            return work(*arguments, **options)

        return call

    monkeypatch.setattr("auscult.features.heard.resample", counted("resampled", resample))
    monkeypatch.setattr(LogMel, "__call__", counted("features", LogMel.__call__))
    monkeypatch.setattr(Denoiser, "__call__", counted("denoised", Denoiser.__call__))
    unet = UNet()
    narrow, wide = LogMel(16000, n_mels=16), LogMel(16000, n_mels=24)
    fronts = [
        FrontEnd(narrow),
        FrontEnd(LogMel(16000, n_mels=16)),
        FrontEnd(wide),
        FrontEnd(narrow, denoiser=Denoiser(unet, sample_rate=8000)),
        FrontEnd(wide, denoiser=Denoiser(unet, sample_rate=8000)),
        FrontEnd(LogMel(8000, n_mels=16, n_fft=512)),
    ]
    parts = [part_of(f"m{i}", one.features, front_end=one) for i, one in enumerate(fronts)]  # type: ignore[arg-type]
    frames = Scorer(parts).front_ends.frames(SOUND, sample_rate=44100)
    assert counts == {"resampled": 4, "features": 5, "denoised": 1}  # to 16 and 8 kHz, and twice what was denoised
    assert frames["m0"] is frames["m1"]
    soundfile.write(tmp_path / "one.wav", SOUND, 44100, subtype="FLOAT")
    for part in parts:
        np.testing.assert_array_equal(frames[part.name], part.front_end(tmp_path / "one.wav"))


def test_denoisers_of_other_weights_are_others() -> None:
    unets = [UNet(), UNet()]
    with torch.no_grad():
        next(unets[1].parameters()).mul_(2)
    fronts = [FrontEnd(LogMel(16000, n_mels=16), denoiser=Denoiser(unet, sample_rate=8000)) for unet in unets]
    parts = [part_of(f"m{index}", front_end=front_end) for index, front_end in enumerate(fronts)]
    frames = Scorer(parts).front_ends.frames(SOUND, sample_rate=44100)
    assert not np.array_equal(frames["m0"], frames["m1"])


# Mistakes


def test_what_is_no_system_is_refused() -> None:
    part = part_of("one")
    for parts, match in (
        ([], "at least one"),
        ([part, part], "each with its name"),
        ([replace(part, weight=-1.0)], "at least 0"),
        ([replace(part, weight=0.0)], "at least 0"),
        ([replace(part, sd=0.0)], "deviation above 0"),
        ([replace(part, mean=float("nan"))], "finite"),
        ([replace(part, model=Spectral(16))], "fit or load"),
        ([replace(part, front_end=FrontEnd(LogMel(16000, n_mels=8)))], "8 bins"),
    ):
        with pytest.raises(ModelError, match=match):
            Scorer(parts)


def test_mistakes_of_the_caller_are_errors() -> None:
    scorer = Scorer([part_of("one")])
    with pytest.raises(ModelError, match="rate in Hz"):
        scorer.score(SOUND, "id_00")
    with pytest.raises(ModelError, match="one channel"):
        scorer.score(SOUND[None], "id_00", sample_rate=16000)
    with pytest.raises(ModelError, match="finite"):
        scorer.score(np.nan * SOUND, "id_00", sample_rate=16000)
