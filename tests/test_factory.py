"""The synthetic factory on disk: its files, and what it does to folders that exist."""

import csv
import errno
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from auscult.clips import MACHINE_TYPES
from auscult.datasets.factory import write_factory
from auscult.datasets.factory.catalogue import DEVELOPMENT_IDS, EVALUATION_IDS, EXTENTS, Extent, plan
from auscult.datasets.factory.clean_sounds import CLEAN_SOUNDS
from auscult.datasets.factory.disk import VERSION
from auscult.datasets.factory.hall import Hall
from auscult.datasets.factory.machine_types import TYPES
from auscult.errors import DatasetError


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_factory(tmp_path_factory.mktemp("tiny") / "factory", size="tiny")


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


# The files


def test_the_layout_is_that_of_the_challenge(tiny: Path) -> None:
    extent = EXTENTS["tiny"]
    for machine_type in MACHINE_TYPES:
        for machine_id in DEVELOPMENT_IDS[machine_type][:2]:
            folder = tiny / "dev_data" / machine_type
            assert len(list(folder.glob(f"train/normal_{machine_id}_*.wav"))) == extent.train_clips
            assert len(list(folder.glob(f"test/normal_{machine_id}_*.wav"))) == extent.test_clips
            assert len(list(folder.glob(f"test/anomaly_{machine_id}_*.wav"))) == extent.test_clips
        assert len(list((tiny / "dev_data" / machine_type).rglob("*.wav"))) == 2 * (4 + 3 + 3)
        folder, machine_id = tiny / "eval_data" / machine_type, EVALUATION_IDS[machine_type][0]
        hidden = [f"{machine_id}_{number:08d}.wav" for number in range(2 * extent.test_clips)]
        assert sorted(path.name for path in folder.glob("test/*")) == hidden
        assert len(list(folder.glob(f"train/normal_{machine_id}_*.wav"))) == extent.train_clips
    assert sorted(path.name for path in (tiny / "clean").iterdir()) == sorted(CLEAN_SOUNDS)
    for path in tiny.rglob("*.wav"):
        info = soundfile.info(path)
        assert (info.samplerate, info.channels, info.subtype, info.frames) == (16_000, 1, "PCM_16", 32_000)


def test_the_same_arguments_give_the_same_bytes_and_fewer_types_do_not_matter(
    tiny: Path, factory: Path, tmp_path: Path
) -> None:
    assert sorted(path.name for path in (factory / "dev_data").iterdir()) == ["fan", "valve"]
    for path in factory.rglob("*.wav"):
        assert path.read_bytes() == (tiny / path.relative_to(factory)).read_bytes()
    other = write_factory(tmp_path / "other", size="tiny", machine_types=["valve"], seed=1)
    for path in other.rglob("*.wav"):
        assert path.read_bytes() != (tiny / path.relative_to(other)).read_bytes()


def test_no_two_clips_are_alike(tiny: Path) -> None:
    paths = list(tiny.rglob("*.wav"))
    assert len({path.read_bytes() for path in paths}) == len(paths)


def test_a_clip_does_not_depend_on_the_clips_before_it(tiny: Path) -> None:
    clip = Hall(seed=0, snr_db=6.0).record("slider", "id_02", "test", "anomaly", 2, n_samples=32_000)
    written, _ = soundfile.read(tiny / "dev_data/slider/test/anomaly_id_02_00000002.wav", dtype="int16")
    assert np.array_equal(written, np.rint(clip.mix * 32767))


def test_the_ground_truth_agrees_with_the_faults_and_with_the_sounds(tiny: Path) -> None:
    text = (tiny / "eval_data_list.csv").read_bytes().decode()
    assert text.count("\r\n") == text.count("\n")
    faults = {row["file"]: row for row in rows(tiny / "faults.csv")}
    hall, machine_type, seen = Hall(seed=0, snr_db=6.0), "", 0
    for fields in (line.split(",") for line in text.splitlines()):
        if len(fields) == 1:
            machine_type = fields[0]
            continue
        file, original, label = fields
        assert original.startswith("anomaly" if label == "1" else "normal")
        relative = f"eval_data/{machine_type}/test/{file}"
        assert (relative in faults) == (label == "1")
        name, _, machine_id, index = original.removesuffix(".wav").split("_")
        clip = hall.record(machine_type, f"id_{machine_id}", "test", name, int(index), n_samples=32_000)
        assert np.array_equal(soundfile.read(tiny / relative, dtype="int16")[0], np.rint(clip.mix * 32767))
        seen += 1
    assert seen == len(list(tiny.glob("eval_data/*/test/*.wav")))
    development = {path.relative_to(tiny).as_posix() for path in tiny.glob("dev_data/*/test/anomaly*")}
    assert {file for file in faults if file.startswith("dev_data")} == development
    for row in faults.values():
        assert row["fault"] in TYPES[row["machine_type"]].faults
        assert 0.3 <= float(row["strength"]) <= 1.0


def test_hidden_clips_are_shuffled_and_every_fault_occurs() -> None:
    items = list(plan(EXTENTS["demo"], ["fan"], seed=0))
    hidden = [item.label for item in items if item.is_hidden]
    assert len(hidden) == 20
    assert hidden not in (sorted(hidden), sorted(hidden, reverse=True))
    hall = Hall(seed=0, snr_db=6.0)
    shown = [hall.anomaly("fan", "id_00", index) for index in range(10)]
    assert {fault for fault, _ in shown} == set(TYPES["fan"].faults)
    strengths = [strength for _, strength in shown]
    assert min(strengths) < 0.5 < 0.8 < max(strengths)


