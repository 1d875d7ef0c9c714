"""The beat goes on whatever happens, and the lease follows it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace

import pytest

from dcron_common import paths, timing
from dcron_common.clock import Clock, offset
from dcron_common.coordinator.contract import ANY_VERSION, Stat, shared_with
from dcron_common.coordinator.local import LocalCoordinator, LocalEnsemble
from dcron_common.errors import ConfigError, ConnectionLost
from dcron_common.protocol import Registration
from dcron_worker.membership import Membership
from tests.integration.launcher.stage import wait_until

MINE = Registration(
    worker="node1",
    boot_id="boot-1",
    started="1.0",
    address="10.0.0.1",
    labels={},
    capacity=1,
    version="0",
    ticked_through=0,
)
OTHERS = replace(MINE, boot_id="boot-2", address="10.0.0.2")
PATH = paths.registration("node1")


class Node:
    """A worker's membership with a lease whose disk can fail, at a time of the test's choice."""

    def __init__(self, ensemble: LocalEnsemble) -> None:
        self.app = ensemble.session()
        self.app.start(0)
        self.app.ensure(paths.WORKERS)
        self.app.ensure(paths.worker("node1"), shared_with("node1", "rcd"))
        self.session: LocalCoordinator = ensemble.session("node1")
        self.session.start(0)
        self.now = 100.0
        self.lease = 0.0
        self.tries = 0
        self.failure: OSError | None = None
        self.adoptions = 0
        self.membership = Membership(
            self.session,
            MINE,
            Clock(wall=lambda: self.now, boot=lambda: self.now),
            renew=self._renew,
            on_session=self._adopt,
        )

    def _renew(self, until: float) -> None:
        self.tries += 1
        if self.failure:
            raise self.failure
        self.lease = until

    def _adopt(self) -> None:
        self.adoptions += 1

    def registered(self) -> Registration:
        return Registration.decode(self.app.get(PATH).data)


@pytest.fixture
def ensemble() -> Iterator[LocalEnsemble]:
    ensemble = LocalEnsemble()
    yield ensemble
    ensemble.close()


@pytest.fixture
def node(ensemble: LocalEnsemble) -> Node:
    return Node(ensemble)


def lines(caplog: pytest.LogCaptureFixture, text: str) -> list[logging.LogRecord]:
    return [record for record in caplog.records if text in record.getMessage()]


def test_p4_the_lease_runs_from_the_sending_of_a_committed_beat(node: Node) -> None:
    node.membership.register()
    node.now = 150.0
    node.membership.beat()
    assert node.lease == 150.0 + timing.LEASE
    assert node.registered().beat == 1


def test_p4_a_connection_that_only_the_library_believes_in_renews_nothing(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    node.membership.register()

    def swallowed(path: str, data: bytes, version: int = ANY_VERSION) -> Stat:
        raise ConnectionLost("no answer")

    monkeypatch.setattr(node.session, "set", swallowed)
    node.now = 108.0
    node.membership.try_to_beat()
    assert node.session.connected
    assert node.lease == 100.0 + timing.LEASE


def test_a_cut_off_worker_does_not_renew_and_says_so_once(
    ensemble: LocalEnsemble, node: Node, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    node.membership.register()
    ensemble.disconnect(node.session)
    for _ in range(3):
        node.membership.try_to_beat()
    assert node.lease == 100.0 + timing.LEASE
    (told,) = lines(caplog, "no beat")
    assert not told.exc_info
    ensemble.reconnect(node.session)
    node.membership.try_to_beat()
    node.membership.try_to_beat()
    assert len(lines(caplog, "beats again")) == 1


def test_a_lease_that_cannot_be_written_ends_no_beat_and_is_told_in_the_registration(
    node: Node, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    node.membership.register()
    node.membership.update(ticked_through=60, ill=["crond"])
    node.failure = OSError(28, "No space left on device")
    for _ in range(3):
        node.membership.try_to_beat()
    assert (node.registered().beat, node.registered().ill) == (3, ["crond", "lease"])
    (told,) = lines(caplog, "No space left")
    assert told.exc_info
    node.failure = None
    node.now = 200.0
    node.membership.try_to_beat()
    assert node.lease == 200.0 + timing.LEASE
    assert len(lines(caplog, "beats again")) == 1
    node.membership.try_to_beat()
    assert node.registered().ill == ["crond"]


def test_each_kind_of_trouble_is_told_once(
    ensemble: LocalEnsemble, node: Node, caplog: pytest.LogCaptureFixture
) -> None:
    node.membership.register()
    node.failure = OSError("the disk")
    for _ in range(2):
        node.membership.try_to_beat()
        ensemble.disconnect(node.session)
        node.membership.try_to_beat()
        ensemble.reconnect(node.session)
    assert len(lines(caplog, "no beat")) == 2


def test_p10_a_name_that_another_machine_took_is_taken_back_when_it_is_free(node: Node) -> None:
    node.membership.register()
    node.app.delete(PATH)
    node.app.create(PATH, OTHERS.encode(), ephemeral=True, access=shared_with("node1", "r"))
    with pytest.raises(ConfigError, match="another machine"):
        node.membership.register()
    node.membership.try_to_beat()
    node.app.delete(PATH)
    node.now = 300.0
    node.membership.try_to_beat()
    assert node.registered().address == MINE.address
    assert (node.lease, node.adoptions) == (300.0 + timing.LEASE, 1)


def test_p10_in_a_new_session_the_name_is_owned_before_the_next_beat(
    node: Node, caplog: pytest.LogCaptureFixture
) -> None:
    node.membership.register()
    node.membership.beat()
    node.app.delete(PATH)
    node.session.stop()
    node.session.start(1)
    node.app.create(PATH, OTHERS.encode(), ephemeral=True, access=shared_with("node1", "rw"))
    assert not node.membership.may_start
    for _ in range(2):
        node.membership.try_to_beat()
    assert node.registered() == OTHERS
    assert not node.membership.owns_name and not node.membership.may_start
    (told,) = lines(caplog, "another machine")
    assert "claims nothing; give it a name of its own in [worker] name" in told.getMessage()
    assert not told.exc_info
    node.app.delete(PATH)
    node.membership.try_to_beat()
    assert node.membership.owns_name and node.membership.may_start


def test_p10_a_registration_made_anew_is_adopted_even_if_its_lease_fails(node: Node) -> None:
    node.membership.register()
    node.app.delete(PATH)
    node.failure = OSError("the disk")
    node.membership.try_to_beat()
    assert node.registered().worker == "node1"
    assert node.adoptions == 1


def test_the_thread_survives_trouble(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing, "BEAT", 0.01)
    node.membership.start()
    node.failure = OSError("the disk")
    before = node.tries
    wait_until(lambda: node.tries > before + 2)
    node.now, node.failure = 500.0, None
    wait_until(lambda: node.lease == 500.0 + timing.LEASE)
    node.membership.halt()


def lie(node: Node, monkeypatch: pytest.MonkeyPatch, service: list[float]) -> None:
    """The service has a clock of its own."""
    answer = node.session.set

    def told(path: str, data: bytes, version: int = ANY_VERSION) -> Stat:
        return replace(answer(path, data, version), modified_at=service[0])

    monkeypatch.setattr(node.session, "set", told)


def test_a_wrong_clock_is_told_with_the_next_beat_and_so_is_a_right_one(
    node: Node, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    node.membership.register()
    service = [node.now - 2.5]
    lie(node, monkeypatch, service)
    for _ in range(3):
        node.membership.beat()
    assert (node.registered().clock_offset, node.registered().ill) == (2.5, ["clock"])
    assert len(lines(caplog, "clock offset to ZooKeeper +2.500 s")) == 1
    service[0] = node.now + 1.0
    for _ in range(2):
        node.membership.beat()
    assert (node.registered().clock_offset, node.registered().ill) == (-1.0, [])


@pytest.mark.parametrize(
    ("sent", "theirs", "got", "off"),
    [(10.0, 10.5, 11.0, 0.0), (10.0, 10.0, 10.0, 0.0), (10.0, 7.0, 11.0, 3.0),
     (10.0, 15.0, 11.0, -4.0), (10.0, 30.0, 39.0, 0.0)],
)  # fmt: skip
def test_an_offset_counts_only_what_no_slow_answer_explains(
    sent: float, theirs: float, got: float, off: float
) -> None:
    assert offset(sent, theirs, got) == off
