"""Every year of DCASE Task 2 on disk: names, roots, domains, attributes, lists, and what is wrong with a tree."""

import io
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile
from rich.console import Console

from auscult.datasets import load_clips, load_dataset, read_dataset
from auscult.datasets.names import pairs, parse_name
from auscult.datasets.truth import digests, read_list
from auscult.datasets.years import YEARS, Year
from auscult.errors import DatasetError

SINCE_2021 = [year for year in YEARS if year > 2020]
SPEED = (("spd", "28V"), ("mic", "1"))


def year_tree(root: Path, year: int, home: str = "{set}/raw", *, content: bytes = b"x") -> Path:
    """Two machine types of each set, with names as the table of facts has them."""
    facts = YEARS[year]
    for folder, machines in (("dev_data", facts.development), ("eval_data", facts.evaluation)):
        for kind in list(machines)[:2]:
            for id_ in machines[kind][:2]:
                for name in _names(facts, kind, id_, hidden=folder == "eval_data"):
                    path = root / home.format(set=folder) / kind / name
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(content)
    return root


def _names(facts: Year, kind: str, id_: str, *, hidden: bool):
    attributes = () if kind in (facts.without_attributes or ()) else SPEED
    for number, domain in enumerate(["source"] * 3 + ["target"]):
        said = {"domain": domain, "attributes": attributes}
        yield "train/" + facts.file(id_, number, split="train", label="normal", **said)
        for label in ("normal", "anomaly"):
            shown = None if hidden else label
            file = facts.file(id_, number + 4 * (label == "anomaly"), split="test", label=shown, **said)
            yield f"{facts.test_folder(domain)}/{file}"


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")
    return root


@pytest.mark.parametrize("home", ["{set}", "{set}/raw", "dcase{year}t2/{set}/raw"])
@pytest.mark.parametrize("year", SINCE_2021)
def test_every_year_is_read_in_every_root(tmp_path, year, home):
    data = load_dataset(year_tree(tmp_path, year, home.replace("{year}", str(year))))
    assert year in data.years
    assert data.year == year
    facts = YEARS[year]
    counts = Counter((clip.subset, clip.split, clip.label, clip.domain) for clip in data.clips)
    n = 2 * min(2, len(next(iter(facts.development.values()))))
    seen = {"source": 3 * n, "target": n}
    for domain, n_seen in seen.items():
        for subset in ("development", "additional"):
            assert counts.pop((subset, "train", "normal", domain)) == n_seen
        for label in ("normal", "anomaly"):
            assert counts.pop(("development", "test", label, domain)) == n_seen
    hidden = {("evaluation", "test", None, d if facts.hidden_domain else None) for d in seen}
    assert set(counts) == hidden
    assert {clip.machine_id for clip in data.clips} <= facts.sections
    trained = [
        clip
        for clip in data.clips
        if clip.split == "train" and clip.machine_type not in (facts.without_attributes or ())
    ]
    assert {clip.attributes for clip in trained} == {SPEED}


@pytest.mark.parametrize("year", SINCE_2021)
def test_all_in_one_folder_is_told_apart_by_machines(tmp_path, year):
    apart = load_clips(year_tree(tmp_path / "apart", year), dataset=f"dcase{year}")
    merged = load_clips(year_tree(tmp_path / "merged", year, ""), dataset=f"dcase{year}")
    assert [(c.file, c.subset, c.domain) for c in merged] == [(c.file, c.subset, c.domain) for c in apart]


def test_what_three_years_share_is_said_and_chosen(tmp_path):
    kind = tmp_path / "dev_data" / "valve"
    touch(
        kind, "train/section_00_source_train_normal_0000_n_A.wav", "train/section_00_target_train_normal_0000_n_B.wav"
    )
    data = read_dataset(tmp_path)
    assert data.years == (2023, 2024, 2025)
    assert data.year is None
    assert "may be DCASE 2023, 2024, 2025" in data.notes[-1]
    assert load_dataset(tmp_path, dataset="dcase2024").year == 2024
    touch(kind.parent / "bearing", "train/section_00_source_train_normal_0000_noAttribute.wav")
    assert read_dataset(tmp_path).years == (2024, 2025)
    touch(kind, "supplemental/section_00_clean_0000.wav")
    assert read_dataset(tmp_path).year == 2025
    with pytest.raises(DatasetError, match=r"has noAttribute, as in DCASE 2024 or 2025, but .* say DCASE 2023"):
        load_clips(tmp_path, dataset="dcase2023")


