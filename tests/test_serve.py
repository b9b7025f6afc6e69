"""The server: endpoints and who may ask, scores of what is sent in, alarms and notes, thresholds."""

import asyncio
import errno
import io
import json
import os
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from starlette.requests import Request
from starlette.responses import Response
from starlette.testclient import TestClient

from auscult.detector import Detector
from auscult.errors import MonitorError
from auscult.live.events import Event
from auscult.live.history import History, file_hash
from auscult.live.serve import routes_history, routes_machines, routes_page
from auscult.live.serve.kept import Kept
from auscult.live.serve.service import Service
from auscult.live.serve.work import Answer
from serve_fakes import BEGIN, RATE, TOKEN, alarm, hum, served, small_detector

ALARM = "fan-1"
NOTE = {"machine": "fan", "incident": ALARM, "verdict": "normal", "author": "Ines"}

ENDPOINTS: dict[tuple[str, str], tuple[str, Any, int]] = {
    ("GET", "/"): ("/", None, 200),
    ("GET", "/login"): ("/login", None, 200),
    ("POST", "/login"): ("/login", {"token": TOKEN, "name": "Ines"}, 200),
    ("POST", "/logout"): ("/logout", {}, 200),
    ("GET", "/assets/{name:path}"): ("/assets/index.html", None, 200),
    ("GET", "/health"): ("/health", None, 200),
    ("GET", "/metrics"): ("/metrics", None, 200),
    ("GET", "/openapi.json"): ("/openapi.json", None, 200),
    ("GET", "/api/status"): ("/api/status", None, 200),
    ("GET", "/api/live"): ("/api/live?listen=nobody", None, 404),  # one that is followed never ends
    ("GET", "/api/machines"): ("/api/machines", None, 200),
    ("GET", "/api/machines/{name}"): ("/api/machines/fan", None, 200),
    ("GET", "/api/machines/{name}/scores"): ("/api/machines/fan/scores", None, 200),
    ("POST", "/api/machines/{name}/score"): ("/api/machines/fan/score", b"no sound", 415),
    ("POST", "/api/machines/{name}/threshold"): ("/api/machines/fan/threshold", {"note": 1, "threshold": 5.0}, 200),
    ("GET", "/api/incidents"): ("/api/incidents", None, 200),
    ("GET", "/api/incidents/{name}"): (f"/api/incidents/{ALARM}", None, 200),
    ("GET", "/api/incidents/{name}/sound"): (f"/api/incidents/{ALARM}/sound", None, 200),
    ("GET", "/api/incidents/{name}/evidence"): (f"/api/incidents/{ALARM}/evidence", None, 200),
    ("GET", "/api/incidents/{name}/nearest"): (f"/api/incidents/{ALARM}/nearest", None, 200),
    ("GET", "/api/notes"): ("/api/notes", None, 200),
    ("POST", "/api/notes"): ("/api/notes", NOTE, 200),
    ("POST", "/api/notes/{number}/undo"): ("/api/notes/1/undo", {}, 200),
}
"""Every endpoint: an address of it, what is sent, and what it answers who may ask. One that is not here fails."""

OPEN = {("GET", "/login"), ("POST", "/login"), ("GET", "/assets/{name:path}")}
"""The way in, which needs no token."""


@pytest.fixture(scope="module")
def detector(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_detector(tmp_path_factory.mktemp("detector"))


@pytest.fixture(scope="module")
def sound() -> bytes:
    """FLAC of the fan, that whistles."""
    file = io.BytesIO()
    soundfile.write(file, hum(20, hz=1000.0), RATE, format="FLAC", subtype="PCM_24")
    return file.getvalue()


@pytest.fixture(scope="module")
def house(
    detector: Path, sound: bytes, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[TestClient, Service]]:
    """A server with a token, and one alarm."""
    state = tmp_path_factory.mktemp("state")
    with served(detector, state, token=TOKEN, normals=detector.parent / "normal") as (client, service):
        alarm(state, "fan", 1, time=BEGIN + 600, flac=sound)
        service.notes.add("fan", start=BEGIN, end=BEGIN, verdict="remark", author="Ines", now=BEGIN)
        yield client, service


@pytest.fixture
def open_house(detector: Path, sound: bytes, tmp_path: Path) -> Iterator[tuple[TestClient, Service]]:
    """A fresh server without a token, and one alarm."""
    with served(detector, tmp_path / "state", normals=detector.parent / "normal") as (client, service):
        alarm(tmp_path / "state", "fan", 1, time=BEGIN + 600, flac=sound)
        yield client, service


def ask(client: TestClient, method: str, address: str, content: Any, headers: dict[str, str]) -> Any:
    body: dict[str, Any] = (
        {} if content is None else {"content": content} if isinstance(content, bytes) else {"json": content}
    )
    return client.request(method, address, headers=headers, follow_redirects=False, **body)


def wav(waveform: np.ndarray, rate: int = RATE) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, waveform, rate, format="WAV", subtype="PCM_16")
    return file.getvalue()


