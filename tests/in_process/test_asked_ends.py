"""Ends that are asked for: the API, a leader, workers.

Real: the API over WSGI, election, placement, fences, claims, records. See `world.py`.
"""

from __future__ import annotations

from typing import Any

import pytest

from dcron_app.manager.closing import Closing
from dcron_common import paths
from dcron_common.run import RunState
from dcron_worker.runner.model import Started
from tests.in_process.asking import (
    JOB,
    YEARLY,
    below,
    fence,
    kill,
    made,
    nothing_is_left,
    run_now,
    summary,
    told,
)
from tests.in_process.world import World
from tests.unit.app.api_client import Api


def test_a_run_is_ended_and_nothing_follows_it(world: World, api: Api) -> None:
    node = world.add("a")
    job = made(api, {**JOB, "schedule": "1 * * * *", "retries": 3, "retry_delay_seconds": 5})
    world.go(65)
    (launch,) = node.processes.launched
    assert kill(api, job, launch.run_id) == 202
    node.turn()
    assert set(node.processes.killed) == {launch.run_id}
    node.end("killed", None)
    world.go(60)
    assert summary(world.rows(job)) == [(1, "cron", "killed")]
    assert world.status(job) == "scheduled"
    assert nothing_is_left(world)
    assert kill(api, job, launch.run_id) == 409


def test_the_end_of_a_run_comes_even_if_it_fails_by_itself_just_then(
    world: World, api: Api
) -> None:
    node = world.add("a")
    job = made(api, {**JOB, "schedule": "1 * * * *", "retries": 3, "retry_delay_seconds": 5})
    world.go(65)
    (launch,) = node.processes.launched
    assert kill(api, job, launch.run_id) == 202
    node.end("failed", 1)
    world.go(60)
    assert len(node.processes.launched) == 1
    assert summary(world.rows(job)) == [(1, "cron", "killed")]
    reason = "ended by user ann; it had ended by itself: failed"
    assert world.rows(job)[0].reason == reason
    assert nothing_is_left(world)


def test_p12_a_run_that_was_to_end_and_is_lost_meanwhile_is_not_started_again(
    world: World, api: Api
) -> None:
    node = world.add("a")
    job = made(api, JOB)
    world.go(65)
    (run,) = node.processes.running
    node.inbox.put(Started(run, 1, world.time.now))
    world.turn()
    node.cut()
    world.time.now += 10
    node.isolated_turn()
    node.processes.end("lost", None)  # the launcher, since its lease has passed
    assert kill(api, job, run) == 202
    node.heal()
    world.go(30)
    assert [launch.attempt for launch in node.processes.launched] == [1]
    (row,) = world.rows(job)
    assert row.state is RunState.KILLED
    assert row.reason == "ended by user ann; it had ended by itself: lost"
    assert nothing_is_left(world)


def test_a_run_that_waits_for_its_retry_is_ended(world: World, api: Api) -> None:
    node = world.add("a")
    job = made(api, {**JOB, "schedule": "1 * * * *", "retries": 1, "retry_delay_seconds": 600})
    world.go(65)
    node.end("failed", 1)
    world.turn()
    (row,) = world.rows(job)
    assert kill(api, job, row.run_id) == 202
    world.go(700)
    assert len(node.processes.launched) == 1
    assert summary(world.rows(job)) == [(1, "cron", "failed"), (2, "retry", "killed")]
    assert world.status(job) == "error"
    assert nothing_is_left(world)
    assert fence(world, job).active is None


def test_a_run_that_has_not_begun_is_ended(world: World, api: Api) -> None:
    node = world.add("a")
    job = made(api, {**JOB, "schedule": "1 * * * *"})
    world.go(65)
    run_id = run_now(api, job)
    world.go(10)
    assert kill(api, job, run_id) == 202
    world.turn()
    node.end()
    world.go(20)
    assert len(node.processes.launched) == 1
    assert summary(world.rows(job)) == [(1, "cron", "succeeded"), (1, "manual", "killed")]
    assert world.rows(job)[1].run_id == run_id
    assert nothing_is_left(world)


def test_a_request_outlives_the_daemon(world: World, api: Api) -> None:
    node = world.add("a")
    job = made(api, JOB)
    world.go(65)
    (launch,) = node.processes.launched
    assert kill(api, job, launch.run_id) == 202
    node.build()
    node.turn()
    assert set(node.processes.killed) == {launch.run_id}


