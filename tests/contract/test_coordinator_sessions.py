"""What every coordinator promises of sessions and watches: asked of the local one and of a real
ZooKeeper server (TLS)."""

from __future__ import annotations

import pytest

from dcron_common.coordinator.contract import APP, Coordinator, Create, SessionState
from dcron_common.errors import ConnectionLost, CoordinatorError
from tests.contract.services import PATIENCE, Service, Wakes, eventually

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
