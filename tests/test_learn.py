"""Learning: from recordings to a calibrated detector, its thresholds, its report, its commands."""

import csv
import io
import json
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from auscult.cli.detector import score
from auscult.detector import Detector
from auscult.detector.alarms import AlarmSettings
from auscult.detector.learn import Learned, LearnSettings, learn
from auscult.detector.learn.recordings import find_recordings, stretches_of, unread
from auscult.detector.learn.windows import Piece
from auscult.detector.listing import score_all
from auscult.errors import AuscultError, DatasetError
from auscult.recipe import load_recipe, parse_recipe
from auscult.report.learned import render
from auscult.report.moments import worst_moments

RATE = 8000
STAGES: list[tuple[str, int, int]] = []
"""Of the detector that the tests share: what was done, steps done, steps in all."""

SETTINGS = LearnSettings(
    rate=60.0, window_seconds=1.0, step_seconds=0.5, alarm=AlarmSettings(k=1, n=2, cool_down_seconds=1.0)
)
RECIPE = parse_recipe(
    """
name = "small"
sample_rate = 8000
[[member]]
name = "spectral"
family = "spectral"
features = { n_mels = 16 }
[[member]]
name = "hvae"
family = "hvae"
pooling = "median"
features = { n_mels = 16 }
model = { hidden = [8], n_latent = 2 }
training = { epochs = 2, batch_size = 64 }
""",
    "a test",
)


def hum(seconds: float, seed: int, *, fault: float = 0.0) -> np.ndarray:
    """A machine whose level wanders, and with a fault whistles."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * RATE)) / RATE
    level = 0.05 * (1 + 0.2 * np.sin(2 * np.pi * time / 7 + 6 * rng.random()))
    sound = level * np.sin(2 * np.pi * 200 * time) + 0.02 * rng.standard_normal(len(time))
    return np.asarray(sound + fault * np.sin(2 * np.pi * 2500 * time), dtype=np.float32)


def write(path: Path, sound: np.ndarray, rate: int = RATE) -> Path:
    import soundfile

    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, sound, rate)
    return path


@pytest.fixture(scope="module")
def normals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two machines: one long recording, and forty short ones."""
    root = tmp_path_factory.mktemp("sounds") / "normals"
    write(root / "left" / "day.wav", hum(120, 0))
    for index in range(40):
        write(root / "right" / f"{index}.wav", hum(2, 100 + index))
    return root


@pytest.fixture(scope="module")
def learned(normals: Path) -> Learned:
    return learn(normals, recipe=RECIPE, settings=SETTINGS, on_progress=lambda *stage: STAGES.append(stage))


def test_the_first_half_trains_and_the_second_calibrates(learned: Learned) -> None:
    detector = learned.detector
    assert list(detector.machines) == ["left", "right"]
    assert [part.name for part in detector.parts] == ["spectral", "hvae"]
    (left,) = learned.pieces["left"]
    assert (left.span.start, left.span.end) == (60.0, 120.0)
    assert learned.training_seconds["left"] == 59.0  # a window's length is left out between the two
    (right,) = learned.pieces["right"]
    assert [recording.path.name for recording in right.stretch.recordings] == [f"{index}.wav" for index in range(40)]
    assert (right.span.start, right.span.end) == (40.0, 80.0)


def test_the_deployed_detector_is_the_one_that_was_calibrated(learned: Learned) -> None:
    (series,) = learned.series["left"]
    sound = hum(120, 0)
    import soundfile

    stored = soundfile.read(learned.recordings["left"][0].path, dtype="float32")[0]
    assert len(stored) == len(sound)
    first = learned.detector.window_score(stored[60 * RATE : 61 * RATE], machine_id="left")
    assert series.scores[0] == first
    assert series.times[0] == 61.0
    assert len(series.scores) == 119


def test_the_calibration_sound_raises_about_as_many_alarms_as_were_allowed(learned: Learned) -> None:
    for name in ("left", "right"):
        calibration = learned.detector.machines[name].calibration
        assert calibration is not None
        assert calibration.promised == 60.0
        assert calibration.settings == learned.detector.alarm
        assert calibration.alarms <= 3  # in 40 or 60 s, at one a minute


