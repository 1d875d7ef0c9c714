"""/workers: who carries the jobs, from the record, so that dead ones show; drain and resume,
labels, forget."""

from __future__ import annotations

import logging

from bottle import HTTPResponse, request
from pydantic import ValidationError as PydanticError

from dcron_app.api import auth
from dcron_app.api.body import Bodies
from dcron_app.api.errors import Problem
from dcron_app.api.etag import MATCH, check_match, etag, wanted_tags
from dcron_app.api.fields import LabelFields, problem_with
from dcron_app.api.forgetting import clear_places
from dcron_app.api.repeating import ONCE, Once
from dcron_app.api.reply import reply
from dcron_app.api.routes import Access, Route
from dcron_app.api.serialize import worker_json
from dcron_app.api.services import Services
from dcron_app.api.shapes import WorkerShape
from dcron_common.db import workers

log = logging.getLogger(__name__)


class Workers:
    """The resource."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._bodies = Bodies(services)

    def routes(self) -> list[Route]:
        """What it answers."""
        one = "/workers/{worker}"
        read, admin = Access.READ, Access.ADMIN
        listed, shown, gone = {200: list[WorkerShape]}, {200: WorkerShape}, {204: None}
        act = {**MATCH, **ONCE}
        drain, resume = "Take a worker's jobs away", "Let it have jobs again"
        return [
            Route("GET", "/workers", self.index, read, "All workers by name", listed),
            Route("GET", one, self.show, read, "One worker", shown),
            Route(
                "PUT",
                f"{one}/labels",
                self.label,
                admin,
                "Lay labels over the node's own",
                shown,
                body=LabelFields,
                headers=MATCH,
            ),
            Route(
                "DELETE", one, self.forget, admin, "Forget one that is gone", gone, headers=MATCH
            ),
            Route("POST", f"{one}/drain", self.drain, admin, drain, shown, headers=act),
            Route("POST", f"{one}/resume", self.resume, admin, resume, shown, headers=act),
        ]

    def index(self) -> HTTPResponse:
        """All workers by name."""
        return reply([worker_json(one) for one in workers.list_workers(self._services.database)])

    def show(self, worker: str) -> HTTPResponse:
        """One worker."""
        return self._answer(worker)

    def label(self, worker: str) -> HTTPResponse:
        """What placement goes by, from the leader's next look on: within seconds."""
        user, known = auth.principal(request.environ), wanted_tags(request.environ)
        with self._bodies.json(request.environ) as body:
            try:
                labels = LabelFields.model_validate(body).labels
            except PydanticError as error:
                raise problem_with(error) from error
        database, now = self._services.database, self._services.clock.wall()
        if not workers.set_labels(database, worker, labels, now, user.name, known=known):
            raise _no_worker(worker)
        log.info("worker=%s labels=%a user=%s", worker, labels, user.name)
        return self._answer(worker)

    def forget(self, worker: str) -> HTTPResponse:
        """Remove what is known of one that is offline and holds nothing. It shows again when it
        registers: what may not is dismissed on a control node."""
        user, known = auth.principal(request.environ), wanted_tags(request.environ)
        self._bodies.nothing(request.environ)
        database, now = self._services.database, self._services.clock.wall()
        row = workers.get_worker(database, worker)
        if row is None:
            raise _no_worker(worker)
        check_match(row.tag, known)  # before its places go
        clear_places(self._services.coordinator, worker)
        workers.forget(database, worker, now, user.name, known=known)
        log.info("worker=%s forgotten user=%s", worker, user.name)
        return HTTPResponse(None, 204)

    def drain(self, worker: str) -> HTTPResponse:
        """No jobs from now on; those that it has move."""
        return self._set(worker, True)

    def resume(self, worker: str) -> HTTPResponse:
        """Jobs again."""
        return self._set(worker, False)

    def _set(self, name: str, drained: bool) -> HTTPResponse:
        """Drained workers get no jobs, and the leader moves those they hold."""
        self._bodies.nothing(request.environ)
        once = Once(self._services, request.environ, {})
        return once.act(lambda: self._set_once(name, drained), lambda: self._answer(name))

    def _set_once(self, name: str, drained: bool) -> HTTPResponse:
        user, known = auth.principal(request.environ), wanted_tags(request.environ)
        database, now = self._services.database, self._services.clock.wall()
        if not workers.set_drained(database, name, drained, now, user.name, known=known):
            raise _no_worker(name)
        log.info("worker=%s %s user=%s", name, "drained" if drained else "resumed", user.name)
        return self._answer(name)

    def _answer(self, name: str) -> HTTPResponse:
        worker = workers.get_worker(self._services.database, name)
        if worker is None:
            raise _no_worker(name)
        return reply(worker_json(worker), 200, etag(worker.tag))


def _no_worker(name: str) -> Problem:
    return Problem(404, f"there is no worker {name}; see GET /workers")
