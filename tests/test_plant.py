"""Several machines behind one server: what the TOML file may say, listeners that fail, die and come back."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from auscult.errors import MonitorError
from auscult.live.history import Reader, lock
from auscult.live.serve import machines, starting
from auscult.live.serve.facts import facts_of_plant, not_there
from auscult.live.serve.proposals import level_of, propose
from auscult.live.serve.service import Service
from auscult.live.serve.settings import MachineTable, Plant, exposed, of_detectors
from serve_fakes import BEGIN, RATE, desk, hum, small_detector, write


@pytest.fixture(scope="module")
def detector(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_detector(tmp_path_factory.mktemp("detector"))


# The file


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "machines is missing; name at least one machine"),
        ("machines = 3", "machines"),
        ("[machines]", "machines"),
        ("[machines.a", "no TOML"),
        ("[machines.a]\nsource = 'mic'", "machines.a.detector is missing"),
        ("[machines.a]\ndetector = 'x'\nsorce = 'mic'", "(did you mean 'source'?); allowed are detector, machine"),
        ("[machines.a]\ndetector = 'x'\nsource = '-'", "standard input is heard by `auscult monitor` alone"),
        ("[machines.a]\ndetector = 'x'\nsource = ''", "machines.a.source: it is empty; name a file"),
        ("[machines.a]\ndetector = 'x'\nsource = 'ftp://x/1'", "streams begin with rtsp://"),
        ("[machines.'a/b']\ndetector = 'x'", "no name of a machine"),
        ("[machines.'..']\ndetector = 'x'", "no name of a machine"),
        ("[machines.a]\ndetector = 'x'\nspeed = 0", "machines.a.speed"),
        ("[machines.a]\ndetector = 'x'\nreplay = 'soon'", "machines.a.replay"),
        ("[server]\nport = 70000\n[machines.a]\ndetector = 'x'", "server.port"),
        ("[server]\nprt = 7000\n[machines.a]\ndetector = 'x'", "(did you mean 'port'?)"),
        ("[retention]\nmegabytes = 0\n[machines.a]\ndetector = 'x'", "retention.megabytes"),
        ("[retention]\nsecond_days = inf\n[machines.a]\ndetector = 'x'", "retention.second_days"),
        ("[retention]\nsound_days = true\n[machines.a]\ndetector = 'x'", "retention.sound_days"),
        ("[machines.a]\ndetector = 'x'\nthreshold = nan", "machines.a.threshold"),
    ],
)
def test_what_a_plant_cannot_be_is_refused_with_its_place(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "plant.toml").write_text(text)
    with pytest.raises(MonitorError) as refused:
        Plant.load(tmp_path / "plant.toml")
    assert reason in str(refused.value) and "plant.toml" in str(refused.value)


def test_paths_are_relative_to_the_file_and_streams_are_none(tmp_path: Path) -> None:
    (tmp_path / "plant.toml").write_text(
        "state = 's'\n[machines.a]\ndetector = 'd'\nsource = 'folder'\n"
        "[machines.b]\ndetector = '/abs/d'\nsource = 'rtsp://camera/1'\n[machines.c]\ndetector = 'd'\nsource = 'mic:2'"
    )
    plant = Plant.load(tmp_path / "plant.toml")
    assert plant.state == tmp_path / "s"
    assert [one.source for one in plant.machines.values()] == [str(tmp_path / "folder"), "rtsp://camera/1", "mic:2"]
    assert [one.detector for one in plant.machines.values()] == [tmp_path / "d", Path("/abs/d"), tmp_path / "d"]


@pytest.mark.skipif(os.name != "posix", reason="files have no modes")
@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("source = 'rtsp://me:geheim@camera/1'", True),
        ("source = 'http://radio/1?key=geheim'", True),
        ("outputs = { webhook = 'https://x/geheim' }", True),
        ("source = 'rtsp://camera/1'", False),
        ("source = 'a@b'", False),
    ],
)
def test_secrets_that_everybody_can_read_are_said(tmp_path: Path, text: str, secret: bool) -> None:
    path = tmp_path / "plant.toml"
    path.write_text(f"[machines.a]\ndetector = 'd'\n{text}\n")
    path.chmod(0o644)
    said = exposed(path, Plant.load(path))
    assert ("chmod o-r" in said) == secret and "geheim" not in said
    path.chmod(0o640)
    assert not exposed(path, Plant.load(path))


def test_detectors_alone_make_machines_with_sources_in_their_order() -> None:
    a, b = Path("a"), Path("b")
    found = of_detectors([a, b], {a: ["fan", "x/y"], b: ["pump"]}, ["1", "2", "3"])
    assert {name: one.source for name, one in found.items()} == {"fan": "1", "x-y": "2", "pump": "3"}
    with pytest.raises(MonitorError, match=r"3 machines \(fan, x/y, pump\) and 1 of --source"):
        of_detectors([a, b], {a: ["fan", "x/y"], b: ["pump"]}, ["1"])
    with pytest.raises(MonitorError, match="two detectors know a machine fan"):
        of_detectors([a, b], {a: ["fan"], b: ["fan"]}, [])
    with pytest.raises(MonitorError, match="standard input is heard by `auscult monitor` alone"):
        of_detectors([a], {a: ["fan"]}, ["-"])
    with pytest.raises(MonitorError, match="give it another name"):
        of_detectors([a], {a: [".."]}, [])


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"machine": "fann"}, "did you mean 'fan'"),
        ({"machine": None}, "knows fan, pump; say which"),
        ({"detector": Path("nothing.auscult")}, "does not exist"),
        ({"source": "mic", "alarm": "5of7"}, "write it as k/n"),
        ({"source": "mic", "alarm": "7/5"}, "cannot raise an alarm"),
        ({"source": "a.wav", "rate": 5}, "--rate is for"),
        ({"source": "mic", "speed": 2.0}, "speed and replay are for files and folders"),
        ({"source": "a.wav", "outputs": {"webhook": "ftp://x"}}, "no URL of http"),
        ({"source": "a.wav", "outputs": {"webhook": "https://u:geheim@x/y"}}, "AUSCULT_WEBHOOK_AUTHORIZATION"),
        ({"source": "a.wav", "outputs": {"webhook": "hooks/geheim"}}, "--webhook … is no URL"),
        ({"source": "a.wav", "outputs": {"webhook": "https://x:geheim/"}}, "--webhook https://… is no URL"),
        ({"source": "a.wav", "outputs": {"mqtt": "u:geheim@broker"}}, "AUSCULT_MQTT_USERNAME"),
        ({"source": "a.wav", "outputs": {"mqtt": "u:geheim@broker:x/y"}}, "--mqtt broker:x/y is no address"),
        ({"source": "a.wav", "outputs": {"home_assistant": True}}, "give mqtt"),
        ({"source": "notes.txt"}, "is no audio file that can be read"),
        ({"source": "low.wav"}, "needs at least 16000 Hz"),
    ],
)
def test_what_a_listener_would_refuse_is_refused_at_the_start(
    detector: Path, tmp_path: Path, changes: dict[str, Any], reason: str
) -> None:
    (tmp_path / "notes.txt").write_text("no sound\n")
    soundfile.write(tmp_path / "low.wav", hum(4), RATE // 2)
    table = MachineTable(**{"detector": detector, "machine": "fan", **changes})
    with pytest.raises(MonitorError, match=r"machines\.a|nothing\.auscult") as refused:
        facts_of_plant(Plant(state=tmp_path, machines={"a": table}).at(tmp_path), desk())
    assert reason in str(refused.value) and "geheim" not in str(refused.value)


def test_what_is_not_there_yet_is_named_and_waited_for(detector: Path, tmp_path: Path) -> None:
    table = MachineTable(detector=detector, machine="fan", source="recordings", normals=Path("normal"))
    plant = Plant(state=tmp_path, machines={"a": table}).at(tmp_path)
    assert facts_of_plant(plant, desk())
    assert not_there(plant) == [
        f"machines.a: the source {tmp_path / 'recordings'} is not there; it is heard as soon as it is",
        f"machines.a: normals {tmp_path / 'normal'} are not there; no normal sound stands beside an alarm",
    ]
    for name in ("recordings", "normal"):
        (tmp_path / name).mkdir()
    assert not not_there(plant)


# Proposals


def test_a_proposal_keeps_the_promise_and_says_when_it_is_kept_already() -> None:
    given = {"before": 3.0, "rate": 1 / 24, "promised": "1/day"}
    raised = propose(1, [9.0, 5.0, 4.0], level=4.0, hours=24, **given)
    assert raised is not None and (raised.after, raised.kept, raised.alarms) == (5.0, False, 3)
    kept = propose(1, [4.0], level=4.0, hours=48, **given)
    assert kept is not None and (kept.after, kept.kept) == (4.0, True)
    early = propose(1, [4.0], level=4.0, hours=1, **given)
    assert early is not None and (early.after, early.kept) == (4.0, False)
    assert propose(1, [2.0], level=2.0, hours=1, **given) is None
    unknown = propose(1, [4.0], level=4.0, before=3.0, hours=1, rate=None, promised=None)
    assert unknown is not None and unknown.after == 4.0


def test_the_level_of_an_alarm_is_the_threshold_that_would_not_have_raised_it() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        scores, k, n = rng.random(12).tolist(), int(rng.integers(1, 4)), int(rng.integers(4, 8))
        level = level_of(scores, k=k, n=n)

        def raised(threshold: float, scores: list[float] = scores, k: int = k, n: int = n) -> bool:
            windows = (scores[max(0, end - n) : end] for end in range(1, len(scores) + 1))
            return any(sum(score > threshold for score in window) >= k for window in windows)

        assert not raised(level) and raised(level - 1e-9)


# Listeners: processes of their own


def until(true: Callable[[], Any], *, seconds: float = 90.0) -> Any:
    """Wait until something holds, and give it."""
    ends = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < ends, "it did not come to be"
        time.sleep(0.05)
    return found


@pytest.fixture
def plant(detector: Path, tmp_path: Path) -> Iterator[Service]:
    """A fan that whistles after a minute, replayed; and a pump whose folder is not there yet."""
    sound = np.concatenate([hum(60, seed=5), hum(20, hz=1000.0, seed=6), hum(60, seed=7)])
    fan = MachineTable(
        detector=detector,
        machine="fan",
        source=str(write(tmp_path / "fan.wav", sound)),
        replay=BEGIN,
        speed=20.0,
    )
    pump = MachineTable(detector=detector, machine="pump", source=str(tmp_path / "pump"), replay=BEGIN)
    state = tmp_path / "state"
    made = Plant(state=state, machines={"fan": fan, "pump": pump})
    with lock(state):
        service = Service(made, facts_of_plant(made, desk()), desk())
        service.start()
        try:
            yield service
        finally:
            service.close()


@pytest.mark.slow
def test_a_file_that_was_heard_is_not_heard_again_after_a_restart_unless_it_changed(
    detector: Path, tmp_path: Path
) -> None:
    sound = write(tmp_path / "fan.wav", np.concatenate([hum(10, seed=5), hum(10, hz=1000.0, seed=6)]))
    table = MachineTable(detector=detector, machine="fan", source=str(sound), replay=BEGIN)
    made, heard = Plant(state=tmp_path / "state", machines={"fan": table}), list[tuple[int, int]]()
    for again in (False, False, True):
        if again:
            write(sound, hum(30, seed=8))
        with lock(made.state):
            service = Service(made, facts_of_plant(made, desk()), desk())
            service.start()
            try:
                fan = service.machines["fan"]
                until(lambda fan=fan: fan.live.state == "stopped")
                alarms = service.reader.incidents(machine="fan", kinds=("alarm",)).total
                heard.append((fan.live.windows, alarms))
            finally:
                service.close()
    window, step = fan.facts["window_seconds"], fan.facts["step_seconds"]
    first, last = (1 + int((seconds - window) / step + 1e-9) for seconds in (20, 30))
    assert heard == [(first, 1), (0, 1), (last, 1)]


def family(pid: int) -> set[int]:
    """The living processes that a process has started, and theirs."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            fields = path.read_text().rsplit(")", 1)[1].split()
            if fields[0] != "Z":
                parents[int(path.parent.name)] = int(fields[1])
    found, new = set[int](), {pid}
    while new:
        new = {child for child, parent in parents.items() if parent in new}
        found |= new
    return found