# Who may ask


def test_the_table_lists_every_endpoint(house: tuple[TestClient, Service]) -> None:
    routers = (routes_page.router, routes_machines.router, routes_history.router)
    there = {(method, route.path) for router in routers for route in router.routes for method in route.methods}
    app = house[0].app._app
    served_at = {(method, route.path) for route in app.routes for method in getattr(route, "methods", ())}
    found = {(method, path) for method, path in there | served_at if method != "HEAD" and hasattr(path, "upper")}
    assert found == set(ENDPOINTS)


@pytest.mark.parametrize("headers", [{}, {"authorization": "Bearer wrong"}, {"cookie": "auscult=bm9ib2R5.00"}])
@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=" ".join)
def test_who_has_no_token_or_a_wrong_one_is_refused(
    house: tuple[TestClient, Service], endpoint: tuple[str, str], headers: dict[str, str]
) -> None:
    client, _ = house
    address, content, _ = ENDPOINTS[endpoint]
    client.cookies.clear()
    client.app._access._wrong.clear()  # the patience of this test
    answer = ask(client, endpoint[0], address, content, headers)
    if endpoint in OPEN:
        assert answer.status_code == 200
    elif endpoint == ("GET", "/"):
        assert answer.status_code == 303 and answer.headers["location"] == "/login"
    else:
        assert answer.status_code == 401
        assert "Bearer TOKEN" in answer.json()["error"]


@pytest.mark.parametrize(
    "headers", [{"origin": "http://evil.example"}, {"origin": "null"}, {"sec-fetch-site": "cross-site"}]
)
@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=" ".join)
def test_who_comes_from_another_origin_is_refused(
    house: tuple[TestClient, Service], endpoint: tuple[str, str], headers: dict[str, str]
) -> None:
    address, content, _ = ENDPOINTS[endpoint]
    answer = ask(house[0], endpoint[0], address, content, {**headers, "authorization": f"Bearer {TOKEN}"})
    assert answer.status_code == 403
    assert "another site" in answer.json()["error"]


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=" ".join)
def test_who_has_the_token_is_answered_with_the_headers_of_safety(
    house: tuple[TestClient, Service], endpoint: tuple[str, str]
) -> None:
    address, content, status = ENDPOINTS[endpoint]
    answer = ask(house[0], endpoint[0], address, content, {"authorization": f"Bearer {TOKEN}"})
    assert answer.status_code == status, answer.text
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_login_opens_a_session_that_no_script_can_read_and_names_who_speaks(
    house: tuple[TestClient, Service],
) -> None:
    client, _ = house
    client.cookies.clear()
    answer = client.post("/login", json={"token": TOKEN, "name": "Ines"})
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie and "samesite=strict" in cookie and "secure" not in cookie
    assert client.get("/api/status").json()["access"] == {"token": True, "name": "Ines"}
    said = client.post("/api/notes", json={**NOTE, "author": "somebody else"}).json()["note"]
    assert said["author"] == "Ines"
    client.cookies.clear()
    assert client.get("/api/status").status_code == 401


def test_a_session_that_was_changed_or_is_over_is_none(house: tuple[TestClient, Service]) -> None:
    client, _ = house
    client.cookies.clear()
    access = client.app._access
    value = access.cookie("Ines")
    said, _, signature = value.partition(".")
    for other in (f"{said}x.{signature}", f"{said}.{signature[::-1]}", f".{signature}", said, "é"):
        assert access.refusal("GET", "/api/status", {"cookie": f"auscult={other}"}, "x") is not None
    assert access.refusal("GET", "/api/status", {"cookie": f"auscult={value}"}, "x") is None
    access.clock, real = lambda: real() + 31 * 86400, access.clock
    try:
        assert access.refusal("GET", "/api/status", {"cookie": f"auscult={value}"}, "x") is not None
    finally:
        access.clock = real


