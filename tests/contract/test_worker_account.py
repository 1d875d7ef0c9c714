"""P18: what a node's database account may do, by the rights that roles/dcron_worker gives it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from ansible_collections.community.mysql.plugins.module_utils.user import privileges_unpack
from pymysql.cursors import Cursor

from dcron_common.db import (
    chunks,
    jobs,
    migrations,
    outputs,
    runs,
    sealed,
    secrets,
    tokens,
    users,
)
from dcron_common.db.models import TABLES, Job, OutputChunk, Run, SealedSecret
from dcron_common.db.sealed import Sealed
from dcron_common.db.secrets import NewSecret
from dcron_common.job import JobType, Spec
from dcron_common.run import RunRecord, RunState, Trigger
from tests.contract.accounts import Account, refused
from tests.contract.records import MINUTE, NOW, open_mariadb
from tests.servers.mariadb import MariaDBServer

VARIABLES = Path(__file__).parents[2] / "roles/dcron_worker/vars/main.yml"
ACCOUNT = Account("dcron_rights", "dcron_w_node1", "of-a-node")
FOLLOWED = {"status", "last_scheduled_at", "last_attempt"}  # what a run makes of its job


def rights() -> dict[str, list[str]]:
    """As the role's mysql_user reads them: the rights for each table."""
    template = yaml.safe_load(VARIABLES.read_text())["__dcron_worker_rights"]
    text = re.sub(r"\{\{\s*dcron_worker_database\s*\}\}", ACCOUNT.record, template)
    unpacked: dict[str, list[str]] = privileges_unpack(text, "NOTANSI", column_case_sensitive=True)
    return unpacked


@pytest.fixture(scope="module")
def record(mariadb_server: MariaDBServer) -> Iterator[MariaDBServer]:
    """A record with a job, a user and a token, and the account of a node."""
    server = mariadb_server
    server.create_database(ACCOUNT.record)
    database = open_mariadb(server, ACCOUNT.record)
    migrations.migrate(database)
    spec = Spec(0, "A" * 26, 1, JobType.COMMAND, "ls -la", "5 * * * *", "UTC", 0)
    jobs.insert_job(database, jobs.NewJob(spec, "ann", {}), NOW, "ann")
    users.add_user(database, "ann", users.Role.ADMIN, [], ["*"], NOW, "test")
    tokens.add_token(database, "ann", "laptop", None, NOW, "test")
    secrets.put_secret(database, None, NewSecret("KEY", "ann", None, "V" * 26, "k:e"), NOW, "ann")
    for worker in ("node1", "node2"):
        sealed.save(database, [Sealed(worker, "KEY", "V" * 26, "p" * 64, f"for {worker}")])
    database.close()
    ACCOUNT.create(server)
    for table, allowed in rights().items():
        server.execute(f"GRANT {', '.join(allowed)} ON {table} TO {ACCOUNT.name}@'%'")
    yield server
    ACCOUNT.drop(server)


@pytest.fixture
def node(record: MariaDBServer) -> Iterator[Cursor]:
    """What whoever has the node's password can say to the record."""
    with ACCOUNT.speaking(record) as cursor:
        yield cursor


def test_p18_a_node_records_its_runs_with_its_account(record: MariaDBServer) -> None:
    database = ACCOUNT.open(record)
    running = RunRecord("R1", 1, MINUTE, 1, Trigger.CRON, RunState.RUNNING)
    runs.record_runs(database, [running], NOW)
    ended = RunRecord("R1", 1, MINUTE, 1, Trigger.CRON, RunState.FAILED, exit_code=1)
    runs.record_runs(database, [ended], NOW)
    assert outputs.set_output(database, "R1", "outputs/R1")
    row = jobs.get_job(database, 1)
    assert row is not None and row.status == "error"
    database.close()


def test_p18_a_node_fetches_what_is_sealed_for_it_and_writes_nothing_of_it(
    record: MariaDBServer, node: Cursor
) -> None:
    database = ACCOUNT.open(record)
    found = sealed.fetch(database, "node1", ["KEY", "OTHER"], deadline=5)
    assert [one.sealed for one in found.values()] == ["for node1"]
    database.close()
    for statement in (
        "DELETE FROM sealed_secret",
        "UPDATE sealed_secret SET sealed = ''",
        "INSERT INTO sealed_secret VALUES ('node1', 'A', 'V', 'p', 's')",
    ):
        assert refused(node, statement)


def test_p18_a_node_adds_what_is_followed_and_sees_only_how_far_it_came(
    record: MariaDBServer, node: Cursor
) -> None:
    database = ACCOUNT.open(record)
    piece = chunks.Chunk("R2", 0, b"what another job wrote")
    for _ in range(2):
        chunks.append(database, [piece], NOW, deadline=5.0)
    assert chunks.copied(database, "R2", deadline=5.0) == chunks.Copied(22, 22)
    database.close()
    for statement in (
        "SELECT data FROM output_chunk",
        "SELECT * FROM output_chunk",
        "UPDATE output_chunk SET data = 'x'",
        "REPLACE INTO output_chunk (run_id, start) VALUES ('R2', 0)",
        "DELETE FROM output_chunk",
    ):
        assert refused(node, statement), statement


OWN = (Job, Run, OutputChunk, SealedSecret)
OTHERS = [one._meta.table_name for one in TABLES if one not in OWN]


@pytest.mark.parametrize("table", OTHERS)
def test_p18_a_node_reads_and_writes_no_other_table(node: Cursor, table: str) -> None:
    for statement in ("SELECT * FROM `{}`", "DELETE FROM `{}`", "INSERT INTO `{}` VALUES ()"):
        assert refused(node, statement.format(table))


@pytest.mark.parametrize("column", sorted(Job._meta.columns))
def test_p18_a_node_changes_of_a_job_only_what_follows_from_runs(node: Cursor, column: str) -> None:
    assert refused(node, "UPDATE job SET `X` = `X`".replace("X", column)) is (
        column not in FOLLOWED
    )


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE job SET status = 'error', executable = 'id' WHERE id = 1",
        "INSERT INTO job (id) VALUES (1) ON DUPLICATE KEY UPDATE executable = 'id'",
        "REPLACE INTO job (id, executable) VALUES (1, 'id')",
        "DELETE FROM job",
        "DELETE FROM run",
        "TRUNCATE TABLE run",
        "ALTER TABLE job ADD COLUMN more INT",
        "CREATE TRIGGER t BEFORE UPDATE ON job FOR EACH ROW SET NEW.executable = 'id'",
    ],
)
def test_p18_a_node_changes_no_executable_and_removes_nothing(node: Cursor, statement: str) -> None:
    assert refused(node, statement)
