"""Who may ask: the token, sessions by a signed cookie, hosts and origins. The guard carries these decisions out."""

import base64
import hashlib
import hmac
import ipaddress
import os
import secrets
import time
from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from auscult.errors import MonitorError
from auscult.files import saving

COOKIE = "auscult"
SESSION_SECONDS = 30 * 24 * 3600
MOST_NAME = 64
"""Characters of the name by which somebody speaks."""

TRIES, TRIES_SECONDS = 10, 60.0
"""Wrong tokens that a client may send in a while."""

MOST_CLIENTS = 10_000
"""Whose wrong tokens are remembered; then those of the first are forgotten."""

OPEN = ("/login", "/assets/")
"""Paths that need no token: the way in."""


def is_loopback(host: str) -> bool:
    """Whether an address is reached from this computer alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def token_of(state: Path) -> str:
    """The token in the folder of the history, made at the first start; nobody but the user can read the file.

    Raises:
        MonitorError: if the file holds none.
        RunError: if it cannot be written.
    """
    path = state / "token"
    if path.is_file():
        token = path.read_text(encoding="utf-8").strip()
        if len(token) < 16:
            raise MonitorError(f"{path} holds no token of at least 16 characters; delete it, and a new one is made")
        return token
    token = secrets.token_urlsafe(24)
    with saving(state):
        state.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(token + "\n")
    return token


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request is refused."""

    status: int
    sentence: str


@dataclass(slots=True)
class Access:
    """The rule of one server.

    Attributes:
        token: that is needed; none where only this computer can ask. Then the server answers to no other name than this
            computer's: another one comes from a page that pretends to be this one (DNS rebinding).
    """

    token: str | None
    clock: Callable[[], float] = time.time
    _wrong: defaultdict[str, deque[float]] = field(default_factory=lambda: defaultdict(deque))

    def refusal(self, method: str, path: str, headers: Mapping[str, str], client: str) -> Refusal | None:
        """Why a request may not be answered; none if it may.

        Args:
            method: of the request.
            path: of the request.
            headers: by their names.
            client: its address.
        """
        host = headers.get("host", "")
        if self.token is None and not self._known(host):
            return Refusal(
                421,
                f"the server is not called {host[:80]!r}; use 127.0.0.1, or behind a proxy token = true under [server]",
            )
        if not _same_origin(method, path, headers, host):
            return Refusal(403, "the request comes from another site, which this server does not answer")
        if self.token is None or path in OPEN or path.startswith("/assets/"):
            return None
        return self._without_token(headers, client)

    def speaker(self, headers: Mapping[str, str]) -> str:
        """The name that was given at the login; empty for programs, and where nobody logs in."""
        return self._session(headers) or ""

    def log_in(self, token: str, name: str, client: str) -> str | Refusal:
        """The content of the cookie for who knows the token."""
        if self._tired(client):
            return Refusal(429, "too many wrong tokens; wait a minute")
        if self.token is None or not hmac.compare_digest(token.encode(), self.token.encode()):
            self._note_wrong(client)
            return Refusal(401, "this is not the token; the server wrote it to the file `token` in its state folder")
        return self.cookie(name)

    def cookie(self, name: str) -> str:
        """A signed session: who, and until when."""
        ends = int(self.clock()) + SESSION_SECONDS
        said = base64.urlsafe_b64encode(f"{ends}:{name[:MOST_NAME]}".encode()).decode()
        return f"{said}.{self._signature(said)}"

    def _known(self, host: str) -> bool:
        try:
            return is_loopback(urlsplit(f"//{host}").hostname or "")
        except ValueError:  # half an address in brackets
            return False

    def _without_token(self, headers: Mapping[str, str], client: str) -> Refusal | None:
        assert self.token is not None
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if given:
            if self._tired(client):
                return Refusal(429, "too many wrong tokens; wait a minute")
            if scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), self.token.encode()):
                return None
            self._note_wrong(client)
            return Refusal(401, "this is not the token; send `Authorization: Bearer TOKEN`")
        if self._session(headers) is not None:
            return None
        return Refusal(401, "log in, or send `Authorization: Bearer TOKEN`")

    def _session(self, headers: Mapping[str, str]) -> str | None:
        """The name in a valid cookie."""
        pairs = (part.strip().partition("=") for part in headers.get("cookie", "").split(";"))
        value = next((value for name, _, value in pairs if name == COOKIE), "")
        said, _, signature = value.partition(".")
        if self.token is None or not hmac.compare_digest(signature.encode(), self._signature(said).encode()):
            return None
        ends, _, name = base64.urlsafe_b64decode(said).decode().partition(":")
        return name if int(ends) > self.clock() else None

    def _signature(self, said: str) -> str:
        key = hashlib.sha256(f"session {self.token}".encode()).digest()
        return hmac.new(key, said.encode(), "sha256").hexdigest()

    def _note_wrong(self, client: str) -> None:
        self._wrong[client].append(self.clock())
        if len(self._wrong) > MOST_CLIENTS:
            del self._wrong[next(iter(self._wrong))]

    def _tired(self, client: str) -> bool:
        """Whether a client has sent too many wrong tokens of late."""
        if client not in self._wrong:
            return False
        tries, now = self._wrong[client], self.clock()
        while tries and now - tries[0] > TRIES_SECONDS:
            tries.popleft()
        if not tries:
            del self._wrong[client]
        return len(tries) >= TRIES


def _same_origin(method: str, path: str, headers: Mapping[str, str], host: str) -> bool:
    """Whether a browser asks for a page of this server; programs say nothing of origins."""
    origin = headers.get("origin")
    if origin is not None:
        return origin.partition("://")[2] == host
    site = headers.get("sec-fetch-site", "none")
    if site in ("none", "same-origin"):
        return True
    return method == "GET" and path in ("/", "/login") and headers.get("sec-fetch-mode") == "navigate"
