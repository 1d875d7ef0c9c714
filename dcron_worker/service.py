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
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from dcron_common import paths
from dcron_common.clock import Clock
from dcron_common.coordinator.contract import Coordinator
from dcron_common.db import outputs, runs, sealed
from dcron_common.db.connection import Database
from dcron_common.errors import ConnectionLost, LaunchError
from dcron_common.ids import ulid
from dcron_common.job import Spec
from dcron_common.object_store.contract import ObjectStore
from dcron_common.protocol import Registration
from dcron_common.sealing.worker_key import WorkerKey
from dcron_worker.book import Book
from dcron_worker.crond import CrondWatch
from dcron_worker.daemon import Changed, Daemon, Message, pump_hints, pump_runner
from dcron_worker.executables import Executables
from dcron_worker.membership import Membership
from dcron_worker.notes import Notes
from dcron_worker.outputs import Outputs
from dcron_worker.parts import assemble
from dcron_worker.pieces import Pieces
from dcron_worker.report import Reporter
from dcron_worker.runner.client import Runner
from dcron_worker.sealed_cache import SealedCache
from dcron_worker.vault import Vault

log = logging.getLogger(__name__)

FETCHERS = 4  # executables fetched at once
SECRETS = 2.0  # seconds that the database is asked for secrets, before what is kept is taken
JOIN = 0.5  # seconds between two tries to register
LAST_REPORTS = 5.0  # seconds given to reports at a stop


@dataclass(frozen=True, slots=True)
class Firing:
    """Where hints come from and how the crontab is kept.

    `render` brings the crontab in line with the book; `wait` returns True if a hint came within
    the given seconds; `silence` gives the seconds since the last hint; `restart` asks for a restart
    of the host's crond, where that is there and ours to restart.
    """

    render: Callable[[Book], None]
    wait: Callable[[float], bool]
    silence: Callable[[], float]
    restart: Callable[[], None] = lambda: None


class Worker:
    """`run` blocks until `stop`. `allowed`: OS users that jobs may run as, None: all jobs run as
    the process's own user (embedded). `key`: what secrets are sealed for."""

    def __init__(
        self,
        registration: Registration,
        *,
        key: WorkerKey,
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
        name = self._name = registration.worker
        registration = replace(registration, public_key=key.public)
        self._inbox: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._stop = threading.Event()
        self._coordinator = coordinator
        self._runner = runner
        self._firing = firing
        self._pool = ThreadPoolExecutor(FETCHERS, thread_name_prefix="fetch")
        self._reporter = Reporter(
            lambda rows: runs.record_runs(database, rows, clock.wall()), tell=self._inbox.put
        )
        self._outputs = Outputs(
            name, object_store, partial(outputs.set_output, database), self._inbox.put
        )
        self._membership = Membership(
            coordinator,
            registration,
            clock,
            renew=runner.renew,
            on_session=lambda: self._inbox.put(Changed()),
        )
        book = Book(name)
        cache = Executables(
            object_store,
            state_dir / "cache",
            quota_bytes=cache_bytes,
            in_use=book.digests,
            clock=clock,
        )
        fetch = partial(sealed.fetch, database, name, deadline=SECRETS)
        vault = Vault(name, key, SealedCache(state_dir / "sealed"), fetch, clock)
        parts = assemble(
            book,
            notes=Notes(state_dir / "unclaimed"),
            coordinator=coordinator,
            runner=runner,
            report=self._reporter.put,
            outputs=self._outputs,
            pieces=Pieces(database, clock.wall),
            fetch=cache.path_for,
            executor=self._pool,
            tell=self._inbox.put,
            user_of=partial(_user_of, allowed),
            vault=vault,
            clock=self._membership.clock,
            new_id=partial(_new_id, clock),
            jitter=random.random,
        )
        self._following = parts.following
        self._daemon = Daemon(
            name,
            parts,
            coordinator=coordinator,
            membership=self._membership,
            inbox=self._inbox,
            render=firing.render,
            crond=CrondWatch(name, firing.silence, firing.restart, self._membership.clock),
            clock=self._membership.clock,
        )

    def stop(self) -> None:
        """Ask `run` to end. Runs go on in the launcher; a later start owns them again."""
        self._stop.set()
        self._daemon.stop()

    def _join(self) -> bool:
        """Register as soon as the worker is admitted; False if stopped before."""
        told = False
        while not self._stop.is_set():
            try:
                if self._coordinator.exists(paths.worker(self._name)) is not None:
                    self._membership.start()
                    return True
                reason = "not admitted; on a control node: dcron-app worker admit " + self._name
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
        self._outputs.start()
        self._following.start()
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
            self._outputs.stop(LAST_REPORTS)
            self._following.stop(1.0)
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


def daemon_life() -> str:
    """What tells this life of the daemon from another on the same boot."""
    return f"{time.clock_gettime(time.CLOCK_BOOTTIME):.3f}"
