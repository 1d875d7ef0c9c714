"""The protocol's machine with edits, pauses, runs that are asked for and ends that are asked for.

Beside what `test_protocol_machine.py` checks: no revision starts after a later one was answered,
nothing that was to end is followed by another attempt, and of a job on all each worker that had its
place has a row for each due minute.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule

from dcron_app.api import announce, asking, ending
from dcron_app.api.errors import Problem
from dcron_app.manager import leaving
from dcron_common import paths
from dcron_common.coordinator.contract import Coordinator
from dcron_common.db import editing, jobs, run_reads
from dcron_common.db.jobs import JobRow, NewJob
from dcron_common.job import Placement
from dcron_common.run import key_minute
from dcron_worker.runner.model import Launch, Started
from tests.in_process.test_protocol_machine import NAMES, NODES, Protocol
from tests.in_process.witness import Witness

EDITS: list[dict[str, object]] = [
    {"paused": True},
    {"paused": False},
    {"schedule": "*/3 * * * *"},
    {"schedule": "* * * * *"},
    {"retries": 1},
    {"placement": Placement({}, "all")},
    {"placement": Placement()},
]


class Changes(Protocol):
    """Each job's command is the number of its revision, so that a launch tells by which it is."""

    def __init__(self) -> None:
        super().__init__()
        self.answered: dict[int, tuple[float, int]] = {}
        self.paused_at: dict[int, float] = {}
        self.everywhere: set[int] = set()  # jobs that stood on all workers at some time
        self.to_end: dict[tuple[int, str, str], float] = {}
        self.witness = Witness(self.world)
        self.api: Coordinator = self.world.ensemble.session()
        self.api.start(1)

    def _a_job(self, data: st.DataObject) -> JobRow | None:
        live = list(jobs.all_jobs(self.world.database, live=True))
        return data.draw(st.sampled_from(live)) if live else None

    @rule(data=st.data(), edit=st.sampled_from(EDITS))
    def edit(self, data: st.DataObject, edit: dict[str, object]) -> None:
        row = self._a_job(data)
        if row is None:
            return
        values = {**edit, "executable": f"true {row.revision + 1}"}
        spec = jobs.spec_of(row)
        spec = type(spec)(**{**{n: getattr(spec, n) for n in spec.__slots__}, **values})
        made = editing.update_job(
            self.world.database, row, NewJob(spec, "x", {}), self.world.time.now, "x"
        )
        assert made is not None
        if spec.placement.on == "all":
            self.everywhere.add(made.id)
        announce.announce(self.api, made.id, made.revision)
        announce.write_fences(self.api, made)
        self.answered[made.id] = (self.world.time.now, made.revision)
        self.paused_at.pop(made.id, None)
        if made.paused:
            self.paused_at[made.id] = self.world.time.now

    @rule(data=st.data())
    def ask_for_a_run(self, data: st.DataObject) -> None:
        row = self._a_job(data)
        if row is not None:
            now = self.world.time.now
            _unless_refused(
                lambda: asking.ask_for_runs(self.api, row, ["x"], now, tell=lambda: None)
            )

    @rule(name=NODES)
    def a_start_is_told(self, name: str) -> None:
        node = self.all[name]
        for run_id in node.processes.running:
            node.inbox.put(Started(run_id, 1, self.world.time.now))

    @rule(name=NODES)
    def ask_for_an_end(self, name: str) -> None:
        for run_id, launch in list(self.all[name].processes.running.items()):
            row = jobs.get_job(self.world.database, launch.job_id)
            run = run_reads.get_run(self.world.database, launch.job_id, run_id)
            assert row is not None
            asked = _unless_refused(
                lambda row=row, run=run, run_id=run_id: ending.ask_for_end(
                    self.api, row, run, run_id, "x", tell=lambda: None
                )
            )
            if asked is not None:
                self.to_end[(launch.job_id, asked.slot.node, launch.key)] = launch.attempt
            return

    def _place(self, job_id: int, name: str) -> tuple[int, str]:
        """What is promised once for a job is promised on each worker of one on all."""
        return (job_id, name if job_id in self.everywhere else "")

    @invariant()
    def nothing_was_launched_twice(self) -> None:
        keys = [
            (*self._place(one.job_id, name), one.key, one.attempt) for _, name, one in self.launched
        ]
        assert len(keys) == len(set(keys)), keys

    @invariant()
    def nothing_lives_beside_itself(self) -> None:
        living: dict[tuple[int, str, str], int] = {}
        for name, node in self.all.items():
            for run_id, launch in node.processes.running.items():
                if run_id not in node.processes.ends:
                    line = launch.key if launch.job_id in self.overlapping else ""
                    place = (*self._place(launch.job_id, name), line)
                    living[place] = living.get(place, 0) + 1
        assert all(count == 1 for count in living.values()), living

    @invariant()
    def epochs_only_rise(self) -> None:
        highest: dict[tuple[int, str], int] = {}
        for _, name, launch in self.launched:
            place = self._place(launch.job_id, name)
            assert launch.epoch >= highest.get(place, 0), launch
            highest[place] = launch.epoch

    @invariant()
    def no_revision_starts_after_a_later_one_was_answered(self) -> None:
        for moment, _, launch in self.launched[-5:]:
            answered, revision = self.answered.get(launch.job_id, (moment, 0))
            if moment > answered:
                assert _revision(launch) >= revision, (launch, revision)

    @invariant()
    def nothing_due_starts_while_its_job_is_paused(self) -> None:
        for moment, _, launch in self.launched[-5:]:
            if key_minute(launch.key) is not None:
                assert moment <= self.paused_at.get(launch.job_id, moment), launch

    @invariant()
    def nothing_follows_what_was_to_end(self) -> None:
        for _, name, launch in self.launched:
            for node in ("", name):
                last = self.to_end.get((launch.job_id, node, launch.key))
                assert last is None or launch.attempt <= last, launch

    @invariant()
    def it_is_seen_who_has_a_place(self) -> None:
        self.witness.look()

    def _check_the_end(self) -> None:
        super()._check_the_end()
        self.witness.look()
        assert self.witness.untold() == []
        app = self.world.app
        for worker in app.children(paths.KILLS):
            assert app.children(paths.kills(worker)) == []


