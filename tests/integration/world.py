"""A manager and workers on one in-process ensemble and a real SQLite file.

Real: election, placement, fences, claims, records. Stood in for: processes (a launcher that
says what the test tells it to) and time.
"""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from dcron_app.manager.main import Manager
from dcron_common import paths
from dcron_common.clock import Clock
from dcron_common.coordinator.local import LocalCoordinator, LocalEnsemble
from dcron_common.db import jobs, migrations, runs
from dcron_common.db.connection import Database
from dcron_common.ids import ulid
from dcron_common.job import JobType, Spec
from dcron_common.paths import Slot
from dcron_common.protocol import Notice, Registration
from dcron_common.run import RunRecord
from dcron_worker.book import Book
from dcron_worker.claims import Claims
from dcron_worker.daemon import Daemon, Due, Message
from dcron_worker.lifecycle import Lifecycle
from dcron_worker.membership import Membership
from dcron_worker.recording import Recording
from dcron_worker.report import Outcome
from dcron_worker.runner.client import Runner
from dcron_worker.runner.model import Ended, Launch, Started

START = 1_800_000_000 // 60 * 60


@dataclass
class Time:
    """Both clocks, moved by the test."""

    now: float = float(START)

    def clock(self) -> Clock:
        return Clock(wall=lambda: self.now, boot=lambda: self.now)


@dataclass
class Processes:
    """A launcher whose processes end when the test says so."""

    time: Time
    running: dict[str, Launch] = field(default_factory=dict)
    ends: dict[str, Ended] = field(default_factory=dict)
    killed: list[str] = field(default_factory=list)
    launched: list[Launch] = field(default_factory=list)

    def start(self, launches: Sequence[Launch]) -> None:
        for launch in launches:
            self.running[launch.run_id] = launch
            self.launched.append(launch)

    def known(self) -> dict[str, tuple[Launch, Started | None, Ended | None]]:
        return {i: (launch, None, self.ends.get(i)) for i, launch in self.running.items()}

    def kill(self, run_id: str, reason: str) -> None:
        self.killed.append(run_id)

    def acknowledge(self, run_ids: Sequence[str]) -> None:
        for run_id in run_ids:
            self.running.pop(run_id, None)
            self.ends.pop(run_id, None)

    def end(self, state: str = "succeeded", code: int | None = 0) -> Ended:
        """The oldest process ends."""
        run_id = next(i for i in self.running if i not in self.ends)
        now = self.time.now
        end = Ended(run_id, state, now, now, code, None, None, "said so", "", 0, False)
        self.ends[run_id] = end
        return end


class Node:
    """One worker of the test: `turn` is a pass of its loop."""

    def __init__(
        self,
        name: str,
        ensemble: LocalEnsemble,
        database: Database,
        time: Time,
        labels: dict[str, str],
    ) -> None:
        self.name = name
        self.labels = labels
        self.processes = Processes(time)
        self.session = ensemble.session(name)
        self.session.start(1)
        self.database_away = False
        self._ensemble = ensemble
        self._database = database
        self._time = time
        self.build()

    def build(self) -> None:
        """A life of the daemon: what it knew before is forgotten."""
        clock = self._time.clock()
        self.inbox: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self.book = Book(self.name)
        claims = self.claims = Claims(self.session, self.book, clock, new_ids(self._time))
        runner = cast(Runner, self.processes)
        recording = Recording(self.book, claims, runner, self._report)
        seen = Registration(self.name, "boot", "1", "10.0.0.1", self.labels, 100, "test", 0)
        self.membership = Membership(
            self.session, seen, clock, renew=lambda until: None, on_session=lambda: None
        )
        self._executor = ThreadPoolExecutor(1)
        self.lifecycle = Lifecycle(
            coordinator=self.session,
            book=self.book,
            claims=claims,
            runner=runner,
            recording=recording,
            fetch=lambda spec: Path("/bin/true"),
            executor=self._executor,
            tell=self.inbox.put,
            user_of=lambda spec: None,
            clock=clock,
            jitter=lambda: 0.0,
        )
        self.daemon = Daemon(
            self.name,
            coordinator=self.session,
            membership=self.membership,
            book=self.book,
            claims=claims,
            lifecycle=self.lifecycle,
            recording=recording,
            runner=runner,
            inbox=self.inbox,
            render=lambda book: None,
            silence=lambda: 0.0,
            clock=clock,
        )
        self.membership.register()

    @property
    def last_minute(self) -> str:
        """The key of the newest launch."""
        return self.processes.launched[-1].key

    def end(self, state: str = "succeeded", code: int | None = 0) -> None:
        """The oldest process ends, and the daemon is told."""
        self.inbox.put(self.processes.end(state, code))

    def expire(self) -> None:
        """The service gives up the present session."""
        self._ensemble.expire(self.session.session_id)

    def come_back(self) -> None:
        """After a lost session: a new one, in which the same daemon registers."""
        self.session.start(1)
        self.membership.register()

    def _report(self, records: Sequence[RunRecord], run_ids: Sequence[str]) -> None:
        if self.database_away:
            return  # the reporter keeps them, and they go with the daemon
        runs.record_runs(self._database, records, self._time.now)
        self.inbox.put(Outcome(tuple(run_ids)))

    def turn(self) -> None:
        """A pass that looks at everything, and another for what that brought."""
        self.inbox.put(Due())
        self.daemon._changed = True
        for _ in range(2):
            self.daemon._hear(0.0)
            self.daemon.step()


