"""What the account of API and manager may do to the record, as the tasks of roles/mysql give it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pymysql.cursors import Cursor

from dcron_common.db import audit, jobs, logins, migrations, runs, tokens, users
from dcron_common.db.models import TABLES
from dcron_common.job import JobType, Spec
from dcron_common.run import RunRecord, RunState, Trigger
from tests.contract.accounts import Account, refused
from tests.contract.records import NOW, open_mariadb
from tests.servers.mariadb import MariaDBServer

ROLES = Path(__file__).parents[2] / "roles"
ACCOUNT = Account("dcron_app_rights", "dcron_app", "Zk3vB7qLw9Xc2Np")
NEVER_CHANGED = {"audit", "schema_version"}


def give_rights(server: MariaDBServer, folder: Path) -> str:
    """Run the role's own tasks; what Ansible says that it changed."""
    play = {
        "hosts": "localhost",
        "gather_facts": False,
        "vars": {
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "mysql_members": ["localhost"],
            "mysql_database": ACCOUNT.record,
            "mysql_app_password": ACCOUNT.password,
            "__mysql_socket": str(server.socket),
        },
        "tasks": [
            {"ansible.builtin.include_role": {"name": "mysql", "tasks_from": "app_account.yml"}}
        ],
    }
    (folder / "play.yml").write_text(json.dumps([play]))
    (folder / "ansible.cfg").write_text(f"[defaults]\nroles_path = {ROLES}\n")
    command = [str(Path(sys.executable).parent / "ansible-playbook"), "-i", "localhost,"]
    # A variable of the role's own gives way to one from the command line only.
    command += ["-e", f"__mysql_socket={server.socket}", "play.yml"]
    home = {"ANSIBLE_HOME": str(folder), "ANSIBLE_CONFIG": str(folder / "ansible.cfg")}
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, **home}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    # The test's server has no TLS.
    server.execute(f"ALTER USER {ACCOUNT.name}@'%' REQUIRE NONE")
    return done.stdout


@pytest.fixture(scope="module")
def record(
    mariadb_server: MariaDBServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[MariaDBServer]:
    """A record whose account was as roles of before have made it, then before and after the schema
    was migrated, as a playbook does it."""
    server, folder = mariadb_server, tmp_path_factory.mktemp("ansible")
    server.create_database(ACCOUNT.record)
    ACCOUNT.create(server)
    server.execute(f"GRANT SELECT,INSERT,UPDATE,DELETE ON {ACCOUNT.record}.* TO {ACCOUNT.name}@'%'")
    give_rights(server, folder)
    database = open_mariadb(server, ACCOUNT.record)
    migrations.migrate(database)
    database.close()
    give_rights(server, folder)
    yield server
    ACCOUNT.drop(server)


@pytest.fixture
def app(record: MariaDBServer) -> Iterator[Cursor]:
    """What whoever has the account's password can say to the record."""
    with ACCOUNT.speaking(record) as cursor:
        yield cursor


def names() -> list[str]:
    return sorted({one._meta.table_name for one in TABLES} | {"counter"})


@pytest.mark.parametrize("table", names())
def test_rows_are_changed_and_removed_but_those_of_the_audit(app: Cursor, table: str) -> None:
    app.execute("SHOW COLUMNS FROM `X`".replace("X", table))
    column = app.fetchall()[0][0]
    kept = table in NEVER_CHANGED
    update = "UPDATE `T` SET `C` = `C` WHERE 1 = 0".replace("T`", f"{table}`")
    assert refused(app, update.replace("`C`", f"`{column}`")) is kept
    assert refused(app, "DELETE FROM `T` WHERE 1 = 0".replace("`T`", f"`{table}`")) is kept


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit SET user = 'eve'",
        "DELETE FROM audit",
        "REPLACE INTO audit (id, user) VALUES (1, 'eve')",
        "INSERT INTO audit (id) VALUES (1) ON DUPLICATE KEY UPDATE user = 'eve'",
        "TRUNCATE TABLE audit",
        "DROP TABLE audit",
        "RENAME TABLE audit TO other",
        "ALTER TABLE audit DROP COLUMN user",
        "CREATE TRIGGER t BEFORE INSERT ON audit FOR EACH ROW SET NEW.user = 'eve'",
    ],
)
def test_nothing_that_was_audited_is_changed_or_removed(app: Cursor, statement: str) -> None:
    assert refused(app, statement)


def test_the_account_does_all_that_the_api_asks_of_it(record: MariaDBServer) -> None:
    database = ACCOUNT.open(record)
    migrations.check(database)
    users.add_user(database, "ann", users.Role.ADMIN, ["ops"], ["*"], NOW, "test")
    spec = Spec(0, "A" * 26, 1, JobType.COMMAND, "ls -la", "5 * * * *", "UTC", 0)
    row = jobs.insert_job(database, jobs.NewJob(spec, "ann", {}), NOW, "ann")
    running = RunRecord("R1", row.id, 1_800_000_000, 1, Trigger.CRON, RunState.RUNNING)
    runs.record_runs(database, [running], NOW)
    assert logins.set_password(database, "ann", "hash", NOW, "ann")
    made = logins.begin_session(database, "ann", "hash", None, NOW + 60, NOW)
    assert made is not None and tokens.revoke_token(database, made.row.id, NOW, "ann")
    done = [one.action for one in audit.page(database, 10, {})]
    assert done == ["revoke", "login", "password", "create", "create"]
    database.close()


def test_a_second_run_changes_nothing(record: MariaDBServer, tmp_path: Path) -> None:
    record.execute(f"ALTER USER {ACCOUNT.name}@'%' REQUIRE SSL")
    assert "changed=0 " in give_rights(record, tmp_path)
