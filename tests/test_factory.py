"""The synthetic factory: its files, its physics, and what it does to folders that exist."""

import csv
import errno
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from auscult.clips import MACHINE_TYPES
from auscult.datasets import factory
from auscult.datasets.catalogue import DEVELOPMENT_IDS, EVALUATION_IDS, EXTENTS, plan
from auscult.datasets.clean_sounds import CLEAN_SOUNDS, clean_sound
from auscult.datasets.factory import write_factory
from auscult.datasets.hall import Hall
from auscult.datasets.machine_types import TYPES, build_machine
from auscult.datasets.machines import Run
from auscult.datasets.sounds import SAMPLE_RATE, Band, Mode, blows, body, crossings, harmonics, noise, ring, rms, smooth
from auscult.errors import DatasetError

SECONDS = 6
N = SECONDS * SAMPLE_RATE


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_factory(tmp_path_factory.mktemp("tiny") / "factory", size="tiny")


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def sound_of(machine_type: str, fault: str | None = None, *, strength: float = 1.0, seed: int = 3) -> np.ndarray:
    """A recording of one machine; the same but for the fault."""
    run = Run(np.random.default_rng(seed), N, fault=fault, strength=strength)
    return TYPES[machine_type].sound(build_machine(machine_type, "id_02", seed=0), run)


def power(sound: np.ndarray, low: float, high: float) -> float:
    """Of the frequencies from low to high, in Hz."""
    spectrum = np.abs(np.fft.rfft(sound)) ** 2
    hz = np.fft.rfftfreq(len(sound), 1 / SAMPLE_RATE)
    return float(spectrum[(hz >= low) & (hz <= high)].sum())


def gain_db(machine_type: str, fault: str, low: float, high: float) -> float:
    """By how many dB a fault raises the power of the frequencies from low to high."""
    ratio = power(sound_of(machine_type, fault), low, high) / power(sound_of(machine_type), low, high)
    return float(10 * np.log10(ratio))


def envelope_line(sound: np.ndarray, hz: float, *, low: float, high: float) -> float:
    """Mean power of the envelope within 3 % of `hz` over that around it; of the sound's band from low to high."""
    spectrum = np.fft.rfft(sound)
    frequencies = np.fft.rfftfreq(len(sound), 1 / SAMPLE_RATE)
    spectrum[(frequencies < low) | (frequencies > high)] = 0
    envelope = np.abs(np.fft.ifft(np.concatenate([2 * spectrum, np.zeros(len(sound) - len(spectrum))])))
    lines = np.abs(np.fft.rfft((envelope - envelope.mean()) * np.hanning(len(envelope)))) ** 2
    distance = np.abs(frequencies / hz - 1)
    return float(lines[distance < 0.03].mean() / lines[(distance > 0.1) & (distance < 0.4)].mean())


def highest_line(sound: np.ndarray, low: float, high: float) -> float:
    """The frequency in Hz of the highest line from low to high."""
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound))))
    hz = np.fft.rfftfreq(len(sound), 1 / SAMPLE_RATE)
    spectrum[(hz < low) | (hz > high)] = 0
    return float(hz[spectrum.argmax()])


def rotation_of(machine_type: str) -> float:
    """Revolutions a second in `sound_of`, which differ a little from the nominal ones: read off the highest tone."""
    machine = build_machine(machine_type, "id_02", seed=0)
    tone = machine.rotation_hz * machine.elements
    return highest_line(sound_of(machine_type), 0.85 * tone, 1.15 * tone) / machine.elements


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


def test_the_same_arguments_give_the_same_bytes_and_fewer_types_do_not_matter(tiny: Path, tmp_path: Path) -> None:
    again = write_factory(tmp_path / "again", size="tiny", machine_types=["valve", "ToyCar"])
    assert sorted(path.name for path in (again / "dev_data").iterdir()) == ["ToyCar", "valve"]
    for path in again.rglob("*.wav"):
        assert path.read_bytes() == (tiny / path.relative_to(again)).read_bytes()
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


# The physics


