"""Ten levels of one training: chosen by the gain, measured elsewhere, stored, resumed, refused when broken."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from auscult.denoising.levels import (
    EXAMPLE,
    INDEX,
    Levels,
    Validation,
    choose_levels,
    load_level,
    load_unet,
    read_levels,
    save_unet,
    train_denoiser,
)
from auscult.denoising.mixtures import Mixer, WaveBank
from auscult.denoising.quality import Gain, gains, mean_gain, si_sdr_db, snr_db
from auscult.denoising.unet import UNet
from auscult.errors import ModelError
from auscult.models import Spectral
from auscult.training import Training

SMALL = {"channels": (2, 2, 3, 3, 3, 3, 3, 4)}


def mixer(seed: int) -> Mixer:
    """Tones in white noise: easy to tell apart."""
    rng = np.random.default_rng(seed)
    time = np.arange(16000) / 16000
    tones = [np.sin(2 * np.pi * rng.uniform(200, 2000) * time).astype(np.float32) for _ in range(5)]
    return Mixer(WaveBank(tones), WaveBank([rng.standard_normal(16000).astype(np.float32)]), length=4096)


class StoppedError(Exception):
    """A kill."""


def trained(folder: Path, *, epochs: int = 3, stop_after: int | None = None) -> Levels:
    folder.mkdir(exist_ok=True)

    def on_epoch(done: int, newest: Validation) -> None:
        if done == stop_after:
            raise StoppedError

    return train_denoiser(
        mixer(0),
        validation=mixer(1).fixed(4, seed=0, name="validation"),
        test=mixer(2).fixed(4, seed=0, name="test"),
        folder=folder,
        machine_type="fan",
        sample_rate=16000,
        training=Training(epochs=epochs, batch_size=4, learning_rate=3e-3),
        steps=3,
        arguments=SMALL,
        on_epoch=on_epoch,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("denoisers") / "fan"
    trained(folder)
    return folder


def test_a_level_is_the_first_snapshot_that_reached_its_part_of_the_best_gain() -> None:
    gains_db = [0.3, 1.1, 0.9, 2.6, 5.0, 4.0, 4.9]
    assert choose_levels(gains_db) == [1, 1, 3, 3, 3, 4, 4, 4, 4, 4]
    assert choose_levels([-1.0, -0.2, -0.5]) == [1] * 10


def test_levels_rise() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        gains_db = rng.normal(2, 2, 30).tolist()
        chosen = choose_levels(gains_db)
        assert chosen == sorted(chosen)
        assert gains_db[chosen[-1]] == max(gains_db)


def test_figures_of_sound() -> None:
    clean = torch.sin(torch.arange(1600) * 0.1)[None]
    noise = 0.1 * torch.cos(torch.arange(1600) * 0.3)[None]
    torch.testing.assert_close(snr_db(clean, clean + noise), torch.tensor([20.0]), atol=0.1, rtol=0)
    torch.testing.assert_close(si_sdr_db(clean, 3 * (clean + noise)), torch.tensor([20.0]), atol=0.1, rtol=0)
    torch.testing.assert_close(snr_db(clean, torch.zeros_like(clean)), torch.zeros(1))  # silence "has" 0 dB


def test_a_denoiser_says_what_each_level_gains_on_other_mixtures_than_chose_it(folder: Path) -> None:
    levels = read_levels(folder)
    assert [level.level for level in levels.levels] == list(range(1, 11))
    assert (levels.machine_type, levels.sample_rate, len(levels.validations)) == ("fan", 16000, 3)
    best = load_level(folder, 10)
    test, validation = mixer(2).fixed(4, seed=0, name="test"), mixer(1).fixed(4, seed=0, name="validation")
    assert mean_gain(gains(best, test)).snr_db == pytest.approx(levels.levels[-1].gain.snr_db, abs=1e-4)
    reached = max(one.gain.snr_db for one in levels.validations)
    assert mean_gain(gains(best, validation)).snr_db == pytest.approx(reached, abs=1e-4)


def test_only_snapshots_of_levels_and_the_index_are_kept(folder: Path) -> None:
    epochs = {level.epoch for level in read_levels(folder).levels}
    expected = {INDEX, EXAMPLE} | {f"epoch_{epoch:04d}.safetensors" for epoch in epochs}
    assert {path.name for path in folder.iterdir()} == expected


@pytest.mark.parametrize("when", ["before the validation", "after it"])
@pytest.mark.parametrize("epoch", [2, 3])
def test_a_killed_training_continues_with_the_same_result(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str, epoch: int
) -> None:
    monkeypatch.setattr("auscult.training.CHECKPOINT_SECONDS", 0.0)
    with monkeypatch.context() as killed, pytest.raises(StoppedError):
        if when == "before the validation":
            killed.setattr("auscult.denoising.levels.gains", stopping_at(epoch))
        trained(tmp_path / "killed", stop_after=epoch)
    again = trained(tmp_path / "killed")
    there = read_levels(folder)
    assert dataclasses.replace(again, arguments={}) == dataclasses.replace(there, arguments={})


def stopping_at(call: int) -> Callable[..., list[Gain]]:
    """`gains`, killed in its n-th call."""
    calls = 0

    def counted(*arguments: Any, **settings: Any) -> list[Gain]:
        nonlocal calls
        calls += 1
        if calls == call:
            raise StoppedError
        return gains(*arguments, **settings)

    return counted


def test_a_level_that_does_not_exist_is_refused(folder: Path) -> None:
    with pytest.raises(ModelError, match="level 11 of denoising was asked for; choose 1 to 10"):
        load_level(folder, 11)


def test_what_is_no_denoiser_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="is no denoiser"):
        read_levels(tmp_path)
    (tmp_path / INDEX).write_text(json.dumps({"format": "99"}))
    with pytest.raises(ModelError, match="another format"):
        read_levels(tmp_path)
    (tmp_path / INDEX).write_text('"a text"')
    with pytest.raises(ModelError, match="is no denoiser"):
        read_levels(tmp_path)
    (tmp_path / INDEX).write_text((folder / INDEX).read_text())
    epoch = read_levels(folder).levels[9].epoch
    whole = (folder / f"epoch_{epoch:04d}.safetensors").read_bytes()
    (tmp_path / f"epoch_{epoch:04d}.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelError, match="cannot be read as a denoiser"):
        load_level(tmp_path, 10)


def test_a_file_of_another_network_is_refused(folder: Path, tmp_path: Path) -> None:
    path, unet = tmp_path / "unet.safetensors", UNet(channels=SMALL["channels"])
    save_unet(unet, path)
    assert load_unet(path).channels == unet.channels
    unet.channels = (3, 2, 3, 3, 3, 3, 3, 4)
    save_unet(unet, path)
    with pytest.raises(ModelError, match="is no denoiser of this version"):
        load_unet(path)
    Spectral().fit(np.random.default_rng(0).standard_normal((4, 5, 128)), ["id_00"] * 4).save(path)
    with pytest.raises(ModelError, match="has the format None; this version reads"):
        load_unet(path)
