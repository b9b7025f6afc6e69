"""A system scores as a run does, shares what its members share, and takes any number of files in bounded memory."""

import os
import pickle
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from auscult.detector.files import AHEAD, CHUNK, _deliver

from auscult.denoising.streaming import Denoiser
from auscult.denoising.unet import UNet
from auscult.detector.scorer import Scorer
from auscult.errors import AudioError, ModelError, RunError
from auscult.features import LogMel
from auscult.features.front_end import FrontEnd
from auscult.members.part import Part, Scored, Unscored
from auscult.models import HVAE, Freak, Spectral, load_model
from auscult.processes import single_thread
from auscult.recipe import parse_recipe
from auscult.runs.jobs import front_end_of, model_file, read_scores
from auscult.runs.run import run
from auscult.training import Training

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


def part_of(name: str, features: LogMel | None = None, *, kind: str = "spectral", **facts: Any) -> Part:
    """A member that has learnt noise."""
    features = features or LogMel(16000, n_mels=16)
    clips = np.random.default_rng(0).normal(-30, 5, size=(6, 40, features.n_bins)).astype(np.float32)
    model: Any = Spectral(features.n_bins)
    if kind == "hvae":
        model = HVAE(features.n_bins, hidden=(8,), n_latent=2)
    elif kind == "freak":
        model = Freak(features.n_bins, m=1, n_layers=1, covariance="identity")
    model.fit(clips, ["id_00"] * 6, training=Training(epochs=1, batch_size=4))
    whole: dict[str, Any] = {"pooling": None, "mean": 0.0, "sd": 1.0, "weight": 1.0, "front_end": FrontEnd(features)}
    return Part(name, kind, model=model, **{**whole, **facts})


@pytest.fixture
def recordings(tmp_path: Path, record: Callable[..., Path]) -> list[Path]:
    return [record(tmp_path / f"{index}.wav", seconds=1.0, seed=index) for index in range(10)]


@pytest.fixture(scope="module")
def scorer() -> Scorer:
    wide = LogMel(16000, n_fft=2048, n_mels=16)
    return Scorer([part_of("spectral"), part_of("hvae", kind="hvae", weight=3.0), part_of("freak", wide, kind="freak")])


# The same numbers


@pytest.mark.parametrize("workers", [1, 2])
def test_scores_are_those_of_a_run_bit_for_bit(finished: Any, workers: int) -> None:
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
    scored = list(
        Scorer(parts).score_files([clip.path for clip in clips], [clip.machine_id for clip in clips], workers=workers)
    )
    for job in jobs:
        expected = read_scores(finished.store, job)[banks[job.name].key]
        assert [one.members[job.name] for one in scored if isinstance(one, Scored)] == expected


def test_the_score_is_the_weighted_mean_of_standardised_scores(recordings: list[Path]) -> None:
    plain = [part_of("a"), part_of("b", LogMel(16000, n_mels=8))]
    raw = Scorer(plain).score(recordings[0], "id_00").members
    parts = [replace(plain[0], mean=3.0, sd=2.0, weight=1.0), replace(plain[1], mean=-1.0, sd=0.5, weight=3.0)]
    scored = Scorer(parts).score(recordings[0], "id_00")
    assert scored.members == {"a": (raw["a"] - 3) / 2, "b": (raw["b"] + 1) / 0.5}
    assert scored.score == pytest.approx((scored.members["a"] + 3 * scored.members["b"]) / 4, rel=1e-12)


def test_a_waveform_scores_as_its_file(scorer: Scorer, tmp_path: Path) -> None:
    import soundfile

    samples = (0.1 * np.random.default_rng(1).standard_normal(44100)).astype(np.float32)
    path = tmp_path / "one.wav"
    soundfile.write(path, samples, 44100, subtype="FLOAT")
    assert scorer.score(samples, "id_00", sample_rate=44100) == scorer.score(path, "id_00")


# What is shared