@pytest.mark.parametrize("year", [2021, 2022, 2023, 2024, 2025])
def test_official_lists_say_label_domain_and_attributes(shared_data, year):
    found = read_list(shared_data / "ground_truth" / f"eval_data_list_{year}.csv")
    assert found.years == {year}
    assert {kind: set(YEARS[year].evaluation[kind]) for kind in found.clips} == {
        kind: {file[:10] for file in files} for kind, files in found.clips.items()
    }
    every = [one for files in found.clips.values() for one in files.values()]
    assert {one.domain for one in every} == {"source", "target"}
    assert any(one.attributes for one in every) == (year > 2021)


def test_the_wrong_list_of_2022_is_refused(shared_data, tmp_path):
    official = shared_data / "ground_truth" / "eval_data_list_2022.csv"
    assert digests(read_list(official).clips) == YEARS[2022].truth
    lines = official.read_text().splitlines(keepends=True)
    (tmp_path / "shuffled.csv").write_text("".join(lines).replace(".wav", ""), newline="")
    assert read_list(tmp_path / "shuffled.csv").clips == read_list(official).clips
    lines[1] = lines[1].replace("normal", "anomaly")
    (tmp_path / "wrong.csv").write_text("".join(lines))
    with pytest.raises(DatasetError, match=r"wrong\.csv is the list of DCASE 2022 with wrong labels"):
        read_list(tmp_path / "wrong.csv")


def test_a_list_labels_its_own_year_only(tmp_path, shared_data):
    root = year_tree(tmp_path / "data", 2023)
    with pytest.raises(
        DatasetError, match=r"is the list of DCASE 2024, and .* holds clips of DCASE 2023; give the list"
    ):
        load_clips(root, truth=shared_data / "ground_truth" / "eval_data_list_2024.csv")
    names = [f"section_00_{n:04}.wav,section_00_target_test_anomaly_0007_vel_{n}.wav" for n in range(8)]
    (root / "eval_data_list.csv").write_text("fan\r\nid_01_00000000.wav,normal_id_01_00000000.wav,0")
    (root / "eval_data_list_2023.csv").write_text("\r\n".join(["bandsaw", *names, "grinder", *names]), newline="")
    tests = [clip for clip in load_clips(root) if clip.subset == "evaluation"]
    assert {(clip.label, clip.domain) for clip in tests} == {("anomaly", "target")}
    assert tests[3].attributes == (("vel", "3"),)


@pytest.mark.parametrize(
    ("text", "attributes"),
    [
        ("car_A2_spd_28V", (("car", "A2"), ("spd", "28V"))),
        ("noAttribute", ()),
        ("", ()),
        ("weight15_BckgF", (("weight", "15"), ("Bckg", "F"))),
        ("v1pat_00_v2pat_05", (("v1pat", "00"), ("v2pat", "05"))),
        ("mic_imp_mic_pos_A", (("mic", "imp"), ("mic_pos", "A"))),
        ("strength_1_ambient", (("strength", "1"), ("", "ambient"))),
    ],
)
def test_attributes_are_pairs(text, attributes):
    assert pairs(text) == attributes
    assert parse_name(f"section_00_source_train_normal_0000_{text}").attributes == attributes


FORMS = {"path": "fan/train/{}.wav,n,A", "stem": "{},n,A", "none": "{}.wav"}


