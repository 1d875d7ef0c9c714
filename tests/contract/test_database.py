"""What connection, transactions and schema promise: asked of SQLite and of a real MariaDB."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pymysql
import pytest

from dcron_common.db import dialect, jobs, migrations
from dcron_common.db.connection import Database
from dcron_common.db.models import TABLES, Audit, Job, JobRevision, Run, SchemaVersion
from dcron_common.errors import CommitInDoubt, Conflict, DatabaseError, DatabaseUnavailable
from tests.contract.records import NOW, count_jobs, insert
from tests.servers.mariadb import MariaDBServer

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


def test_a_step_that_is_missing_in_between_is_taken(database: Database) -> None:
    database.transaction(SchemaVersion.delete().where(SchemaVersion.version == 4).execute)
    database.transaction(lambda: database.execute("DROP TABLE `job_label`"))
    migrations.migrate(database)
    assert database.read(lambda: database.columns("job_label")) == {"name", "value", "job_id"}
    assert database.read(lambda: SchemaVersion.select().count()) == len(migrations.STEPS)


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
    without = refused_for_good(database, lambda: Job.update(labels=None).execute())
    assert "labels" in str(without)
    unknown = refused_for_good(database, lambda: database.execute("UPDATE job SET nothing = 1"))
    assert "nothing" in str(unknown)


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
    mariadb_server.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON dcron_contract.* TO plain@'%'")
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


@pytest.mark.parametrize("code", [1213, 1205, 1047, 2013, 2006])
def test_p16_the_whole_transaction_is_repeated_before_its_commit(
    mariadb: Database, code: int
) -> None:
    error = dialect.peewee.OperationalError(code, "made up")
    mariadb.transaction(failing_once(lambda: insert(mariadb), error))
    assert count_jobs(mariadb) == 1


def test_p16_a_deadlock_is_repeated_until_both_are_done(mariadb: Database) -> None:
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
                barrier.wait(60)
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


def test_an_idle_connection_finds_out_that_nobody_is_behind_it(mariadb: Database) -> None:
    """By the kernel's probes. tests/system/test_address.py sees them at work."""

    def options() -> dict[tuple[int, int], int]:
        sock = mariadb._dialect.connection()._sock
        return {option: sock.getsockopt(*option) for option in dialect.KEEPALIVE}

    found = mariadb.read(options)
    assert found == dialect.KEEPALIVE
    assert found[socket.SOL_SOCKET, socket.SO_KEEPALIVE] == 1


def kill_all(server: MariaDBServer) -> None:
    """End every connection of the test's user."""
    root = pymysql.connect(unix_socket=str(server.socket), user="root", autocommit=True)
    with root, root.cursor() as cursor:
        query = "SELECT id FROM information_schema.processlist WHERE user = %s"
        cursor.execute(query, (server.user,))
        for (number,) in cursor.fetchall():
            cursor.execute(f"KILL {number}")


def test_p16_a_connection_lost_in_the_commit_leaves_a_doubt(mariadb: Database, monkeypatch) -> None:
    lose_first_commit(mariadb, monkeypatch)
    with pytest.raises(CommitInDoubt):
        mariadb.transaction(lambda: insert(mariadb))
    assert count_jobs(mariadb) == 1


def test_p16_a_job_is_inserted_once_though_the_commits_answer_was_lost(
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
