"""Runs that are asked for: the API, a leader, workers.

Real: the API over WSGI, election, placement, fences, claims, records. See `world.py`.
"""

from __future__ import annotations

from dcron_common import paths
from dcron_common.run import RunState, Trigger
from tests.in_process.asking import (
    JOB,
    SCRIPT,
    YEARLY,
    below,
    fence,
    made,
    nothing_is_left,
    run_now,
    summary,
)
from tests.in_process.world import START, World
from tests.unit.app.api_client import Api


def test_a_run_that_is_asked_for_starts_at_once_and_is_recorded(world: World, api: Api) -> None:
    node = world.add("a")
    job = made(api, YEARLY)
    world.go(10)
    run_id = run_now(api, job)
    node.turn()
    (launch,) = node.processes.launched
    assert (launch.run_id, launch.key, launch.attempt) == (run_id, f"m.{run_id}", 1)
    assert launch.environment["DCRON_SCHEDULED_AT"] == "2027-01-15T08:00:10Z"
    node.end()
    world.go(10)
    (row,) = world.rows(job)
    assert summary([row]) == [(1, "manual", "succeeded")]
    assert (row.run_id, row.kind, row.scheduled_at) == (run_id, f"m.{run_id}", START + 10)
    assert api.get(f"/jobs/{job}/runs/{run_id}").json["trigger"] == "manual"
    assert api.get(f"/jobs/{job}/ledger").json == []
    assert nothing_is_left(world)


def test_a_run_that_is_asked_for_starts_on_a_paused_job(world: World, api: Api) -> None:
    node = world.add("a")
    job = made(api, {**JOB, "paused": True, "retries": 1, "retry_delay_seconds": 20})
    world.go(10)
    run_now(api, job)
    world.go(5)
    node.end("failed", 1)
    world.go(100)
    assert [launch.attempt for launch in node.processes.launched] == [1, 2]
    assert {launch.key[:2] for launch in node.processes.launched} == {"m."}


def test_p11_a_run_that_is_asked_for_waits_for_the_run_before(world: World, api: Api) -> None:
    node = world.add("a")
    job = made(api, {**JOB, "schedule": "1 * * * *"})
    world.go(65)
    run_id = run_now(api, job)
    world.go(20)
    assert len(node.processes.launched) == 1
    node.end()
    world.go(5)
    assert [launch.run_id for launch in node.processes.launched][1:] == [run_id]
    assert fence(world, job).active == f"m.{run_id}"


def test_a_run_that_is_asked_for_overlaps_where_the_job_allows_it(world: World, api: Api) -> None:
    node = world.add("a")
    job = made(api, {**YEARLY, "concurrency": "allow"})
    world.go(10)
    asked = [run_now(api, job) for _ in range(3)]
    world.turn()
    assert sorted(one.run_id for one in node.processes.launched) == sorted(asked)


def test_arguments_are_the_runs_own_and_go_with_its_retries(world: World, api: Api) -> None:
    node = world.add("a")
    body = {**SCRIPT, "arguments": ["usual"], "retries": 1, "retry_delay_seconds": 10}
    job = made(api, body)
    world.go(10)
    run_now(api, job, {"arguments": ["once", ""]})
    world.until(lambda: len(node.processes.launched) == 1)
    node.end("failed", 1)
    world.go(15)
    world.until(lambda: len(node.processes.launched) == 2)
    assert [one.argv[-2:] for one in node.processes.launched] == [("once", "")] * 2
    node.end()
    world.go(5)
    run_now(api, job)
    world.until(lambda: len(node.processes.launched) == 3)
    assert node.processes.launched[-1].argv[-1] == "usual"


def test_a_run_that_is_asked_for_is_resumed_elsewhere_with_its_arguments(
    world: World, api: Api
) -> None:
    world.add("a")
    world.add("b")
    job = made(api, SCRIPT)
    world.go(10)
    run_id = run_now(api, job, {"arguments": ["once"]})
    (holder,) = world.holders(job)
    first = world.nodes[holder]
    world.until(lambda: bool(first.processes.launched))
    world.lose(holder)
    world.go(20)
    (other,) = world.nodes.values()
    world.until(lambda: bool(other.processes.launched))
    (launch,) = other.processes.launched
    assert (launch.key, launch.attempt, launch.argv[-1]) == (f"m.{run_id}", 2, "once")
    other.end()
    world.go(10)
    assert summary(world.rows(job)) == [(1, "manual", "lost"), (2, "resume", "succeeded")]
    assert nothing_is_left(world)


def test_a_run_that_is_asked_for_moves_with_its_job(world: World, api: Api) -> None:
    world.add("a")
    world.add("b")
    job = made(api, YEARLY)
    world.go(10)
    (holder,) = world.holders(job)
    world.lose(holder)
    run_id = run_now(api, job)  # the fence still names the worker that is gone
    world.go(20)
    (other,) = world.nodes.values()
    assert [launch.run_id for launch in other.processes.launched] == [run_id]


def test_a_job_on_all_runs_on_every_worker_that_is_there(world: World, api: Api) -> None:
    nodes = [world.add("a"), world.add("b"), world.add("c")]
    job = made(api, {**YEARLY, "placement": {"on": "all"}})
    world.go(10)
    world.lose("c")
    answer = api.post(f"/jobs/{job}/runs", {})
    assert [run["worker"] for run in answer.json["runs"]] == ["a", "b"]
    world.go(5)
    for node in nodes[:2]:
        node.end()
    world.go(5)
    assert sorted(row.node for row in world.rows(job)) == ["a", "b"]
    assert len({row.run_id for row in world.rows(job)}) == 2


def test_without_a_worker_the_reason_is_told(world: World, api: Api) -> None:
    world.add("a")
    job = made(api, {**JOB, "placement": {"labels": {"disk": "tape"}}})
    answer = api.post(f"/jobs/{job}/runs", {})
    assert (answer.status, "about to place" in answer.json["detail"]) == (409, True)
    world.go(10)
    answer = api.post(f"/jobs/{job}/runs", {})
    assert (answer.status, "labels" in answer.json["detail"]) == (409, True)
    assert below(world, paths.TASKS) == []


def test_a_removal_leaves_a_row_of_a_run_that_was_asked_for_in_vain(world: World, api: Api) -> None:
    world.add("a")
    job = made(api, {**JOB, "schedule": "1 * * * *"})
    world.go(65)
    run_id = run_now(api, job)
    assert api.delete(f"/jobs/{job}").status == 200
    world.go(30)
    (row,) = [row for row in world.rows(job) if row.run_id == run_id]
    assert (row.state, row.trigger) == (RunState.SKIPPED, Trigger.MANUAL)
    assert "removed" in (row.reason or "")
