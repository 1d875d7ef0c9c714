"""The coordination service on a ZooKeeper ensemble, by kazoo.

Failures:
- No request is ever repeated here: the caller decides, because only it knows what repeating means.
- A request waits for a connection up to `request_timeout`, but is not sent if the session has
  changed since the call (SessionExpired: certainly not done).
- No answer within `request_timeout`: ConnectionLost, and the connection is closed, so that a black
  hole is left for another server (under steady requests kazoo itself would not notice one).
- After an expiry kazoo begins a new session by itself; listeners hear LOST, then CONNECTED.
- A server that does not answer a connect costs a fraction of the session timeout, not all of it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from kazoo.client import KazooClient, KazooState
from kazoo.exceptions import KazooException, NoNodeError

from dcron_common.coordinator.contract import (
    ANY_VERSION,
    Access,
    Check,
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
from dcron_common.coordinator.zookeeper_map import (
    FAILURES,
    acl_of,
    error_of,
    results_of,
    stat_of,
)
from dcron_common.coordinator.zookeeper_reads import READS, MultiRead
from dcron_common.coordinator.zookeeper_tls import Handler, Tls, tls_of
from dcron_common.coordinator.zookeeper_watch import ChildrenWatch
from dcron_common.errors import ConnectionLost, CoordinatorError, NoNode, SessionExpired

log = logging.getLogger(__name__)

# Requests in flight together: enough to hide the round trip, few enough for the server's queue.
IN_FLIGHT = 64
# A stop whose goodbye is not answered within this closes the connection all the same.
GOODBYE_SECONDS = 2.0
# Between two rounds over all servers; kazoo's own default grows to a minute.
RECONNECT = {"max_tries": -1, "delay": 0.1, "backoff": 1.5, "max_delay": 1.0}

STATES = {
    KazooState.CONNECTED: SessionState.CONNECTED,
    KazooState.SUSPENDED: SessionState.SUSPENDED,
    KazooState.LOST: SessionState.LOST,
}

Send = Callable[[], Any]  # sends a request, returns kazoo's IAsyncResult


class ZooKeeperCoordinator(Coordinator):
    """One session. `stop` and every request block: not to be called from listeners or watches."""

    def __init__(
        self,
        hosts: Sequence[str],
        *,
        certificate: Path | None,
        key: Path | None,
        ca: Path | None,
        session_timeout: float = 12.0,
        request_timeout: float = 10.0,
        client_id: tuple[int, bytes] | None = None,
    ) -> None:
        """`hosts` are "name:port"; seconds. `client_id` takes an earlier client's session over.

        Without the three files the connection is plain and access lists are not applied: for
        tests only. ConfigError if a file is missing or of no use.
        """
        self._tls: Tls | None = tls_of(certificate, key, ca)
        self._request_timeout = request_timeout
        self._listeners: list[Callable[[SessionState], None]] = []
        self._watches: list[ChildrenWatch] = []
        self._lock = threading.Lock()
        self._connected = threading.Event()
        self._session: tuple[int, bytes] | None = None
        self._stopped = True
        connect_timeout = max(1.0, session_timeout / (2 * len(hosts)))
        self._client = KazooClient(
            hosts=",".join(hosts),
            timeout=session_timeout,
            client_id=client_id,
            handler=Handler(self._tls, connect_timeout),
            connection_retry=RECONNECT,
        )
        self._client.add_listener(self._on_state)

    # The session

    @property
    def session_id(self) -> int:
        session = self._session
        return session[0] if session else 0

    @property
    def client_id(self) -> tuple[int, bytes] | None:
        """The session's number and password, for a successor to take it over. A secret."""
        return self._session

    @property
    def connected(self) -> bool:
        return self._connected.is_set()

    def start(self, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        try:
            self._stopped = False
            self._client.start(timeout=timeout)
        except self._client.handler.timeout_exception as error:
            self._stopped = True
            raise ConnectionLost(
                f"no ZooKeeper server answered within {timeout:g} s: {self._servers()}"
            ) from error
        if not self._connected.wait(max(0.1, deadline - time.monotonic())):
            raise ConnectionLost(f"the connection to {self._servers()} was lost at once")

    def stop(self, *, keep_session: bool = False) -> None:
        self._stopped = True
        patience = threading.Timer(GOODBYE_SECONDS, self._drop)
        patience.daemon = True
        patience.start()
        try:
            if keep_session:
                # kazoo's own stop sends the request that ends the session: say that we stop,
                # then break the connection instead.
                self._client._stopped.set()
                self._drop()
                self._client._safe_close()
            else:
                self._client.stop()
            self._client.close()
        except KazooException as error:
            raise error_of(error) from error
        finally:
            patience.cancel()

    def on_session(self, listener: Callable[[SessionState], None]) -> None:
        self._listeners.append(listener)

    def watch_children(self, path: str, wake: Callable[[], None]) -> None:
        check_path(path)
        watch = ChildrenWatch(self._client, path, wake)
        with self._lock:
            self._watches.append(watch)
        if self.connected:
            watch.arm()

    # Reading

    def get(self, path: str) -> Node:
        check_path(path)
        data, stat = self._ask(lambda: self._client.get_async(path), path)
        return Node(data, stat_of(stat))

    def get_many(self, paths: Sequence[str]) -> list[Node | None]:
        batches = [paths[i : i + READS] for i in range(0, len(paths), READS)]
        answers = self._ask_many([self._sender(self._send_reads, batch) for batch in batches])
        each: list[Any] = []
        for batch, answer in zip(batches, answers, strict=True):
            each += [answer] * len(batch) if isinstance(answer, Exception) else answer
        return self._existing(paths, each)

    def _send_reads(self, paths: Sequence[str]) -> Any:
        answer = self._client.handler.async_result()
        self._client._call(MultiRead(paths), answer)
        return answer

    def exists(self, path: str) -> Stat | None:
        check_path(path)
        stat = self._ask(lambda: self._client.exists_async(path), path)
        return None if stat is None else stat_of(stat)

    def children(self, path: str) -> list[str]:
        check_path(path)
        return sorted(self._ask(lambda: self._client.get_children_async(path), path))

    def children_many(self, paths: Sequence[str]) -> list[list[str] | None]:
        senders = [self._sender(self._client.get_children_async, path) for path in paths]
        return [
            None if found is None else sorted(found)
            for found in self._existing(paths, self._ask_many(senders))
        ]

    def sync(self, path: str = "/") -> None:
        self._ask(lambda: self._client.sync_async(path), path)

    # Writing

    def create(
        self,
        path: str,
        data: bytes = b"",
        *,
        ephemeral: bool = False,
        sequence: bool = False,
        access: Access | None = None,
    ) -> str:
        check_operations([Create(path, data)])
        acl = acl_of(access, secured=self._tls is not None)
        return str(
            self._ask(
                lambda: self._client.create_async(
                    path, data, acl=acl, ephemeral=ephemeral, sequence=sequence
                ),
                path,
            )
        )

    def ensure(self, path: str, access: Access | None = None) -> None:
        make_missing(self, path, access)

    def set(self, path: str, data: bytes, version: int = ANY_VERSION) -> Stat:
        check_operations([Set(path, data)])
        return stat_of(self._ask(lambda: self._client.set_async(path, data, version), path))

    def delete(self, path: str, version: int = ANY_VERSION) -> None:
        check_path(path)
        self._ask(lambda: self._client.delete_async(path, version), path)

    def set_access(self, path: str, access: Access, version: int = ANY_VERSION) -> None:
        check_path(path)
        acl = acl_of(access, secured=self._tls is not None)
        self._ask(lambda: self._client.set_acls_async(path, acl, version), path)

    def commit(self, operations: Sequence[Operation]) -> list[OperationResult]:
        answer = self.commit_many([operations])[0]
        if isinstance(answer, CoordinatorError):
            raise answer
        return answer

    def commit_many(
        self, transactions: Sequence[Sequence[Operation]]
    ) -> list[list[OperationResult] | CoordinatorError]:
        refused: dict[int, CoordinatorError] = {}
        senders: list[Send] = []
        for number, operations in enumerate(transactions):
            try:
                check_operations(operations)
            except CoordinatorError as error:
                refused[number] = error
            else:
                if operations:
                    senders.append(self._sender(self._send_transaction, operations))
        answers = iter(self._ask_many(senders))
        outcome: list[list[OperationResult] | CoordinatorError] = []
        for number, operations in enumerate(transactions):
            if number in refused:
                outcome.append(refused[number])
            elif not operations:
                outcome.append([])
            else:
                outcome.append(results_of(operations, next(answers)))
        return outcome

    def _send_transaction(self, operations: Sequence[Operation]) -> Any:
        transaction = self._client.transaction()
        for operation in operations:
            match operation:
                case Create(path, data, ephemeral, access):
                    acl = acl_of(access, secured=self._tls is not None)
                    transaction.create(path, data, acl=acl, ephemeral=ephemeral)
                case Set(path, data, version):
                    transaction.set_data(path, data, version)
                case Delete(path, version):
                    transaction.delete(path, version)
                case Check(path, version):
                    transaction.check(path, version)
        return transaction.commit_async()

    # Requests

    def _ask(self, send: Send, path: str) -> Any:
        """Send one request and wait for its answer; the errors of the contract."""
        answer = self._ask_many([send])[0]
        if isinstance(answer, NoNodeError):
            raise NoNode(path) from answer
        if isinstance(answer, CoordinatorError):
            raise answer
        if isinstance(answer, Exception):
            raise error_of(answer, path) from answer
        return answer

    def _ask_many(self, senders: Sequence[Send]) -> list[Any]:
        """Send requests in order, at most IN_FLIGHT unanswered; an answer or error for each.

        After a ConnectionLost nothing more is sent: the rest are lost too, and certainly not done.
        """
        answers: list[Any] = []
        if not senders:
            return answers
        lost = self._await_connection()
        session = self._session
        flight: deque[Any] = deque()
        for send in senders:
            if len(flight) >= IN_FLIGHT:
                answers.append(self._receive(flight.popleft()))
            if lost is None and (not self.connected or self._session != session):
                lost = ConnectionLost("the connection was lost before the request was sent")
            flight.append(lost if lost is not None else send())
        answers.extend(self._receive(each) for each in flight)
        return answers

    def _receive(self, pending: Any) -> Any:
        """A request's answer, or its error as a value."""
        if isinstance(pending, CoordinatorError):
            return pending
        try:
            return pending.get(timeout=self._request_timeout)
        except self._client.handler.timeout_exception:
            log.warning("no answer within %g s: closing the connection", self._request_timeout)
            self._drop()
            return ConnectionLost(f"no answer within {self._request_timeout:g} s")
        except FAILURES as error:
            return error

    def _await_connection(self) -> CoordinatorError | None:
        """Wait until requests can be sent; the reason if they cannot."""
        if self._stopped:
            return ConnectionLost("this coordinator is not started")
        before = self._session
        if not self._connected.wait(self._request_timeout):
            return ConnectionLost(
                f"no ZooKeeper server answered within {self._request_timeout:g} s: "
                f"{self._servers()}"
            )
        if before is not None and self._session != before:
            return SessionExpired("the session ended before the request was sent")
        return None

    @staticmethod
    def _sender(method: Callable[[Any], Any], argument: Any) -> Send:
        return lambda: method(argument)

    @staticmethod
    def _existing(paths: Iterable[str], answers: Iterable[Any]) -> list[Any]:
        """Answers with None where there is no node; any other error is raised."""
        found: list[Any] = []
        for path, answer in zip(paths, answers, strict=True):
            if isinstance(answer, NoNodeError):
                found.append(None)
            elif isinstance(answer, CoordinatorError):
                raise answer
            elif isinstance(answer, Exception):
                raise error_of(answer, path) from answer
            else:
                found.append(answer)
        return found

    # The connection

    def _drop(self) -> None:
        """Close the connection so that kazoo connects anew; the session goes on."""
        Handler.break_off(self._client._connection._socket)

    def _on_state(self, state: str) -> None:
        """kazoo's listener, in its connection thread: must not block."""
        if state == KazooState.CONNECTED:
            self._session = self._client.client_id
            self._connected.set()
            with self._lock:
                watches = list(self._watches)
            for watch in watches:
                watch.arm()
        else:
            self._connected.clear()
            if state == KazooState.LOST:
                self._session = None
        for listener in list(self._listeners):
            listener(STATES[state])

    def _servers(self) -> str:
        return ", ".join(f"{host}:{port}" for host, port in self._client.hosts)
