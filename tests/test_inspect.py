import io
import zlib
from pathlib import Path

import numpy as np
import pytest
import soundfile

from auscult.datasets.inspect import format_inspection, inspect_dataset
from auscult.errors import DatasetError


def write(
    path: Path, seconds: float = 0.5, *, sample_rate: int = 8000, channels: int = 1, seed: int | None = None
) -> Path:
    """Noise that differs from file to file, unless a seed is given."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(zlib.crc32(str(path).encode()) if seed is None else seed)
    noise = rng.uniform(-0.5, 0.5, (round(seconds * sample_rate), channels))
    soundfile.write(path, noise, sample_rate, subtype="PCM_16")
    return path


@pytest.fixture
def press(tmp_path) -> Path:
    root = tmp_path / "data"
    for i in range(3):
        write(root / "press" / "train" / f"{i}.wav", 0.5 + i)
    write(root / "press" / "test" / "normal" / "0.wav")
    write(root / "press" / "test" / "anomaly" / "0.wav", channels=2)
    return root


def printed(inspection) -> str:
    from rich.console import Console

    stream = io.StringIO()
    Console(file=stream, width=200).print(format_inspection(inspection))
    return stream.getvalue()


def test_a_sound_folder_is_counted_and_has_no_problem(press):
    inspection = inspect_dataset(press)
    assert inspection.dataset == "folder"
    assert inspection.problems == ()
    assert inspection.notes == ()
    train, anomaly, normal = inspection.groups
    assert (train.split, train.label, train.n_clips) == ("train", "normal", 3)
    assert (train.total_duration, train.min_duration, train.max_duration) == pytest.approx((4.5, 0.5, 2.5))
    assert train.sample_rates == (8000,)
    assert (anomaly.label, anomaly.channels) == ("anomaly", (2,))
    assert (normal.label, normal.channels) == ("normal", (1,))
    text = printed(inspection)
    assert "no problem found" in text
    assert "0.50 to 2.50" in text


def test_two_microphones_are_compared_by_their_training_clips(tmp_path):
    for i in range(3):
        write(tmp_path / "data" / "press" / "train" / f"{i}.wav", 2.0, channels=2)
    write(tmp_path / "data" / "fan" / "train" / "0.wav")
    (line,) = inspect_dataset(tmp_path / "data").far
    assert line.startswith("press: The far microphone predicts") and "of 3 recordings)" in line
    assert line in printed(inspect_dataset(tmp_path / "data")).replace("\n", "")
    assert inspect_dataset(tmp_path / "data", deep=False).far == ()


def test_damaged_files_are_problems_and_are_all_named(press):
    train = press / "press" / "train"
    cut = write(train / "cut.wav")
    cut.write_bytes(cut.read_bytes()[:-100])
    (train / "text.wav").write_text("no audio at all, only words\n" * 10)
    (train / "header.wav").write_bytes(write(train / "other.wav").read_bytes()[:20])
    (train / "empty.wav").touch()
    (train / "link.wav").symlink_to(press / "gone.wav")
    soundfile.write(train / "nothing.wav", np.zeros(0), 8000)
    whole = write(train / "killed.wav").read_bytes()
    (train / "killed.wav").write_bytes(whole[:4] + bytes(4) + whole[8:40] + bytes(4) + whole[44:])
    (train / "rate.wav").write_bytes(whole[:24] + b"\x01\0\0\0" + whole[28:])
    inspection = inspect_dataset(press, deep=False)
    messages = {problem.path.name: problem.message for problem in inspection.problems}
    assert "its sample rate is 1 Hz" in messages.pop("rate.wav")
    assert f"{train / 'killed.wav'}: the header does not say how long it is" in " ".join(inspection.notes)
    assert set(messages) == {"cut.wav", "text.wav", "header.wav", "empty.wav", "link.wav", "nothing.wav"}
    assert "truncated" in messages["cut.wav"]
    assert str(press) not in messages["cut.wav"]
    text = printed(inspection)
    assert "7 problems found" in text
    assert all(name in text for name in messages)


def test_only_a_deep_look_finds_what_headers_hide(press):
    train = press / "press" / "train"
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, 4000).astype(np.float32)
    samples[17] = np.nan
    soundfile.write(train / "nan.wav", samples, 8000, subtype="FLOAT")
    soundfile.write(train / "silent.wav", np.zeros(4000), 8000)
    assert inspect_dataset(press, deep=False).problems == ()
    messages = {problem.path.name: problem.message for problem in inspect_dataset(press).problems}
    assert set(messages) == {"nan.wav", "silent.wav"}
    assert "nan" in messages["nan.wav"]
    assert "silent" in messages["silent.wav"]


def test_a_clip_in_training_and_in_test_is_noted(press):
    write(press / "press" / "train" / "leak.wav", seed=5)
    write(press / "press" / "test" / "normal" / "leak.wav", seed=5)
    (note,) = inspect_dataset(press).notes
    assert "1 recording occurs under several names, 1 of them in training and in test" in note
    assert "train/leak.wav" in note
    assert inspect_dataset(press).problems == ()


def test_what_an_evaluation_will_lack_is_noted(press):
    write(press / "mill" / "test" / "normal" / "0.wav", sample_rate=16000)
    write(press / "mill" / "test" / "normal" / "1.wav", sample_rate=44100)
    notes = "\n".join(inspect_dataset(press).notes)
    assert "mill has no training clips" in notes
    assert "mill id_00: test clips of one label only" in notes
    assert "mill was recorded at 16000, 44100 Hz" in notes
    assert "press" not in notes


def test_problems_of_the_layout_are_there_too(press):
    write(press / "press" / "loose.wav")
    (problem,) = inspect_dataset(press).problems
    assert problem.path == press / "press" / "loose.wav"
    assert "no train or test folder" in problem.message


def test_a_missing_folder_is_an_error(tmp_path):
    with pytest.raises(DatasetError, match="does not exist"):
        inspect_dataset(tmp_path / "missing")


def test_names_with_brackets_print_as_they_are(press):
    write(press / "press" / "[red]x.wav")
    assert "[red]x.wav" in printed(inspect_dataset(press))


def test_real_clips_are_sound(shared_data):
    inspection = inspect_dataset(shared_data / "dcase2020_mini")
    assert inspection.problems == ()
    assert sum(group.n_clips for group in inspection.groups) == 168
    assert {rate for group in inspection.groups for rate in group.sample_rates} == {16000}
    lengths = {group.machine_type: group.max_duration for group in inspection.groups}
    assert lengths["ToyCar"] == pytest.approx(11)
    assert lengths["slider"] == pytest.approx(10)
    assert "ToyCar has no training clips: it can be scored and evaluated, not trained" in inspection.notes


def test_real_eight_channel_clips(shared_data):
    inspection = inspect_dataset(shared_data / "mimii_8ch")
    assert inspection.problems == ()
    assert {group.channels for group in inspection.groups} == {(8,)}
