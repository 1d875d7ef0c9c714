"""/jobs/{id}/runs/{run_id} and /jobs/{id}/ledger: one run, what was due; run now, end a run."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from functools import partial
from typing import Any

from bottle import HTTPResponse, request
from pydantic import ConfigDict, Field

from dcron_app.api import asking, auth, ending, places
from dcron_app.api.body import Bodies
from dcron_app.api.deed import Deed
from dcron_app.api.errors import invalid
from dcron_app.api.fields import RunFields
from dcron_app.api.found import changeable_job, check_may_change, job_row, no_run
from dcron_app.api.queries import Instant, Query, read_query
from dcron_app.api.repeating import ONCE, Once
from dcron_app.api.reply import JSON, array, encoded, reply
from dcron_app.api.routes import Access, Route
from dcron_app.api.secret_use import check_secrets
from dcron_app.api.serialize import asked_json, entry_json, run_json
from dcron_app.api.services import Services
from dcron_app.api.shapes import AskedShape, EntryShape, RunShape
from dcron_app.api.validation import check_arguments, check_run_as
from dcron_common.db import audit, histories, jobs, old_runs, run_reads, secrets
from dcron_common.db.users import Principal
from dcron_common.ledger import ledger

log = logging.getLogger(__name__)

_DEFAULT_SPAN = 86_400  # seconds
_MAX_SPAN = 31 * 86_400  # of a job that is due every minute: 44,640 entries


class LedgerQuery(Query):
    """Minutes in (from, to]; the last day, unless they are given."""

    model_config = ConfigDict(populate_by_name=True)
    after: Instant | None = Field(None, alias="from")
    until: Instant | None = Field(None, alias="to")


class Runs:
    """The resource; one object for all requests."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._bodies = Bodies(services)

    def routes(self) -> list[Route]:
        """What it answers."""
        job, run = "/jobs/{job_id}", "/jobs/{job_id}/runs/{run_id}"
        read, write = Access.READ, Access.WRITE
        asked, due = {202: AskedShape}, {200: list[EntryShape]}
        return [
            Route(
                "POST",
                f"{job}/runs",
                self.start,
                write,
                "Run it now",
                asked,
                body=RunFields,
                body_optional=True,
                headers=ONCE,
            ),
            Route("GET", run, self.show, read, "One run", {200: RunShape}),
            Route("POST", f"{run}/kill", self.kill, write, "End a run", asked, headers=ONCE),
            Route("GET", f"{job}/ledger", self.ledger, read, "Due against done", due, LedgerQuery),
        ]

    def show(self, job_id: str, run_id: str) -> HTTPResponse:
        """One run."""
        row = job_row(self._services, job_id)
        run = run_reads.get_run(self._services.database, row.id, run_id)
        if run is None:
            raise no_run(job_id, run_id)
        return reply(run_json(run))

    def start(self, job_id: str) -> HTTPResponse:
        """Ask the workers that hold the job for a run now. It is theirs from the answer on."""
        user = auth.principal(request.environ)
        with self._bodies.optional_json(request.environ) as body:
            once = Once(self._services, request.environ, body, repeatable=False)
            return once.tell(lambda: self._started(job_id, body, user), _started_again)

    def _started(self, job_id: str, body: dict[str, Any], user: Principal) -> HTTPResponse:
        services = self._services
        row = changeable_job(services, job_id, user)
        arguments = check_arguments(row, body)
        check_run_as(row.run_as, user, services.settings)
        if arguments is not None:  # they may have the job tell what it was given
            known = partial(secrets.get_secrets, services.database)
            check_secrets(jobs.spec_of(row).secrets, user, known)
        now = services.clock.wall()
        wish = {"revision": row.revision, "arguments": _audited(arguments)}
        deed = Deed(services, user.name, "run", row.id, wish)
        with deed.refused():
            asked, failed = asking.ask_for_runs(
                services.coordinator, row, arguments, now, deed.tell
            )
        for one in asked:
            log.info(
                "run asked for job=%s run=%s worker=%s user=%s",
                *(one.slot, one.run_id, one.worker, user.name),
            )
        shown = asked_json(asked, now, failed)
        return reply(shown, 202, _run_at(shown))

    def kill(self, job_id: str, run_id: str) -> HTTPResponse:
        """Have a run ended, with what would follow it."""
        user = auth.principal(request.environ)
        self._bodies.nothing(request.environ)
        return Once(self._services, request.environ, {}).tell(
            lambda: self._killed(job_id, run_id, user),
            lambda text: HTTPResponse(text, 202, JSON),
        )

    def _killed(self, job_id: str, run_id: str, user: Principal) -> HTTPResponse:
        services = self._services
        row = job_row(services, job_id)
        check_may_change(row, user)
        run = run_reads.get_run(services.database, row.id, run_id)
        now = services.clock.wall()
        deed = Deed(services, user.name, "kill", row.id, {"run_id": run_id})
        with deed.refused():
            asked = ending.ask_for_end(services.coordinator, row, run, run_id, user.name, deed.tell)
        log.info(
            "run is to end job=%s run=%s worker=%s user=%s",
            *(asked.slot, run_id, asked.worker, user.name),
        )
        return reply(asked_json([asked], now), 202)

    def ledger(self, job_id: str) -> HTTPResponse:
        """Every minute the job was due in (from, to], and what became of it."""
        query, now = read_query(LedgerQuery), self._services.clock.wall()
        until = int(now) if query.until is None else query.until
        after = until - _DEFAULT_SPAN if query.after is None else query.after
        if not 0 <= until - after <= _MAX_SPAN:
            raise invalid(("from", f"must be before `to`, by at most {_MAX_SPAN // 86400} days"))
        row, database = job_row(self._services, job_id), self._services.database
        spec = jobs.spec_of(row)
        on_all = spec.placement.on == "all"
        standing = places.on_all(self._services.coordinator, row) if on_all else {}
        found = ledger(
            histories.spans_of(database, row.id),
            run_reads.runs_between(database, row.id, after, until),
            after,
            min(until, int(now)),
            now,
            spec.starting_deadline_seconds,
            old_runs.horizon_of(database, row.id),
            standing,
        )
        return HTTPResponse(array(iter([[encoded(entry_json(one)) for one in found]])), 200, JSON)


def _audited(arguments: list[str] | None) -> dict[str, Any] | None:
    """What the audit keeps for ever of arguments, which may hold a password: what proves them."""
    return None if arguments is None else {"count": len(arguments), **audit.digested(arguments)}


def _run_at(shown: Mapping[str, Any]) -> dict[str, str]:
    return {"Location": f"/jobs/{shown['job_id']}/runs/{shown['run_id']}"}


def _started_again(text: str) -> HTTPResponse:
    return HTTPResponse(text, 202, {**JSON, **_run_at(json.loads(text))})
