"""/health: is this process alive, and can it serve?

Ready means that the database answers: without it nothing can be told or acknowledged. Without the
coordination service or the object store most requests are still served, and every node would be
ill at once, so they only make the state "degraded"; what is wrong stands in the body.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from bottle import HTTPResponse

from dcron_app.api.errors import RETRY_AFTER
from dcron_app.api.reply import reply
from dcron_app.api.routes import Access, Route
from dcron_app.api.services import Services
from dcron_app.api.shapes import LiveShape, ReadyShape
from dcron_common.errors import CoordinatorError, DcronError

log = logging.getLogger(__name__)

# Seconds. Three load balancers ask every other second: the store need not feel it. They wait 2 s.
_KEPT, _DATABASE_KEPT = 5.0, 0.0
PATIENCE = 1.5


class Health:
    """The resource."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._store = Remembered(services.object_store.ready, services.clock.boot)
        self._database = Remembered(
            lambda: services.database.check(), services.clock.boot, _DATABASE_KEPT
        )
        checks: dict[str, Callable[[], None]] = {
            "database": self._database,
            "coordinator": self._check_coordinator,
            "object_store": self._store,
        }
        self._parts = {name: _Part(name, check) for name, check in checks.items()}

    def routes(self) -> list[Route]:
        """What it answers."""
        public, ready = Access.PUBLIC, {200: ReadyShape}
        live = {200: LiveShape}
        return [
            Route("GET", "/health/live", self.live, public, "This process answers", live),
            Route("GET", "/health/ready", self.ready, public, "It can serve", ready),
        ]

    def live(self) -> HTTPResponse:
        """This process answers."""
        return reply({"status": "live"})

    def ready(self) -> HTTPResponse:
        """Which dependencies are well, and whether the API can serve."""
        for check in (self._database, self._store):  # side by side: both may hang
            check.begin()
        parts = {name: part.state() for name, part in self._parts.items()}
        if parts["database"] != "ok":
            return reply({"status": "unready", **parts}, 503, {"Retry-After": RETRY_AFTER})
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


class Remembered:
    """A check whose outcome is kept for some seconds, and which never holds a caller for long.

    It is made by a thread of its own, one at a time: a part that hangs is ill after PATIENCE
    seconds, whoever asks, and takes none of the server's threads.
    """

    def __init__(
        self, check: Callable[[], None], boot: Callable[[], float], kept: float = _KEPT
    ) -> None:
        self._check = check
        self._boot = boot
        self._kept = kept
        self._turn = threading.Condition()
        self._thread: threading.Thread | None = None
        self._wanted = False
        self._since = 0.0
        self._until = 0.0
        self._error: DcronError | None = None

    def begin(self) -> None:
        """Have the check made, unless its outcome is fresh or it is being made."""
        with self._turn:
            if self._thread is None:  # not before: servers fork after they were put together
                self._thread = threading.Thread(target=self._serve, name="health", daemon=True)
                self._thread.start()
            if not self._wanted and self._boot() >= self._until:
                self._wanted, self._since = True, self._boot()
                self._turn.notify_all()

    def __call__(self) -> None:
        """The outcome. DcronError, too, where the check has taken PATIENCE seconds by now."""
        self.begin()
        with self._turn:
            left = self._since + PATIENCE - self._boot()
            if not self._turn.wait_for(lambda: not self._wanted, max(0.0, left)):
                raise DcronError(f"no answer within {PATIENCE:g} s")
            error = self._error
        if error is not None:
            raise error

    def _serve(self) -> None:
        while True:
            with self._turn:
                self._turn.wait_for(lambda: self._wanted)
            error = self._ask()
            with self._turn:
                self._error, self._until = error, self._boot() + self._kept
                self._wanted = False
                self._turn.notify_all()

    def _ask(self) -> DcronError | None:
        try:
            self._check()
        except DcronError as error:
            return error
        except Exception as error:  # the top of a loop that nothing may end
            log.exception("a check failed")
            return DcronError(repr(error))
        return None
