"""Retention: what has had its time leaves the record and the object store, round after round.

It has a thread of its own, so that nothing it waits for holds up the leader, which only hands it
what it knows of ZooKeeper (`Held`) when a round is due. What is removed is decided by rules that
every leader shares and by rows as they are, so a round needs no proof of leadership, may end
anywhere, and is gone on with by the next one: of this leader or another.

A round that fails, since database, store or ZooKeeper is away, is told once and tried again.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable
from dataclasses import asdict

from dcron_app.manager.files import Files
from dcron_app.manager.keeping import Held
from dcron_app.manager.logins import OldLogins
from dcron_app.manager.retention_pace import Done, Pace
from dcron_app.manager.retiring import Retiring
from dcron_app.manager.view import View
from dcron_common.clock import Clock
from dcron_common.coordinator.contract import Coordinator
from dcron_common.db import progress
from dcron_common.db.connection import Database
from dcron_common.errors import DcronError
from dcron_common.object_store.contract import ObjectStore
from dcron_common.settings import RetentionConfig

log = logging.getLogger(__name__)

EVERY = 600.0  # seconds from the end of a round that left nothing to the next
GO_ON = 30.0  # from one that left something
FIRST = 60.0  # from the beginning of a leadership: it has more urgent things to do


class Retention:
    """One manager's. `lead` and `rest` are called from the leader's thread, the others from any."""

    def __init__(
        self,
        coordinator: Coordinator,
        database: Database,
        store: ObjectStore,
        config: RetentionConfig,
        clock: Clock,
    ) -> None:
        self._coordinator = coordinator
        self._database = database
        self._store = store
        self._config = config
        self._clock = clock
        self._due_at: float | None = None  # boot seconds; None: it does not lead
        self._held: Held | None = None
        self._work = threading.Event()  # there is a round to do
        self._halt = threading.Event()  # it leads no more, or stops
        self._stopped = False
        self._trouble: str | None = None

    # -- the leader's side

    def lead(self, view: View) -> None:
        """Called with every pass of a leader: hands over what a round needs, when one is due."""
        now = self._clock.boot()
        if self._due_at is None:
            self._due_at = now + FIRST
            self._halt.clear()
        if now >= self._due_at and not self._work.is_set():
            self._held = Held.of(view)
            self._work.set()

    def rest(self) -> None:
        """It leads no more: a round that goes on ends soon."""
        self._due_at = None
        self._halt.set()

    # -- its own

    def start(self) -> threading.Thread:
        """Work until stopped."""
        thread = threading.Thread(target=self._run, name="retention", daemon=True)
        thread.start()
        return thread

    def stop(self) -> None:
        """End soon."""
        self._stopped = True
        self._halt.set()
        self._work.set()

    def _run(self) -> None:
        while not self._stopped:
            self._work.wait()
            self.step()
        self._database.close()

    def step(self, rest: Callable[[float], bool] | None = None) -> Done | None:
        """The round that was handed over, if there is one; what it did. `rest`: see `Pace`."""
        held, self._held = self._held, None
        done: Done | None = None
        if held is not None:
            try:
                done = self._round(held, rest or self._wait)
            except DcronError as error:
                self._tell(str(error))
            except Exception:  # the top of the loop: one bad item must not end retention
                log.exception("a round of retention failed and is repeated")
            if self._due_at is not None:
                pause = EVERY if done is not None and done.whole else GO_ON
                self._due_at = self._clock.boot() + pause
        self._work.clear()
        return done

    def _wait(self, seconds: float) -> bool:
        return not self._halt.wait(seconds)

    def _round(self, held: Held, rest: Callable[[float], bool]) -> Done:
        begun, now = self._clock.boot(), self._clock.wall()
        done, pace = Done(), Pace(rest)
        OldLogins(self._database, now, pace, done).forget()
        retiring = Retiring(self._database, self._store, self._config, held, now, pace, done)
        retiring.runs()
        retiring.jobs(self._coordinator)
        Files(self._database, self._store, now, pace, done).look()
        counts = asdict(done)
        progress.write(self._database, progress.ROUND, json.dumps(counts), self._clock.wall())
        words = " ".join(f"{name}={count}" for name, count in counts.items())
        log.info("retention removed %s seconds=%.0f", words, self._clock.boot() - begun)
        self._trouble = None
        return done

    def _tell(self, why: str) -> None:
        if self._trouble is None:
            log.warning("retention waits: %s", why)
        self._trouble = why