def test_who_guesses_tokens_is_told_to_wait(house: tuple[TestClient, Service]) -> None:
    client, _ = house
    client.cookies.clear()
    client.app._access._wrong.clear()  # of other tests, in whatever order they come
    answers = [client.post("/login", json={"token": "guess"}).status_code for _ in range(11)]
    client.app._access._wrong.clear()
    assert answers == [401] * 10 + [429]


def test_without_a_token_only_names_of_this_computer_are_answered(open_house: tuple[TestClient, Service]) -> None:
    client, _ = open_house
    assert client.get("/api/status").status_code == 200
    assert client.get("/api/status", headers={"host": "localhost:8077"}).status_code == 200
    assert client.get("/api/status", headers={"host": "rebound.example"}).status_code == 421


@pytest.mark.parametrize("name", ["../settings.py", "..%2fsettings.py", "/etc/passwd", "%2e%2e/app.py", "nothing.js"])
def test_no_path_reaches_the_disk(house: tuple[TestClient, Service], name: str) -> None:
    answer = house[0].get(f"/assets/{name}", headers={"authorization": f"Bearer {TOKEN}"})
    assert answer.status_code in (401, 404)


# What is sent in


def test_what_is_sent_in_has_the_score_of_offline(
    open_house: tuple[TestClient, Service], detector: Path, tmp_path: Path
) -> None:
    client, _ = open_house
    content = wav(hum(10, hz=1000.0))
    (tmp_path / "x.wav").write_bytes(content)
    expected = Detector.load(detector).score(tmp_path / "x.wav", machine_id="fan")
    answer = client.post("/api/machines/fan/score", content=content, headers={"content-type": "audio/wav"}).json()
    assert answer["score"] == expected.score
    assert answer["decision"] == expected.decision == "anomalous"
    assert "spectrogram" not in answer
    shown = client.post("/api/machines/fan/score?evidence=true", content=content).json()
    assert shown["score"] == expected.score
    assert shown["spectrogram"]["frames"] > 100 and shown["map"]["unit"] == "deviation"


@pytest.mark.parametrize(
    ("content", "media", "status", "reason"),
    [
        (b"", "audio/wav", 415, "begins with"),
        (b"PK\x03\x04" + bytes(2000), "audio/wav", 415, "wav, flac or ogg"),
        (b"RIFF" + bytes(2000), "audio/wav", 422, "recording"),
        (wav(hum(4))[:-900], "audio/wav", 422, "truncated"),
        (wav(hum(4), rate=8000), "text/html", 415, "content type"),
        (wav(np.zeros(0, dtype=np.float32)), "audio/wav", 422, "no samples"),
        (wav(hum(11)), "audio/wav", 422, "at most 10 s"),
        (wav(np.resize(hum(4), 200_000), rate=96_000), "audio/wav", 413, "bytes"),
    ],
)
def test_what_cannot_be_scored_is_refused_with_a_reason(
    detector: Path, tmp_path: Path, content: bytes, media: str, status: int, reason: str
) -> None:
    limits = {"upload_sound_seconds": 10.0, "upload_megabytes": 0.355}
    with served(detector, tmp_path, server=limits) as (client, _):
        answer = client.post("/api/machines/fan/score", content=content, headers={"content-type": media})
        assert answer.status_code == status, answer.text
        assert reason in answer.json()["error"]
        assert str(tmp_path) not in answer.text and "/tmp" not in answer.text


def test_a_worker_that_dies_takes_nothing_with_it(open_house: tuple[TestClient, Service]) -> None:
    client, service = open_house
    answer = service.desk.give(_die).result(timeout=60)
    assert "broke the process" in answer.error
    assert client.post("/api/machines/fan/score", content=wav(hum(4))).status_code == 200


def _die() -> None:
    os._exit(9)


def test_a_full_disk_is_said(open_house: tuple[TestClient, Service], monkeypatch: pytest.MonkeyPatch) -> None:
    client, service = open_house

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("pathlib.Path.open", full)
    answer = client.post("/api/machines/fan/score", content=wav(hum(4)))
    assert answer.status_code == 503 and "No space left" in answer.json()["error"]
    monkeypatch.setattr(service, "free_bytes", lambda: 10**6)
    assert "free some space" in client.get("/api/status").json()["storage"]["problem"]
    assert client.get("/health").status_code == 503
    assert "auscult_history_problem 1.0" in client.get("/metrics").text


