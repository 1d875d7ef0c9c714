"""What a leader meets when it begins, and what it goes on through."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from dcron_app.manager import reading
from dcron_app.manager.accounting import NOBODY
from dcron_app.manager.main import Manager
from dcron_common import paths, timing
from dcron_common.coordinator.contract import Coordinator
from dcron_common.db import counters, runs, workers
from dcron_common.errors import DatabaseUnavailable
from dcron_common.job import Placement
from dcron_common.paths import Slot
from tests.in_process.world import START, World


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.01)


def remove(coordinator: Coordinator, path: str) -> None:
    for name in coordinator.children(path):
        remove(coordinator, f"{path}/{name}")
    coordinator.delete(path)


def test_p14_a_manager_goes_on_after_zookeeper_was_set_up_anew(world: World) -> None:
    session = world.ensemble.session()
    session.start(1)
    manager = Manager("m2", session, world.database, world.time.clock(), ring=world.ring)
    work = threading.Thread(target=manager.run)
    work.start()
    try:
        wait_for(lambda: bool(world.app.children(paths.ELECTION)))
        world.ensemble.expire(session.session_id)
        for root in ("leader", "inbox", "fence", "workers", "assignments", "runs", "tasks"):
            remove(world.app, f"/{root}")
        session.start(1)
        wait_for(lambda: world.app.exists(paths.INBOX) is not None)
        job = world.post()
        wait_for(lambda: world.app.exists(paths.fence(Slot(job))) is not None)
    finally:
        manager.stop()
        work.join()
        session.stop()


def test_p1_a_new_epoch_begins_with_a_new_view(world: World) -> None:
    """A session that is lost and won again within one pass: others may have led in between."""
    world.add("a")
    job = world.post()
    world.turn()
    leader = world.manager._leader
    epoch = leader._election.proof
    world.app.delete(paths.fence(Slot(job)))  # what another leader may have done
    world.ensemble.expire(world.app.session_id)
    world.app.start(1)
    assert leader.step()
    assert leader._election.proof != epoch
    assert world.app.exists(paths.fence(Slot(job))) is not None


def test_p4_an_absence_is_counted_anew_after_each_return(world: World) -> None:
    node = world.add("a")
    world.add("b")
    world.post()
    world.go(65)
    leader = world.manager._leader
    node.expire()
    world.time.now += 5
    leader.step()
    node.come_back()
    world.time.now += 1  # too soon for a scan
    leader.step()
    node.expire()
    world.time.now += timing.LEASE + timing.KILL - 1
    leader.step()
    assert world.app.children(paths.runs("a")), "its run may still go on"
    world.time.now += 5
    leader.step()
    world.time.now += timing.LEASE + timing.KILL
    leader.step()
    assert not world.app.children(paths.runs("a"))


def away(*_: object) -> None:
    raise DatabaseUnavailable("it can only be read")


def test_p4_an_absence_is_not_counted_from_before_it_began(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.add("a")
    world.add("b")
    job = world.post()
    world.go(65)
    (holder,) = world.holders(job)
    node = world.nodes[holder]
    (other,) = world.nodes.keys() - {holder}
    load, gone = reading.load, []

    def slow(*given: Any) -> None:
        """The record takes its time; the worker is well all the while, and then is gone."""
        load(*given)
        world.time.now += 20
        node.membership.beat()
        gone.append(world.time.now)
        world.lose(holder)
        monkeypatch.setattr(reading, "load", load)

    monkeypatch.setattr(reading, "load", slow)
    world.manager._leader._compare_at = world.manager._leader._scan_at = 0.0
    assert world.manager._leader.step()
    while not world.nodes[other].processes.launched:
        world.time.now += 1
        assert world.time.now < gone[0] + 60
        assert world.manager._leader.step()
        world.nodes[other].turn()
    assert world.time.now - gone[0] >= timing.LEASE + timing.KILL


def test_p14_a_new_leader_begins_while_the_record_can_only_be_read(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.add("a")
    world.add("b")
    job = world.post()
    world.turn()
    (holder,) = world.holders(job)
    world.lose(holder)
    world.ensemble.expire(world.app.session_id)
    world.app.start(1)
    monkeypatch.setattr(counters, "raise_to", away)
    for _ in range(3):
        world.time.now += 5
        with suppress(DatabaseUnavailable):
            world.manager._leader.step()
    (other,) = world.nodes
    world.nodes[other].turn()
    assert world.holders(job) == [other]


def test_p7_no_claims_pile_up_while_the_database_is_away(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.add("a")
    job = world.post(placement=Placement({"disk": "tape"}), starting_deadline_seconds=60)
    world.turn()
    with monkeypatch.context() as outage:
        outage.setattr(reading, "load", away)
        outage.setattr(runs, "record_runs", away)
        outage.setattr(workers, "save_seen", away)
        for _ in range(3600 // 5):
            world.time.now += 5
            with suppress(DatabaseUnavailable):
                world.manager._leader.step()
    made = world.app.children(paths.RUNS)
    assert NOBODY not in made or len(world.app.children(paths.runs(NOBODY))) <= 1
    world.go(30)
    minutes = [row.scheduled_at for row in world.rows(job)]
    assert minutes == [START + 60 * n for n in range(1, len(minutes) + 1)]
    assert len(minutes) >= 55


def test_p13_a_fence_that_cannot_be_read_hinders_no_other_job(world: World) -> None:
    world.add("a")
    ill = world.post(schedule="0 0 1 1 *")
    world.turn()
    path = paths.fence(Slot(ill))
    whole = world.app.get(path).data
    world.app.set(path, b"garbage")
    leader = world.manager._leader
    for _ in range(12):
        world.time.now += 5
        leader.step()
    well = world.post(schedule="0 0 1 1 *")
    leader.step()
    assert world.app.children(paths.INBOX) == []
    leader.step()
    assert {Slot(ill), Slot(well)} == {
        paths.assignment_parts(name)[0] for name in world.app.children(paths.assignments("a"))
    }
    assert world.app.get(path).data == b"garbage", "it may be of a newer release"
    world.app.set(path, whole)
    world.go(35)
    assert leader._view is not None
    assert leader._view.fences.keys() == {Slot(ill), Slot(well)}


def test_p13_a_fence_that_becomes_unreadable_between_two_comparisons_hinders_no_other(
    world: World,
) -> None:
    world.add("a", {"disk": "ssd"})
    jobs = [world.post(schedule="0 0 1 1 *", placement=Placement({"disk": "ssd"})) for _ in "12"]
    world.turn()
    world.app.set(paths.fence(Slot(jobs[0])), b"garbage")
    world.lose("a")
    node = world.add("b", {"disk": "ssd"})
    world.time.now += 5
    for _ in range(2):
        world.manager._leader.step()
    node.turn()
    assert world.holders(jobs[1]) == ["b"]
