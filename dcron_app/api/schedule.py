"""/schedule: what an expression means and when it fires next, without making a job."""

from __future__ import annotations

from bottle import Bottle, HTTPResponse, request

from dcron_app.api.errors import invalid
from dcron_app.api.fields import field_of
from dcron_app.api.instants import instant
from dcron_app.api.reply import number, reply
from dcron_app.api.services import Services
from dcron_common.schedule import ScheduleError, parse

MAX_COUNT = 1000
_COUNT = 10
_KEYS = ("expression", "timezone", "after", "count")


class ScheduleResource:
    """The resource; it asks neither database nor ZooKeeper but for who may ask."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def install(self, app: Bottle) -> None:
        """Add the route."""
        app.route("/schedule", "GET", self.show)

    def show(self) -> HTTPResponse:
        """`{"description": …, "next": [ISO 8601 with offset, …]}`.

        `next` is shorter than `count` only where the calendar (year 9999) or a one-shot ends.
        """
        query = request.query
        unknown = [key for key in query if key not in _KEYS]
        if unknown:
            message = f"is unknown; there are {', '.join(_KEYS)}"
            raise invalid(*((field_of((key,)), message) for key in unknown))
        if "expression" not in query:
            raise invalid(("expression", "is needed, such as expression=*/5+9-17+*+*+mon-fri"))
        count = number(query, "count", 1, MAX_COUNT, _COUNT) or _COUNT
        after = instant(query, "after", self._services.clock.wall())
        timezone = query.getunicode("timezone", self._services.settings.timezone)
        try:
            schedule = parse(query.getunicode("expression", ""), timezone)
        except ScheduleError as error:
            field = "expression" if error.field == "schedule" else error.field
            raise invalid((field, str(error))) from error
        return reply(
            {
                "description": schedule.describe(),
                "next": [
                    schedule.local_time(epoch).isoformat() for epoch in schedule.next(after, count)
                ],
            }
        )
