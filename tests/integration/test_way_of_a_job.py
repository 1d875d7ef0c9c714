"""Leader and workers together on one in-process ensemble and a real SQLite file.

Real: election, placement, fences, claims, records. Stood in for: processes (a launcher that
says what the test tells it to) and time.
"""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pytest

from dcron_app.manager.main import Manager
from dcron_common import paths
from dcron_common.clock import Clock
from dcron_common.coordinator.local import LocalCoordinator, LocalEnsemble
from dcron_common.db import jobs, migrations, runs, workers
from dcron_common.db.connection import Database
from dcron_common.ids import ulid
from dcron_common.job import JobType, OnWorkerLoss, Spec
from dcron_common.paths import Slot
from dcron_common.protocol import Notice, Registration
from dcron_common.run import RunRecord, RunState, Trigger
from dcron_worker.book import Book
from dcron_worker.claims import Claims
from dcron_worker.daemon import Daemon, Due, Message
from dcron_worker.lifecycle import Lifecycle
from dcron_worker.membership import Membership
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

    def end(self, state: str = "succeeded", code: int = 0) -> Ended:
        """The oldest process ends."""
        run_id = next(i for i in self.running if i not in self.ends)
        now = self.time.now
        end = Ended(run_id, state, now, now, code, None, None, "said so", "", 0, False)
        self.ends[run_id] = end
        return end


class Node:
    """One worker of the test: `turn` is a pass of its loop."""

    def __init__(self, name: str, ensemble: LocalEnsemble, database: Database, time: Time) -> None:
        self.name = name
        self.processes = Processes(time)
        self.session = ensemble.session(name)
        self.session.start(1)
        self._database = database
        self._time = time
        self.build()

    def build(self) -> None:
        """A life of the daemon: what it knew before is forgotten."""
        clock = self._time.clock()
        self.inbox: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self.book = Book()
        ids = new_ids(self._time)
        claims = Claims(self.name, self.session, self.book, clock, ids)
        seen = Registration(self.name, "boot", "1", "10.0.0.1", {}, 100, "test", 0)
        self.membership = Membership(
            self.session, seen, clock, renew=lambda until: None, on_session=lambda: None
        )
        self._executor = ThreadPoolExecutor(1)
        self.lifecycle = Lifecycle(
            self.name,
            coordinator=self.session,
            book=self.book,
            claims=claims,
            runner=cast(Runner, self.processes),
            report=self._report,
            tell_recorded=self.lifecycle_recorded,
            fetch=lambda spec: Path("/bin/true"),
            executor=self._executor,
            tell_ended=lambda end: self.lifecycle.ended(end),
            user_of=lambda spec: None,
            clock=clock,
            jitter=lambda: 0.0,
            new_id=ids,
        )
        self.daemon = Daemon(
            self.name,
            coordinator=self.session,
            membership=self.membership,
            book=self.book,
            claims=claims,
            lifecycle=self.lifecycle,
            inbox=self.inbox,
            render=lambda book: None,
            silence=lambda: 0.0,
            clock=clock,
        )
        self.membership.register()

    def lifecycle_recorded(self, run_id: str) -> None:
        self.lifecycle.recorded(run_id)

    def _report(self, records: Sequence[RunRecord], done: Callable[[], None]) -> None:
        runs.record_runs(self._database, records, self._time.now)
        done()

    def turn(self) -> None:
        self.inbox.put(Due())
        self.daemon._hear(0.0)
        self.daemon._changed = True
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

    def add(self, name: str) -> Node:
        self.nodes[name] = Node(name, self.ensemble, self.database, self.time)
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


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    yield world
    world.ensemble.close()
    world.database.close()


