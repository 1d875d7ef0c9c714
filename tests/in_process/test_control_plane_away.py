"""No manager leads, no API answers, the database is away: jobs fire and are retried, and in the end
every due minute is accounted for, once."""

from __future__ import annotations

from contextlib import suppress

import pytest

from dcron_app.manager.main import Manager
from dcron_common.db import histories
from dcron_common.errors import DatabaseUnavailable
from dcron_common.job import Placement
from dcron_common.ledger import SETTLING, Entry, ledger
from dcron_common.run import RunState
from tests.in_process.world import START, World

TEN = range(1, 11)  # minutes
HOURLY = "1 * * * *"


def end_all(world: World) -> None:
    """Every process ends: those of retried jobs fail at first."""
    for node in world.nodes.values():
        while open_runs := [
            one for one in node.processes.running if one not in node.processes.ends
        ]:
            launch = node.processes.running[open_runs[0]]
            fails = launch.attempt == 1 and "fail" in launch.argv[2]
            node.end(*(("failed", 1) if fails else ("succeeded", 0)))


def without_leader(world: World, seconds: int) -> None:
    """Time passes for the workers; what they start ends within a pass."""
    for _ in range(seconds // 5):
        world.time.now += 5
        for node in world.nodes.values():
            node.turn()
        end_all(world)


def due(world: World, job: int, minutes: range) -> list[Entry]:
    """The ledger of the minutes from START on."""
    spans, until = histories.spans_of(world.database, job), START + 60 * minutes[-1]
    return list(ledger(spans, world.rows(job), START, until, world.time.now, 600))


def launches(world: World) -> list[tuple[int, str, int]]:
    """(job, minute, attempt) of each, sorted."""
    return sorted(
        (one.job_id, one.key, one.attempt)
        for node in world.nodes.values()
        for one in node.processes.launched
    )


def check(world: World, steady: int, retried: int) -> None:
    """Ten minutes of one, and a minute with its retry of the other: each was launched, and is
    recorded, once."""
    wanted = [(steady, str(START + 60 * n), 1) for n in TEN]
    wanted += [(retried, str(START + 60), attempt) for attempt in (1, 2)]
    assert launches(world) == sorted(wanted)
    assert [one.outcome for one in due(world, steady, TEN)] == [RunState.SUCCEEDED] * len(TEN)
    assert len(world.rows(steady)) == len(TEN)
    found = [(row.attempt, row.state) for row in world.rows(retried)]
    assert found == [(1, RunState.FAILED), (2, RunState.SUCCEEDED)]


def test_with_every_manager_away_jobs_fire_and_are_retried(world: World) -> None:
    world.add("a")
    world.add("b")
    steady = world.post()
    retried = world.post(schedule=HOURLY, executable="fail", retries=1, retry_delay_seconds=120)
    world.turn()
    without_leader(world, 605)
    check(world, steady, retried)
    world.turn()
    check(world, steady, retried)


def test_with_the_database_away_jobs_fire_and_their_rows_are_written_when_it_is_back(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.add("a")
    world.add("b")
    steady = world.post()
    retried = world.post(schedule=HOURLY, executable="fail", retries=1, retry_delay_seconds=120)
    world.turn()

    def away(*_: object, **__: object) -> None:
        raise DatabaseUnavailable("no database")

    with monkeypatch.context() as fault:
        fault.setattr(world.database, "read", away)
        fault.setattr(world.database, "transaction", away)
        for _ in range(605 // 5):
            without_leader(world, 5)
            with suppress(DatabaseUnavailable):
                world.manager._leader.step()
    assert world.rows(steady) == []
    world.turn()
    check(world, steady, retried)


def test_p7_a_new_leader_accounts_from_where_the_old_one_stopped(world: World) -> None:
    world.add("a")
    job = world.post(placement=Placement({"disk": "tape"}), starting_deadline_seconds=60)
    world.go(60 * 3 + 60 + SETTLING)
    closed = len(world.rows(job))
    assert closed
    world.ensemble.expire(world.app.session_id)
    world.time.now += 300  # and nobody leads
    session = world.ensemble.session()
    session.start(1)
    world.manager = Manager("m2", session, world.database, world.time.clock(), ring=world.ring)
    world.manager._prepare()
    world.go(60)
    found = world.rows(job)
    assert len(found) >= closed + 5
    assert [row.scheduled_at for row in found] == [START + 60 * n for n in range(1, len(found) + 1)]
    assert {row.state for row in found} == {RunState.MISSED}
