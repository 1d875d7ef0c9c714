"""/jobs/{job_id}: replace, change, pause, resume and remove one job."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bottle import HTTPResponse, request

from dcron_app.api import auth
from dcron_app.api.body import Bodies
from dcron_app.api.changing import Change, Changing
from dcron_app.api.etag import MATCH, wanted_tags
from dcron_app.api.fields import JobChange, JobReplacement
from dcron_app.api.found import job_row
from dcron_app.api.queries import DryRun, read_query
from dcron_app.api.repeating import ONCE, Once
from dcron_app.api.routes import Access, Route
from dcron_app.api.services import Services
from dcron_app.api.shapes import JobShape
from dcron_app.api.showing import changed_answer, job_answer


class JobChanges:
    """The resource; one object for all requests."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._bodies = Bodies(services)
        self._changing = Changing(services)

    def routes(self) -> list[Route]:
        """What it answers. All take If-Match."""
        job = "/jobs/{job_id}"

        def one(
            method: str, rest: str, handler: Callable[[str], HTTPResponse], text: str, **more: Any
        ) -> Route:
            shown, headers = {200: JobShape}, {**MATCH, **(ONCE if method == "POST" else {})}
            return Route(
                method, job + rest, handler, Access.WRITE, text, shown, headers=headers, **more
            )

        return [
            one("PUT", "", self.replace, "Replace it", query=DryRun, body=JobReplacement),
            one(
                "PATCH",
                "",
                self.change,
                "Change what is given",
                query=DryRun,
                body=JobChange,
                body_optional=True,
            ),
            one("DELETE", "", self.remove, "Remove it for good", query=DryRun),
            one("POST", "/pause", self.pause, "Pause it", query=DryRun),
            one("POST", "/resume", self.resume, "Go on", query=DryRun),
        ]

    def replace(self, job_id: str) -> HTTPResponse:
        """What is given is all of the job; keys that only GET shows may be given back."""
        dry = read_query(DryRun).dry_run
        with self._bodies.json(request.environ) as body:
            return self._changed(job_id, body, whole=True, dry=dry)

    def change(self, job_id: str) -> HTTPResponse:
        """Lay what is given over what is stored."""
        dry = read_query(DryRun).dry_run
        with self._bodies.optional_json(request.environ) as body:
            return self._changed(job_id, body, dry=dry)

    def pause(self, job_id: str) -> HTTPResponse:
        """Nothing of it starts from the answer on."""
        return self._pause(job_id, True)

    def resume(self, job_id: str) -> HTTPResponse:
        """It is due again from the next minute on."""
        return self._pause(job_id, False)

    def remove(self, job_id: str) -> HTTPResponse:
        """Take it out of the schedule; again: the same answer."""
        user, revisions = auth.principal(request.environ), wanted_tags(request.environ)
        dry = read_query(DryRun).dry_run
        removed = self._changing.remove(job_id, user, revisions, dry=dry)
        return changed_answer(self._services, removed, dry=dry)

    def _pause(self, job_id: str, paused: bool) -> HTTPResponse:
        dry = read_query(DryRun).dry_run
        self._bodies.nothing(request.environ)
        return Once(self._services, request.environ, {}, dry=dry).act(
            lambda: self._changed(job_id, {"paused": paused}, dry=dry),
            lambda: job_answer(self._services, job_row(self._services, job_id)),
        )

    def _changed(
        self, job_id: str, body: dict[str, Any], *, whole: bool = False, dry: bool = False
    ) -> HTTPResponse:
        user, revisions = auth.principal(request.environ), wanted_tags(request.environ)
        change = Change(user, body, whole=whole, revisions=revisions, dry=dry)
        changed = self._changing.change(job_id, change)
        return changed_answer(self._services, changed, dry=dry)
