"""The server from its start to its end: what can be refused is refused first, then the port is opened."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Callable
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from auscult.errors import MonitorError
from auscult.files import saving
from auscult.live.history import lock
from auscult.live.serve.access import Access, is_loopback, token_of
from auscult.live.serve.app import application
from auscult.live.serve.desk import Desk
from auscult.live.serve.facts import facts_of_plant, not_there
from auscult.live.serve.service import Service
from auscult.live.serve.settings import Plant

HEADER_SECONDS = 10.0
"""Within which a connection must have sent the head of a request."""

UNREAD_SECONDS = 60.0
"""Within which a connection must take something of an answer that it was sent more of than the system holds."""

CONNECTIONS = 400
"""At the same time, besides pages that are open."""


class Patient(H11Protocol):
    """HTTP whose patience has an end: with who says nothing, never ends the head of a request, or does not read."""

    _late: asyncio.TimerHandle | None = None
    _unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Somebody has connected."""
        super().connection_made(transport)
        self._wait(True)

    def data_received(self, data: bytes) -> None:
        """Something came; what is not yet a request is waited for since its first byte."""
        super().data_received(data)
        between = self.cycle is None or self.cycle.response_complete
        self._wait(between and (self.cycle is None or bool(self.conn.trailing_data[0])))

    def pause_writing(self) -> None:
        """More was answered than the other side has taken so far."""
        super().pause_writing()
        self._look_again(self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        """Most of it was taken."""
        super().resume_writing()
        self._stop_looking()

    def connection_lost(self, exc: Exception | None) -> None:
        """It has ended."""
        self._stop_looking()
        super().connection_lost(exc)

    def timeout_keep_alive_handler(self) -> None:
        """Nothing more was asked: the connection is closed, even if the answer was not read."""
        super().timeout_keep_alive_handler()
        self.loop.call_later(HEADER_SECONDS, self.transport.abort)

    def _look_again(self, left: int) -> None:
        self._stop_looking()
        self._unread = self.loop.call_later(UNREAD_SECONDS, self._see, left)

    def _see(self, before: int) -> None:
        """Whether anything was taken of so many bytes."""
        left = self.transport.get_write_buffer_size()
        if left >= before:
            self.transport.abort()
        else:
            self._look_again(left)

    def _stop_looking(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def _wait(self, waiting: bool) -> None:
        if waiting and self._late is None:
            self._late = self.loop.call_later(HEADER_SECONDS, self.transport.abort)
        elif not waiting and self._late is not None:
            self._late.cancel()
            self._late = None


def serve(plant: Plant, *, desk: Desk, said: Callable[[str], None]) -> None:
    """Serve until a signal ends it.

    Args:
        plant: what there is.
        desk: of scoring workers.
        said: takes lines for people: the address, and where the token is.

    Raises:
        MonitorError: if a detector, the history or the address cannot be used.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # before there is anything to write down
    with saving(plant.state):
        plant.state.mkdir(mode=0o700, parents=True, exist_ok=True)  # sound of people may come to lie in it
    with lock(plant.state):
        facts = facts_of_plant(plant, desk)
        table = plant.server
        token = token_of(plant.state) if table.token or not is_loopback(table.host) else None
        listening = _bound(table.host, table.port)
        service = Service(plant, facts, desk)
        try:
            service.start()
            _run(service, Access(token), listening, plant, said)
        finally:
            service.close()


def _run(service: Service, access: Access, listening: socket.socket, plant: Plant, said: Callable[[str], None]) -> None:
    config = uvicorn.Config(
        application(service, access),
        http=Patient,
        ws="none",
        lifespan="off",
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=True,
        limit_concurrency=CONNECTIONS + plant.server.clients,
        timeout_graceful_shutdown=3,
        timeout_keep_alive=30,
    )
    server = _Server(config, service)
    host, port = listening.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    said(f"listening on http://{shown}:{port}/")
    if access.token is not None:
        said(f"the token is in {plant.state / 'token'}; the page asks for it")
    for sentence in not_there(plant):
        said(sentence)
    signal.signal(signal.SIGTERM, lambda *_: None)  # the server ends by it, and then all is written down
    asyncio.run(server.serve(sockets=[listening]))


class _Server(uvicorn.Server):
    """Sends the pages away before it waits for their connections to end."""

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self._service = service

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End all connections."""
        self._service.hub.close()
        await super().shutdown(sockets)


def _bound(host: str, port: int) -> socket.socket:
    """A socket that listens at an address.

    Raises:
        MonitorError: if that is not possible.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        found = socket.socket(family, socket.SOCK_STREAM)
        if os.name == "posix":
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind(address)
        found.listen(128)
    except OSError as error:
        raise MonitorError(
            f"the server cannot listen at {host}:{port} ({error.strerror or error}); choose another --host or --port"
        ) from error
    return found
