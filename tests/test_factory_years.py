"""The synthetic factory in the layout of each year: names, domains, attributes, supplements, two microphones."""

import hashlib
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile

from auscult.clips import MACHINE_TYPES
from auscult.datasets import load_dataset
from auscult.datasets.factory import write_factory
from auscult.datasets.factory.catalogue import EXTENTS, Extent, extent_of, plan, without_attributes
from auscult.datasets.factory.conditions import ATTRIBUTES, conditions_of
from auscult.datasets.factory.hall import Hall, HallRecording
from auscult.datasets.factory.machine_types import KINDS, TYPES
from auscult.datasets.factory.sounds import rms
from auscult.datasets.inspect import inspect_dataset
from auscult.datasets.truth import read_list
from auscult.datasets.years import YEARS
from auscult.errors import DatasetError
from auscult.sound.far import without_far

SINCE_2021 = [year for year in YEARS if year > 2020]


@pytest.fixture
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes the tiny factory tinier, where its sounds do not matter."""
    extent = Extent(0.3, 2, 1, train_clips=4, test_clips=2, clean_clips=1)
    monkeypatch.setitem(EXTENTS, "tiny", extent)
    monkeypatch.setattr("auscult.datasets.factory.hall.NEIGHBOUR_SECONDS", 1)
    monkeypatch.setattr("auscult.datasets.factory.hall.REFERENCES", 2)


def test_without_a_layout_a_factory_is_what_it_always_was() -> None:
    names = [item.file for item in plan(EXTENTS["full"], MACHINE_TYPES, seed=3)]
    digest = hashlib.sha256("\n".join(names).encode()).hexdigest()
    assert (len(names), digest[:16]) == (8200, "a39cb4e31cf5edae")
    hall = Hall(seed=0, snr_db=6.0)
    levels = {
        kind: np.abs(hall.record(kind, id_, "test", "anomaly", 1, n_samples=16_000).mix).mean()
        for kind, id_ in (("fan", "id_00"), ("valve", "id_05"))
    }
    assert levels == pytest.approx({"fan": 0.020360207, "valve": 0.012360489}, rel=1e-3)


@pytest.mark.usefixtures("brief")
@pytest.mark.parametrize("year", SINCE_2021)
def test_a_factory_has_the_machines_names_and_parts_of_its_year(tmp_path: Path, year: int) -> None:
    facts, extent = YEARS[year], extent_of("tiny", YEARS[year])
    kinds = {*list(facts.development)[:2], *list(facts.evaluation)[:2]}
    root = write_factory(tmp_path / "factory", size="tiny", layout=year, machine_types=sorted(kinds))
    inspection = inspect_dataset(root)
    assert (inspection.problems, inspection.years) == ((), (year,))
    data = load_dataset(root)
    for machines, wanted in ((facts.development, "development"), (facts.evaluation, "evaluation")):
        limit = extent.development_ids if wanted == "development" else extent.evaluation_ids
        found = {(clip.machine_type, clip.machine_id) for clip in data.clips if clip.subset == wanted}
        assert found == {(kind, id_) for kind in kinds & {*machines} for id_ in machines[kind][:limit]}
    counts = Counter((clip.machine_type, clip.machine_id, clip.split, clip.label, clip.domain) for clip in data.clips)
    trained = {(key[-1], n) for key, n in counts.items() if key[2] == "train"}
    assert trained == {("source", 12), ("target", 3)}
    tested = [key[3:] for key in counts if key[2] == "test"]
    assert set(tested) == {(label, domain) for label in ("normal", "anomaly") for domain in ("source", "target")}
    assert {n for key, n in counts.items() if key[2] == "test"} == {extent.test_clips}
    secret = {clip.machine_type for clip in data.clips if clip.split == "train" and not clip.attributes}
    assert secret == without_attributes(facts) & kinds
    assert all(name in ATTRIBUTES for clip in data.clips for name, _ in clip.attributes)
    beside = {clip.machine_type for clip in (*data.clean, *data.noise)}
    assert beside == (kinds if facts.supplemental else set())
    assert {clip.path.parts[-2] for clip in data.clips if clip.split == "test"} == set(facts.test_folders)
    assert {soundfile.info(clip.path).channels for clip in (*data.clips, *data.clean, *data.noise)} == {facts.channels}
    assert read_list(root / f"eval_data_list_{year}.csv").years == {year}
    assert len(list(root.glob("*_data/*/attributes_*.csv"))) == (
        0 if year == 2021 else len({(clip.machine_type, clip.machine_id) for clip in data.clips})
    )


@pytest.mark.usefixtures("brief")
def test_names_hide_what_the_year_hides(tmp_path: Path) -> None:
    names = {}
    for year, kinds in ((2021, ["fan"]), (2025, ["AutoTrash", "BandSealer"]), (2026, ["BlowerDustCollector"])):
        root = write_factory(tmp_path / str(year), size="tiny", layout=year, machine_types=kinds)
        names[year] = sorted(path.name for path in root.glob("eval_data/*/*/section*_0000*.wav"))
    assert {name[:28] for name in names[2021]} > {"section_03_source_train_norm", "section_03_target_train_norm"}
    assert {"section_03_source_test_0000.wav", "section_03_target_test_0000.wav"} & {*names[2021]}
    assert "section_00_0000.wav" in names[2025]
    assert "section_00_source_train_normal_0000_noAttribute.wav" in names[2025]
    assert "section_00_source_train_normal_0000_.wav" in names[2026]


def test_the_full_size_has_the_numbers_of_the_year() -> None:
    for year, expected in ((2021, (1000, 3)), (2026, (990, 10))):
        facts = YEARS[year]
        extent = extent_of("full", facts)
        assert tuple(extent.of_domains(facts).values()) == expected == facts.train_clips
        items = list(plan(extent, ["fan"], seed=0, facts=facts))
        assert {item.machine_id for item in items} == {*facts.development["fan"], *facts.evaluation.get("fan", ())}
        per_machine = Counter(item.machine_id for item in items if item.split == "test")
        assert set(per_machine.values()) == {200}
    assert {facts.year: tuple(extent_of("demo", facts).of_domains(facts).values()) for facts in YEARS.values()} == {
        2020: (16,),
        **dict.fromkeys(SINCE_2021, (48, 3)),
    }


def test_every_machine_type_of_every_year_has_a_sound() -> None:
    every = {kind for facts in YEARS.values() for kind in facts.machine_types}
    assert set(KINDS) == every
    assert set(KINDS.values()) == set(TYPES)


# The domains


def test_domains_differ_in_two_attributes_whose_values_they_do_not_share() -> None:
    chosen = set()
    for kind in YEARS[2025].machine_types:
        source = [conditions_of(kind, "section_00", "source", index, seed=0) for index in range(6)]
        target = {conditions_of(kind, "section_00", "target", index, seed=0) for index in range(6)}
        names = tuple(name for name, _ in source[0].attributes)
        chosen.add(names)
        assert len(names) == 2
        assert len(target) == 1
        shared = {pair for one in source for pair in one.attributes} & set(target.pop().attributes)
        assert not shared
    assert {name for names in chosen for name in names} == set(ATTRIBUTES)


def _centroid(sound: np.ndarray) -> float:
    power = np.abs(np.fft.rfft(sound)) ** 2
    return float((power * np.arange(len(power))).sum() / power.sum())


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_each_attribute_changes_what_it_names(name: str) -> None:
    kinds = [kind for kind in KINDS if name in dict(conditions_of(kind, "section_00", "target", 0, seed=0).attributes)]
    kind = next(kind for kind in kinds if KINDS[kind] == "fan")
    values = [dict(conditions_of(kind, "section_00", d, 0, seed=0).attributes)[name] for d in ("source", "target")]
    assert values == [ATTRIBUTES[name][0], ATTRIBUTES[name][-1]]
    hall = Hall(seed=0, snr_db=6.0)

    def heard(domain: str) -> HallRecording:
        clips = [
            hall.record(kind, "section_00", "test", "normal", 2 * n, n_samples=16_000, domain=domain) for n in range(8)
        ]
        return HallRecording(*(np.concatenate([getattr(c, part) for c in clips]) for part in ("machine", "background")))

    one, other = heard("source"), heard("target")
    if name == "noise":
        assert _centroid(other.background) > 1.2 * _centroid(one.background)
    elif name == "mic":
        assert not np.isclose(_centroid(other.machine), _centroid(one.machine), rtol=0.05)
    else:
        assert rms(other.machine) > 1.1 * rms(one.machine)


# The far microphone


@pytest.mark.parametrize("leakage", [0.0, 0.1, 1.0])
def test_the_far_microphone_hears_the_noise_and_the_stated_share_of_the_machine(leakage: float) -> None:
    hall = Hall(seed=0, snr_db=0.0, leakage=leakage)
    clip = hall.record("fan", "section_00", "test", "normal", 0, n_samples=64_000, domain="source")
    near, far = clip.machine.T
    assert rms(far) == pytest.approx(leakage * rms(near), rel=1e-4, abs=1e-9)
    assert rms(clip.background[:, 1]) == pytest.approx(rms(clip.background[:, 0]), rel=0.02)
    alone = Hall(seed=0, snr_db=0.0).record("fan", "section_00", "test", "normal", 0, n_samples=64_000, domain="source")
    assert np.array_equal(clip.mix[:, 0], alone.mix)


def test_the_far_microphone_predicts_the_noise() -> None:
    hall = Hall(seed=0, snr_db=0.0, leakage=0.0)
    clip = hall.record("ToyDrone", "section_00", "test", "normal", 0, n_samples=64_000, domain="source")
    left = without_far(clip.mix) - clip.machine[:, 0]
    assert rms(left) < 0.4 * rms(clip.background[:, 0])


@pytest.mark.usefixtures("brief")
def test_supplemental_clips_are_the_machine_or_the_noise_alone(tmp_path: Path) -> None:
    kinds = ["ToyCar", "ToyTrain"]
    root = write_factory(tmp_path / "factory", size="tiny", layout=2025, machine_types=kinds)
    assert not (root / "eval_data_list_2025.csv").exists()  # these types are in the development alone
    data, hall = load_dataset(root), Hall(seed=0, snr_db=6.0)
    assert [clip.machine_type for clip in (*data.clean, *data.noise)] == kinds
    for clip, part in ((data.clean[0], "machine"), (data.noise[0], "background")):
        expected = getattr(hall.supplement(clip.machine_type, "section_00", 0, n_samples=4800), part)
        assert np.array_equal(soundfile.read(clip.path, dtype="int16")[0], np.rint(expected * 32767))


# The folders


@pytest.mark.usefixtures("brief")
def test_a_factory_of_another_year_is_replaced_and_knows_its_files(tmp_path: Path) -> None:
    out = write_factory(tmp_path / "factory", size="tiny", layout=2026, machine_types=["fan"], leakage=0.3)
    marker = json.loads((out / "factory.json").read_text())
    assert (marker["layout"], marker["leakage"]) == (2026, 0.3)
    (out / "dev_data" / "fan" / "attributes_01.csv").write_text("mine")
    with pytest.raises(DatasetError, match=r"attributes_01\.csv"):
        write_factory(out, size="tiny", machine_types=["fan"], force=True)
    (out / "dev_data" / "fan" / "attributes_01.csv").unlink()
    write_factory(out, size="tiny", machine_types=["fan"], force=True)
    assert not (out / "dev_data" / "fan" / "supplemental").exists()
    assert "layout" not in json.loads((out / "factory.json").read_text())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"layout": 2019}, r"no layout of 2019; choose 2020, .*2026"),
        ({"layout": 2023, "machine_types": ["pump"]}, r"no machine of type pump in 2023; choose from ToyCar"),
        ({"layout": 2025, "leakage": 0.1}, r"2025 has no far microphone; remove the leakage, or choose 2026"),
        ({"layout": 2026, "leakage": 1.5}, r"leakage is 1\.5; give 0"),
        ({"layout": 2026, "leakage": float("nan")}, r"leakage is nan; give 0"),
    ],
)
def test_wrong_arguments_of_a_year_say_what_is_right(tmp_path: Path, arguments: dict, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        write_factory(tmp_path / "factory", size="tiny", **arguments)
    assert not list(tmp_path.iterdir())


def test_the_command_takes_the_name_of_a_layout(tmp_path: Path, command, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict = {}
    monkeypatch.setattr("auscult.datasets.factory.write_factory", lambda out, **said: seen.update(said))
    assert command("synth", tmp_path / "f", "--layout", "dcase2026", "--leakage", "0.2", "--snr", "-6").code == 0
    assert (seen["layout"], seen["leakage"], seen["snr_db"]) == (2026, 0.2, -6.0)
    assert command("synth", tmp_path / "f").code == 0
    assert (seen["layout"], seen["leakage"]) == (2020, None)
    wrong = command("synth", tmp_path / "f", "--layout", "dcase2027")
    assert wrong.code == 2
    assert wrong.error.startswith("the factory has no layout 'dcase2027'")
