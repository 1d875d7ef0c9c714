"""Runs that may have had their time: found by job and minute, removed by primary key.

Everything is read by one index, `run_key` (job, minute, kind, node, attempt), in pieces, outside
any transaction. A removal locks the rows that it names and no gap beside them (READ COMMITTED), and
is short, so that Galera has little to compare: a worker's row that is written at the same moment
makes the removal be repeated. Repeating any of it changes nothing. Errors: those of
connection.Database.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields
from typing import Any

from peewee import EXCLUDED, Value, fn

from dcron_common.db.connection import Database
from dcron_common.db.models import Job, Run, RunHorizon
from dcron_common.db.run_index import by_key
from dcron_common.run import CRON, RESTORED, RunState

_CLOSING = (CRON, RESTORED)


@dataclass(frozen=True, slots=True)
class Extent:
    """How far back a job's runs go. `oldest`: their first minute. `newest_from`: with the runs of
    this minute and those after it there are as many as were asked for; None: there are fewer."""

    job_id: int
    oldest: int
    newest_from: int | None


@dataclass(frozen=True, slots=True)
class OldRun:
    """What decides about a row, and what goes with it."""

    id: int
    scheduled_at: int
    kind: str
    node: str
    attempt: int
    state: RunState
    run_id: str
    worker: str | None
    finished_at: float | None
    has_output: bool

    @property
    def closes(self) -> bool:
        """Whether it tells how far its job has come on its node (P8)."""
        return self.kind in _CLOSING

    @property
    def place(self) -> tuple[int, str, str, int]:
        """Where it stands among its job's."""
        return (self.scheduled_at, self.kind, self.node, self.attempt)


def extents(database: Database, after: int, most: int, keep: int | None) -> list[Extent]:
    """The next `most` jobs above `after` that have runs, by id, whether or not they have a row.
    `keep`: how many of each job's newest runs `newest_from` is to be found for; None: for none."""
    old, new = Run.alias("old"), Run.alias("new")
    jobs = (
        old.select(old.job_id.alias("job_id"), fn.MIN(old.scheduled_at).alias("oldest"))
        .from_(by_key("old", database))
        .where(old.job_id > after)
        .group_by(old.job_id)
        .order_by(old.job_id)
        .limit(most)
        .alias("jobs")
    )
    newest: Any = Value(None)
    if keep is not None:
        # One walk back over `keep` entries of the index, for each job.
        newest = (
            new.select(new.scheduled_at)
            .from_(by_key("new", database))
            .where(new.job_id == jobs.c.job_id)
            .order_by(new.scheduled_at.desc())
            .limit(1)
            .offset(keep - 1)
        )
    query: Any = Run.select(jobs.c.job_id, jobs.c.oldest, newest).from_(jobs)
    rows = database.read(lambda: list(query.order_by(jobs.c.job_id).tuples()))
    return [Extent(*values) for values in rows]


def runs_before(
    database: Database, job_id: int, after: OldRun | None, until: int, most: int
) -> list[OldRun]:
    """The next `most` runs of a job behind `after` whose minute is before `until`, in order."""
    run = Run.alias("run")
    condition = (run.job_id == job_id) & (run.scheduled_at < until)
    if after is not None:
        minute, kind, node, attempt = after.place
        # The first bound alone is what the index is entered by.
        same_node = (run.node > node) | ((run.node == node) & (run.attempt > attempt))
        same_minute = (run.kind > kind) | ((run.kind == kind) & same_node)
        condition &= run.scheduled_at >= minute
        condition &= (run.scheduled_at > minute) | same_minute
    query: Any = (
        run.select(
            *(run.id, run.scheduled_at, run.kind, run.node, run.attempt, run.state, run.run_id),
            *(run.worker, run.finished_at, run.output_url.is_null(False)),
        )
        .from_(by_key("run", database))
        .where(condition)
        .order_by(run.scheduled_at, run.kind, run.node, run.attempt)
        .limit(most)
    )
    found = database.read(lambda: list(query.tuples()))
    return [_old_run(*values) for values in found]


def _old_run(*values: Any) -> OldRun:
    names = [one.name for one in fields(OldRun)]
    found = dict(zip(names, values, strict=True))
    known = {"state": RunState(found["state"]), "has_output": bool(found["has_output"])}
    return OldRun(**{**found, **known})


def nodes_since(database: Database, job_id: int, since: int, look_at: int) -> set[str]:
    """Nodes of which a minute from `since` on is closed, among the first `look_at` runs from
    there."""
    run = Run.alias("run")
    query: Any = (
        run.select(run.node, run.kind)
        .from_(by_key("run", database))
        .where(run.job_id == job_id, run.scheduled_at >= since)
        .order_by(run.scheduled_at)
        .limit(look_at)
    )
    found = database.read(lambda: list(query.tuples()))
    return {node for node, kind in found if kind in _CLOSING}


def drop_runs(database: Database, job_id: int, rows: Sequence[OldRun], *, horizon: bool) -> int:
    """Remove these rows of a job, but for one that is running; how many were there. `horizon`: note
    for the ledger that minutes up to theirs have lost rows."""
    closed = [row.scheduled_at for row in rows if row.closes]

    def work() -> int:
        ids = [row.id for row in rows]
        gone = Run.delete().where(Run.id.in_(ids), Run.state != RunState.RUNNING).execute()
        if horizon and closed:
            _raise_horizon(job_id, max(closed), mariadb=database.is_mariadb)
        return int(gone)

    return database.transaction(work, idempotent=True)


def _raise_horizon(job_id: int, through: int, *, mariadb: bool) -> None:
    query = RunHorizon.insert(job_id=job_id, through=through)
    if mariadb:
        higher = fn.GREATEST(RunHorizon.through, fn.VALUES(RunHorizon.through))
        query.on_conflict(update={RunHorizon.through: higher}).execute()
        return
    higher = fn.MAX(RunHorizon.through, EXCLUDED.through)
    target = [RunHorizon.job_id]
    query.on_conflict(conflict_target=target, update={RunHorizon.through: higher}).execute()


def horizon_of(database: Database, job_id: int) -> int:
    """The minute up to which runs of a job may have been removed; 0 where none were."""
    row = database.read(lambda: RunHorizon.get_or_none(RunHorizon.job_id == job_id))
    return row.through if row is not None else 0


def without_row(database: Database, job_ids: Collection[int]) -> set[int]:
    """Those of these jobs that the record does not know (any more); causal."""
    if not job_ids:
        return set()
    query: Any = Job.select(Job.id).where(Job.id.in_(list(job_ids))).tuples()
    known = {job_id for (job_id,) in database.read(lambda: list(query), causal=True)}
    return set(job_ids) - known


def recorded(database: Database, run_ids: Sequence[str]) -> set[str]:
    """Those of these ids by which a run is recorded that may have an output; causal."""
    if not run_ids:
        return set()
    # Minutes that a run passed over bear its id too, and never an output.
    wanted = Run.run_id.in_(list(run_ids)) & (Run.state != RunState.MISSED)
    query: Any = Run.select(Run.run_id).where(wanted).distinct().tuples()
    return {run_id for (run_id,) in database.read(lambda: list(query), causal=True)}