def blocks(pid: int, number: int) -> bool:
    (line,) = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("SigBlk")]
    return bool(int(line.split()[1], 16) >> (number - 1) & 1)


def alive(pid: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    return False


@pytest.mark.slow
def test_one_machine_raises_its_alarm_while_another_has_no_source(plant: Service, tmp_path: Path) -> None:
    fan, pump = plant.machines["fan"], plant.machines["pump"]
    until(lambda: pump.live.state == "trouble")
    assert "pump" in pump.live.message and "tried again" in pump.live.message
    until(lambda: fan.live.state == "alarm")
    (found,) = plant.reader.incidents(machine="fan", kinds=("alarm",)).rows
    window = fan.facts["window_seconds"] + 2 * fan.facts["step_seconds"]
    assert BEGIN + 60 <= found.raised <= BEGIN + 60 + window
    assert found.sound is not None and found.sound.before > 0
    until(lambda: fan.live.state == "stopped")
    assert plant.reader.incidents(machine="fan", kinds=("alarm",)).total == 1
    write(tmp_path / "pump" / "000.wav", hum(20, hz=280.0, seed=8))
    until(lambda: pump.live.windows > 5)
    assert pump.live.restarts > 0


@pytest.mark.slow
def test_a_listener_that_is_killed_comes_back_and_neither_loses_nor_doubles(plant: Service) -> None:
    fan = plant.machines["fan"]
    for number in (5, 25):
        until(lambda number=number: fan.live.windows > number)
        pid = fan.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        until(lambda pid=pid: fan.pid not in (None, pid))
    until(lambda: fan.live.state == "stopped")
    assert fan.live.restarts == 2
    assert not os.environ.get(starting.SAFE_PATH), "only what listeners are forks of is started so"
    assert plant.reader.incidents(machine="fan", kinds=("alarm",)).total == 1
    columns = plant.reader.scores("fan", BEGIN, BEGIN + 200, points=1000)
    facts = fan.facts
    expected = 1 + int((140 - facts["window_seconds"]) / facts["step_seconds"] + 1e-9)
    assert sum(columns.count) == expected


@pytest.mark.slow
def test_a_threshold_reaches_the_listener_with_the_next_window(plant: Service) -> None:
    fan = plant.machines["fan"]
    until(lambda: fan.live.windows > 3)
    plant.thresholds.change(fan, 1e6, why="note 1", note=1, author="Ines")
    until(lambda: fan.live.state == "stopped")
    assert plant.reader.incidents(machine="fan", kinds=("alarm",)).total == 0


@pytest.mark.slow
def test_a_threshold_that_is_decided_while_a_listener_is_started_is_in_force(plant: Service) -> None:
    fan = plant.machines["fan"]
    plant.thresholds.change(fan, 1e6, why="note 1", note=1, author="Ines")
    until(lambda: fan.live.windows > 3)
    assert fan.live.threshold == plant.thresholds.decided("fan") == 1e6
    until(lambda: fan.live.state == "stopped")
    assert plant.reader.incidents(machine="fan", kinds=("alarm",)).total == 0


@pytest.mark.slow
def test_a_listener_that_hangs_is_given_up_and_keeps_no_server_from_its_end(
    plant: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    fan = plant.machines["fan"]
    until(lambda: fan.live.windows > 3)
    monkeypatch.setattr(machines, "SILENT_SECONDS", 3.0)
    first = fan.pid
    assert first is not None
    os.kill(first, signal.SIGSTOP)
    until(lambda: fan.pid not in (None, first))
    assert not alive(first) and fan.live.restarts == 1
    monkeypatch.setattr(machines, "SILENT_SECONDS", 300.0)
    monkeypatch.setattr(machines, "STOP_SECONDS", 1.0)
    second = fan.pid
    assert second is not None
    os.kill(second, signal.SIGSTOP)
    plant.close()
    assert not alive(second)


@pytest.mark.slow
def test_a_listener_that_cannot_be_started_is_tried_again(
    plant: Service, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def refused() -> None:
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    pump = plant.machines["pump"]
    monkeypatch.setattr(machines, "context", refused)
    until(lambda: "unavailable" in pump.live.message)
    monkeypatch.undo()
    write(tmp_path / "pump" / "000.wav", hum(20, hz=280.0, seed=8))
    until(lambda: pump.live.windows > 0)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc").is_dir(), reason="processes are looked for in /proc")
def test_nothing_outlives_a_server_that_is_killed(detector: Path, tmp_path: Path) -> None:
    """Nor does its listener hear Ctrl-C, or import what lies in the folder in which it was started."""
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "torch.py").write_text("raise SystemExit('not this one')")
    sound = write(tmp_path / "fan.wav", hum(100, seed=5))
    (tmp_path / "plant.toml").write_text(
        f"[machines.fan]\ndetector = '{detector}'\nmachine = 'fan'\nsource = '{sound}'\nspeed = 1.0\n"
        "replay = 2026-01-01T07:00:00Z\n"
    )
    command = [Path(sys.executable).with_name("auscult"), "serve", "--config", tmp_path / "plant.toml", "--port", "0"]
    process = subprocess.Popen(map(str, command), stdout=subprocess.PIPE, text=True, cwd=tmp_path / "here")
    assert process.stdout is not None
    address = process.stdout.readline().split()[-1]
    until(lambda: json.load(urllib.request.urlopen(f"{address}api/machines/fan"))["last_window"])
    there = family(process.pid)
    forks = [pid for pid in there if b"forkserver" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    assert len(forks) == 2, "the listener, and what it is a fork of"
    assert all(blocks(pid, signal.SIGINT) for pid in forks)
    process.kill()
    process.wait()
    until(lambda: not any(map(alive, there)), seconds=30)
    with lock(tmp_path / "plant"):
        assert Reader(tmp_path / "plant").machines() is not None


@pytest.mark.slow
def test_a_signal_ends_a_server_that_is_starting(detector: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "auscult", "serve", str(detector), "--port", "0", "--state", str(tmp_path / "s")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    until((tmp_path / "s" / "lock").exists)
    process.terminate()
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 0 and "listening" not in said


def test_a_replay_is_no_faster_than_it_is_told_to_be() -> None:
    from auscult.live.serve.listener import Paced
    from auscult.live.sound import Samples, Start
    from live_fakes import Script

    items = [Start(RATE), Samples(np.zeros(3 * RATE, dtype=np.float32))]
    begun = time.monotonic()
    heard = [*Paced(Script(items), 10.0)]
    assert time.monotonic() - begun >= 0.29
    assert sum(len(item.samples) for item in heard if isinstance(item, Samples)) == 3 * RATE
