"""The files in deploy: they parse, name what exists, start what they say, and show the metrics that there are."""

import json
import os
import re
import shlex
import shutil
import sqlite3
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx2
import pytest
import yaml

from auscult.live.events import Event
from auscult.live.history import NAME, History, Retention, read_events
from auscult.live.mqtt import MqttAddress
from brokers import Broker, Listener, wait_for
from serve_fakes import small_detector
from test_readme import table, toml

PROJECT = Path(__file__).parents[1]
DEPLOY = PROJECT / "deploy"
MADE_BY_USERS = {"./detectors", "./recordings", "./passwords", "./token"}
"""What compose mounts besides the files of the folder; docs/serve.md says how they are made."""


def instructions() -> list[tuple[str, str]]:
    """Of the container file: words and what stands behind them."""
    text = re.sub(r"\\\n", " ", (DEPLOY / "Containerfile").read_text(encoding="utf-8"))
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in lines)]


def last(word: str) -> str:
    return next(rest for name, rest in reversed(instructions()) if name == word)


def compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
    return found


def unit() -> dict[str, list[str]]:
    """Keys of the systemd unit and their values."""
    found: dict[str, list[str]] = {}
    for line in (DEPLOY / "auscult.service").read_text(encoding="utf-8").splitlines():
        key, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found.setdefault(key, []).append(value)
    return found


@pytest.mark.parametrize("path", sorted(DEPLOY.iterdir()), ids=lambda path: path.name)
def test_every_file_can_be_read(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    read = {".toml": tomllib.loads, ".json": json.loads, ".yaml": yaml.safe_load, ".yml": yaml.safe_load}
    assert read.get(path.suffix, str)(text)


def test_deploy_is_part_of_the_source_distribution() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))
    assert "deploy" in project["tool"]["hatch"]["build"]["targets"]["sdist"]["include"]


@pytest.mark.parametrize("line", ["container", "unit"])
def test_the_command_takes_these_options(line: str) -> None:
    from auscult.cli import app

    start = shlex.split(unit()["ExecStart"][0])[1:] if line == "unit" else json.loads(last("CMD"))
    assert start[0] == "serve"
    app.parse_args(start, print_error=False, exit_on_error=False)


def test_the_example_of_a_plant_is_one() -> None:
    from auscult.live.serve.settings import Plant

    plant = Plant.load(DEPLOY / "plant.toml")
    assert plant.outputs.home_assistant and plant.outputs.mqtt is not None
    assert MqttAddress.parse(plant.outputs.mqtt).host in compose()["services"]
    assert {one.detector.parent for one in plant.machines.values()} == {DEPLOY / "detectors"}


def test_the_container_holds_what_it_starts_and_no_root() -> None:
    for word, rest in instructions():
        for source in rest.split()[:-1] if word == "COPY" and not rest.startswith("--from") else ():
            assert (PROJECT / source).exists(), source
    user = last("USER")
    assert user != "root" and f"--uid 10001 --home-dir /state --shell /usr/sbin/nologin {user}" in last("RUN")
    command = json.loads(last("CMD"))
    assert command[command.index("--state") + 1] == last("VOLUME")
    assert command[command.index("--port") + 1] == last("EXPOSE")
    assert json.loads(last("ENTRYPOINT")) == ["auscult"]


class Health(HTTPServer):
    """Answers with a status, and remembers what it was asked."""

    def __init__(self, status: int) -> None:
        self.status, self.asked = status, list[tuple[str, str | None]]()
        super().__init__(("127.0.0.1", 0), _Nurse)
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()