def _unless_refused(ask: Callable[[], object]) -> object:
    try:
        return ask()
    except Problem as problem:
        assert problem.status in (404, 409), problem
        return None


def _revision(launch: Launch) -> int:
    _, _, revision = launch.argv[2].partition(" ")
    return int(revision or 1)


Changes.TestCase.settings = settings(
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestChanges = Changes.TestCase


@pytest.mark.parametrize("lost", [False, True])
def test_the_machine_sees_a_minute_that_one_worker_of_a_job_on_all_has_lost(
    monkeypatch: pytest.MonkeyPatch, lost: bool
) -> None:
    """A worker that stood still is drained, and has its place again. `lost`: what it had not told
    is left out."""
    if lost:
        monkeypatch.setattr(leaving, "leaves", lambda *_: False)
    machine = Changes()
    machine.begin()
    job = machine.world.post(placement=Placement({}, "all"))
    others = [name for name in NAMES if name != "b"]
    for turns, drained in ((NAMES, False), (others, False), (others, True), (NAMES, False)):
        machine.a_worker_is_steered("b", drained)
        machine.a_minute_begins(list(turns), 1)
        for _ in range(3):
            machine.time_passes(4)
            machine.all_turn(list(turns))
            machine.all["b"].membership.try_to_beat()
            machine.it_is_seen_who_has_a_place()
    expected = pytest.raises(AssertionError, match=f"Slot.job_id={job}, node='b'")
    with expected if lost else nullcontext():
        machine.teardown()
