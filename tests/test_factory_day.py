"""A day in the factory: hours to learn from, hours with faults to replay, and the plant's file that fits them."""

import csv
from pathlib import Path

import numpy as np
import pytest
import soundfile

from auscult.datasets.factory import write_day
from auscult.datasets.factory.day import minute_of
from auscult.datasets.factory.hall import Hall
from auscult.datasets.factory.sounds import SAMPLE_RATE
from auscult.errors import DatasetError, RunError
from auscult.live.serve.settings import Plant
from disks import little_room


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_day(tmp_path_factory.mktemp("day") / "shop", hours=0.1, machine_types=["fan", "valve"])


def test_hours_of_both_kinds_and_the_truth_are_written(day: Path) -> None:
    for part in ("normal", "day"):
        for name in ("fan", "valve"):
            info = soundfile.info(day / part / name / "000.flac")
            assert (info.samplerate, info.frames, info.subtype) == (SAMPLE_RATE, 360 * SAMPLE_RATE, "PCM_16")
    with (day / "faults.csv").open(encoding="utf-8") as file:
        rows = [*csv.DictReader(file)]
    assert [(row["machine"], row["start_seconds"], row["end_seconds"]) for row in rows] == [
        ("valve", "120", "180"),
        ("valve", "240", "300"),
    ]


def test_a_fault_is_where_the_truth_says_and_nowhere_else(day: Path) -> None:
    def differs(machine: str, minute: int) -> bool:
        """From the same minute without a fault."""
        length = 60 * SAMPLE_RATE
        found, _ = soundfile.read(
            day / "day" / machine / "000.flac", start=minute * length, frames=length, dtype="int16"
        )
        well = minute_of(Hall(seed=0, snr_db=6.0), machine, "day", minute)
        return bool(np.any(found != np.rint(np.clip(well, -1, 1) * 32767)))

    assert [minute for minute in range(6) if differs("valve", minute)] == [2, 4]
    assert not any(differs("fan", minute) for minute in (2, 4)), "the first of several stays healthy"


def test_the_plants_file_names_what_is_there(day: Path) -> None:
    plant = Plant.load(day / "plant.toml")
    for name, machine in plant.machines.items():
        assert machine.source is not None and Path(machine.source) == day / "day" / name
        assert machine.normals == day / "normal"
        assert machine.detector == day / "plant.auscult"


@pytest.mark.parametrize(
    ("given", "error"),
    [({"hours": 0.05}, "0.1 to 168"), ({"machine_types": ["pmp"]}, "choose from"), ({"seed": -1}, "0 or more")],
)
def test_what_is_no_day_is_refused(tmp_path: Path, given: dict[str, object], error: str) -> None:
    with pytest.raises(DatasetError, match=error):
        write_day(tmp_path / "x", **{"hours": 1.0, **given})
    assert not (tmp_path / "x").exists()


def test_a_disk_without_room_is_named_and_nothing_is_left(tmp_path: Path) -> None:
    with little_room(10_000), pytest.raises(DatasetError, match=r"cannot write the factory's day .*File too large"):
        write_day(tmp_path / "x", hours=0.1, machine_types=["valve"])
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_there_is_kept(day: Path) -> None:
    with pytest.raises(RunError, match="is there already"):
        write_day(day, hours=1.0)