class _Nurse(BaseHTTPRequestHandler):
    server: Health

    def do_GET(self) -> None:
        self.server.asked.append((self.path, self.headers["Authorization"]))
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture(params=[200, 503])
def health(request: pytest.FixtureRequest) -> Iterator[Health]:
    server = Health(request.param)
    yield server
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("token", ["a-token-of-the-plant", None])
def test_the_health_check_asks_with_the_token_that_there_is(health: Health, token: str | None, tmp_path: Path) -> None:
    if token is not None:
        (tmp_path / "token").write_text(f"{token}\n")
    python, option, code = json.loads(last("HEALTHCHECK").partition("CMD ")[2])
    assert (python, option) == ("python", "-c")
    assert "/state/token" in code and f":{last('EXPOSE')}/" in code
    code = code.replace("/state/token", str(tmp_path / "token")).replace(
        "127.0.0.1:8077", f"127.0.0.1:{health.server_port}"
    )
    environment = {"http_proxy": "http://127.0.0.1:9", "PATH": "/usr/bin"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=False, timeout=30)
    assert (done.returncode == 0) == (health.status == 200)
    assert health.asked == [("/health", None if token is None else f"Bearer {token}")]


@pytest.mark.slow
def test_behind_a_proxy_on_the_same_computer_the_token_is_asked_for(tmp_path: Path) -> None:
    detector = small_detector(tmp_path)
    (tmp_path / "plant.toml").write_text(
        '[server]\ntoken = true\nport = 0\n[machines.fan]\nmachine = "fan"\n'
        f'detector = "{detector.name}"\nsource = "http://me:geheim@127.0.0.1:9/x?token=verdeckt"\n'
    )
    command = [sys.executable, "-m", "auscult", "serve", "--config", tmp_path / "plant.toml"]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)
    try:
        assert running.stdout is not None
        address = running.stdout.readline().decode().split()[-1]
        token = (tmp_path / "plant" / "token").read_text().strip()
        assert not (tmp_path / "plant").stat().st_mode & 0o077
        with httpx2.Client(base_url=address, trust_env=False, timeout=30) as browser:
            browser.headers.update({"Host": "plant.example.org", "X-Forwarded-Proto": "https"})
            assert browser.get("/api/machines").status_code == 401
            cookie = browser.post("/login", json={"token": token}).headers["set-cookie"]
            assert {"Secure", "HttpOnly", "SameSite=strict"} <= set(cookie.split("; "))
            text = browser.get("/api/machines", headers={"Authorization": f"Bearer {token}"}).text
        assert "127.0.0.1:9/x?" in text and "geheim" not in text and "verdeckt" not in text
    finally:
        running.terminate()
        running.communicate(timeout=30)


def test_compose_mounts_what_is_there_and_opens_only_what_it_must() -> None:
    services, volumes = compose()["services"], compose()["volumes"]
    for name, service in services.items():
        for mount in service.get("volumes", ()):
            source = mount.partition(":")[0]
            assert source in volumes or source in MADE_BY_USERS or (DEPLOY / source).is_file(), (name, mount)
        for port in service.get("ports", ()):
            assert port.startswith("127.0.0.1:") or name == "mosquitto"  # which asks for passwords
    own = services["auscult"]
    assert (DEPLOY / own["build"]["context"]).resolve() == PROJECT
    assert (PROJECT / own["build"]["dockerfile"]).is_file()
    assert own["ports"] == [f"127.0.0.1:{last('EXPOSE')}:{last('EXPOSE')}"]
    assert own["read_only"] and own["cap_drop"] == ["ALL"] and "state:/state" in own["volumes"]
    assert [service.get("profiles") for service in services.values()] == [None, None, ["metrics"], ["metrics"]]


def test_a_copy_that_is_taken_while_it_is_written_is_a_history(tmp_path: Path) -> None:
    """The command of docs/serve.md."""
    page = (PROJECT / "docs" / "serve.md").read_text(encoding="utf-8")
    (statement,) = set(re.findall(r"VACUUM INTO 'backup\.sqlite'", page))
    raised = Event("alarm", "pump-1", "raised", 1.7e9, 12.5, "pump", {"score": 1.25, "threshold": 1.0})
    history = History(tmp_path / "plant", machine="pump")
    history.record([raised], checkpoint={"a": 1})
    copy = tmp_path / "again" / NAME
    copy.parent.mkdir()
    with closing(sqlite3.connect(tmp_path / "plant" / NAME)) as database:
        database.execute(statement.replace("backup.sqlite", str(copy)))
    history.close()
    again = History(tmp_path / "again", machine="pump")
    assert (again.checkpoint(), again.record([raised])) == ({"a": 1}, [])
    again.close()
    assert read_events(tmp_path / "again") == [raised.to_json()]


