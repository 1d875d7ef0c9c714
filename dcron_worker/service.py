"""Puts a worker together and runs it: the one place that knows all of its parts.

Used by `dcron-worker run` on a node and by the embedded mode; they differ in what they pass.
"""

from __future__ import annotations

import logging
import queue
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from dcron_common import paths
from dcron_common.clock import Clock
from dcron_common.coordinator.contract import Coordinator
from dcron_common.db import runs
from dcron_common.db.connection import Database
from dcron_common.errors import ConnectionLost, LaunchError
from dcron_common.ids import ulid
from dcron_common.job import Spec
from dcron_common.object_store.contract import ObjectStore
from dcron_common.protocol import Registration
from dcron_worker.book import Book
from dcron_worker.claims import Claims
from dcron_worker.daemon import Changed, Daemon, Message, pump_hints, pump_runner
from dcron_worker.executables import Executables
from dcron_worker.lifecycle import Lifecycle
from dcron_worker.membership import Membership
from dcron_worker.recording import Recording
from dcron_worker.report import Reporter
from dcron_worker.runner.client import Runner

log = logging.getLogger(__name__)

FETCHERS = 4  # executables fetched at once
JOIN = 0.5  # seconds between two tries to register
LAST_REPORTS = 5.0  # seconds given to reports at a stop


@dataclass(frozen=True, slots=True)
class Firing:
    """Where hints come from and how the crontab is kept.

    `render` brings the crontab in line with the book; `wait` returns True if a hint came within
    the given seconds; `silence` gives the seconds since the last hint.
    """

    render: Callable[[Book], None]
    wait: Callable[[float], bool]
    silence: Callable[[], float]


class Worker:
    """`run` blocks until `stop`. `allowed`: OS users that jobs may run as, None: all jobs run as
    the process's own user (embedded)."""

    def __init__(
        self,
        registration: Registration,
        *,
        coordinator: Coordinator,
        database: Database,
        object_store: ObjectStore,
        runner: Runner,
        firing: Firing,
        state_dir: Path,
        cache_bytes: int,
        allowed: frozenset[str] | None,
        clock: Clock,
    ) -> None:
        name = registration.worker
        self._inbox: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._stop = threading.Event()
        self._coordinator = coordinator
        self._runner = runner
        self._firing = firing
        self._pool = ThreadPoolExecutor(FETCHERS, thread_name_prefix="fetch")
        self._reporter = Reporter(
            lambda rows: runs.record_runs(database, rows, clock.wall()), tell=self._inbox.put
        )
        book = Book(name)
        claims = Claims(coordinator, book, clock, partial(_new_id, clock))
        recording = Recording(book, claims, runner, self._reporter.put)
        self._membership = Membership(
            coordinator,
            registration,
            clock,
            renew=runner.renew,
            on_session=lambda: self._inbox.put(Changed()),
        )
        executables = Executables(
            object_store,
            state_dir / "cache",
            quota_bytes=cache_bytes,
            in_use=book.digests,
            clock=clock,
        )
        lifecycle = Lifecycle(
            coordinator=coordinator,
            book=book,
            claims=claims,
            runner=runner,
            recording=recording,
            fetch=executables.path_for,
            executor=self._pool,
            tell=self._inbox.put,
            user_of=partial(_user_of, allowed),
            clock=clock,
            jitter=random.random,
        )
        self._daemon = Daemon(
            name,
            coordinator=coordinator,
            membership=self._membership,
            book=book,
            claims=claims,
            lifecycle=lifecycle,
            recording=recording,
            runner=runner,
            inbox=self._inbox,
            render=firing.render,
            silence=firing.silence,
            clock=clock,
        )

    def stop(self) -> None:
        """Ask `run` to end. Runs go on in the launcher; a later start owns them again."""
        self._stop.set()
        self._daemon.stop()

    def _join(self) -> bool:
        """Register as soon as a manager has laid out the tree; False if stopped before."""
        told = False
        while not self._stop.is_set():
            try:
                if self._coordinator.exists(paths.WORKERS) is not None:
                    self._membership.start()
                    return True
                reason = "no manager has ever led this cluster"
            except ConnectionLost as error:
                reason = str(error)
            if not told:
                log.warning("the worker cannot register yet: %s", reason)
                told = True
            self._stop.wait(JOIN)
        return False

    def run(self) -> None:
        """Register, work, and at the end report what can be reported."""
        if not self._join():
            return
        self._reporter.start()
        threads = [
            threading.Thread(
                target=pump_runner, args=(self._runner.events, self._inbox, self._stop), daemon=True
            ),
            threading.Thread(
                target=pump_hints, args=(self._firing.wait, self._inbox, self._stop), daemon=True
            ),
        ]
        for thread in threads:
            thread.start()
        try:
            self._daemon.run()
        finally:
            self._stop.set()
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._reporter.stop(LAST_REPORTS)
            self._membership.halt()
            for thread in threads:
                thread.join(timeout=2.0)


def _new_id(clock: Clock) -> str:
    return ulid(clock.wall())


def _user_of(allowed: frozenset[str] | None, spec: Spec) -> str | None:
    if allowed is None:
        return None
    if spec.run_as not in allowed:
        raise LaunchError(
            f"this node does not run jobs as {spec.run_as}: add it to [worker] run_as in "
            "worker.toml, or place the job elsewhere"
        )
    return spec.run_as


def boot_id() -> str:
    """The kernel's name for this boot."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def daemon_life() -> str:
    """What tells this life of the daemon from another on the same boot."""
    return f"{time.clock_gettime(time.CLOCK_BOOTTIME):.3f}"