def test_a_job_stands_on_one_worker_runs_and_is_recorded(world: World) -> None:
    world.add("a")
    world.add("b")
    job = world.post()
    world.turn()
    (holder,) = world.holders(job)
    node = world.nodes[holder]
    assert not node.processes.launched
    world.time.now = START + 62
    world.turn()
    (launch,) = node.processes.launched
    assert launch.argv == ("/bin/sh", "-c", "true", "sh")
    assert launch.environment["DCRON_SCHEDULED_AT"].endswith("00Z")
    node.lifecycle.ended(node.processes.end())
    world.turn()
    (row,) = world.rows(job)
    assert (row.state, row.scheduled_at, row.worker) == (RunState.SUCCEEDED, START + 60, holder)
    assert row.output_tail == "said so"
    assert world.status(job) == "scheduled"
    assert world.app.children(paths.runs(holder)) == []


def test_a_minute_is_launched_once_however_often_it_is_hinted(world: World) -> None:
    node = world.add("a")
    world.post()
    world.go(70)
    assert len(node.processes.launched) == 1


def test_a_failure_makes_the_job_error_and_the_next_success_mends_it(world: World) -> None:
    node = world.add("a")
    job = world.post()
    world.go(65)
    node.lifecycle.ended(node.processes.end("failed", 3))
    world.turn()
    assert world.status(job) == "error"
    world.go(60)
    node.lifecycle.ended(node.processes.end())
    world.turn()
    assert world.status(job) == "scheduled"
    assert [row.exit_code for row in world.rows(job)] == [3, 0]


def test_a_one_shot_is_finished_after_its_run(world: World) -> None:
    node = world.add("a")
    job = world.post(schedule="@at 2027-01-15T08:02:00Z")
    world.go(130)
    node.lifecycle.ended(node.processes.end())
    world.turn()
    assert world.status(job) == "finished"
    assert len(node.processes.launched) == 1


def test_a_retry_keeps_the_job_taken_and_runs_after_its_delay(world: World) -> None:
    node = world.add("a")
    job = world.post(retries=1, retry_delay_seconds=30)
    world.go(65)
    node.lifecycle.ended(node.processes.end("failed", 1))
    world.go(20)
    assert len(node.processes.launched) == 1
    world.go(15)
    assert [launch.attempt for launch in node.processes.launched] == [1, 2]
    node.lifecycle.ended(node.processes.end())
    world.turn()
    assert [(row.attempt, row.state) for row in world.rows(job)] == [
        (1, RunState.FAILED),
        (2, RunState.SUCCEEDED),
    ]
    assert world.rows(job)[1].trigger is Trigger.RETRY


def test_a_removed_job_stands_nowhere_and_its_fence_goes(world: World) -> None:
    world.add("a")
    job = world.post()
    world.turn()
    jobs.remove_job(world.database, job, world.time.now, "admin")
    world.app.create(paths.inbox_prefix(job), Notice(2).encode(), sequence=True)
    world.turn()
    assert world.holders(job) == []
    world.go(40)
    assert world.app.exists(paths.fence(Slot(job))) is None
    assert world.status(job) == "finished"


def test_jobs_of_a_lost_worker_move_at_once(world: World) -> None:
    world.add("a")
    world.add("b")
    job = world.post()
    world.turn()
    (holder,) = world.holders(job)
    world.lose(holder)
    world.turn()
    assert world.holders(job) == [name for name in ("a", "b") if name != holder]


def test_a_run_of_a_lost_worker_is_resumed_only_after_its_lease(world: World) -> None:
    world.add("a")
    world.add("b")
    job = world.post()
    world.turn()
    (holder,) = world.holders(job)
    world.go(65)
    lost = world.lose(holder)
    (other,) = world.nodes.values()
    world.go(9)
    assert not other.processes.launched
    world.go(20)
    first = lost.processes.launched[0]
    resumed = other.processes.launched[0]
    assert (resumed.key, resumed.attempt) == (first.key, 2)
    assert resumed.epoch > first.epoch
    other.lifecycle.ended(other.processes.end())
    world.turn()
    states = [(r.attempt, r.state, r.trigger) for r in world.rows(job) if r.state != "skipped"]
    assert states[0] == (1, RunState.LOST, Trigger.CRON)
    assert states[1] == (2, RunState.SUCCEEDED, Trigger.RESUME)
    assert world.app.children(paths.runs(holder)) == []


