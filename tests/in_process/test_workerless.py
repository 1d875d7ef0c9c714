"""P7 for jobs on all workers while there is none: each due minute has a row all the same."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import pytest

from dcron_app.manager.leader import Leader
from dcron_common.db import histories, jobs, runs, workers
from dcron_common.db.editing import update_job
from dcron_common.db.jobs import NewJob, spec_of
from dcron_common.errors import DatabaseUnavailable
from dcron_common.job import CatchUp, Placement
from dcron_common.ledger import Entry, Standing, ledger
from dcron_common.run import RunState
from tests.in_process.world import START, World

ON_ALL = {"placement": Placement({"disk": "tape"}, "all"), "starting_deadline_seconds": 60}
MISSED, SUCCEEDED = RunState.MISSED, RunState.SUCCEEDED


def told(world: World, job: int, until: int) -> list[Entry]:
    """The ledger from the beginning."""
    spans, rows = histories.spans_of(world.database, job), world.rows(job)
    return list(ledger(spans, rows, START, until, world.time.now, 60))


def outcomes(world: World, job: int, until: int) -> list[object]:
    return [entry.outcome for entry in told(world, job, until)]


def test_p7_minutes_for_which_no_worker_ever_carried_the_labels_are_missed(world: World) -> None:
    world.add("b")
    job = world.post(**ON_ALL)
    world.go(900)
    found = told(world, job, START + 600)
    assert [entry.outcome for entry in found] == [MISSED] * 10
    assert "no worker could have it" in (found[0].reason or "")


def test_p7_minutes_while_the_only_worker_is_gone_are_missed_once(world: World) -> None:
    node = world.add("a", {"disk": "tape"})
    world.add("b")
    job = world.post(**ON_ALL)
    world.go(65)
    node.end()
    world.turn()
    world.lose("a")
    world.go(900)
    assert outcomes(world, job, START + 600) == [SUCCEEDED, *[MISSED] * 9]
    minutes = [row.scheduled_at for row in world.rows(job)]
    assert len(minutes) == len(set(minutes))


def test_p7_minutes_while_the_only_worker_is_drained_are_missed(world: World) -> None:
    world.add("a", {"disk": "tape"})
    job = world.post(**ON_ALL)
    world.go(62)
    world.finish()
    workers.set_drained(world.database, "a", True, world.time.now, "admin")
    world.go(900)
    assert outcomes(world, job, START + 600) == [SUCCEEDED, *[MISSED] * 9]


def test_p7_minutes_before_a_worker_joined_are_missed_and_none_is_left_out(world: World) -> None:
    world.add("a", {"disk": "tape"})
    job = world.post(**ON_ALL)
    world.go(62)
    world.finish()
    world.lose("a")
    world.go(360)
    world.add("c", {"disk": "tape"})
    world.turn()
    world.finish()
    for _ in range(5):
        world.go(60)
        world.finish()
    # It starts the newest of those that nobody had, as far as that may start yet.
    assert outcomes(world, job, START + 600) == [SUCCEEDED, *[MISSED] * 5, *[SUCCEEDED] * 4]


def test_p7_of_a_minute_that_a_worker_closed_on_its_return_its_word_counts(world: World) -> None:
    node = world.add("a", {"disk": "tape"})
    job = world.post(**ON_ALL)
    world.go(62)
    world.finish()
    node.expire()
    for _ in range(600 // 5):
        world.time.now += 5
        assert world.manager._leader.step()
    node.come_back()
    for _ in range(5):
        world.go(60)
        world.finish()
    found = told(world, job, START + 780)
    assert [entry.scheduled_at for entry in found] == [START + 60 * n for n in range(1, 14)]
    assert not any(isinstance(entry.outcome, Standing) for entry in found)


def test_p7_a_removal_leaves_no_minute_without_a_row(world: World) -> None:
    job = world.post(**ON_ALL)
    world.go(302)
    jobs.remove_job(world.database, job, world.time.now, "admin")
    world.go(300)
    assert outcomes(world, job, START + 600) == [MISSED, MISSED] + [RunState.SKIPPED] * 3


def test_p7_a_new_leader_goes_on_where_the_one_before_ended(world: World) -> None:
    job = world.post(**ON_ALL)
    world.go(450)
    world.ensemble.expire(world.app.session_id)
    world.app.start(1)
    world.go(450)
    minutes = [row.scheduled_at for row in world.rows(job)]
    assert minutes == sorted(set(minutes))
    assert outcomes(world, job, START + 600) == [MISSED] * 10


def test_p7_what_the_database_did_not_take_is_recorded_later(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise DatabaseUnavailable("away")

    job = world.post(**ON_ALL)
    world.go(30)
    with monkeypatch.context() as outage:
        outage.setattr(runs, "record_runs", away)
        for _ in range(900 // 5):
            world.time.now += 5
            with suppress(DatabaseUnavailable):
                world.manager._leader.step()
    assert world.rows(job) == []
    world.go(30)
    assert outcomes(world, job, START + 600) == [MISSED] * 10


def test_p7_a_job_that_goes_to_one_worker_keeps_the_minutes_that_it_may_still_start(
    world: World,
) -> None:
    job = world.post(**ON_ALL)
    world.go(302)
    before = jobs.get_job(world.database, job)
    assert before is not None
    spec = replace(spec_of(before), placement=Placement({"disk": "tape"}))
    assert update_job(world.database, before, NewJob(spec, "ann", {}), world.time.now, "ann")
    world.go(90)
    assert [row.scheduled_at for row in world.rows(job)] == [START + 60 * n for n in range(1, 4)]
    world.add("a", {"disk": "tape"})
    world.go(10)
    world.finish()
    assert outcomes(world, job, START + 360) == [*[MISSED] * 5, SUCCEEDED]


def test_p8_the_first_worker_of_a_job_does_nothing_again_that_is_recorded(world: World) -> None:
    job = world.post(**ON_ALL, catch_up=CatchUp.ALL)
    world.go(900)
    recorded = {row.scheduled_at for row in world.rows(job)}
    world.add("a", {"disk": "tape"})
    world.go(65)
    world.finish()
    assert len(recorded) >= 10
    assert recorded.isdisjoint(row.scheduled_at for row in world.rows(job) if row.node == "a")
    assert not any(isinstance(one, Standing) for one in outcomes(world, job, START + 900))


def test_p7_what_a_run_of_the_earlier_placement_held_up_says_so(world: World) -> None:
    """A worker is online, and has to wait since the job forbids overlap."""
    world.add("a")
    job = world.post(starting_deadline_seconds=60)
    world.go(62)
    before = jobs.get_job(world.database, job)
    assert before is not None
    spec = replace(spec_of(before), placement=Placement(on="all"))
    assert update_job(world.database, before, NewJob(spec, "ann", {}), world.time.now, "ann")
    world.go(400)
    reasons = {row.reason for row in world.rows(job) if row.state is MISSED}
    assert len(reasons) == 1
    assert "a run from before the job's placement was changed went on" in reasons.pop()


def test_p7_a_leader_that_did_not_account_for_a_while_asks_the_record_where_it_goes_on(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its clock was wrong, and a worker came and went meanwhile."""
    job = world.post(**ON_ALL)
    world.go(362)
    with monkeypatch.context() as patched:
        patched.setattr(Leader, "_clock_is_right", lambda leader: False)
        world.add("a", {"disk": "tape"})
        for _ in range(3):
            world.go(60)
            world.finish()
        world.lose("a")
        world.go(10)
    world.go(600)
    missed = {row.scheduled_at for row in world.rows(job) if row.state is MISSED}
    ran = {row.scheduled_at for row in world.rows(job) if row.state is SUCCEEDED}
    assert len(ran) >= 3
    assert not missed & ran
    assert not any(isinstance(one, Standing) for one in outcomes(world, job, START + 900))
