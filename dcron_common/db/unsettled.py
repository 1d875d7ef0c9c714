"""Removed jobs of which a due minute may still lack its row.

Errors: those of connection.Database.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from peewee import JOIN, fn

from dcron_common.db.connection import Database
from dcron_common.db.models import Job, RunHorizon
from dcron_common.db.run_index import newest_minute
from dcron_common.run import CRON, RESTORED


def unsettled(database: Database, most: int) -> list[int]:
    """The oldest `most` of these jobs, by id; causal."""
    query: Any = Job.select(Job.id).where(Job.unsettled).order_by(Job.id).limit(most).tuples()
    return [job_id for (job_id,) in database.read(lambda: list(query), causal=True)]


def told_through(database: Database, ids: Sequence[int]) -> Mapping[int, int]:
    """Of those of these jobs that are unsettled, by job: the newest minute of which there is a
    row, or was one before retention removed it; 0 for none. Causal."""
    if not ids:
        return {}
    newest = newest_minute("run", database, lambda run: run.kind.in_([CRON, RESTORED]))
    query: Any = (
        Job.select(Job.id, fn.COALESCE(newest, 0), fn.COALESCE(RunHorizon.through, 0))
        .join(RunHorizon, JOIN.LEFT_OUTER, on=RunHorizon.job_id == Job.id)
        .where(Job.id.in_(list(ids)), Job.unsettled)
        .tuples()
    )
    rows = database.read(lambda: list(query), causal=True)
    return {job_id: max(through) for job_id, *through in rows}


def settle(database: Database, ids: Collection[int]) -> None:
    """Each due minute of these jobs has its row."""
    if ids:
        update: Any = Job.update(unsettled=None).where(Job.id.in_(list(ids)))
        database.transaction(update.execute, idempotent=True)