def test_a_fault_is_heard_and_new_normal_sound_is_not(learned: Learned) -> None:
    for name in ("left", "right"):
        normal, fault = (
            learned.detector.score(hum(3, 999, fault=level), sample_rate=RATE, machine_id=name) for level in (0.0, 0.05)
        )
        assert fault.decision == "anomalous"
        assert fault.score > 3 * abs(normal.score)


def test_what_cannot_be_promised_is_said(learned: Learned, normals: Path) -> None:
    (warning,) = [line for line in learned.warnings if line.startswith("left: 60/hour cannot be promised")]
    assert "more hours" in warning
    few = learn(
        normals / "right",
        recipe=RECIPE,
        settings=LearnSettings(
            rate=1.0,
            window_seconds=4.0,
            alarm=AlarmSettings(cool_down_seconds=60.0),
            adapt_window=False,
            adapt_cool_down=False,
        ),
    )
    machine = few.detector.machine()
    assert machine.threshold is None
    assert any("no threshold" in line and "record more" in line for line in few.warnings)
    assert few.detector.score(hum(4, 1), sample_rate=RATE).decision == "unknown"


def test_little_sound_gets_short_windows_and_cool_downs() -> None:
    def shown(settings: LearnSettings) -> tuple[float, float]:
        return settings.window_seconds, settings.alarm.cool_down_seconds

    settings = LearnSettings(rate=1.0)
    assert shown(settings.for_seconds(7200.0)) == (10.0, 60.0)
    assert shown(settings.for_seconds(300.0)) == (2.5, 5.0)
    assert shown(settings.for_seconds(10.0)) == (1.0, 0.0)
    asked = LearnSettings(rate=1.0, adapt_window=False, adapt_cool_down=False)
    assert shown(asked.for_seconds(10.0)) == (10.0, 60.0)


def test_cross_fitting_uses_all_sound_and_says_what_that_costs(normals: Path) -> None:
    crossed = learn(normals / "left", recipe=RECIPE, settings=replace(SETTINGS, method="cross-fitted"))
    assert sum(piece.seconds for piece in crossed.pieces["left"]) == pytest.approx(120.0)
    assert crossed.training_seconds["left"] == 120.0
    calibration = crossed.detector.machine().calibration
    assert calibration is not None
    assert any("the deployed model is another one" in line for line in calibration.describe())


def kill_a_worker() -> None:
    """Where the system lists processes."""
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == os.getpid() and b"popen_loky" in (folder / "cmdline").read_bytes():
                os.kill(int(folder.name), signal.SIGKILL)
                return


