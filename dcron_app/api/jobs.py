"""/jobs: make one, or the one of a name; show one, and its file."""

from __future__ import annotations

import logging
from functools import partial
from itertools import chain
from typing import Any
from urllib.parse import quote

from bottle import HTTPResponse, request

from dcron_app.api import auth
from dcron_app.api.announce import announce
from dcron_app.api.body import Bodies
from dcron_app.api.changing import Change, Changing
from dcron_app.api.errors import Problem, invalid
from dcron_app.api.etag import check_absent, wanted_tags
from dcron_app.api.fields import JobFields, JobReplacement, Name
from dcron_app.api.found import job_row
from dcron_app.api.ownership import check_owner
from dcron_app.api.queries import DryRun, read_query
from dcron_app.api.repeating import ONCE, Once
from dcron_app.api.routes import Access, Route
from dcron_app.api.services import Services
from dcron_app.api.shapes import JobShape, PlannedJobShape
from dcron_app.api.showing import changed_answer, job_answer, plan_answer
from dcron_app.api.validation import Accepted, check_job
from dcron_common.db import jobs, planning, secrets
from dcron_common.db.idempotency import Kept
from dcron_common.db.jobs import JobRow
from dcron_common.db.users import Principal
from dcron_common.errors import Conflict
from dcron_common.ids import ulid

log = logging.getLogger(__name__)

_TRIES = 5  # to find or make the job of a name


class ByName(DryRun):
    """Which job."""

    name: Name


class Jobs:
    """The resource; one object for all requests."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._bodies = Bodies(services)
        self._changing = Changing(services)

    def routes(self) -> list[Route]:
        """What it answers."""
        job, write = "/jobs/{job_id}", Access.WRITE
        made = {201: JobShape, 200: PlannedJobShape}
        match = {"If-Match": "only if the job is there, at this revision"}
        file, body = {200: "application/octet-stream"}, JobFields
        whole = JobReplacement
        make, put = "Make one", "Make the job of this name, or replace it"
        return [
            Route("POST", "/jobs", self.create, write, make, made, DryRun, body, headers=ONCE),
            Route("PUT", "/jobs", self.put, write, put, made, ByName, whole, headers=match),
            Route("GET", job, self.show, Access.READ, "One job", {200: JobShape}),
            Route("GET", f"{job}/executable", self.executable, Access.READ, "Its file", file),
        ]

    def show(self, job_id: str) -> HTTPResponse:
        """One job."""
        return job_answer(self._services, job_row(self._services, job_id))

    def create(self) -> HTTPResponse:
        """Check, store the file, commit, announce; acknowledged from the commit on."""
        user, query = auth.principal(request.environ), read_query(DryRun)
        with self._bodies.json(request.environ) as body:
            # Read in a dry run too, which refuses what the request would be refused for.
            once = Once(self._services, request.environ, body, dry=query.dry_run)
            if query.dry_run:
                return plan_answer(self._services, self._planned(body, user), None)
            return once.answer(
                lambda: self._new(self._made(body, user, once)),
                lambda kept: self._new(job_row(self._services, str(kept.job_id))),
            )

    def _new(self, row: JobRow) -> HTTPResponse:
        return job_answer(self._services, row, 201, {"Location": f"/jobs/{row.id}"})

    def _checked(self, body: dict[str, Any], user: Principal, incarnation: str) -> Accepted:
        services, now = self._services, self._services.clock.wall()
        known = partial(secrets.get_secrets, services.database)
        accepted = check_job(body, user, services.settings, now, incarnation, known)
        check_owner(services.database, accepted.job.owner, None, user)
        return accepted

    def _planned(self, body: dict[str, Any], user: Principal) -> JobRow:
        now = self._services.clock.wall()
        accepted = self._checked(body, user, ulid(now))
        return planning.made(self._services.database, accepted.job, now)

    def _made(self, body: dict[str, Any], user: Principal, once: Once | None = None) -> JobRow:
        services = self._services
        claim = None if once is None else once.claim
        incarnation = ulid(services.clock.wall()) if claim is None else claim.incarnation
        accepted = self._checked(body, user, incarnation)
        if accepted.file is not None:
            services.object_store.put(accepted.job.spec.executable, accepted.file)

        def settle(row: JobRow) -> None:
            if once is not None:
                once.settle(Kept(job_id=row.id))

        # Not the time of the check: the file may have taken its time, and the first minute is
        # after the commit.
        now = services.clock.wall()
        row = jobs.insert_job(services.database, accepted.job, now, user.name, along=settle)
        log.info("job made job=%d user=%s type=%s", row.id, user.name, row.type)
        announce(services.coordinator, row.id, row.revision)
        return row

    def put(self) -> HTTPResponse:
        """Make the job of this name, or replace it."""
        user, query = auth.principal(request.environ), read_query(ByName)
        revisions = wanted_tags(request.environ)
        with self._bodies.json(request.environ) as body:
            if body.setdefault("name", query.name) != query.name:
                raise invalid(("name", "must be the name that the address gives, or be left out"))
            change = Change(user, body, whole=True, revisions=revisions, dry=query.dry_run)
            for _ in range(_TRIES):
                found = jobs.by_name(self._services.database, query.name)
                if found is not None:
                    changed = self._changing.change(str(found.id), change)
                    return changed_answer(self._services, changed, dry=change.dry)
                try:
                    return self._put_new(change)
                except Conflict:
                    if jobs.by_name(self._services.database, query.name) is None:
                        raise  # of something else than the name
        raise Problem(409, f"jobs of the name {query.name!r} come and go; ask again")

    def _put_new(self, change: Change) -> HTTPResponse:
        check_absent(request.environ, "job of this name")
        if change.dry:
            return plan_answer(self._services, self._planned(change.body, change.user), None)
        return self._new(self._made(change.body, change.user))

    def executable(self, job_id: str) -> HTTPResponse:
        """The file of a script or binary."""
        row = job_row(self._services, job_id)
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


def _disposition(filename: str) -> str:
    """The header that names a download (RFC 6266): plain, and in full by percent signs."""
    plain = "".join(
        c if c.isascii() and c.isprintable() and c not in '"\\%' else "_" for c in filename
    )
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(filename, safe='')}"