def test_prometheus_asks_the_server_with_the_token_that_is_mounted() -> None:
    (job,) = yaml.safe_load((DEPLOY / "prometheus.yml").read_text(encoding="utf-8"))["scrape_configs"]
    host, _, port = job["static_configs"][0]["targets"][0].partition(":")
    assert host in compose()["services"] and port == last("EXPOSE")
    mounts = compose()["services"]["prometheus"]["volumes"]
    assert f"./token:{job['authorization']['credentials_file']}:ro" in mounts


def test_the_broker_lets_nobody_in_without_a_password(broker: Broker, tmp_path: Path) -> None:
    """The real Mosquitto, with the file of deploy and other paths."""
    made = subprocess.run(["mosquitto_passwd", "-b", "-c", tmp_path / "passwords", "plant", "geheim"], check=False)
    assert made.returncode == 0
    text = (DEPLOY / "mosquitto.conf").read_text(encoding="utf-8")
    for before, after in (
        ("listener 1883", f"listener {broker.port} 127.0.0.1\nuser root"),
        ("/mosquitto/config/passwords", str(tmp_path / "passwords")),
        ("/mosquitto/data/", f"{broker.folder}/"),
    ):
        assert before in text
        text = text.replace(before, after)
    broker.settings = text
    broker.start()
    stranger, known = Listener(broker, name="stranger"), Listener(broker, name="known")
    known.client.username_pw_set("plant", "geheim")
    known.client.reconnect()
    wait_for(known.client.is_connected)
    assert not stranger.client.is_connected()
    stranger.close()
    known.close()


def test_the_user_of_the_unit_is_made_and_nobody_else_reads_the_plant() -> None:
    page = (PROJECT / "docs" / "serve.md").read_text(encoding="utf-8")
    (user,) = unit()["User"]
    assert re.search(rf"^useradd --system .* {user}$", page, re.MULTILINE)
    (line,) = re.findall(r"^install .*plant\.toml.*$", page, re.MULTILINE)
    assert {"-g", user, "-m", "640", "/etc/auscult/"} <= set(line.split())
    assert f"{Path(unit()['ExecStart'][0].split()[3]).parent}/" == line.split()[-1]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze is installed")
def test_systemd_takes_the_unit_and_finds_it_safe(tmp_path: Path) -> None:
    text = (DEPLOY / "auscult.service").read_text(encoding="utf-8")
    path = tmp_path / "auscult.service"
    path.write_text(text.replace("/opt/auscult/bin/auscult", sys.executable))
    verified = subprocess.run(["systemd-analyze", "verify", path], capture_output=True, text=True, check=False)
    assert (verified.returncode, verified.stderr) == (0, "")
    judged = ["systemd-analyze", "security", "--offline=true", "--threshold=40", path]
    assert subprocess.run(judged, capture_output=True, check=False).returncode == 0


def test_every_key_of_a_plant_is_listed_with_its_default() -> None:
    from auscult.live.serve.settings import MachineTable, OutputsTable, Plant, ServerTable

    headings = {
        "At the top:\n": Plant,
        "### `[server]`": ServerTable,
        "### `[retention]`": Retention,
        "### `[machines.NAME]`": MachineTable,
        "### `[outputs]`": OutputsTable,
    }
    for heading, kind in headings.items():
        listed = {key.strip("`"): default for key, default, *_ in table("docs/serve.md", heading)}
        assert list(listed) == list(kind.model_fields), heading
        for name, field in kind.model_fields.items():
            default = field.get_default(call_default_factory=True)
            if field.is_required():
                assert listed[name] == "required"
            elif not isinstance(default, (OutputsTable, Retention, ServerTable)):
                assert listed[name] == toml(str(default) if isinstance(default, Path) else default), name


def test_every_metric_is_listed() -> None:
    listed = {row[0].strip("`"): row[-1] for row in table("docs/serve.md", "## Metrics")}
    assert set(listed) == {
        f"{name}_total" if kind == "counter" and not name.endswith("_total") else name
        for name, kind in exposed().items()
    }


