"""Jobs as answers: with their newest run, and the revision as ETag."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bottle import HTTPResponse

from dcron_app.api.changing import Changed
from dcron_app.api.etag import etag
from dcron_app.api.reply import reply
from dcron_app.api.serialize import job_json
from dcron_app.api.services import Services
from dcron_common.db import run_reads
from dcron_common.db.jobs import JobRow


def jobs_json(services: Services, rows: Sequence[JobRow]) -> list[dict[str, Any]]:
    """These jobs, in their order."""
    now = services.clock.wall()
    last = run_reads.last_runs(services.database, [row.id for row in rows])
    return [job_json(row, last.get(row.id), services.object_store, now) for row in rows]


def job_answer(
    services: Services, row: JobRow, status: int = 200, headers: dict[str, str] | None = None
) -> HTTPResponse:
    """One job."""
    (shown,) = jobs_json(services, [row])
    return reply(shown, status, {**etag(row.revision), **(headers or {})})


def plan_answer(services: Services, row: JobRow, before: JobRow | None) -> HTTPResponse:
    """A job as it would be. The ETag is of the job as it is, so that the plan can be carried out
    on just what it was made for; a job that is not there yet has neither ETag nor id."""
    (shown,) = jobs_json(services, [row])
    return (
        reply({**shown, "id": None}) if before is None else reply(shown, 200, etag(before.revision))
    )


def changed_answer(services: Services, changed: Changed, *, dry: bool) -> HTTPResponse:
    """What became of a job, or would."""
    if dry:
        return plan_answer(services, changed.row, changed.before)
    return job_answer(services, changed.row)
