"""Clean sounds from a folder, from ESC-50 and from AudioSet, and their split without a recording on two sides."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from auscult.denoising.sounds import AUDIOSET, find_sounds, split_parts
from auscult.errors import DatasetError

Record = Callable[..., Path]


def test_a_folder_is_labelled_by_its_subfolders(tmp_path: Path, record: Record) -> None:
    for name in ("engine/a.wav", "engine/1-977-A-39.wav", "engine/1-977-B-39.wav", "loose.flac"):
        record(tmp_path / name)
    found = {sound.path.name: (sound.label, sound.recording) for sound in find_sounds(tmp_path)}
    assert found["a.wav"] == ("engine", "engine/a")
    assert found["1-977-A-39.wav"] == found["1-977-B-39.wav"] == ("engine", "engine/977")
    assert found["loose.flac"][0] == ""


def test_esc50_gives_its_mechanical_classes(tmp_path: Path, record: Record) -> None:
    record(tmp_path / "audio" / "1-11-A-40.wav")
    record(tmp_path / "audio" / "1-12-A-0.wav")
    (tmp_path / "meta").mkdir()
    (tmp_path / "meta" / "esc50.csv").write_text(
        "filename,fold,target,category,esc10,src_file,take\n"
        "1-11-A-40.wav,1,40,helicopter,True,11,A\n1-12-A-0.wav,1,0,dog,True,12,A\n"
    )
    (sound,) = find_sounds(tmp_path)
    assert (sound.path.name, sound.label, sound.recording) == ("1-11-A-40.wav", "helicopter", "11")
    shutil.rmtree(tmp_path / "audio")
    with pytest.raises(DatasetError, match=r"1 files of meta.esc50"):
        find_sounds(tmp_path)


def test_audioset_gives_the_clips_of_mechanical_segments(tmp_path: Path, record: Record) -> None:
    for name in ("--PJHxphWEs.wav", "abcdefghij__30.000_40.000.wav", "abcdefghij__90.wav", "speech-abcd.wav"):
        record(tmp_path / "clips" / name)
    (tmp_path / "balanced_train_segments.csv").write_text(
        "# Segments csv\n# YTID, start_seconds, end_seconds, positive_labels\n"
        '--PJHxphWEs, 30.000, 40.000, "/m/09x0r,/m/02mk9"\n'
        'abcdefghij_, 30.000, 40.000, "/m/0l7xg"\n'
        'speech-abcd, 0.000, 10.000, "/m/09x0r"\n'
        'gonegonegon, 0.000, 10.000, "/m/02mk9"\n'
    )
    found = [(sound.path.name, sound.label, sound.recording) for sound in find_sounds(tmp_path)]
    assert found == [
        ("--PJHxphWEs.wav", "Engine", "--PJHxphWEs"),
        ("abcdefghij__30.000_40.000.wav", "Gears", "abcdefghij_"),
    ]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("meta/esc50.csv", b"filename,category\n1-11-A-40.wav,helicopter\n", "src_file"),
        ("meta/esc50.csv", b"filename,category,src_file\n1-11-A-40.wav,h\xe9licopt\xe8re,11\n", "utf-8"),
        ("segments.csv", b'abcdefghij_, 30, 40, "/m/0l7xg"\n' * 30 + b"# \xe9\n", "utf-8"),
    ],
)
def test_a_list_of_sounds_that_cannot_be_read_is_named(tmp_path: Path, name: str, content: bytes, words: str) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DatasetError, match=rf"{name} cannot be read as a list of sounds \(.*{words}"):
        find_sounds(tmp_path)


def test_the_mechanical_classes_of_audioset_are_in_the_docs() -> None:
    text = (Path(__file__).parents[1] / "docs" / "denoising.md").read_text(encoding="utf-8")
    missing = [f"{id_} {name}" for id_, name in AUDIOSET.items() if f"`{id_}` {name}" not in text]
    assert not missing


def test_a_folder_without_sounds_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="does not exist"):
        find_sounds(tmp_path / "none")
    with pytest.raises(DatasetError, match=r"holds no \.wav, \.flac, \.ogg files"):
        find_sounds(tmp_path)


def test_takes_of_one_recording_stay_together() -> None:
    items = [(recording, take) for recording in range(20) for take in "ABC"]
    parts = split_parts(items, lambda item: item[0])
    sides = [{recording for recording, _ in parts[name]} for name in ("train", "validation", "test")]
    assert sum(map(len, sides)) == 20
    assert all(len(parts[name]) == 3 * len(side) for name, side in zip(parts, sides, strict=True))
    assert [len(side) for side in sides] == [13, 4, 3]
