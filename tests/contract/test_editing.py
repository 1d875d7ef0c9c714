"""Changing a job in the record, asked of SQLite and of a real MariaDB."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import peewee
import pytest

from dcron_common.db import editing, histories, jobs, run_reads
from dcron_common.db.connection import Database
from dcron_common.db.models import Audit
from dcron_common.db.runs import record_runs
from dcron_common.errors import Conflict
from dcron_common.job import JobType, Placement, Spec
from dcron_common.ledger import due
from dcron_common.run import RunRecord, RunState, Trigger, manual_key
from tests.contract.records import MINUTE, NOW


def insert(database: Database, number: int = 0, **fields: Any) -> jobs.JobRow:
    spec = Spec(0, f"{number:026d}", 1, JobType.COMMAND, "ls", "* * * * *", "UTC", 0, **fields)
    return jobs.insert_job(database, jobs.NewJob(spec, "ann", {"a": "b"}), NOW, "ann")


def wish(row: jobs.JobRow, **fields: Any) -> jobs.NewJob:
    labels = json.loads(row.labels)
    return jobs.NewJob(replace(jobs.spec_of(row), **fields), row.owner, labels, row.team)


def update(
    database: Database, row: jobs.JobRow, at: float = NOW, **fields: Any
) -> jobs.JobRow | None:
    return editing.update_job(database, row, wish(row, **fields), at, "bob")


def test_a_change_is_the_next_revision_with_its_history(database: Database) -> None:
    row = insert(database)
    made = update(database, row, NOW + 60, schedule="5 * * * *", retries=2)
    assert made is not None
    assert (made.revision, made.schedule, jobs.spec_of(made).retries) == (2, "5 * * * *", 2)
    assert (made.effective_from, made.updated_at) == (MINUTE + 120, NOW + 60)
    first, second = histories.spans_of(database, row.id)
    assert (first.valid_to, first.schedule) == (MINUTE + 120, "* * * * *")
    assert (second.valid_from, second.valid_to) == (MINUTE + 120, None)
    assert (second.schedule, second.state) == ("5 * * * *", "active")


def test_the_history_tells_where_a_job_was_to_stand(database: Database) -> None:
    row = insert(database)
    made = update(database, row, NOW + 60, placement=Placement({}, "all"))
    assert made is not None
    assert [span.on for span in histories.spans_of(database, row.id)] == ["one", "all"]


def test_every_minute_is_due_by_one_revision_only(database: Database) -> None:
    row = insert(database)
    paused = update(database, row, NOW + 120, paused=True)
    assert paused is not None
    assert update(database, paused, NOW + 240, paused=False) is not None
    found = due(histories.spans_of(database, row.id), MINUTE, MINUTE + 360)
    assert [minute - MINUTE for minute in found] == [60, 120, 300, 360]


def test_two_changes_in_one_minute_leave_no_minute_due_twice(database: Database) -> None:
    row = insert(database)
    second = update(database, row, NOW + 61, schedule="0 0 1 1 *")
    assert second is not None
    assert update(database, second, NOW + 62, schedule="* * * * *") is not None
    found = due(histories.spans_of(database, row.id), MINUTE, MINUTE + 240)
    assert [minute - MINUTE for minute in found] == [60, 120, 180, 240]


def test_a_clock_that_is_behind_takes_no_minute_back(database: Database) -> None:
    row = insert(database)
    made = update(database, row, NOW - 60, retries=1)
    assert made is not None
    assert made.effective_from == row.effective_from


def test_who_changes_an_older_revision_changes_nothing(database: Database) -> None:
    row = insert(database)
    assert update(database, row, retries=1) is not None
    assert update(database, row, retries=2) is None
    now = jobs.get_job(database, row.id)
    assert now is not None
    assert (now.revision, jobs.spec_of(now).retries) == (2, 1)


def test_a_removed_job_cannot_be_changed(database: Database) -> None:
    row = insert(database)
    removed, _ = jobs.remove_job(database, row.id, NOW, "ann")
    assert update(database, row, retries=1) is None
    assert update(database, removed, retries=1) is None
    assert jobs.get_job(database, row.id) == removed


def test_a_taken_name_is_a_conflict_and_changes_nothing(database: Database) -> None:
    insert(database, 1, name="nightly")
    row = insert(database, 2)
    with pytest.raises(Conflict, match="nightly"):
        update(database, row, name="nightly")
    assert jobs.get_job(database, row.id) == row
    assert len(histories.spans_of(database, row.id)) == 1


def test_a_name_that_is_given_up_is_free(database: Database) -> None:
    first, second = insert(database, 1, name="nightly"), insert(database, 2)
    assert update(database, first, name=None) is not None
    assert update(database, second, name="nightly") is not None


def test_the_audit_names_the_variables_that_change_and_shows_no_value(database: Database) -> None:
    row = insert(database, environment={"KEPT": "same", "OLD": "hunter1", "PASSWORD": "hunter2"})
    wanted = {"KEPT": "same", "NEW": "hunter4", "PASSWORD": "hunter3"}
    row = update(database, row, environment=wanted)
    assert row is not None
    last = database.read(lambda: Audit.select().order_by(Audit.id.desc()).get())
    after = json.loads(last.after)
    changes = {"added": ["NEW"], "removed": ["OLD"], "changed": ["PASSWORD"]}
    assert after["environment_changes"] == changes
    assert "hunter" not in last.before + last.after
    update(database, row, retries=2)
    last = database.read(lambda: Audit.select().order_by(Audit.id.desc()).get())
    assert "environment_changes" not in json.loads(last.after)


def test_a_change_is_audited_with_before_and_after(database: Database) -> None:
    row = insert(database, environment={"PASSWORD": "hunter2"})
    update(database, row, retries=2, environment={"PASSWORD": "hunter3"})
    last = database.read(lambda: Audit.select().order_by(Audit.id.desc()).get())
    before, after = json.loads(last.before), json.loads(last.after)
    assert (last.user, last.action, last.object_id) == ("bob", "update", str(row.id))
    assert (before["retries"], before["revision"]) == (0, 1)
    assert (after["retries"], after["revision"]) == (2, 2)
    assert "hunter" not in last.before + last.after


def test_nothing_new_is_told_from_something_new(database: Database) -> None:
    row = insert(database, environment={"A": "1"})
    assert not editing.differs(row, wish(row))
    assert editing.differs(row, wish(row, paused=True))
    assert editing.differs(row, replace(wish(row), labels={}))
    assert editing.differs(row, replace(wish(row), team="blue"))


def test_a_commit_in_doubt_that_was_done_is_found_again(
    mariadb: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = insert(mariadb)
    commit, lost = mariadb._dialect.commit, [True]

    def losing() -> None:
        commit()
        if lost and lost.pop():
            raise peewee.OperationalError(2013, "Lost connection to MySQL server during query")

    monkeypatch.setattr(mariadb._dialect, "commit", losing)
    made = update(mariadb, row, retries=2)
    assert made is not None
    assert made.revision == 2
    assert len(histories.spans_of(mariadb, row.id)) == 2
    count = mariadb.read(lambda: Audit.select().where(Audit.action == "update").count())
    assert count == 1


# One-shots


def run_of(job_id: int, minute: int, state: RunState, kind: str = "cron") -> RunRecord:
    run_id = f"{minute:026d}"
    return RunRecord(run_id, job_id, minute, 1, Trigger.CRON, state, kind=kind)


def status(database: Database, job_id: int) -> str:
    row = jobs.get_job(database, job_id)
    assert row is not None
    return row.status


def test_a_one_shot_that_had_its_time_may_get_another(database: Database) -> None:
    row = insert(database)
    shot = update(database, row, schedule="@at 2027-01-15T08:02:00Z")
    assert shot is not None
    record_runs(database, [run_of(row.id, MINUTE + 120, RunState.FAILED)], NOW)
    assert status(database, row.id) == "error"
    over = jobs.get_job(database, row.id)
    assert over is not None
    again = update(database, over, NOW + 240, schedule="@at 2027-01-15T09:00:00Z")
    assert again is not None
    assert again.status == "scheduled"
    # What was due before says nothing of it, however late it is told.
    record_runs(database, [run_of(row.id, MINUTE + 120, RunState.SUCCEEDED)], NOW)
    assert status(database, row.id) == "scheduled"
    record_runs(database, [run_of(row.id, MINUTE + 3600, RunState.SUCCEEDED)], NOW)
    assert status(database, row.id) == "finished"


def test_a_change_of_something_else_leaves_the_status(database: Database) -> None:
    row = insert(database)
    record_runs(database, [run_of(row.id, MINUTE + 60, RunState.FAILED)], NOW)
    before = jobs.get_job(database, row.id)
    assert before is not None
    made = update(database, before, schedule="*/2 * * * *", retries=1)
    assert made is not None
    assert made.status == "error"


def test_a_run_that_was_asked_for_uses_up_no_one_shot(database: Database) -> None:
    row = insert(database)
    update(database, row, schedule="@at 2027-01-15T09:00:00Z")
    kind = manual_key("0" * 26)
    record_runs(database, [run_of(row.id, MINUTE + 75, RunState.SUCCEEDED, kind)], NOW)
    assert status(database, row.id) == "scheduled"
    (run,) = run_reads.runs_of(database, row.id, 10)
    assert (run.kind, run.scheduled_at) == (kind, MINUTE + 75)
    assert run_reads.get_run(database, row.id, run.run_id) == run
    assert run_reads.get_run(database, row.id + 1, run.run_id) is None
