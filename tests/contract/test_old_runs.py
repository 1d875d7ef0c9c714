"""What retention finds and removes, on SQLite and on a real MariaDB."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pymysql
import pytest

from dcron_common.db import jobs, old_jobs, old_runs, progress, run_reads, runs, unsettled
from dcron_common.db.connection import Database
from dcron_common.db.models import Job, JobLabel, JobRevision, JobText, Run, RunHorizon
from dcron_common.db.old_runs import Extent, OldRun
from dcron_common.run import RunRecord, RunState, Trigger
from tests.contract.plans import explained, statements
from tests.contract.records import MINUTE, NOW, insert, run_of
from tests.servers.mariadb import MariaDBServer

ALL = 2**40


def record(database: Database, job_id: int, *minutes: int, **fields: Any) -> None:
    """Runs of these minutes, counted from MINUTE."""
    values = {"trigger": Trigger.CRON, "state": RunState.SUCCEEDED, "worker": "a", **fields}
    rows = [
        RunRecord(f"r{job_id}.{number}", job_id, MINUTE + 60 * number, 1, **values)
        for number in minutes
    ]
    runs.record_runs(database, rows, NOW)


def seen(rows: Sequence[OldRun]) -> list[int]:
    return [(row.scheduled_at - MINUTE) // 60 for row in rows]


def minutes(database: Database, job_id: int) -> list[int]:
    found = database.read(lambda: list(Run.select().where(Run.job_id == job_id)))
    return sorted((row.scheduled_at - MINUTE) // 60 for row in found)


def test_extents_tell_the_oldest_run_and_where_the_newest_begin(database: Database) -> None:
    record(database, 3, *range(5))
    record(database, 7, 9)
    record(database, 8, 1, 2)
    third = MINUTE + 60 * 3
    assert old_runs.extents(database, 0, 10, 2) == [
        Extent(3, MINUTE, third),
        Extent(7, MINUTE + 540, None),
        Extent(8, MINUTE + 60, MINUTE + 60),
    ]
    assert old_runs.extents(database, 3, 1, None) == [Extent(7, MINUTE + 540, None)]
    assert old_runs.extents(database, 8, 10, 2) == []


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_runs_are_read_in_order_and_whole_whatever_the_page(database: Database, size: int) -> None:
    for node in ("", "b", "a"):
        record(database, 1, 0, 1, 2, node=node)
    record(database, 1, 1, kind="m.01J00000000000000000000000")
    second = run_of(1, MINUTE + 60, RunState.FAILED, attempt=2)
    runs.record_runs(database, [second], NOW)
    found: list[OldRun] = []
    while page := old_runs.runs_before(
        database, 1, found[-1] if found else None, MINUTE + 120, size
    ):
        assert len(page) <= size
        found += page
    assert seen(found) == [0, 0, 0, 1, 1, 1, 1, 1]
    assert [one.place for one in found] == sorted(one.place for one in found)
    assert len({one.id for one in found}) == 8


def test_a_row_says_what_decides_about_it(database: Database) -> None:
    record(database, 1, 0, finished_at=NOW, output_url="s3://x", node="n")
    (row,) = old_runs.runs_before(database, 1, None, ALL, 10)
    assert (row.state, row.run_id, row.worker) == (RunState.SUCCEEDED, "r1.0", "a")
    assert (row.finished_at, row.has_output, row.node, row.closes) == (NOW, True, "n", True)


def test_nodes_with_a_later_minute_are_told_within_bounds(database: Database) -> None:
    record(database, 1, 5, node="a")
    record(database, 1, 6, node="b")
    record(database, 1, 7, node="c", kind="m.01J00000000000000000000000")
    record(database, 1, 4, node="d")
    assert old_runs.nodes_since(database, 1, MINUTE + 300, 10) == {"a", "b"}
    assert old_runs.nodes_since(database, 1, MINUTE + 300, 1) == {"a"}


def test_removed_rows_are_gone_and_the_ledgers_horizon_follows(database: Database) -> None:
    record(database, 1, *range(4))
    rows = old_runs.runs_before(database, 1, None, MINUTE + 120, 10)
    assert old_runs.drop_runs(database, 1, rows, horizon=True) == 2
    assert minutes(database, 1) == [2, 3]
    assert old_runs.horizon_of(database, 1) == MINUTE + 60
    assert old_runs.drop_runs(database, 1, rows[:1], horizon=True) == 0
    assert old_runs.horizon_of(database, 1) == MINUTE + 60
    assert old_runs.horizon_of(database, 2) == 0


def test_a_run_that_goes_on_is_never_removed(database: Database) -> None:
    record(database, 1, 0, state=RunState.RUNNING)
    rows = old_runs.runs_before(database, 1, None, ALL, 10)
    assert old_runs.drop_runs(database, 1, rows, horizon=True) == 0
    assert minutes(database, 1) == [0]


def test_runs_that_were_asked_for_leave_no_horizon(database: Database) -> None:
    record(database, 1, 0, kind="m.01J00000000000000000000000")
    rows = old_runs.runs_before(database, 1, None, ALL, 10)
    assert old_runs.drop_runs(database, 1, rows, horizon=True) == 1
    assert old_runs.horizon_of(database, 1) == 0


def test_outputs_are_known_by_the_runs_that_wrote_them(database: Database) -> None:
    record(database, 1, 0, 1)
    record(database, 1, 2, state=RunState.MISSED)
    assert old_runs.recorded(database, ["r1.0", "r1.2", "r9.9"]) == {"r1.0"}
    assert old_runs.recorded(database, []) == set()


def test_jobs_that_the_record_does_not_know_are_told(database: Database) -> None:
    row = insert(database)
    assert old_runs.without_row(database, {row.id, 77}) == {77}
    assert old_runs.without_row(database, []) == set()


def test_jobs_that_were_removed_long_ago_go_after_all_that_hangs_on_them(
    database: Database,
) -> None:
    row, other = insert(database, 1), insert(database, 2)
    record(database, row.id, 0)
    assert old_jobs.removed_before(database, ALL, 0, 10) == []
    jobs.remove_job(database, row.id, NOW, "ann")
    assert old_jobs.removed_before(database, NOW + 1, 0, 10) == []  # minutes may lack their rows
    unsettled.settle(database, [row.id])
    assert old_jobs.removed_before(database, NOW, 0, 10) == []
    assert old_jobs.removed_before(database, NOW + 1, 0, 10) == [row.id]
    assert old_jobs.removed_before(database, NOW + 1, row.id, 10) == []

    assert old_jobs.drop_job(database, row.id, NOW + 1) is False
    rows = old_runs.runs_before(database, row.id, None, ALL, 10)
    old_runs.drop_runs(database, row.id, rows, horizon=True)
    assert old_jobs.drop_job(database, row.id, NOW + 1) is False
    assert old_jobs.drop_revisions(database, row.id, 500) == 1
    assert old_jobs.drop_job(database, row.id, NOW) is False  # not for so long
    assert old_jobs.drop_job(database, row.id, NOW + 1) is True
    assert jobs.get_job(database, row.id) is None
    for table in (RunHorizon, JobRevision, JobLabel, JobText):
        left = table.select().where(table.job_id == row.id)
        assert database.read(left.exists) is False
    assert jobs.get_job(database, other.id) == other


def test_history_goes_in_pieces(database: Database) -> None:
    row = insert(database)
    jobs.remove_job(database, row.id, NOW, "ann")
    assert old_jobs.drop_revisions(database, row.id, 1) == 1
    assert old_jobs.drop_revisions(database, row.id, 1) == 0


def test_files_are_known_by_the_jobs_that_name_them(database: Database) -> None:
    digest = "a" * 64
    row = insert(database, 1, sha256=digest, executable=f"executables/{digest}")
    assert old_jobs.named_files(database, [digest, "b" * 64]) == {digest}
    jobs.remove_job(database, row.id, NOW, "ann")
    assert old_jobs.named_files(database, [digest]) == {digest}  # its file can still be read


def test_where_a_round_ended_is_kept(database: Database) -> None:
    assert progress.read(database, "runs") == ""
    progress.write(database, "runs", "7", NOW)
    progress.write(database, "runs", "9", NOW)
    assert progress.read(database, "runs") == "9"
    assert progress.last_round(database) is None
    progress.write(database, progress.ROUND, '{"runs": 3}', NOW)
    assert progress.last_round(database) == {"runs": 3, "at": NOW}


# -- MariaDB alone


@pytest.fixture
def many(mariadb: Database) -> Iterator[Database]:
    """200 jobs with 50 runs each, so that its optimizer has something to weigh."""
    for job_id in range(1, 201):
        record(mariadb, job_id, *range(50))
    mariadb.read(lambda: mariadb.execute("ANALYZE TABLE `run`"))
    yield mariadb


def test_nothing_is_sorted_and_no_table_read_whole_to_find_old_runs(many: Database) -> None:
    last = old_runs.runs_before(many, 7, None, ALL, 3)[-1]
    calls = (
        lambda: old_runs.extents(many, 0, 100, 10),
        lambda: old_runs.runs_before(many, 7, None, ALL, 10),
        lambda: old_runs.runs_before(many, 7, last, ALL, 10),
        lambda: old_runs.nodes_since(many, 7, MINUTE, 10),
    )
    for call in calls:
        (statement,) = statements(many, call)
        for step in explained(many, statement):
            if str(step["table"]).startswith("<"):
                continue  # the page itself
            assert step["key"] == "run_key", step
            assert "filesort" not in (step["Extra"] or ""), step


def test_a_row_that_is_written_beside_a_removal_does_not_wait_for_it(
    many: Database, mariadb_server: MariaDBServer
) -> None:
    """A worker writes minutes of the same job, also between those that go, before the commit."""
    rows = old_runs.runs_before(many, 7, None, MINUTE + 60 * 40, 100)
    account = {"user": mariadb_server.user, "password": mariadb_server.password}
    other = pymysql.connect(
        host=mariadb_server.host,
        port=mariadb_server.port,
        database="dcron_contract",
        autocommit=True,
        init_command="SET SESSION innodb_lock_wait_timeout=1",
        **account,
    )

    def work() -> None:
        Run.delete().where(Run.id.in_([row.id for row in rows])).execute()
        with other.cursor() as cursor:  # 1205 if it has to wait
            for at in (MINUTE + 60 * 60, MINUTE + 90):
                cursor.execute(
                    "INSERT INTO run (run_id, job_id, scheduled_at, kind, attempt, `trigger`,"
                    " state, `rank`, epoch, isolated)"
                    " VALUES ('new', 7, %s, 'cron', 1, 'cron', 'succeeded', 2, 1, 0)",
                    (at,),
                )

    with other:
        many.transaction(work)
    assert minutes(many, 7) == [1, *range(40, 50), 60]


def test_the_newest_run_of_each_job_is_one_step_into_the_index(many: Database) -> None:
    for number in range(40):
        insert(many, number)
    many.read(lambda: many.execute("ANALYZE TABLE `job`, `run`"))
    (statement,) = statements(many, lambda: run_reads.last_runs(many, [3, 4, 5]))
    (step,) = [one for one in explained(many, statement) if one["table"] == "last"]
    assert step["key"] == "run_key", step
    assert "filesort" not in (step["Extra"] or ""), step


def test_removed_jobs_are_found_by_their_index(mariadb: Database) -> None:
    for number in range(50):
        insert(mariadb, number)
    jobs.remove_job(mariadb, 7, NOW, "ann")
    mariadb.read(lambda: mariadb.execute("ANALYZE TABLE `job`"))
    (statement,) = statements(mariadb, lambda: old_jobs.removed_before(mariadb, NOW + 1, 0, 10))
    (step,) = explained(mariadb, statement)
    assert step["key"] in ("job_removed_at", "PRIMARY"), step
    assert mariadb.read(lambda: Job.select().count()) == 50
