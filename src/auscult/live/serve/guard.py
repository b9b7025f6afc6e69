"""The guard before all endpoints: access, the size and duration of requests, the headers of every answer."""

import asyncio
import contextlib
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
    "cache-control": "no-store",
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


LIVE = "/api/live"
"""The news of all machines, without an end."""


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
        path, client = scope["path"], (scope.get("client") or ("", 0))[0]
        headers = Headers(scope=scope)
        if scope["method"] == "HEAD" and path != LIVE:  # the server leaves the body out
            scope = {**scope, "method": "GET"}
        upload = scope["method"] == "POST" and path.startswith("/api/machines/") and path.endswith("/score")
        body = _Body(
            receive,
            headers.get("content-length", "0"),
            most=int(self._table.upload_megabytes * 1e6) if upload else SMALL,
            seconds=self._table.upload_wait_seconds if upload else SMALL_SECONDS,
        )

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                if message["status"] >= 400:
                    await body.drain()
                fixed = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    fixed.setdefault(name, value)
            await send(message)

        refusal = self._access.refusal(scope["method"], path, headers, client)
        if refusal is None and upload and not self._uploads.allows(client):
            refusal = Refusal(429, f"more than {self._table.uploads_per_minute} uploads in a minute; wait a little")
        if refusal is None:
            await self._app(scope, body.receive, answer)
        elif refusal.status == 401 and scope["method"] == "GET" and path == "/":
            await RedirectResponse("/login", 303)(scope, body.receive, answer)
        else:
            more = {401: {"www-authenticate": "Bearer"}, 429: {"retry-after": "60"}}.get(refusal.status)
            await JSONResponse({"error": refusal.sentence}, refusal.status, more)(scope, body.receive, answer)


class _Body:
    """The body of a request: no more than so many bytes, and these within so many seconds.

    Args:
        receive: of the server.
        length: as the request says, in bytes.
        most: bytes.
        seconds: for all of it.
    """

    def __init__(self, receive: Receive, length: str, *, most: int, seconds: float) -> None:
        self._receive, self._length, self._most, self._seconds = receive, length, most, seconds
        self._ends = time.monotonic() + seconds
        self._taken, self._whole = 0, False

    async def receive(self) -> Message:
        """The next part.

        Raises:
            HTTPException: if it is too large or too slow.
        """
        if self._whole:
            return await self._receive()
        if not self._length.isdecimal() or int(self._length) > self._most:
            raise HTTPException(413, f"the request has more than {self._most} bytes; send less")
        try:
            async with asyncio.timeout(max(0.0, self._ends - time.monotonic())):
                message = await self._receive()
        except TimeoutError:
            raise HTTPException(408, f"the request did not come within {self._seconds:g} s; send it faster") from None
        if message["type"] == "http.request":
            self._taken += len(message.get("body", b""))
            self._whole = not message.get("more_body", False)
        else:
            self._whole = True
        if self._taken > self._most:
            raise HTTPException(413, f"the request has more than {self._most} bytes; send less")
        return message

    async def drain(self) -> None:
        """Take what is still to come, and forget it: whoever is cut off while sending does not read the answer."""
        with contextlib.suppress(HTTPException):
            while not self._whole:
                await self.receive()
