"""The synthetic factory's machines: what their sounds are made of, and what each fault changes."""

import functools

import numpy as np
import pytest

from auscult.datasets.factory.catalogue import DEVELOPMENT_IDS
from auscult.datasets.factory.clean_sounds import CLEAN_SOUNDS, clean_sound
from auscult.datasets.factory.hall import Hall
from auscult.datasets.factory.machine_types import TYPES, build_machine
from auscult.datasets.factory.machines import Take
from auscult.datasets.factory.sounds import (
    SAMPLE_RATE,
    Band,
    Mode,
    blows,
    body,
    crossings,
    harmonics,
    noise,
    ring,
    rms,
    smooth,
)

SECONDS = 6
N = SECONDS * SAMPLE_RATE


@functools.cache
def sound_of(machine_type: str, fault: str | None = None, *, strength: float = 1.0, seed: int = 3) -> np.ndarray:
    """A recording of one machine; the same but for the fault."""
    run = Take(np.random.default_rng(seed), N, fault=fault, strength=strength)
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


# The machines


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


@pytest.mark.parametrize(("machine_type", "snr_db"), list(zip(TYPES, [-6.0, 0.0, 6.0, 12.0, -3.0, 3.0], strict=True)))
def test_the_signal_to_noise_ratio_is_as_asked(machine_type: str, snr_db: float) -> None:
    hall = Hall(seed=0, snr_db=snr_db)
    measured = []
    for machine_id in DEVELOPMENT_IDS[machine_type][:3]:
        clips = [hall.record(machine_type, machine_id, "train", "normal", i, n_samples=N // 4) for i in range(16)]
        machine, background = (
            np.mean([rms(x) ** 2 for x in xs]) for xs in ([c.machine for c in clips], [c.background for c in clips])
        )
        measured.append(10 * np.log10(machine / background))
        assert max(np.abs(clip.mix).max() for clip in clips) < 1.0
    assert np.mean(measured) == pytest.approx(snr_db, abs=1.0)


@pytest.mark.parametrize(("machine_type", "fault"), [(name, fault) for name in TYPES for fault in TYPES[name].faults])
def test_each_fault_changes_the_sound_and_a_fault_of_strength_0_does_not(machine_type: str, fault: str) -> None:
    healthy, weak, strong = (sound_of(machine_type, fault, strength=strength) for strength in (0.0, 0.1, 1.0))
    assert np.array_equal(healthy, sound_of(machine_type))
    assert rms(weak - healthy) > 0.0
    assert 0.05 * rms(healthy) < rms(strong - healthy)
    if fault not in ("low voltage", "belt slip", "clogging"):  # these change speeds, and so the phase of everything
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


def test_a_weak_valve_chatters_at_twice_the_mains_frequency() -> None:
    healthy, weak = (sound_of("valve", fault) for fault in (None, "low voltage"))
    assert envelope_line(weak, 100, low=1000, high=6000) > 5
    assert envelope_line(healthy, 100, low=1000, high=6000) < 2


def test_a_damaged_rail_knocks_twice_a_stroke() -> None:
    added = np.abs(sound_of("slider", "rail damage") - sound_of("slider"))
    strokes = build_machine("slider", "id_02", seed=0).cycle_hz * SECONDS
    loud = smooth(added > 0.3 * added.max(), seconds=0.02) > 0.01
    knocks = np.count_nonzero(loud[1:] & ~loud[:-1])
    assert knocks == pytest.approx(2 * strokes, abs=2)


def test_a_dry_rail_squeals() -> None:
    machine = build_machine("slider", "id_02", seed=0)
    squeal = sound_of("slider", "dry rail") - sound_of("slider")
    pitch = 2300 * machine.tone
    assert power(squeal, 0.9 * pitch, 1.1 * pitch) > 0.3 * power(squeal, 20, 7900)


def test_a_slipping_belt_slaps_and_flutters() -> None:
    slap = 480 * build_machine("slider", "id_02", seed=0).tone
    assert gain_db("slider", "belt slip", 0.9 * slap, 1.1 * slap) > 3
    healthy, slipping = (sound_of("slider", fault) for fault in (None, "belt slip"))
    assert envelope_line(slipping, 17, low=300, high=6000) > 5 * envelope_line(healthy, 17, low=300, high=6000)


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
