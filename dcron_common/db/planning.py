"""What a write would make of a job: for those who ask before they do it. Nothing is written.

Errors: those of connection.Database; Conflict where another live job has the name.
"""

from __future__ import annotations

from dataclasses import replace

from dcron_common.db.connection import Database
from dcron_common.db.editing import next_values
from dcron_common.db.jobs import JobRow, NewJob, by_name, first_values, removal, taken
from dcron_common.job import Status

NOBODY = 0  # the id of a job that is not made


def made(database: Database, new: NewJob, now: float) -> JobRow:
    """What `jobs.insert_job` would make at `now`."""
    _check_name(database, new.spec.name, NOBODY)
    never = {"last_scheduled_at": 0, "last_attempt": 0, "worker": None, "removed_at": None}
    values = first_values(new, now) | never | {"status": Status.SCHEDULED.value}
    values.pop("live_name")
    return JobRow(id=NOBODY, **values)


def changed(database: Database, before: JobRow, new: NewJob, now: float) -> JobRow:
    """What `editing.update_job` would make of the job at `now`."""
    _check_name(database, new.spec.name, before.id)
    values = next_values(before, new, now)
    values.pop("live_name")
    return replace(before, **values)


def removed(before: JobRow, now: float) -> JobRow:
    """What `jobs.remove_job` would make of the job at `now`; one that is removed stays as it is."""
    if before.removed_at is not None:
        return before
    return replace(before, revision=before.revision + 1, **removal(now))


def _check_name(database: Database, name: str | None, but: int) -> None:
    row = None if name is None else by_name(database, name)
    if row is not None and row.id != but:
        raise taken(name)
