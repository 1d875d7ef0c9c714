"""What must hold when answers are lost, workers come back, and jobs go while they run.

Named after the rules of docs/guarantees.md where one stands behind it.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from dcron_app.api.announce import close_fences
from dcron_common import paths
from dcron_common.db import jobs, runs, workers
from dcron_common.db.connection import Database
from dcron_common.errors import (
    ConnectionLost,
    DatabaseError,
    DatabaseUnavailable,
    LaunchError,
)
from dcron_common.job import CatchUp, Concurrency, JobType, OnWorkerLoss, Placement
from dcron_common.paths import Slot
from dcron_common.protocol import Fence
from dcron_common.run import RunRecord, RunState
from tests.integration.faults import lose_answers
from tests.integration.world import START, Node, World


def fence(world: World, slot: Slot) -> Fence:
    return Fence.decode(world.app.get(paths.fence(slot)).data)


def claims(world: World) -> list[str]:
    """All that stand, of all workers."""
    names = world.app.children(paths.RUNS)
    return [claim for name in names for claim in world.app.children(paths.runs(name))]


def holder_of(world: World, job: int) -> Node:
    (name,) = world.holders(job)
    return world.nodes[name]


def remove(world: World, job: int) -> None:
    """As the API does it."""
    row, _ = jobs.remove_job(world.database, job, world.time.now, "admin")
    close_fences(world.app, row)


# P1, P4: a worker that comes back


def test_p1_a_worker_that_comes_back_late_leaves_its_job_free(world: World) -> None:
    world.add("a")
    world.add("b")
    job = world.post()
    world.turn()
    first = holder_of(world, job)
    world.go(65)
    lost = world.lose(first.name)
    world.turn()  # the job moves at once
    (other,) = world.nodes.values()
    world.time.now += 3
    lost.come_back()
    world.nodes[lost.name] = lost
    lost.end("killed", None)
    world.go(130)
    assert fence(world, Slot(job)).holder == other.name
    assert other.processes.launched, "minutes after it are skipped for ever"
    assert RunState.KILLED in [row.state for row in world.rows(job)]
    assert all(name.startswith(f"{job}.{other.last_minute}") for name in claims(world))


def test_p4_a_run_that_its_returned_worker_lost_is_resumed_by_the_holder(world: World) -> None:
    world.add("a")
    world.add("b")
    job = world.post(schedule="1 * * * *")
    world.turn()
    first = holder_of(world, job)
    world.go(65)
    lost = world.lose(first.name)
    world.turn()
    (other,) = world.nodes.values()
    world.time.now += 3
    lost.come_back()
    world.nodes[lost.name] = lost
    lost.end("lost", None)
    world.go(20)
    assert [launch.attempt for launch in other.processes.launched] == [2]
    other.end()
    world.go(5)
    assert [row.state for row in world.rows(job)] == [RunState.LOST, RunState.SUCCEEDED]
    assert claims(world) == []


def test_p1_a_move_that_fails_leaves_the_holder_its_rights(world: World) -> None:
    world.add("a")
    world.add("b")
    job = world.post()
    world.turn()
    node = holder_of(world, job)
    world.go(40)
    world.time.now += 25
    # The leader's view says that nothing runs, when the worker claims the minute.
    leader = world.manager._leader
    leader._compare_at = leader._scan_at = world.time.now + 25
    node.turn()
    assert fence(world, Slot(job)).active is not None
    workers.set_drained(world.database, node.name, True, world.time.now, "admin")
    leader._seen_at = 0.0
    leader.step()
    node.end()
    world.go(70)
    assert [row.state for row in world.rows(job)][0] is RunState.SUCCEEDED
    assert fence(world, Slot(job)).holder != node.name


# P3: lost answers


@pytest.mark.parametrize("done", [True, False])
@pytest.mark.parametrize("syncs", [True, False])
def test_p3_a_claim_whose_answer_is_lost_runs_once(world: World, done: bool, syncs: bool) -> None:
    node = world.add("a")
    job = world.post(schedule="1 * * * *")
    world.turn()
    world.time.now = START + 61
    lose_answers(node, 1, done=done, syncs=syncs)
    world.go(15)
    launched = [(launch.key, launch.attempt) for launch in node.processes.launched]
    assert len(launched) == 1
    assert len(set(launched)) == 1
    node.end()
    world.turn()
    assert world.rows(job)[-1].state is RunState.SUCCEEDED
    assert claims(world) == []
    assert fence(world, Slot(job)).active is None


def test_p3_what_was_claimed_before_a_loss_is_begun(world: World) -> None:
    node = world.add("a")
    ids = [world.post() for _ in range(3)]
    world.turn()
    # One stale fence spoils the batch; when it is read again the connection goes.
    stale = node.book.held[Slot(ids[-1])]
    stale.fence_version -= 1
    refresh = node.claims.refresh

    def lost(slots: Sequence[Slot]) -> None:
        node.claims.refresh = refresh  # type: ignore[method-assign]
        raise ConnectionLost("while fences were read")

    node.claims.refresh = lost  # type: ignore[method-assign]
    world.time.now = START + 61
    node.turn()
    world.go(10)
    assert sorted(launch.job_id for launch in node.processes.launched) == ids


def test_p3_a_retry_whose_answer_is_lost_is_not_stuck(world: World) -> None:
    node = world.add("a")
    job = world.post(retries=1, retry_delay_seconds=30, schedule="1 * * * *")
    world.go(65)
    node.end("failed", 1)
    world.turn()
    world.time.now += 31
    lose_answers(node, 1, done=True, syncs=False)
    world.go(20)
    node.end()
    world.go(5)
    assert [row.state for row in world.rows(job)][-1] is RunState.SUCCEEDED
    assert claims(world) == []


def test_p3_the_launcher_away_is_waited_for(world: World) -> None:
    node = world.add("a")
    job = world.post(schedule="1 * * * *")
    start = node.processes.start

    def away(launches: object) -> None:
        raise LaunchError("no launcher")

    node.processes.start = away  # type: ignore[method-assign, assignment]
    world.go(70)
    node.processes.start = start  # type: ignore[method-assign]
    world.go(10)
    assert [launch.attempt for launch in node.processes.launched] == [1]
    node.end()
    world.turn()
    assert [row.state for row in world.rows(job)] == [RunState.SUCCEEDED]


# P12, P13: attempts


def test_p13_an_attempt_that_was_retried_has_its_row_after_a_restart(world: World) -> None:
    node = world.add("a")
    job = world.post(retries=1, retry_delay_seconds=30, schedule="1 * * * *")
    world.go(65)
    node.database_away = True
    node.end("failed", 7)
    world.turn()
    node.build()
    node.database_away = False
    world.go(40)
    node.end()
    world.go(5)
    found = [(row.attempt, row.state, row.exit_code) for row in world.rows(job)]
    assert found == [(1, RunState.FAILED, 7), (2, RunState.SUCCEEDED, 0)]


def test_p13_an_attempt_that_was_retried_has_its_row_after_its_host_is_lost(world: World) -> None:
    world.add("a")
    world.add("b")
    job = world.post(retries=1, retry_delay_seconds=30, schedule="1 * * * *")
    world.turn()
    node = holder_of(world, job)
    world.go(65)
    node.database_away = True
    node.end("failed", 7)
    world.turn()
    world.lose(node.name)
    world.go(60)
    (other,) = world.nodes.values()
    assert [launch.attempt for launch in other.processes.launched] == [2]
    other.end()
    world.go(5)
    found = [(row.attempt, row.state, row.exit_code) for row in world.rows(job)]
    assert found == [(1, RunState.FAILED, 7), (2, RunState.SUCCEEDED, 0)]


def test_p12_a_waiting_retry_follows_its_job(world: World) -> None:
    node = world.add("a")
    world.post(
        retries=1,
        retry_delay_seconds=120,
        schedule="1 * * * *",
        concurrency=Concurrency.ALLOW,
    )
    world.go(65)
    node.end("failed", 1)
    world.turn()
    other = world.add("b")
    workers.set_drained(world.database, "a", True, world.time.now, "admin")
    world.go(150)
    assert [launch.attempt for launch in other.processes.launched] == [2]
    other.end()
    world.go(5)
    assert claims(world) == []


# P15: removal


def test_p15_no_retry_starts_after_a_removal_was_answered(world: World) -> None:
    node = world.add("a")
    job = world.post(retries=3, retry_delay_seconds=30)
    world.go(65)
    node.end("failed", 1)
    world.turn()
    remove(world, job)
    world.time.now += 40
    for _ in range(3):
        node.turn()  # and no leader has withdrawn it yet
    assert [launch.attempt for launch in node.processes.launched] == [1]


def test_p15_a_removal_while_a_retry_waits_leaves_nothing(world: World) -> None:
    node = world.add("a")
    job = world.post(retries=3, retry_delay_seconds=3600)
    world.go(65)
    node.end("failed", 1)
    world.turn()
    remove(world, job)
    world.go(60)
    assert claims(world) == []
    assert world.app.exists(paths.fence(Slot(job))) is None
    assert [row.state for row in world.rows(job)] == [RunState.FAILED]


def test_p15_a_removal_while_it_runs_is_recorded_and_leaves_nothing(world: World) -> None:
    node = world.add("a")
    job = world.post()
    world.go(65)
    remove(world, job)
    world.go(10)
    node.end()
    world.go(60)
    assert claims(world) == []
    assert world.app.exists(paths.fence(Slot(job))) is None
    assert [row.state for row in world.rows(job)] == [RunState.SUCCEEDED]


# Jobs on all, one-shots, drained workers


def test_a_job_on_all_runs_again_on_a_worker_that_was_resumed(world: World) -> None:
    for name in ("a", "n.example.org"):
        world.add(name)
    job = world.post(placement=Placement({}, "all"))
    world.go(5)
    workers.set_drained(world.database, "n.example.org", True, world.time.now, "admin")
    world.go(20)
    assert fence(world, Slot(job, "n.example.org")).holder is None
    workers.set_drained(world.database, "n.example.org", False, world.time.now, "admin")
    world.go(100)
    assert world.nodes["a"].processes.launched
    assert world.nodes["n.example.org"].processes.launched


def test_a_worker_with_dots_in_its_name_is_lost_like_any_other(world: World) -> None:
    node = world.add("n.example.org")
    world.add("b")
    job = world.post(placement=Placement({}, "all"))
    world.go(65)
    assert node.processes.launched
    world.lose(node.name)
    world.go(40)
    states = {row.worker: row.state for row in world.rows(job)}
    assert states["n.example.org"] is RunState.LOST


def test_a_one_shot_that_is_over_stands_nowhere(world: World) -> None:
    node = world.add("a")
    job = world.post(schedule="@at 2027-01-15T08:02:00Z")
    world.go(130)
    node.end()
    world.go(70)
    assert world.status(job) == "finished"
    assert world.holders(job) == []
    assert world.app.exists(paths.fence(Slot(job))) is None


def test_a_one_shot_in_error_keeps_its_retries(world: World) -> None:
    node = world.add("a")
    job = world.post(schedule="@at 2027-01-15T08:02:00Z", retries=1, retry_delay_seconds=120)
    world.go(125)
    node.end("failed", 1)
    world.go(60)
    assert world.status(job) == "error"
    world.go(90)
    node.end()
    world.go(70)
    assert world.status(job) == "finished"
    assert [row.state for row in world.rows(job)] == [RunState.FAILED, RunState.SUCCEEDED]
    assert world.app.exists(paths.fence(Slot(job))) is None


# The database away, and what should never happen


def test_jobs_of_a_lost_worker_move_while_the_database_is_away(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.add("a")
    world.add("b")
    job = world.post()
    world.turn()
    first = holder_of(world, job)
    world.lose(first.name)

    def away(*_: object, **__: object) -> None:
        raise DatabaseUnavailable("no database")

    for module, names in (
        (workers, ("save_seen", "drained", "save_places")),
        (jobs, ("jobs_after", "get_jobs")),
        (runs, ("record_runs",)),
    ):
        for name in names:
            monkeypatch.setattr(module, name, away)
    for _ in range(10):
        world.time.now += 5
        with pytest.raises(DatabaseUnavailable):
            world.manager._leader.step()
    (other,) = world.nodes.values()
    other.turn()
    assert world.holders(job) == [other.name]


def test_the_row_of_a_job_names_its_worker_even_if_a_leader_died_in_between(world: World) -> None:
    world.add("a")
    job = world.post()
    world.turn()
    workers.save_places(world.database, {job: "elsewhere"})
    world.go(35)
    row = jobs.get_job(world.database, job)
    assert row is not None
    assert row.worker == "a"


def test_a_job_held_by_a_run_of_which_nothing_is_left_is_freed(world: World) -> None:
    node = world.add("a")
    world.post()
    world.go(65)
    (claim,) = claims(world)
    path = f"{paths.runs('a')}/{claim}"
    world.app.delete(paths.owner(path))
    world.app.delete(path)
    node.processes.running.clear()
    world.go(90)
    assert len(node.processes.launched) >= 2


def test_a_failed_fetch_that_nobody_foresaw_ends_the_run(world: World) -> None:
    node = world.add("a")
    job = world.post(type=JobType.SCRIPT, sha256="0" * 64, schedule="1 * * * *")

    def broken(spec: object) -> None:
        raise OSError("a disk that is not there")

    node.lifecycle._fetch = broken  # type: ignore[assignment]
    world.go(70)
    world.until(lambda: bool(world.rows(job)))
    assert [row.state for row in world.rows(job)] == [RunState.FAILED]
    assert "disk" in (world.rows(job)[0].reason or "")


# P11: overlap


def test_p11_a_later_run_replaces_the_one_before(world: World) -> None:
    node = world.add("a")
    job = world.post(concurrency=Concurrency.REPLACE)
    world.go(122)
    (first,) = node.processes.launched
    assert node.processes.killed
    assert set(node.processes.killed) == {first.run_id}
    node.end("killed", None)
    world.turn()
    assert [launch.key for launch in node.processes.launched] == [str(START + 60), str(START + 120)]
    node.end()
    world.turn()
    assert [row.state for row in world.rows(job)] == [RunState.KILLED, RunState.SUCCEEDED]


def test_p11_a_waiting_retry_is_replaced_by_the_next_minute(world: World) -> None:
    node = world.add("a")
    job = world.post(concurrency=Concurrency.REPLACE, retries=1, retry_delay_seconds=3600)
    world.go(65)
    node.end("failed", 1)
    world.go(65)
    assert [launch.attempt for launch in node.processes.launched] == [1, 1]
    assert [(row.attempt, row.state) for row in world.rows(job)][:2] == [
        (1, RunState.FAILED),
        (2, RunState.KILLED),
    ]


def test_all_minutes_are_caught_up_one_after_the_other(world: World) -> None:
    node = world.add("a")
    job = world.post(catch_up=CatchUp.ALL)
    world.turn()
    world.time.now = START + 245  # nobody looked for four minutes
    for _ in range(3):
        world.turn()
        node.end()
    world.turn()
    assert [int(launch.key) for launch in node.processes.launched] == [
        START + 60 * n for n in (1, 2, 3)
    ]
    # The newest was on time when the one before still ran: that is an overlap, not an outage.
    found = [(row.trigger.value, row.state.value) for row in world.rows(job)]
    assert found == [
        ("catch_up", "succeeded"),
        ("catch_up", "succeeded"),
        ("cron", "succeeded"),
        ("cron", "skipped"),
    ]


# P7, P8: minutes that nobody could take


def test_p7_minutes_of_a_job_that_no_worker_may_have_are_missed(world: World) -> None:
    world.add("a")
    job = world.post(
        placement=Placement({"disk": "tape"}), starting_deadline_seconds=120, schedule="* * * * *"
    )
    world.go(620)
    found = world.rows(job)
    assert [row.state for row in found] == [RunState.MISSED] * len(found)
    assert [row.scheduled_at for row in found] == [START + 60 * n for n in range(1, len(found) + 1)]
    assert len(found) >= 5
    assert "no worker could have it" in (found[0].reason or "")
    assert found[0].worker is None
    assert claims(world) == []


def test_p7_a_minute_that_the_leader_closed_starts_nowhere(world: World) -> None:
    world.add("a")
    workers.save_seen(world.database, {}, world.time.now)
    job = world.post(placement=Placement({"disk": "tape"}), starting_deadline_seconds=60)
    world.go(400)
    closed = fence(world, Slot(job)).mark
    assert closed >= START + 60
    node = world.add("tape", labels={"disk": "tape"})
    world.go(10)
    assert all(int(launch.key) > closed for launch in node.processes.launched)
    keys = [(row.scheduled_at, row.attempt) for row in world.rows(job)]
    assert len(keys) == len(set(keys))


# What a review found by interleavings


@pytest.mark.parametrize("concurrency", [Concurrency.REPLACE, Concurrency.FORBID])
def test_a_new_holder_learns_that_the_run_elsewhere_is_over(
    world: World, concurrency: Concurrency
) -> None:
    world.add("a")
    world.add("b")
    job = world.post(
        concurrency=concurrency, catch_up=CatchUp.ALL, on_worker_loss=OnWorkerLoss.FAIL
    )
    world.turn()
    node = holder_of(world, job)
    world.go(65)
    world.lose(node.name)
    world.go(120)
    (other,) = world.nodes.values()
    assert other.processes.launched


def test_passed_over_minutes_travel_with_a_run_that_is_handed_on(world: World) -> None:
    world.add("a")
    world.add("b")
    job = world.post()
    world.turn()
    node = holder_of(world, job)
    world.time.now = START + 245
    node.database_away = True
    node.turn()
    world.lose(node.name)
    world.go(40)
    (other,) = world.nodes.values()
    other.end()
    world.go(10)
    states = {row.scheduled_at - START: row.state for row in world.rows(job)}
    assert [states[60], states[120], states[180]] == [RunState.MISSED] * 3
    assert states[240] is RunState.SUCCEEDED


def test_a_waiting_retry_that_is_replaced_does_not_start_in_the_same_pass(world: World) -> None:
    node = world.add("a")
    world.post(concurrency=Concurrency.REPLACE, retries=1, retry_delay_seconds=50)
    world.go(65)
    node.end("failed", 1)
    world.turn()
    world.time.now = START + 122  # both the retry and the next minute are due by now
    world.turn()
    started = [(int(one.key) - START, one.attempt) for one in node.processes.launched]
    assert started == [(60, 1), (120, 1)]


def test_a_retry_that_was_replaced_is_not_revived_by_the_leader(world: World) -> None:
    world.add("a")
    world.add("b")
    job = world.post(concurrency=Concurrency.REPLACE, retries=1, retry_delay_seconds=3600)
    world.turn()
    node = holder_of(world, job)
    world.go(65)
    node.database_away = True
    node.end("failed", 1)
    world.go(60)
    world.lose(node.name)
    world.go(30)
    (other,) = world.nodes.values()
    started = [(int(one.key) - START, one.attempt) for one in other.processes.launched]
    assert (60, 2) not in started
    assert (60, 2, "killed") in [
        (row.scheduled_at - START, row.attempt, row.state.value) for row in world.rows(job)
    ]


def test_a_holder_again_decides_what_it_could_not_as_a_stranger(world: World) -> None:
    world.add("a")
    world.add("b")
    job = world.post(retries=1, retry_delay_seconds=20, schedule="1 * * * *")
    world.turn()
    node = holder_of(world, job)
    world.go(65)
    lost = world.lose(node.name)
    leader = world.manager._leader
    leader.step()
    (other,) = world.nodes.values()
    lost.come_back()
    world.nodes[lost.name] = lost
    leader._scan_at = world.time.now + 60  # the leader does not look at claims for a while
    lost.end("failed", 1)
    lost.turn()
    world.lose(other.name)
    leader.step()
    world.go(40)
    assert [launch.attempt for launch in lost.processes.launched] == [1, 2]
    lost.end()
    world.go(5)
    assert [row.state for row in world.rows(job)] == [RunState.FAILED, RunState.SUCCEEDED]
    assert fence(world, Slot(job)).active is None


def test_a_task_that_cannot_be_read_stops_nothing(world: World) -> None:
    node = world.add("a")
    job = world.post()
    world.turn()
    key = "m.01ARZ3NDEKTSV4RRFFQ69G5FAV"
    world.app.create(paths.task("a", Slot(job), key), b'{"v": 99}')
    world.go(65)
    assert len(node.processes.launched) == 1


def test_a_registration_that_cannot_be_read_stops_nothing(world: World) -> None:
    world.add("a")
    world.app.create(paths.worker("odd"), b"{")
    job = world.post()
    world.turn()
    assert world.holders(job) == ["a"]


def test_a_row_that_the_database_refuses_stops_nothing_else_of_the_leader(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.add("a")
    world.add("b")
    first = world.post(on_worker_loss=OnWorkerLoss.FAIL)
    second = world.post(schedule="0 0 1 1 *")
    world.turn()
    node = holder_of(world, first)
    world.go(65)
    write = runs.record_runs

    def refusing(database: Database, rows: Sequence[RunRecord], now: float) -> None:
        if any(row.job_id == first for row in rows):
            raise DatabaseError("refused")
        write(database, rows, now)

    monkeypatch.setattr(runs, "record_runs", refusing)
    world.lose(node.name)
    for other in world.nodes.values():
        other.database_away = True  # only the leader writes
    world.go(40)
    remove(world, second)
    world.go(60)
    assert world.app.exists(paths.fence(Slot(second))) is None


def test_a_job_posted_after_a_drain_was_answered_never_stands_there(world: World) -> None:
    for name in ("a", "b"):
        world.add(name)
    world.turn()
    workers.set_drained(world.database, "a", True, world.time.now, "admin")
    ids = [world.post() for _ in range(4)]
    world.manager._leader.step()  # the very next pass, no time has gone by
    assert [fence(world, Slot(job)).holder for job in ids] == ["b"] * 4
