"""A manager and workers on one in-process ensemble and a real SQLite file.

Real: election, placement, fences, claims, records. Stood in for: processes (a launcher that
says what the test tells it to) and time.
"""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import BinaryIO, cast

from dcron_app.manager.admission import admit
from dcron_app.manager.main import Manager
from dcron_common import paths
from dcron_common.clock import Clock
from dcron_common.coordinator.local import LocalCoordinator, LocalEnsemble
from dcron_common.db import jobs, outputs, run_reads, runs, sealed
from dcron_common.db.connection import Database
from dcron_common.db.sealed import Sealed
from dcron_common.errors import ConnectionLost, DatabaseUnavailable, ObjectStoreUnavailable
from dcron_common.ids import ulid
from dcron_common.job import JobType, Spec
from dcron_common.object_store.contract import ObjectStore
from dcron_common.object_store.directory import DirectoryStore
from dcron_common.paths import Slot
from dcron_common.protocol import Notice, Registration
from dcron_common.run import RunRecord
from dcron_common.sealing.ring import Ring
from dcron_common.sealing.worker_key import WorkerKey
from dcron_worker.book import Book
from dcron_worker.crond import CrondWatch
from dcron_worker.daemon import Daemon, Due, Message
from dcron_worker.membership import Membership
from dcron_worker.notes import Notes
from dcron_worker.outputs import Outputs
from dcron_worker.parts import assemble
from dcron_worker.pieces import Pieces
from dcron_worker.report import Outcome
from dcron_worker.runner.client import Runner
from dcron_worker.runner.model import Ended, Launch, Started
from dcron_worker.sealed_cache import SealedCache
from dcron_worker.vault import Vault
from tests.migrated import migrated_sqlite

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
    outputs: Path = Path("/nowhere")

    def output_path(self, run_id: str) -> Path:
        return self.outputs / run_id

    def start(self, launches: Sequence[Launch]) -> None:
        for launch in launches:
            self.running[launch.run_id] = launch
            self.launched.append(launch)

    def known(self) -> dict[str, tuple[Launch, Started | None, Ended | None]]:
        return {i: (launch, None, self.ends.get(i)) for i, launch in self.running.items()}

    def names(self) -> dict[str, bool]:
        return {run_id: run_id in self.ends for run_id in self.running}

    def kill(self, run_id: str, reason: str) -> None:
        self.killed.append(run_id)

    def acknowledge(self, run_ids: Sequence[str]) -> None:
        for run_id in run_ids:
            self.running.pop(run_id, None)
            self.ends.pop(run_id, None)
            self.output_path(run_id).unlink(missing_ok=True)

    def end(
        self, state: str = "succeeded", code: int | None = 0, output: Path | None = None
    ) -> Ended:
        """The oldest process ends."""
        run_id = next(i for i in self.running if i not in self.ends)
        now = self.time.now
        end = Ended(run_id, state, now, now, code, None, None, "said so", "", 0, False)
        if output is not None:
            end = replace(end, output_path=str(output), output_size=output.stat().st_size)
        self.ends[run_id] = end
        return end


class Store(DirectoryStore):
    """An object store that the test may take away."""

    away = False

    def put(
        self, key: str, data: bytes | BinaryIO, content_type: str = "application/octet-stream"
    ) -> None:
        if self.away:
            raise ObjectStoreUnavailable("the store does not answer")
        super().put(key, data, content_type)


