"""The page in a real Chromium, from an empty folder: a day of the factory, its alarms heard, seen, judged, undone."""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args

import pytest

from auscult.detector.scoring import Decision
from serve_fakes import small_detector

BROWSER = Path(__file__).parent / "browser"
PAGE = Path(__file__).parents[1] / "src" / "auscult" / "live" / "serve" / "page"
BEGINS = 1767247200.0  # of the replay that `auscult synth --hours` writes: 2026-01-01T06:00:00Z
MACHINE = "valve"


@pytest.fixture(scope="module")
def tools() -> dict[str, str]:
    """The environment in which the browser's scripts run."""
    folder = Path(os.environ.get("AUSCULT_BROWSER_TOOLS", BROWSER))
    chromium = os.environ.get("AUSCULT_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    for name, found in {
        "chromium": chromium,
        "node": shutil.which("node"),
        "playwright-core (AUSCULT_BROWSER_TOOLS)": (folder / "node_modules" / "playwright-core").is_dir(),
        "axe-core (AUSCULT_BROWSER_TOOLS)": (folder / "node_modules" / "axe-core").is_dir(),
    }.items():
        if not found:
            pytest.skip(f"{name} is not installed")
    pytest.importorskip("fastapi", reason="the extra serve is not installed")
    return {**os.environ, "AUSCULT_BROWSER_TOOLS": str(folder.resolve()), "AUSCULT_CHROMIUM": str(chromium)}


