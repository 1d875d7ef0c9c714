"""/schedule: what an expression means and when it fires next, without making a job."""

from __future__ import annotations

from typing import Annotated

from bottle import HTTPResponse
from pydantic import Field

from dcron_app.api.errors import invalid
from dcron_app.api.queries import AS_WHOLE, Instant, Query, read_query
from dcron_app.api.reply import reply
from dcron_app.api.routes import Access, Route
from dcron_app.api.services import Services
from dcron_app.api.shapes import ScheduleShape
from dcron_app.api.text import SCHEDULE
from dcron_common.schedule import ScheduleError, parse


class ScheduleQuery(Query):
    """`after`: now, unless it is given."""

    expression: str = Field(
        description="such as */5 9-17 * * mon-fri",
        json_schema_extra={"pattern": SCHEDULE, "examples": ["*/5 9-17 * * mon-fri", "@daily"]},
    )
    timezone: str | None = Field(None, description="an IANA name; default: the cluster's")
    after: Instant | None = None
    count: Annotated[int, Field(ge=1, le=1000), AS_WHOLE] = 10


class ScheduleResource:
    """The resource; it asks neither database nor ZooKeeper but for who may ask."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def routes(self) -> list[Route]:
        """What it answers."""
        return [
            Route(
                "GET",
                "/schedule",
                self.show,
                Access.READ,
                "What a schedule means, and when it fires next",
                {200: ScheduleShape},
                query=ScheduleQuery,
            )
        ]

    def show(self) -> HTTPResponse:
        """`{"description": …, "next": [ISO 8601 with offset, …]}`.

        `next` is shorter than `count` only where the calendar (year 9999) or a one-shot ends.
        """
        query = read_query(ScheduleQuery)
        now = int(self._services.clock.wall())
        after = now if query.after is None else query.after
        zone = self._services.settings.timezone if query.timezone is None else query.timezone
        try:
            schedule = parse(query.expression, zone)
        except ScheduleError as error:
            field = "expression" if error.field == "schedule" else error.field
            raise invalid((field, str(error))) from error
        return reply(
            {
                "description": schedule.describe(),
                "next": [
                    schedule.local_time(epoch).isoformat()
                    for epoch in schedule.next(after, query.count)
                ],
            }
        )