class Node:
    """One worker of the test: `turn` is a pass of its loop."""

    def __init__(
        self,
        name: str,
        ensemble: LocalEnsemble,
        database: Database,
        time: Time,
        labels: dict[str, str],
        store: ObjectStore,
        folder: Path,
    ) -> None:
        self.state = folder / name
        self.state.mkdir(exist_ok=True)
        self.asked: list[list[str]] = []  # names of secrets, a list for each query
        self.name = name
        self.labels = labels
        self.processes = Processes(time)
        self.session = ensemble.session(name)
        self.session.start(1)
        self.database_away = False
        self.silence = 0.0  # seconds since crond's last hint
        self.restarts = 0
        self.fetch: Callable[[Spec], Path] = lambda spec: Path("/bin/true")
        self._ensemble = ensemble
        self._database = database
        self._time = time
        self._store = store
        self.build()

    def build(self) -> None:
        """A life of the daemon: what it knew before is forgotten."""
        clock = self._time.clock()
        self.inbox: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self.book = Book(self.name)
        self._unwritten: list[tuple[Sequence[RunRecord], tuple[str, ...]]] = []
        runner = cast(Runner, self.processes)
        note = partial(outputs.set_output, self._database)
        self.outputs = Outputs(self.name, self._store, note, self.inbox.put, pause=0.0)
        key = WorkerKey.read_or_make(self.state / "secrets.key")
        self.vault = Vault(
            self.name, key, SealedCache(self.state / "sealed"), self._fetch_secrets, clock
        )
        seen = Registration(
            self.name, "boot", "1", "10.0.0.1", self.labels, 100, "test", 0, public_key=key.public
        )
        self.membership = Membership(
            self.session, seen, clock, renew=lambda until: None, on_session=lambda: None
        )
        self._executor = ThreadPoolExecutor(1)
        parts = assemble(
            self.book,
            notes=Notes(self.state / "unclaimed"),
            coordinator=self.session,
            runner=runner,
            report=self._report,
            outputs=self.outputs,
            pieces=Pieces(self._database, clock.wall),
            fetch=self._fetch,
            executor=self._executor,
            tell=self.inbox.put,
            user_of=lambda spec: None,
            vault=self.vault,
            clock=self.membership.clock,
            new_id=new_ids(self._time),
            jitter=lambda: 0.0,
        )
        self.following = parts.following
        self.claims, self.lifecycle, self.isolation = parts.claims, parts.lifecycle, parts.isolation
        self.daemon = Daemon(
            self.name,
            parts,
            coordinator=self.session,
            membership=self.membership,
            inbox=self.inbox,
            render=lambda book: None,
            crond=CrondWatch(
                self.name, lambda: self.silence, self._restart_crond, self.membership.clock
            ),
            clock=self.membership.clock,
        )
        for end in self.processes.ends.values():  # a launcher tells a new daemon all that it has
            self.inbox.put(end)
        self.membership.register()
        self.membership.try_to_beat()

    def _fetch(self, spec: Spec) -> Path:
        return self.fetch(spec)

    def _fetch_secrets(self, names: Sequence[str]) -> Mapping[str, Sealed]:
        self.asked.append(list(names))
        if self.database_away:
            raise DatabaseUnavailable("no database served in time")
        return sealed.fetch(self._database, self.name, names, deadline=0)

    def cut(self) -> None:
        """Off from the coordination service; its session goes on until `expire`."""
        self._ensemble.disconnect(self.session)

    def heal(self) -> None:
        """Within reach of the service again."""
        self._ensemble.reconnect(self.session)

    def isolated_turn(self) -> None:
        """What its threads do while it is cut off."""
        self.membership.try_to_beat()
        self.daemon._hear(0.0)
        try:
            self.daemon.step()
        except ConnectionLost:
            self.daemon._changed = True

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
        """After a lost session: a new one, which the next beat finds."""
        self.session.start(1)
        self.membership.try_to_beat()

    def _restart_crond(self) -> None:
        self.restarts += 1

    def _report(self, records: Sequence[RunRecord], run_ids: Sequence[str]) -> None:
        self._unwritten.append((records, tuple(run_ids)))
        self._write()

    def _write(self) -> None:
        """As a reporter does: what cannot be written is kept, and goes with the daemon."""
        while self._unwritten and not self.database_away:
            records, run_ids = self._unwritten[0]
            try:
                runs.record_runs(self._database, records, self._time.now)
            except DatabaseUnavailable:
                return
            del self._unwritten[0]
            self.inbox.put(Outcome(run_ids))

    def turn(self) -> None:
        """A pass that looks at everything, and another for what that brought."""
        self._write()
        self.membership.try_to_beat()
        self.inbox.put(Due())
        self.daemon._changed = True
        for _ in range(2):
            self.daemon._hear(0.0)
            self.daemon.step()
            self.outputs.step(0.0)
            self.following.step()


def new_ids(time: Time) -> Callable[[], str]:
    return lambda: ulid(time.now)


class World:
    """A manager, workers, and the time they live in."""

    def __init__(self, folder: Path, ensemble: LocalEnsemble | None = None) -> None:
        self._folder = folder
        self.time = Time()
        self.file = folder / "record.db"
        self.database = migrated_sqlite(self.file)
        self.store = Store(folder / "objects")
        self.ensemble = ensemble or LocalEnsemble()
        self.app: LocalCoordinator = self.ensemble.session()
        self.app.start(1)
        self.ring = Ring.generate()
        self.manager = Manager("m1", self.app, self.database, self.time.clock(), ring=self.ring)
        self.manager._prepare()
        self.nodes: dict[str, Node] = {}

    def add(self, name: str, labels: dict[str, str] | None = None) -> Node:
        admit(self.app, name)
        self.nodes[name] = Node(
            name, self.ensemble, self.database, self.time, labels or {}, self.store, self._folder
        )
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

    def finish(self, *nodes: Node) -> None:
        """Every process of these nodes, else of all, ends well and is recorded."""
        for node in nodes or tuple(self.nodes.values()):
            while node.processes.running.keys() - node.processes.ends.keys():
                node.end()
                self.turn()

    def until(self, condition: Callable[[], bool], seconds: float = 60.0) -> None:
        """Turn while a real thread works, until the condition holds."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "it did not come true"
            self.turn()

    def rows(self, job_id: int) -> list[RunRecord]:
        return list(reversed(run_reads.runs_of(self.database, job_id, 100)))

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

    def another_leads(self) -> None:
        """The manager's session ends, and another one comes."""
        self.ensemble.expire(self.app.session_id)
        self.app.start(1)
        self.manager = Manager("m2", self.app, self.database, self.time.clock(), ring=self.ring)

    def lose(self, name: str) -> Node:
        node = self.nodes.pop(name)
        self.ensemble.expire(node.session.session_id)
        return node
