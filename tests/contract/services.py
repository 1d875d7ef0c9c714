"""The local coordinator and a real ZooKeeper (TLS) as services of one kind that tests can hurt."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from itertools import count

import pytest

from dcron_common.coordinator.contract import APP, Coordinator, Operation
from dcron_common.coordinator.local import LocalCoordinator, LocalEnsemble
from dcron_common.coordinator.zookeeper import ZooKeeperCoordinator
from dcron_common.errors import TransactionFailed
from tests.servers.relay import Relay
from tests.servers.zookeeper import ZooKeeperServer

PATIENCE = 60.0
_numbers = count()


class Service(ABC):
    """A coordination service and how to hurt it. `root` is an empty node of this test's own."""

    root: str

    def __init__(self) -> None:
        self.opened: list[Coordinator] = []

    def connect(self, identity: str = APP) -> Coordinator:
        """A started session."""
        coordinator = self.make(identity)
        coordinator.start(PATIENCE)
        self.opened.append(coordinator)
        return coordinator

    @abstractmethod
    def make(self, identity: str) -> Coordinator: ...

    @abstractmethod
    def expire(self, coordinator: Coordinator) -> None:
        """End its session as the server does when nothing was heard from it."""

    @abstractmethod
    def cut(self, coordinator: Coordinator) -> None:
        """Take the connection away, until `heal`."""

    @abstractmethod
    def heal(self, coordinator: Coordinator) -> None: ...

    def close(self) -> None:
        for coordinator in self.opened:
            coordinator.stop()


class LocalService(Service):
    def __init__(self) -> None:
        super().__init__()
        self.ensemble = LocalEnsemble()

    def make(self, identity: str) -> Coordinator:
        return self.ensemble.session(identity)

    def expire(self, coordinator: Coordinator) -> None:
        self.ensemble.expire(coordinator.session_id)

    def cut(self, coordinator: Coordinator) -> None:
        assert isinstance(coordinator, LocalCoordinator)
        self.ensemble.disconnect(coordinator)

    def heal(self, coordinator: Coordinator) -> None:
        assert isinstance(coordinator, LocalCoordinator)
        self.ensemble.reconnect(coordinator)

    def close(self) -> None:
        super().close()
        self.ensemble.close()


class ZooKeeperService(Service):
    def __init__(self, server: ZooKeeperServer) -> None:
        super().__init__()
        self.server = server
        self.relays: dict[int, Relay] = {}

    def make(
        self, identity: str, client_id: tuple[int, bytes] | None = None, request_timeout: float = 2
    ) -> ZooKeeperCoordinator:
        relay = Relay(self.server.tls_port).__enter__()
        certificate = self.server.issue(identity)
        coordinator = ZooKeeperCoordinator(
            [f"127.0.0.1:{relay.port}"],
            certificate=certificate.certificate,
            key=certificate.key,
            ca=self.server.ca,
            session_timeout=6.0,
            request_timeout=request_timeout,
            client_id=client_id,
        )
        self.relays[id(coordinator)] = relay
        return coordinator

    def expire(self, coordinator: Coordinator) -> None:
        """Take the session over and end it: the server then tells its client that it is over."""
        assert isinstance(coordinator, ZooKeeperCoordinator)
        usurper = self.make(APP, coordinator.client_id)
        usurper.start(PATIENCE)
        usurper.stop()

    def cut(self, coordinator: Coordinator) -> None:
        self.relays[id(coordinator)].cut()
        eventually(lambda: not coordinator.connected)

    def heal(self, coordinator: Coordinator) -> None:
        self.relays[id(coordinator)].heal()
        eventually(lambda: coordinator.connected)

    def close(self) -> None:
        super().close()
        for relay in self.relays.values():
            relay.__exit__(None, None, None)


def make_service(request: pytest.FixtureRequest, kind: str) -> Iterator[Service]:
    service: Service
    if kind == "local":
        service = LocalService()
    else:
        service = ZooKeeperService(request.getfixturevalue("zookeeper_server"))
    service.root = f"/test-{next(_numbers)}"
    try:
        service.connect().ensure(service.root)
        yield service
    finally:
        service.close()


def eventually(condition: Callable[[], bool], seconds: float = PATIENCE) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def failed(coordinator: Coordinator, *operations: Operation) -> TransactionFailed:
    with pytest.raises(TransactionFailed) as caught:
        coordinator.commit(operations)
    return caught.value


class Wakes:
    """Counts the calls of a watch."""

    def __init__(self) -> None:
        self.times = 0
        self._woken = threading.Event()

    def __call__(self) -> None:
        self.times += 1
        self._woken.set()

    def expect(self, cause: Callable[[], object]) -> None:
        """`cause` wakes us."""
        self._woken.clear()
        cause()
        assert self._woken.wait(PATIENCE)

    def settle(self) -> None:
        """Wait until no call came for a while."""
        while self._woken.wait(0.3):
            self._woken.clear()
