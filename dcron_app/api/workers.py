"""/workers: who carries the jobs, from the record, so that dead ones show; drain and resume."""

from __future__ import annotations

import logging

from bottle import Bottle, HTTPResponse, request

from dcron_app.api import auth
from dcron_app.api.body import Bodies
from dcron_app.api.errors import Problem
from dcron_app.api.reply import reply
from dcron_app.api.serialize import worker_json
from dcron_app.api.services import Services
from dcron_common.db import workers

log = logging.getLogger(__name__)

_NAME = "<name:re:[A-Za-z0-9._-]{1,64}>"


class Workers:
    """The resource."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._bodies = Bodies(services)

    def install(self, app: Bottle) -> None:
        """Add the routes."""
        app.route("/workers", "GET", self.index)
        app.route(f"/workers/{_NAME}/drain", "POST", lambda name: self._set(name, True))
        app.route(f"/workers/{_NAME}/resume", "POST", lambda name: self._set(name, False))

    def index(self) -> HTTPResponse:
        """All workers by name."""
        return reply([worker_json(one) for one in workers.list_workers(self._services.database)])

    def _set(self, name: str, drained: bool) -> HTTPResponse:
        """Drained workers get no jobs, and the leader moves those they hold."""
        user = auth.admin(request.environ)
        self._bodies.nothing(request.environ)
        database, now = self._services.database, self._services.clock.wall()
        if not workers.set_drained(database, name, drained, now, user.name):
            raise Problem(404, f"there is no worker {name}")
        log.info("worker=%s %s user=%s", name, "drained" if drained else "resumed", user.name)
        worker = next(one for one in workers.list_workers(database) if one.name == name)
        return reply(worker_json(worker))
