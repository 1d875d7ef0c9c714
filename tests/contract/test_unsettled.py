"""Removed jobs of which a due minute may still lack its row."""

from __future__ import annotations

from dcron_common.db import jobs, runs, unsettled
from dcron_common.db.connection import Database
from dcron_common.db.models import RunHorizon
from dcron_common.run import RunState
from tests.contract.plans import explained, statements
from tests.contract.records import MINUTE, NOW, insert, run_of


def test_a_removed_job_is_unsettled_until_it_is_settled(database: Database) -> None:
    row, other = insert(database, 1), insert(database, 2)
    assert unsettled.unsettled(database, 10) == []
    for one in (row, other):
        jobs.remove_job(database, one.id, NOW, "ann")
    assert unsettled.unsettled(database, 10) == [row.id, other.id]
    assert unsettled.unsettled(database, 1) == [row.id]
    unsettled.settle(database, [row.id])
    unsettled.settle(database, [])
    assert unsettled.unsettled(database, 10) == [other.id]


def test_of_unsettled_jobs_the_newest_minute_that_was_told_is_known(database: Database) -> None:
    nothing, told, expired, live = (insert(database, number) for number in range(4))
    minutes = (MINUTE, MINUTE + 60)
    rows = [run_of(one.id, at, RunState.SUCCEEDED) for one in (told, expired) for at in minutes]
    runs.record_runs(database, rows, NOW)
    for one in (nothing, told, expired):
        jobs.remove_job(database, one.id, NOW, "ann")
    horizon = RunHorizon.insert(job_id=expired.id, through=2**40)
    database.transaction(horizon.execute, idempotent=True)
    ids = [nothing.id, told.id, expired.id, live.id]
    assert unsettled.told_through(database, ids) == {
        nothing.id: 0,
        told.id: MINUTE + 60,
        expired.id: 2**40,
    }
    assert unsettled.told_through(database, []) == {}


def test_unsettled_jobs_are_found_by_their_index(mariadb: Database) -> None:
    for number in range(50):
        insert(mariadb, number)
    jobs.remove_job(mariadb, 7, NOW, "ann")
    mariadb.read(lambda: mariadb.execute("ANALYZE TABLE `job`"))
    (statement,) = statements(mariadb, lambda: unsettled.unsettled(mariadb, 10))
    (step,) = explained(mariadb, statement)
    assert step["key"] == "job_unsettled", step
