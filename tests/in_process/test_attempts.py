"""What follows what: retries, overlap, minutes that are caught up, removal while a run goes on.

Named after the rules of docs/guarantees.md where one stands behind it.
"""

from __future__ import annotations

import pytest

from dcron_common import paths
from dcron_common.db import workers
from dcron_common.job import CatchUp, Concurrency, OnWorkerLoss, Placement
from dcron_common.paths import Slot
from dcron_common.run import RunState
from tests.in_process.look import claims, fence, holder_of, remove
from tests.in_process.world import START, World

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


# A run whose job or holder changes


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


def test_a_run_that_passed_minutes_over_is_lost_like_any_other(world: World) -> None:
    node = world.add("a")
    job = world.post(on_worker_loss=OnWorkerLoss.FAIL)
    world.turn()
    world.time.now = START + 245
    node.turn()
    world.turn()
    world.lose(node.name)
    world.go(40)
    rows = {row.scheduled_at - START: row for row in world.rows(job)}
    assert [rows[minute].state for minute in (60, 120, 180)] == [RunState.MISSED] * 3
    assert rows[240].state is RunState.LOST
    assert len({row.run_id for row in rows.values()}) == len(rows)


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


@pytest.mark.parametrize("state", ["failed", "lost"])
def test_p12_an_end_that_is_told_while_nobody_has_the_job_is_followed_once_somebody_has(
    world: World, state: str
) -> None:
    node = world.add("a")
    job = world.post(
        retries=1, retry_delay_seconds=20, schedule="1 * * * *", concurrency=Concurrency.ALLOW
    )
    world.go(65)
    workers.set_drained(world.database, "a", True, world.time.now, "admin")
    world.go(10)
    assert world.holders(job) == []
    node.end(state, None)
    world.go(60)
    assert [row.state.value for row in world.rows(job)] == [state]
    workers.set_drained(world.database, "a", False, world.time.now, "admin")
    world.go(40)
    assert [launch.attempt for launch in node.processes.launched] == [1, 2]
    node.end()
    world.go(5)
    assert [row.state.value for row in world.rows(job)] == [state, "succeeded"]
    assert claims(world) == []


@pytest.mark.parametrize("state", ["failed", "running"])
def test_p12_a_job_on_all_says_why_no_attempt_follows_on_a_worker_that_was_away(
    world: World, state: str
) -> None:
    world.add("a")
    job = world.post(
        placement=Placement({}, "all"), retries=2, retry_delay_seconds=60, schedule="1 * * * *"
    )
    world.go(65)
    node = world.nodes["a"]
    if state == "failed":
        node.end("failed", 1)
        world.turn()
    world.lose("a")
    world.go(30)
    *before, row = world.rows(job)
    assert [one.state for one in before] == ([RunState.FAILED] if state == "failed" else [])
    assert (row.state, row.attempt) == (RunState.LOST, len(before) + 1)
    assert (row.reason or "").endswith(
        "no attempt follows: worker a, which alone could make it, was away"
    )
