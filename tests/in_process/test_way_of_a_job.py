"""The way of a job: leader and workers together, on the world of `world.py`."""

from __future__ import annotations

import pytest

from dcron_app.manager.main import Manager
from dcron_common import paths
from dcron_common.db import jobs, workers
from dcron_common.job import OnWorkerLoss
from dcron_common.paths import Slot
from dcron_common.protocol import Notice
from dcron_common.run import RunState, Trigger
from tests.in_process.world import START, World


def test_a_job_stands_on_one_worker_runs_and_is_recorded(world: World) -> None:
    world.add("a")
    world.add("b")
    job = world.post()
    world.turn()
    (holder,) = world.holders(job)
    node = world.nodes[holder]
    assert not node.processes.launched
    world.time.now = START + 62
    world.turn()
    (launch,) = node.processes.launched
    assert launch.argv == ("/bin/sh", "-c", "true", "sh")
    assert launch.environment["DCRON_SCHEDULED_AT"].endswith("00Z")
    node.lifecycle.ended(node.processes.end())
    world.turn()
    (row,) = world.rows(job)
    assert (row.state, row.scheduled_at, row.worker) == (RunState.SUCCEEDED, START + 60, holder)
    assert row.output_tail == "said so"
    assert world.status(job) == "scheduled"
    assert world.app.children(paths.runs(holder)) == []


def test_p2_a_minute_is_launched_once_however_often_it_is_hinted(world: World) -> None:
    node = world.add("a")
    world.post()
    world.go(70)
    assert len(node.processes.launched) == 1


def test_a_failure_makes_the_job_error_and_the_next_success_mends_it(world: World) -> None:
    node = world.add("a")
    job = world.post()
    world.go(65)
    node.lifecycle.ended(node.processes.end("failed", 3))
    world.turn()
    assert world.status(job) == "error"
    world.go(60)
    node.lifecycle.ended(node.processes.end())
    world.turn()
    assert world.status(job) == "scheduled"
    assert [row.exit_code for row in world.rows(job)] == [3, 0]


def test_a_one_shot_is_finished_after_its_run(world: World) -> None:
    node = world.add("a")
    job = world.post(schedule="@at 2027-01-15T08:02:00Z")
    world.go(130)
    node.lifecycle.ended(node.processes.end())
    world.turn()
    assert world.status(job) == "finished"
    assert len(node.processes.launched) == 1


def test_p12_a_retry_keeps_the_job_taken_and_runs_after_its_delay(world: World) -> None:
    node = world.add("a")
    job = world.post(retries=1, retry_delay_seconds=30)
    world.go(65)
    node.lifecycle.ended(node.processes.end("failed", 1))
    world.go(20)
    assert len(node.processes.launched) == 1
    world.go(15)
    assert [launch.attempt for launch in node.processes.launched] == [1, 2]
    node.lifecycle.ended(node.processes.end())
    world.turn()
    assert [(row.attempt, row.state) for row in world.rows(job)] == [
        (1, RunState.FAILED),
        (2, RunState.SUCCEEDED),
    ]
    assert world.rows(job)[1].trigger is Trigger.RETRY


def test_a_removed_job_stands_nowhere_and_its_fence_goes(world: World) -> None:
    world.add("a")
    job = world.post()
    world.turn()
    jobs.remove_job(world.database, job, world.time.now, "admin")
    world.app.create(paths.inbox_prefix(job), Notice(2).encode(), sequence=True)
    world.turn()
    assert world.holders(job) == []
    world.go(40)
    assert world.app.exists(paths.fence(Slot(job))) is None
    assert world.status(job) == "finished"


def test_jobs_of_a_lost_worker_move_at_once(world: World) -> None:
    world.add("a")
    world.add("b")
    job = world.post()
    world.turn()
    (holder,) = world.holders(job)
    world.lose(holder)
    world.turn()
    assert world.holders(job) == [name for name in ("a", "b") if name != holder]


