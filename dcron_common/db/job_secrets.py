"""Which secrets live jobs name. Called inside the transactions that write jobs."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from peewee import IntegrityError, fn

from dcron_common.db.models import JobSecret
from dcron_common.errors import Conflict


def write(job_id: int, before: Collection[str], names: Collection[str]) -> None:
    """Let the job name these and no others; `before`: what it named. Conflict where one of them
    does not exist."""
    gone = set(before) - set(names)
    if gone:
        JobSecret.delete().where(
            JobSecret.job_id == job_id, JobSecret.secret.in_(sorted(gone))
        ).execute()
    new = [{"job_id": job_id, "secret": name} for name in sorted(set(names) - set(before))]
    if not new:
        return
    try:
        JobSecret.insert_many(new).execute()
    except IntegrityError as error:  # the foreign key
        raise Conflict(
            "a secret that the job names was removed just now: see GET /secrets"
        ) from error


def forget(job_id: int) -> None:
    """The job is removed."""
    JobSecret.delete().where(JobSecret.job_id == job_id).execute()


def counts() -> dict[str, int]:
    """In how many live jobs each secret stands; those in none are absent."""
    columns = (JobSecret.secret, fn.COUNT(JobSecret.job_id))
    query: Any = JobSecret.select(*columns).group_by(JobSecret.secret).tuples()
    return dict(query)


def count(name: str) -> int:
    """In how many live jobs one secret stands."""
    return int(JobSecret.select().where(JobSecret.secret == name).count())


def jobs_of(name: str, limit: int) -> list[int]:
    """The first live jobs that name a secret."""
    query = JobSecret.select(JobSecret.job_id).where(JobSecret.secret == name)
    return [row.job_id for row in query.order_by(JobSecret.job_id).limit(limit)]
