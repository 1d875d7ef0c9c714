"""/jobs/pause and /jobs/resume: many jobs, each by the very way of a single one.

The answer is one JSON document that begins to be sent with the first job: blanks, which mean
nothing in JSON, keep the connection alive until the last job's fences are written. A client that
goes away ends it with the job in hand. A database that goes away while jobs are still being looked
for ends the connection, so that no client takes half for the whole. Where several jobs in a row
could not be done because something is away, those that follow are not tried, and named.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from itertools import chain
from typing import Any

from bottle import HTTPResponse, request
from pydantic import ValidationError as PydanticError

from dcron_app.api import auth
from dcron_app.api.body import Bodies
from dcron_app.api.changing import Change, Changing
from dcron_app.api.errors import invalid, problem_of
from dcron_app.api.fields import BulkFields, problem_with
from dcron_app.api.reply import JSON, encoded
from dcron_app.api.routes import Access, Route
from dcron_app.api.services import Services
from dcron_app.api.shapes import BulkShape
from dcron_common.db import job_lists
from dcron_common.db.job_lists import BY_ID, Place, Wanted
from dcron_common.db.users import Principal
from dcron_common.errors import DcronError

log = logging.getLogger(__name__)

BATCH = 500  # jobs that are looked for at a time
MISSES = 3  # jobs in a row that something is away for
_NOT_TRIED = "not tried, since the jobs before it could not be done: {reason}"


class ManyJobs:
    """The resource; one object for all requests."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._bodies = Bodies(services)
        self._changing = Changing(services)

    def routes(self) -> list[Route]:
        """What it answers."""
        write, shown, body = Access.WRITE, {200: BulkShape}, BulkFields
        pause, resume = "Pause many", "Let many go on"
        return [
            Route("POST", "/jobs/pause", self.pause, write, pause, shown, body=body),
            Route("POST", "/jobs/resume", self.resume, write, resume, shown, body=body),
        ]

    def pause(self) -> HTTPResponse:
        """Nothing of them starts from the answer on."""
        return self._all(True)

    def resume(self) -> HTTPResponse:
        """They are due again from the next minute on."""
        return self._all(False)

    def _all(self, paused: bool) -> HTTPResponse:
        user = auth.principal(request.environ)
        with self._bodies.json(request.environ) as body:
            ids = self._ids(_asked(body), user)
        first = next(ids, None)  # before the status is sent: an ill database is a 503
        asked = ids if first is None else chain([first], ids)
        change = Change(user, {"paused": paused})
        return HTTPResponse(self._answer(asked, change), 200, JSON)

    def _ids(self, asked: BulkFields, user: Principal) -> Iterator[str]:
        """The jobs that are meant: those of the ids, or those that the user may change."""
        if asked.ids is not None:
            yield from dict.fromkeys(asked.ids)
            return
        labels = tuple(sorted((asked.labels or {}).items()))
        wanted, place = Wanted(removed=False, labels=labels), Place(None, 0)
        while True:
            found = job_lists.find(self._services.database, wanted, BY_ID, place, BATCH)
            yield from (str(one.id) for one in found if user.may_change(one.owner, one.team))
            if len(found) < BATCH:
                return
            place = found[-1].place

    def _answer(self, ids: Iterator[str], change: Change) -> Iterator[bytes]:
        done: dict[str, list[Any]] = {"changed": [], "unchanged": [], "failed": []}
        misses, reason = 0, ""
        for job_id in ids:
            if misses < MISSES:
                try:
                    changed = self._changing.change(job_id, change).anything
                except DcronError as error:
                    problem = problem_of(error)
                    reason = problem.detail
                    misses = misses + 1 if problem.status == 503 else 0
                    done["failed"].append({"id": job_id, "reason": reason})
                else:
                    misses = 0
                    done["changed" if changed else "unchanged"].append(job_id)
            else:
                why = _NOT_TRIED.format(reason=reason)
                done["failed"].append({"id": job_id, "reason": why})
            yield b" "
        counts = " ".join(f"{name}={len(those)}" for name, those in done.items())
        log.info("jobs paused=%s user=%s %s", change.body["paused"], change.user.name, counts)
        yield encoded(done) + b"\n"


def _asked(body: dict[str, Any]) -> BulkFields:
    """Problem 422."""
    try:
        asked = BulkFields.model_validate(body)
    except PydanticError as error:
        raise problem_with(error) from error
    given = [name for name in ("labels", "ids") if getattr(asked, name) is not None]
    given += ["all"] if asked.all else []
    if len(given) != 1:
        message = 'must say which jobs by just one of "labels", "ids" and "all": true'
        raise invalid(*((name, message) for name in given or ("body",)))
    if asked.labels == {}:
        raise invalid(("labels", 'is empty; for all jobs write "all": true'))
    return asked
