"""P7: a removed job that had no place for its minutes is told of all the same."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from dcron_app.manager import settling
from dcron_common import paths, timing
from dcron_common.db import jobs, runs, unsettled
from dcron_common.db.connection import Database
from dcron_common.db.models import RunHorizon
from dcron_common.run import CRON, RESTORED, RunRecord, RunState
from tests.in_process.asking import JOB, fences, made, patch
from tests.in_process.look import unaccounted
from tests.in_process.test_first_places import forget_fences
from tests.in_process.test_restored import put_back
from tests.in_process.world import START, World
from tests.unit.app.api_client import Api


@pytest.mark.parametrize("leads", ["again", "another", "without a notice"])
@pytest.mark.parametrize("placed", [False, True])
def test_p7_minutes_of_a_removed_job_that_had_no_place_for_them_are_told(
    world: World, api: Api, placed: bool, leads: str
) -> None:
    """It never had one, or lost it, and no worker was meant by its new placement."""
    world.add("a")
    job = made(api, JOB)
    if placed:
        world.turn()
        patch(api, job, placement={"on": "all", "labels": {"disk": "tape"}})
        world.go(100)
        assert fences(world, job) == []
    world.time.now += 61
    assert api.call("DELETE", f"/jobs/{job}").status == 200
    if leads == "another":
        world.another_leads()
    elif leads == "without a notice":
        for name in world.app.children(paths.INBOX):
            world.app.delete(f"{paths.INBOX}/{name}")
    world.go(100)
    assert unaccounted(world, job, deadline=0) == []
    assert {row.state for row in world.rows(job)} <= {RunState.SKIPPED, RunState.MISSED}
    assert unsettled.unsettled(world.database, 10) == []
    assert fences(world, job) == []


def test_p7_a_removed_job_that_had_its_minutes_gets_no_more_rows(world: World, api: Api) -> None:
    world.add("a")
    job = made(api, JOB)
    world.turn()
    world.go(130)
    world.finish()
    world.turn()
    before = world.rows(job)
    assert api.call("DELETE", f"/jobs/{job}").status == 200
    assert unsettled.unsettled(world.database, 10) == [job]
    world.go(100)
    assert unsettled.unsettled(world.database, 10) == []
    assert world.rows(job) == before


def test_p7_what_retention_took_of_a_removed_job_is_not_told_again(world: World, api: Api) -> None:
    job = made(api, JOB)
    world.time.now = START + 301
    assert api.call("DELETE", f"/jobs/{job}").status == 200
    world.database.transaction(
        RunHorizon.insert(job_id=job, through=START + 240).execute, idempotent=True
    )
    world.go(10)
    assert [row.scheduled_at for row in world.rows(job)] == [START + 300]


def test_p7_many_removed_jobs_with_many_minutes_are_told_by_bounded_statements(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[int] = []
    record = runs.record_runs

    def counted(database: Database, rows: Sequence[RunRecord], now: float) -> None:
        written.append(len(rows))
        record(database, rows, now)

    monkeypatch.setattr(runs, "record_runs", counted)
    ids = [world.post() for _ in range(30)]
    world.time.now += 60 * (settling.MOST_MINUTES + 50)
    for job in ids:
        jobs.remove_job(world.database, job, world.time.now, "x")
    for _ in range(60):
        world.go(5)
    assert unsettled.unsettled(world.database, 100) == []
    assert max(written) <= settling.MOST_ROWS
    assert all(unaccounted(world, job, deadline=0) == [] for job in ids)


def test_p7_a_removed_job_with_many_minutes_and_no_place_is_told_step_by_step(
    world: World, api: Api
) -> None:
    job = made(api, JOB)
    world.time.now += 60 * (settling.MOST_MINUTES * 2 + 50)
    assert api.call("DELETE", f"/jobs/{job}").status == 200
    world.go(100)
    assert unaccounted(world, job, deadline=0) == []
    assert unsettled.unsettled(world.database, 10) == []


def test_p7_a_removal_by_a_clock_that_is_ahead_leaves_no_minute_without_a_row(
    world: World, api: Api
) -> None:
    job = made(api, JOB)
    world.time.now = START + 121
    assert api.call("DELETE", f"/jobs/{job}").status == 200
    world.time.now -= 1.5
    world.go(10)
    assert [row.scheduled_at for row in world.rows(job)] == [START + 60, START + 120]


def test_p13_what_a_worker_records_later_replaces_what_was_told_without_proof(
    world: World, api: Api
) -> None:
    """All fences are lost, with the claims, and the job is removed before its end is recorded."""
    node = world.add("a")
    job = made(api, JOB)
    world.go(62)
    (run_id,) = node.processes.running
    node.database_away = True
    node.end()
    world.turn()
    for name in world.app.children(paths.runs("a")):
        world.app.delete(f"{paths.runs('a')}/{name}")
    forget_fences(world)
    assert api.call("DELETE", f"/jobs/{job}").status == 200
    assert world.manager._leader.step()
    world.time.now += 5
    assert world.manager._leader.step()
    assert [row.state for row in world.rows(job)] == [RunState.SKIPPED]
    node.database_away = False
    world.go(30)
    (row,) = world.rows(job)
    assert (row.state, row.run_id, row.worker) == (RunState.SUCCEEDED, run_id, "a")


@pytest.mark.parametrize("noticed", ["by a notice", "at a comparison"])
def test_p8_a_job_removed_again_after_a_restore_shows_the_gap(
    world: World, api: Api, noticed: str
) -> None:
    """Nobody has looked at the record since it was put back."""
    node = world.add("a")
    job = made(api, JOB)
    world.go(62)
    world.finish()
    with put_back(world):
        for _ in range(5):
            world.go(60)
            world.finish()
        assert api.call("DELETE", f"/jobs/{job}").status == 200
        world.go(60)
        assert fences(world, job) == [] and len(node.processes.launched) == 6
    if noticed == "at a comparison":
        world.time.now += timing.COMPARE
    assert api.call("DELETE", f"/jobs/{job}").status == 200
    world.go(60)
    states = {(row.kind, row.state) for row in world.rows(job)}
    assert states == {(CRON, RunState.SUCCEEDED), (RESTORED, RunState.LOST)}
    assert unaccounted(world, job, deadline=0) == []
    assert unsettled.unsettled(world.database, 10) == []
