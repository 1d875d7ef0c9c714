"""P7: a removed job that had no place for its minutes is told of all the same."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from dcron_app.manager import settling
from dcron_common import paths
from dcron_common.db import jobs, runs, unsettled
from dcron_common.db.connection import Database
from dcron_common.db.models import RunHorizon
from dcron_common.run import RunRecord, RunState
from tests.integration.asking import JOB, fences, made, patch
from tests.integration.look import unaccounted
from tests.integration.world import START, World
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
