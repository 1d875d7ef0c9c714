"""/audit: who did what, the newest first. It is only read: nothing here can change a row."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import urlencode

from bottle import HTTPResponse, request
from pydantic import ConfigDict, Field

from dcron_app.api.accounts import AuditShape
from dcron_app.api.queries import AS_WHOLE, Instant, Limit, Query, read_query
from dcron_app.api.reply import reply
from dcron_app.api.routes import Access, Route
from dcron_app.api.serialize import instant
from dcron_app.api.services import Services
from dcron_common.db import audit
from dcron_common.db.audit import AuditRow

_Word = Annotated[str, Field(min_length=1, max_length=64)]


class AuditQuery(Query):
    """Rows that meet all that is given; times are `from` <= at < `to`."""

    model_config = ConfigDict(populate_by_name=True)
    limit: Limit = 100
    after: Annotated[int, Field(ge=1, le=2**63 - 1), AS_WHOLE] | None = Field(
        None, description="where the page before ended: its `Link` has it"
    )
    user: _Word | None = None
    action: _Word | None = None
    object_type: _Word | None = None
    object_id: _Word | None = None
    since: Instant | None = Field(None, alias="from")
    until: Instant | None = Field(None, alias="to")


class AuditResource:
    """The resource."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def routes(self) -> list[Route]:
        """What it answers."""
        shown, summary = {200: list[AuditShape]}, "Who did what, the newest first"
        return [
            Route("GET", "/audit", self.index, Access.ADMIN, summary, shown, AuditQuery),
        ]

    def index(self) -> HTTPResponse:
        """A page, and a link to the next."""
        query = read_query(AuditQuery)
        exact = ("user", "action", "object_type", "object_id")
        rows = audit.page(
            self._services.database,
            query.limit + 1,
            {name: getattr(query, name) for name in exact if getattr(query, name) is not None},
            before=query.after,
            since=query.since,
            until=query.until,
        )
        headers = {}
        if len(rows) > query.limit:
            rows.pop()
            same = [one for one in request.query.decode().allitems() if one[0] != "after"]
            again = urlencode([*same, ("after", rows[-1].id)])
            headers["Link"] = f'</audit?{again}>; rel="next"'
        return reply([_json(row) for row in rows], headers=headers)


def _json(row: AuditRow) -> dict[str, Any]:
    return {
        "id": str(row.id),
        "at": instant(row.at),
        "user": row.user,
        "action": row.action,
        "object_type": row.object_type,
        "object_id": row.object_id,
        "before": row.before,
        "after": row.after,
    }
