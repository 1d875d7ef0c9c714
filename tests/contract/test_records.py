"""What the record keeps of jobs, runs, users and workers: asked of SQLite and of a real MariaDB."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from dcron_common.db import jobs, run_reads, tokens, users, workers
from dcron_common.db.connection import Database
from dcron_common.db.models import Audit, Job, JobRevision, Run
from dcron_common.db.runs import record_runs
from dcron_common.errors import Conflict
from dcron_common.job import Placement
from dcron_common.protocol import Registration
from dcron_common.run import RunState, Trigger
from tests.contract.records import MINUTE, NOW, count_jobs, insert, run_of

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


def test_p13_a_removed_job_keeps_its_status_whatever_its_runs_say(database: Database) -> None:
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


def test_p13_an_older_run_changes_no_status(database: Database) -> None:
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


def test_p13_a_run_only_rises(database: Database) -> None:
    insert(database)
    for state in (RunState.SUCCEEDED, RunState.RUNNING, RunState.LOST):
        record_runs(database, [run_of(1, MINUTE, state)], NOW)
    assert [run.state for run in run_reads.runs_of(database, 1, 10)] == [RunState.SUCCEEDED]
    assert database.read(lambda: Run.select().count()) == 1
    assert status_of(database) == ("scheduled", MINUTE, 1), "a loss told late made it an error"


def test_p13_whatever_became_of_a_minute_replaces_what_proves_nothing(database: Database) -> None:
    insert(database)
    untold = replace(run_of(1, MINUTE, RunState.MISSED), run_id="U" * 26, reason="untold")
    began = replace(run_of(1, MINUTE, RunState.RUNNING), run_id="R" * 26, worker="a")
    began = replace(began, trigger=Trigger.CATCH_UP)
    record_runs(database, [untold, began, untold], NOW)
    (row,) = run_reads.runs_of(database, 1, 10)
    assert (row.state, row.run_id) == (RunState.RUNNING, "R" * 26)
    assert (row.worker, row.reason) == ("a", began.reason), "all of it, not only its state"
    ended = replace(began, state=RunState.SUCCEEDED)
    record_runs(database, [ended, untold], NOW)
    (row,) = run_reads.runs_of(database, 1, 10)
    assert (row.state, row.run_id, row.trigger) == (ended.state, "R" * 26, Trigger.CATCH_UP)
    assert (row.worker, row.reason) == ("a", ended.reason)
    proven = replace(untold, epoch=1, run_id="E" * 26)
    record_runs(database, [proven], NOW)
    assert run_reads.runs_of(database, 1, 10) == [row]


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
    last = run_reads.last_runs(database, [1, 2, 3])
    assert {job: run.state for job, run in last.items()} == {
        1: RunState.SUCCEEDED,
        2: RunState.KILLED,
    }


# Users and workers


def test_a_token_opens_until_it_is_revoked(database: Database) -> None:
    users.add_user(database, "ann", users.Role.OPERATOR, ["ops"], ["backup"], NOW, "test")
    token = tokens.add_token(database, "ann", "laptop", None, NOW, "test").text
    login = tokens.authenticate(database, token, NOW)
    assert login is not None
    assert login.principal == users.Principal("ann", users.Role.OPERATOR, ("ops",), ("backup",))
    assert tokens.revoke_token(database, login.token_id, NOW, "test")
    assert tokens.authenticate(database, token, NOW) is None
    assert not tokens.revoke_token(database, login.token_id, NOW, "test")


def test_a_users_name_is_taken_once(database: Database) -> None:
    users.add_user(database, "ann", users.Role.ADMIN, [], [], NOW, "test")
    with pytest.raises(Conflict):
        users.add_user(database, "ann", users.Role.VIEWER, [], [], NOW, "test")
    with pytest.raises(KeyError):
        tokens.add_token(database, "bob", "x", None, NOW, "test")


def test_a_change_of_a_user_is_audited_once_and_only_what_changed(database: Database) -> None:
    users.add_user(database, "ann", users.Role.OPERATOR, ["ops"], ["backup"], NOW, "test")
    token = tokens.add_token(database, "ann", "laptop", None, NOW, "test").text

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
    assert tokens.authenticate(database, token, NOW) is None
    assert users.change_user(database, "ann", NOW, "root", disabled=False)
    login = tokens.authenticate(database, token, NOW)
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
