"""Bad input of a year's data, lists and submissions, through the command line: one clear line each."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import soundfile

from auscult.datasets.factory import write_factory
from auscult.datasets.factory.catalogue import EXTENTS
from auscult.datasets.factory.catalogue import Extent as Holds
from auscult.datasets.years import YEARS
from auscult.scores.table import ScoreRow, ScoreTable
from auscult.submission import write_submission
from auscult.submission.read import file_of

KINDS = {2023: ("fan", "grinder"), 2025: ("fan", "ToyPet"), 2026: ("fan", "Sander")}


@pytest.fixture(scope="module")
def trees(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """A very small factory of each of some years; tests copy them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(EXTENTS, "tiny", Holds(0.3, 1, 1, train_clips=2, test_clips=1, clean_clips=1))
        patch.setattr("auscult.datasets.factory.hall.NEIGHBOUR_SECONDS", 1)
        patch.setattr("auscult.datasets.factory.hall.REFERENCES", 2)
        folder = tmp_path_factory.mktemp("trees")
        return {
            year: write_factory(folder / str(year), size="tiny", layout=year, machine_types=kinds)
            for year, kinds in KINDS.items()
        }


def refusal(command: Callable[..., Any], data: Path, *more: object) -> Any:
    """The one line by which a run is refused before anything is computed."""
    out = data.parent / "run"
    outcome = command("run", "spectral", "--data", data, "--out", out, *more)
    assert outcome.code == 2
    assert not list(out.rglob("*.safetensors"))
    return outcome.error


def spoilt(tree: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tree, tmp_path / "data"))


def test_a_tree_that_mixes_years(command, trees, tmp_path) -> None:
    data = spoilt(trees[2025], tmp_path)
    shutil.copytree(trees[2023] / "eval_data" / "grinder", data / "eval_data" / "grinder")
    line = refusal(command, data)
    assert "is a grinder of the evaluation data, as in DCASE 2023, but the layout or other files say DCASE 2025" in line
    assert line.endswith("give each year a folder of its own, or remove the file")


def test_attributes_without_a_file_and_files_without_attributes(command, trees, tmp_path) -> None:
    data = spoilt(trees[2025], tmp_path)
    clip = next((data / "dev_data" / "fan" / "train").glob("*source*"))
    clip.rename(stored := tmp_path / "stored.wav")
    line = refusal(command, data)
    assert line.startswith(f"{data}/dev_data/fan/attributes_00.csv: lists 1 clips that are not there ({clip.stem}")
    shutil.copy(stored, clip)
    stored.rename(clip.with_name("section_00_source_train_normal_0099_noAttribute.wav"))
    assert "has no attributes in its name or in attributes_00.csv, like 1 of 10 clips here" in refusal(command, data)


def test_a_list_of_another_year(command, trees) -> None:
    line = refusal(command, trees[2025], "--truth", trees[2026] / "eval_data_list_2026.csv")
    assert "eval_data_list_2026.csv is the list of DCASE 2026, and" in line
    assert "holds clips of DCASE 2025; give the list of that year" in line


def test_a_section_without_target_clips_is_told_and_run(command, trees, tmp_path) -> None:
    data = spoilt(trees[2023], tmp_path)
    for clip in data.glob("dev_data/fan/t*/section_00_target_*"):
        clip.unlink()
    (data / "dev_data" / "fan" / "attributes_00.csv").unlink()
    seen = command("inspect", data)
    assert seen.code == 0
    lines = [line for line in seen.out.splitlines() if "target" in line and line.startswith("note")]
    assert lines == [
        "note: fan section_00 has no target clips to train with: its target tests are judged by the others"
    ]
    ran = command("run", "spectral", "--data", data, "--out", tmp_path / "run")
    assert ran.code == 0
    assert "note: Trained without a clip of the target domain: fan section_00." in ran.out
    assert "no official score of the development clips: fan section_00 has no AUC target" in ran.out


@pytest.mark.parametrize(
    ("year", "channels", "words"), [(2026, 1, "two, near the machine and far from it"), (2025, 2, "one")]
)
def test_mono_where_two_channels_are_expected_and_the_reverse(command, trees, tmp_path, year, channels, words) -> None:
    data = spoilt(trees[year], tmp_path)
    for path in data.glob("*_data/*/*/*.wav"):
        sound, rate = soundfile.read(path, always_2d=True)
        soundfile.write(path, sound[:, [0] * channels], rate, subtype="PCM_16")
    seen = command("inspect", data)
    assert seen.code == 1
    text = " ".join(seen.out.split())
    assert text.count("problem: ") == 2, "one for each machine type"
    for kind in KINDS[year]:
        count = f"has {channels} channel{'' if channels == 1 else 's'}, like 14 recordings of {kind}"
        assert f"{count}; DCASE {year} has {words}. Copy them as published, or say another --layout" in text
    if channels == 1:
        line = refusal(command, data, "--override", "reference_channel=1")
        assert "has 1 channel" in line and "Give sound of both, or take a recipe" in line


@pytest.mark.parametrize("decision", ["2", "0.5", "-1", "nan", "yes", ""])
def test_decisions_other_than_0_and_1(command, trees, tmp_path, decision) -> None:
    rows = [
        ScoreRow(
            "ToyPet", "section_00", YEARS[2025].file("section_00", n, split="test", label=None, domain=None), None, 1.0
        )
        for n in range(4)
    ]
    name = file_of("ToyPet", "section_00", "decision_result")
    out = tmp_path / "out"
    metadata = 'submission:\n  label: "A_B_task2_1"\n'
    write_submission(ScoreTable(rows), metadata, label="A_B_task2_1", out=out, decisions={name: ScoreTable(rows)})
    assert command("submit", "--check", out, "--data", trees[2025]).code == 0
    text = (out / name).read_text()
    (out / name).write_text(text.replace(",1\n", f",{decision}\n", 1))
    checked = command("submit", "--check", out, "--data", trees[2025])
    assert checked.code == 2
    problems = [line for line in checked.out.splitlines() if line.startswith("problem")]
    assert problems == [
        f"problem: {out / name}, line 1: the decision is {decision!r}; it must be 0, normal, or 1, anomalous"
    ]
