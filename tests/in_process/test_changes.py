"""Changes of jobs: the API, a leader, workers.

Real: the API over WSGI, election, placement, fences, claims, records. See `world.py`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dcron_app.manager import assigner
from dcron_common import paths
from dcron_common.db import histories, jobs, workers
from dcron_common.errors import DatabaseUnavailable
from dcron_common.paths import Slot
from dcron_common.run import RunState
from tests.in_process.asking import (
    JOB,
    commands,
    fence,
    fences,
    made,
    nothing_is_left,
    patch,
)
from tests.in_process.world import START, World
from tests.unit.app.api_client import Api


def test_p15_no_worker_launches_the_old_revision_after_the_answer(world: World, api: Api) -> None:
    node = world.add("a")
    job = made(api, JOB)
    world.go(50)
    patch(api, job, executable="new")
    world.time.now = START + 62
    for _ in range(3):
        node.turn()  # and no leader has brought it the new one
    assert commands(node) == []
    world.turn()
    assert commands(node) == ["new"]


def test_p15_a_job_that_is_paused_starts_nothing_until_it_is_resumed(
    world: World, api: Api
) -> None:
    node = world.add("a")
    job = made(api, JOB)
    world.go(50)
    assert api.call("POST", f"/jobs/{job}/pause").json["paused"] is True
    for _ in range(20):
        world.time.now += 5
        node.turn()
    assert commands(node) == []
    world.go(100)
    assert commands(node) == []
    assert api.call("POST", f"/jobs/{job}/resume").json["paused"] is False
    world.go(60)
    assert commands(node) == ["old"]


def test_p15_a_retry_waits_for_the_new_revision_and_starts_by_it(world: World, api: Api) -> None:
    node = world.add("a")
    job = made(api, {**JOB, "schedule": "1 * * * *", "retries": 1, "retry_delay_seconds": 20})
    world.go(65)
    node.end("failed", 1)
    world.turn()
    patch(api, job, executable="new")
    world.time.now += 30
    node.turn()
    node.turn()
    assert commands(node) == ["old"]
    world.turn()
    assert commands(node) == ["old", "new"]


def test_p15_a_leader_that_read_an_older_row_does_not_lower_the_fence(
    world: World, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.add("a")
    world.add("b")
    job = made(api, JOB)
    world.go(10)
    (holder,) = world.holders(job)
    with monkeypatch.context() as away:
        _database_away_from_the_leader(away)
        _patched_behind_its_back(world, api, job, paused=True)
        lost = world.lose(holder)
        for _ in range(3):
            with pytest.raises(DatabaseUnavailable):
                world.manager._leader.step()
    now = fence(world, job)
    (other,) = world.nodes
    assert (now.holder, now.revision, now.state) == (other, 2, "paused")
    world.go(120)
    assert fence(world, job) == now
    assert commands(world.nodes[other]) == commands(lost) == []


def _database_away_from_the_leader(away: pytest.MonkeyPatch) -> None:
    def unavailable(*_: object, **__: object) -> None:
        raise DatabaseUnavailable("no database")

    away.setattr(workers, "save_seen", unavailable)
    away.setattr(workers, "save_places", unavailable)
    away.setattr(workers, "settings", unavailable)
    away.setattr(jobs, "get_jobs", unavailable)
    away.setattr(jobs, "jobs_after", unavailable)


def _patched_behind_its_back(world: World, api: Api, job: int, **changes: Any) -> None:
    """The API's own reads are single rows, which the leader does not use."""
    patch(api, job, **changes)
    assert fence(world, job).revision == 2


@pytest.mark.parametrize("on", ["one", "all"])
def test_p15_a_change_before_the_job_has_a_fence_is_read_before_it_stands_anywhere(
    world: World, api: Api, monkeypatch: pytest.MonkeyPatch, on: str
) -> None:
    """The leader has read the job and is about to make its first fence."""
    node = world.add("a")
    world.turn()
    world.time.now = START + 59
    job = made(api, {**JOB, "placement": {"on": on}})
    apply, changed = assigner.apply, []

    def interleaved(*arguments: Any) -> Any:
        if changed:
            return apply(*arguments)
        changed.append(patch(api, job, executable="new"))
        done = apply(*arguments)
        world.time.now = START + 62
        node.turn()
        return done

    monkeypatch.setattr(assigner, "apply", interleaved)
    world.manager._leader.step()
    assert changed
    assert commands(node) == []
    world.go(10)
    assert commands(node) == ["new"]


