"""Writing runs and what they make of their job's status (P13).

A row is identified by (job, scheduled_at, kind, node, attempt) and only rises: a record that
says less than the table is ignored. Repeating a call changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from peewee import EXCLUDED, Case, fn

from dcron_common.db.connection import Database
from dcron_common.db.models import Job, Run
from dcron_common.job import Status
from dcron_common.run import FAILING, RunRecord, RunState

_KEPT_BY_RANK = (
    "state",
    "worker",
    "epoch",
    "finished_at",
    "exit_code",
    "signal",
    "reason",
    "isolated",
    "output_tail",
    "output_url",
)


def record_runs(database: Database, records: Sequence[RunRecord], now: float) -> None:
    """Write rows and follow their jobs' status, in one transaction. `now`: epoch seconds."""
    if not records:
        return

    def work() -> None:
        _upsert(records, mariadb=database.is_mariadb)
        _follow_status(_newest_by_job(records), now)

    database.transaction(work, idempotent=True)


def _upsert(records: Sequence[RunRecord], *, mariadb: bool) -> None:
    rows = [_row(record) for record in records]

    def new(name: str) -> Any:
        """The refused row's value, which MariaDB calls VALUES(x) and SQLite excluded.x."""
        return fn.VALUES(getattr(Run, name)) if mariadb else getattr(EXCLUDED, name)

    rises = new("rank") > Run.rank
    update: dict[object, object] = {
        getattr(Run, name): Case(None, [(rises, new(name))], getattr(Run, name))
        for name in _KEPT_BY_RANK
    }
    update[Run.started_at] = fn.COALESCE(new("started_at"), Run.started_at)
    # Last: MariaDB assigns from left to right, and the lines above compare with the old rank.
    update[Run.rank] = Case(None, [(rises, new("rank"))], Run.rank)
    query = Run.insert_many(rows)
    if mariadb:
        query.on_conflict(update=update).execute()
        return
    identity = [Run.job_id, Run.scheduled_at, Run.kind, Run.node, Run.attempt]
    query.on_conflict(conflict_target=identity, update=update).execute()


def _row(record: RunRecord) -> dict[str, object]:
    values: dict[str, object] = {name: getattr(record, name) for name in record.__slots__}
    values["rank"] = record.state.rank
    values["reason"] = record.reason[:512] if record.reason else record.reason
    return values


def _newest_by_job(records: Sequence[RunRecord]) -> dict[int, RunRecord]:
    newest: dict[int, RunRecord] = {}
    for record in records:
        other = newest.get(record.job_id)
        if other is None or _order(record) >= _order(other):
            newest[record.job_id] = record
    return newest


def _order(record: RunRecord) -> tuple[int, int, int]:
    return (record.scheduled_at, record.attempt, record.state.rank)


def _follow_status(newest: dict[int, RunRecord], now: float) -> None:
    """One statement for each outcome; a removed job keeps its status for good."""
    groups: dict[tuple[Status | None, Status | None], list[RunRecord]] = {}
    for one in newest.values():
        groups.setdefault(_outcome(one.state), []).append(one)
    for (recurring, one_shot), members in groups.items():
        if recurring is None and one_shot is None:
            continue
        at = Case(Job.id, [(one.job_id, one.scheduled_at) for one in members], 0)
        attempt = Case(Job.id, [(one.job_id, one.attempt) for one in members], 0)
        is_newest = (Job.last_scheduled_at < at) | (
            (Job.last_scheduled_at == at) & (Job.last_attempt <= attempt)
        )
        status = Case(
            None,
            [(Job.schedule.startswith("@at"), one_shot or Job.status)],
            recurring or Job.status,
        )
        # last_scheduled_at and last_attempt after status: MariaDB assigns from left to right.
        changes = {Job.status: status, Job.last_attempt: attempt, Job.last_scheduled_at: at}
        Job.update(changes).where(
            Job.id.in_([one.job_id for one in members]),
            Job.removed_at.is_null(),
            is_newest,
        ).execute()


def _outcome(state: RunState) -> tuple[Status | None, Status | None]:
    """The status that a newest run in `state` gives a recurring job and a one-shot."""
    if state is RunState.SUCCEEDED:
        return Status.SCHEDULED, Status.FINISHED
    if state in FAILING:
        return Status.ERROR, Status.ERROR
    if state in (RunState.MISSED, RunState.SKIPPED):
        return None, Status.ERROR  # a one-shot that never ran
    return None, None
