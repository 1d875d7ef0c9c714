"""A load of HTTP requests: some clients at once, each by one connection that it keeps.

Bounded in number and in time. An answer that is not the expected one ends the load with a
RuntimeError: a rate of refusals would say nothing. Where a server closes a connection after an
answer, the next request opens another, and that takes its time.
"""

from __future__ import annotations

import http.client
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

TIMEOUT = 60.0  # seconds for one answer


@dataclass(frozen=True)
class Target:
    """Where requests go. `ca`: whose certificate it has to show; None: plain HTTP."""

    url: str
    ca: Path | None
    token: str = ""

    def connect(self) -> http.client.HTTPConnection:
        """A connection that is opened by its first request."""
        parts = urlsplit(self.url)
        host = str(parts.hostname)
        if parts.scheme == "http":
            return http.client.HTTPConnection(host, parts.port, timeout=TIMEOUT)
        context = ssl.create_default_context(cafile=str(self.ca))
        return http.client.HTTPSConnection(host, parts.port, context=context, timeout=TIMEOUT)


@dataclass(frozen=True)
class Request:
    """What each client asks again and again, and the status that it is to have."""

    method: str
    path: str
    body: bytes | None
    status: int


@dataclass
class Measured:
    """`took`: seconds of each request, in no order. `seconds`: from the first to the last.
    `connections`: how many were opened for them."""

    took: list[float] = field(default_factory=list)
    seconds: float = 0.0
    connections: int = 0

    @property
    def rate(self) -> float:
        """Answers in a second."""
        return len(self.took) / self.seconds if self.seconds else 0.0

    def quantile(self, part: float) -> float:
        """Seconds within which this part of the requests was answered."""
        ordered = sorted(self.took)
        return ordered[min(len(ordered) - 1, int(part * len(ordered)))]

    def add(self, other: Measured) -> None:
        """Another round of the same."""
        self.took += other.took
        self.seconds += other.seconds
        self.connections += other.connections


def measure(
    target: Target,
    request: Request,
    clients: int,
    *,
    seconds: float,
    most: int,
    now: Callable[[], float] = time.monotonic,
) -> Measured:
    """Ask until `seconds` are over or `most` requests were made by all clients together."""
    load = _Load(target, request, seconds, most, now)
    threads = [threading.Thread(target=load.client, daemon=True) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if load.failure is not None:
        raise RuntimeError(f"{request.method} {target.url}{request.path}: {load.failure}")
    return load.found()


class _Load:
    def __init__(
        self,
        target: Target,
        request: Request,
        seconds: float,
        most: int,
        now: Callable[[], float],
    ) -> None:
        self._target, self._request, self._now = target, request, now
        self._begun = now()
        self._until = self._begun + seconds
        self._left = most
        self._lock = threading.Lock()
        self._measured = Measured()
        self.failure: str | None = None

    def client(self) -> None:
        """One client, in a thread of its own."""
        connection = self._target.connect()
        try:
            while self._may_go_on():
                self._one(connection)
        except (OSError, http.client.HTTPException) as error:
            self._fail(repr(error))
        finally:
            connection.close()

    def found(self) -> Measured:
        self._measured.seconds = self._now() - self._begun
        return self._measured

    def _may_go_on(self) -> bool:
        with self._lock:
            if self.failure is not None or self._left == 0 or self._now() >= self._until:
                return False
            self._left -= 1
            return True

    def _one(self, connection: http.client.HTTPConnection) -> None:
        fresh, begun = connection.sock is None, self._now()
        status, body = self._ask(connection)
        took = self._now() - begun
        if status != self._request.status:
            self._fail(f"{status} {body[:300]!r}")
        with self._lock:
            self._measured.took.append(took)
            self._measured.connections += int(fresh)

    def _ask(self, connection: http.client.HTTPConnection) -> tuple[int, bytes]:
        request = self._request
        headers = {"Content-Type": "application/json"} if request.body is not None else {}
        if self._target.token:
            headers["Authorization"] = f"Bearer {self._target.token}"
        connection.request(request.method, request.path, request.body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()

    def _fail(self, why: str) -> None:
        with self._lock:
            self.failure = self.failure or why
