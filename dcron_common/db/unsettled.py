"""Removed jobs of which a due minute may still lack its row.

Errors: those of connection.Database.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from dcron_common.db import run_reads
from dcron_common.db.connection import Database
from dcron_common.db.models import Job


def unsettled(database: Database, most: int) -> list[int]:
    """The oldest `most` of these jobs, by id; causal."""
    query: Any = Job.select(Job.id).where(Job.unsettled).order_by(Job.id).limit(most).tuples()
    return [job_id for (job_id,) in database.read(lambda: list(query), causal=True)]


def told_through(database: Database, ids: Sequence[int]) -> Mapping[int, int]:
    """As `run_reads.told_through`, of those of these jobs that are unsettled."""
    return run_reads.told_through(database, ids, Job.unsettled)


def settle(database: Database, ids: Collection[int]) -> None:
    """Each due minute of these jobs has its row."""
    if ids:
        update: Any = Job.update(unsettled=None).where(Job.id.in_(list(ids)))
        database.transaction(update.execute, idempotent=True)
