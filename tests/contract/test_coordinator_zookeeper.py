"""Of ZooKeeper alone: what has no counterpart without a network."""

from __future__ import annotations

import time

import pytest

from dcron_common.coordinator.contract import APP
from dcron_common.coordinator.zookeeper import ZooKeeperCoordinator
from dcron_common.errors import ConnectionLost
from tests.contract.services import PATIENCE, ZooKeeperService, eventually
from tests.servers.zookeeper import ZooKeeperServer

SLOW = 20.0  # seconds that a busy machine may add; what hangs in a black hole does so for minutes


def test_zookeeper_a_black_hole_is_lost_in_time_and_left(real: ZooKeeperService) -> None:
    coordinator = real.make(APP, request_timeout=1.0)
    coordinator.start(PATIENCE)
    relay = real.relays[id(coordinator)]
    relay.swallow()
    began = time.monotonic()
    with pytest.raises(ConnectionLost):
        coordinator.create(f"{real.root}/doubt")
    assert time.monotonic() - began < 1.0 + SLOW
    eventually(lambda: not coordinator.connected)
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
    assert time.monotonic() - began < 6.0 + SLOW


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
