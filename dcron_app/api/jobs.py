"""/jobs: list, show, make and remove jobs; their runs and their files."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from itertools import chain
from typing import Any
from urllib.parse import quote

from bottle import Bottle, HTTPResponse, request

from dcron_app.api import auth
from dcron_app.api.announce import announce, close_fences
from dcron_app.api.body import Bodies
from dcron_app.api.errors import Problem, invalid, unavailable
from dcron_app.api.instants import instant
from dcron_app.api.reply import JSON, MAX_PAGE, array, encoded, number, reply
from dcron_app.api.serialize import entry_json, job_json, run_json
from dcron_app.api.services import Services
from dcron_app.api.validation import check_job
from dcron_common.db import jobs
from dcron_common.db.jobs import JobRow
from dcron_common.db.users import Principal
from dcron_common.errors import CoordinatorError
from dcron_common.ids import ulid
from dcron_common.ledger import ledger

log = logging.getLogger(__name__)

_ID = "<job_id:re:0|[1-9][0-9]{0,17}>"
_DEFAULT_RUNS = 100
_DEFAULT_SPAN = 86_400  # seconds
_MAX_SPAN = 31 * 86_400  # of a job that is due every minute: 44,640 entries


class Jobs:
    """The resource; one object for all requests."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._bodies = Bodies(services)

    def install(self, app: Bottle) -> None:
        """Add the routes."""
        app.route("/jobs", "GET", self.index)
        app.route("/jobs", "POST", self.create)
        app.route(f"/jobs/{_ID}", "GET", self.show)
        app.route(f"/jobs/{_ID}", "DELETE", self.remove)
        app.route(f"/jobs/{_ID}/runs", "GET", self.runs)
        app.route(f"/jobs/{_ID}/ledger", "GET", self.ledger)
        app.route(f"/jobs/{_ID}/executable", "GET", self.executable)

    def index(self) -> HTTPResponse:
        """All jobs, streamed; with `limit` one page, and a link to the next."""
        limit = number(request.query, "limit", 1, MAX_PAGE, None)
        after = number(request.query, "after", 0, 2**63 - 1, 0) or 0
        if limit is None:
            pages = self._pages(after)
            first = next(pages)  # before the status is sent: an ill database is a 503
            return HTTPResponse(array(chain([first], pages)), 200, JSON)
        rows = jobs.jobs_after(self._services.database, after, limit + 1)
        headers = {}
        if len(rows) > limit:
            rows.pop()
            headers["Link"] = f'</jobs?limit={limit}&after={rows[-1].id}>; rel="next"'
        return HTTPResponse(array(iter([self._page(rows)])), 200, {**JSON, **headers})

    def _pages(self, after: int) -> Iterator[list[bytes]]:
        while True:
            rows = jobs.jobs_after(self._services.database, after)
            yield self._page(rows)
            if len(rows) < jobs.PAGE:
                return
            after = rows[-1].id

    def _page(self, rows: list[JobRow]) -> list[bytes]:
        return [encoded(one) for one in self._shown(rows)]

    def _shown(self, rows: list[JobRow]) -> list[dict[str, Any]]:
        now = self._services.clock.wall()
        last = jobs.last_runs(self._services.database, [row.id for row in rows])
        store = self._services.object_store
        return [job_json(row, last.get(row.id), store, now) for row in rows]

    def show(self, job_id: str) -> HTTPResponse:
        """One job."""
        return reply(self._shown([self._row(job_id)])[0])

    def _row(self, job_id: str) -> JobRow:
        row = jobs.get_job(self._services.database, int(job_id))
        if row is None:
            raise _no_job(job_id)
        return row

    def create(self) -> HTTPResponse:
        """Check, store the file, commit, announce; acknowledged from the commit on."""
        user = auth.writer(request.environ)
        with self._bodies.json(request.environ) as body:
            return self._made(body, user)

    def _made(self, body: dict[str, Any], user: Principal) -> HTTPResponse:
        services, now = self._services, self._services.clock.wall()
        accepted = check_job(body, user, services.settings, now, ulid(now))
        if accepted.file is not None:
            services.object_store.put(accepted.job.spec.executable, accepted.file)
        # Not `now`: the file may have taken its time, and the first minute is after the commit.
        row = jobs.insert_job(services.database, accepted.job, services.clock.wall(), user.name)
        log.info("job made job=%d user=%s type=%s", row.id, user.name, row.type)
        announce(services.coordinator, row.id, row.revision)
        return reply(self._shown([row])[0], 201, {"Location": f"/jobs/{row.id}"})

    def remove(self, job_id: str) -> HTTPResponse:
        """Take a job out of the schedule; again: the same answer.

        The database first: if the fences cannot be written the answer is 503, the leader will
        still remove the job, and the client may ask again.
        """
        services = self._services
        user = auth.writer(request.environ)
        now = services.clock.wall()
        try:
            row, changed = jobs.remove_job(services.database, int(job_id), now, user.name)
        except KeyError as error:
            raise _no_job(job_id) from error
        if changed:
            log.info("job removed job=%d user=%s", row.id, user.name)
        announce(services.coordinator, row.id, row.revision)
        try:
            close_fences(services.coordinator, row)
        except CoordinatorError as error:
            log.warning("a removal was not fenced job=%d: %r", row.id, error)
            raise unavailable(
                "the job is removed, but workers may not know it yet: "
                "the coordination service does not answer; ask again"
            ) from error
        return reply(self._shown([row])[0])

    def runs(self, job_id: str) -> HTTPResponse:
        """The newest runs of a job, newest first."""
        limit = number(request.query, "limit", 1, MAX_PAGE, _DEFAULT_RUNS) or _DEFAULT_RUNS
        row = self._row(job_id)
        found = jobs.runs_of(self._services.database, row.id, limit)
        return reply([run_json(one) for one in found])

    def ledger(self, job_id: str) -> HTTPResponse:
        """Every minute the job was due in (from, to], and what became of it."""
        query, now = request.query, self._services.clock.wall()
        until = instant(query, "to", now)
        after = instant(query, "from", until - _DEFAULT_SPAN)
        if not 0 <= until - after <= _MAX_SPAN:
            raise invalid(("from", f"must be before `to`, by at most {_MAX_SPAN // 86400} days"))
        row, database = self._row(job_id), self._services.database
        found = ledger(
            jobs.spans_of(database, row.id),
            jobs.runs_between(database, row.id, after, until),
            after,
            min(until, int(now)),
            now,
            jobs.spec_of(row).starting_deadline_seconds,
        )
        return HTTPResponse(array(iter([[encoded(entry_json(one)) for one in found]])), 200, JSON)

    def executable(self, job_id: str) -> HTTPResponse:
        """The file of a script or binary."""
        row = self._row(job_id)
        if row.sha256 is None:
            raise Problem(404, f"job {job_id} is a command: it has no file")
        pieces = self._services.object_store.stream(row.executable)
        first = next(pieces, b"")  # before the status is sent: a file that is gone is a 404
        headers = {
            "Content-Type": "application/octet-stream",
            "Content-Disposition": _disposition(row.filename or f"job-{row.id}"),
            "ETag": f'"{row.sha256}"',
        }
        return HTTPResponse(chain([first], pieces), 200, headers)


def _no_job(job_id: str) -> Problem:
    return Problem(404, f"there is no job {job_id}")


def _disposition(filename: str) -> str:
    """The header that names a download (RFC 6266): plain, and in full by percent signs."""
    plain = "".join(
        c if c.isascii() and c.isprintable() and c not in '"\\%' else "_" for c in filename
    )
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(filename, safe='')}"
