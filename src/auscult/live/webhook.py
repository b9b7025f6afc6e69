"""A webhook: each event as a POST of JSON, without following redirections."""

import hashlib
import queue
import threading
import urllib.error
import urllib.request
from email.message import Message
from http.client import HTTPException
from typing import IO, Any
from urllib.parse import urlsplit

from auscult import __version__
from auscult.errors import MonitorError
from auscult.live.delivery import DeliveryError

TIMEOUT_SECONDS = 10.0
"""From the first step to the answer's status, however the receiver spends them."""

MOST_HANGING = 8
"""Exchanges that a receiver may leave unanswered before no more are begun."""


class _NoRedirection(urllib.request.HTTPRedirectHandler):
    """A redirected POST would become a GET, and the event would be lost."""

    def http_error_302(self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Message) -> None:
        """Follow nowhere."""

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302


class Webhook:
    """Posts each event to a URL; any 2xx answer means that it was taken.

    Args:
        url: http or https.
        authorization: value of the header of that name, if the receiver wants one.

    Raises:
        MonitorError: if the URL is none.
    """

    def __init__(self, url: str, *, authorization: str | None = None) -> None:
        shown = f"{url.partition('://')[0]}://…" if "://" in url else "…"  # paths are secrets, too
        try:
            parts = urlsplit(url)
            host, _ = parts.hostname, parts.port
        except ValueError as error:
            raise MonitorError(f"--webhook {shown} is no URL; give one like https://example.org/alarm") from error
        if parts.username or parts.password:
            raise MonitorError(
                "--webhook must not hold a password, which others could see; set AUSCULT_WEBHOOK_AUTHORIZATION in the "
                "environment"
            )
        if parts.scheme not in ("http", "https") or not host:
            raise MonitorError(f"--webhook {shown} is no URL of http or https; give one like https://example.org/alarm")
        self.url, self.host = url, host
        # URLs of webhooks are often secrets, and this name is written to the history
        self.name = f"webhook {host} {hashlib.sha256(url.encode()).hexdigest()[:8]}"
        self._headers = {"Content-Type": "application/json", "User-Agent": f"auscult/{__version__}"}
        if authorization:
            self._headers["Authorization"] = authorization
        self._opener = urllib.request.build_opener(_NoRedirection)
        self._hanging: list[threading.Thread] = []

    def send(self, key: str, line: str) -> None:
        """Post one event; its key is the header Idempotency-Key. The answer's body says nothing and is not read.

        Raises:
            DeliveryError: if the receiver cannot be reached or does not answer with 2xx in time.
        """
        headers = {**self._headers, "Idempotency-Key": key}
        request = urllib.request.Request(self.url, line.encode(), headers, method="POST")
        late = DeliveryError(f"the webhook at {self.host} does not answer within {TIMEOUT_SECONDS:g} s")
        self._hanging = [thread for thread in self._hanging if thread.is_alive()]
        if len(self._hanging) >= MOST_HANGING:
            raise late
        answers: queue.SimpleQueue[DeliveryError | None] = queue.SimpleQueue()
        thread = threading.Thread(target=lambda: answers.put(self._post(request)), daemon=True, name="auscult-post")
        thread.start()
        self._hanging.append(thread)
        try:
            error = answers.get(timeout=TIMEOUT_SECONDS)
        except queue.Empty:
            raise late from None
        if error is not None:
            raise error

    def _post(self, request: urllib.request.Request) -> DeliveryError | None:
        """What keeps the receiver from having it; none if it has."""
        try:
            self._opener.open(request, timeout=TIMEOUT_SECONDS).close()
        except urllib.error.HTTPError as error:
            error.close()
            return DeliveryError(f"the webhook at {self.host} answers {error.code} {error.reason}")
        except (OSError, HTTPException, ValueError) as error:  # ValueError: of what the receiver writes
            reason: Any = getattr(error, "reason", error)
            return DeliveryError(f"the webhook at {self.host} cannot be reached ({reason})")
        return None

    def close(self) -> None:
        """Nothing is open."""
