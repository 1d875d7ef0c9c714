"""Jobs as the record keeps them: read in pages, written by conditional statements only.

A job's row holds its newest revision. Fields of the spec that have no column of their own stand
in `spec`, a JSON object. Instants are epoch seconds. Errors: those of connection.Database.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from peewee import IntegrityError, fn

from dcron_common.clock import minute
from dcron_common.db import audit
from dcron_common.db.connection import Database
from dcron_common.db.models import Job, JobRevision, Run
from dcron_common.errors import Conflict
from dcron_common.job import Spec, Status
from dcron_common.ledger import Span
from dcron_common.run import RunRecord, RunState, Trigger

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
_RECORD = [getattr(Run, item.name) for item in fields(RunRecord)]


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


def insert_job(database: Database, new: NewJob, now: float, actor: str) -> JobRow:
    """Write a job, its history and the audit's row; Conflict if a live job has its name.

    Sure even after a connection lost in the commit: the incarnation is looked for.
    """

    def work() -> JobRow:
        there = _rows(Job.incarnation == new.spec.incarnation)
        return there[0] if there else _insert(new, now, actor)

    return database.transaction(work, idempotent=True)


def _insert(new: NewJob, now: float, actor: str) -> JobRow:
    spec = new.spec
    effective_from = first_minute(now)
    values = _values(spec) | {
        "revision": 1,
        "effective_from": effective_from,
        "live_name": spec.name,
        "labels": _json(new.labels),
        "owner": new.owner,
        "team": new.team,
        "created_at": now,
        "updated_at": now,
    }
    try:
        job_id = int(Job.insert(values).execute())
    except IntegrityError as error:
        # Or a commit in doubt has come through in the meantime.
        if there := _rows(Job.incarnation == spec.incarnation):
            return there[0]
        raise Conflict(f"the name {spec.name!r} is taken by another job") from error
    JobRevision.insert(
        job_id=job_id,
        revision=1,
        schedule=spec.schedule,
        timezone=spec.timezone,
        state="paused" if spec.paused else "active",
        valid_from=effective_from,
    ).execute()
    row = _rows(Job.id == job_id)[0]
    audit.add(now, actor, "create", "job", str(job_id), after=_audited(row))
    return row


def _values(spec: Spec) -> dict[str, Any]:
    """The columns of a spec; enumerations as their words."""
    whole = asdict(spec)
    whole.pop("job_id")
    columns = {name: whole.pop(name) for name in _COLUMNS}
    return {**columns, "type": spec.type.value, "spec": _json(whole)}


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _audited(row: JobRow) -> dict[str, Any]:
    """What the audit keeps of a job: the names of environment variables, not their values."""
    values = asdict(row)
    rest = json.loads(values.pop("spec"))
    rest["environment"] = sorted(rest["environment"])
    return {**values, **rest, "labels": json.loads(row.labels)}


def remove_job(database: Database, job_id: int, now: float, actor: str) -> tuple[JobRow, bool]:
    """Take a job out of the schedule for good; its row and whether this call did it.

    The row stays readable, its revision is raised, its name is free again. KeyError: no such job.
    """

    def work() -> tuple[JobRow, bool]:
        changed = _mark_removed(job_id, now)
        rows = _rows(Job.id == job_id)
        if not rows:
            raise KeyError(job_id)
        if changed:
            audit.add(now, actor, "delete", "job", str(job_id), before=_audited(rows[0]))
        return rows[0], changed

    return database.transaction(work, idempotent=True)


def _mark_removed(job_id: int, now: float) -> bool:
    changed = (
        Job.update(
            removed_at=now,
            updated_at=now,
            status=Status.FINISHED.value,
            live_name=None,
            worker=None,
            revision=Job.revision + 1,
        )
        .where(Job.id == job_id, Job.removed_at.is_null())
        .execute()
    )
    if changed:
        # The minute that goes on now was still due when it began.
        JobRevision.update(valid_to=first_minute(now)).where(
            JobRevision.job_id == job_id, JobRevision.valid_to.is_null()
        ).execute()
    return bool(changed)


def get_job(database: Database, job_id: int, *, causal: bool = False) -> JobRow | None:
    """One job, removed or not; None where there is none."""
    rows = database.read(lambda: _rows(Job.id == job_id), causal=causal)
    return rows[0] if rows else None


def get_jobs(database: Database, ids: Sequence[int], *, causal: bool = False) -> dict[int, JobRow]:
    """The jobs of these ids, by id; those that do not exist are absent."""
    if not ids:
        return {}
    rows = database.read(lambda: _rows(Job.id.in_(list(ids))), causal=causal)
    return {row.id: row for row in rows}


def jobs_after(
    database: Database, after: int, limit: int = PAGE, *, live: bool = False, causal: bool = False
) -> list[JobRow]:
    """At most `limit` jobs with an id above `after`, by id; `live`: without removed ones."""
    condition = Job.id > after
    if live:
        condition &= Job.removed_at.is_null()
    return database.read(lambda: _rows(condition, limit), causal=causal)


def all_jobs(database: Database, *, live: bool = False) -> Iterator[JobRow]:
    """Every job by id, read page by page."""
    after = 0
    while rows := jobs_after(database, after, live=live):
        yield from rows
        after = rows[-1].id


def _rows(condition: Any, limit: int | None = None) -> list[JobRow]:
    query: Any = Job.select(*_ROW).where(condition).order_by(Job.id).limit(limit).tuples()
    return [JobRow(*values) for values in query]


def runs_of(
    database: Database, job_id: int, limit: int, *, before: int | None = None
) -> list[RunRecord]:
    """The newest runs of a job, newest first; `before`: those scheduled before this minute."""
    condition = Run.job_id == job_id
    if before is not None:
        condition &= Run.scheduled_at < before
    order = (Run.scheduled_at.desc(), Run.attempt.desc(), Run.id.desc())
    return database.read(lambda: _records(Run.select(*_RECORD).where(condition), order, limit))


def runs_between(database: Database, job_id: int, after: int, until: int) -> list[RunRecord]:
    """The runs of a job that were due or asked for in (after, until], oldest first."""
    condition = (Run.job_id == job_id) & (Run.scheduled_at > after) & (Run.scheduled_at <= until)
    order = (Run.scheduled_at, Run.attempt, Run.id)
    return database.read(lambda: _records(Run.select(*_RECORD).where(condition), order, None))


def spans_of(database: Database, job_id: int) -> list[Span]:
    """The job's history: what it was due by, and when."""
    columns = (
        JobRevision.schedule,
        JobRevision.timezone,
        JobRevision.state,
        JobRevision.valid_from,
        JobRevision.valid_to,
    )
    query: Any = (
        JobRevision.select(*columns)
        .where(JobRevision.job_id == job_id)
        .order_by(JobRevision.revision)
        .tuples()
    )
    return database.read(lambda: [Span(*values) for values in query])


def last_runs(database: Database, ids: Sequence[int]) -> dict[int, RunRecord]:
    """The newest attempt of the newest minute of each of these jobs, by job."""
    if not ids:
        return {}
    newest = (
        Run.select(Run.job_id.alias("job"), fn.MAX(Run.scheduled_at).alias("at"))
        .where(Run.job_id.in_(list(ids)))
        .group_by(Run.job_id)
        .alias("newest")
    )
    query = Run.select(*_RECORD).join(
        newest, on=(Run.job_id == newest.c.job) & (Run.scheduled_at == newest.c.at)
    )
    # Ascending, so that the newest attempt stays in the dictionary.
    records = database.read(lambda: _records(query, (Run.attempt, Run.id), None))
    return {record.job_id: record for record in records}


def _records(query: Any, order: Sequence[Any], limit: int | None) -> list[RunRecord]:
    return [_record(values) for values in query.order_by(*order).limit(limit).dicts()]


def _record(values: dict[str, Any]) -> RunRecord:
    words = {"trigger": Trigger(values["trigger"]), "state": RunState(values["state"])}
    return RunRecord(**{**values, **words})
