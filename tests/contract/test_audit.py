"""What the audit keeps of a change, asked of SQLite and of a real MariaDB."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import Any

from dcron_common.db import audit, editing, jobs, secrets, tokens, users
from dcron_common.db.connection import Database
from dcron_common.db.models import Audit
from dcron_common.db.secrets import NewSecret
from dcron_common.job import JobType, Spec
from tests.contract.records import NOW

LONG = "echo " + "ā" * 32_000  # 64 kB


def insert(database: Database, command: str, **fields: Any) -> jobs.JobRow:
    spec = Spec(0, "0" * 26, 1, JobType.COMMAND, command, "* * * * *", "UTC", 0, **fields)
    return jobs.insert_job(database, jobs.NewJob(spec, "ann", {"a": "b"}), NOW, "ann")


def change(database: Database, row: jobs.JobRow, **fields: Any) -> jobs.JobRow:
    wish = jobs.NewJob(replace(jobs.spec_of(row), **fields), "ann", {"a": "b"})
    made = editing.update_job(database, row, wish, NOW + 60, "ann")
    assert made is not None
    return made


def newest(database: Database) -> audit.AuditRow:
    return audit.page(database, 1, {})[0]


def test_a_change_is_kept_by_the_fields_that_it_changes(database: Database) -> None:
    row = insert(database, LONG)
    change(database, row, paused=True)
    told = newest(database)
    assert told.before is not None and told.after is not None
    since = (row.effective_from, row.effective_from + 60)
    assert told.before == {"paused": False, "revision": 1, "effective_from": since[0]}
    assert told.after == {"paused": True, "revision": 2, "effective_from": since[1]}


def test_what_moves_by_itself_is_no_part_of_a_change(database: Database) -> None:
    row = insert(database, "ls")
    moved = replace(row, status="error", worker="node1", last_attempt=3)  # as it was read
    change(database, moved, retries=2)
    told = newest(database)
    assert told.after is not None and told.before is not None
    assert told.after.keys() == told.before.keys() == {"retries", "revision", "effective_from"}


def test_a_change_of_nothing_is_kept_as_its_fact(database: Database) -> None:
    change(database, insert(database, LONG, environment={"A": "1"}))
    told = newest(database)
    assert told.after is not None
    assert told.after.keys() == {"revision", "effective_from"}


def test_pausing_and_resuming_without_end_costs_the_same_whatever_the_job_holds(
    database: Database,
) -> None:
    row = insert(database, LONG, environment={f"NAME_{n:03}": "x" for n in range(128)})
    before = database.read(lambda: Audit.select().count())
    for number in range(10):
        row = change(database, row, paused=number % 2 == 0)
    rows = database.read(lambda: list(Audit.select().order_by(Audit.id)))
    assert len(rows) == before + 10
    assert sum(len(one.before) + len(one.after) for one in rows[-10:]) < 2000


def test_a_long_text_can_be_proven_by_its_digest(database: Database) -> None:
    row = insert(database, LONG)
    made = newest(database).after
    change(database, row, executable=LONG + "!")
    told = newest(database)
    assert made is not None and told.before is not None and told.after is not None
    digest = hashlib.sha256(LONG.encode()).hexdigest()
    kept = {"begins": LONG[:256], "bytes": len(LONG.encode()), "sha256": digest}
    assert made["executable"] == told.before["executable"] == kept
    assert told.after["executable"]["begins"] == LONG[:256]
    assert told.after["executable"]["sha256"] == hashlib.sha256((LONG + "!").encode()).hexdigest()


def test_no_row_grows_with_what_a_user_writes(database: Database) -> None:
    row = insert(
        database,
        LONG,
        environment={f"A_LONG_NAME_OF_A_VARIABLE_{n}": "x" for n in range(128)},
        arguments=("x" * 60_000,),
        secrets=(),
    )
    jobs.remove_job(database, row.id, NOW, "ann")
    rows = database.read(lambda: list(Audit.select().where(Audit.object_type == "job")))
    assert len(rows) == 2
    assert all(len((one.before or "") + (one.after or "")) < 6000 for one in rows)


def test_a_list_is_digested_as_compact_json() -> None:
    arguments = ["--full", "ā" * 3000]
    text = json.dumps(arguments, separators=(",", ":"), ensure_ascii=False)
    kept = audit.in_short(arguments)
    assert kept["sha256"] == hashlib.sha256(text.encode()).hexdigest()
    assert kept["begins"] == text[:256]
    assert audit.in_short(arguments[:1]) == ["--full"]
    assert audit.in_short("x" * audit.LONGEST) == "x" * audit.LONGEST


def test_a_secrets_new_value_is_told_by_its_revision_alone(database: Database) -> None:
    first = secrets.put_secret(database, None, NewSecret("DB", "ann", None, "1", "x"), NOW, "ann")
    secrets.put_secret(database, first, NewSecret("DB", "ann", None, "2", "y"), NOW, "ann")
    told = newest(database)
    assert (told.before, told.after) == ({"revision": 1}, {"revision": 2})


def test_a_rotation_names_both_tokens_and_whose_they_are(database: Database) -> None:
    users.add_user(database, "ann", users.Role.OPERATOR, [], [], NOW, "root")
    old = tokens.add_token(database, "ann", "laptop", None, NOW, "root")
    new = tokens.rotate_token(database, old.row, 0, NOW, "root")
    assert new is not None
    told = newest(database)
    assert (told.object_id, told.before) == (str(old.row.id), None)
    assert told.after is not None
    assert (told.after["user"], told.after["replaced_by"]) == ("ann", new.row.id)