def test_a_run_that_must_not_be_repeated_is_lost_with_its_worker(world: World) -> None:
    world.add("a")
    world.add("b")
    job = world.post(on_worker_loss=OnWorkerLoss.FAIL, schedule="1 * * * *")
    world.turn()
    (holder,) = world.holders(job)
    world.go(65)
    world.lose(holder)
    (other,) = world.nodes.values()
    world.go(40)
    assert not other.processes.launched
    assert [row.state for row in world.rows(job)] == [RunState.LOST]
    assert world.status(job) == "error"


def test_a_restarted_daemon_owns_its_runs_again(world: World) -> None:
    node = world.add("a")
    job = world.post()
    world.go(65)
    world.ensemble.expire(node.session.session_id)
    node.session.start(1)
    node.build()
    world.turn()
    assert node.processes.killed == []
    node.lifecycle.ended(node.processes.end())
    world.turn()
    assert [row.state for row in world.rows(job)] == [RunState.SUCCEEDED]


def test_a_run_that_ended_while_the_daemon_was_away_is_recorded(world: World) -> None:
    node = world.add("a")
    job = world.post()
    world.go(65)
    node.processes.end("failed", 9)
    node.build()
    world.turn()
    (row,) = world.rows(job)
    assert (row.state, row.exit_code) == (RunState.FAILED, 9)


def test_a_claim_without_a_process_is_started_again_by_the_same_worker(world: World) -> None:
    node = world.add("a")
    job = world.post(schedule="1 * * * *")
    world.go(65)
    node.processes.running.clear()  # the claim was made, the launcher never heard of it
    node.build()
    world.go(10)
    assert [launch.attempt for launch in node.processes.launched] == [1, 2]
    node.lifecycle.ended(node.processes.end())
    world.turn()
    assert [row.state for row in world.rows(job)] == [RunState.LOST, RunState.SUCCEEDED]


def test_the_second_of_two_overlapping_runs_is_skipped(world: World) -> None:
    node = world.add("a")
    job = world.post()
    world.go(125)
    assert len(node.processes.launched) == 1
    assert [row.state for row in world.rows(job)][-1] is RunState.SKIPPED


def test_a_drained_worker_gives_its_jobs_away(world: World) -> None:
    world.add("a")
    world.add("b")
    ids = [world.post() for _ in range(4)]
    world.turn()
    workers.set_drained(world.database, "a", True, world.time.now, "admin")
    world.go(10)
    assert all(world.holders(job) == ["b"] for job in ids)


def test_a_worker_that_was_cut_off_cannot_claim_what_has_moved(world: World) -> None:
    world.add("a")
    world.add("b")
    job = world.post()
    world.turn()
    (holder,) = world.holders(job)
    lost = world.lose(holder)
    world.turn()
    lost.session.start(1)
    world.time.now += 61
    lost.daemon._changed = False
    lost.daemon._scan_at = world.time.now + 60
    lost.daemon._due = True
    lost.daemon.step()  # its book still says that the job is its own
    assert not lost.processes.launched


def test_a_new_leader_goes_on_and_the_old_one_writes_nothing(world: World) -> None:
    world.add("a")
    other_session = world.ensemble.session()
    other_session.start(1)
    other = Manager("m2", other_session, world.database, world.time.clock())
    world.turn()
    assert not other._leader.step()
    proof = world.manager._election.proof
    world.ensemble.expire(world.app.session_id)
    assert other._leader.step()
    from dcron_common.errors import TransactionFailed

    with pytest.raises(TransactionFailed):
        other_session.commit([proof])