@pytest.mark.parametrize("form", FORMS)
def test_tables_of_attributes_in_their_three_forms(tmp_path, form):
    stems = [f"section_00_{domain}_train_normal_0000_" for domain in ("source", "target")]
    home = touch(tmp_path, *(f"fan/train/{stem}.wav" for stem in stems)) / "fan"
    header = "file_name" if form == "none" else "file_name,d1p,d1v"
    (home / "attributes_00.csv").write_text("\r\n".join([header, *(FORMS[form].format(stem) for stem in stems)]))
    expected = () if form == "none" else (("n", "A"),)
    assert {clip.attributes for clip in load_clips(tmp_path)} == {expected}


@pytest.mark.parametrize(
    ("files", "table", "message"),
    [
        (["fan/train/section_00_source_train_normal_0001_.wav"], "", r"0001_\.wav: has no attributes .*like 1 of 2"),
        (
            [],
            "section_00_source_train_normal_0009_,n,A",
            r"attributes_00\.csv: lists 1 clips that are not there \(section_00",
        ),
        ([], "x.wav,n", r"attributes_00\.csv: line 3: has 2 fields"),
        (
            ["BandSealer/train/section_00_source_train_normal_0000.wav"],
            "",
            r"has an empty .*, as in DCASE 2026, but .* 2025; give",
        ),
        (["fan/test/normal_id_00_00000000.wav"], "", "is named as in DCASE 2020"),
        (["fan/test/section_00_source_train_normal_0000_.wav"], "", "is named train, but lies in test"),
        (["fan/train/section_00_source_train_anomaly_0000_.wav"], "", "is an anomaly in the training data"),
        (["fan/train/section_00_0000.wav"], "", "does not say that it is normal"),
        (["fan/source_test/section_00_target_test_normal_0000.wav"], "", "is named target, but lies in source_test"),
    ],
)
def test_what_is_wrong_with_a_tree_is_one_line(tmp_path, files, table, message):
    touch(tmp_path, "fan/train/section_00_source_train_normal_0000_.wav", *files)
    text = "file_name,d1p,d1v\nsection_00_source_train_normal_0000_,n,A\n" + table
    (tmp_path / "fan" / "attributes_00.csv").write_text(text)
    with pytest.raises(DatasetError, match=message):
        load_clips(tmp_path)


def test_every_folder_may_be_pointed_at_and_other_machine_types_do_not_hold_up(tmp_path, monkeypatch):
    whole = load_clips(year_tree(tmp_path, 2025))
    monkeypatch.chdir(tmp_path / "eval_data" / "raw" / "AutoTrash" / "train")
    assert {clip.subset for clip in load_clips(Path("../.."))} == {"additional", "evaluation"}
    (clips, *_) = load_dataset(Path())
    assert [clip.file for clip in clips] == [
        clip.file for clip in whole if (clip.machine_type, clip.split) == ("AutoTrash", "train")
    ]
    (tmp_path / "eval_data" / "raw" / "BandSealer" / "attributes_00.csv").write_text("file_name,d1p,d1v\ngone,n,A\n")
    monkeypatch.chdir(tmp_path)
    assert load_clips(Path(), machine_types=["AutoTrash"])
    with pytest.raises(
        DatasetError, match=r"BandSealer.attributes_00\.csv: lists 1 clips that are not there \(gone, for"
    ):
        load_clips(Path())


def test_tables_of_the_evaluation_may_list_tests_by_names_that_are_hidden(tmp_path):
    root = year_tree(tmp_path, 2024)
    names = [path.stem for path in sorted((root / "eval_data/raw/3DPrinter/train").iterdir())]
    rows = [f"{name},mdl,A" for name in [*names, "section_00_source_test_normal_0000_mdl_A"]]
    table = "\n".join(["file_name,d1p,d1v", *rows, "section_00_target_test_normal_0001_noAttribute,noAttribute"])
    (root / "eval_data/raw/3DPrinter/attributes_00.csv").write_text(table)
    printers = [clip for clip in load_clips(root, machine_types=["3DPrinter"]) if clip.split == "train"]
    assert {clip.attributes for clip in printers} == {(("mdl", "A"),)}