def test_too_many_uploads_in_a_minute_are_told_to_wait(detector: Path, tmp_path: Path) -> None:
    with served(detector, tmp_path, server={"uploads_per_minute": 3}) as (client, _):
        answers = [client.post("/api/machines/fan/score", content=b"x") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [415, 415, 415, 429]
    assert answers[-1].headers["retry-after"]


# Alarms and what people say


def test_an_alarm_is_listed_played_and_shown(
    open_house: tuple[TestClient, Service], detector: Path, sound: bytes
) -> None:
    client, _ = open_house
    (found,) = client.get("/api/incidents?kind=alarm&machine=fan&state=over").json()["incidents"]
    assert (found["id"], found["words"], found["verdict"]) == (ALARM, "a tone at 1.0 kHz", None)
    assert client.get(f"/api/incidents/{ALARM}/sound").content == sound
    part = client.get(f"/api/incidents/{ALARM}/sound", headers={"range": "bytes=4-9"})
    assert (part.status_code, part.content, part.headers["content-range"]) == (
        206,
        sound[4:10],
        f"bytes 4-9/{len(sound)}",
    )
    assert client.get(f"/api/incidents/{ALARM}/sound", headers={"range": "bytes=-3"}).content == sound[-3:]
    assert client.get(f"/api/incidents/{ALARM}/sound", headers={"range": f"bytes={len(sound)}-"}).status_code == 416
    evidence = client.get(f"/api/incidents/{ALARM}/evidence").json()
    assert evidence["decision"] == "anomalous" and evidence["spectrogram"]["bands"] == 64
    assert any("1.0 kHz" in one["sentence"] for one in evidence["differences"])
    assert evidence["nearest"] == {"file": "fan/000.wav"}
    normal, rate = soundfile.read(io.BytesIO(client.get(f"/api/incidents/{ALARM}/nearest").content))
    assert (rate, len(normal)) == (RATE, round(Detector.load(detector).window_seconds * RATE))


def test_evidence_that_two_ask_for_at_once_is_made_once(
    open_house: tuple[TestClient, Service], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, service = open_house
    asked, ask = list[object](), service.desk.ask

    async def counted(*task: Any) -> Answer:
        asked.append(task)
        return await ask(*task)

    async def both() -> tuple[dict[str, Any], Response]:
        request = Request({"type": "http", "headers": []})
        shown, played = routes_history.evidence(service, ALARM), routes_history.nearest(service, request, ALARM)
        return await asyncio.gather(shown, played)

    monkeypatch.setattr(service.desk, "ask", counted)
    shown, played = asyncio.run(both())
    assert (shown["nearest"], played.status_code, len(asked)) == ({"file": "fan/000.wav"}, 200, 1)


def test_evidence_that_could_not_be_made_is_made_when_it_is_asked_for_again() -> None:
    tries = list[int]()

    async def make() -> dict[str, Any]:
        tries.append(1)
        if len(tries) == 1:
            raise MonitorError("no worker is free")
        return {"tries": len(tries)}

    async def three() -> list[dict[str, Any]]:
        kept = Kept()
        with pytest.raises(MonitorError, match="no worker"):
            await kept.get(ALARM, make)
        return [await kept.get(ALARM, make) for _ in range(2)]

    assert asyncio.run(three()) == [{"tries": 2}] * 2


def test_an_alarm_that_lasts_over_a_restart_is_told_since_it_was_raised(
    open_house: tuple[TestClient, Service], tmp_path: Path
) -> None:
    client, service = open_house
    details = {"score": 9.0, "threshold": 3.0}
    with closing(History(tmp_path / "state", machine="fan", locked=False)) as history:
        history.record([Event("alarm", "fan-9", "raised", BEGIN + 900, 900.0, "fan", details)])
    for state in ("ALARM", "normal"):
        service.machines["fan"]._take({"type": "start", "threshold": 3.0, "warning": None, "state": state})
        found = client.get("/api/machines/fan").json()
        assert (found["since"] == BEGIN + 900) == (found["state"] == "alarm")


def test_what_is_not_there_is_said(open_house: tuple[TestClient, Service]) -> None:
    client, _ = open_house
    assert client.get("/api/incidents/none").status_code == 404
    assert client.get("/api/machines/fann").json()["error"].count("did you mean 'fan'") == 1
    assert client.get("/api/incidents?kind=alrm").status_code == 422
    assert client.get("/api/incidents?cursor=nonsense").status_code == 422
    assert client.get("/api/machines/fan/scores?start=5&end=4").status_code == 422
    assert client.post("/api/notes", json={"machine": "fan", "verdict": "odd"}).status_code == 422
    assert client.post("/api/notes", json={"machine": "fan", "verdict": "fault"}).status_code == 422
    assert client.post("/api/notes", json={**NOTE, "machine": "pump"}).status_code == 422
    assert client.post("/api/notes/77/undo", json={}).status_code == 422
    assert client.get("/api/nothing").json()["error"] == "Not Found"
    large = client.post("/api/notes", json={**NOTE, "text": "x" * 70_000})
    assert large.status_code == 413 and "bytes" in large.json()["error"]


def test_normal_proposes_a_threshold_and_undoing_takes_it_back(open_house: tuple[TestClient, Service]) -> None:
    client, service = open_house
    before = service.machines["fan"].live.threshold
    said = client.post("/api/notes", json=NOTE).json()
    proposal = said["proposal"]
    assert proposal["before"] == before and proposal["after"] >= 8.0 and "normal sound" in proposal["reason"]
    decision = {"note": said["note"]["number"], "threshold": proposal["after"], "author": "Ines"}
    assert client.post("/api/machines/fan/threshold", json=decision).json() == {
        "before": before,
        "after": proposal["after"],
    }
    assert service.machines["fan"].live.threshold == service.thresholds.decided("fan") == proposal["after"]
    assert client.get(f"/api/incidents/{ALARM}").json()["verdict"] == "normal"
    undone = client.post(f"/api/notes/{said['note']['number']}/undo", json={"author": "Ines"}).json()
    assert undone["threshold"] == {"before": proposal["after"], "after": before}
    assert service.machines["fan"].live.threshold == before and service.thresholds.decided("fan") is None
    assert client.get(f"/api/incidents/{ALARM}").json()["verdict"] is None


def test_a_threshold_that_was_decided_outlives_the_server_but_not_the_detector(
    detector: Path, sound: bytes, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    with served(detector, state) as (client, service):
        alarm(state, "fan", 1, time=BEGIN + 600, flac=sound)
        number = client.post("/api/notes", json=NOTE).json()["note"]["number"]
        client.post("/api/machines/fan/threshold", json={"note": number, "threshold": 7.5})
        assert service.thresholds.decided("fan") == 7.5
    for other in (False, True):
        history = History(state, machine="fan", locked=False)
        history.record([], checkpoint={"machine_id": "fan", "detector": "another" if other else file_hash(detector)})
        history.close()
        with served(detector, state) as (_, service):
            assert service.thresholds.decided("fan") == (None if other else 7.5)


def test_faults_are_counted_with_those_that_were_heard(open_house: tuple[TestClient, Service]) -> None:
    client, _ = open_house
    client.post("/api/notes", json={**NOTE, "verdict": "fault"})
    missed = {"machine": "fan", "start": BEGIN, "end": BEGIN + 30, "verdict": "fault", "text": "it rattled"}
    number = client.post("/api/notes", json=missed).json()["note"]["number"]
    assert client.get("/api/machines/fan").json()["faults"] == {"confirmed": 2, "heard": 1}
    client.post(f"/api/notes/{number}/undo", json={})
    assert client.get("/api/machines/fan").json()["faults"] == {"confirmed": 1, "heard": 1}


def test_every_answer_in_the_interface_has_an_example(open_house: tuple[TestClient, Service]) -> None:
    described = open_house[0].get("/openapi.json").json()["paths"]
    lacking = [
        f"{method} {path}"
        for path, methods in described.items()
        for method, one in methods.items()
        if path not in ("/login", "/logout")
        and not all("example" in media for media in one["responses"]["200"]["content"].values())
    ]
    assert not lacking
    assert json.dumps(described)


def test_files_of_the_page_are_sent_packed_and_once(house: tuple[TestClient, Service]) -> None:
    client, _ = house
    first = client.get("/assets/main.js", headers={"accept-encoding": "gzip"})
    assert first.headers["content-encoding"] == "gzip" and int(first.headers["content-length"]) < len(first.content)
    assert client.get("/assets/main.js", headers={"accept-encoding": "identity"}).content == first.content
    again = client.get("/assets/main.js", headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_what_a_killed_server_was_being_sent_is_gone_at_the_next_start(detector: Path, tmp_path: Path) -> None:
    left = tmp_path / "state" / ".uploads" / "7.sound"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"half a recording")
    with served(detector, tmp_path / "state") as (client, _):
        assert not left.exists()
        assert client.post("/api/machines/fan/score", content=wav(hum(4))).status_code == 200
        assert not [*left.parent.iterdir()]


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="the system does not list open files")
def test_a_server_that_has_ended_holds_no_file_of_its_history(detector: Path, tmp_path: Path) -> None:
    with served(detector, tmp_path / "state") as (client, service):
        client.get("/api/machines")
        service.notes.add("fan", start=BEGIN, end=BEGIN, verdict="remark", author="Ines", now=BEGIN)
    held = [one.readlink() for one in Path("/proc/self/fd").iterdir() if one.is_symlink()]
    assert not [path for path in held if path.is_relative_to(tmp_path)]


def test_folders_of_the_user_stay_as_they_are(detector: Path, tmp_path: Path) -> None:
    own = [tmp_path / "uploads" / "mine.wav", tmp_path / "detectors" / "mine.auscult"]
    for file in own:
        file.parent.mkdir()
        file.write_bytes(b"mine")
    with served(detector, tmp_path):
        pass
    assert all(file.read_bytes() == b"mine" for file in own)


def test_a_detector_that_is_replaced_waits_for_the_next_start_and_the_page_says_so(
    detector: Path, tmp_path: Path
) -> None:
    content, own = detector.read_bytes(), tmp_path / "own.auscult"
    own.write_bytes(content)
    with served(own, tmp_path / "state") as (client, _):

        def since() -> str:
            return client.get("/api/machines/fan").json()["detector_file"]

        before = client.post("/api/machines/fan/score", content=wav(hum(4))).json()["score"]
        assert (since(), client.get("/api/machines/fan").json()["detector"]) == ("same", "own.auscult")
        own.write_bytes(b"another one")
        assert since() == "changed"
        assert client.post("/api/machines/fan/score", content=wav(hum(4))).json()["score"] == before
        own.unlink()
        assert since() == "gone"
        own.write_bytes(content)
        assert since() == "same"


def test_answers_are_not_kept_by_browsers_but_files_of_the_page_are(house: tuple[TestClient, Service]) -> None:
    client, _ = house
    known = {"authorization": f"Bearer {TOKEN}"}
    for address in ("/api/machines", "/api/status", "/api/notes", f"/api/incidents/{ALARM}/evidence", "/health"):
        assert client.get(address, headers=known).headers["cache-control"] == "no-store"
    assert client.get("/assets/main.js").headers["cache-control"] == "no-cache"


def test_more_recordings_at_once_than_may_be_are_told_to_come_again(open_house: tuple[TestClient, Service]) -> None:
    client, service = open_house
    with ExitStack() as stack:
        for _ in range(48):
            stack.enter_context(service.upload())
        answer = client.post("/api/machines/fan/score", content=wav(hum(4)))
        assert answer.status_code == 503 and "try again" in answer.json()["error"]
    assert client.post("/api/machines/fan/score", content=wav(hum(4))).status_code == 200


def test_a_note_that_cannot_be_undone_can_be_tried_again(
    open_house: tuple[TestClient, Service], monkeypatch: pytest.MonkeyPatch
) -> None:
    client, service = open_house
    before = service.machines["fan"].live.threshold
    number = client.post("/api/notes", json=NOTE).json()["note"]["number"]
    client.post("/api/machines/fan/threshold", json={"note": number, "threshold": 7.0})
    with monkeypatch.context() as patch:
        patch.setattr(service.thresholds, "change", _refuse)
        assert client.post(f"/api/notes/{number}/undo", json={}).status_code == 422
    assert client.post(f"/api/notes/{number}/undo", json={}).json()["threshold"] == {"before": 7.0, "after": before}


def _refuse(*_: object, **__: object) -> None:
    raise MonitorError("the history cannot be written; free some space")
