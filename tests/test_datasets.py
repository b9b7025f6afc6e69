import os
import shutil
from collections import Counter
from pathlib import Path

import pytest

from auscult.clips import MACHINE_TYPES
from auscult.datasets import (
    DATASETS,
    detect_dataset,
    load_clips,
    mimii,
    read_dataset,
    require_training_clips,
)
from auscult.datasets.dcase import EVALUATION_IDS
from auscult.datasets.truth import read_list
from auscult.errors import DatasetError

TRUTH = "fan\r\nid_01_00000000.wav,anomaly_id_01_00000003.wav,1\r\nid_01_00000001.wav,normal_id_01_00000000.wav,0\r\n"


def make(root: Path, *names: str) -> Path:
    """Files of one byte each: readers of layouts do not open them."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return root


def dcase_tree(root: Path, *, merged: bool = False) -> Path:
    dev, eval_ = ("", "") if merged else ("dev_data/", "eval_data/")
    return make(
        root,
        f"{dev}fan/train/normal_id_00_00000000.wav",
        f"{dev}fan/train/normal_id_02_00000000.wav",
        f"{dev}fan/test/normal_id_00_00000000.wav",
        f"{dev}fan/test/anomaly_id_00_00000000.wav",
        f"{eval_}fan/train/normal_id_01_00000000.wav",
        f"{eval_}fan/test/id_01_00000000.wav",
        f"{eval_}fan/test/id_01_00000001.wav",
        f"{dev}ToyCar/train/normal_id_01_00000000.flac",
        f"{eval_}ToyCar/train/normal_id_05_00000000.ogg",
    )


def facts(clips):
    return [(c.machine_type, c.machine_id, c.split, c.label, c.subset, c.file) for c in clips]


EXPECTED = [
    ("ToyCar", "id_01", "train", "normal", "development", "normal_id_01_00000000.flac"),
    ("ToyCar", "id_05", "train", "normal", "additional", "normal_id_05_00000000.ogg"),
    ("fan", "id_00", "train", "normal", "development", "normal_id_00_00000000.wav"),
    ("fan", "id_00", "test", "anomaly", "development", "anomaly_id_00_00000000.wav"),
    ("fan", "id_00", "test", "normal", "development", "normal_id_00_00000000.wav"),
    ("fan", "id_01", "train", "normal", "additional", "normal_id_01_00000000.wav"),
    ("fan", "id_01", "test", None, "evaluation", "id_01_00000000.wav"),
    ("fan", "id_01", "test", None, "evaluation", "id_01_00000001.wav"),
    ("fan", "id_02", "train", "normal", "development", "normal_id_02_00000000.wav"),
]


# DCASE 2020 Task 2


@pytest.mark.parametrize("merged", [False, True])
def test_dcase_in_two_folders_and_unpacked_into_one_say_the_same(tmp_path, merged):
    assert facts(load_clips(dcase_tree(tmp_path, merged=merged))) == EXPECTED


def test_every_folder_of_the_layout_may_be_pointed_at(tmp_path):
    root = dcase_tree(tmp_path)
    whole = load_clips(root)
    for inside in ("dev_data", "eval_data", "dev_data/fan", "eval_data/fan"):
        part = [clip for clip in whole if clip.path.is_relative_to(root / inside)]
        assert load_clips(root / inside) == part
        assert part


def test_relative_paths_and_the_working_folder(tmp_path, monkeypatch):
    dcase_tree(tmp_path)
    monkeypatch.chdir(tmp_path / "eval_data" / "fan")
    clips = load_clips(Path())
    assert {clip.machine_type for clip in clips} == {"fan"}
    assert {clip.subset for clip in clips} == {"additional", "evaluation"}
    assert all(clip.path.is_file() for clip in clips)


def test_evaluation_ids_of_new_machine_types_are_those_without_labels(tmp_path):
    make(
        tmp_path,
        "press/train/normal_id_00_00000000.wav",
        "press/train/normal_id_07_00000000.wav",
        "press/test/anomaly_id_00_00000000.wav",
        "press/test/id_07_00000000.wav",
    )
    assert [(c.machine_id, c.split, c.subset) for c in load_clips(tmp_path)] == [
        ("id_00", "train", "development"),
        ("id_00", "test", "development"),
        ("id_07", "train", "additional"),
        ("id_07", "test", "evaluation"),
    ]


def test_folders_tell_the_sets_apart_where_ids_do_not(tmp_path):
    root = make(
        tmp_path / "eval_data" / "mine",  # a parent that happens to have that name
        "dev_data/press/train/normal_id_00_00000000.wav",
        "eval_data/press/train/normal_id_01_00000000.wav",
    )
    assert [clip.subset for clip in load_clips(root)] == ["development", "additional"]
    assert [clip.subset for clip in load_clips(root / "eval_data" / "press")] == ["additional"]


@pytest.mark.parametrize("place", ["eval_data_list.csv", "eval_data/eval_data_list.csv", "elsewhere.csv"])
@pytest.mark.parametrize("pointed_at", [".", "eval_data", "eval_data/fan"])
def test_the_ground_truth_labels_the_evaluation_set(tmp_path, place, pointed_at):
    root = dcase_tree(tmp_path)
    list_ = root / place
    list_.write_text(TRUTH, newline="")
    clips = load_clips(root / pointed_at, truth=list_ if "elsewhere" in place else None)
    labels = {clip.file: clip.label for clip in clips if clip.subset == "evaluation"}
    assert labels == {"id_01_00000000.wav": "anomaly", "id_01_00000001.wav": "normal"}
    assert None not in {clip.label for clip in clips}


def test_a_clip_missing_from_the_ground_truth_is_named(tmp_path):
    root = make(dcase_tree(tmp_path), "eval_data/fan/test/id_03_00000007.wav")
    (root / "eval_data_list.csv").write_text(TRUTH)
    with pytest.raises(DatasetError, match=r"id_03_00000007\.wav: is not in the ground-truth list .*eval_data_list"):
        load_clips(root)


def test_converted_evaluation_clips_keep_their_labels(tmp_path):
    make(tmp_path, "fan/test/id_01_00000000.flac", "fan/train/normal_id_01_00000000.flac")
    (tmp_path / "eval_data_list.csv").write_text(TRUTH)
    assert [clip.label for clip in load_clips(tmp_path)] == ["normal", "anomaly"]


def test_the_official_list_has_the_official_ids(shared_data):
    truth = read_list(shared_data / "ground_truth_2020" / "eval_data_list.csv").clips
    assert sorted(truth) == sorted(MACHINE_TYPES)
    for machine_type, files in truth.items():
        assert {name[:5] for name in files} == set(EVALUATION_IDS[machine_type])
    counts = Counter(listed.label for files in truth.values() for listed in files.values())
    assert counts == {"normal": 2559, "anomaly": 4544}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id_01_00000000.wav,x.wav,1\n", "line 1: found .* a line with the machine type"),
        ("fan\nid_01_00000000.wav,x.wav,2\n", "line 2: found"),
        ("fan\nid_01_00000000.wav,1\n", "line 2: found"),
        ("fan\na.wav,x.wav,1\na.wav,y.wav,0\n", "line 3: a.wav is listed twice"),
        ("fan\n\n", "lists no files"),
    ],
)
def test_a_damaged_ground_truth_list_is_refused_with_the_line(tmp_path, text, message):
    (tmp_path / "list.csv").write_text(text)
    with pytest.raises(DatasetError, match=message):
        read_list(tmp_path / "list.csv")


def test_a_missing_or_binary_ground_truth_list_is_refused(tmp_path):
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00\x80")
    for name in ("binary.csv", "missing.csv"):
        with pytest.raises(DatasetError, match=f"cannot read the ground-truth list .*{name}"):
            load_clips(dcase_tree(tmp_path / "data"), truth=tmp_path / name)


def test_real_clips(shared_data):
    clips = load_clips(shared_data / "dcase2020_mini")
    assert len(clips) == 168
    assert Counter(clip.label for clip in clips if clip.split == "test") == {"normal": 49, "anomaly": 44}
    assert [clip.machine_type for clip in clips if clip.split == "train"] == ["slider"] * 75
    slider = load_clips(shared_data / "dcase2020_mini" / "dev_data", machine_types=["slider"])
    assert [facts([a]) for a in slider] == [facts([b]) for b in clips if b.machine_type == "slider"]


# What every layout refuses


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("dev_data/fan/train/anomaly_id_00_00000009.wav", "is an anomaly in the training data, .* only; remove it"),
        ("dev_data/fan/train/id_00_00000009.wav", "does not say that it is normal"),
        ("dev_data/fan/test/pump7.wav", r"fits no name .*normal_id_00_00000000\.wav, anomaly_id_00.*rename or remove"),
        ("dev_data/fan/validation/normal_id_00_00000009.wav", "lies in no <machine type>/train"),
        ("dev_data/train/normal_id_00_00000009.wav", "lies in no <machine type>/train"),
        ("loose.wav", "lies in no <machine type>/train"),
        ("dev_data/ToyCar/train/normal_id_01_00000000.wav", r"is the same clip as .*normal_id_01_00000000\.flac"),
        ("fan/train/normal_id_00_00000000.wav", r"same clip as .*dev_data.fan.train.normal_id_00_00000000\.wav"),
        ("dev_data/fan/train/normal_id_00_00000009.mp3", "files are read; convert"),
        ("dev_data/fan/train/normal_id_00_00000009.wav.part", "lies in a folder of clips"),
    ],
)
def test_a_file_that_cannot_be_a_clip_is_named(tmp_path, name, message):
    root = make(dcase_tree(tmp_path), name)
    with pytest.raises(DatasetError, match=message) as caught:
        load_clips(root)
    assert name in str(caught.value)
    clips, problems, *_ = read_dataset(root)
    assert facts(clips) == EXPECTED
    assert [problem.path for problem in problems] == [root / name]


def test_unreadable_files_are_named(tmp_path):
    root = dcase_tree(tmp_path)
    train = root / "dev_data" / "fan" / "train"
    (train / "normal_id_00_00000007.wav").symlink_to(root / "gone.wav")
    (train / "normal_id_00_00000008.wav").mkdir()
    (train / "normal_id_00_00000009.wav").touch()
    os.mkfifo(train / "normal_id_02_00000009.wav")
    messages = {problem.path.name: problem.message for problem in read_dataset(root).problems}
    assert "broken link" in messages.pop("normal_id_00_00000007.wav")
    assert "is a folder" in messages.pop("normal_id_00_00000008.wav")
    assert "is empty" in messages.pop("normal_id_00_00000009.wav")
    assert "no regular file" in messages.pop("normal_id_02_00000009.wav")
    assert not messages


def test_many_problems_make_one_short_line(tmp_path):
    root = make(dcase_tree(tmp_path), *(f"dev_data/fan/train/noise{i:03}.wav" for i in range(200)), "x.mp3")
    with pytest.raises(DatasetError) as caught:
        load_clips(root)
    message = str(caught.value)
    assert "has 201 problems" in message
    assert "noise000.wav" in message
    assert "and 197 more" in message
    assert "x.mp3" in message
    assert f"auscult inspect {root}" in message
    assert "\n" not in message
    assert len(message) < 1000


def test_hidden_files_and_files_beside_the_clips_are_no_clips(tmp_path):
    root = make(
        dcase_tree(tmp_path),
        "clean/mill/1.wav",
        "faults.csv",
        "factory.json",
        "dev_data/README.md",
        "dev_data/dev_data_fan.zip",
        "dev_data/fan/train/.hidden.wav",
        "dev_data/fan/train/._normal_id_00_00000000.wav",
        ".archives/fan/train/x.wav",
        "dev_data/fan/Thumbs.db",
    )
    assert facts(load_clips(root)) == EXPECTED


def test_links_are_followed_but_not_in_circles(tmp_path):
    root = dcase_tree(tmp_path / "disk")
    (tmp_path / "data").symlink_to(root)
    linked = tmp_path / "project"
    linked.mkdir()
    (linked / "fan").symlink_to(root / "dev_data" / "fan")
    assert facts(load_clips(tmp_path / "data")) == EXPECTED
    assert len(load_clips(linked)) == 4
    loop = root / "dev_data" / "fan" / "loop"
    for above in (root, root / "dev_data"):
        loop.symlink_to(above)
        (problem,) = read_dataset(root).problems
        assert problem.path == loop
        assert "is a link to a folder above" in problem.message
        loop.unlink()


def test_missing_empty_and_strange_folders(tmp_path):
    with pytest.raises(DatasetError, match=r"missing does not exist; give"):
        load_clips(tmp_path / "missing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match=r"empty holds no wav, flac or ogg files; known layouts are dcase: .*mimii:"):
        load_clips(tmp_path / "empty")
    with pytest.raises(DatasetError, match="holds no wav"):
        load_clips(tmp_path / "empty", dataset="folder")
    with pytest.raises(DatasetError, match=r"strange has no known layout .*a\.wav"):
        load_clips(make(tmp_path / "strange", "a.wav"))
    with pytest.raises(DatasetError, match="is no folder"):
        load_clips(tmp_path / "strange" / "a.wav")


def test_unknown_names_get_the_known_ones_and_the_nearest(tmp_path):
    root = dcase_tree(tmp_path)
    with pytest.raises(
        DatasetError, match=r"'dcase20' \(did you mean .*\?\); known are dcase, mimii, folder, dcase2020"
    ):
        load_clips(root, dataset="dcase20")
    with pytest.raises(DatasetError, match=r"'toycar' \(did you mean 'ToyCar'\?\); it has ToyCar, fan"):
        load_clips(root, machine_types=["fan", "toycar"])


def test_chosen_machine_types_are_not_held_up_by_the_others(tmp_path):
    root = make(dcase_tree(tmp_path), "dev_data/fan/train/noise.wav")
    assert {clip.machine_type for clip in load_clips(root, machine_types=["ToyCar"])} == {"ToyCar"}
    with pytest.raises(DatasetError, match=r"noise\.wav"):
        load_clips(root, machine_types=["ToyCar", "fan"])


def test_training_needs_training_clips(tmp_path):
    root = make(dcase_tree(tmp_path), "dev_data/pump/test/normal_id_00_00000000.wav")
    clips = load_clips(root)
    with pytest.raises(DatasetError, match=r"no training clips of pump; .*--machine-type ToyCar --machine-type fan"):
        require_training_clips(clips, root)
    require_training_clips([clip for clip in clips if clip.machine_type != "pump"], root)
    with pytest.raises(DatasetError, match="no training clips of pump; add recordings"):
        require_training_clips([clip for clip in clips if clip.machine_type == "pump"], root)


# MIMII


def mimii_tree(root: Path, home: str = "", n_normal: int = 20, n_abnormal: int = 5) -> Path:
    for id_ in ("id_00", "id_02"):
        make(root, *(f"{home}fan/{id_}/normal/{i:08}.wav" for i in range(n_normal)))
        make(root, *(f"{home}fan/{id_}/abnormal/{i:08}.wav" for i in range(n_abnormal)))
    return root


def test_mimii_is_split_evenly_and_always_alike(tmp_path):
    clips = load_clips(mimii_tree(tmp_path / "a"))
    for id_ in ("id_00", "id_02"):
        mine = [clip for clip in clips if clip.machine_id == id_]
        assert Counter((c.split, c.label) for c in mine) == {
            ("train", "normal"): 15,
            ("test", "normal"): 5,
            ("test", "anomaly"): 5,
        }
    again = load_clips(mimii_tree(tmp_path / "b", home="6_dB_fan/"))
    assert facts(again) == facts(clips)
    shutil.rmtree(tmp_path / "b" / "6_dB_fan" / "fan" / "id_02")
    assert facts(load_clips(tmp_path / "b")) == [fact for fact in facts(clips) if fact[1] == "id_00"]
    chosen = {id_: {c.file for c in clips if c.machine_id == id_ and c.split == "train"} for id_ in ("id_00", "id_02")}
    assert chosen["id_00"] != chosen["id_02"]


def test_another_seed_chooses_other_test_clips(tmp_path):
    root = mimii_tree(tmp_path)
    assert facts(mimii.read(root, seed=0)[0]) == facts(load_clips(root))
    assert facts(mimii.read(root, seed=1)[0]) != facts(load_clips(root))


def test_mimii_keeps_half_of_few_normals_for_training(tmp_path):
    clips = load_clips(mimii_tree(tmp_path, n_normal=3, n_abnormal=9))
    assert Counter((c.split, c.label) for c in clips if c.machine_id == "id_00") == {
        ("train", "normal"): 2,
        ("test", "normal"): 1,
        ("test", "anomaly"): 9,
    }


def test_mimii_at_several_signal_to_noise_ratios(tmp_path):
    mimii_tree(mimii_tree(tmp_path, home="6_dB_fan/"), home="-6dB/")
    clips = load_clips(tmp_path)
    by_type = {name: [c for c in clips if c.machine_type == name] for name in ("6_dB_fan", "-6dB_fan")}
    assert sum(map(len, by_type.values())) == len(clips)
    splits = [[(c.machine_id, c.file, c.split) for c in group] for group in by_type.values()]
    assert splits[0] == splits[1]
    assert {clip.machine_type for clip in load_clips(tmp_path / "6_dB_fan")} == {"fan"}


def test_real_mimii_clips_and_the_folder_of_one_type(shared_data):
    clips = load_clips(shared_data / "mimii_8ch")
    assert facts(clips) == [
        ("fan", "id_02", "train", "normal", "development", "normal/00000000.wav"),
        ("fan", "id_02", "test", "anomaly", "development", "abnormal/00000000.wav"),
        ("pump", "id_04", "train", "normal", "development", "normal/00000000.wav"),
        ("pump", "id_04", "test", "anomaly", "development", "abnormal/00000000.wav"),
    ]
    assert load_clips(shared_data / "mimii_8ch" / "fan") == clips[:2]


def test_a_stray_file_in_mimii_is_named(tmp_path):
    with pytest.raises(DatasetError, match=r"fan.id_00.x\.wav: lies outside the layout of MIMII"):
        load_clips(make(mimii_tree(tmp_path), "fan/id_00/x.wav"))


# Plain folders


def test_plain_folders_with_and_without_ids(tmp_path):
    make(
        tmp_path,
        "press/train/Monday.wav",
        "press/train/May 7/09.30.wav",
        "press/test/normal/a.wav",
        "press/test/abnormal/a.wav",
        "mill/east/Train/normal/1.FLAC",
        "mill/west/train/1.ogg",
        "mill/west/test/anomalous/2.wav",
        "clean/hum.wav",
    )
    assert detect_dataset(tmp_path) == "folder"
    assert [fact[:4] + fact[5:] for fact in facts(load_clips(tmp_path))] == [
        ("mill", "east", "train", "normal", "Train/normal/1.FLAC"),
        ("mill", "west", "train", "normal", "train/1.ogg"),
        ("mill", "west", "test", "anomaly", "test/anomalous/2.wav"),
        ("press", "id_00", "train", "normal", "train/May 7/09.30.wav"),
        ("press", "id_00", "train", "normal", "train/Monday.wav"),
        ("press", "id_00", "test", "anomaly", "test/abnormal/a.wav"),
        ("press", "id_00", "test", "normal", "test/normal/a.wav"),
    ]


def test_one_machine_may_be_pointed_at(tmp_path):
    make(tmp_path, "press/train/a.wav", "saw/id_03/train/a.wav")
    assert [(c.machine_type, c.machine_id) for c in load_clips(tmp_path / "press")] == [("press", "id_00")]
    assert [(c.machine_type, c.machine_id) for c in load_clips(tmp_path / "saw")] == [("saw", "id_03")]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("press/train/anomaly/a.wav", "is an anomaly in the training data"),
        ("press/test/a.wav", "has no label; move it to test/normal or test/anomaly"),
        ("press/test/odd/a.wav", "has no label"),
        ("press/a.wav", "lies in no train or test folder"),
        ("hall/press/id_00/train/a.wav", "lies too deep"),
        ("press/train/a.flac", r"is the same clip as .*a\.wav|is the same clip as .*a\.flac"),
        ("press/train/notes.txt", "lies in a folder of clips"),
    ],
)
def test_a_file_that_fits_no_plain_folder_is_named(tmp_path, name, message):
    make(tmp_path, "press/train/a.wav", name)
    with pytest.raises(DatasetError, match=message):
        load_clips(tmp_path)


@pytest.mark.parametrize("name", ["mimii", "folder"])
def test_layouts_with_labels_in_folders_refuse_a_ground_truth_list(tmp_path, name):
    root = mimii_tree(tmp_path) if name == "mimii" else make(tmp_path, "press/train/a.wav")
    with pytest.raises(DatasetError, match=r"say the labels; leave out the list truth\.csv"):
        load_clips(root, truth=Path("truth.csv"))


def test_each_layout_is_detected_as_itself(tmp_path):
    roots = {
        "dcase": dcase_tree(tmp_path / "dcase"),
        "mimii": mimii_tree(tmp_path / "mimii"),
        "folder": make(tmp_path / "folder", "press/id_00/train/normal/a.wav", "press/id_00/test/anomaly/a.wav"),
    }
    assert list(roots) == list(DATASETS)
    for name, root in roots.items():
        assert detect_dataset(root) == name