@pytest.mark.slow
def test_workers_change_nothing_even_if_one_is_killed(
    normals: Path, learned: Learned, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("auscult.detector.learn.scores.PIECE_SECONDS", 20.0)

    def advance(label: str, done: int, total: int) -> None:
        if (label, done) == ("calibration", 1):
            kill_a_worker()

    again = learn(normals, recipe=RECIPE, settings=SETTINGS, workers=2, on_progress=advance)
    for name in learned.series:
        for one, two in zip(learned.series[name], again.series[name], strict=True):
            np.testing.assert_array_equal(one.times, two.times)
            np.testing.assert_array_equal(one.scores, two.scores)
    assert again.detector.machines == learned.detector.machines


@pytest.mark.slow
def test_files_are_scored_though_a_worker_is_killed(learned: Learned, tmp_path: Path) -> None:
    files = [write(tmp_path / "left" / f"{index}.wav", hum(3, index)) for index in range(12)]
    files[5].write_bytes(b"no sound")
    here = list(score_all(learned.detector, files, machine="left"))
    results = score_all(learned.detector, iter(files), machine="left", workers=2)
    found = [next(results)]
    kill_a_worker()
    found += results
    assert [str(one) for one in found] == [str(one) for one in here]
    assert [path for path, score in found if isinstance(score, str)] == [files[5]]


@pytest.mark.parametrize("number", [1, 2, 3, 7, 1000])
def test_the_parts_of_a_piece_have_its_windows(normals: Path, number: int) -> None:
    from auscult.detector.calibration.folds import Span

    (stretch,) = stretches_of(find_recordings(normals / "left")["left"], short_seconds=10.0)
    piece = Piece("left", stretch, Span(0, 3.5, 31.2))
    options = {"sample_rate": RATE, "channel": 0, "length": 2 * RATE, "step": RATE}
    parts = piece.parts(number, length=2.0, step=1.0)
    assert len(parts) == min(number, 26)
    whole = [(start, waveform.sum()) for start, waveform in piece.windows(**options)]
    assert whole == [(start, waveform.sum()) for part in parts for start, waveform in part.windows(**options)]


def test_a_change_between_training_and_calibration_is_noticed(tmp_path: Path) -> None:
    sound = hum(120, 0)
    sound[len(sound) // 2 :] *= 4
    louder = learn(write(tmp_path / "pump.wav", sound), recipe=RECIPE, settings=SETTINGS)
    assert any("12.0 dB louder" in line for line in louder.warnings)


def test_short_recordings_and_silence_still_tell_how_the_sound_came(tmp_path: Path) -> None:
    sound = hum(200, 0)
    for start in range(0, 200, 5):
        write(tmp_path / f"{start}.wav", sound[start * RATE : (start + 5) * RATE])
    whole = learn(write(tmp_path / "whole" / "a.wav", sound), recipe=RECIPE, settings=SETTINGS)
    sound[150 * RATE : 170 * RATE] = 0.0
    silent = learn(write(tmp_path / "silent" / "a.wav", sound), recipe=RECIPE, settings=SETTINGS)
    (tmp_path / "cut").mkdir()
    for path in tmp_path.glob("*.wav"):
        path.rename(tmp_path / "cut" / path.name)
    cut = learn(tmp_path / "cut", recipe=RECIPE, settings=replace(SETTINGS, adapt_window=False))
    known, *others = (
        one.detector.machines[name].condition for one, name in ((whole, "a"), (cut, "cut"), (silent, "a"))
    )
    assert known is not None
    for other in others:
        assert other is not None
        assert np.array(other.centre) == pytest.approx(known.centre, abs=1.0)
        assert max(other.tolerance) < 2 * max(known.tolerance)


@pytest.mark.parametrize(
    ("prepare", "words"),
    [
        (lambda root: root / "none", "does not exist"),
        (lambda root: root, "no recording"),
        (lambda root: write(root / "abnormal" / "a.wav", hum(30, 0)).parent.parent, "normal sound alone"),
        (lambda root: write(root / "anomaly_id_00_1.wav", hum(30, 0)).parent, "normal sound alone"),
        (lambda root: write(root / "a.wav", hum(5, 0)), "too short|windows of"),
        (
            lambda root: [write(root / "a.wav", hum(9, 0)), write(root / "b" / "c.wav", hum(9, 0)), root][-1],
            "--machine",
        ),
    ],
)
def test_recordings_that_cannot_be_learned_are_one_clear_error(
    tmp_path: Path, prepare: Callable[[Path], Path], words: str
) -> None:
    with pytest.raises(DatasetError, match=words):
        learn(prepare(tmp_path), recipe=RECIPE, settings=SETTINGS)


def test_recordings_come_in_the_natural_order_and_folders_may_be_days(tmp_path: Path) -> None:
    for name in ("day 10/1.wav", "day 9/10.wav", "day 9/9.wav", ".hidden/x.wav", "day 9/8.mp3"):
        write((tmp_path / name).with_suffix(".wav"), hum(1, 0)).rename(tmp_path / name)
    found = find_recordings(tmp_path, machine="pump")
    assert [recording.path.relative_to(tmp_path).as_posix() for recording in found["pump"]] == [
        "day 9/9.wav",
        "day 9/10.wav",
        "day 10/1.wav",
    ]
    assert list(find_recordings(tmp_path)) == ["day 9", "day 10"]
    (note,) = unread(tmp_path)
    assert "not heard: 1 files" in note and "8.mp3: .wav, .flac and .ogg files are read" in note


def test_a_recipe_with_a_denoiser_is_refused_with_the_way_out(normals: Path) -> None:
    with pytest.raises(AuscultError, match="auscult pack"):
        learn(normals, recipe=load_recipe("srpol-small"), settings=SETTINGS, machine_type="fan")


def test_the_page_tells_thresholds_warnings_and_the_worst_moments(learned: Learned) -> None:
    page = render(learned)
    for words in ("left", "right", "extrapolated", "dashed: warning", "day.wav", "60/hour", *learned.warnings):
        assert words in page
    for machine in ("left", "right"):
        worst = worst_moments(learned.pieces[machine], learned.series[machine])
        assert [moment.score for moment in worst] == sorted((moment.score for moment in worst), reverse=True)
        assert worst[0].score == max(part.scores[part.scored].max() for part in learned.series[machine])
        sound = worst[0].sound(sample_rate=learned.detector.sample_rate, channel=0)
        assert learned.detector.window_score(sound, machine_id=machine) == pytest.approx(worst[0].score, rel=1e-6)
    assert page.count("<audio controls") == page.count('class="card"') == 12


def test_the_commands_learn_score_and_info(normals: Path, tmp_path: Path, command: Callable[..., Any]) -> None:
    (tmp_path / "small.toml").write_text(RECIPE.to_toml())
    out = tmp_path / "new" / "pump.auscult"
    arguments = ("learn", normals, "-o", out, "--recipe", tmp_path / "small.toml", "--false-alarms", "60/hour")
    arguments += ("--window", 1, "--step", 0.5, "--alarm", "1/2", "--licence", "CC0")
    done = command(*arguments)
    assert done.code == 0, done.err
    assert "extrapolated" in done.out
    assert "note: left: 60/hour cannot be promised" in done.err
    assert out.with_suffix(".html").is_file()
    assert "is there already" in command(*arguments).error
    good = write(tmp_path / "left" / "good.wav", hum(3, 1))
    bad = write(tmp_path / "left" / "bad.wav", hum(3, 1, fault=0.1))
    found = command("score", out, good, bad, "--json")
    assert found.code == 0
    lines = [json.loads(line) for line in found.out.splitlines()]
    assert [line["file"] for line in lines] == [str(good), str(bad)]
    keys = ["file", "machine_id", "score", "threshold", "p_value", "decision", "reason", "warning", "caveat"]
    assert list(lines[0]) == [*keys, "words", "differences"]
    assert lines[0]["words"] == "" and lines[0]["differences"] == []
    (whistle,) = (one for one in lines[1]["differences"] if one["kind"] == "tone")
    assert whistle["low_hz"] < 2500 < whistle["high_hz"]
    assert whistle["sentence"] in lines[1]["words"]
    assert lines[0]["warning"] < lines[0]["threshold"]
    assert "more hours of normal sound would support 60/hour" in lines[0]["caveat"]
    assert lines[0]["machine_id"] == "left"
    assert lines[1]["decision"] == "anomalous"
    rows = list(csv.DictReader(io.StringIO(command("score", out, tmp_path / "left", "--csv", "--machine", "left").out)))
    assert float(rows[1]["score"]) == lines[0]["score"]
    assert "anomalous" in command("score", out, bad).out
    assert command("score", out, good, bad, "--json", "--workers", 2).out == found.out
    assert command("score", out, good, "--workers", 0).code == 2
    facts = json.loads(command("info", out, "--json").out)
    assert facts["licence"] == "CC0"
    assert [machine["name"] for machine in facts["machines"]] == ["left", "right"]
    told = command("info", out).out
    assert "60/hour is extrapolated and would miss" in told
    assert "A warning stands between normal and alarm" in told
    assert facts["machines"][0]["warning"] == lines[0]["warning"]


class Screen(io.StringIO):
    """A terminal."""

    def isatty(self) -> bool:
        return True


def test_a_terminal_shows_what_takes_long_and_nothing_else_does(
    learned: Learned, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    learned.detector.save(tmp_path / "pump.auscult")
    sound = write(tmp_path / "left" / "good.wav", hum(3, 1))
    monkeypatch.setattr("auscult.cli.display.scores.SLOW_SECONDS", 0.0)
    for screen in (Screen(), io.StringIO()):
        monkeypatch.setattr("sys.stderr", screen)
        assert score(tmp_path / "pump.auscult", [sound]) == 0
        shown = screen.getvalue()
        assert ("loading" in shown) == ("\x1b[K" in shown) == screen.isatty()
        assert shown.rstrip("\r\x1b[K").count("note: left: the threshold") == 1


def test_every_stage_of_learning_shows_how_far_it_is(learned: Learned) -> None:
    last = {label: (done, total) for label, done, total in STAGES}
    members = [part.name for part in learned.detector.parts if part.family != "spectral"]
    assert list(last) == ["recordings", "features", *members, "calibration", "levels"]
    assert all(done == total for done, total in last.values())


def test_a_bad_file_does_not_stop_the_others(learned: Learned, tmp_path: Path, command: Callable[..., Any]) -> None:
    learned.detector.save(tmp_path / "d.auscult")
    good = write(tmp_path / "good.wav", hum(3, 1))
    content = good.read_bytes()
    (tmp_path / "broken.wav").write_bytes(b"RIFF")
    size = content.index(b"data") + 4
    (tmp_path / "killed.wav").write_bytes(b"RIFF" + bytes(4) + content[8:size] + bytes(4) + content[size + 4 : -1])
    for name in ("empty/.hidden.wav", "empty/.day/x.wav", "day/1.m4a", "day/2.wav"):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_bytes(content)
    places = [tmp_path / name for name in ("broken.wav", "empty", "good.wav", "none.wav", "day", "killed.wav")]
    found = command("score", tmp_path / "d.auscult", *places, "--json", "--machine", "left")
    assert found.code == 3
    scored = [str(tmp_path / name) for name in ("good.wav", "day/2.wav", "killed.wav")]
    assert [json.loads(line)["file"] for line in found.out.splitlines()] == scored
    errors = [line for line in found.err.splitlines() if line.startswith("error: ")]
    words = ("broken.wav", "empty holds no recording", "none.wav", "1.m4a: .wav, .flac and .ogg files are read")
    assert len(errors) == len(words) and all(word in line for word, line in zip(words, errors, strict=True))
    assert f"note: {tmp_path / 'killed.wav'}: the header does not say how long it is" in found.err


def test_the_page_never_takes_the_place_of_the_detector(
    normals: Path, tmp_path: Path, command: Callable[..., Any]
) -> None:
    done = command("learn", normals, "-o", tmp_path / "x.html", "--recipe", "spectral")
    assert (done.code, [*tmp_path.iterdir()]) == (2, [])
    assert "both the detector and its page" in done.error


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--false-alarms", "never"), "1/day"),
        (("--alarm", "three"), "k/n"),
        (("--alarm", "5/3"), "5 of 3"),
        (("--window", "0"), "windows of 0"),
        (("--step", "20"), "a step of 20"),
        (("--recipe", "none"), "none"),
        (("--workers", "0"), "workers"),
    ],
)
def test_wrong_options_are_one_line(
    normals: Path, tmp_path: Path, command: Callable[..., Any], arguments: tuple[str, ...], words: str
) -> None:
    usual = () if "--recipe" in arguments else ("--recipe", "spectral")
    done = command("learn", normals, "-o", tmp_path / "x.auscult", *usual, *arguments)
    assert done.code == 2
    assert words in done.error
    assert not (tmp_path / "x.auscult").exists()


def test_a_detector_knows_a_machine_by_folder_or_name(learned: Learned) -> None:
    from auscult.detector.listing import machine_of

    assert machine_of(learned.detector, Path("sounds/left/1.wav")) == "left"
    assert machine_of(learned.detector, Path("sounds/normal_right_1.wav")) == "right"
    with pytest.raises(AuscultError, match="--machine"):
        machine_of(learned.detector, Path("sounds/lefty.wav"))


def test_learning_twice_gives_the_same_bytes(normals: Path, tmp_path: Path, learned: Learned) -> None:
    learned.detector.save(tmp_path / "one.auscult")
    learn(normals, recipe=RECIPE, settings=SETTINGS).detector.save(tmp_path / "two.auscult")
    assert (tmp_path / "one.auscult").read_bytes() == (tmp_path / "two.auscult").read_bytes()
    assert Detector.load(tmp_path / "one.auscult").machines == learned.detector.machines


def test_silence_clipping_and_drop_outs_neither_train_nor_calibrate(tmp_path: Path) -> None:
    sound = hum(120, 0)
    for start in (20, 90):
        sound[start * RATE : (start + 3) * RATE] = 0.0
    sound[100 * RATE : 101 * RATE] = 1.0 * np.sign(sound[100 * RATE : 101 * RATE])
    learned = learn(write(tmp_path / "pump.wav", sound), recipe=RECIPE, settings=SETTINGS)
    (series,) = learned.series["pump"]
    times = series.times[~series.scored]
    assert set(times) == {*np.arange(90.5, 94.0, 0.5), *np.arange(100.5, 102.0, 0.5)}
    assert any(f"{len(times)} of {len(series.times)} calibration windows" in line for line in learned.warnings)
    with pytest.raises(DatasetError, match="there are 0 windows"):
        learn(write(tmp_path / "silent" / "a.wav", 0 * sound), recipe=RECIPE, settings=SETTINGS)


NOTHING_DEAR = "auscult.detector.learn.work.Learner.trained"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("-o", "file/pump.auscult"), "file/pump.auscult cannot be written"),
        (("-o", f"{'x' * 250}.auscult"), "cannot be written"),
        (("-o", "x.auscult", "--report", "file/page.html"), "file/page.html cannot be written"),
        (("-o", "x.auscult", "--workers", 0), "0 workers can do nothing"),
        (("-o", "x.auscult", "--channel", 1), "channel 1 was asked for; the file has 1"),
        (("-o", "x.auscult", "--recipe", "idcae.toml"), "two machines, and these recordings are of one, x"),
        (("-o", "x.auscult", "--recipe", "classifier.toml"), "two machines, and these recordings are of one, x"),
        (("-o", "x.auscult", "--window", 30), "0 windows of 30 s|windows of 30 s to train on"),
        (("-o", "x.auscult", "--recipe", "long.toml", "--window", 0.2, "--step", 0.1), "needs 60 frames"),
    ],
)
def test_what_learning_would_refuse_in_the_end_it_refuses_at_the_start(
    tmp_path: Path,
    command: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[Any, ...],
    words: str,
) -> None:
    def never(*_: Any) -> None:
        raise AssertionError("something dear was begun")

    monkeypatch.setattr(NOTHING_DEAR, never)
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "normals" / "day.wav", hum(120, 0))
    Path("file").touch()
    member = '[[member]]\nname = "m"\nfeatures = { n_mels = 16 }\n'
    rests = {
        "idcae": 'family = "idcae"',
        "classifier": 'family = "classifier"',
        "long": 'family = "autoencoder"\nmodel = { context = 60 }',
    }
    for name, rest in rests.items():
        Path(f"{name}.toml").write_text(f'name = "{name}"\nsample_rate = 8000\n{member}{rest}\n')
    usual = () if "--recipe" in arguments else ("--recipe", "spectral")
    done = command("learn", "normals", *arguments, *usual)
    assert done.code == 2
    assert any(word in done.error for word in words.split("|")), done.error
    assert not list(tmp_path.glob("*.tmp")) and not Path("x.auscult").exists()


