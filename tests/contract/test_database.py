"""The record's promises, asked of SQLite and of a real MariaDB."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pymysql
import pytest

from dcron_common.db import dialect, jobs, migrations, users, workers
from dcron_common.db.connection import Database
from dcron_common.db.models import TABLES, Audit, Job, JobRevision, Run, SchemaVersion
from dcron_common.db.runs import record_runs
from dcron_common.errors import CommitInDoubt, Conflict, DatabaseError, DatabaseUnavailable
from dcron_common.job import JobType, Placement, Spec
from dcron_common.protocol import Registration
from dcron_common.run import RunRecord, RunState, Trigger
from tests.servers.mariadb import MariaDBServer

NOW = 1_800_000_030.5
MINUTE = 1_800_000_000


def open_mariadb(server: MariaDBServer, name: str = "dcron_contract") -> Database:
    hosts = [f"{server.host}:{server.port}"]
    return Database.mariadb(hosts, name, server.user, server.password, None)


@pytest.fixture(params=["sqlite", "mariadb"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    if request.param == "sqlite":
        database = Database.sqlite(tmp_path / "dcron.db")
    else:
        server = request.getfixturevalue("mariadb_server")
        server.create_database("dcron_contract")
        database = open_mariadb(server)
    yield database
    database.close()


@pytest.fixture
def database(empty: Database) -> Database:
    migrations.migrate(empty)
    return empty


@pytest.fixture
def mariadb(mariadb_server: MariaDBServer) -> Iterator[Database]:
    mariadb_server.create_database("dcron_contract")
    database = open_mariadb(mariadb_server)
    migrations.migrate(database)
    yield database
    database.close()


def spec(incarnation: str = "A" * 26, **fields: object) -> Spec:
    base = Spec(
        job_id=0,
        incarnation=incarnation,
        revision=1,
        type=JobType.COMMAND,
        executable="ls -la",
        schedule="5 * * * *",
        timezone="UTC",
        effective_from=0,
    )
    return replace(base, **fields)  # type: ignore[arg-type]


def insert(database: Database, number: int = 0, **fields: object) -> jobs.JobRow:
    new = jobs.NewJob(spec(f"{number:026d}", **fields), "ann", {"a": "b"})
    return jobs.insert_job(database, new, NOW, "ann")


def run_of(job_id: int, minute: int, state: RunState, attempt: int = 1) -> RunRecord:
    return RunRecord(f"r{attempt}", job_id, minute, attempt, Trigger.CRON, state)


# Schema


def test_an_empty_database_has_version_0_and_is_refused(empty: Database) -> None:
    assert migrations.current(empty) == 0
    with pytest.raises(DatabaseError, match="dcron-app migrate"):
        migrations.check(empty)


def test_the_migrations_make_exactly_what_the_models_say(database: Database) -> None:
    for table in TABLES:
        expected = {field.column_name for field in table._meta.sorted_fields}
        assert database.read(lambda t=table: database.columns(t._meta.table_name)) == expected


def test_migrating_again_changes_nothing(database: Database) -> None:
    assert migrations.migrate(database) == migrations.LATEST
    assert database.read(lambda: SchemaVersion.select().count()) == len(migrations.STEPS)


def test_an_interrupted_migration_is_finished_by_the_next(database: Database) -> None:
    database.transaction(lambda: SchemaVersion.delete().execute())
    database.transaction(lambda: database.execute("DROP TABLE `audit`"))
    migrations.migrate(database)
    assert migrations.current(database) == migrations.LATEST
    assert database.read(lambda: Audit.select().count()) == 0


@pytest.mark.parametrize(("ahead", "fine"), [(1, True), (2, False)])
def test_the_next_schema_is_served_and_a_later_one_refused(
    database: Database, ahead: int, fine: bool
) -> None:
    newer = SchemaVersion.insert(
        version=migrations.LATEST + ahead, applied_at=NOW, description="of another release"
    )
    database.transaction(lambda: newer.execute())
    for function in (migrations.check, migrations.migrate):
        if fine:
            function(database)
        else:
            with pytest.raises(DatabaseError, match="newer release"):
                function(database)


# Transactions


def test_a_transaction_that_raises_leaves_nothing(database: Database) -> None:
    def work() -> None:
        SchemaVersion.insert(version=99, applied_at=NOW, description="x").execute()
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        database.transaction(work)
    assert migrations.current(database) == migrations.LATEST


def test_an_inner_transaction_joins_the_outer_one(database: Database) -> None:
    def work() -> None:
        insert(database)
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        database.transaction(work)
    assert jobs.jobs_after(database, 0) == []


def test_a_taken_key_is_a_conflict(database: Database) -> None:
    query = SchemaVersion.insert(version=1, applied_at=NOW, description="x")
    with pytest.raises(Conflict):
        database.transaction(lambda: query.execute())


def test_a_wrong_statement_is_a_database_error(database: Database) -> None:
    with pytest.raises(DatabaseError):
        database.read(lambda: database.execute("SELECT FROM WHERE"))


def refused_for_good(database: Database, work: Callable[[], object]) -> DatabaseError:
    """What `work` raises, which must not be that one has to wait."""
    with pytest.raises(DatabaseError) as caught:
        database.transaction(work)
    assert not isinstance(caught.value, DatabaseUnavailable)
    return caught.value


def test_a_missing_table_is_a_database_that_cannot_serve(database: Database) -> None:
    database.transaction(lambda: database.execute("DROP TABLE audit"))
    count = Audit.select().count
    with pytest.raises(DatabaseUnavailable):
        database.read(count, deadline=0.0)
    database.transaction(lambda: SchemaVersion.delete().execute())
    migrations.migrate(database)
    assert database.read(count) == 0


def test_a_row_that_is_wrong_by_itself_is_refused_for_good(database: Database) -> None:
    insert(database)
    refused_for_good(database, lambda: Job.update(labels=None).execute())
    refused_for_good(database, lambda: database.execute("UPDATE job SET nothing = 1"))


def test_a_read_only_sqlite_file_is_waited_for(tmp_path: Path) -> None:
    database = Database.sqlite(tmp_path / "dcron.db")
    migrations.migrate(database)
    database.read(lambda: database.execute("PRAGMA query_only=ON"))
    with pytest.raises(DatabaseUnavailable):
        database.transaction(lambda: Job.update(paused=True).execute(), deadline=0.0)
    insert(database)  # on a new connection
    database.close()


def test_a_read_only_server_is_waited_for(mariadb: Database, mariadb_server: MariaDBServer) -> None:
    port = mariadb_server.port
    mariadb_server.execute("CREATE OR REPLACE USER plain@'%' IDENTIFIED BY 'plain'")
    mariadb_server.execute("GRANT SELECT, INSERT, UPDATE ON dcron_contract.* TO plain@'%'")
    plain = Database.mariadb([f"127.0.0.1:{port}"], "dcron_contract", "plain", "plain", None)
    mariadb_server.execute("SET GLOBAL read_only=1")
    try:
        with pytest.raises(DatabaseUnavailable, match="read-only"):
            plain.transaction(lambda: insert(plain), deadline=0.0)
        mariadb_server.execute("SET GLOBAL read_only=0")
        insert(plain)
    finally:
        mariadb_server.execute("SET GLOBAL read_only=0")
        plain.close()


def test_a_right_that_is_missing_is_waited_for(
    mariadb: Database, mariadb_server: MariaDBServer
) -> None:
    port = mariadb_server.port
    mariadb_server.execute("CREATE OR REPLACE USER plain@'%' IDENTIFIED BY 'plain'")
    mariadb_server.execute("GRANT SELECT ON dcron_contract.job TO plain@'%'")
    plain = Database.mariadb([f"127.0.0.1:{port}"], "dcron_contract", "plain", "plain", None)
    with pytest.raises(DatabaseUnavailable, match="denied"):
        plain.read(lambda: Run.select().count(), deadline=0.0)
    plain.close()


@pytest.mark.parametrize("code", [1021, 1030, 1142, 1146, 1290, 1836])
def test_what_is_the_servers_fault_is_repeated(mariadb: Database, code: int) -> None:
    error = dialect.peewee.OperationalError(code, "made up")
    mariadb.transaction(failing_once(lambda: insert(mariadb), error))
    assert count_jobs(mariadb) == 1


def test_a_statement_longer_than_the_server_takes_is_refused_for_good(
    mariadb_server: MariaDBServer, mariadb: Database
) -> None:
    insert(mariadb)
    update = Job.update(executable="x" * (2 << 20))
    mariadb_server.execute("SET GLOBAL max_allowed_packet=1048576")
    try:
        mariadb.close()
        error = refused_for_good(mariadb, update.execute)
        assert "max_allowed_packet" in str(error)
        assert count_jobs(mariadb) == 1
        update_that_fits = Job.update(executable="x" * (1_048_576 - 200))
        assert mariadb.transaction(update_that_fits.execute) == 1
    finally:
        mariadb_server.execute("SET GLOBAL max_allowed_packet=16777216")
        mariadb.close()


def test_each_thread_has_its_own_connection(database: Database) -> None:
    errors: list[BaseException] = []

    def add(number: int) -> None:
        try:
            insert(database, number)
        except BaseException as error:  # noqa: BLE001  # shown by the assertion below
            errors.append(error)
        finally:
            database.close()

    threads = [threading.Thread(target=add, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(jobs.jobs_after(database, 0)) == 8


def failing_once(action: Callable[[], object], error: Exception) -> Callable[[], None]:
    """Does `action`, and fails the first time: after it."""
    calls: list[int] = []

    def call() -> None:
        calls.append(1)
        action()
        if len(calls) == 1:
            raise error

    return call


def count_jobs(database: Database) -> int:
    return int(database.read(lambda: Job.select().count()))


@pytest.mark.parametrize("code", [1213, 1205, 1047, 2013, 2006])
def test_the_whole_transaction_is_repeated_before_its_commit(mariadb: Database, code: int) -> None:
    error = dialect.peewee.OperationalError(code, "made up")
    mariadb.transaction(failing_once(lambda: insert(mariadb), error))
    assert count_jobs(mariadb) == 1


def test_a_deadlock_is_repeated_until_both_are_done(mariadb: Database) -> None:
    insert(mariadb, 1)
    insert(mariadb, 2)
    barrier = threading.Barrier(2)
    attempts: list[int] = []

    def swap(first: int, second: int) -> None:
        tried: list[int] = []

        def work() -> None:
            attempts.append(first)
            tried.append(1)
            Job.update(last_attempt=Job.last_attempt + 1).where(Job.id == first).execute()
            if len(tried) == 1 and not barrier.broken:
                barrier.wait(5)
            Job.update(last_attempt=Job.last_attempt + 1).where(Job.id == second).execute()

        mariadb.transaction(work)
        mariadb.close()

    threads = [threading.Thread(target=swap, args=pair) for pair in ((1, 2), (2, 1))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [row.last_attempt for row in jobs.jobs_after(mariadb, 0)] == [2, 2]
    assert len(attempts) == 3


def test_a_connection_that_the_server_killed_is_replaced(
    mariadb: Database, mariadb_server: MariaDBServer
) -> None:
    killed: list[int] = []

    def work() -> None:
        insert(mariadb)
        if not killed:
            killed.append(1)
            kill_all(mariadb_server)
        Job.select().count()

    mariadb.transaction(work)
    assert count_jobs(mariadb) == 1


def kill_all(server: MariaDBServer) -> None:
    """End every connection of the test's user."""
    root = pymysql.connect(unix_socket=str(server.socket), user="root", autocommit=True)
    with root, root.cursor() as cursor:
        query = "SELECT id FROM information_schema.processlist WHERE user = %s"
        cursor.execute(query, (server.user,))
        for (number,) in cursor.fetchall():
            cursor.execute(f"KILL {number}")


