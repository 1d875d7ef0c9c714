"""P15: what did not go straight from its claim to the launcher is started as its job is by then."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from dcron_app.api.announce import announce, write_fences
from dcron_common.db import editing, jobs, workers
from dcron_common.db.jobs import JobRow
from dcron_common.errors import FileUnavailable
from dcron_common.job import Concurrency, JobType, Spec
from dcron_common.paths import Slot
from dcron_common.run import RunState
from tests.in_process.world import START, Node, World

FILE = {"type": JobType.SCRIPT, "executable": "executables/x", "sha256": "0" * 64}


class SlowStore:
    """Fetches of a node's files, held back; `away`: then they fail."""

    def __init__(self, node: Node) -> None:
        self.away = False
        self.asked = 0
        self.gate = threading.Event()
        node.fetch = self._fetch

    def _fetch(self, spec: Spec) -> Path:
        self.asked += 1
        assert self.gate.wait(60)
        if self.away:
            raise FileUnavailable("the store does not answer")
        return Path("/bin/true")


@pytest.fixture
def node(world: World) -> Node:
    return world.add("a")


@pytest.fixture
def store(node: Node) -> Iterator[SlowStore]:
    store = SlowStore(node)
    yield store
    store.gate.set()


def claimed(world: World, store: SlowStore, **changes: object) -> int:
    """A job of which a run is claimed, and whose file is asked for."""
    job = world.post(**FILE, **changes)
    world.go(65)
    world.until(lambda: store.asked == 1)
    return job


def refused(world: World, store: SlowStore) -> None:
    """The store's answer is that it has nothing: the run waits for its next try."""
    store.away = True
    store.gate.set()
    moved_on(world, lambda: store.asked > 1)
    store.away = False


def moved_on(world: World, condition: Callable[[], bool]) -> None:
    """Time passes until the condition holds."""

    def heard() -> bool:
        world.time.now += 1
        return condition()

    world.until(heard)


def row_of(world: World, job: int) -> JobRow:
    row = jobs.get_job(world.database, job)
    assert row is not None
    return row


def fenced(world: World, row: JobRow | None) -> None:
    """What the API does after a change of the record."""
    assert row is not None
    announce(world.app, row.id, row.revision)
    write_fences(world.app, row)


def edit(world: World, job: int, **changes: object) -> None:
    before = row_of(world, job)
    spec = replace(jobs.spec_of(before), **changes)  # type: ignore[arg-type]  # a test's shorthand
    new = jobs.NewJob(spec, "admin", {})
    fenced(world, editing.update_job(world.database, before, new, world.time.now, "admin"))


def remove(world: World, job: int) -> None:
    row, _ = jobs.remove_job(world.database, job, world.time.now, "admin")
    fenced(world, row)


def first(world: World, job: int) -> list[RunState]:
    return [row.state for row in world.rows(job) if row.scheduled_at == START + 60]


@pytest.mark.parametrize("waits", [True, False])
def test_p15_a_run_whose_file_comes_after_the_removal_is_not_started(
    world: World, node: Node, store: SlowStore, waits: bool
) -> None:
    job = claimed(world, store)
    if waits:
        refused(world, store)
    remove(world, job)
    world.turn()
    assert Slot(job) not in node.book.held
    store.gate.set()
    moved_on(world, lambda: RunState.SKIPPED in first(world, job))
    assert not node.processes.launched


def test_p15_a_run_whose_file_comes_after_a_pause_is_not_started(
    world: World, node: Node, store: SlowStore
) -> None:
    job = claimed(world, store)
    edit(world, job, paused=True)
    world.turn()
    store.gate.set()
    moved_on(world, lambda: RunState.SKIPPED in first(world, job))
    assert not node.processes.launched


@pytest.mark.parametrize("waits", [True, False])
def test_p15_a_run_whose_file_comes_after_an_edit_is_started_as_edited(
    world: World, node: Node, store: SlowStore, waits: bool
) -> None:
    job = claimed(world, store)
    if waits:
        refused(world, store)
    edit(world, job, arguments=("new",))
    world.turn()
    store.gate.set()
    moved_on(world, lambda: bool(node.processes.launched))
    assert [launch.argv[-1] for launch in node.processes.launched] == ["new"]


def test_p15_an_edit_that_is_not_read_yet_is_waited_for(
    world: World, node: Node, store: SlowStore
) -> None:
    job = claimed(world, store)
    edit(world, job, arguments=("new",))  # the leader has not looked: no assignment says so
    store.gate.set()
    for _ in range(20):
        world.time.now += 1
        node.turn()
    assert not node.processes.launched
    moved_on(world, lambda: bool(node.processes.launched))
    assert [launch.argv[-1] for launch in node.processes.launched] == ["new"]


def test_p15_a_run_whose_job_moved_before_its_file_came_goes_on_where_the_job_is(
    world: World, node: Node, store: SlowStore
) -> None:
    job = claimed(world, store, concurrency=Concurrency.ALLOW)
    other = world.add("b")
    workers.set_drained(world.database, "a", True, "admin", world.time.now)
    world.go(10)
    assert world.holders(job) == ["b"]
    store.gate.set()
    moved_on(world, lambda: RunState.LOST in first(world, job))
    began = other.processes.launched
    moved_on(world, lambda: str(START + 60) in {launch.key for launch in began})
    assert not node.processes.launched
