"""A TCP relay on loopback that can lose a connection, or swallow what it should pass on."""

from __future__ import annotations

import selectors
import socket
import threading
from types import TracebackType
from typing import Self


class Relay:
    """Passes connections to `port` on to 127.0.0.1:`target` while in `with`."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._lock = threading.Lock()
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._flowing = threading.Event()
        self._flowing.set()
        self._refusing = False
        self._closed = False

    def swallow(self) -> None:
        """From now on nothing passes, in either direction, and nobody is told: a black hole."""
        self._flowing.clear()

    def cut(self) -> None:
        """End every connection and refuse new ones."""
        self._refusing = True
        self.drop()

    def drop(self) -> None:
        """End every connection; new ones are welcome."""
        with self._lock:
            pairs, self._pairs = self._pairs, []
        for one, other in pairs:
            _shut(one)
            _shut(other)

    def heal(self) -> None:
        """Pass everything on again; connections from before a black hole are ended."""
        self._refusing = False
        if not self._flowing.is_set():
            self.drop()
            self._flowing.set()

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closed = True
        _shut(self._listener)
        self._listener.close()
        self.cut()
        self._flowing.set()

    def _accept(self) -> None:
        while not self._closed:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self._refusing:
                client.close()
                continue
            try:
                server = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                client.close()
                continue
            with self._lock:
                self._pairs.append((client, server))
            threading.Thread(target=self._pass_on, args=(client, server), daemon=True).start()

    def _pass_on(self, client: socket.socket, server: socket.socket) -> None:
        other = {client: server, server: client}
        with client, server, selectors.DefaultSelector() as selector:
            selector.register(client, selectors.EVENT_READ)
            selector.register(server, selectors.EVENT_READ)
            while True:
                for key, _ in selector.select():
                    source = key.fileobj
                    assert isinstance(source, socket.socket)
                    try:
                        data = source.recv(65536)
                        self._flowing.wait()
                        if not data:
                            return
                        other[source].sendall(data)
                    except OSError:
                        return


def _shut(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # ended already
