"""Endpoints of what was heard: alarms, their sound and evidence, and what people said of them."""

import re
import time
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.responses import Response

from auscult.errors import MonitorError
from auscult.live.history import Incident
from auscult.live.serve.examples import INCIDENT, NOTE, PROPOSAL, SCORE, answers
from auscult.live.serve.routes_machines import FURTHEST, LAST_NOTE
from auscult.live.serve.routes_page import Served, author_of
from auscult.live.serve.service import AbsentError, Service
from auscult.live.serve.work import show_evidence

router = APIRouter(prefix="/api", tags=["history"])

KINDS = ("alarm", "warning", "trouble")
Verdict = Literal["normal", "fault", "remark"]
Limit = Annotated[int, Query(ge=1, le=500)]
Cursor = Annotated[str | None, Query(max_length=100)]
Number = Annotated[int, Path(ge=1, le=LAST_NOTE)]
Name = Annotated[str | None, Query(max_length=64)]


class Saying(BaseModel):
    """What somebody says of an alarm, or of any span of time."""

    machine: str = Field(max_length=64)
    incident: str | None = Field(default=None, max_length=200)
    start: float | None = Field(default=None, ge=0, le=FURTHEST)
    end: float | None = Field(default=None, ge=0, le=FURTHEST)
    verdict: Verdict
    text: str = Field(default="", max_length=2000)
    author: str = Field(default="", max_length=64)

    model_config = {
        "json_schema_extra": {"examples": [{"machine": "pump-3", "incident": NOTE["incident"], "verdict": "normal"}]}
    }


class Wanted(BaseModel):
    """Which incidents."""

    machine: str | None = Field(default=None, max_length=64)
    kind: str | None = Field(default=None, max_length=40, description="some of alarm,warning,trouble")
    state: Literal["open", "over"] | None = None
    verdict: Literal["normal", "fault", "none"] | None = None
    start: float | None = Field(default=None, ge=0, le=FURTHEST)
    end: float | None = Field(default=None, ge=0, le=FURTHEST)
    limit: int = Field(default=50, ge=1, le=500)
    cursor: str | None = Field(default=None, max_length=100)


class Undoing(BaseModel):
    """Who takes a note back."""

    author: str = Field(default="", max_length=64)


@router.get("/incidents", responses=answers({"incidents": [INCIDENT], "next": None, "total": 1}))
def incidents(service: Served, wanted: Annotated[Wanted, Query()]) -> dict[str, Any]:
    """Alarms, warnings and troubles, the newest first, page by page: `next` is the cursor of the next page."""
    given = wanted.model_dump(exclude={"kind"})
    kinds = tuple(part.strip() for part in wanted.kind.split(",")) if wanted.kind else ()
    if unknown := set(kinds) - set(KINDS):
        raise HTTPException(422, f"kind {min(unknown)!r} is unknown; give some of {', '.join(KINDS)}")
    if wanted.machine is not None:
        service.machine(wanted.machine)
    page = service.reader.incidents(kinds=kinds, **given)
    return {"incidents": [one.to_json() for one in page.rows], "next": page.next, "total": page.total}


@router.get("/incidents/{name}", responses=answers(INCIDENT))
def incident(service: Served, name: str) -> dict[str, Any]:
    """One alarm, warning or trouble."""
    return service.incident(name).to_json()


@router.get("/incidents/{name}/sound", responses=answers("fLaC…", "audio/flac"), response_class=Response)
def sound(service: Served, request: Request, name: str) -> Response:
    """The sound that raised it, with some seconds before, as FLAC."""
    return _played(_flac(service, name), request)


@router.get("/incidents/{name}/evidence", responses=answers({**SCORE, "nearest": None}))
async def evidence(service: Served, name: str) -> dict[str, Any]:
    """What the detector hears in that sound: spectrogram, error map, words."""
    found = await _shown(service, service.incident(name))
    beside = found["nearest"]
    return {**found["said"], "nearest": None if beside is None else {"file": beside["file"]}}


@router.get("/incidents/{name}/nearest", responses=answers("fLaC…", "audio/flac"), response_class=Response)
async def nearest(service: Served, request: Request, name: str) -> Response:
    """The nearest normal sound, where the detector knows one, as FLAC."""
    beside = (await _shown(service, service.incident(name)))["nearest"]
    if beside is None:
        raise AbsentError(
            "no normal sound is known that is like it; name the folder of normal sounds with `normals` in the TOML file"
        )
    return _played(beside["flac"], request)


