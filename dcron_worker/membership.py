"""Membership: the worker's registration, its beat, and the lease that follows from it (P4, P10).

The lease runs from the moment a beat was *sent*, and only once it was committed; what the
client library believes about the connection plays no part. While cut off the lease simply is
not renewed, and the launcher ends leased runs when it has passed.

A beat also tells the service's time, beyond which nothing is decided here: a clock that is ahead
must not use up minutes to come.

Failures: no error ends the beat, since the library would keep the session by itself: the worker
would look alive while its leased runs are ended. Each kind of trouble is logged once, and so is
its end. While the lease's file cannot be written the registration says that the worker is ill.
"""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable
from dataclasses import replace

from dcron_common import paths, timing
from dcron_common.clock import Clock, offset
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
        self._alive_until = float("inf")
        self._session = 0  # in which the name is owned; 0 while it is not
        self._service: float | None = None  # its wall clock minus our boot clock, at most
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

    @property
    def cut_off(self) -> bool:
        """Whether the lease has passed, beats fail, and there is no connection: not merely a
        process that was frozen for a while."""
        passed = self.measured and self._clock.boot() >= self._alive_until
        return passed and bool(self._troubles) and not self._coordinator.connected

    @property
    def may_start(self) -> bool:
        """Whether a run that starts now would find a lease: without one it is `lost` before its
        start. After a loss of the connection that takes a beat, and a claim is not worth making
        before; nor is one that would be ended at once."""
        lives = self._renewed and self.owns_name
        return lives and self._clock.boot() < self._alive_until - timing.KILL

    @property
    def owns_name(self) -> bool:
        """Whether the name is owned in the present session. Otherwise another machine may have
        it, and what stands below it is that one's: nothing there may be touched."""
        return self._session == self._coordinator.session_id != 0

    @property
    def clock_offset(self) -> float | None:
        """Seconds that this node's clock is ahead of the coordination service's, at least."""
        return self._registration.clock_offset

    @property
    def measured(self) -> bool:
        """Whether a beat has told the service's time: nothing is claimed before."""
        return self._service is not None

    @property
    def clock(self) -> Clock:
        """What decisions go by: this node's clock, or what the service's can be at most, and
        CLOCK_OFFSET. It goes on by the boot clock while the service is away."""
        return Clock(lambda: min(self._clock.wall(), self._latest()), self._clock.boot)

    @property
    def held_back(self) -> bool:
        """Whether this node's clock is so far ahead that `clock` is another."""
        return self._clock.wall() > self._latest()

    def _latest(self) -> float:
        service = self._service
        return math.inf if service is None else self._clock.boot() + service + timing.CLOCK_OFFSET

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
        path = paths.registration(self._registration.worker)
        session, self._session = self._coordinator.session_id, 0
        try:
            node = self._coordinator.get(path)
        except NoNode:
            self._create(path)
        else:
            if node.stat.ephemeral_owner != session:
                self._replace(path, Registration.decode(node.data), node.stat.version)
        self._session = session

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
                "this one claims nothing; give it a name of its own in [worker] name"
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
        self.try_to_beat()
        while not self._stop.wait(timing.BEAT):
            self.try_to_beat()

    def try_to_beat(self) -> None:
        """As `beat`, but trouble is logged instead of raised."""
        worker = self._registration.worker
        try:
            self.beat()
        except Exception as error:  # noqa: BLE001 - the top of a loop that nothing may end
            if type(error) not in self._troubles:
                # These say all without a traceback.
                seen = not isinstance(error, ConnectionLost | ConfigError)
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
        if abs(told.clock_offset or 0.0) > timing.CLOCK_OFFSET:
            told = replace(told, ill=[*told.ill, "clock"])
        data = told.encode()
        if not self.owns_name:
            # A new session: what is registered may be another machine's by now (P10).
            self._own_name()
            self._on_session()
        sent, wall = self._clock.boot(), self._clock.wall()
        try:
            path = paths.registration(self._registration.worker)
            stat = self._coordinator.set(path, data)
            # One that tells no time has the same clock as we (embedded).
            told_at = stat.modified_at
            self._service = math.inf if told_at is None else told_at - sent
            self._compare_clocks(wall, told_at)
        except NoNode:
            sent = self._clock.boot()
            self._own_name()
            self._on_session()
        self._let_live(sent)

    def _compare_clocks(self, sent: float, theirs: float | None) -> None:
        """Note how far this node's clock is from that of the service, which took the beat."""
        if theirs is None:
            return
        found = round(offset(sent, theirs, self._clock.wall()), 3)
        with self._lock:
            before = abs(self._registration.clock_offset or 0.0) > timing.CLOCK_OFFSET
            self._registration = replace(self._registration, clock_offset=found)
        if (abs(found) > timing.CLOCK_OFFSET) is not before:
            say = log.info if before else log.error
            say("worker=%s clock offset to ZooKeeper %+.3f s", self._registration.worker, found)

    def _let_live(self, sent: float) -> None:
        """Renew the lease from when the beat was sent; OSError."""
        self._renewed = False
        self._alive_until = sent + timing.LEASE
        self._renew(sent + timing.LEASE)
        self._renewed = True
