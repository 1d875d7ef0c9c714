"""TLS connections that wait for nobody for ever.

gunicorn's threads shake hands and read with blocking sockets (workers/gthread.py, `init` and
`handle`): a few clients that connect and say nothing would hold all of them. Here a client has
`idle` seconds for its next byte; that long for a handshake as a whole, and again for the head of a
request. When the head is there the application says how long the body may take (`expect`).

Who is late gets TimeoutError, here with the number of a reset, which gunicorn takes for what it
is, a client that went away: no traceback, no lingering for what else it might send.
"""

from __future__ import annotations

import errno
import math
import ssl
import time
from collections.abc import Callable
from typing import Any, ClassVar


class TimedConnection(ssl.SSLSocket):
    """A server's side of a connection. A subclass sets `idle` (seconds)."""

    idle: ClassVar[float] = 20.0
    _until = math.inf
    _late = False

    def expect(self, seconds: float) -> None:
        """From now on, what is to be read must have come after so many seconds."""
        self._until = time.monotonic() + seconds

    def setblocking(self, flag: bool, /) -> None:
        """gunicorn calls this where a thread begins with a request."""
        self.expect(self.idle)
        self.settimeout(None if flag else 0.0)

    def settimeout(self, value: float | None, /) -> None:
        """As of any socket, but None, which is for ever, is `idle`."""
        if self.fileno() >= 0:  # gunicorn also sets it on what is closed already
            super().settimeout(self.idle if value is None else value)

    def do_handshake(self, block: bool = False) -> None:
        """SSLEOFError, as if the client had gone, for one that is too slow."""
        try:
            super().do_handshake(block)
        except TimeoutError as error:
            self.close()
            raise ssl.SSLEOFError(ssl.SSL_ERROR_EOF, "no handshake in time") from error
        self.expect(self.idle)

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        """TimeoutError for a client that is silent, or too slow as a whole."""
        if time.monotonic() > self._until:
            raise self._lateness()
        try:
            return super().recv(buflen, flags)
        except TimeoutError as error:
            raise self._lateness() from error

    def send(self, data: Any, flags: int = 0) -> int:
        """TimeoutError for a client that does not read."""
        try:
            return super().send(data, flags)
        except TimeoutError as error:
            raise self._lateness() from error

    def shutdown(self, how: int) -> None:
        """OSError for a client that was late: gunicorn would wait for more of it, seconds long,
        in the thread that accepts all others."""
        if self._late:
            raise OSError(errno.ENOTCONN, "the client was late")
        super().shutdown(how)

    def _lateness(self) -> TimeoutError:
        self._late = True
        return TimeoutError(errno.ECONNRESET, "the client was late")


def context_of(idle_seconds: float) -> Callable[[Any, Callable[[], ssl.SSLContext]], Any]:
    """gunicorn's `ssl_context`: TLS 1.2 and newer, on timed connections."""

    class Connection(TimedConnection):
        idle = idle_seconds

    def make(_config: Any, default: Callable[[], ssl.SSLContext]) -> ssl.SSLContext:
        context = default()
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.sslsocket_class = Connection
        return context

    return make