@router.get("/notes", responses=answers({"notes": [NOTE], "next": None}))
def notes(
    service: Served, machine: Name = None, verdict: Verdict | None = None, limit: Limit = 50, cursor: Cursor = None
) -> dict[str, Any]:
    """What people said, the newest first; what was taken back is there as well."""
    page = service.reader.notes(machine=machine, verdict=verdict, limit=limit, cursor=cursor)
    return {"notes": [one.to_json() for one in page.rows], "next": page.next}


@router.post("/notes", responses=answers({"note": NOTE, "proposal": PROPOSAL}))
def say(service: Served, request: Request, saying: Saying) -> dict[str, Any]:
    """Say that a sound was normal or a fault; of a normal one that raised an alarm, another threshold is proposed."""
    one = service.machine(saying.machine)
    about = None if saying.incident is None else service.incident(saying.incident)
    if about is not None and about.machine != one.name:
        raise MonitorError(f"{about.id} is an alarm of {about.machine}, not of {one.name}")
    if about is None and (saying.start is None or saying.end is None):
        raise MonitorError("say what it is about: an incident, or start and end")
    start = saying.start if saying.start is not None or about is None else about.raised
    end = saying.end if saying.end is not None or about is None else (about.cleared or one.clock())
    assert start is not None and end is not None
    if end < start:
        raise MonitorError(f"the span ends ({end:.0f}) before it starts ({start:.0f}); swap them")
    note = service.notes.add(
        one.name,
        incident=saying.incident,
        start=start,
        end=end,
        verdict=saying.verdict,
        text=saying.text,
        author=author_of(request, saying.author),
        now=time.time(),
    )
    service.hub.publish("note", one.name, note.to_json())
    proposal = service.thresholds.proposal(one, note, about)
    return {"note": note.to_json(), "proposal": None if proposal is None else proposal.to_json()}


@router.post("/notes/{number}/undo", responses=answers({"note": NOTE, "threshold": None}))
def undo(service: Served, request: Request, number: Number, undoing: Undoing) -> dict[str, Any]:
    """Take a note back, and the threshold that was taken because of it."""
    author = author_of(request, undoing.author)
    standing, threshold = service.reader.note(number), None
    if standing is not None and standing.undone is None:  # first what can be tried again, should the disk refuse
        threshold = service.thresholds.take_back(standing, author=author)
    note = service.notes.undo(number, author=author, now=time.time())
    service.hub.publish("note", note.machine, note.to_json())
    return {"note": note.to_json(), "threshold": threshold}


def _flac(service: Service, name: str) -> bytes:
    service.incident(name)
    found = service.reader.sound(name)
    if found is None:
        raise AbsentError("its sound is not kept: it is no alarm or warning, or older than what is kept")
    return found.flac


async def _shown(service: Service, about: Incident) -> dict[str, Any]:
    """Evidence of an alarm, made by a worker once."""

    async def made() -> dict[str, Any]:
        one = service.machine(about.machine)
        flac = _flac(service, about.id)
        known = one.facts["machine"]
        answer = await service.desk.ask(show_evidence, one.table.detector, known, flac, one.table.normals)
        if answer.error:
            raise MonitorError(answer.error)
        return dict(answer.content)

    return await service.evidence.get(about.id, made)


def _played(content: bytes, request: Request) -> Response:
    """Sound for a player, whole or the part that is asked for."""
    headers = {"accept-ranges": "bytes", "cache-control": "private, max-age=3600"}
    match = re.fullmatch(r"bytes=(\d{0,18})-(\d{0,18})", request.headers.get("range", ""))
    if match is None or match.group() == "bytes=-":
        return Response(content, media_type="audio/flac", headers=headers)
    first, last = match.groups()
    begin = int(first) if first else max(0, len(content) - int(last))
    end = min(int(last), len(content) - 1) if first and last else len(content) - 1
    if begin > end:
        raise HTTPException(416, f"the sound has {len(content)} bytes", {"content-range": f"bytes */{len(content)}"})
    headers["content-range"] = f"bytes {begin}-{end}/{len(content)}"
    return Response(content[begin : end + 1], 206, media_type="audio/flac", headers=headers)
