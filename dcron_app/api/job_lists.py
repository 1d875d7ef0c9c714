"""GET /jobs: filtered, sorted, searched; streamed whole, or in pages."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Annotated, Literal

from bottle import HTTPResponse, request
from pydantic import AfterValidator, Field

from dcron_app.api import cursors, text
from dcron_app.api.errors import invalid
from dcron_app.api.fields import Line, Name, OsUser, Team
from dcron_app.api.queries import Flag, Limit, Query, read_query
from dcron_app.api.reply import JSON, array, encoded
from dcron_app.api.routes import Access, Route
from dcron_app.api.services import Services
from dcron_app.api.shapes import JobShape
from dcron_app.api.showing import jobs_json
from dcron_common.db import job_lists, jobs
from dcron_common.db.job_lists import Found, Place, Sort, Wanted

PAGE = 500  # jobs that are in hand at a time while all are streamed
MAX_LABELS = 8

_MAX_LABEL = 63 + 1 + 255


def _label(given: str) -> str:
    name, equals, value = given.partition("=")
    if not equals:
        raise ValueError("must be name=value, such as tier=gold")
    text.label_name(name)
    text.line(value)
    return given


Label = Annotated[
    str,
    Field(max_length=_MAX_LABEL, json_schema_extra={"pattern": text.LABEL_WITH_VALUE}),
    AfterValidator(_label),
]
Order = Literal["id", "-id", "name", "-name", "status", "-status", "updated_at", "-updated_at"]


class JobsQuery(Query):
    """Which jobs, in which order. Without `limit` all of them, streamed."""

    limit: Limit | None = Field(None, description="jobs on a page; without it all are sent")
    after: Annotated[str, Field(max_length=cursors.MAX_LENGTH)] | None = Field(
        None, description="where the page begins: from the `Link` header of the page before"
    )
    sort: Order = Field("id", description="ascending; with a minus sign descending")
    name: Name | None = Field(None, description="just this name; removed jobs keep theirs")
    status: Literal["scheduled", "finished", "error"] | None = None
    type: Literal["command", "script", "binary"] | None = None
    owner: Team | None = None
    team: Team | None = None
    worker: Name | None = Field(None, description="the worker that holds the job")
    run_as: OsUser | None = None
    paused: Flag | None = None
    label: Annotated[list[Label], Field(max_length=MAX_LABELS)] = Field(
        default_factory=list, description="name=value; repeated: jobs that have all of them"
    )
    q: Annotated[Line, Field(min_length=1, max_length=128)] | None = Field(
        None, description="a part of the name, the command or the file's name, in any case"
    )
    removed: Flag | None = Field(None, description="only removed jobs, or none of them")

    def wanted(self) -> Wanted:
        """As the record is asked."""
        pairs = (one.partition("=") for one in self.label)
        labels = tuple(sorted({(name, value) for name, _, value in pairs}))
        same = ("name", "status", "type", "owner", "team", "worker", "run_as", "paused", "removed")
        return Wanted(**{n: getattr(self, n) for n in same}, labels=labels, text=self.q)


class JobLists:
    """The resource; one object for all requests."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def routes(self) -> list[Route]:
        """What it answers."""
        shown = {200: list[JobShape]}
        return [
            Route("GET", "/jobs", self.index, Access.READ, "All jobs, or a page", shown, JobsQuery)
        ]

    def index(self) -> HTTPResponse:
        """All jobs, streamed; with `limit` one page, and a link to the next."""
        query = read_query(JobsQuery)
        wanted, sort, place = query.wanted(), Sort.of(query.sort), _place(query)
        if query.limit is None:
            pages = self._pages(wanted, sort, place)
            first = next(pages)  # before the status is sent: an ill database is a 503
            return HTTPResponse(array(chain([first], pages)), 200, JSON)
        found = self._find(wanted, sort, place, query.limit + 1)
        headers = {}
        if len(found) > query.limit:
            found.pop()
            cursor = cursors.encode(sort, found[-1].place)
            headers = cursors.link("/jobs", request.query.decode().allitems(), cursor)
        return HTTPResponse(array(iter([self._page(found)])), 200, {**JSON, **headers})

    def _find(self, wanted: Wanted, sort: Sort, place: Place | None, limit: int) -> list[Found]:
        return job_lists.find(self._services.database, wanted, sort, place, limit)

    def _pages(self, wanted: Wanted, sort: Sort, place: Place | None) -> Iterator[list[bytes]]:
        while True:
            found = self._find(wanted, sort, place, PAGE)
            yield self._page(found)
            if len(found) < PAGE:
                return
            place = found[-1].place

    def _page(self, found: list[Found]) -> list[bytes]:
        rows = jobs.get_jobs(self._services.database, [one.id for one in found])
        there = [rows[one.id] for one in found if one.id in rows]
        return [encoded(one) for one in jobs_json(self._services, there)]


def _place(query: JobsQuery) -> Place | None:
    if query.after is None:
        return None
    try:
        return cursors.decode(query.after, Sort.of(query.sort))
    except ValueError as error:
        raise invalid(("after", str(error))) from error