@pytest.mark.parametrize("machine_type", TYPES)
def test_machines_differ_more_than_recordings_of_one(machine_type: str) -> None:
    hall, spectra = Hall(seed=0, snr_db=6.0), []
    for machine_id in DEVELOPMENT_IDS[machine_type][:3]:
        clips = [hall.record(machine_type, machine_id, "train", "normal", i, n_samples=N // 2).mix for i in range(4)]
        frames = [np.abs(np.fft.rfft(clip.reshape(-1, 1000), axis=1)) ** 2 for clip in clips]
        spectra.append([10 * np.log10(frame.mean(axis=0)) for frame in frames])
    middles = np.mean(spectra, axis=1)
    within = np.mean(
        [np.sqrt(np.mean((spectrum - m) ** 2)) for group, m in zip(spectra, middles, strict=True) for spectrum in group]
    )
    between = np.mean([np.sqrt(np.mean((a - b) ** 2)) for i, a in enumerate(middles) for b in middles[:i]])
    assert between > 1.2 * within


@pytest.mark.parametrize("snr_db", [-6.0, 6.0])
@pytest.mark.parametrize("machine_type", TYPES)
def test_the_signal_to_noise_ratio_is_as_asked(machine_type: str, snr_db: float) -> None:
    hall = Hall(seed=0, snr_db=snr_db)
    clips = [hall.record(machine_type, "id_02", "train", "normal", i, n_samples=N // 3) for i in range(24)]
    measured = [20 * np.log10(rms(clip.machine) / rms(clip.background)) for clip in clips]
    assert np.mean(measured) == pytest.approx(snr_db, abs=1.0)
    assert max(np.abs(clip.mix).max() for clip in clips) < 1.0


@pytest.mark.parametrize(("machine_type", "fault"), [(name, fault) for name in TYPES for fault in TYPES[name].faults])
def test_each_fault_changes_the_sound_and_a_fault_of_strength_0_does_not(machine_type: str, fault: str) -> None:
    healthy, weak, strong = (sound_of(machine_type, fault, strength=strength) for strength in (0.0, 0.1, 1.0))
    assert np.array_equal(healthy, sound_of(machine_type))
    assert rms(weak - healthy) > 0.0
    assert 0.05 * rms(healthy) < rms(strong - healthy)
    if fault != "low voltage":  # which changes the phase of everything, however weak it is
        assert rms(weak - healthy) < 0.5 * rms(strong - healthy)


@pytest.mark.parametrize("machine_type", ["fan", "ToyCar"])
def test_imbalance_raises_the_line_at_the_rotation_and_beats(machine_type: str) -> None:
    hz = rotation_of(machine_type)
    assert gain_db(machine_type, "imbalance", 0.95 * hz, 1.05 * hz) > 10
    beat = [envelope_line(sound_of(machine_type, fault), hz, low=4 * hz, high=7000) for fault in (None, "imbalance")]
    assert beat[1] > 5 * beat[0]


@pytest.mark.parametrize("machine_type", ["fan", "pump", "ToyConveyor"])
def test_a_pitted_bearing_rings_at_its_defect_frequency(machine_type: str) -> None:
    machine = build_machine(machine_type, "id_02", seed=0)
    assert machine.defect_hz == pytest.approx(0.4 * machine.balls * machine.rotation_hz)
    hz = machine.defect_hz * rotation_of(machine_type) / machine.rotation_hz
    healthy, pitted = (sound_of(machine_type, fault) for fault in (None, "bearing pitting"))
    assert envelope_line(pitted - healthy, hz, low=2000, high=6500) > 30
    assert envelope_line(pitted, hz, low=2000, high=6500) > 4
    assert envelope_line(healthy, hz, low=2000, high=6500) < 2


def test_a_clogged_fan_rumbles_and_loses_its_bright_noise() -> None:
    assert gain_db("fan", "clogging", 80, 250) > 2
    assert gain_db("fan", "clogging", 2000, 6000) < -1


def test_a_clogged_pump_pumps_less_and_crackles() -> None:
    assert gain_db("pump", "clogging", 500, 1500) < -1

    def kurtosis(sound: np.ndarray) -> float:
        spectrum = np.fft.rfft(sound)
        spectrum[: int(2500 * SECONDS)] = 0
        bright = np.fft.irfft(spectrum)
        return float(np.mean(bright**4) / np.mean(bright**2) ** 2)

    assert kurtosis(sound_of("pump", "clogging")) > 2 * kurtosis(sound_of("pump"))


def test_leakage_hisses() -> None:
    assert gain_db("pump", "leakage", 4000, 7500) > 3
    assert abs(gain_db("pump", "leakage", 600, 1500)) < 3


def test_a_leaking_valve_hisses_while_it_is_closed() -> None:
    quiet = []
    for fault in (None, "leakage"):
        frames = sound_of("valve", fault)[: N // 800 * 800].reshape(-1, 800)
        bright = (np.abs(np.fft.rfft(frames, axis=1)) ** 2)[:, 200:375].sum(axis=1)
        quiet.append(np.quantile(bright, 0.1))
    assert quiet[1] > 10 * quiet[0]


@pytest.mark.parametrize("machine_type", ["ToyCar", "ToyConveyor", "fan"])
def test_low_voltage_lowers_pitch_and_level(machine_type: str) -> None:
    tone = rotation_of(machine_type) * build_machine(machine_type, "id_02", seed=0).elements
    healthy, weak = (sound_of(machine_type, fault) for fault in (None, "low voltage"))
    assert highest_line(weak, 0.8 * tone, 1.1 * tone) / tone == pytest.approx(0.87, abs=0.01)
    assert rms(weak) < 0.9 * rms(healthy)


def test_a_weak_valve_switches_late_and_chatters() -> None:
    added = sound_of("valve", "low voltage", strength=0.3) - sound_of("valve")
    assert envelope_line(added, 100, low=1000, high=6000) > 10
    assert envelope_line(sound_of("valve"), 100, low=1000, high=6000) < 3


def test_a_damaged_rail_knocks_twice_a_stroke() -> None:
    added = np.abs(sound_of("slider", "rail damage") - sound_of("slider"))
    strokes = build_machine("slider", "id_02", seed=0).cycle_hz * SECONDS
    loud = smooth(added > 0.3 * added.max(), seconds=0.02) > 0.01
    knocks = np.count_nonzero(loud[1:] & ~loud[:-1])
    assert knocks == pytest.approx(2 * strokes, abs=2)


def test_a_dry_rail_squeals_and_a_slipping_belt_slaps() -> None:
    machine = build_machine("slider", "id_02", seed=0)
    squeal = sound_of("slider", "dry rail") - sound_of("slider")
    pitch = 2300 * machine.tone
    assert power(squeal, 0.9 * pitch, 1.1 * pitch) > 0.3 * power(squeal, 20, 7900)
    slap = sound_of("slider", "belt slip") - sound_of("slider")
    frames = np.square(slap[: N // 400 * 400].reshape(-1, 400)).sum(axis=1)
    assert np.quantile(frames, 0.98) > 5 * np.median(frames)


def test_a_damaged_gear_knocks_once_a_turn() -> None:
    hz = rotation_of("ToyCar") / 4
    healthy, damaged = (sound_of("ToyCar", fault) for fault in (None, "gear damage"))
    assert envelope_line(healthy, hz, low=1000, high=5000) < 2
    assert envelope_line(damaged, hz, low=1000, high=5000) > 5


def test_a_lump_on_the_belt_thumps_twice_a_turn() -> None:
    added = np.abs(sound_of("ToyConveyor", "contamination") - sound_of("ToyConveyor"))
    turns = build_machine("ToyConveyor", "id_02", seed=0).cycle_hz * SECONDS
    loud = smooth(added > 0.5 * added.max(), seconds=0.03) > 0.01
    assert np.count_nonzero(loud[1:] & ~loud[:-1]) == pytest.approx(2 * turns, abs=2)


# The folders


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


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


def test_progress_counts_every_sound(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    write_factory(tmp_path / "f", size="tiny", machine_types=["fan"], progress=lambda *step: seen.append(step))
    total = len(list((tmp_path / "f").rglob("*.wav")))
    assert seen == [(done, total) for done in range(1, total + 1)]
    assert json.loads((tmp_path / "f" / "factory.json").read_text())["version"] == factory.VERSION


# The building blocks


def test_noise_has_the_level_and_the_band_that_it_was_given() -> None:
    sound = noise(np.random.default_rng(0), N, Band(1000, 0.2, 0.6), Band(4000, 0.2, 0.8))
    assert rms(sound) == pytest.approx(1.0, rel=0.05)
    assert power(sound, 500, 2000) / power(sound, 2000, 7900) == pytest.approx(0.36 / 0.64, rel=0.1)


def test_harmonics_are_lines_with_their_amplitudes_and_do_not_alias() -> None:
    sound = harmonics(np.arange(N) * (1000 / SAMPLE_RATE), [0.5, 0.0, 0.25] + [1.0] * 20, np.random.default_rng(0))
    lines = np.abs(np.fft.rfft(sound))[:: 1000 * SECONDS] / (N / 2)
    assert lines[:9] == pytest.approx([0, 0.5, 0, 0.25, 1, 1, 1, 1, 0], abs=1e-3)


def test_blows_ring_from_the_moment_they_strike() -> None:
    times = crossings(np.arange(N) * (2 / SAMPLE_RATE) + 0.25)
    assert times == pytest.approx(SAMPLE_RATE * (0.375 + 0.5 * np.arange(12)), abs=1e-3)
    sound = ring(blows(times[:1], 2.0, N), [Mode(500, 0.01, 1.0)])
    start = int(times[0])
    assert np.abs(sound[:start]).max() < 1e-5
    assert np.abs(sound[start : start + 60]).max() == pytest.approx(2.0, rel=0.1)
    assert np.abs(sound[start + 1600 :]).max() < 1e-3


def test_a_body_raises_its_resonance_only() -> None:
    sound = noise(np.random.default_rng(0), N, Band(1000, 5.0, 1.0))
    through = body(sound, [Mode(1000, 0.01, 3.0)])
    assert power(through, 995, 1005) / power(sound, 995, 1005) == pytest.approx(16, rel=0.1)
    assert power(through, 5000, 6000) / power(sound, 5000, 6000) == pytest.approx(1, rel=0.05)


@pytest.mark.parametrize("name", CLEAN_SOUNDS)
def test_clean_sounds_sound_and_differ(name: str) -> None:
    first, second = (clean_sound(name, np.random.default_rng(seed), N) for seed in (0, 1))
    assert 0.02 < rms(first) < 0.2
    assert np.isfinite(first).all()
    assert rms(first - second) > 0.02
