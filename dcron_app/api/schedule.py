"""/schedule: what an expression means and when it fires next, without making a job."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

from bottle import Bottle, HTTPResponse, request

from dcron_app.api.errors import invalid
from dcron_app.api.fields import field_of
from dcron_app.api.reply import number, reply
from dcron_app.api.services import Services
from dcron_common.schedule import ScheduleError, parse

MAX_COUNT = 1000
_COUNT = 10
_KEYS = ("expression", "timezone", "after", "count")
_EPOCH = re.compile(r"[0-9]{1,12}(\.[0-9]{1,9})?")
_AFTER = "write ISO 8601 with its offset, such as 2026-12-01T03:00:00Z, or epoch seconds"


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
        after = _after(query, self._services.clock.wall())
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


def _after(query: Any, now: float) -> int:
    """Epoch seconds of the query's `after`; Problem 422."""
    text = query.getunicode("after")
    if text is None:
        return int(now)
    if _EPOCH.fullmatch(text):
        return int(float(text))
    # in a query string an unescaped + is a blank, and no other blank belongs behind the time
    date, mark, rest = text.strip().partition("T")
    try:
        when = datetime.fromisoformat(f"{date}{mark}{rest.replace(' ', '+')}")
    except ValueError as error:
        raise invalid(("after", f"is no time; {_AFTER}")) from error
    if when.tzinfo is None:
        raise invalid(("after", f"does not say its offset; {_AFTER}"))
    try:
        epoch = int(when.astimezone(UTC).timestamp())
    except OverflowError as error:
        raise invalid(("after", f"is beyond the calendar; {_AFTER}")) from error
    if epoch < 0:
        raise invalid(("after", "is before 1970"))
    return epoch
