"""Endpoints of the page itself: its files, the login, health, metrics, news."""

import gzip
import hashlib
import mimetypes
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response, StreamingResponse

from auscult.live.serve.access import COOKIE, MOST_NAME, SESSION_SECONDS, Access, Refusal
from auscult.live.serve.examples import STATUS, answers
from auscult.live.serve.guard import LIVE
from auscult.live.serve.service import Service

router = APIRouter()

TYPES = {".js": "text/javascript", ".css": "text/css", ".html": "text/html", ".svg": "image/svg+xml"}


def service_of(request: Request) -> Service:
    """The service that answers."""
    found: Service = request.app.state.service
    return found


Served = Annotated[Service, Depends(service_of)]


def author_of(request: Request, given: str) -> str:
    """Who speaks: by the session, where there is one with a name; else as was given."""
    return request.app.state.access.speaker(request.headers) or given.strip()


class Login(BaseModel):
    """A token, and by which name its owner speaks."""

    token: str = Field(max_length=200)
    name: str = Field(default="", max_length=MOST_NAME)


@dataclass(frozen=True, slots=True)
class Asset:
    """A file of the page: as it is, packed, and its mark."""

    content: bytes
    packed: bytes
    mark: str


@cache
def assets() -> dict[str, Asset]:
    """Every file of the page by its name: no name from a request is looked for on the disk."""
    found: dict[str, Asset] = {}
    waiting = [("", files("auscult.live.serve") / "page")]
    while waiting:
        place, folder = waiting.pop()
        for one in folder.iterdir():
            if one.is_dir():
                waiting.append((f"{place}{one.name}/", one))
            else:
                content = one.read_bytes()
                mark = f'"{hashlib.sha256(content).hexdigest()[:20]}"'
                found[place + one.name] = Asset(content, gzip.compress(content, mtime=0), mark)
    return found


def _asset(name: str, request: Request) -> Response:
    found = assets().get(name)
    if found is None:
        raise HTTPException(404, f"there is no file {name[:80]!r} in the page")
    suffix = name[name.rfind(".") :]
    media = TYPES.get(suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"
    headers = {"cache-control": "no-cache", "etag": found.mark, "vary": "accept-encoding"}
    if request.headers.get("if-none-match") == found.mark:
        return Response(status_code=304, headers=headers)
    if "gzip" in request.headers.get("accept-encoding", ""):
        return Response(found.packed, media_type=media, headers={**headers, "content-encoding": "gzip"})
    return Response(found.content, media_type=media, headers=headers)


@router.get("/", include_in_schema=False)
async def page(request: Request) -> Response:
    """The page."""
    return _asset("index.html", request)


@router.get("/login", include_in_schema=False)
async def login_page(request: Request) -> Response:
    """The same page, which then asks for the token."""
    return _asset("index.html", request)


@router.get("/assets/{name:path}", include_in_schema=False)
async def asset(name: str, request: Request) -> Response:
    """A file of the page."""
    return _asset(name, request)


@router.post("/login", tags=["access"])
async def log_in(login: Login, request: Request) -> Response:
    """Exchange the token for a session, a cookie of 30 days."""
    access: Access = request.app.state.access
    if access.token is None:
        return JSONResponse({"name": login.name})
    client = request.client.host if request.client else ""
    found = access.log_in(login.token, login.name, client)
    if isinstance(found, Refusal):
        return JSONResponse({"error": found.sentence}, found.status)
    answer = JSONResponse({"name": login.name})
    secure = request.url.scheme == "https"
    answer.set_cookie(COOKIE, found, max_age=SESSION_SECONDS, httponly=True, samesite="strict", secure=secure)
    return answer


@router.post("/logout", tags=["access"])
async def log_out() -> Response:
    """End the session of this browser."""
    answer = JSONResponse({})
    answer.delete_cookie(COOKIE, httponly=True, samesite="strict")
    return answer


@router.get("/health", tags=["server"], responses=answers({"status": "ok"}))
def health(service: Served) -> Response:
    """Whether the server does its work: 503 where the history cannot be written, or a machine's listener is down."""
    down = [one.name for one in service.machines.values() if one.live.state == "trouble" and not one.running]
    problem = service.problem()
    status = 503 if problem or down else 200
    return JSONResponse({"status": "ok" if status == 200 else "trouble", "problem": problem, "down": down}, status)


METRICS = answers('auscult_score{machine="pump-3"} 4.1', "text/plain")


@router.get("/metrics", tags=["server"], responses=METRICS, response_class=Response)
def metrics(service: Served) -> Response:
    """Metrics as Prometheus reads them."""
    return Response(service.metrics.text(), media_type=CONTENT_TYPE_LATEST)


@router.get("/api/status", tags=["server"], responses=answers(STATUS))
def status(service: Served, request: Request) -> dict[str, Any]:
    """Version, disk, limits, and who asks."""
    access: Access = request.app.state.access
    who = {"token": access.token is not None, "name": access.speaker(request.headers)}
    return {**service.status(), "access": who}


NEWS = answers("event: window\ndata: {…}", "text/event-stream")


@router.get(LIVE, tags=["server"], responses=NEWS, response_class=StreamingResponse)
async def live(service: Served, listen: Annotated[str | None, Query(max_length=64)] = None) -> Response:
    """News as they come, as server-sent events.

    `machine`, `window`, `incident`, `note`, `threshold`; and of the machine `listen` also `columns`, the newest part of
    its spectrogram.
    """
    if service.hub.full:
        raise HTTPException(503, f"{service.plant.server.clients} pages are open; close one")
    if listen is not None:
        service.machine(listen)
    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    return StreamingResponse(service.hub.follow(listen), media_type="text/event-stream", headers=headers)
