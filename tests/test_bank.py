"""The frame bank: clips of any length in one array, on disk and in memory, and what it refuses."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from auscult.clips import Clip
from auscult.errors import AudioError, FeatureError, ModelError
from auscult.features import LogMel
from auscult.features.bank import Bank, bank_of, build_bank, concatenate
from auscult.features.front_end import FrontEnd
from auscult.sound.audio import read_waveform

N_BINS = 3


def ragged(*lengths: int) -> list[NDArray[np.float32]]:
    """Clips `[N, F]` of these lengths whose values are all different."""
    values = np.arange(sum(lengths) * N_BINS, dtype=np.float32).reshape(-1, N_BINS)
    return np.split(values, np.cumsum(lengths)[:-1])


def same(one: Bank, other: Bank) -> bool:
    arrays = np.array_equal(one.frames, other.frames) and np.array_equal(one.offsets, other.offsets)
    names = ("ids", "frame_rate", "domains", "attributes")
    return arrays and all(getattr(one, name) == getattr(other, name) for name in names)


def front_end(**arguments: Any) -> FrontEnd:
    return FrontEnd(LogMel(16000, n_fft=512, hop_length=256, n_mels=16), **arguments)


def clip_of(path: Path, machine_id: str = "id_00") -> Clip:
    return Clip(path, "fan", machine_id, "train", "normal", "development", path.name)


@given(st.lists(st.integers(1, 9), min_size=1, max_size=6))
def test_every_clip_comes_out_as_it_went_in(lengths: list[int]) -> None:
    clips = ragged(*lengths)
    bank = bank_of(clips, [f"id_{index:02d}" for index in range(len(clips))])
    assert (bank.n_clips, bank.n_bins) == (len(clips), N_BINS)
    assert bank.lengths.tolist() == lengths
    assert all(np.array_equal(bank.clip(index), clip) for index, clip in enumerate(clips))
    assert bank.frames.dtype == np.float32


def test_an_array_of_clips_is_a_bank_of_equal_lengths() -> None:
    clips = np.arange(24, dtype=np.float64).reshape(2, 4, 3)
    bank = bank_of(clips, np.array(["id_00", "id_02"]), frame_rate=31.25)
    assert bank.lengths.tolist() == [4, 4]
    assert bank.ids == ("id_00", "id_02")
    assert all(type(id_) is str for id_ in bank.ids), "numpy's strings would not become JSON"
    assert bank.frame_rate == 31.25
    assert np.array_equal(bank.frames, clips.reshape(8, 3))


def test_a_bank_is_a_bank_already() -> None:
    bank = bank_of(ragged(2), ["id_00"])
    assert bank_of(bank, []) is bank


@pytest.mark.parametrize(
    ("clips", "ids", "words"),
    [
        ([], [], "no clip; give at least one"),
        (np.zeros((4, 3)), ["a"] * 4, r"\(3,\).*give \[N, F\]"),
        ([np.zeros((4, 3)), np.zeros((4, 2))], ["a", "b"], r"\(4, 2\), \(4, 3\).*one width"),
        ([np.zeros((4, 3)), np.zeros(4)], ["a", "b"], r"give \[N, F\]"),
        ([np.zeros((4, 3))], ["a", "b"], "1 clips came with 2 machine ids; give one id per clip"),
        ([np.zeros((4, 3))], [], "1 clips came with 0 machine ids"),
        ([np.zeros((4, 3)), np.full((1, 3), np.nan)], ["a", "b"], "clip 1 .*not finite; repair or leave out"),
        ([np.full((4, 3), -np.inf), np.zeros((1, 3))], ["a", "b"], "clip 0 .*not finite"),
    ],
)
def test_what_is_no_bank_is_refused_with_what_was_given(clips: Any, ids: list[str], words: str) -> None:
    with pytest.raises(ModelError, match=words):
        bank_of(clips, ids)


def test_a_selection_keeps_the_given_order_and_may_repeat() -> None:
    clips = ragged(2, 5, 3)
    bank = bank_of(clips, ["a", "b", "c"], frame_rate=10.0).select([2, 0, 2])
    assert bank.ids == ("c", "a", "c")
    assert bank.lengths.tolist() == [3, 2, 3]
    assert np.array_equal(bank.clip(1), clips[0])
    assert np.array_equal(bank.clip(2), clips[2])
    assert bank.frame_rate == 10.0
    with pytest.raises(ModelError, match="no clip"):
        bank.select([])


@given(st.lists(st.lists(st.integers(1, 5), min_size=1, max_size=3), min_size=1, max_size=4))
def test_some_banks_as_one_are_the_bank_of_all_their_clips(lengths: list[list[int]]) -> None:
    flat = [length for some in lengths for length in some]
    clips = iter(ragged(*flat))
    ids = iter(f"id_{index:02d}" for index in range(len(flat)))
    banks = [bank_of([next(clips) for _ in some], [next(ids) for _ in some], frame_rate=5.0) for some in lengths]
    whole = bank_of(ragged(*flat), [f"id_{index:02d}" for index in range(len(flat))], frame_rate=5.0)
    assert same(concatenate(banks), whole)


def test_banks_of_different_features_do_not_mix() -> None:
    one = bank_of(ragged(2), ["a"], frame_rate=5.0)
    for other in (bank_of([np.zeros((2, 4))], ["b"], frame_rate=5.0), bank_of(ragged(2), ["b"], frame_rate=6.0)):
        with pytest.raises(ModelError, match="width or frame rate; use one kind"):
            concatenate([one, other])
    with pytest.raises(ModelError, match="no bank"):
        concatenate([])


@pytest.mark.parametrize("frame_rate", [None, 31.25, 16000 / 512 / 3])
def test_a_saved_bank_comes_back_as_it_was_and_stays_on_disk(tmp_path: Path, frame_rate: float | None) -> None:
    bank = bank_of(ragged(2, 5, 1), ["id_00", "Lüfter 1", "a,b"], frame_rate=frame_rate)
    bank.save(tmp_path)
    loaded = Bank.load(tmp_path)
    assert same(loaded, bank)
    assert isinstance(loaded.frames, np.memmap)
    assert not loaded.frames.flags.writeable, "nobody changes a stored bank by accident"


def test_domains_and_attributes_stay_with_their_clips(tmp_path: Path) -> None:
    domains, attributes = ("source", None, "target"), ((), (("speed", "28V"), ("mic", "2")), ())
    plain = bank_of(ragged(2, 5, 1), ["a", "b", "c"])
    bank = replace(plain, domains=domains, attributes=attributes)
    bank.save(tmp_path)
    assert same(Bank.load(tmp_path), bank)
    some = bank.select([2, 1])
    assert (some.domains, some.attributes) == (("target", None), ((), attributes[1]))
    both = concatenate([plain, bank])
    assert (both.domains, both.attributes) == ((None,) * 3 + domains, ((),) * 3 + attributes)


def test_a_part_of_a_bank_is_saved_as_that_part(tmp_path: Path) -> None:
    """The frames need not be contiguous in memory."""
    bank = Bank(np.asfortranarray(np.concatenate(ragged(2, 3))), np.array([0, 2, 5]), ("a", "b"))
    bank.save(tmp_path)
    assert same(Bank.load(tmp_path), bank)


def test_a_bank_of_files_holds_the_features_of_each(tmp_path: Path, record: Callable[..., Path]) -> None:
    paths = [record(tmp_path / f"{index}.wav", seconds=seconds) for index, seconds in enumerate((0.3, 0.05, 0.8))]
    (tmp_path / "bank").mkdir()
    done: list[int] = []
    clips = [clip_of(path, f"id_{index:02d}") for index, path in enumerate(paths)]
    bank = build_bank(clips, front_end(), tmp_path / "bank", on_clip=done.append)
    features = LogMel(16000, n_fft=512, hop_length=256, n_mels=16)
    assert done == [1, 2, 3]
    assert bank.ids == ("id_00", "id_01", "id_02")
    assert bank.frame_rate == 16000 / 256
    assert bank.lengths.tolist() == [1 + round(16000 * seconds) // 256 for seconds in (0.3, 0.05, 0.8)]
    for index, path in enumerate(paths):
        assert np.array_equal(bank.clip(index), features(read_waveform(path, sample_rate=16000)))
    assert same(Bank.load(tmp_path / "bank"), bank)


def test_clips_go_to_the_disk_one_by_one(tmp_path: Path, record: Callable[..., Path]) -> None:
    """Memory holds one clip at a time: what is done is in the file, or in its small buffer."""
    paths = [record(tmp_path / f"{index}.wav", seconds=4) for index in range(4)]
    (tmp_path / "bank").mkdir()
    sizes: list[int] = []

    def measure(done: int) -> None:
        sizes.append((tmp_path / "bank" / "frames.f32").stat().st_size)

    bank = build_bank([clip_of(path) for path in paths], front_end(), tmp_path / "bank", on_clip=measure)
    one_clip = bank.frames.nbytes // 4
    assert all(size >= (index + 1) * one_clip - 2**16 for index, size in enumerate(sizes))
    assert sizes[1] > sizes[0]


def test_what_a_killed_build_left_is_overwritten(tmp_path: Path, record: Callable[..., Path]) -> None:
    path = record(tmp_path / "a.wav")
    (tmp_path / "bank").mkdir()
    (tmp_path / "bank" / "frames.f32").write_bytes(b"\xff" * 10**6)
    bank = build_bank([clip_of(path)], front_end(), tmp_path / "bank")
    assert np.array_equal(bank.frames, front_end()(path))


def test_the_front_end_takes_the_channel_that_it_was_told(tmp_path: Path, record: Callable[..., Path]) -> None:
    path = record(tmp_path / "stereo.wav", channels=2)
    assert np.array_equal(front_end()(path), front_end(channel=0)(path))
    assert not np.allclose(front_end(channel=0)(path), front_end(channel=1)(path))
    with pytest.raises(AudioError, match=r"stereo\.wav: channel 2 .*has 2"):
        front_end(channel=2)(path)


def test_a_clip_that_cannot_be_features_is_named(tmp_path: Path, record: Callable[..., Path]) -> None:
    good = record(tmp_path / "good.wav")
    short = record(tmp_path / "short.wav", seconds=0.01)
    loud = record(tmp_path / "loud.wav", subtype="FLOAT")
    import soundfile

    soundfile.write(loud, np.full(4000, 1e25), 16000, subtype="FLOAT")
    text = tmp_path / "text.wav"
    text.write_text("no sound")
    (tmp_path / "bank").mkdir()
    for path, error, words in (
        (short, FeatureError, r"160 samples at 16000 Hz; a frame needs 512\. Remove"),
        (loud, FeatureError, r"not finite; samples reach 1e\+25 where full scale is 1\. Repair"),
        (text, AudioError, "no audio file"),
        (tmp_path / "gone.wav", AudioError, "does not exist"),
    ):
        with pytest.raises(error, match=words) as caught:
            build_bank([clip_of(good), clip_of(path)], front_end(), tmp_path / "bank")
        assert str(caught.value).startswith(str(path))
