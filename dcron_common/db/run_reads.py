"""Runs as the record keeps them: those of a job, and of many jobs their newest.

Minutes are epoch seconds. Errors: those of connection.Database.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from functools import partial
from typing import Any

from peewee import JOIN, fn

from dcron_common.db.connection import Database
from dcron_common.db.models import Job, Run, RunHorizon
from dcron_common.db.run_index import by_key, newest_minute
from dcron_common.run import CRON, RESTORED, RunRecord, RunState, Trigger

_FEW = 50
_MANY = 500
_RECORD = [getattr(Run, item.name) for item in fields(RunRecord)]


def runs_of(
    database: Database, job_id: int, limit: int, *, before: int | None = None
) -> list[RunRecord]:
    """The newest runs of a job, newest first; `before`: those scheduled before this minute."""
    condition = Run.job_id == job_id
    if before is not None:
        condition &= Run.scheduled_at < before
    order = (Run.scheduled_at.desc(), Run.attempt.desc(), Run.id.desc())
    return database.read(lambda: _records(Run.select(*_RECORD).where(condition), order, limit))


def runs_by_row(rows: Sequence[int]) -> dict[int, RunRecord]:
    """Runs by the numbers of their rows; to be called inside `transaction` or `read`."""
    query: Any = Run.select(Run.id, *_RECORD).where(Run.id.in_(list(rows))).dicts()
    return {values.pop("id"): _record(values) for values in query} if rows else {}


def get_run(database: Database, job_id: int, run_id: str) -> RunRecord | None:
    """One run of a job; None where the job has no row of that id."""
    query = Run.select(*_RECORD).where(Run.run_id == run_id, Run.job_id == job_id)
    found = database.read(lambda: _records(query, (Run.id,), 1))
    return found[0] if found else None


def runs_between(database: Database, job_id: int, after: int, until: int) -> list[RunRecord]:
    """The runs of a job that were due or asked for in (after, until], oldest first."""
    run = Run.alias("run")
    columns = [getattr(run, item.name) for item in fields(RunRecord)]
    query: Any = run.select(*columns).from_(by_key("run", database))
    query = query.where(run.job_id == job_id, run.scheduled_at > after, run.scheduled_at <= until)
    order = (run.scheduled_at, run.attempt, run.id)
    return database.read(lambda: _records(query, order, None))


def last_minutes(database: Database, ids: Sequence[int]) -> dict[tuple[int, str], int]:
    """The newest minute that the record knows to be closed, by (job, node)."""
    found: dict[tuple[int, str], int] = {}
    # All runs of these jobs are read: few at a time, so that no statement takes too long.
    for start in range(0, len(ids), _FEW):
        run = Run.alias("run")
        query: Any = (
            run.select(run.job_id, run.node, fn.MAX(run.scheduled_at))
            .from_(by_key("run", database))
            .where(run.job_id.in_(list(ids[start : start + _FEW])), run.kind.in_([CRON, RESTORED]))
            .group_by(run.job_id, run.node)
            .tuples()
        )
        rows: list[tuple[int, str, int]] = database.read(partial(list, query), causal=True)
        found |= {(job_id, node): newest for job_id, node, newest in rows}
    return found


def told_through(database: Database, ids: Sequence[int], *conditions: Any) -> dict[int, int]:
    """Of each of these jobs for which the conditions hold the newest due minute of which there is a
    row, or was one before retention removed it; 0 for none. One step into the index for each.
    Causal."""
    found: dict[int, int] = {}
    newest = newest_minute("run", database, lambda run: run.kind.in_([CRON, RESTORED]))
    columns = (Job.id, fn.COALESCE(newest, 0), fn.COALESCE(RunHorizon.through, 0))
    for start in range(0, len(ids), _MANY):
        query: Any = (
            Job.select(*columns)
            .join(RunHorizon, JOIN.LEFT_OUTER, on=RunHorizon.job_id == Job.id)
            .where(Job.id.in_(list(ids[start : start + _MANY])), *conditions)
            .tuples()
        )
        rows: list[tuple[int, ...]] = database.read(partial(list, query), causal=True)
        found |= {job_id: max(through) for job_id, *through in rows}
    return found


def last_runs(database: Database, ids: Sequence[int]) -> dict[int, RunRecord]:
    """The newest attempt of the newest minute of each of these jobs, by job."""
    if not ids:
        return {}
    newest = (
        Job.select(Job.id.alias("job"), newest_minute("last", database).alias("at"))
        .where(Job.id.in_(list(ids)))
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
