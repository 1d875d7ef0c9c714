"""Writing runs and what they make of their job's status (P13).

A row is identified by (job, scheduled_at, kind, node, attempt) and only rises: a record that
says less than the table is ignored. Repeating a call changes nothing. A row that proved nothing
(`RunRecord.is_proven`) becomes that of the run which replaces it, whose output has that run's name.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from peewee import EXCLUDED, Case, fn

from dcron_common.db.connection import Database
from dcron_common.db.models import Job, Run
from dcron_common.job import Status
from dcron_common.run import CRON, FAILING, RunRecord, RunState

# The status that a newest run in this state gives its job; states that are absent say nothing,
# and hide no older run that does. A one-shot that never ran, or was killed, never fires again.
_RECURRING = {RunState.SUCCEEDED: Status.SCHEDULED, **dict.fromkeys(FAILING, Status.ERROR)}
_ONE_SHOT = {
    RunState.SUCCEEDED: Status.FINISHED,
    **dict.fromkeys(FAILING | {RunState.MISSED, RunState.SKIPPED, RunState.KILLED}, Status.ERROR),
}
_NAME = ("run_id", "trigger")
_KEPT_BY_RANK = (
    "worker",
    "epoch",
    "finished_at",
    "exit_code",
    "signal",
    "reason",
    "isolated",
    "output_tail",
    "state",  # last, as what is replaced is told by it: see `_upsert`
)


def record_runs(database: Database, records: Sequence[RunRecord], now: float) -> None:
    """Write rows and follow their jobs' status, in one transaction. `now`: epoch seconds."""
    if not records:
        return

    def work() -> None:
        _upsert(records, mariadb=database.is_mariadb)
        _follow_status(_standing(records))

    database.transaction(work, idempotent=True)


def _upsert(records: Sequence[RunRecord], *, mariadb: bool) -> None:
    rows = [_row(record) for record in records]

    def new(name: str) -> Any:
        """The refused row's value, which MariaDB calls VALUES(x) and SQLite excluded.x."""
        return fn.VALUES(getattr(Run, name)) if mariadb else getattr(EXCLUDED, name)

    unproven = (Run.rank == RunState.RUNNING.rank) & (Run.state != RunState.RUNNING)
    rises = (new("rank") > Run.rank) | (unproven & (new("state") == RunState.RUNNING))
    # The names first, state and rank last: MariaDB assigns from left to right, and compares with
    # what it has assigned.
    update: dict[object, object] = {
        getattr(Run, name): Case(None, [(condition, new(name))], getattr(Run, name))
        for names, condition in ((_NAME, rises & unproven), (_KEPT_BY_RANK, rises))
        for name in names
    }
    # What a record that comes later may not know, it does not take away.
    for name in ("started_at", "output_url"):
        update[getattr(Run, name)] = fn.COALESCE(new(name), getattr(Run, name))
    update[Run.rank] = Case(None, [(rises, new("rank"))], Run.rank)
    query = Run.insert_many(rows)
    if mariadb:
        query.on_conflict(update=update).execute()
        return
    identity = [Run.job_id, Run.scheduled_at, Run.kind, Run.node, Run.attempt]
    query.on_conflict(conflict_target=identity, update=update).execute()


def _row(record: RunRecord) -> dict[str, object]:
    values: dict[str, object] = {name: getattr(record, name) for name in record.__slots__}
    values["rank"] = record.rank
    values["reason"] = record.reason[:512] if record.reason else record.reason
    return values


def _newest_by_job(records: Sequence[RunRecord]) -> dict[int, RunRecord]:
    newest: dict[int, RunRecord] = {}
    for record in records:
        other = newest.get(record.job_id)
        if other is None or _order(record) >= _order(other):
            newest[record.job_id] = record
    return newest


def _standing(records: Sequence[RunRecord]) -> Sequence[RunRecord]:
    """Without losses of runs whose end had been recorded before: the row did not sink for them."""
    lost = [record.run_id for record in records if record.state is RunState.LOST]
    if not lost:
        return records
    above = Run.select(Run.run_id).where(Run.run_id.in_(lost), Run.rank > RunState.LOST.rank)
    ended = {row.run_id for row in above}
    return [r for r in records if r.state is not RunState.LOST or r.run_id not in ended]


def _order(record: RunRecord) -> tuple[int, int, int]:
    return (record.scheduled_at, record.attempt, record.state.rank)


def _follow_status(records: Sequence[RunRecord]) -> None:
    """One statement for each kind of job and outcome; a removed job keeps its status for good.

    Whether a job is a one-shot only the table knows: each kind follows the newest of those runs
    that mean something to it. A run that somebody asked for does not use up a one-shot's time.
    """
    one_shot = Job.schedule.startswith("@at")
    due = [record for record in records if record.kind == CRON]
    for outcomes, kind, known in ((_RECURRING, ~one_shot, records), (_ONE_SHOT, one_shot, due)):
        telling = [record for record in known if record.state in outcomes]
        groups: dict[Status, list[RunRecord]] = {}
        for one in _newest_by_job(telling).values():
            groups.setdefault(outcomes[one.state], []).append(one)
        for status, members in groups.items():
            _set_status(status, members, kind)


def _set_status(status: Status, members: Sequence[RunRecord], kind: Any) -> None:
    """Give the members' jobs of this kind `status`, unless a newer run has given them theirs."""
    at = Case(Job.id, [(one.job_id, one.scheduled_at) for one in members], 0)
    attempt = Case(Job.id, [(one.job_id, one.attempt) for one in members], 0)
    is_newest = (Job.last_scheduled_at < at) | (
        (Job.last_scheduled_at == at) & (Job.last_attempt <= attempt)
    )
    # last_attempt before last_scheduled_at: MariaDB assigns from left to right.
    changes = {Job.status: status, Job.last_attempt: attempt, Job.last_scheduled_at: at}
    Job.update(changes).where(
        Job.id.in_([one.job_id for one in members]),
        Job.removed_at.is_null(),
        kind,
        is_newest,
    ).execute()
