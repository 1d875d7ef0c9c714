"""/jobs/pause and /jobs/resume: many jobs, each by the very way of a single one.

The answer is one JSON document that begins to be sent with the first job: blanks, which mean
nothing in JSON, keep the connection alive until the last job's fences are written. A client that
goes away ends it with the job in hand. A database that goes away while jobs are still being looked
for ends the connection, so that no client takes half for the whole. Where several jobs in a row
could not be done because something is away, those that follow are not tried, and named. The same
where its key went to another request, which it renews for as long as it takes.

It may take long, so who asks is looked up again for each job: a token that was revoked, or a right
that was taken away, ends it there. And each write is conditional on what was read (`changing.py`).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from typing import Any

from bottle import HTTPResponse, request
from pydantic import ValidationError as PydanticError

from dcron_app.api import auth
from dcron_app.api.body import Bodies
from dcron_app.api.changing import Change, Changing
from dcron_app.api.errors import invalid, problem_of
from dcron_app.api.fields import BulkFields, problem_with
from dcron_app.api.queries import DryRun, read_query
from dcron_app.api.repeating import ONCE, Once
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
            Route(
                *("POST", "/jobs/pause", self.pause, write, pause, shown, DryRun),
                body=body,
                headers=ONCE,
            ),
            Route(
                *("POST", "/jobs/resume", self.resume, write, resume, shown, DryRun),
                body=body,
                headers=ONCE,
            ),
        ]

    def pause(self) -> HTTPResponse:
        """Nothing of them starts from the answer on."""
        return self._all(True)

    def resume(self) -> HTTPResponse:
        """They are due again from the next minute on."""
        return self._all(False)

    def _all(self, paused: bool) -> HTTPResponse:
        environ, dry = request.environ, read_query(DryRun).dry_run
        user = auth.principal(environ)
        with self._bodies.json(environ) as body:
            asked = _asked(body)
        once = Once(self._services, environ, body, dry=dry)
        change = Change(user, {"paused": paused}, dry=dry, labels=asked.labels or {})

        def begun() -> HTTPResponse:
            ids = self._ids(asked, user)
            first = next(ids, None)  # before the status is sent: an ill database is a 503
            whole = ids if first is None else chain([first], ids)
            pieces = self._answer(whole, change, environ, once)
            next(pieces)
            return HTTPResponse(pieces, 200, JSON)

        return once.answer(begun, lambda kept: HTTPResponse(kept.answer or "", 200, JSON))

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

    def _answer(
        self, ids: Iterator[str], change: Change, environ: dict[str, Any], once: Once
    ) -> Iterator[bytes]:
        """Blanks, then all that was done. The key is settled unless something was away: then the
        same request, made again, does the rest."""
        done: dict[str, list[Any]] = {"changed": [], "unchanged": [], "failed": []}
        with once.released_on_error():
            yield b""  # begun: whoever closes it from here on frees the key
            for _ in self._each(ids, change, environ, done, once):
                yield b" "
            counts = " ".join(f"{name}={len(those)}" for name, those in done.items())
            what = "would be paused" if change.dry else "paused"
            log.info("jobs %s=%s user=%s %s", what, change.body["paused"], change.user.name, counts)
            text = encoded(done) + b"\n"
            if any(one["status"] == 503 for one in done["failed"]):
                once.release()
            else:
                once.keep(text)
        yield text

    def _each(
        self,
        ids: Iterator[str],
        change: Change,
        environ: dict[str, Any],
        done: dict[str, Any],
        once: Once,
    ) -> Iterator[str]:
        """Do them one by one while the key is ours, and note in `done` what became of each."""
        misses, reason = 0, ""
        for job_id in ids:
            if misses < MISSES:
                try:
                    once.renew()
                    changed = self._changing.change(job_id, self._by_now(change, environ)).anything
                except DcronError as error:
                    problem = problem_of(error)
                    reason = problem.detail
                    misses = misses + 1 if problem.status == 503 else 0
                    done["failed"].append(_failed(job_id, problem.status, reason))
                else:
                    misses = 0
                    done["changed" if changed else "unchanged"].append(job_id)
            else:
                done["failed"].append(_failed(job_id, 503, _NOT_TRIED.format(reason=reason)))
            yield job_id

    def _by_now(self, change: Change, environ: dict[str, Any]) -> Change:
        """The change as of who asks by now. Problem 401."""
        user = auth.principal_by_now(self._services, environ)
        if user is None:
            raise auth.unauthorized(auth.NO_MORE)
        return replace(change, user=user)


def _failed(job_id: str, status: int, reason: str) -> dict[str, Any]:
    return {"id": job_id, "status": status, "reason": reason}


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