def test_names_without_attributes_are_a_hint_of_the_year_and_no_more(tmp_path):
    names = [f"{n}/section_00_source_{n}_normal_0000.wav" for n in ("train", "test")]
    touch(tmp_path, *(f"dev_data/bearing/{name}" for name in names))
    data = load_dataset(tmp_path)
    assert 2021 not in data.years
    assert {2023, 2024, 2025} == set(data.years)


def test_supplemental_clips_are_clean_or_noise_by_folder_and_word(tmp_path):
    names = [
        "section_00_source_machine_0000_noise_1",
        "clean_0001",
        "section_00_target_noise_0003",
        "what_0004",
        "car_noise_1",
    ]
    home = touch(tmp_path, "dev_data/fan/train/section_00_source_train_normal_0000_.wav") / "dev_data" / "fan"
    touch(home, *(f"supplemental/{name}.wav" for name in names), "supplemental/noise/machine.wav")
    data = load_dataset(tmp_path)
    assert [clip.path.stem for clip in data.clean] == ["clean_0001", "section_00_source_machine_0000_noise_1"]
    assert [clip.path.stem for clip in data.noise] == ["machine", "section_00_target_noise_0003"]
    assert len(data.clips) == 1
    assert any("2 supplemental clips are left out" in note for note in data.notes)
    assert any("fan section_00 has no target clips to train with: its target tests" in note for note in data.notes)


@pytest.mark.parametrize("year", SINCE_2021)
def test_a_tiny_tree_of_each_year_is_inspected_and_run(tmp_path, year):
    from auscult.datasets.inspect import format_inspection, inspect_dataset
    from auscult.recipe import load_recipe
    from auscult.runs.results import read_scores_of
    from auscult.runs.run import run
    from auscult.scores.official import official

    root, rng = year_tree(tmp_path / "data", year), np.random.default_rng(0)
    for path in sorted(root.rglob("*.wav")):
        path.unlink()
        shape = (6000, YEARS[year].channels)
        soundfile.write(path, rng.normal(scale=0.05, size=shape), 16000, subtype="PCM_16")
    inspection = inspect_dataset(root)
    assert (inspection.problems, inspection.years) == ((), (year,))
    assert {(group.domain, group.n_clips) for group in inspection.groups if group.split == "train"} == {
        ("source", 3),
        ("target", 1),
    }
    shown = io.StringIO()
    Console(file=shown, width=200).print(format_inspection(inspection))
    kind = next(kind for kind in YEARS[year].development if kind not in (YEARS[year].without_attributes or ()))
    assert f"DCASE {year}" in " ".join(shown.getvalue().split())  # the title is as long as the folder's name
    assert f"{kind}, attribute spd: 28V " in shown.getvalue()
    if year == 2025:
        for path in root.rglob("section_00_target_train*.wav"):
            path.unlink()
    done = run(load_recipe("spectral"), data=root, out=tmp_path / "run")
    assert not done.failures
    alone = any(
        "Trained without a clip of the target domain: AutoTrash section_00, " in note for note in done.results.notes
    )
    assert alone == (year == 2025)
    table = read_scores_of(tmp_path / "run", "spectral")
    found = official(table, years=[year], replicates=1000)
    assert [(row.system, row.subset, row.found) for row in done.results.official] == [
        ("spectral", "development", found)
    ]
    assert {row.machine_id for row in done.results.development} == set(YEARS[year].development[kind][:2])


@pytest.mark.parametrize(("year", "channels"), [(2026, 1), (2023, 2)])
def test_another_number_of_channels_than_the_year_has_is_one_problem_of_a_type(tmp_path, year, channels):
    from auscult.datasets.inspect import inspect_dataset

    root = year_tree(tmp_path, year)
    for number, path in enumerate(sorted(root.rglob("*.wav"))):
        path.unlink()
        sound = np.random.default_rng(number).normal(scale=0.05, size=(200, channels))
        soundfile.write(path, sound, 16000, subtype="PCM_16")
    problems = inspect_dataset(root).problems
    assert len(problems) == 4  # machine types
    words = rf"has {channels} channels?, like 12 recordings of \w+; DCASE {year} has (one|two, near)"
    assert all(re.match(words, problem.message) for problem in problems)