def test_a_machine_alone_is_named_by_its_folder_or_else_by_the_detector(tmp_path: Path) -> None:
    for name in ("Normals/1.wav", "pump-7/1.wav", "plant/Normals/1.wav", "fans/a/1.wav", "fans/normal/1.wav"):
        write(tmp_path / name, hum(1, 0))

    def names(place: str, machine: str | None = None) -> list[str]:
        return list(find_recordings(tmp_path / place, machine=machine, otherwise="pump"))

    assert names("Normals") == names("Normals/1.wav") == names("plant") == ["pump"]
    assert names("pump-7") == ["pump-7"]
    assert names("fans") == ["a", "normal"]
    assert names("Normals", "fan") == ["fan"]


def test_defects_are_named_in_both_halves_with_their_files(tmp_path: Path) -> None:
    for index in range(40):
        sound = hum(3, index) * (0 if index in (4, 30) else 1)
        write(tmp_path / "pump" / f"{index}.wav", sound)
    lines = [line for line in learn(tmp_path / "pump", recipe=RECIPE, settings=SETTINGS).warnings if "left out" in line]
    assert ["training" in line for line in lines] == [True, False]
    assert lines[0].endswith("They are in 4.wav.") and lines[1].endswith("They are in 30.wav.")


def test_an_unknown_decision_has_its_reason_in_every_form(
    learned: Learned, tmp_path: Path, command: Callable[..., Any]
) -> None:
    import soundfile

    learned.detector.save(tmp_path / "d.auscult")
    sound = hum(3, 1)
    soundfile.write(tmp_path / "loud.wav", 60 * sound, RATE, subtype="FLOAT")
    write(tmp_path / "two.wav", np.stack([0 * sound, sound], axis=1))
    write(tmp_path / "good.wav", sound)
    files = [tmp_path / name for name in ("loud.wav", "two.wav", "good.wav")]
    usual = ("score", tmp_path / "d.auscult", *files, "--machine", "left")
    reasons = [json.loads(line)["reason"] for line in command(*usual, "--json").out.splitlines()]
    assert "of the samples are at full scale, which is 1, or beyond; they reach" in reasons[0]
    assert "silence" in reasons[1] and "there is sound in 1: choose one with --channel" in reasons[1]
    assert reasons[2] == ""
    rows = list(csv.DictReader(io.StringIO(command(*usual, "--csv").out)))
    assert [row["reason"] for row in rows] == reasons
    heard = command("score", tmp_path / "d.auscult", files[1], "--machine", "left", "--channel", 1, "--json")
    assert json.loads(heard.out)["decision"] == "normal"
    with pytest.raises(DatasetError, match="Channel 0 was heard, and there is sound in 1"):
        learn(write(tmp_path / "x.wav", np.stack([0 * hum(60, 0), hum(60, 0)], 1)), recipe=RECIPE, settings=SETTINGS)