@pytest.fixture(scope="module")
def factory(tools: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short day of the factory, and a detector of it: the commands of docs/serve.md."""
    folder = tmp_path_factory.mktemp("plant") / "factory"
    types = ["--machine-type", "fan", "--machine-type", MACHINE]
    auscult("synth", str(folder), "--hours", "1", *types)
    auscult("learn", "normal", "--out", "plant.auscult", "--false-alarms", "1/hour", cwd=folder)
    return folder


@pytest.fixture
def server(factory: Path) -> Iterator[str]:
    """The address of the page, whose replay has just begun."""
    with serving(factory) as address:
        yield address


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """The address of a server of the `plant.toml` in a folder."""
    command = [sys.executable, "-m", "auscult", "serve", "--config", "plant.toml", "--port", "0"]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if match := re.search(r"http://\S+", line):
                yield match.group().rstrip("/")
                break
        else:
            pytest.fail("the server did not say where it listens")
    finally:
        process.terminate()
        process.wait(timeout=60)


def auscult(*arguments: str, cwd: Path | None = None) -> None:
    """Run a command as a user does."""
    command = [sys.executable, "-m", "auscult", *arguments]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=1200)
    assert done.returncode == 0, done.stdout + done.stderr


def asked(url: str) -> Any:
    """What the server answers."""
    with urllib.request.urlopen(url, timeout=30) as answer:
        return json.load(answer)


def heard_until(server: str, moment: float) -> None:
    """Wait until the machine was heard up to a moment of its clock."""
    with urllib.request.urlopen(f"{server}/api/live", timeout=600) as news:
        if asked(f"{server}/api/machines/{MACHINE}")["clock"] >= moment:
            return
        for line in news:
            said = json.loads(line.removeprefix(b"data: ")) if line.startswith(b"data: ") else {}
            if said.get("machine") == MACHINE and said.get("time", 0) >= moment:
                return
    pytest.fail("the server ended its news")


@pytest.mark.slow  # learns a detector of two hours of sound, and replays an hour in a browser
def test_a_morning_at_the_plant(server: str, factory: Path, tools: dict[str, str], tmp_path: Path) -> None:
    """No error in the console, no request elsewhere, nothing serious that axe finds; each fault raised its alarm."""
    script = ["node", str(BROWSER / "story.mjs"), server, MACHINE]
    environment = {**tools, "AUSCULT_BROWSER_PICTURE": str(tmp_path / "story.png")}
    story = subprocess.run(script, env=environment, capture_output=True, text=True, check=False, timeout=3600)
    assert story.returncode == 0, f"{story.stdout}{story.stderr}\nsee {tmp_path / 'story.png'}"

    with (factory / "faults.csv").open(encoding="utf-8") as file:
        faults = [row for row in csv.DictReader(file) if row["machine"] == MACHINE]
    window = asked(f"{server}/api/machines/{MACHINE}")["window_seconds"]
    heard_until(server, BEGINS + max(float(fault["end_seconds"]) for fault in faults) + window)
    alarms = asked(f"{server}/api/incidents?machine={MACHINE}&kind=alarm")["incidents"]
    raised = [alarm["raised"] - BEGINS for alarm in alarms]
    for fault in faults:
        start, end = float(fault["start_seconds"]), float(fault["end_seconds"])
        assert any(start < time <= end + window for time in raised), f"{fault} raised no alarm; raised: {raised}"
    said = asked(f"{server}/api/notes?machine={MACHINE}")["notes"]
    assert {(note["verdict"], note["undone"] is None) for note in said} == {("fault", True), ("normal", False)}


@pytest.mark.slow  # learns a detector, starts a server and a browser
def test_the_way_in(tools: dict[str, str], tmp_path: Path) -> None:
    """The login: nothing serious that axe finds, by day, by night and on a phone; a wrong token, the right one, out."""
    detector = small_detector(tmp_path)
    (tmp_path / "plant.toml").write_text(
        f"[server]\ntoken = true\n[machines.fan]\nmachine = 'fan'\ndetector = '{detector.name}'\n"
    )
    with serving(tmp_path) as address:
        token = (tmp_path / "plant" / "token").read_text().strip()
        script = ["node", str(BROWSER / "login.mjs"), address, token, str(tmp_path)]
        told = subprocess.run(script, env=tools, capture_output=True, text=True, check=False, timeout=3600)
    assert told.returncode == 0, f"{told.stdout}{told.stderr}\nsee {tmp_path}"


def test_the_page_needs_no_build_step_and_no_other_host() -> None:
    """Every file that a module or the index names is there, and no address of another host is in them."""
    named = re.compile(
        r"""(?:from |import\(|src=|href=|src: |href: )["'](?:\./|assets/)([\w./-]+\.(?:js|css|svg))["']"""
    )
    texts = {
        path: path.read_text(encoding="utf-8") for path in PAGE.rglob("*") if path.suffix in {".js", ".css", ".html"}
    }
    missing = [
        (path.name, name) for path, text in texts.items() for name in named.findall(text) if not (PAGE / name).is_file()
    ]
    assert not missing
    own = {path: text for path, text in texts.items() if path.parent == PAGE}
    assert not [path.name for path, text in own.items() if re.search(r"https?://(?!www\.w3\.org/2000/svg)", text)]
    assert not [
        path.name for path, text in own.items() if re.search(r"innerHTML|outerHTML|insertAdjacentHTML|\beval\(", text)
    ]
    assert not [
        path.name
        for path, text in own.items()
        if path.suffix == ".html" and re.search(r"<script>|\sstyle=|\son\w+=", text)
    ]


NEEDS_NODE = pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")


def node(script: str, folder: Path) -> Any:
    """What a script beside the modules of the page prints as JSON, in UTC."""
    shutil.copytree(PAGE, folder / "page")
    shutil.copy(BROWSER / "nowhere.mjs", folder / "page")
    (folder / "page" / "package.json").write_text('{"type": "module"}')
    (folder / "page" / "script.js").write_text(script)
    command, environment = ["node", str(folder / "page" / "script.js")], {**os.environ, "TZ": "UTC"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@NEEDS_NODE
def test_every_decision_has_its_text(tmp_path: Path) -> None:
    found = node('import { T } from "./texts.js";\nconsole.log(JSON.stringify(T.upload.decisions));\n', tmp_path)
    assert found.keys() == {*get_args(Decision)}


@NEEDS_NODE
def test_longer_steps_lose_nothing_that_was_high(tmp_path: Path) -> None:
    """Where there are more steps than pixels, the highest score, the lowest, and the count of windows stay."""
    count = 1000
    scores = {
        "step": 60,
        "time": [60 * k for k in range(count)],
        "low": [-float(k) for k in range(count)],
        "mean": [1.0 if k % 2 else None for k in range(count)],
        "high": [9.0 if k == 501 else 1.0 for k in range(count)],
        "count": [6] * count,
        "scored": [3 if k % 2 else 0 for k in range(count)],
        "above": [int(k == 501) for k in range(count)],
        "thresholds": [],
    }
    script = (
        f'import {{ thinned }} from "./thinned.js";\nconsole.log(JSON.stringify(thinned({json.dumps(scores)}, 300)));'
    )
    found = node(script, tmp_path)
    assert len(found["time"]) <= 300
    assert found["step"] == 240 == found["time"][1] - found["time"][0]
    assert (max(found["high"]), min(found["low"]), set(found["mean"])) == (9.0, -999.0, {1.0})
    assert (sum(found["count"]), sum(found["scored"]), sum(found["above"])) == (6 * count, 3 * count // 2, 1)


ALARM = """
import { find } from "./nowhere.mjs";

const alarm = {
  id: "fan-1", machine: "fan", kind: "alarm", raised: 1, cleared: 2, score: null, words: "", verdict: null, sound: {}
};
"""

ALARMS = """
import { show } from "./alarms.js";

const asked = [], answers = [];
globalThis.fetch = async (path) => {
  if (path === "api/machines") return { ok: true, json: async () => ({ machines: [] }) };
  asked.push(path);
  const incidents = await new Promise((resolve) => answers.push(resolve));
  return { ok: true, json: async () => ({ incidents, next: null, total: incidents.length }) };
};
const incident = (words) => ({ ...alarm, words });
const main = document.createElement("main");
const shown = show(main, { query: new URLSearchParams(), signal: new AbortController().signal });
const settled = () => new Promise((resolve) => setTimeout(resolve, 20));
const choose = (name, value) => {
  const event = new Event("change");
  Object.defineProperty(event, "target", { value: { value } });
  find(main, "id", `filter-${name}`).dispatchEvent(event);
};
await settled();
answers[0]([incident("of the start")]);
await shown;
choose("to", "2026-01-01");
choose("kind", "alarm");
await settled();
answers[2]([incident("chosen last")]);
await settled();
answers[1]([incident("chosen before")]);
await settled();
console.log(JSON.stringify({ asked, text: main.textContent }));
"""


@NEEDS_NODE
def test_the_list_of_alarms_is_of_what_was_chosen_last_up_to_the_end_of_the_day(tmp_path: Path) -> None:
    """However long the server takes for what was chosen before."""
    found = node(ALARM + ALARMS, tmp_path)
    assert "chosen last" in found["text"] and "chosen before" not in found["text"]
    assert found["asked"][2] == "api/incidents?kind=alarm&end=1767312000&limit=50"  # midnight of the next day


SOUNDS = """
import { player } from "./player.js";
import { incidentTable } from "./rows.js";

const { signal } = new AbortController();
const table = incidentTable([alarm], { caption: "", signal });
const other = player("other.wav", { label: "other", gain: false, signal });
const inTheList = () => find(table, "class", "play small").dispatchEvent(new Event("click"));
const playing = [];
for (const play of [inTheList, other.play, inTheList]) {
  await play();
  playing.push(Audio.all.map((one) => !one.paused));
}
console.log(JSON.stringify(playing));
"""


@NEEDS_NODE
def test_one_sound_plays_at_a_time_also_of_a_list(tmp_path: Path) -> None:
    assert node(ALARM + SOUNDS, tmp_path) == [[True, False], [False, True], [True, False]]


UPLOADS = """
import { find } from "./nowhere.mjs";
import { upload } from "./upload.js";

const answers = [], settled = () => new Promise((resolve) => setTimeout(resolve, 20));
globalThis.fetch = async () => {
  const score = await new Promise((resolve) => answers.push(resolve));
  return { ok: true, json: async () => ({ score, threshold: null, decision: "normal", words: "", windows: 1 }) };
};
const panel = upload({ name: "fan" }, { signal: new AbortController().signal });
for (const name of ["first.wav", "second.wav"]) {
  find(panel, "id", "upload").files = [Object.assign(new Blob([]), { name })];
  find(panel, "id", "upload").dispatchEvent(new Event("change"));
}
await settled();
for (const [at, score] of [[1, 2.5], [0, 1.5]]) {
  answers[at](score);
  await settled();
}
console.log(JSON.stringify(panel.textContent));
"""


@NEEDS_NODE
def test_the_score_is_of_the_recording_that_was_sent_in_last(tmp_path: Path) -> None:
    """However long the server takes for the one before."""
    found = node(UPLOADS, tmp_path)
    assert "2.50" in found and "1.50" not in found
