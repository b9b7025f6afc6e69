"""Endpoints of machines: how they are, their scores, recordings that are sent in, thresholds."""

import time
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response

from auscult.live.history import MOST_POINTS
from auscult.live.history.retention import DAY
from auscult.live.serve.desk import BusyError
from auscult.live.serve.examples import MACHINE, SCORE, SCORES, answers
from auscult.live.serve.machines import Listening
from auscult.live.serve.routes_page import Served, author_of
from auscult.live.serve.service import Service
from auscult.live.serve.work import Answer, score_upload

router = APIRouter(prefix="/api/machines", tags=["machines"])

BEGINNINGS = (b"RIFF", b"fLaC", b"OggS")
"""First bytes of the files that are read."""

LONGEST_BEGINNING = 4

AUDIO = ("audio/", "application/octet-stream", "application/ogg")

FURTHEST = 1e11
"""Of times, in seconds since 1970."""

LAST_NOTE = 10**15
"""No note has a greater number."""

Moment = Annotated[float | None, Query(ge=0, le=FURTHEST, description="seconds since 1970")]


class Decision(BaseModel):
    """A threshold that a note proposed, or another one."""

    note: int = Field(ge=1, le=LAST_NOTE)
    threshold: float = Field(allow_inf_nan=False)
    author: str = Field(default="", max_length=64)


@router.get("", responses=answers({"machines": [MACHINE]}))
def machines(service: Served) -> Response:
    """All machines."""
    return JSONResponse({"machines": service.describe(*service.machines.values())})


@router.get("/{name}", responses=answers(MACHINE))
def machine(service: Served, name: str) -> Response:
    """One machine."""
    return JSONResponse(service.describe(service.machine(name))[0])


@router.get("/{name}/scores", responses=answers(SCORES))
def scores(
    service: Served,
    name: str,
    start: Moment = None,
    end: Moment = None,
    points: Annotated[int, Query(ge=1, le=MOST_POINTS)] = 1000,
) -> Response:
    """Scores from one moment to another, in the finest steps of which there are no more than `points`."""
    one = service.machine(name)
    until = one.clock() if end is None else end
    begin = until - DAY if start is None else start
    if begin >= until:
        raise HTTPException(422, f"start is {begin:.0f}, end {until:.0f}; give an earlier start")
    columns = service.reader.scores(name, begin, until, points=points)
    rows = service.reader.thresholds(name, begin, until)
    return JSONResponse({**columns.to_json(), "thresholds": [row.to_json() for row in rows]})


@router.post(
    "/{name}/score",
    responses=answers(SCORE),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"audio/wav": {"schema": {"type": "string", "format": "binary"}}},
        }
    },
)
async def score(service: Served, request: Request, name: str, evidence: bool = False) -> Response:
    """Score a recording: the body is a wav, flac or ogg file. With `evidence`, also pictures of what was heard."""
    one = service.machine(name)
    try:
        answer, begun = await _scored(service, request, one, evidence)
    except (HTTPException, BusyError, ClientDisconnect):
        service.metrics.upload("refused")
        raise
    service.metrics.upload("failed" if answer.error else "scored", begun)
    if answer.error:
        raise HTTPException(422, answer.error)
    return JSONResponse(answer.content)


@router.post("/{name}/threshold", responses=answers({"before": 3.2, "after": 4.1}))
def change_threshold(service: Served, request: Request, name: str, decision: Decision) -> dict[str, Any]:
    """Take another threshold, by the decision of a user who called a sound normal."""
    one = service.machine(name)
    before = service.thresholds.take(
        one, decision.threshold, note=decision.note, author=author_of(request, decision.author)
    )
    return {"before": before, "after": decision.threshold}


async def _scored(service: Service, request: Request, one: Listening, evidence: bool) -> tuple[Answer, float]:
    """What a worker says of the recording, and when it had come whole, by `time.monotonic`."""
    media = request.headers.get("content-type", "application/octet-stream").lower()
    if not media.startswith(AUDIO):
        raise HTTPException(415, f"the content type is {media[:80]}; send the bytes of a sound file as audio/wav")
    with service.upload() as file:
        await _received(request, file)
        begun, most = time.monotonic(), service.plant.server.upload_sound_seconds
        known = one.facts["machine"]
        return await service.desk.ask(score_upload, one.table.detector, known, file, most, evidence), begun


async def _received(request: Request, file: Path) -> None:
    """Write the recording to a file, if it begins as one."""
    pieces, beginning = request.stream(), b""
    async for piece in pieces:
        beginning += piece
        if len(beginning) >= LONGEST_BEGINNING:
            break
    if beginning[:4] not in BEGINNINGS:
        raise HTTPException(415, f"the recording begins with {beginning[:4]!r}; send a wav, flac or ogg file")
    with file.open("wb") as to:
        to.write(beginning)
        async for piece in pieces:
            to.write(piece)
