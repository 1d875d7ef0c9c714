"""/health: is this process alive, and can it serve?

Ready means that the database answers: without it nothing can be told or acknowledged. Without the
coordination service or the object store most requests are still served, and every node would be
ill at once, so they only make the state "degraded"; what is wrong stands in the body.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from bottle import Bottle, HTTPResponse

from dcron_app.api.reply import reply
from dcron_app.api.services import Services
from dcron_common.errors import CoordinatorError, DcronError

log = logging.getLogger(__name__)

_KEPT = 5.0  # seconds: three load balancers ask every other second, the store need not feel it


class Health:
    """The resource."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._store = _Remembered(services.object_store.ready, services.clock.boot)
        checks: dict[str, Callable[[], None]] = {
            "database": lambda: services.database.check(),
            "coordinator": self._check_coordinator,
            "object_store": self._store,
        }
        self._parts = {name: _Part(name, check) for name, check in checks.items()}

    def install(self, app: Bottle) -> None:
        """Add the routes."""
        app.route("/health/live", "GET", self.live)
        app.route("/health/ready", "GET", self.ready)

    def live(self) -> HTTPResponse:
        """This process answers."""
        return reply({"status": "live"})

    def ready(self) -> HTTPResponse:
        """Which dependencies are well, and whether the API can serve."""
        parts = {name: part.state() for name, part in self._parts.items()}
        if parts["database"] != "ok":
            return reply({"status": "unready", **parts}, 503, {"Retry-After": "5"})
        well = all(state == "ok" for state in parts.values())
        return reply({"status": "ready" if well else "degraded", **parts})

    def _check_coordinator(self) -> None:
        if not self._services.coordinator.connected:
            raise CoordinatorError("not connected")


class _Part:
    """A dependency. What is told to anybody is whether it is ill, but not why; that goes to the
    log, once for each change: load balancers ask several times a second."""

    def __init__(self, name: str, check: Callable[[], None]) -> None:
        self._name = name
        self._check = check
        self._lock = threading.Lock()
        self._told = "ok"

    def state(self) -> str:
        """ "ok" or "ill", as of now."""
        try:
            self._check()
        except DcronError as error:
            if self._changed("ill"):
                log.warning("%s is ill: %s: %s", self._name, type(error).__name__, error)
            return "ill"
        if self._changed("ok"):
            log.info("%s is well again", self._name)
        return "ok"

    def _changed(self, state: str) -> bool:
        with self._lock:
            before, self._told = self._told, state
        return before != state


class _Remembered:
    """A check whose outcome is kept for some seconds; only one thread at a time asks anew."""

    def __init__(self, check: Callable[[], None], boot: Callable[[], float]) -> None:
        self._check = check
        self._boot = boot
        self._lock = threading.Lock()
        self._until = 0.0
        self._error: DcronError | None = None

    def __call__(self) -> None:
        if self._boot() >= self._until and self._lock.acquire(blocking=self._until == 0.0):
            try:
                self._ask()
            finally:
                self._lock.release()
        if self._error is not None:
            raise self._error

    def _ask(self) -> None:
        try:
            self._check()
            self._error = None
        except DcronError as error:
            self._error = error
        self._until = self._boot() + _KEPT
