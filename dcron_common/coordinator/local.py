"""The coordination service inside one process, for embedded mode and for tests.

`LocalEnsemble` is the server: one tree under one lock, written through to SQLite where a path is
given. `LocalCoordinator` is a client session. Persistent nodes, their versions and their sequence
counters survive a restart; ephemeral ones do not, as every session ends with the process.

Failures: there is no network, so ConnectionLost comes only before `start`, after `stop`, and
where a test says so by `disconnect`; sessions expire only by `expire`. A disk that refuses a
write fails the transaction with CoordinatorError and nothing is done.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import TypeVar

from dcron_common.coordinator.contract import (
    ANY_VERSION,
    APP,
    Access,
    Coordinator,
    Create,
    Delete,
    Node,
    Operation,
    OperationResult,
    SessionState,
    Set,
    Stat,
)
from dcron_common.coordinator.rules import check_operations, check_path, make_missing
from dcron_common.coordinator.store import Store
from dcron_common.coordinator.tree import Changes, Client, Tree
from dcron_common.errors import ConnectionLost, CoordinatorError, NoNode

log = logging.getLogger(__name__)

T = TypeVar("T")

# As ZooKeeper's: the high half counts the starts, so that no number comes twice.
EPOCH_BITS = 32


class LocalEnsemble:
    """The tree and its sessions. Thread-safe. `close` it when no session is needed any more."""

    def __init__(self, path: Path | None = None) -> None:
        """Open or make the state at `path` (a SQLite file); None keeps it in memory only."""
        self._lock = threading.Lock()
        self._store = Store(path) if path else None
        self._tree = Tree(self._store.load() if self._store else None)
        last = self._store.zxid() if self._store else 0
        self._zxid = ((last >> EPOCH_BITS) + 1) << EPOCH_BITS
        self._last_session = self._zxid
        if self._store:
            self._store.write(self._zxid, [])
        self._sessions: dict[int, LocalCoordinator] = {}
        self._closed = False
        self._calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._dispatcher = threading.Thread(
            target=self._dispatch, name="local-coordinator", daemon=True
        )
        self._dispatcher.start()

    def session(self, identity: str = APP) -> LocalCoordinator:
        """A client that is not yet started."""
        return LocalCoordinator(self, identity)

    def close(self) -> None:
        """End the dispatcher and close the file; clients get ConnectionLost from now on."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._sessions.clear()
            if self._store:
                self._store.close()
        self._calls.put(None)
        self._dispatcher.join()

    # Failures, for tests

    def expire(self, session_id: int) -> None:
        """End a session as the server does: its ephemerals go, its client gets a new one.

        A client that is cut off learns of it when it is reconnected.
        """
        with self._lock:
            client = self._sessions.pop(session_id, None)
            self._remove_ephemerals(session_id)
            if client is not None and client.connected:
                self._renew(client)

    def disconnect(self, client: LocalCoordinator) -> None:
        """Cut a client off: every call raises ConnectionLost; its session goes on."""
        with self._lock:
            client.attach(client.session_id, connected=False)
            self._tell(client, SessionState.SUSPENDED)

    def reconnect(self, client: LocalCoordinator) -> None:
        """Let a client in again, by a new session if its own was expired."""
        with self._lock:
            if client.session_id in self._sessions:
                client.attach(client.session_id, connected=True)
                self._tell(client, SessionState.CONNECTED)
                self._wake_all(client)
            else:
                self._renew(client)

    # What clients call

    def open(self, client: LocalCoordinator) -> None:
        """Begin a session, unless the client has one."""
        with self._lock:
            if self._closed:
                raise ConnectionLost("the local coordinator is closed")
            if client.session_id not in self._sessions:
                self._begin(client)

    def leave(self, client: LocalCoordinator, *, keep_session: bool) -> None:
        """End a session, its ephemerals stay if `keep_session`."""
        with self._lock:
            session_id = client.session_id
            client.attach(0, connected=False)
            if self._sessions.pop(session_id, None) is None:
                return
            if not keep_session:
                self._remove_ephemerals(session_id)
            self._tell(client, SessionState.LOST)

    def read(self, client: LocalCoordinator, look: Callable[[Tree, Client], T]) -> T:
        """What `look` finds, between two transactions."""
        with self._lock:
            return look(self._tree, self._admit(client))

    def write(
        self, client: LocalCoordinator, change: Callable[[Tree, Client, int], Changes]
    ) -> Changes:
        """Carry out one change of the tree with the next zxid, on disk before it is seen."""
        with self._lock:
            changes = change(self._tree, self._admit(client), self._zxid + 1)
            self._accept(changes)
            return changes

    def call_later(self, call: Callable[[], None]) -> None:
        """Call from the dispatcher's thread, in order."""
        self._calls.put(call)

    # Under the lock

    def _admit(self, client: LocalCoordinator) -> Client:
        if self._closed or not client.connected or client.session_id not in self._sessions:
            raise ConnectionLost("there is no connection to the local coordinator")
        return Client(client.session_id, client.identity)

    def _accept(self, changes: Changes) -> None:
        rows = self._tree.persistent(changes)
        if rows and self._store:
            try:
                self._store.write(self._zxid + 1, rows)
            except CoordinatorError:
                self._tree.take_back(changes)
                raise
        self._zxid += 1
        paths = self._tree.changed_children(changes)
        for client in self._sessions.values():
            if client.connected:
                for wake in client.wakes(paths):
                    self.call_later(wake)

    def _begin(self, client: LocalCoordinator) -> None:
        self._last_session += 1
        self._sessions[self._last_session] = client
        client.attach(self._last_session, connected=True)
        self._tell(client, SessionState.CONNECTED)
        self._wake_all(client)

    def _renew(self, client: LocalCoordinator) -> None:
        self._tell(client, SessionState.LOST)
        self._begin(client)

    def _remove_ephemerals(self, session_id: int) -> None:
        if not self._closed:
            self._accept(self._tree.remove_owned(session_id))

    def _wake_all(self, client: LocalCoordinator) -> None:
        for wake in client.wakes(None):
            self.call_later(wake)

    def _tell(self, client: LocalCoordinator, state: SessionState) -> None:
        for listener in client.listeners():
            self.call_later(partial(listener, state))

    def _dispatch(self) -> None:
        while (call := self._calls.get()) is not None:
            try:
                call()
            except Exception:  # noqa: BLE001 - the top of a loop: one listener must not end all
                log.exception("a listener or watch failed")


