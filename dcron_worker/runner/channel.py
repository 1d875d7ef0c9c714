"""The launcher's end of the socket: one client at a time, a new one replaces the old.

Never blocks: what the client does not take is kept, up to a bound beyond which the client is
dropped; it will come again and be told everything that it has not acknowledged.
"""

from __future__ import annotations

import logging
import os
import selectors
import socket
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dcron_common.errors import LaunchError
from dcron_worker.runner import wire

log = logging.getLogger(__name__)

_PENDING_LIMIT = 64 * 1024 * 1024
_READ = 1 << 20


class Channel:
    """Listens at `path` (mode 0600) from the start."""

    def __init__(self, path: Path, selector: selectors.BaseSelector) -> None:
        self._selector = selector
        path.unlink(missing_ok=True)  # the lock on the state says that no launcher listens there
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        before = os.umask(0o177)
        try:
            self._listener.bind(str(path))
        finally:
            os.umask(before)
        self._listener.listen(8)
        self._listener.setblocking(False)
        selector.register(self._listener, selectors.EVENT_READ, "accept")
        self._client: socket.socket | None = None
        self._decoder = wire.Decoder()
        self._pending = bytearray()

    @property
    def connected(self) -> bool:
        """Whether there is a client."""
        return self._client is not None

    @property
    def drained(self) -> bool:
        """Whether there is a client that has taken all that was sent."""
        return self._client is not None and not self._pending

    def accept(self) -> bool:
        """Take a new client; False if it is nobody who may command us."""
        try:
            client, _ = self._listener.accept()
        except BlockingIOError:
            return False
        credentials = client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        _, uid, _ = struct.unpack("3i", credentials)
        if uid not in (0, os.getuid()):
            log.warning("refused a client of uid=%d", uid)
            client.close()
            return False
        self.drop()
        client.setblocking(False)
        self._client, self._decoder = client, wire.Decoder()
        self._selector.register(client, selectors.EVENT_READ, "client")
        return True

    def receive(self) -> Iterator[dict[str, Any]]:
        """The messages that have come."""
        if self._client is None:
            return
        try:
            data = self._client.recv(_READ)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.drop()
            return
        try:
            yield from self._decoder.feed(data)
        except LaunchError as error:
            log.warning("dropped the client: %s", error)
            self.drop()

    def send(self, message: dict[str, Any]) -> None:
        """Queue a message; without a client it is forgotten."""
        if self._client is None:
            return
        self._pending += wire.encode(message)
        self.flush()
        if len(self._pending) > _PENDING_LIMIT:
            log.warning("dropped the client: it does not read")
            self.drop()

    def flush(self) -> None:
        """Send what the client takes now."""
        if self._client is None:
            return
        try:
            while self._pending:
                sent = self._client.send(self._pending[:_READ])
                del self._pending[:sent]
        except BlockingIOError:
            pass
        except OSError:
            self.drop()
            return
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if self._pending else 0)
        self._selector.modify(self._client, events, "client")

    def drop(self) -> None:
        """Let the client go."""
        if self._client is not None:
            self._selector.unregister(self._client)
            self._client.close()
        self._client = None
        self._pending.clear()

    def close(self) -> None:
        """Stop listening; the path stays, and refuses connections."""
        self.drop()
        self._selector.unregister(self._listener)
        self._listener.close()
