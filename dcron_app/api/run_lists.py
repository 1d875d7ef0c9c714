"""/runs and /jobs/{id}/runs: what ran, newest first, filtered, page by page.

A cursor is BASE64 of a JSON array `[scheduled_at, row]`: opaque to clients, who take it from
`Link`. It holds nothing that a client may not see, so it needs no signature; it is read strictly.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Annotated

from bottle import HTTPResponse, request
from pydantic import Field

from dcron_app.api import cursors
from dcron_app.api.errors import invalid
from dcron_app.api.found import job_row
from dcron_app.api.queries import Instant, Limit, Query, Whole, read_query
from dcron_app.api.reply import reply
from dcron_app.api.routes import PARAMETERS, Access, Route
from dcron_app.api.serialize import run_json
from dcron_app.api.services import Services
from dcron_app.api.shapes import RunShape
from dcron_common.db.run_lists import RunPlace, WantedRuns, find_runs
from dcron_common.run import RunState, Trigger

_MAX_CURSOR = 128
_NOT_OURS = "is no place in a list; take it as it is from the Link header of the page before"


class JobRunsQuery(Query):
    """Which runs of a job. `from`, `to`: due or asked for in (from, to]."""

    limit: Limit = Field(100, description="runs on a page")
    after: Annotated[str, Field(max_length=_MAX_CURSOR)] | None = Field(
        None, description="where the page begins: from the `Link` header of the page before"
    )
    state: Annotated[list[RunState], Field(max_length=len(RunState))] = Field(
        default_factory=list, description="repeated: runs in any of these"
    )
    trigger: Trigger | None = None
    worker: Annotated[str, Field(pattern=f"^(?:{PARAMETERS['worker']})$")] | None = None
    since: Instant | None = Field(None, alias="from", description="due after this instant")
    until: Instant | None = Field(None, alias="to", description="due until this instant")

    def wanted(self, job_id: int | None) -> WantedRuns:
        """As the record is asked. Problem 422."""
        if self.since is not None and self.until is not None and self.since > self.until:
            raise invalid(("from", "must not be after `to`"))
        return WantedRuns(
            states=frozenset(self.state),
            job_id=job_id,
            worker=self.worker,
            trigger=self.trigger,
            after=self.since,
            until=self.until,
        )


class RunsQuery(JobRunsQuery):
    """Which runs of all jobs."""

    job: Whole | None = Field(None, description="a job's id")


class RunLists:
    """The resource."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def routes(self) -> list[Route]:
        """What it answers."""
        runs, read, of_job = {200: list[RunShape]}, Access.READ, "/jobs/{job_id}/runs"
        return [
            Route("GET", "/runs", self.index, read, "Runs, newest first", runs, RunsQuery),
            Route("GET", of_job, self.of_job, read, "A job's runs", runs, JobRunsQuery),
        ]

    def index(self) -> HTTPResponse:
        """A page of all runs."""
        query = read_query(RunsQuery)
        return self._page("/runs", query, query.wanted(query.job))

    def of_job(self, job_id: str) -> HTTPResponse:
        """A page of a job's runs."""
        query = read_query(JobRunsQuery)
        row = job_row(self._services, job_id)
        return self._page(f"/jobs/{row.id}/runs", query, query.wanted(row.id))

    def _page(self, path: str, query: JobRunsQuery, wanted: WantedRuns) -> HTTPResponse:
        before = None if query.after is None else _decoded(query.after)
        found = find_runs(self._services.database, wanted, before, query.limit + 1)
        headers: dict[str, str] = {}
        if len(found) > query.limit:
            found.pop()
            cursor = _encoded(found[-1][0])
            headers = cursors.link(path, request.query.decode().allitems(), cursor)
        return reply([run_json(run) for _, run in found], 200, headers)


def _encoded(place: RunPlace) -> str:
    text = json.dumps([place.scheduled_at, place.row], separators=(",", ":"))
    return urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _decoded(text: str) -> RunPlace:
    """The place that a cursor of ours names; Problem 422."""
    try:
        values = json.loads(urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4)))
        minute, row = values
    except (ValueError, TypeError, RecursionError) as error:
        raise invalid(("after", _NOT_OURS)) from error
    if not (_is_number(minute) and _is_number(row)) or _encoded(RunPlace(minute, row)) != text:
        raise invalid(("after", _NOT_OURS))
    return RunPlace(minute, row)


def _is_number(value: object) -> bool:
    return type(value) is int and 0 <= value < 2**63
