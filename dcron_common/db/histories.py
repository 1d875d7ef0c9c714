"""What jobs were due by, and when (P8). Errors: those of connection.Database."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dcron_common.db.connection import Database
from dcron_common.db.models import JobRevision
from dcron_common.history import Span


def spans_of(database: Database, job_id: int) -> list[Span]:
    """The job's history: what it was due by, and when."""
    return histories(database, [job_id]).get(job_id, [])


def histories(
    database: Database, ids: Sequence[int], *, causal: bool = False
) -> dict[int, list[Span]]:
    """The histories of these jobs, oldest span first, by job."""
    if not ids:
        return {}
    columns = (
        JobRevision.job_id,
        JobRevision.schedule,
        JobRevision.timezone,
        JobRevision.state,
        JobRevision.valid_from,
        JobRevision.valid_to,
        JobRevision.placed_on,
    )
    query: Any = (
        JobRevision.select(*columns)
        .where(JobRevision.job_id.in_(list(ids)))
        .order_by(JobRevision.job_id, JobRevision.revision)
        .tuples()
    )
    found: dict[int, list[Span]] = {}
    for job_id, *values in database.read(lambda: list(query), causal=causal):
        found.setdefault(job_id, []).append(Span(*values))
    return found
