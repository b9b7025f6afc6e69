"""The guard before all endpoints: access, the size and duration of requests, the headers of every answer."""

import asyncio
import time
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from auscult.live.serve.access import Access, Refusal
from auscult.live.serve.settings import ServerTable

SMALL = 64 * 1024
"""Bytes of a request that is no upload."""

SMALL_SECONDS = 10.0
"""That such a request may take to come."""

MOST_CLIENTS = 10_000
"""Whose requests are counted; then counting begins anew."""

HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "media-src 'self' blob:; connect-src 'self'; font-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}
"""Of every answer; those that are there already stay."""


@dataclass(slots=True)
class Rate:
    """How often clients may do something in a minute."""

    most: int
    clock: Callable[[], float] = time.monotonic
    _times: defaultdict[str, deque[float]] = field(default_factory=lambda: defaultdict(deque))

    def allows(self, client: str) -> bool:
        """Count one; False if it is one too many."""
        if client not in self._times and len(self._times) >= MOST_CLIENTS:
            self._times.clear()
        times, now = self._times[client], self.clock()
        while times and now - times[0] > 60:
            times.popleft()
        if len(times) >= self.most:
            return False
        times.append(now)
        return True


class Guard:
    """An ASGI application around another one: what is refused never reaches it."""

    def __init__(self, app: ASGIApp, access: Access, table: ServerTable) -> None:
        self._app, self._access, self._table = app, access, table
        self._uploads = Rate(table.uploads_per_minute)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        path, client = scope["path"], (scope.get("client") or ("", 0))[0]
        headers = {name.lower(): value for name, value in Headers(scope=scope).items()}
        refusal = self._access.refusal(scope["method"], path, headers, client)
        upload = scope["method"] == "POST" and path.startswith("/api/machines/") and path.endswith("/score")
        if refusal is None and upload and not self._uploads.allows(client):
            refusal = Refusal(429, f"more than {self._table.uploads_per_minute} uploads in a minute; wait a little")
        if refusal is not None and refusal.status == 401 and scope["method"] == "GET" and path == "/":
            await RedirectResponse("/login", 303)(scope, receive, with_headers)
            return
        if refusal is not None:
            await _refuse(refusal, scope, receive, with_headers)
            return
        most = int(self._table.upload_megabytes * 1e6) if upload else SMALL
        seconds = self._table.upload_wait_seconds if upload else SMALL_SECONDS
        await self._app(scope, _bounded(receive, headers, most, seconds), with_headers)


async def _refuse(refusal: Refusal, scope: Scope, receive: Receive, send: Send) -> None:
    headers = {"connection": "close"} if scope["method"] != "GET" else {}
    if refusal.status == 401:
        headers["www-authenticate"] = "Bearer"
    if refusal.status == 429:
        headers["retry-after"] = "60"
    await JSONResponse({"error": refusal.sentence}, refusal.status, headers)(scope, receive, send)


def _bounded(receive: Receive, headers: dict[str, str], most: int, seconds: float) -> Receive:
    """Receive no more than so many bytes, and these within so many seconds."""
    length = headers.get("content-length", "0")
    too_large = HTTPException(413, f"the request has more than {most} bytes; send less")
    taken, whole, ends = 0, False, time.monotonic() + seconds

    async def bounded() -> Message:
        nonlocal taken, whole
        if whole:
            return await receive()
        if not length.isdecimal() or int(length) > most:
            raise too_large
        try:
            message = await asyncio.wait_for(receive(), max(0.0, ends - time.monotonic()))
        except TimeoutError:
            raise HTTPException(408, f"the request did not come within {seconds:g} s; send it faster") from None
        if message["type"] == "http.request":
            taken += len(message.get("body", b""))
            whole = not message.get("more_body", False)
        if taken > most:
            raise too_large
        return message

    return bounded