def test_a_run_of_a_lost_worker_that_was_to_end_is_not_resumed(world: World, api: Api) -> None:
    world.add("a")
    world.add("b")
    job = made(api, {**JOB, "schedule": "1 * * * *"})
    world.turn()
    (holder,) = world.holders(job)
    world.go(65)
    run_id = told(world, world.nodes[holder])
    world.lose(holder)
    assert kill(api, job, run_id) == 202
    world.go(40)
    (other,) = world.nodes.values()
    assert other.processes.launched == []
    (row,) = world.rows(job)
    assert row.state is RunState.KILLED
    assert (row.reason or "").startswith(f"ended by user ann; worker {holder} was lost")
    assert world.status(job) == "scheduled"
    assert nothing_is_left(world)
    assert fence(world, job).active is None


def test_a_request_moves_with_the_run_that_has_not_begun(world: World, api: Api) -> None:
    world.add("a")
    world.add("b")
    job = made(api, YEARLY)
    world.go(10)
    (holder,) = world.holders(job)
    world.lose(holder)
    run_id = run_now(api, job)
    assert kill(api, job, run_id) == 202
    world.go(60)
    (other,) = world.nodes.values()
    assert other.processes.launched == []
    assert summary(world.rows(job)) == [(1, "manual", "killed")]
    assert nothing_is_left(world)


def test_an_earlier_attempt_cannot_be_ended_while_a_later_runs(world: World, api: Api) -> None:
    node = world.add("a")
    job = made(api, {**JOB, "schedule": "1 * * * *", "retries": 1, "retry_delay_seconds": 5})
    world.go(65)
    node.end("failed", 1)
    world.go(15)
    first, second = [launch.run_id for launch in node.processes.launched]
    answer = api.call("POST", f"/jobs/{job}/runs/{first}/kill")
    assert (answer.status, second in answer.json["detail"]) == (409, True)
    assert below(world, paths.KILLS) == []
    assert kill(api, job, second) == 202


def test_one_run_of_a_job_on_all_is_ended_by_itself(world: World, api: Api) -> None:
    nodes = [world.add("a"), world.add("n.example.org")]
    job = made(api, {**JOB, "placement": {"on": "all"}})
    world.go(65)
    assert kill(api, job, nodes[1].processes.launched[0].run_id) == 202
    world.turn()
    assert nodes[0].processes.killed == []
    assert nodes[1].processes.killed


def test_the_run_of_a_removed_job_is_ended(world: World, api: Api) -> None:
    node = world.add("a")
    job = made(api, JOB)
    world.go(65)
    run_id = told(world, node)
    api.delete(f"/jobs/{job}")
    world.go(10)
    assert kill(api, job, run_id) == 202
    node.turn()
    node.end("killed", None)
    world.go(60)
    assert world.rows(job)[0].state is RunState.KILLED
    assert nothing_is_left(world)


def test_p1_who_asks_for_an_end_makes_the_leader_look_again(
    world: World, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Just when the leader has looked for a request and is about to hand the run on."""
    world.add("a")
    world.add("b")
    job = made(api, {**JOB, "schedule": "1 * * * *"})
    world.turn()
    (holder,) = world.holders(job)
    world.go(65)
    run_id = told(world, world.nodes[holder])
    world.lose(holder)
    hand_on, asked = Closing._hand_on, []

    def interleaved(self: Closing, *arguments: Any) -> None:
        if not asked:
            asked.append(kill(api, job, run_id))
        hand_on(self, *arguments)

    monkeypatch.setattr(Closing, "_hand_on", interleaved)
    world.go(40)
    (other,) = world.nodes.values()
    assert asked == [202]
    assert other.processes.launched == []
    assert [row.state for row in world.rows(job)] == [RunState.KILLED]


def test_unknown_runs_are_404(world: World, api: Api) -> None:
    world.add("a")
    job = made(api, JOB)
    world.go(10)
    assert kill(api, job, "0" * 26) == 404
    assert kill(api, 99, "0" * 26) == 404
    assert api.get(f"/jobs/{job}/runs/{'0' * 26}").status == 404
