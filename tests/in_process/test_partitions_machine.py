"""Workers cut off from ZooKeeper and from the database, each for itself, in random order (P9);
their daemons are restarted, which forgets what is in memory.

After every step: a job of `on_isolation: skip` ran each attempt once and never beside itself; one
of `run` ran an attempt more than once only without a claim, on a worker that was cut off for longer
than its lease, and there once. In the end, when all are healed and the jobs are removed: nothing is
left open, every due minute has its row, and each launch without a claim one that says so.
"""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from dcron_common import paths, timing
from dcron_common.errors import ConnectionLost
from dcron_common.job import Concurrency, OnIsolation, OnWorkerLoss
from dcron_common.run import RunState, cron_key
from dcron_worker.runner.model import Ended, Launch
from tests.in_process.look import remove, unaccounted
from tests.in_process.world import Node, World

NAMES = ("a", "b")
NODES = st.sampled_from(NAMES)


@dataclass(frozen=True)
class Begun:
    """A launch: when, on which worker, and for how long that was cut off (None: it was not)."""

    at: float
    name: str
    launch: Launch
    cut_for: float | None

    @property
    def attempt(self) -> tuple[int, str, int]:
        return (self.launch.job_id, self.launch.key, self.launch.attempt)


class Partitions(RuleBasedStateMachine):
    """Each rule is something that happens; hypothesis chooses the order."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.world = World(self.folder)
        self.cut_at: dict[str, float] = {}
        self.given_up: set[str] = set()
        self.down: set[str] = set()  # restarted while cut off: a daemon waits for ZooKeeper
        self.jobs: list[int] = []
        self.careful: set[int] = set()  # jobs of `skip`
        self.overlapping: set[int] = set()
        self.begun: list[Begun] = []
        self.seen: Counter[str] = Counter()

    @initialize()
    def begin(self) -> None:
        for name in NAMES:
            self.world.add(name)
        for isolation in OnIsolation:
            for concurrency in (Concurrency.FORBID, Concurrency.ALLOW):
                self._post(isolation, concurrency)
        self.all_turn()

    def _post(self, isolation: OnIsolation, concurrency: Concurrency) -> None:
        job = self.world.post(
            on_isolation=isolation,
            concurrency=concurrency,
            on_worker_loss=OnWorkerLoss.RERUN,
            retries=1,
            retry_delay_seconds=20,
            starting_deadline_seconds=300,
        )
        self.jobs.append(job)
        if isolation is OnIsolation.SKIP:
            self.careful.add(job)
        if concurrency is Concurrency.ALLOW:
            self.overlapping.add(job)

    # -- what happens

    @rule(name=NODES, minutes=st.integers(0, 1))
    def a_worker_is_cut_off(self, name: str, minutes: int) -> None:
        """And so many minutes begin."""
        if name not in self.cut_at:
            self.cut_at[name] = self.world.time.now
            self.world.nodes[name].cut()
        for _ in range(minutes):
            self.a_minute_begins(2)

    @rule(name=NODES, ends=st.lists(st.booleans(), min_size=2, max_size=4), restarted=st.booleans())
    def a_worker_is_left_alone(self, name: str, ends: list[bool], restarted: bool) -> None:
        """For some minutes, also by the database; what runs ends in some of them."""
        self.world.nodes[name].database_away = True
        for ended in ends:
            self.a_worker_is_cut_off(name, 1)
            for run_id in _living(self.world.nodes[name]) if ended else ():
                self._end(self.world.nodes[name], run_id, "succeeded")
        if restarted:
            self.a_daemon_is_restarted(name)

    @rule(name=NODES)
    def a_worker_is_healed(self, name: str) -> None:
        if name in self.cut_at:
            del self.cut_at[name]
            self.given_up.discard(name)
            self.world.nodes[name].heal()
            if name in self.down:
                self.down.discard(name)
                self.world.nodes[name].build()

    @rule(name=NODES)
    def a_daemon_is_restarted(self, name: str) -> None:
        """The launcher and its processes go on."""
        if name in self.cut_at:
            self.down.add(name)
        else:
            self.world.nodes[name].build()

    @rule(name=NODES, away=st.booleans())
    def a_workers_way_to_the_database(self, name: str, away: bool) -> None:
        self.world.nodes[name].database_away = away

    @rule(seconds=st.sampled_from([2, 5, 15]), turns=st.integers(1, 3))
    def time_passes(self, seconds: int, turns: int) -> None:
        for _ in range(turns):
            self.world.time.now += seconds
            for name, since in self.cut_at.items():
                self._guard(name, self.world.time.now - since)
            self.all_turn()

    @rule(late=st.integers(0, 3))
    def a_minute_begins(self, late: int) -> None:
        left = int(60 - self.world.time.now % 60)
        self.time_passes(left - 1, 1)
        self.time_passes(1 + late, 1)

    def _guard(self, name: str, cut_for: float) -> None:
        """The launcher ends leased runs; the service gives the session up."""
        node = self.world.nodes[name]
        if cut_for >= timing.LEASE:
            for run_id in _living(node):
                if node.processes.running[run_id].leased:
                    self._end(node, run_id, "lost")
        if cut_for >= timing.SESSION and name not in self.given_up:
            self.given_up.add(name)
            node.expire()

    @rule(order=st.permutations(NAMES))
    def workers_turn(self, order: list[str]) -> None:
        for name in order:
            if name in self.down:
                continue
            node = self.world.nodes[name]
            try:
                node.isolated_turn() if name in self.cut_at else node.turn()
            except ConnectionLost:
                node.daemon._changed = True
            self._note(name)

    @rule()
    def a_leader_turns(self) -> None:
        self.world.manager._leader.step()

    @rule()
    def another_leads(self) -> None:
        self.world.another_leads()

    def all_turn(self) -> None:
        self.a_leader_turns()
        self.workers_turn(list(NAMES))

    @rule(name=NODES, state=st.sampled_from(["succeeded", "failed"]))
    def a_process_ends(self, name: str, state: str) -> None:
        node = self.world.nodes[name]
        for run_id in _living(node)[:1]:
            self._end(node, run_id, state)

    def _end(self, node: Node, run_id: str, state: str) -> None:
        now = self.world.time.now
        end = Ended(run_id, state, now, now, None, None, None, "said so", "", 0, False)
        node.processes.ends[run_id] = end
        node.inbox.put(end)

    def _note(self, name: str) -> None:
        launched = self.world.nodes[name].processes.launched
        now, since = self.world.time.now, self.cut_at.get(name)
        for launch in launched[self.seen[name] :]:
            self.begun.append(Begun(now, name, launch, None if since is None else now - since))
        self.seen[name] = len(launched)

    # -- what must hold

    @invariant()
    def each_attempt_is_launched_once_by_a_claim(self) -> None:
        claimed = Counter(one.attempt for one in self.begun if not one.launch.isolated)
        assert max(claimed.values(), default=1) == 1, claimed

    @invariant()
    def each_minute_is_launched_once_without_one_on_each_worker(self) -> None:
        found = Counter((one.attempt, one.name) for one in self.begun if one.launch.isolated)
        assert max(found.values(), default=1) == 1, found

    @invariant()
    def nothing_is_launched_without_a_claim_but_where_it_may_be(self) -> None:
        for one in self.begun:
            if one.launch.isolated:
                assert one.launch.job_id not in self.careful, one
                assert one.cut_for is not None and one.cut_for >= timing.LEASE, one

    @invariant()
    def nothing_lives_beside_itself(self) -> None:
        living: Counter[tuple[int, str, str]] = Counter()
        for name, node in self.world.nodes.items():
            for run_id in _living(node):
                launch = node.processes.running[run_id]
                line = launch.key if launch.job_id in self.overlapping else ""
                # What is promised of `run` is promised on each worker.
                place = "" if launch.job_id in self.careful else name
                living[(launch.job_id, place, line)] += 1
        assert max(living.values(), default=1) == 1, living

    def teardown(self) -> None:
        try:
            self._all_are_well_again()
            self._check_the_end()
        finally:
            self.world.ensemble.close()
            self.world.database.close()
            shutil.rmtree(self.folder)

    def _all_are_well_again(self) -> None:
        for name, node in self.world.nodes.items():
            self.a_worker_is_healed(name)
            node.database_away = False
        self.all_turn()
        for job in self.jobs:
            remove(self.world, job)
        for _ in range(30):
            self.world.time.now += 5
            for node in self.world.nodes.values():
                for run_id in _living(node):
                    self._end(node, run_id, "succeeded")
            self.all_turn()

    def _check_the_end(self) -> None:
        app = self.world.app
        for worker in app.children(paths.RUNS):
            assert app.children(paths.runs(worker)) == []
            assert app.children(paths.tasks(worker)) == []
        assert [name for shard in paths.fence_shards() for name in app.children(shard)] == []
        for job in self.jobs:
            rows = self.world.rows(job)
            assert all(row.state is not RunState.RUNNING for row in rows), rows
            assert unaccounted(self.world, job, deadline=0) == [], rows
            said = {(cron_key(row.scheduled_at), row.worker) for row in rows if row.isolated}
            for one in self.begun:
                if one.launch.isolated and one.launch.job_id == job:
                    assert (one.launch.key, one.name) in said, (one, rows)


def _living(node: Node) -> list[str]:
    return [run_id for run_id in node.processes.running if run_id not in node.processes.ends]


Partitions.TestCase.settings = settings(
    stateful_step_count=15,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestPartitions = Partitions.TestCase