class LocalCoordinator(Coordinator):
    """A client session of a LocalEnsemble."""

    def __init__(self, ensemble: LocalEnsemble, identity: str) -> None:
        self._ensemble = ensemble
        self.identity = identity
        self._session_id = 0
        self._connected = False
        self._watches: list[tuple[str, Callable[[], None]]] = []
        self._listeners: list[Callable[[SessionState], None]] = []

    # What the ensemble calls, under its lock

    def attach(self, session_id: int, *, connected: bool) -> None:
        self._session_id, self._connected = session_id, connected

    def wakes(self, paths: set[str] | None) -> list[Callable[[], None]]:
        """The watches on `paths`, or all."""
        return [wake for path, wake in list(self._watches) if paths is None or path in paths]

    def listeners(self) -> list[Callable[[SessionState], None]]:
        return list(self._listeners)

    # The contract

    @property
    def session_id(self) -> int:
        return self._session_id

    @property
    def connected(self) -> bool:
        return self._connected

    def start(self, timeout: float) -> None:
        self._ensemble.open(self)

    def stop(self, *, keep_session: bool = False) -> None:
        self._ensemble.leave(self, keep_session=keep_session)

    def get(self, path: str) -> Node:
        return self._ensemble.read(self, lambda tree, client: tree.read(client, path))

    def get_many(self, paths: Sequence[str]) -> list[Node | None]:
        return [self._or_none(self.get, path) for path in paths]

    def exists(self, path: str) -> Stat | None:
        return self._ensemble.read(self, lambda tree, client: tree.stat(path))

    def children(self, path: str) -> list[str]:
        return self._ensemble.read(self, lambda tree, client: tree.children(client, path))

    def children_many(self, paths: Sequence[str]) -> list[list[str] | None]:
        return [self._or_none(self.children, path) for path in paths]

    def create(
        self,
        path: str,
        data: bytes = b"",
        *,
        ephemeral: bool = False,
        sequence: bool = False,
        access: Access | None = None,
    ) -> str:
        operation = Create(path, data, ephemeral, access)
        if not sequence:
            return str(self._single(operation))
        check_operations([operation])
        changes = self._ensemble.write(
            self, lambda tree, client, zxid: tree.create_sequence(client, operation, zxid)
        )
        return str(changes.results[0])

    def ensure(self, path: str, access: Access | None = None) -> None:
        make_missing(self, path, access)

    def set(self, path: str, data: bytes, version: int = ANY_VERSION) -> Stat:
        stat = self._single(Set(path, data, version))
        assert isinstance(stat, Stat)  # noqa: S101 - tells mypy what a Set returns
        return stat

    def delete(self, path: str, version: int = ANY_VERSION) -> None:
        self._single(Delete(path, version))

    def set_access(self, path: str, access: Access, version: int = ANY_VERSION) -> None:
        self._ensemble.write(
            self, lambda tree, client, _: tree.set_access(client, path, access, version)
        )

    def commit(self, operations: Sequence[Operation]) -> list[OperationResult]:
        check_operations(operations)
        if not operations:
            return []
        return self._ensemble.write(
            self, lambda tree, client, zxid: tree.apply(client, operations, zxid)
        ).results

    def commit_many(
        self, transactions: Sequence[Sequence[Operation]]
    ) -> list[list[OperationResult] | CoordinatorError]:
        answers: list[list[OperationResult] | CoordinatorError] = []
        for operations in transactions:
            try:
                answers.append(self.commit(operations))
            except CoordinatorError as error:
                answers.append(error)
        return answers

    def sync(self, path: str = "/") -> None:
        self._ensemble.read(self, lambda tree, client: None)

    def watch_children(self, path: str, wake: Callable[[], None]) -> None:
        check_path(path)
        self._watches.append((path, wake))
        if self._connected:
            self._ensemble.call_later(wake)

    def on_session(self, listener: Callable[[SessionState], None]) -> None:
        self._listeners.append(listener)

    def _single(self, operation: Operation) -> OperationResult:
        check_operations([operation])
        changes = self._ensemble.write(
            self, lambda tree, client, zxid: tree.single(client, operation, zxid)
        )
        return changes.results[0]

    @staticmethod
    def _or_none(read: Callable[[str], T], path: str) -> T | None:
        try:
            return read(path)
        except NoNode:
            return None
