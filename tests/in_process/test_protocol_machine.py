"""The protocol under random interleavings: fires, moves, losses, restarts, removals, lost answers.

After every step: nothing was launched twice, nothing lives beside itself, epochs only rise,
nothing starts after a removal. In the end, when all are well again: no attempt that is owed is
forgotten, nothing is open or `running`, and every due minute has its row.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections import defaultdict
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from dcron_app.api.announce import write_fences
from dcron_common import paths, timing
from dcron_common.attempts import RESUMES
from dcron_common.db import jobs, workers
from dcron_common.errors import ConnectionLost
from dcron_common.job import Concurrency, OnWorkerLoss
from dcron_common.paths import Slot
from dcron_common.protocol import Fence
from dcron_common.run import RunRecord, RunState, cron_key
from dcron_worker.runner.model import Launch
from tests.in_process.faults import lose_answers
from tests.in_process.look import unaccounted
from tests.in_process.world import Node, World

NAMES = ("a", "b", "n.example.org")
NODES = st.sampled_from(NAMES)


class Unexplained(logging.Handler):
    """What the leader says when it frees a job that nothing held: it should never have to."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(record.getMessage())


class Protocol(RuleBasedStateMachine):
    """Each rule is something that happens; hypothesis chooses the order."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.world = World(self.folder)
        self.all: dict[str, Node] = {}
        self.lost_at: dict[str, float] = {}
        self.overlapping: set[int] = set()
        self.removed_at: dict[int, float] = {}
        self.launched: list[tuple[float, str, Launch]] = []
        self.seen: dict[str, int] = {}
        self.removed_at_once = True
        self.freed = Unexplained()
        logging.getLogger("dcron_app.manager.leftovers").addHandler(self.freed)

    @initialize()
    def begin(self) -> None:
        for name in NAMES:
            self.all[name] = self.world.add(name)
        self.post(Concurrency.FORBID, OnWorkerLoss.RERUN, 1, "* * * * *")
        self.post(Concurrency.ALLOW, OnWorkerLoss.RERUN, 0, "* * * * *")
        self.post(Concurrency.FORBID, OnWorkerLoss.FAIL, 2, "* * * * *")
        self.all_turn(list(NAMES))

    @initialize(removed_at_once=st.booleans())
    def the_end_will_be(self, removed_at_once: bool) -> None:
        """Whether all jobs are removed while much is under way, or once it is over."""
        self.removed_at_once = removed_at_once

    # -- what happens

    @rule(
        concurrency=st.sampled_from([Concurrency.FORBID, Concurrency.ALLOW]),
        loss=st.sampled_from(list(OnWorkerLoss)),
        retries=st.integers(0, 2),
        schedule=st.sampled_from(["* * * * *", "*/2 * * * *"]),
    )
    def post(
        self, concurrency: Concurrency, loss: OnWorkerLoss, retries: int, schedule: str
    ) -> None:
        job = self.world.post(
            concurrency=concurrency,
            on_worker_loss=loss,
            retries=retries,
            retry_delay_seconds=20,
            schedule=schedule,
        )
        if concurrency is Concurrency.ALLOW:
            self.overlapping.add(job)

    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        live = [row.id for row in jobs.all_jobs(self.world.database, live=True)]
        if live:
            row, _ = jobs.remove_job(
                self.world.database, data.draw(st.sampled_from(live)), self.world.time.now, "x"
            )
            write_fences(self.world.app, row)
            self.removed_at[row.id] = self.world.time.now

    @rule(seconds=st.sampled_from([1, 4, 10, 35, 61]))
    def time_passes(self, seconds: int) -> None:
        self.world.time.now += seconds
        for name, since in self.lost_at.items():
            if self.world.time.now >= since + timing.LEASE:
                self._guard(self.all[name])

    def _guard(self, node: Node) -> None:
        """The launcher ends leased runs when their lease has passed."""
        for run_id in list(node.processes.running):
            if run_id not in node.processes.ends:
                node.processes.end("lost", None)

    @rule(order=st.permutations(NAMES))
    def all_turn(self, order: list[str]) -> None:
        self.leader_turns()
        for name in order:
            self.worker_turns(name)

    @rule(order=st.permutations(NAMES), late=st.integers(0, 3))
    def a_minute_begins(self, order: list[str], late: int) -> None:
        self.time_passes(int(60 - self.world.time.now % 60) + late)
        self.all_turn(order)

    @rule(name=NODES)
    def worker_turns(self, name: str) -> None:
        if name in self.lost_at:
            return
        try:
            self.all[name].turn()
        except ConnectionLost:
            self.all[name].daemon._changed = True
        self._note(name)

    @rule()
    def leader_turns(self) -> None:
        self.world.manager._leader.step()

    @rule(name=NODES, state=st.sampled_from(["succeeded", "failed"]))
    def a_process_ends(self, name: str, state: str) -> None:
        node = self.all[name]
        if any(run_id not in node.processes.ends for run_id in node.processes.running):
            node.end(state, 0 if state == "succeeded" else 1)

    @rule(name=NODES)
    def a_daemon_restarts(self, name: str) -> None:
        if name not in self.lost_at:
            self.all[name].build()

    @rule(name=NODES)
    def a_session_ends(self, name: str) -> None:
        """The service gave the worker up. What it runs may live on until its lease has passed."""
        if name not in self.lost_at:
            self.lost_at[name] = self.world.time.now
            self.world.ensemble.expire(self.all[name].session.session_id)

    @precondition(lambda self: bool(self.lost_at))
    @rule(data=st.data())
    def a_worker_comes_back(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.lost_at)))
        del self.lost_at[name]
        self.all[name].come_back()

    @rule(name=NODES, done=st.booleans(), after=st.sampled_from(["syncs", "fails", "new session"]))
    def answers_will_be_lost(self, name: str, done: bool, after: str) -> None:
        if name not in self.lost_at:
            renew = after == "new session"
            lose_answers(self.all[name], 1, done=done, syncs=after != "fails", renew=renew)

    @rule(name=NODES)
    def a_worker_fires_by_an_old_book(self, name: str) -> None:
        """It has not looked for a while: what it knows of assignments and fences may be stale."""
        if name in self.lost_at:
            return
        daemon = self.all[name].daemon
        daemon._changed, daemon._due = False, True
        daemon._scan_at = self.world.time.now + 100
        try:
            daemon.step()
        except ConnectionLost:
            daemon._changed = True
        self._note(name)

    @rule(name=NODES, away=st.booleans())
    def a_workers_way_to_the_database(self, name: str, away: bool) -> None:
        self.all[name].database_away = away

    @rule()
    def another_leads(self) -> None:
        self.world.another_leads()

    @rule(name=NODES, drained=st.booleans())
    def a_worker_is_steered(self, name: str, drained: bool) -> None:
        workers.set_drained(self.world.database, name, drained, self.world.time.now, "x")

    # -- what must hold

    def _note(self, name: str) -> None:
        launched = self.all[name].processes.launched
        for launch in launched[self.seen.get(name, 0) :]:
            self.launched.append((self.world.time.now, name, launch))
        self.seen[name] = len(launched)

    @invariant()
    def nothing_was_launched_twice(self) -> None:
        keys = [(one.job_id, one.key, one.attempt) for _, _, one in self.launched]
        assert len(keys) == len(set(keys)), keys

    @invariant()
    def nothing_lives_beside_itself(self) -> None:
        living: dict[tuple[int, str], list[str]] = {}
        for name, node in self.all.items():
            for run_id, launch in node.processes.running.items():
                if run_id not in node.processes.ends:
                    line = launch.key if launch.job_id in self.overlapping else ""
                    living.setdefault((launch.job_id, line), []).append(name)
        assert all(len(names) == 1 for names in living.values()), living

    @invariant()
    def no_job_was_held_by_nothing(self) -> None:
        assert not self.freed.said, self.freed.said

    @invariant()
    def epochs_only_rise(self) -> None:
        highest: dict[int, int] = {}
        for _, _, launch in self.launched:
            assert launch.epoch >= highest.get(launch.job_id, 0), launch
            highest[launch.job_id] = launch.epoch

    @invariant()
    def nothing_starts_after_its_removal(self) -> None:
        for moment, _, launch in self.launched:
            assert moment <= self.removed_at.get(launch.job_id, moment), launch

    def teardown(self) -> None:
        try:
            self._all_are_well_again()
            self._check_the_end()
        finally:
            logging.getLogger("dcron_app.manager.leftovers").removeHandler(self.freed)
            self.world.ensemble.close()
            self.world.database.close()
            shutil.rmtree(self.folder)

    def _all_are_well_again(self) -> None:
        for name in sorted(self.lost_at):
            self.all[name].come_back()
        for node in self.all.values():
            node.database_away = False
            node.build()  # reports that were dropped are found again
            workers.set_drained(self.world.database, node.name, False, self.world.time.now, "admin")
        if not self.removed_at_once:
            self._all_goes_well(times=15)
            self._check_attempts()
        for row in list(jobs.all_jobs(self.world.database, live=True)):
            row, _ = jobs.remove_job(self.world.database, row.id, self.world.time.now, "x")
            write_fences(self.world.app, row)
        self._all_goes_well(times=30)

    def _all_goes_well(self, times: int) -> None:
        for _ in range(times):
            self.world.time.now += 5
            for node in self.all.values():
                while any(run not in node.processes.ends for run in node.processes.running):
                    node.end()
                try:
                    node.turn()
                except ConnectionLost:
                    node.daemon._changed = True
            self.world.manager._leader.step()

    def _check_attempts(self) -> None:
        """Where one is owed it has its row, or waits (P12)."""
        for row in jobs.all_jobs(self.world.database, live=True):
            attempts: dict[int, list[RunRecord]] = defaultdict(list)
            for run in self.world.rows(row.id):
                attempts[run.scheduled_at].append(run)
            spec = jobs.spec_of(row)
            for minute, runs in attempts.items():
                newest = max(runs, key=lambda run: run.attempt)
                losses = sum(run.state is RunState.LOST for run in runs)
                if newest.state is RunState.LOST:
                    owed = spec.on_worker_loss is OnWorkerLoss.RERUN and losses <= RESUMES
                else:
                    failed = newest.state is RunState.FAILED
                    owed = failed and newest.attempt - losses <= spec.retries
                assert not owed or self._waits(row.id, minute), runs

    def _waits(self, job: int, minute: int) -> bool:
        """Whether a claim or a task of the minute is there."""
        app, name = self.world.app, f"{Slot(job)}.{cron_key(minute)}"
        return any(
            name in app.children(of(worker))
            for worker in app.children(paths.RUNS)
            for of in (paths.runs, paths.tasks)
        )

    def _check_the_end(self) -> None:
        app = self.world.app
        for worker in app.children(paths.RUNS):
            assert app.children(paths.runs(worker)) == []
            assert app.children(paths.tasks(worker)) == []
        for shard in paths.fence_shards():
            for name in app.children(shard):
                raise AssertionError(Fence.decode(app.get(f"{shard}/{name}").data))
        for row in jobs.all_jobs(self.world.database):
            found = self.world.rows(row.id)
            assert all(run.state is not RunState.RUNNING for run in found), found
            # Removed long enough ago: no due minute may wait any more (P7, P8).
            assert unaccounted(self.world, row.id, deadline=0) == [], found
        for node in self.all.values():
            assert not node.processes.running, node.processes.running


Protocol.TestCase.settings = settings(
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestProtocol = Protocol.TestCase
