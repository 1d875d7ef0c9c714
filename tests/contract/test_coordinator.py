"""What every coordinator promises: asked of the local one and of a real ZooKeeper server (TLS)."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count

import pytest

from dcron_common.coordinator.contract import (
    ANY_VERSION,
    ANYONE,
    APP,
    Check,
    Coordinator,
    Create,
    Delete,
    Operation,
    SessionState,
    Set,
    Stat,
)
from dcron_common.coordinator.local import LocalCoordinator, LocalEnsemble
from dcron_common.coordinator.zookeeper import ZooKeeperCoordinator
from dcron_common.errors import (
    BadVersion,
    ConnectionLost,
    CoordinatorError,
    NoAuth,
    NodeExists,
    NoNode,
    NotEmpty,
    TransactionFailed,
)
from tests.servers.relay import Relay
from tests.servers.zookeeper import ZooKeeperServer

PATIENCE = 15.0
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


@pytest.fixture(params=["local", "zookeeper"])
def service(request: pytest.FixtureRequest) -> Iterator[Service]:
    yield from make_service(request, request.param)


@pytest.fixture
def real(request: pytest.FixtureRequest) -> Iterator[ZooKeeperService]:
    for service in make_service(request, "zookeeper"):
        assert isinstance(service, ZooKeeperService)
        yield service


@pytest.fixture
def coordinator(service: Service) -> Coordinator:
    return service.opened[0]


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


# Nodes


def test_a_made_node_is_read_back_at_version_0(service: Service, coordinator: Coordinator) -> None:
    assert coordinator.create(f"{service.root}/a", b"text") == f"{service.root}/a"
    node = coordinator.get(f"{service.root}/a")
    assert (node.data, node.stat.version, node.stat.ephemeral_owner) == (b"text", 0, 0)
    assert node.stat.created_zxid == node.stat.modified_zxid > 0


def test_each_set_raises_the_version_by_one(service: Service, coordinator: Coordinator) -> None:
    path = coordinator.create(f"{service.root}/a")
    assert coordinator.set(path, b"1").version == 1
    stat = coordinator.set(path, b"2", version=1)
    assert stat.version == 2
    assert coordinator.get(path).stat == stat
    assert stat.modified_zxid > stat.created_zxid


def test_a_set_or_delete_of_a_stale_version_is_refused(
    service: Service, coordinator: Coordinator
) -> None:
    path = coordinator.create(f"{service.root}/a")
    coordinator.set(path, b"1")
    with pytest.raises(BadVersion):
        coordinator.set(path, b"2", version=0)
    with pytest.raises(BadVersion):
        coordinator.delete(path, version=0)
    assert coordinator.get(path).data == b"1"
    coordinator.delete(path, version=1)
    assert coordinator.exists(path) is None


def test_a_node_made_again_starts_at_version_0(service: Service, coordinator: Coordinator) -> None:
    path = coordinator.create(f"{service.root}/a")
    coordinator.set(path, b"1")
    coordinator.delete(path)
    coordinator.create(path)
    assert coordinator.get(path).stat.version == 0


def test_a_node_that_is_not_there_is_told_so(service: Service, coordinator: Coordinator) -> None:
    path = f"{service.root}/none"
    assert coordinator.exists(path) is None
    for call in (
        lambda: coordinator.get(path),
        lambda: coordinator.children(path),
        lambda: coordinator.set(path, b""),
        lambda: coordinator.delete(path),
        lambda: coordinator.create(f"{path}/below"),
        lambda: coordinator.set_access(path, ((APP, "r"),)),
    ):
        with pytest.raises(NoNode):
            call()


def test_a_second_node_of_the_same_name_is_refused(
    service: Service, coordinator: Coordinator
) -> None:
    coordinator.create(f"{service.root}/a", b"first")
    with pytest.raises(NodeExists):
        coordinator.create(f"{service.root}/a", b"second")
    assert coordinator.get(f"{service.root}/a").data == b"first"


def test_a_node_with_children_is_not_deleted(service: Service, coordinator: Coordinator) -> None:
    coordinator.create(f"{service.root}/a")
    coordinator.create(f"{service.root}/a/b")
    with pytest.raises(NotEmpty):
        coordinator.delete(f"{service.root}/a")


def test_children_are_names_in_order_and_counted(
    service: Service, coordinator: Coordinator
) -> None:
    for name in ("c", "a", "b"):
        coordinator.create(f"{service.root}/{name}")
    assert coordinator.children(service.root) == ["a", "b", "c"]
    stat = coordinator.exists(service.root)
    assert stat is not None and stat.children == 3


def test_sequence_numbers_rise_and_are_never_used_twice(
    service: Service, coordinator: Coordinator
) -> None:
    prefix = f"{service.root}/n-"
    first = coordinator.create(prefix, sequence=True)
    assert first == f"{prefix}0000000000"
    second = coordinator.create(prefix, sequence=True)
    coordinator.delete(second)
    third = coordinator.create(prefix, sequence=True, ephemeral=True)
    assert [path[-10:] for path in (second, third)] == ["0000000001", "0000000002"]


def test_ensure_makes_what_is_missing_and_keeps_the_rest(
    service: Service, coordinator: Coordinator
) -> None:
    coordinator.create(f"{service.root}/a", b"kept")
    coordinator.ensure(f"{service.root}/a/b/c")
    coordinator.ensure(f"{service.root}/a/b/c")
    assert coordinator.get(f"{service.root}/a").data == b"kept"
    assert coordinator.children(f"{service.root}/a/b") == ["c"]


def test_many_are_read_in_their_order_with_none_for_the_missing(
    service: Service, coordinator: Coordinator
) -> None:
    paths = [f"{service.root}/{number:03}" for number in range(200)]
    made = paths[::2]
    coordinator.commit_many([[Create(path, path.encode())] for path in made])
    nodes = coordinator.get_many(paths)
    assert [node.data if node else None for node in nodes] == [
        path.encode() if path in made else None for path in paths
    ]
    lists = coordinator.children_many([service.root, f"{service.root}/none"])
    assert lists == [[path.rpartition("/")[2] for path in made], None]


@pytest.mark.parametrize("path", ["", "a", "/a/", "/a//b", "/a/../b", "/a\0b"])
def test_a_malformed_path_is_refused(coordinator: Coordinator, path: str) -> None:
    with pytest.raises(CoordinatorError, match="no node's path"):
        coordinator.create(path)


def test_too_large_a_request_is_refused_before_it_is_sent(
    service: Service, coordinator: Coordinator
) -> None:
    with pytest.raises(CoordinatorError, match="split them"):
        coordinator.create(f"{service.root}/a", bytes(1_000_001))
    assert coordinator.connected
    coordinator.create(f"{service.root}/b", bytes(990_000))


# Transactions


def test_a_transaction_answers_each_operation(service: Service, coordinator: Coordinator) -> None:
    old = coordinator.create(f"{service.root}/old")
    fence = coordinator.create(f"{service.root}/fence")
    results = coordinator.commit(
        [Create(f"{service.root}/new", b"x"), Set(fence, b"y", 0), Delete(old), Check(fence, 1)]
    )
    assert results[0] == f"{service.root}/new"
    assert isinstance(results[1], Stat) and results[1].version == 1
    assert results[2:] == [None, None]
    assert coordinator.children(service.root) == ["fence", "new"]


@pytest.mark.parametrize(
    ("operation", "cause"),
    [
        (Create("fence"), NodeExists),
        (Create("none/below"), NoNode),
        (Set("fence", b"", 7), BadVersion),
        (Set("none", b""), NoNode),
        (Delete("fence", 7), BadVersion),
        (Delete("full"), NotEmpty),
        (Delete("none"), NoNode),
        (Check("fence", 7), BadVersion),
        (Check("none", ANY_VERSION), NoNode),
    ],
)
def test_a_transaction_that_fails_names_the_operation_and_does_nothing(
    service: Service,
    coordinator: Coordinator,
    operation: Operation,
    cause: type[CoordinatorError],
) -> None:
    root = service.root
    coordinator.commit([Create(f"{root}/{name}") for name in ("fence", "full", "full/child")])
    at_fault = replace(operation, path=f"{root}/{operation.path}")
    error = failed(
        coordinator,
        Create(f"{root}/new"),
        Set(f"{root}/fence", b"changed"),
        at_fault,
        Create(f"{root}/newer"),
    )
    assert (error.index, type(error.cause)) == (2, cause)
    assert coordinator.children(root) == ["fence", "full"]
    assert coordinator.get(f"{root}/fence").stat.version == 0


def test_later_operations_see_what_earlier_ones_did(
    service: Service, coordinator: Coordinator
) -> None:
    path = f"{service.root}/a"
    coordinator.commit(
        [Create(path), Create(f"{path}/b"), Set(path, b"1", 0), Delete(f"{path}/b"), Check(path, 1)]
    )
    error = failed(coordinator, Delete(path), Check(path, 1))
    assert (error.index, type(error.cause)) == (1, NoNode)
    assert coordinator.children(path) == []


def test_an_empty_transaction_does_nothing(coordinator: Coordinator) -> None:
    assert coordinator.commit([]) == []
    assert coordinator.commit_many([[], []]) == [[], []]


def test_of_many_transactions_each_has_its_own_outcome(
    service: Service, coordinator: Coordinator
) -> None:
    fence = coordinator.create(f"{service.root}/fence")
    transactions: list[list[Operation]] = [
        [Check(fence, number % 2), Create(f"{service.root}/{number:03}")] for number in range(300)
    ]
    outcomes = coordinator.commit_many(transactions)
    assert [isinstance(outcome, TransactionFailed) for outcome in outcomes] == [False, True] * 150
    assert len(coordinator.children(service.root)) == 151


def test_of_two_claims_of_the_same_version_one_wins(service: Service) -> None:
    sessions = [service.connect() for _ in range(4)]
    fence = sessions[0].create(f"{service.root}/fence")
    outcomes: list[object] = []

    def claim(session: Coordinator) -> None:
        try:
            outcomes.append(session.commit([Set(fence, b"mine", 0)]))
        except TransactionFailed as error:
            outcomes.append(error.cause)

    threads = [threading.Thread(target=claim, args=(session,)) for session in sessions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(isinstance(outcome, list) for outcome in outcomes) == 1
    assert sum(isinstance(outcome, BadVersion) for outcome in outcomes) == 3


# Sessions and ephemeral nodes


def test_an_ephemeral_node_names_its_owner_and_has_no_children(
    service: Service, coordinator: Coordinator
) -> None:
    path = coordinator.create(f"{service.root}/e", ephemeral=True)
    assert coordinator.get(path).stat.ephemeral_owner == coordinator.session_id != 0
    with pytest.raises(CoordinatorError, match="ephemeral and cannot have children"):
        coordinator.create(f"{path}/below")


def test_ephemeral_nodes_go_when_their_session_is_stopped(service: Service) -> None:
    one, other = service.connect(), service.connect()
    assert one.session_id != other.session_id
    one.commit([Create(f"{service.root}/e", ephemeral=True), Create(f"{service.root}/p")])
    other.sync()
    assert other.children(service.root) == ["e", "p"]
    one.stop()
    eventually(lambda: other.children(service.root) == ["p"])
    assert one.session_id == 0


def test_ephemeral_nodes_stay_when_the_session_is_kept(service: Service) -> None:
    one, other = service.connect(), service.connect()
    owner = one.session_id
    path = one.create(f"{service.root}/e", ephemeral=True)
    one.stop(keep_session=True)
    assert other.get(path).stat.ephemeral_owner == owner


def test_an_expired_session_loses_its_ephemerals_and_gets_a_new_number(service: Service) -> None:
    one, other = service.connect(), service.connect()
    states: list[SessionState] = []
    one.on_session(states.append)
    path = one.create(f"{service.root}/e", ephemeral=True)
    number = one.session_id
    service.expire(one)
    eventually(lambda: other.exists(path) is None)
    eventually(lambda: one.session_id not in (0, number))
    eventually(lambda: states[-2:] == [SessionState.LOST, SessionState.CONNECTED])
    one.create(path, ephemeral=True)
    assert one.get(path).stat.ephemeral_owner == one.session_id


def test_an_interrupted_session_goes_on_with_its_ephemerals(service: Service) -> None:
    one, other = service.connect(), service.connect()
    states: list[SessionState] = []
    one.on_session(states.append)
    number = one.session_id
    path = one.create(f"{service.root}/e", ephemeral=True)
    service.cut(one)
    with pytest.raises(ConnectionLost):
        one.get(path)
    assert other.exists(path) is not None
    service.heal(one)
    assert one.get(path).stat.ephemeral_owner == one.session_id == number
    eventually(lambda: states == [SessionState.SUSPENDED, SessionState.CONNECTED])


def test_a_session_that_expires_while_cut_off_learns_of_it_on_its_return(service: Service) -> None:
    one, other = service.connect(), service.connect()
    states: list[SessionState] = []
    one.on_session(states.append)
    path = one.create(f"{service.root}/e", ephemeral=True)
    number = one.session_id
    service.cut(one)
    service.expire(one)
    eventually(lambda: other.exists(path) is None)
    assert SessionState.LOST not in states
    service.heal(one)
    eventually(lambda: one.session_id not in (0, number))
    eventually(lambda: states[-2:] == [SessionState.LOST, SessionState.CONNECTED])


def test_without_a_connection_every_transaction_of_many_is_lost(
    service: Service, coordinator: Coordinator
) -> None:
    service.cut(coordinator)
    outcomes = coordinator.commit_many([[Create(f"{service.root}/{n}")] for n in range(3)])
    assert all(isinstance(outcome, ConnectionLost) for outcome in outcomes)
    service.heal(coordinator)
    coordinator.sync()
    assert coordinator.children(service.root) == []


def test_before_its_start_and_after_its_stop_a_coordinator_says_lost(service: Service) -> None:
    coordinator = service.make(APP)
    with pytest.raises(ConnectionLost):
        coordinator.exists("/")
    assert (coordinator.connected, coordinator.session_id) == (False, 0)
    coordinator.start(PATIENCE)
    assert coordinator.connected
    coordinator.stop()
    with pytest.raises(ConnectionLost):
        coordinator.exists("/")
    coordinator.stop()


def test_what_one_session_committed_another_reads_after_a_sync(service: Service) -> None:
    one, other = service.connect(), service.connect()
    for number in range(50):
        one.create(f"{service.root}/{number:02}")
        other.sync()
        assert len(other.children(service.root)) == number + 1


# Watches


def test_a_watch_wakes_at_its_start_and_at_each_change_of_the_children(service: Service) -> None:
    one, other = service.connect(), service.connect()
    wakes = Wakes()
    wakes.expect(lambda: one.watch_children(service.root, wakes))
    wakes.expect(lambda: other.create(f"{service.root}/a"))
    wakes.expect(lambda: other.create(f"{service.root}/b"))
    wakes.expect(lambda: other.delete(f"{service.root}/a"))
    wakes.expect(lambda: one.create(f"{service.root}/e", ephemeral=True))


def test_a_watch_does_not_wake_for_data(service: Service, coordinator: Coordinator) -> None:
    coordinator.create(f"{service.root}/a")
    wakes = Wakes()
    wakes.expect(lambda: coordinator.watch_children(service.root, wakes))
    wakes.settle()
    before = wakes.times
    coordinator.set(f"{service.root}/a", b"1")
    coordinator.set(service.root, b"1")
    wakes.settle()
    assert wakes.times == before


def test_a_watch_may_be_set_before_its_node_exists_and_outlives_it(
    service: Service, coordinator: Coordinator
) -> None:
    path = f"{service.root}/later"
    wakes = Wakes()
    wakes.expect(lambda: coordinator.watch_children(path, wakes))
    for _ in range(2):
        wakes.expect(lambda: coordinator.create(path))
        wakes.expect(lambda: coordinator.create(f"{path}/child"))
        wakes.expect(lambda: coordinator.delete(f"{path}/child"))
        wakes.settle()
        wakes.expect(lambda: coordinator.delete(path))
        wakes.settle()


def test_a_watch_wakes_after_a_reconnection_and_goes_on(service: Service) -> None:
    one, other = service.connect(), service.connect()
    wakes = Wakes()
    wakes.expect(lambda: one.watch_children(service.root, wakes))
    service.cut(one)
    other.create(f"{service.root}/meanwhile")
    wakes.expect(lambda: service.heal(one))
    wakes.settle()
    wakes.expect(lambda: other.create(f"{service.root}/after"))


def test_a_watch_wakes_after_an_expiry_and_goes_on(service: Service) -> None:
    one, other = service.connect(), service.connect()
    wakes = Wakes()
    wakes.expect(lambda: one.watch_children(service.root, wakes))
    wakes.settle()
    wakes.expect(lambda: service.expire(one))
    wakes.settle()
    wakes.expect(lambda: other.create(f"{service.root}/after"))


def test_a_watch_set_before_the_start_wakes_after_it(service: Service) -> None:
    coordinator = service.make(APP)
    wakes = Wakes()
    coordinator.watch_children(service.root, wakes)
    wakes.expect(lambda: coordinator.start(PATIENCE))
    wakes.settle()
    wakes.expect(lambda: coordinator.create(f"{service.root}/a"))
    coordinator.stop()


# Rights


def test_without_an_access_list_a_node_is_the_apps_alone(service: Service) -> None:
    app, worker = service.connect(), service.connect("node1")
    path = app.create(f"{service.root}/a", b"secret")
    assert worker.exists(path) is not None
    for call in (
        lambda: worker.get(path),
        lambda: worker.children(path),
        lambda: worker.set(path, b""),
        lambda: worker.create(f"{path}/b"),
        lambda: worker.delete(path),
        lambda: worker.set_access(path, ((ANYONE, "rwcda"),)),
    ):
        with pytest.raises(NoAuth):
            call()


def test_an_access_list_gives_a_worker_what_it_says(service: Service) -> None:
    app, one, other = service.connect(), service.connect("node1"), service.connect("node2")
    path = f"{service.root}/a"
    app.create(path, b"x", access=((APP, "rwcda"), ("node1", "rc")))
    assert one.get(path).data == b"x"
    made = one.create(f"{path}/b", b"mine", access=(("node1", "rw"), (APP, "rwcda")))
    one.set(made, b"again")
    with pytest.raises(NoAuth):
        one.set(path, b"y")
    with pytest.raises(NoAuth):
        one.delete(made)
    with pytest.raises(NoAuth):
        other.get(path)
    error = failed(one, Check(made, 1), Set(path, b"y"))
    assert (error.index, type(error.cause)) == (1, NoAuth)
    app.delete(made)


def test_anyone_is_every_client_of_the_cluster_and_a_list_can_be_replaced(
    service: Service,
) -> None:
    app, worker = service.connect(), service.connect("node1")
    path = app.create(f"{service.root}/a", access=((ANYONE, "r"), (APP, "rwcda")))
    assert worker.get(path).stat.version == 0
    app.set_access(path, ((APP, "rwcda"),))
    with pytest.raises(NoAuth):
        worker.get(path)
    assert app.get(path).stat.version == 0


def test_an_access_list_has_a_version_of_its_own(service: Service) -> None:
    app, worker = service.connect(), service.connect("node1")
    path = app.create(f"{service.root}/a")
    assert app.set(path, b"1").access_version == 0
    app.set_access(path, ((APP, "rwcda"),), version=0)
    app.set_access(path, ((APP, "rwcda"),))
    stat = app.get(path).stat
    assert (stat.version, stat.access_version) == (1, 2)
    for stale in (0, 1, 3):
        with pytest.raises(BadVersion):
            app.set_access(path, ((APP, "rwcda"), ("node1", "r")), version=stale)
    with pytest.raises(NoAuth):
        worker.get(path)
    assert app.exists(path) == stat
    app.set_access(path, ((APP, "rwcda"), ("node1", "r")), version=2)
    assert worker.get(path).stat.access_version == 3


def test_a_node_made_again_has_an_access_list_at_version_0(
    service: Service, coordinator: Coordinator
) -> None:
    path = coordinator.create(f"{service.root}/a")
    coordinator.set_access(path, ((APP, "rwcda"),))
    coordinator.delete(path)
    coordinator.create(path)
    coordinator.set_access(path, ((APP, "rwcda"),), version=0)
    assert coordinator.get(path).stat.access_version == 1


# ZooKeeper alone: what has no counterpart without a network


def test_zookeeper_a_black_hole_is_lost_in_time_and_left(real: ZooKeeperService) -> None:
    coordinator = real.make(APP, request_timeout=1.0)
    coordinator.start(PATIENCE)
    relay = real.relays[id(coordinator)]
    relay.swallow()
    began = time.monotonic()
    with pytest.raises(ConnectionLost):
        coordinator.create(f"{real.root}/doubt")
    assert time.monotonic() - began < 2.0
    eventually(lambda: not coordinator.connected, 1.0)
    number = coordinator.session_id
    relay.heal()
    eventually(lambda: coordinator.connected)
    assert coordinator.session_id == number
    coordinator.sync()
    coordinator.exists(f"{real.root}/doubt")  # either is right; that it can be asked is the point
    coordinator.stop()


def test_zookeeper_a_stop_in_a_black_hole_ends_in_time(real: ZooKeeperService) -> None:
    coordinator = real.make(APP)
    coordinator.start(PATIENCE)
    real.relays[id(coordinator)].swallow()
    began = time.monotonic()
    coordinator.stop()
    assert time.monotonic() - began < 6.0


def test_zookeeper_a_successor_takes_the_session_over(real: ZooKeeperService) -> None:
    first = real.make(APP)
    first.start(PATIENCE)
    path = first.create(f"{real.root}/e", ephemeral=True)
    kept = first.client_id
    first.stop(keep_session=True)
    successor = real.make(APP, kept)
    successor.start(PATIENCE)
    assert kept is not None and successor.session_id == kept[0]
    assert successor.get(path).stat.ephemeral_owner == successor.session_id
    successor.stop()
    assert real.opened[0].exists(path) is None


def test_zookeeper_a_successor_of_an_ended_session_gets_a_new_one(real: ZooKeeperService) -> None:
    first = real.make(APP)
    first.start(PATIENCE)
    kept = first.client_id
    first.stop()
    successor = real.make(APP, kept)
    successor.start(PATIENCE)
    assert kept is not None and successor.session_id not in (0, kept[0])
    successor.stop()


def test_zookeeper_a_server_by_another_authority_is_refused(
    real: ZooKeeperService, tmp_path_factory: pytest.TempPathFactory
) -> None:
    foreign = ZooKeeperServer(tmp_path_factory.mktemp("foreign"))  # never started: for its CA
    certificate = real.server.issue(APP)
    coordinator = ZooKeeperCoordinator(
        [f"127.0.0.1:{real.server.tls_port}"],
        certificate=certificate.certificate,
        key=certificate.key,
        ca=foreign.ca,
    )
    with pytest.raises(ConnectionLost, match="no ZooKeeper server answered"):
        coordinator.start(1.5)


def test_zookeeper_a_server_under_another_name_is_refused(real: ZooKeeperService) -> None:
    certificate = real.server.issue(APP)
    coordinator = ZooKeeperCoordinator(
        [f"localhost:{real.server.tls_port}"],  # its certificate says 127.0.0.1
        certificate=certificate.certificate,
        key=certificate.key,
        ca=real.server.ca,
    )
    with pytest.raises(ConnectionLost):
        coordinator.start(1.5)


def test_zookeeper_can_be_used_plain_for_tests(real: ZooKeeperService) -> None:
    coordinator = ZooKeeperCoordinator(
        [f"127.0.0.1:{real.server.plain_port}"], certificate=None, key=None, ca=None
    )
    coordinator.start(PATIENCE)
    path = coordinator.create("/plain-", b"x", sequence=True)
    assert coordinator.get(path).data == b"x"
    coordinator.stop()
