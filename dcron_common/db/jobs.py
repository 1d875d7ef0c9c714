"""Jobs as the record keeps them: read in pages, written by conditional statements only.

A job's row holds its newest revision. Fields of the spec that have no column of their own stand
in `spec`, a JSON object. Instants are epoch seconds. Errors: those of connection.Database.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from peewee import IntegrityError

from dcron_common.clock import minute
from dcron_common.db import audit, job_secrets, lookups
from dcron_common.db.connection import Database
from dcron_common.db.models import Job, JobRevision
from dcron_common.errors import Conflict
from dcron_common.job import Spec, Status

PAGE = 500

# Fields of a Spec that are columns; the rest of it goes into the column `spec`.
_COLUMNS = frozenset(
    {
        *("incarnation", "revision", "type", "executable", "schedule", "timezone"),
        *("effective_from", "name", "sha256", "filename", "run_as", "paused"),
    }
)


@dataclass(frozen=True, slots=True)
class NewJob:
    """What a request asks for. `spec` is complete but for `job_id`, `revision`, `effective_from`,
    which the database's write decides; its incarnation makes repeating the write harmless."""

    spec: Spec
    owner: str
    labels: dict[str, str]
    team: str | None = None


@dataclass(frozen=True, slots=True)
class JobRow:
    """A row of the table. `spec` and `labels` are JSON; `spec_of` gives the whole job."""

    id: int
    incarnation: str
    name: str | None
    labels: str
    type: str
    executable: str
    sha256: str | None
    filename: str | None
    schedule: str
    timezone: str
    owner: str
    team: str | None
    run_as: str
    spec: str
    paused: bool
    revision: int
    effective_from: int
    status: str
    last_scheduled_at: int
    last_attempt: int
    worker: str | None
    removed_at: float | None
    created_at: float
    updated_at: float


_ROW = [getattr(Job, item.name) for item in fields(JobRow)]


def spec_of(row: JobRow) -> Spec:
    """The job as workers get it."""
    values: dict[str, Any] = json.loads(row.spec)
    values.update((name, getattr(row, name)) for name in _COLUMNS)
    return Spec.from_dict({**values, "job_id": row.id})


def has_had_its_time(row: JobRow) -> bool:
    """Whether it is a one-shot that has been accounted for: it will not fire again. One on all
    nodes is not by the row of the first of them."""
    if not row.schedule.startswith("@at") or row.status == Status.SCHEDULED.value:
        return False
    return spec_of(row).placement.on == "one"


def first_minute(now: float) -> int:
    """The first full minute after `now`: what is committed now may fire from then on."""
    return minute(now) + 60


def insert_job(
    database: Database,
    new: NewJob,
    now: float,
    actor: str,
    *,
    along: Callable[[JobRow], None] | None = None,
) -> JobRow:
    """Write a job, its history and the audit's row; Conflict if a live job has its name, or a
    secret that it names is gone.

    Sure even after a connection lost in the commit: the incarnation is looked for. `along` is
    called in the same transaction; what it raises undoes all.
    """

    def work() -> JobRow:
        there = rows_where(Job.incarnation == new.spec.incarnation)
        if there:
            return there[0]
        row = _insert(new, now, actor)
        if along is not None:
            along(row)
        return row

    return database.transaction(work, idempotent=True)


def by_name(database: Database, name: str) -> JobRow | None:
    """The live job of this name."""
    rows = database.read(lambda: rows_where(Job.live_name == name))
    return rows[0] if rows else None


def taken(name: str | None) -> Conflict:
    """What is raised where another live job has the name."""
    return Conflict(f"the name {name!r} is taken by another job")


def first_values(new: NewJob, now: float) -> dict[str, Any]:
    """The columns of a job that is made at `now`."""
    return columns_of(new.spec) | {
        "revision": 1,
        "effective_from": first_minute(now),
        "live_name": new.spec.name,
        "labels": as_json(new.labels),
        "owner": new.owner,
        "team": new.team,
        "created_at": now,
        "updated_at": now,
    }


def _insert(new: NewJob, now: float, actor: str) -> JobRow:
    spec, values = new.spec, first_values(new, now)
    try:
        job_id = int(Job.insert(values).execute())
    except IntegrityError as error:
        # Or a commit in doubt has come through in the meantime.
        if there := rows_where(Job.incarnation == spec.incarnation):
            return there[0]
        raise taken(spec.name) from error
    JobRevision.insert(
        job_id=job_id,
        revision=1,
        schedule=spec.schedule,
        timezone=spec.timezone,
        state="paused" if spec.paused else "active",
        valid_from=values["effective_from"],
        placed_on=spec.placement.on,
    ).execute()
    job_secrets.write(job_id, (), spec.secrets)
    lookups.describe(job_id)
    row = rows_where(Job.id == job_id)[0]
    audit.add(now, actor, "create", "job", str(job_id), after=audited(row))
    return row