def new_ids(time: Time) -> Callable[[], str]:
    return lambda: ulid(time.now)


class World:
    """A manager, workers, and the time they live in."""

    def __init__(self, folder: Path) -> None:
        self.time = Time()
        self.database = Database.sqlite(folder / "record.db")
        migrations.migrate(self.database)
        self.ensemble = LocalEnsemble()
        self.app: LocalCoordinator = self.ensemble.session()
        self.app.start(1)
        self.manager = Manager("m1", self.app, self.database, self.time.clock())
        self.manager._prepare()
        self.nodes: dict[str, Node] = {}

    def add(self, name: str, labels: dict[str, str] | None = None) -> Node:
        self.nodes[name] = Node(name, self.ensemble, self.database, self.time, labels or {})
        return self.nodes[name]

    def post(self, **changes: object) -> int:
        values: dict[str, object] = {
            "job_id": 0,
            "incarnation": ulid(self.time.now),
            "revision": 1,
            "type": JobType.COMMAND,
            "executable": "true",
            "schedule": "* * * * *",
            "timezone": "UTC",
            "effective_from": 0,
        }
        spec = Spec(**{**values, **changes})  # type: ignore[arg-type]  # a test's shorthand
        new = jobs.NewJob(spec, "admin", {})
        row = jobs.insert_job(self.database, new, self.time.now, "admin")
        self.app.create(paths.inbox_prefix(row.id), Notice(1).encode(), sequence=True)
        return row.id

    def turn(self) -> None:
        """Everybody has a pass, twice, so that what one did reaches the others."""
        for _ in range(2):
            assert self.manager._leader.step()
            for node in self.nodes.values():
                node.turn()

    def go(self, seconds: float) -> None:
        """Time passes in steps as the loops would see it."""
        end = self.time.now + seconds
        while self.time.now < end:
            self.time.now = min(end, self.time.now + 5)
            self.turn()

    def until(self, condition: Callable[[], bool], seconds: float = 5.0) -> None:
        """Turn while a real thread works, until the condition holds."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "it did not come true"
            self.turn()

    def rows(self, job_id: int) -> list[RunRecord]:
        return list(reversed(jobs.runs_of(self.database, job_id, 100)))

    def status(self, job_id: int) -> str:
        row = jobs.get_job(self.database, job_id)
        assert row is not None
        return row.status

    def holders(self, job_id: int) -> list[str]:
        return [
            name
            for name, node in self.nodes.items()
            if Slot(job_id) in node.book.held and self.ensemble is not None
        ]

    def lose(self, name: str) -> Node:
        node = self.nodes.pop(name)
        self.ensemble.expire(node.session.session_id)
        return node