def test_recordings_of_another_kind_are_unknown(learned: Learned, tmp_path: Path) -> None:
    import soundfile
    import soxr

    def reason(name: str, sound: np.ndarray, rate: int = RATE, **how: str) -> str:
        soundfile.write(tmp_path / name, sound, rate, **how)
        found = detector.score(tmp_path / name, machine_id="left", evidence=False)
        assert (found.decision == "unknown") == bool(found.reason)
        return found.reason

    def through(sound: np.ndarray, rate: int, own: int = RATE) -> np.ndarray:
        return np.asarray(soxr.resample(soxr.resample(sound, own, rate), rate, own))

    learned.detector.save(tmp_path / "d.auscult")
    detector, sound = Detector.load(tmp_path / "d.auscult"), hum(10, 1)
    assert detector.machines["left"].origin == learned.detector.machines["left"].origin is not None
    assert reason("good.wav", sound) == reason("softer.flac", 0.5 * sound) == ""
    assert "lossy" in reason("coded.ogg", sound)
    assert "lossy" in reason("coded.wav", sound, subtype="ULAW")
    assert "nothing above 2" in reason("narrow.wav", through(sound, 5000))
    assert "16000 Hz and the detector learned from 8000 Hz" in reason(
        "fast.wav", soxr.resample(sound, RATE, 16000), 16000
    )
    machine = replace(learned.detector.machines["left"], origin=None)
    detector = replace(learned.detector, machines={"left": machine})  # as an older version wrote it
    assert reason("old.ogg", sound) == ""
    fast = soxr.resample(np.random.default_rng(0).normal(0, 0.1, 90 * 48000), 48000, 24000)
    wide = learn(write(tmp_path / "wide" / "left.wav", fast, 24000), recipe=RECIPE, settings=SETTINGS, machine="left")
    detector = wide.detector
    assert reason("wide.wav", fast[:240000], 24000) == ""
    assert "lower rate than its file says" in reason("upsampled.wav", through(fast[:240000], RATE, 24000), 24000)