def test_p4_a_run_of_a_lost_worker_is_resumed_only_after_its_lease(world: World) -> None:
    world.add("a")
    world.add("b")
    job = world.post()
    world.turn()
    (holder,) = world.holders(job)
    world.go(65)
    lost = world.lose(holder)
    (other,) = world.nodes.values()
    world.go(9)
    assert not other.processes.launched
    world.go(20)
    first = lost.processes.launched[0]
    resumed = other.processes.launched[0]
    assert (resumed.key, resumed.attempt) == (first.key, 2)
    assert resumed.epoch > first.epoch
    other.lifecycle.ended(other.processes.end())
    world.turn()
    states = [(r.attempt, r.state, r.trigger) for r in world.rows(job) if r.state != "skipped"]
    assert states[0] == (1, RunState.LOST, Trigger.CRON)
    assert states[1] == (2, RunState.SUCCEEDED, Trigger.RESUME)
    assert world.app.children(paths.runs(holder)) == []


def test_a_run_that_must_not_be_repeated_is_lost_with_its_worker(world: World) -> None:
    world.add("a")
    world.add("b")
    job = world.post(on_worker_loss=OnWorkerLoss.FAIL, schedule="1 * * * *")
    world.turn()
    (holder,) = world.holders(job)
    world.go(65)
    world.lose(holder)
    (other,) = world.nodes.values()
    world.go(40)
    assert not other.processes.launched
    assert [row.state for row in world.rows(job)] == [RunState.LOST]
    assert world.status(job) == "error"


def test_p5_a_restarted_daemon_owns_its_runs_again(world: World) -> None:
    node = world.add("a")
    job = world.post()
    world.go(65)
    world.ensemble.expire(node.session.session_id)
    node.session.start(1)
    node.build()
    world.turn()
    assert node.processes.killed == []
    node.lifecycle.ended(node.processes.end())
    world.turn()
    assert [row.state for row in world.rows(job)] == [RunState.SUCCEEDED]


def test_p6_a_run_that_ended_while_the_daemon_was_away_is_recorded(world: World) -> None:
    node = world.add("a")
    job = world.post()
    world.go(65)
    node.processes.end("failed", 9)
    node.build()
    world.turn()
    (row,) = world.rows(job)
    assert (row.state, row.exit_code) == (RunState.FAILED, 9)


def test_a_claim_without_a_process_is_started_again_by_the_same_worker(world: World) -> None:
    node = world.add("a")
    job = world.post(schedule="1 * * * *")
    world.go(65)
    node.processes.running.clear()  # the claim was made, the launcher never heard of it
    node.build()
    world.go(10)
    assert [launch.attempt for launch in node.processes.launched] == [1, 2]
    node.lifecycle.ended(node.processes.end())
    world.turn()
    assert [row.state for row in world.rows(job)] == [RunState.LOST, RunState.SUCCEEDED]


def test_p11_the_second_of_two_overlapping_runs_is_skipped(world: World) -> None:
    node = world.add("a")
    job = world.post()
    world.go(125)
    assert len(node.processes.launched) == 1
    assert [row.state for row in world.rows(job)][-1] is RunState.SKIPPED


def test_a_drained_worker_gives_its_jobs_away(world: World) -> None:
    world.add("a")
    world.add("b")
    ids = [world.post() for _ in range(4)]
    world.turn()
    workers.set_drained(world.database, "a", True, world.time.now, "admin")
    world.go(10)
    assert all(world.holders(job) == ["b"] for job in ids)


def test_p1_a_worker_that_was_cut_off_cannot_claim_what_has_moved(world: World) -> None:
    world.add("a")
    world.add("b")
    job = world.post()
    world.turn()
    (holder,) = world.holders(job)
    lost = world.lose(holder)
    world.turn()
    lost.session.start(1)
    world.time.now += 61
    lost.daemon._changed = False
    lost.daemon._scan_at = world.time.now + 60
    lost.daemon._due = True
    lost.daemon.step()  # its book still says that the job is its own
    assert not lost.processes.launched


def test_p1_a_new_leader_goes_on_and_the_old_one_writes_nothing(world: World) -> None:
    world.add("a")
    other_session = world.ensemble.session()
    other_session.start(1)
    other = Manager("m2", other_session, world.database, world.time.clock(), ring=world.ring)
    world.turn()
    assert not other._leader.step()
    proof = world.manager._election.proof
    world.ensemble.expire(world.app.session_id)
    assert other._leader.step()
    from dcron_common.errors import TransactionFailed

    with pytest.raises(TransactionFailed):
        other_session.commit([proof])
