"""Jobs that were removed long ago, and which files jobs name.

A job's row goes last, after all that hangs on it: what is left of a removal that was interrupted
is found again by that row. Errors: those of connection.Database.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from dcron_common.db.connection import Database
from dcron_common.db.models import Job, JobLabel, JobRevision, JobText, Run, RunHorizon


def removed_before(database: Database, before: float, after: int, most: int) -> list[int]:
    """The next `most` jobs above `after` that were removed before this instant, by id; not those
    of which a due minute may still lack its row."""
    condition = (Job.id > after) & (Job.removed_at < before) & Job.unsettled.is_null()
    query: Any = Job.select(Job.id).where(condition).order_by(Job.id).limit(most).tuples()
    return [job_id for (job_id,) in database.read(lambda: list(query))]


def drop_revisions(database: Database, job_id: int, most: int) -> int:
    """Remove the job's oldest `most` history rows; how many there were."""

    def work() -> int:
        query: Any = JobRevision.select(JobRevision.id).where(JobRevision.job_id == job_id)
        oldest: Any = query.order_by(JobRevision.revision).limit(most).tuples()
        ids = [row_id for (row_id,) in oldest]
        return int(JobRevision.delete().where(JobRevision.id.in_(ids)).execute()) if ids else 0

    return database.transaction(work, idempotent=True)


def drop_job(database: Database, job_id: int, before: float) -> bool:
    """Remove the row of a job that was removed before this instant and has no runs and no history
    any more; False where it has."""

    def work() -> bool:
        for table in (Run, JobRevision):
            if table.select().where(table.job_id == job_id).exists():
                return False
        for hanging in (RunHorizon, JobLabel, JobText):
            hanging.delete().where(hanging.job_id == job_id).execute()
        return bool(Job.delete().where(Job.id == job_id, Job.removed_at < before).execute())

    return database.transaction(work, idempotent=True, causal=True)


def named_files(database: Database, digests: Collection[str]) -> set[str]:
    """Those of these SHA-256 that a job names, be it removed or not; causal."""
    if not digests:
        return set()
    query: Any = Job.select(Job.sha256).where(Job.sha256.in_(list(digests))).distinct().tuples()
    return {digest for (digest,) in database.read(lambda: list(query), causal=True)}