def test_what_members_share_is_made_once(recordings: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    counts = {"read": 0, "features": 0, "denoised": 0}

    def counted(name: str, work: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            counts[name] += 1
            return work(*arguments, **options)

        return call

    monkeypatch.setattr("auscult.features.heard.read_waveform", counted("read", sound_module().read_waveform))
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
    frames = Scorer(parts).frames(recordings[0])
    assert counts == {"read": 1, "features": 5, "denoised": 1}
    assert frames["m0"] is frames["m1"]
    for part in parts:
        np.testing.assert_array_equal(frames[part.name], part.front_end(recordings[0]))


def sound_module() -> Any:
    from auscult.features import heard as sound

    return sound


def test_denoisers_of_other_weights_are_others(recordings: list[Path]) -> None:
    unets = [UNet(), UNet()]
    with torch.no_grad():
        next(unets[1].parameters()).mul_(2)
    fronts = [FrontEnd(LogMel(16000, n_mels=16), denoiser=Denoiser(unet, sample_rate=8000)) for unet in unets]
    parts = [part_of(f"m{index}", front_end=front_end) for index, front_end in enumerate(fronts)]
    frames = Scorer(parts).frames(recordings[0])
    assert not np.array_equal(frames["m0"], frames["m1"])


# Many files


@pytest.mark.parametrize("workers", [1, 2])
def test_a_file_that_cannot_be_read_does_not_disturb_the_others(
    scorer: Scorer, recordings: list[Path], tmp_path: Path, workers: int, record: Callable[..., Path]
) -> None:
    damaged, short = tmp_path / "damaged.wav", record(tmp_path / "short.wav", seconds=0.01)
    damaged.write_bytes(recordings[0].read_bytes()[:1000])
    paths = [*recordings[:3], damaged, *recordings[3:6], tmp_path / "nowhere.wav", short, *recordings[6:]]
    results = list(scorer.score_files(iter(paths), iter(["id_00"] * len(paths)), workers=workers))
    with single_thread():
        for path, result in zip(paths, results, strict=True):
            if path in recordings:
                assert result == scorer.score(path, "id_00")
            else:
                assert isinstance(result, Unscored)
                assert str(path) in result.reason


def test_threads_that_feed_models_on_a_gpu_give_the_same(
    scorer: Scorer, recordings: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [*recordings, tmp_path / "nowhere.wav"]
    here = list(scorer.score_files(paths, ["id_00"] * len(paths)))
    assert not scorer.on_gpu
    monkeypatch.setattr(Scorer, "on_gpu", True)
    threads = set()
    frames = Scorer.frames

    def watched(self: Scorer, *arguments: Any, **options: Any) -> Any:
        threads.add(threading.get_ident())
        return frames(self, *arguments, **options)

    monkeypatch.setattr(Scorer, "frames", watched)
    with single_thread():
        assert list(scorer.score_files(paths, ["id_00"] * len(paths), workers=2)) == here
    assert threading.get_ident() not in threads


def test_few_files_are_in_flight(scorer: Scorer, recordings: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    taken = 0

    def endless() -> Iterator[Path]:
        nonlocal taken
        while True:
            taken += 1
            yield recordings[taken % len(recordings)]

    for on_gpu, workers in ((False, 1), (False, 2), (True, 2)):
        monkeypatch.setattr(Scorer, "on_gpu", on_gpu)
        taken = 0
        results = scorer.score_files(endless(), iter(lambda: "id_00", ""), workers=workers)
        for _ in range(3 * CHUNK):
            assert isinstance(next(results), Scored)
        assert taken <= 3 * CHUNK + (AHEAD * workers if workers > 1 else 1) * CHUNK
        results.close()  # type: ignore[attr-defined]  # it is a generator


class Deadly(LogMel):
    """Ends its process at a sound of one length."""

    def __call__(self, waveform: Any) -> Any:
        if len(waveform) == 8000:
            os._exit(1)
        return super().__call__(waveform)


@pytest.mark.slow
def test_a_file_at_which_a_process_dies_does_not_disturb_the_others(
    recordings: list[Path], tmp_path: Path, record: Callable[..., Path]
) -> None:
    deadly = record(tmp_path / "deadly.wav", seconds=0.5)
    part = part_of("one", Deadly(16000, n_mels=16))
    paths = [*recordings[:5], deadly, *recordings[5:]]
    results = list(Scorer([part]).score_files(paths, ["id_00"] * len(paths), workers=2))
    assert [isinstance(result, Scored) for result in results] == [path != deadly for path in paths]
    assert str(deadly) in results[5].reason  # type: ignore[union-attr]  # it is unscored


def test_a_system_of_classes_that_no_module_has_is_scored_by_processes_too(recordings: list[Path]) -> None:
    """As those of a script or a notebook."""

    class Own(LogMel):
        pass

    own, paths = Scorer([part_of("one", Own(16000, n_mels=16))]), recordings[:2]
    expected = list(own.score_files(paths, ["id_00"] * 2))
    assert list(own.score_files(paths, ["id_00"] * 2, workers=2)) == expected
    assert all(isinstance(one, Scored) for one in expected)


def refuse() -> None:
    raise ImportError("no such thing in this process")


class Unreadable(LogMel):
    """What a process that lacks a module cannot read."""

    def __reduce__(self) -> Any:
        return refuse, ()


def test_a_system_that_processes_cannot_read_is_an_error_that_says_why(recordings: list[Path]) -> None:
    part = part_of("one", Unreadable(16000, n_mels=16))
    with pytest.raises(ImportError, match="no such thing"):
        list(Scorer([part]).score_files(recordings, ["id_00"] * 10, workers=2))


def test_any_number_of_processes_takes_a_copy_of_the_system_until_none_is_left() -> None:
    """The pool replaces a worker whose memory has grown; without one the sender ends, whatever the copy's size."""
    for parcel in (b"system", bytes(10**6)):
        incoming, outgoing = Pipe(duplex=False)
        sender = threading.Thread(target=_deliver, args=(parcel, outgoing), daemon=True)
        sender.start()
        assert [incoming.recv_bytes() for _ in range(5)] == [parcel] * 5
        incoming.close()
        sender.join(10)
        assert not sender.is_alive()
        assert outgoing.closed


WITHOUT_PROGRAMS = """
import pickle, sys
from pathlib import Path
if __name__ == "__main__":
    scorer, paths = pickle.loads(Path(sys.argv[1]).read_bytes())
    print(len(list(scorer.score_files(paths, ["id_00"] * len(paths), workers=2))))
"""


def test_a_system_without_a_list_of_processes_ends_them_without_a_word(
    scorer: Scorer, recordings: list[Path], tmp_path: Path
) -> None:
    """Minimal containers have no `pgrep`, without which the pool can kill nobody."""
    (tmp_path / "system").write_bytes(pickle.dumps((scorer, recordings)))
    (tmp_path / "score.py").write_text(WITHOUT_PROGRAMS)
    command = [sys.executable, "-W", "error::UserWarning", str(tmp_path / "score.py"), str(tmp_path / "system")]
    environment = os.environ | {"PATH": str(tmp_path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{len(recordings)}\n", "")


class Slow(LogMel):
    """Takes its time."""

    def __call__(self, waveform: Any) -> Any:
        time.sleep(20)
        return super().__call__(waveform)


def test_results_that_nobody_wants_any_more_end_at_once(recordings: list[Path]) -> None:
    """In the middle of a file; nobody waits until the processes have noticed."""
    part = part_of("one", Slow(16000, n_mels=16))
    paths = [recordings[0].with_name("nowhere.wav")] * CHUNK + recordings
    results = Scorer([part]).score_files(paths, ["id_00"] * len(paths), workers=2)
    assert isinstance(next(results), Unscored)
    begun = time.monotonic()
    results.close()  # type: ignore[attr-defined]  # it is a generator
    assert time.monotonic() - begun < 1.5


# Mistakes


def test_what_is_no_system_is_refused(recordings: list[Path]) -> None:
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


def test_mistakes_of_the_caller_are_errors(scorer: Scorer, recordings: list[Path], tmp_path: Path) -> None:
    with pytest.raises(AudioError, match="nowhere"):
        scorer.score(tmp_path / "nowhere.wav", "id_00")
    with pytest.raises(ModelError, match="rate in Hz"):
        scorer.score(np.zeros(16000, dtype=np.float32), "id_00")
    with pytest.raises(ModelError, match="one channel"):
        scorer.score(np.zeros((2, 16000), dtype=np.float32), "id_00", sample_rate=16000)
    with pytest.raises(ModelError, match="finite"):
        scorer.score(np.full(16000, np.nan, dtype=np.float32), "id_00", sample_rate=16000)
    with pytest.raises(RunError, match="at least 1"):
        scorer.score_files(recordings, ["id_00"] * 10, workers=0)
    with pytest.raises(ValueError, match="shorter"):
        list(scorer.score_files(recordings, ["id_00"] * 9))