@pytest.mark.parametrize("what", ["edit", "pause", "delete"])
def test_p15_a_change_while_a_closed_slot_is_opened_again_is_read_before_it_stands_anywhere(
    world: World, api: Api, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    node = world.add("a")
    job = made(api, {**JOB, "concurrency": "allow"})
    world.go(65)
    assert commands(node) == ["old"]
    world.time.now = START + 119
    node.turn()
    patch(api, job, placement={"on": "all"})
    assert world.manager._leader.step()
    assert fence(world, job).state == "removed"
    patch(api, job, placement={"on": "one"})
    apply, changed = assigner.apply, []

    def interleaved(*given: Any) -> Any:
        """The API answers between the leader's reading of the row and its opening of the slot."""
        if changed or not any(change.before and change.opens for change in given[3]):
            return apply(*given)
        changed.append(what)
        if what == "edit":
            patch(api, job, executable="new")
        elif what == "pause":
            assert api.call("POST", f"/jobs/{job}/pause").status == 200
        else:
            assert api.call("DELETE", f"/jobs/{job}").status == 200
        done = apply(*given)
        world.time.now = START + 122
        node.turn()
        return done

    monkeypatch.setattr(assigner, "apply", interleaved)
    for _ in range(4):
        assert world.manager._leader.step()
    world.go(60)
    assert changed
    assert set(commands(node)[1:]) == ({"new"} if what == "edit" else set())


def test_a_fence_that_is_ahead_of_a_restored_database_follows_it(world: World, api: Api) -> None:
    node = world.add("a")
    job = made(api, JOB)
    world.go(10)
    path = paths.fence(Slot(job))
    ahead = replace(fence(world, job), revision=9, state="paused")
    world.app.set(path, ahead.encode())
    world.go(110)
    assert (fence(world, job).revision, fence(world, job).state) == (1, "active")
    assert commands(node)


def test_p15_a_change_without_the_coordinator_is_503_and_repeating_it_writes_the_fence(
    world: World, api: Api
) -> None:
    world.add("a")
    job = made(api, JOB)
    world.go(10)
    world.ensemble.disconnect(api.coordinator)
    answer = api.call("PATCH", f"/jobs/{job}", b'{"paused": true}')
    assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
    assert "ask again" in answer.json["detail"]
    assert fence(world, job).state == "active"
    world.ensemble.reconnect(api.coordinator)
    patch(api, job, paused=True)
    now = fence(world, job)
    assert (now.state, now.revision) == ("paused", 2)
    assert len(histories.spans_of(world.database, job)) == 2


def test_a_change_of_place_moves_the_job_and_leaves_no_fence_behind(world: World, api: Api) -> None:
    nodes = [world.add("a", {"disk": "ssd"}), world.add("n.example.org")]
    job = made(api, JOB)
    world.go(10)
    epoch = fence(world, job).epoch
    patch(api, job, placement={"on": "all"})
    world.go(70)
    assert fences(world, job) == [f"{job}@a", f"{job}@n.example.org"]
    assert [commands(node) for node in nodes] == [["old"], ["old"]]
    for node in nodes:
        node.end()
    patch(api, job, placement={"labels": {"disk": "ssd"}})
    world.go(70)
    assert fences(world, job) == [str(job)]
    assert [commands(node) for node in nodes] == [["old", "old"], ["old"]]
    assert fence(world, job).epoch > epoch
    nodes[0].end()
    world.go(10)
    assert nothing_is_left(world)
    assert {row.state for row in world.rows(job)} == {RunState.SUCCEEDED}


def test_p11_a_run_that_goes_on_keeps_the_job_from_its_new_places(world: World, api: Api) -> None:
    node = world.add("a")
    job = made(api, JOB)
    world.go(65)
    patch(api, job, placement={"on": "all"})
    world.go(120)
    assert len(node.processes.launched) == 1
    node.end()
    world.go(70)
    assert len(node.processes.launched) == 2
    assert fences(world, job) == [f"{job}@a"]
    patch(api, job, placement={"on": "one"})
    world.go(70)
    assert len(node.processes.launched) == 2
    node.end()
    world.go(15)
    assert len(node.processes.launched) == 3
    assert world.holders(job) == ["a"]


def test_a_retry_that_waits_where_the_job_stands_no_more_does_not_hold_it(
    world: World, api: Api
) -> None:
    node = world.add("a")
    job = made(api, {**JOB, "schedule": "1 * * * *", "retries": 1, "retry_delay_seconds": 3600})
    world.go(65)
    node.end("failed", 1)
    world.turn()
    patch(api, job, placement={"on": "all"})
    world.go(30)
    assert fences(world, job) == [f"{job}@a"]
    assert nothing_is_left(world)


def test_a_one_shot_that_is_over_fires_again_by_a_new_schedule(world: World, api: Api) -> None:
    node = world.add("a")
    job = made(api, {**JOB, "schedule": "@at 2027-01-15T08:02:00Z"})
    world.go(130)
    node.end()
    world.go(70)
    assert fences(world, job) == []
    patch(api, job, schedule="@at 2027-01-15T08:06:00Z")
    world.go(170)
    first, second = node.processes.launched
    assert second.epoch > first.epoch
    node.end()
    world.go(70)
    assert world.status(job) == "finished"
    assert fences(world, job) == []


def test_a_one_shot_may_be_put_off_while_its_fence_is_being_closed(world: World, api: Api) -> None:
    node = world.add("a")
    job = made(api, {**JOB, "schedule": "@at 2027-01-15T08:02:00Z"})
    world.go(125)
    node.end()
    node.turn()
    patch(api, job, schedule="@at 2027-01-15T08:06:00Z")
    world.go(240)
    assert [int(one.key) - START for one in node.processes.launched] == [120, 360]
