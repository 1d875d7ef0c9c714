"""A job or a run by the name that a path gives it, or Problem 404; what a removed job refuses."""

from __future__ import annotations

from dcron_app.api.errors import Problem, forbidden
from dcron_app.api.services import Services
from dcron_common.db import jobs
from dcron_common.db.jobs import JobRow
from dcron_common.db.users import Principal


def job_row(services: Services, job_id: str) -> JobRow:
    """The job, removed or not."""
    row = jobs.get_job(services.database, int(job_id))
    if row is None:
        raise no_job(job_id)
    return row


def live_job(services: Services, job_id: str) -> JobRow:
    """A job that is not removed; else Problem 409."""
    row = job_row(services, job_id)
    if row.removed_at is not None:
        raise Problem(
            409, f"job {job_id} is removed: post it again, its old runs stay where they are"
        )
    return row


def changeable_job(services: Services, job_id: str, user: Principal) -> JobRow:
    """A job that is not removed and that this user may change; else Problem 403 or 409."""
    row = live_job(services, job_id)
    check_may_change(row, user)
    return row


def check_may_change(row: JobRow, user: Principal) -> None:
    """Problem 403 for a job that is neither the user's own nor of one of the user's teams."""
    if not user.may_change(row.owner, row.team):
        raise forbidden(
            f"job {row.id} belongs to {row.owner}: only its owner, its team and admins may do this"
        )


def no_job(job_id: str) -> Problem:
    return Problem(404, f"there is no job {job_id}")


def no_run(job_id: str, run_id: str) -> Problem:
    return Problem(404, f"job {job_id} has no run {run_id}")
