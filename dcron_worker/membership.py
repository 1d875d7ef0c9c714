"""Membership: the worker's registration, its beat, and the lease that follows from it (P4, P10).

The lease runs from the moment a beat was *sent*, and only once it was committed; what the
client library believes about the connection plays no part. While cut off the lease simply is
not renewed, and the launcher ends leased runs when it has passed.

Failures: no error ends the beat, since the library would keep the session by itself: the worker
would look alive while its leased runs are ended. Each kind of trouble is logged once, and so is
its end. While the lease's file cannot be written the registration says that the worker is ill.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import replace

from dcron_common import paths, timing
from dcron_common.clock import Clock
from dcron_common.coordinator.contract import (
    Coordinator,
    Create,
    Delete,
    SessionState,
    shared_with,
)
from dcron_common.errors import ConfigError, ConnectionLost, NodeExists, NoNode
from dcron_common.protocol import Registration

log = logging.getLogger(__name__)


class Membership:
    """Keeps one registration alive from a thread of its own."""

    def __init__(
        self,
        coordinator: Coordinator,
        registration: Registration,
        clock: Clock,
        renew: Callable[[float], None],
        on_session: Callable[[], None],
    ) -> None:
        self._coordinator = coordinator
        self._registration = registration
        self._access = shared_with(registration.worker, "rw")
        self._clock = clock
        self._renew = renew
        self._on_session = on_session
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._troubles: set[type[Exception]] = set()
        self._renewed = True
        self._thread = threading.Thread(target=self._beat_for_ever, name="beat", daemon=True)

    def start(self) -> None:
        """Register and begin to beat; ConfigError if another live instance has the name."""
        self.register()
        self._coordinator.on_session(self._session_changed)
        self._thread.start()

    def halt(self) -> None:
        """Beat no more. The registration stays until the session ends: a daemon that comes
        back in time goes on with its jobs, and nothing moves for a restart."""
        self._stop.set()
        self._thread.join(timeout=timing.BEAT * 3)

    def update(self, *, ticked_through: int, ill: list[str]) -> None:
        """What the next beat says."""
        with self._lock:
            self._registration = replace(self._registration, ticked_through=ticked_through, ill=ill)

    def register(self) -> None:
        """Own the name in the present session.

        A node of the same machine's earlier session is replaced in one transaction; one of
        another machine is refused: two daemons with one name would run jobs twice.
        """
        sent = self._clock.boot()
        self._own_name()
        self._let_live(sent)

    def _own_name(self) -> None:
        path = paths.worker(self._registration.worker)
        session = self._coordinator.session_id
        try:
            node = self._coordinator.get(path)
        except NoNode:
            self._create(path)
        else:
            if node.stat.ephemeral_owner != session:
                self._replace(path, Registration.decode(node.data), node.stat.version)

    def _create(self, path: str) -> None:
        try:
            data = self._registration.encode()
            self._coordinator.create(path, data, ephemeral=True, access=self._access)
        except NodeExists as error:
            raise ConfigError(f"worker {self._registration.worker} has just registered") from error

    def _replace(self, path: str, other: Registration, version: int) -> None:
        mine = self._registration
        if other.boot_id != mine.boot_id and other.address != mine.address:
            raise ConfigError(
                f"another machine ({other.address}) is registered as worker {mine.worker}: "
                "give this one a name of its own in [worker] name"
            )
        log.info("worker=%s replaces the registration of its earlier session", mine.worker)
        self._coordinator.commit(
            [
                Delete(path, version),
                Create(path, mine.encode(), ephemeral=True, access=self._access),
            ]
        )

    def _session_changed(self, state: SessionState) -> None:
        log.info("worker=%s session %s", self._registration.worker, state.value)
        if state is SessionState.CONNECTED:
            self._on_session()

    def _beat_for_ever(self) -> None:
        while not self._stop.wait(timing.BEAT):
            self.try_to_beat()

    def try_to_beat(self) -> None:
        """As `beat`, but trouble is logged instead of raised."""
        worker = self._registration.worker
        try:
            self.beat()
        except Exception as error:  # noqa: BLE001 - the top of a loop that nothing may end
            if type(error) not in self._troubles:
                seen = not isinstance(error, ConnectionLost)  # that one needs no traceback
                log.error("worker=%s no beat: %s", worker, error, exc_info=seen)
            self._troubles.add(type(error))
            return
        if self._troubles:
            log.info("worker=%s beats again", worker)
        self._troubles.clear()

    def beat(self) -> None:
        """One write to the registration; the lease counts from before it was sent.

        CoordinatorError; ConfigError if another machine has the name; OSError: the beat was
        written, the lease was not.
        """
        with self._lock:
            self._registration = replace(self._registration, beat=self._registration.beat + 1)
            told = self._registration
        if not self._renewed:
            told = replace(told, ill=[*told.ill, "lease"])
        data = told.encode()
        sent = self._clock.boot()
        try:
            self._coordinator.set(paths.worker(self._registration.worker), data)
        except NoNode:
            sent = self._clock.boot()
            self._own_name()
            self._on_session()
        self._let_live(sent)

    def _let_live(self, sent: float) -> None:
        """Renew the lease from when the beat was sent; OSError."""
        self._renewed = False
        self._renew(sent + timing.LEASE)
        self._renewed = True