def dashboard() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((DEPLOY / "grafana.json").read_text(encoding="utf-8"))
    return found


def queries() -> list[str]:
    """Every expression of the dashboard."""
    return [target["expr"] for panel in dashboard()["panels"] for target in panel["targets"]]


def exposed() -> dict[str, str]:
    """Name -> type of every metric of the server."""
    from auscult.live.serve.metrics import Metrics

    live = SimpleNamespace(
        score=1.0, threshold=2.0, warning=1.5, last_window=0.0, heard_seconds=9.0, state="normal", restarts=0
    )
    machines: Any = {"pump": SimpleNamespace(name="pump", live=live)}
    text = Metrics(machines, lambda: (1, 1, None)).text().decode()
    types = dict(line.split()[2:] for line in text.splitlines() if line.startswith("# TYPE"))
    return {name: kind for name, kind in types.items() if not name.endswith("_created")}


def series(name: str, kind: str) -> set[str]:
    return {f"{name}_bucket", f"{name}_sum", f"{name}_count"} if kind == "histogram" else {name}


def test_the_dashboard_shows_the_metrics_that_there_are() -> None:
    known = set().union(*(series(name, kind) for name, kind in exposed().items()))
    variables = [variable.get("definition", "") for variable in dashboard()["templating"]["list"]]
    shown = set(re.findall(r"auscult_\w+", " ".join([*queries(), *variables])))
    assert shown <= known
    assert {name for name, kind in exposed().items() if not series(name, kind) & shown} == {"auscult_heard_seconds"}


def test_the_dashboard_knows_every_state() -> None:
    from auscult.live.serve.metrics import STATES

    (panel,) = [panel for panel in dashboard()["panels"] if panel["type"] == "state-timeline"]
    codes = dict(re.findall(r'state="(\w+)"} \* (\d+)', panel["targets"][0]["expr"]))
    assert set(codes) == set(STATES)
    (mapping,) = panel["fieldConfig"]["defaults"]["mappings"]
    assert set(mapping["options"]) == set(codes.values())


def test_the_dashboard_works_with_any_source_and_its_panels_do_not_overlap() -> None:
    page = dashboard()
    assert page["schemaVersion"] >= 39 and [v["type"] for v in page["templating"]["list"]] == ["datasource", "query"]
    source = {"type": "prometheus", "uid": "${datasource}"}
    places = set[tuple[int, int]]()
    for panel in page["panels"]:
        assert panel["datasource"] == source and all(target["datasource"] == source for target in panel["targets"])
        grid = panel["gridPos"]
        cells = {
            (x, y) for x in range(grid["x"], grid["x"] + grid["w"]) for y in range(grid["y"], grid["y"] + grid["h"])
        }
        assert grid["x"] + grid["w"] <= 24 and not cells & places
        places |= cells
    assert len({panel["id"] for panel in page["panels"]}) == len(page["panels"])
    (provider,) = yaml.safe_load((DEPLOY / "grafana-dashboards.yml").read_text(encoding="utf-8"))["providers"]
    mounts = compose()["services"]["grafana"]["volumes"]
    assert f"./grafana.json:{provider['options']['path']}/auscult.json:ro" in mounts


@pytest.mark.skipif(shutil.which("promtool") is None, reason="no promtool is installed (apt install prometheus)")
def test_prometheus_takes_its_file_and_the_queries(tmp_path: Path) -> None:
    rules = [{"record": f"query:{place}", "expr": query} for place, query in enumerate(queries())]
    (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]}))
    text = (DEPLOY / "prometheus.yml").read_text(encoding="utf-8")
    (tmp_path / "token").write_text("x")
    (tmp_path / "prometheus.yml").write_text(text.replace("/etc/prometheus/token", str(tmp_path / "token")))
    for arguments in (["config", "prometheus.yml"], ["rules", "rules.yml"]):
        done = subprocess.run(["promtool", "check", *arguments], cwd=tmp_path, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
