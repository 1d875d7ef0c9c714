"""Changing a job: a conditional write of its next revision, with its history and the audit's row.

Errors: those of connection.Database; Conflict where another live job has the name, or a secret
that it names is gone.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from peewee import IntegrityError

from dcron_common.db import audit, job_secrets, lookups
from dcron_common.db.connection import Database
from dcron_common.db.jobs import (
    JobRow,
    NewJob,
    as_json,
    audited_of_change,
    columns_of,
    first_minute,
    rows_where,
    spec_of,
    taken,
)
from dcron_common.db.models import Job, JobRevision
from dcron_common.job import Status


def differs(row: JobRow, new: NewJob) -> bool:
    """Whether `new` asks for anything that the row does not say already."""
    before = spec_of(row)
    spec = replace(
        new.spec,
        job_id=row.id,
        incarnation=row.incarnation,
        revision=before.revision,
        effective_from=before.effective_from,
    )
    return (spec, new.labels, new.owner, new.team) != (
        before,
        json.loads(row.labels),
        row.owner,
        row.team,
    )


def update_job(
    database: Database, before: JobRow, new: NewJob, now: float, actor: str
) -> JobRow | None:
    """Make `new` the job's next revision; None where `before` is not its newest any more.

    Sure even after a connection lost in the commit: a next revision that says just this, written
    at this moment, is this call's own.
    """
    values = next_values(before, new, now)

    def work() -> JobRow | None:
        changed = _write(before, values)
        rows = rows_where(Job.id == before.id)
        if not rows:
            return None
        if not changed:
            return rows[0] if _is_own(rows[0], values) else None
        _write_history(rows[0])
        job_secrets.write(before.id, spec_of(before).secrets, new.spec.secrets)
        lookups.describe(before.id)
        old = audited_of_change(before)
        made = {**audited_of_change(rows[0]), **_variables(before, new)}
        audit.add(now, actor, "update", "job", str(before.id), before=old, after=made)
        return rows[0]

    return database.transaction(work, idempotent=True)


def _variables(before: JobRow, new: NewJob) -> dict[str, dict[str, list[str]]]:
    """Which variables a change concerns, by their names: the audit holds no value of one, and must
    not pass over it that one is another now. Empty where they are as they were."""
    old, now = spec_of(before).environment, new.spec.environment
    changes = {
        "added": sorted(now.keys() - old.keys()),
        "removed": sorted(old.keys() - now.keys()),
        "changed": sorted(name for name in old.keys() & now.keys() if old[name] != now[name]),
    }
    found = {what: names for what, names in changes.items() if names}
    return {"environment_changes": found} if found else {}


def next_values(before: JobRow, new: NewJob, now: float) -> dict[str, Any]:
    """The columns that a change at `now` writes."""
    spec = new.spec
    # Not below the last one, should the clocks of two control nodes differ.
    effective_from = max(first_minute(now), before.effective_from)
    values = columns_of(spec) | {
        "incarnation": before.incarnation,
        "revision": before.revision + 1,
        "effective_from": effective_from,
        "live_name": spec.name,
        "labels": as_json(new.labels),
        "owner": new.owner,
        "team": new.team,
        "updated_at": now,
    }
    if spec.schedule != before.schedule and "@at" in (before.schedule[:3], spec.schedule[:3]):
        # A one-shot's status says whether it has had its time: runs that were due before this
        # change say nothing of the new schedule.
        since = {"last_scheduled_at": effective_from - 1, "last_attempt": 0}
        values |= {"status": Status.SCHEDULED.value, **since}
    return values


def _write(before: JobRow, values: dict[str, Any]) -> bool:
    query = Job.update(values).where(
        Job.id == before.id, Job.revision == before.revision, Job.removed_at.is_null()
    )
    try:
        return bool(query.execute())
    except IntegrityError as error:
        raise taken(values["name"]) from error


def _is_own(row: JobRow, values: dict[str, Any]) -> bool:
    """Whether the row is what a commit in doubt wrote; its status may have moved on since."""
    free = {"live_name", "status", "last_scheduled_at", "last_attempt"}
    return all(getattr(row, name) == value for name, value in values.items() if name not in free)


def _write_history(row: JobRow) -> None:
    """The minute that goes on now was still due by the revision before."""
    JobRevision.update(valid_to=row.effective_from).where(
        JobRevision.job_id == row.id, JobRevision.valid_to.is_null()
    ).execute()
    JobRevision.insert(
        job_id=row.id,
        revision=row.revision,
        schedule=row.schedule,
        timezone=row.timezone,
        state="paused" if row.paused else "active",
        valid_from=row.effective_from,
        placed_on=spec_of(row).placement.on,
    ).execute()