def columns_of(spec: Spec) -> dict[str, Any]:
    """The columns of a spec; enumerations as their words."""
    whole = asdict(spec)
    for name in ("job_id", "earlier"):
        whole.pop(name)
    columns = {name: whole.pop(name) for name in _COLUMNS}
    return {**columns, "type": spec.type.value, "spec": as_json(whole)}


def as_json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def audited(row: JobRow) -> dict[str, Any]:
    """What the audit keeps of a job: the names of environment variables, not their values."""
    values = asdict(row)
    rest = json.loads(values.pop("spec"))
    rest["environment"] = sorted(rest["environment"])
    return {**values, **rest, "labels": json.loads(row.labels)}


# What moves by itself, and the times of a change, which its audit row has.
_MOVES = frozenset({"status", "last_scheduled_at", "last_attempt", "worker", "updated_at"})


def audited_of_change(row: JobRow) -> dict[str, Any]:
    """What the audit compares of a job that somebody changes: what people say of it."""
    return {name: value for name, value in audited(row).items() if name not in _MOVES}


def remove_job(
    database: Database, job_id: int, now: float, actor: str, *, revision: int | None = None
) -> tuple[JobRow, bool]:
    """Take a job out of the schedule for good; its row and whether this call did it.

    The row stays readable, its revision is raised, its name is free again. `revision`: only if it
    is at this one. KeyError: no such job.
    """

    def work() -> tuple[JobRow, bool]:
        before = rows_where(Job.id == job_id)
        if not before:
            raise KeyError(job_id)
        changed = _mark_removed(job_id, now, revision)
        if changed:
            audit.add(now, actor, "delete", "job", str(job_id), before=audited(before[0]))
        return rows_where(Job.id == job_id)[0], changed

    return database.transaction(work, idempotent=True)


def removal(now: float) -> dict[str, Any]:
    """The columns that a removal at `now` writes, beside the next revision."""
    finished = Status.FINISHED.value
    return {"removed_at": now, "updated_at": now, "status": finished, "worker": None}


def _mark_removed(job_id: int, now: float, revision: int | None) -> bool:
    condition = (Job.id == job_id) & Job.removed_at.is_null()
    if revision is not None:
        condition &= Job.revision == revision
    hidden = {"unsettled": True, "live_name": None, "revision": Job.revision + 1}
    changed = Job.update(removal(now) | hidden).where(condition).execute()
    if changed:
        # The minute that goes on now was still due when it began.
        JobRevision.update(valid_to=first_minute(now)).where(
            JobRevision.job_id == job_id, JobRevision.valid_to.is_null()
        ).execute()
        job_secrets.forget(job_id)
    return bool(changed)


def get_job(database: Database, job_id: int, *, causal: bool = False) -> JobRow | None:
    """One job, removed or not; None where there is none."""
    rows = database.read(lambda: rows_where(Job.id == job_id), causal=causal)
    return rows[0] if rows else None


def get_jobs(database: Database, ids: Sequence[int], *, causal: bool = False) -> dict[int, JobRow]:
    """The jobs of these ids, by id; those that do not exist are absent."""
    if not ids:
        return {}
    rows = database.read(lambda: rows_where(Job.id.in_(list(ids))), causal=causal)
    return {row.id: row for row in rows}


def jobs_after(
    database: Database, after: int, limit: int = PAGE, *, live: bool = False, causal: bool = False
) -> list[JobRow]:
    """At most `limit` jobs with an id above `after`, by id; `live`: without removed ones."""
    condition = Job.id > after
    if live:
        condition &= Job.removed_at.is_null()
    return database.read(lambda: rows_where(condition, limit), causal=causal)


def all_jobs(database: Database, *, live: bool = False) -> Iterator[JobRow]:
    """Every job by id, read page by page."""
    after = 0
    while rows := jobs_after(database, after, live=live):
        yield from rows
        after = rows[-1].id


def rows_where(condition: Any, limit: int | None = None) -> list[JobRow]:
    query: Any = Job.select(*_ROW).where(condition).order_by(Job.id).limit(limit).tuples()
    return [JobRow(*values) for values in query]