def test_a_connection_lost_in_the_commit_leaves_a_doubt(mariadb: Database, monkeypatch) -> None:
    lose_first_commit(mariadb, monkeypatch)
    with pytest.raises(CommitInDoubt):
        mariadb.transaction(lambda: insert(mariadb))
    assert count_jobs(mariadb) == 1


def test_a_job_is_inserted_once_though_the_commits_answer_was_lost(
    mariadb: Database, monkeypatch
) -> None:
    lose_first_commit(mariadb, monkeypatch)
    assert insert(mariadb).id == 1
    assert count_jobs(mariadb) == 1
    assert mariadb.read(lambda: JobRevision.select().count()) == 1


def lose_first_commit(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    real = database._dialect.commit
    error = dialect.peewee.OperationalError(2013, "lost")
    monkeypatch.setattr(database._dialect, "commit", failing_once(real, error))


def test_no_server_is_unavailable_after_the_deadline(tmp_path: Path) -> None:
    away = Database.mariadb(["127.0.0.1:1"], "x", "x", "x", None)
    with pytest.raises(DatabaseUnavailable):
        away.read(lambda: None, deadline=0.2)
    with pytest.raises(DatabaseUnavailable):
        away.check()


def test_the_next_host_is_tried_where_one_is_away(
    mariadb: Database, mariadb_server: MariaDBServer
) -> None:
    hosts = ["127.0.0.1:1", f"127.0.0.1:{mariadb_server.port}"]
    user, password = mariadb_server.user, mariadb_server.password
    database = Database.mariadb(hosts, "dcron_contract", user, password, None)
    database.check()
    database.close()


def test_a_wrong_password_is_an_error_at_once(mariadb_server: MariaDBServer) -> None:
    host = f"127.0.0.1:{mariadb_server.port}"
    database = Database.mariadb([host], "mysql", mariadb_server.user, "wrong", None)
    with pytest.raises(DatabaseError, match="Access denied"):
        database.check()


def test_a_server_that_comes_back_within_the_deadline_is_used(
    mariadb: Database, mariadb_server: MariaDBServer
) -> None:
    insert(mariadb)
    mariadb_server.stop()
    timer = threading.Timer(1.0, mariadb_server.start)
    timer.start()
    try:
        assert jobs.get_job(mariadb, 1) is not None
    finally:
        timer.join()


def test_causal_reads_are_plain_reads_without_galera(database: Database) -> None:
    insert(database)
    assert jobs.get_job(database, 1, causal=True) == jobs.get_job(database, 1)


# Jobs


def test_a_job_comes_back_as_it_was_stored(database: Database) -> None:
    wanted = {
        "executable": "echo 'ü' 🎉 \\ %s",
        "name": "夜間",
        "environment": {"A": "x=y"},
        "placement": Placement({"rack": "a"}, "all"),
        "retries": 3,
    }
    row = insert(database, **wanted)
    found = jobs.spec_of(row)
    assert {key: getattr(found, key) for key in wanted} == wanted
    assert (found.job_id, found.revision, found.effective_from) == (1, 1, MINUTE + 60)
    assert jobs.get_job(database, 1) == row


def test_a_new_job_begins_its_history(database: Database) -> None:
    insert(database)
    insert(database, 2, paused=True)
    spans = database.read(lambda: list(JobRevision.select().order_by(JobRevision.id)))
    assert [(one.job_id, one.revision, one.state) for one in spans] == [
        (1, 1, "active"),
        (2, 1, "paused"),
    ]
    assert (spans[0].valid_from, spans[0].valid_to) == (MINUTE + 60, None)


def test_the_same_incarnation_is_inserted_once(database: Database) -> None:
    assert insert(database, 7) == insert(database, 7)
    assert count_jobs(database) == 1


def test_a_name_belongs_to_one_live_job(database: Database) -> None:
    insert(database, 1, name="n")
    with pytest.raises(Conflict, match="'n' is taken"):
        insert(database, 2, name="n")
    jobs.remove_job(database, 1, NOW, "ann")
    assert insert(database, 3, name="n").name == "n"


def test_names_differ_by_case_and_by_blanks(database: Database) -> None:
    for number, name in enumerate(["a", "A", "ä", "a b"]):
        assert insert(database, number, name=name).name == name


def test_removing_raises_the_revision_and_ends_the_history(database: Database) -> None:
    insert(database)
    row, changed = jobs.remove_job(database, 1, NOW + 60, "ann")
    assert changed
    assert (row.status, row.revision, row.removed_at) == ("finished", 2, NOW + 60)
    span = database.read(lambda: JobRevision.get())
    assert span.valid_to == MINUTE + 120
    again, changed = jobs.remove_job(database, 1, NOW + 120, "ann")
    assert (again, changed) == (row, False)


def test_removing_no_job_is_a_key_error(database: Database) -> None:
    with pytest.raises(KeyError):
        jobs.remove_job(database, 5, NOW, "ann")


def test_pages_hold_every_job_once(database: Database) -> None:
    for number in range(5):
        insert(database, number)
    jobs.remove_job(database, 2, NOW, "ann")
    assert [row.id for row in jobs.jobs_after(database, 1, 2)] == [2, 3]
    assert [row.id for row in jobs.jobs_after(database, 1, 2, live=True)] == [3, 4]
    assert [row.id for row in jobs.all_jobs(database)] == [1, 2, 3, 4, 5]
    assert set(jobs.get_jobs(database, [2, 9, 4])) == {2, 4}


def test_a_removed_job_keeps_its_status_whatever_its_runs_say(database: Database) -> None:
    insert(database)
    record_runs(database, [run_of(1, MINUTE, RunState.FAILED)], NOW)
    row = jobs.get_job(database, 1)
    assert row is not None
    assert row.status == "error"
    jobs.remove_job(database, 1, NOW, "ann")
    record_runs(database, [run_of(1, MINUTE + 60, RunState.FAILED)], NOW)
    row = jobs.get_job(database, 1)
    assert row is not None
    assert row.status == "finished"


def status_of(database: Database) -> tuple[str, int, int]:
    """Of job 1: its status, and the minute and attempt that gave it."""
    row = database.read(lambda: Job.get_by_id(1))
    return row.status, row.last_scheduled_at, row.last_attempt


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("state", [RunState.SKIPPED, RunState.MISSED, RunState.KILLED])
def test_minutes_that_say_nothing_do_not_hide_a_failure_of_a_recurring_job(
    database: Database, state: RunState, together: bool
) -> None:
    insert(database)
    failed = run_of(1, MINUTE, RunState.FAILED)
    passed = [run_of(1, MINUTE + 60 * number, state) for number in (1, 2)]
    if together:
        record_runs(database, [failed, *passed], NOW)
    else:
        record_runs(database, passed, NOW)
        assert status_of(database) == ("scheduled", 0, 0)
        record_runs(database, [failed], NOW)
    assert status_of(database) == ("error", MINUTE, 1)
    record_runs(database, [run_of(1, MINUTE + 240, RunState.SUCCEEDED)], NOW)
    assert status_of(database) == ("scheduled", MINUTE + 240, 1)


def test_an_older_run_changes_no_status(database: Database) -> None:
    insert(database)
    record_runs(database, [run_of(1, MINUTE, RunState.SUCCEEDED, attempt=2)], NOW)
    record_runs(database, [run_of(1, MINUTE, RunState.FAILED)], NOW)
    record_runs(database, [run_of(1, MINUTE - 60, RunState.FAILED, attempt=9)], NOW)
    assert status_of(database) == ("scheduled", MINUTE, 2)


def test_a_run_that_began_hides_no_failure(database: Database) -> None:
    insert(database)
    runs = [run_of(1, MINUTE, RunState.FAILED), run_of(1, MINUTE + 60, RunState.RUNNING)]
    record_runs(database, runs, NOW)
    assert status_of(database) == ("error", MINUTE, 1)


@pytest.mark.parametrize(
    ("state", "status"),
    [
        (RunState.SUCCEEDED, "finished"),
        (RunState.FAILED, "error"),
        (RunState.TIMED_OUT, "error"),
        (RunState.LOST, "error"),
        (RunState.KILLED, "error"),
        (RunState.SKIPPED, "error"),
        (RunState.MISSED, "error"),
        (RunState.RUNNING, "scheduled"),
    ],
)
def test_every_end_of_a_one_shot_shows_in_its_status(
    database: Database, state: RunState, status: str
) -> None:
    insert(database, schedule="@at 2027-01-15T08:00:00Z")
    record_runs(database, [run_of(1, MINUTE, state)], NOW)
    assert status_of(database)[0] == status


def test_jobs_of_both_kinds_follow_one_report(database: Database) -> None:
    insert(database, 0)
    insert(database, 1, schedule="@at 2027-01-15T08:00:00Z")
    insert(database, 2)
    states = [RunState.SKIPPED, RunState.SKIPPED, RunState.FAILED]
    record_runs(database, [run_of(n + 1, MINUTE, state) for n, state in enumerate(states)], NOW)
    rows = database.read(lambda: list(Job.select().order_by(Job.id)))
    assert [row.status for row in rows] == ["scheduled", "error", "error"]


def test_a_run_only_rises(database: Database) -> None:
    insert(database)
    for state in (RunState.SUCCEEDED, RunState.RUNNING, RunState.LOST):
        record_runs(database, [run_of(1, MINUTE, state)], NOW)
    assert [run.state for run in jobs.runs_of(database, 1, 10)] == [RunState.SUCCEEDED]
    assert database.read(lambda: Run.select().count()) == 1
    assert status_of(database) == ("scheduled", MINUTE, 1), "a loss told late made it an error"


def test_last_runs_are_read_for_many_jobs_at_once(database: Database) -> None:
    for number in range(3):
        insert(database, number)
    records = [
        run_of(1, MINUTE, RunState.FAILED),
        run_of(1, MINUTE, RunState.SUCCEEDED, attempt=2),
        run_of(1, MINUTE - 60, RunState.MISSED),
        run_of(2, MINUTE - 60, RunState.KILLED),
    ]
    record_runs(database, records, NOW)
    last = jobs.last_runs(database, [1, 2, 3])
    assert {job: run.state for job, run in last.items()} == {
        1: RunState.SUCCEEDED,
        2: RunState.KILLED,
    }


# Users and workers


def test_a_token_opens_until_it_is_revoked(database: Database) -> None:
    users.add_user(database, "ann", users.Role.OPERATOR, "ops", ["backup"], NOW, "test")
    token = users.add_token(database, "ann", "laptop", None, NOW, "test")
    login = users.authenticate(database, token, NOW)
    assert login is not None
    assert login.principal == users.Principal("ann", users.Role.OPERATOR, "ops", ("backup",))
    assert users.revoke_token(database, login.token_id, NOW, "test")
    assert users.authenticate(database, token, NOW) is None
    assert not users.revoke_token(database, login.token_id, NOW, "test")


def test_a_users_name_is_taken_once(database: Database) -> None:
    users.add_user(database, "ann", users.Role.ADMIN, None, [], NOW, "test")
    with pytest.raises(Conflict):
        users.add_user(database, "ann", users.Role.VIEWER, None, [], NOW, "test")
    with pytest.raises(KeyError):
        users.add_token(database, "bob", "x", None, NOW, "test")


def test_a_change_of_a_user_is_audited_once_and_only_what_changed(database: Database) -> None:
    users.add_user(database, "ann", users.Role.OPERATOR, "ops", ["backup"], NOW, "test")
    token = users.add_token(database, "ann", "laptop", None, NOW, "test")

    def change() -> bool:
        return users.change_user(
            database, "ann", NOW, "root", role=users.Role.OPERATOR, os_users=["root"], disabled=True
        )

    assert change()
    assert not change()
    rows = database.read(lambda: list(Audit.select().where(Audit.action == "change")))
    assert [(row.user, row.object_type, row.object_id) for row in rows] == [("root", "user", "ann")]
    assert json.loads(rows[0].before) == {"os_users": ["backup"], "disabled": False}
    assert json.loads(rows[0].after) == {"os_users": ["root"], "disabled": True}
    assert users.authenticate(database, token, NOW) is None
    assert users.change_user(database, "ann", NOW, "root", disabled=False)
    login = users.authenticate(database, token, NOW)
    assert login is not None
    assert login.principal.may_run_as("root")
    with pytest.raises(KeyError):
        users.change_user(database, "bob", NOW, "root", disabled=True)


def test_drained_is_set_for_known_workers_only(database: Database) -> None:
    seen = {"n1": Registration("n1", "b", "s", "10.0.0.1", {"rack": "a"}, 10, "0.1.0", 0)}
    workers.save_seen(database, seen, NOW)
    assert workers.set_drained(database, "n1", True, NOW, "test")
    assert workers.set_drained(database, "n1", True, NOW, "test")
    assert not workers.set_drained(database, "n2", True, NOW, "test")
    (row,) = workers.list_workers(database)
    assert (row.name, row.drained, row.labels, row.jobs) == ("n1", True, {"rack": "a"}, 0)