def test_the_full_size_has_the_official_machines() -> None:
    items = list(plan(EXTENTS["full"], MACHINE_TYPES, seed=0))
    for machine_type in MACHINE_TYPES:
        ids = {item.machine_id for item in items if item.machine_type == machine_type}
        assert ids == {*DEVELOPMENT_IDS[machine_type], *EVALUATION_IDS[machine_type]}
    assert EXTENTS["full"].seconds == 10


# The folders


@pytest.fixture
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes the tiny factory tinier, where its sounds do not matter."""
    monkeypatch.setitem(EXTENTS, "tiny", Extent(0.2, 1, 1, train_clips=2, test_clips=1, clean_clips=1))
    monkeypatch.setattr("auscult.datasets.factory.hall.NEIGHBOUR_SECONDS", 1)


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.usefixtures("brief")
def test_a_folder_in_use_is_refused_and_a_factory_replaced_by_force(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "factory"
    out.mkdir(parents=True)
    write_factory(out, size="tiny", machine_types=["fan"])
    before = snapshot(out)
    with pytest.raises(DatasetError, match=r"not empty.*--force"):
        write_factory(out, size="tiny", machine_types=["pump"])
    assert snapshot(out) == before
    (out / ".DS_Store").touch()
    write_factory(out, size="tiny", machine_types=["pump"], seed=2, snr_db=0.0, force=True)
    assert [path.name for path in (out / "dev_data").iterdir()] == ["pump"]
    marker = json.loads((out / "factory.json").read_text())
    assert {name: marker[name] for name in ("size", "seed", "snr_db")} == {"size": "tiny", "seed": 2, "snr_db": 0.0}
    assert [path.name for path in out.parent.iterdir()] == ["factory"]


@pytest.mark.usefixtures("brief")
def test_force_deletes_nothing_that_no_factory_wrote(tmp_path: Path) -> None:
    out = tmp_path / "factory"
    out.mkdir()
    (out / "thesis.txt").write_text("years of work")
    with pytest.raises(DatasetError, match="not written by a factory"):
        write_factory(out, size="tiny", force=True)
    (out / "thesis.txt").unlink()
    write_factory(out, size="tiny", machine_types=["fan"])
    mine = out / "dev_data" / "fan" / "train" / "normal_id_00_00000099.wav"
    mine.write_bytes(b"mine")
    with pytest.raises(DatasetError, match=r"normal_id_00_00000099\.wav"):
        write_factory(out, size="tiny", force=True)
    assert mine.read_bytes() == b"mine"
    (out / "factory.json").write_text("[]")
    with pytest.raises(DatasetError, match="not written by a factory"):
        write_factory(out, size="tiny", force=True)
    with pytest.raises(DatasetError, match="is a file"):
        write_factory(mine, size="tiny", force=True)


@pytest.mark.usefixtures("brief")
def test_an_interrupted_writing_leaves_everything_as_it_was(tmp_path: Path) -> None:
    def interrupt(done: int, total: int) -> None:
        assert done <= total
        if done == 5:
            raise KeyboardInterrupt

    out = tmp_path / "factory"
    with pytest.raises(KeyboardInterrupt):
        write_factory(out, size="tiny", machine_types=["fan"], progress=interrupt)
    assert list(tmp_path.iterdir()) == []
    write_factory(out, size="tiny", machine_types=["fan"])
    before = snapshot(out)
    with pytest.raises(KeyboardInterrupt):
        write_factory(out, size="tiny", machine_types=["pump"], force=True, progress=interrupt)
    assert snapshot(out) == before
    assert [path.name for path in tmp_path.iterdir()] == ["factory"]


@pytest.mark.usefixtures("brief")
def test_a_factory_that_cannot_be_replaced_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = write_factory(tmp_path / "factory", size="tiny", machine_types=["fan"])
    before, rename = snapshot(out), Path.rename

    def fail(path: Path, target: Path) -> Path:
        if path.name == "fresh":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(DatasetError, match="Permission denied"):
        write_factory(out, size="tiny", machine_types=["pump"], force=True)
    assert snapshot(out) == before
    assert [path.name for path in tmp_path.iterdir()] == ["factory"]


@pytest.mark.usefixtures("brief")
def test_a_full_disk_is_one_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(DatasetError, match=r"cannot write the factory .*No space left"):
        write_factory(tmp_path / "factory", size="tiny", machine_types=["fan"])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"size": "huge"}, "tiny, demo, full"),
        ({"seed": -1}, "0 or more"),
        ({"snr_db": float("nan")}, "-60 to 60"),
        ({"machine_types": ["lathe"]}, "lathe.*ToyCar"),
        ({"machine_types": []}, "machine type"),
    ],
)
def test_wrong_arguments_say_what_is_right(tmp_path: Path, arguments: dict, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        write_factory(tmp_path / "factory", **arguments)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("brief")
def test_progress_counts_every_sound(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    write_factory(tmp_path / "f", size="tiny", machine_types=["fan"], progress=lambda *step: seen.append(step))
    total = len(list((tmp_path / "f").rglob("*.wav")))
    assert seen == [(done, total) for done in range(1, total + 1)]
    assert json.loads((tmp_path / "f" / "factory.json").read_text())["version"] == VERSION
