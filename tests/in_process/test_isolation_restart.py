"""P9: the daemon of a worker that was cut off is restarted, and each of its minutes has its row."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from dcron_common.errors import FileUnavailable
from dcron_common.job import Concurrency, JobType, OnIsolation, Spec
from dcron_common.run import RunRecord, RunState
from dcron_worker.notes import Notes
from tests.in_process.look import unaccounted
from tests.in_process.test_isolation import cut_off, fence, minutes
from tests.in_process.test_isolation_return import fetched
from tests.in_process.world import START, Node, World


@pytest.fixture
def node(world: World) -> Node:
    return world.add("a")


def restart(node: Node) -> None:
    """Within reach of ZooKeeper again, by a new daemon; the launcher has gone on."""
    node._ensemble.reconnect(node.session)
    node.build()


def states(world: World, job: int) -> dict[int, RunState]:
    """What became of the minutes that no claim tells of."""
    rows = [row for row in world.rows(job) if row.isolated]
    return {(row.scheduled_at - START) // 60: row.state for row in rows}


def notes(node: Node) -> int:
    """Bytes of them."""
    return (node.state / "unclaimed").stat().st_size


def skipped_between_two(world: World, node: Node) -> int:
    """A job of which minutes 1 and 3 ran without a claim, and 2 was skipped beside 1; the database
    knows of none."""
    job = world.post(on_isolation=OnIsolation.RUN)
    world.turn()
    node.cut()
    node.database_away = True
    cut_off(world, node, 125)
    node.end()
    cut_off(world, node, 60)
    node.end()
    assert minutes(node) == [1, 3]
    return job


BETWEEN = {1: RunState.SUCCEEDED, 2: RunState.SKIPPED, 3: RunState.SUCCEEDED}


def test_p9_a_minute_that_was_closed_is_told_by_the_next_daemon(world: World, node: Node) -> None:
    job = skipped_between_two(world, node)
    restart(node)
    world.go(5)
    assert fence(world, job).mark == START + 180
    node.database_away = False
    world.go(10)
    assert states(world, job) == BETWEEN
    assert unaccounted(world, job) == []
    assert notes(node) == 0, "what is recorded and accounted for is not kept"


def test_p9_a_minute_that_was_closed_is_told_though_the_fence_has_passed_it(
    world: World, node: Node
) -> None:
    job = skipped_between_two(world, node)
    node.heal()
    world.go(5)
    assert fence(world, job).mark == START + 180
    node.build()
    node.build()
    node.database_away = False
    world.go(10)
    assert states(world, job) == BETWEEN
    assert notes(node) == 0


def test_p9_what_was_passed_over_is_told_by_the_next_daemon(world: World, node: Node) -> None:
    job = world.post(on_isolation=OnIsolation.RUN)
    world.turn()
    node.cut()
    node.database_away = True
    world.time.now += 185
    cut_off(world, node, 10)
    assert minutes(node) == [3]
    restart(node)
    node.database_away = False
    world.go(10)
    assert states(world, job) == {1: RunState.MISSED, 2: RunState.MISSED}
    node.end()
    world.go(10)
    assert unaccounted(world, job, deadline=0) == []


def test_p9_a_restart_after_all_was_told_changes_no_row(world: World, node: Node) -> None:
    job = skipped_between_two(world, node)
    node.database_away = False
    node.isolated_turn()
    node._write()
    before = world.rows(job)
    restart(node)
    world.go(10)
    assert states(world, job) == BETWEEN
    assert world.rows(job)[: len(before)] == before
    assert notes(node) == 0


def two_wait_for_a_file(world: World, node: Node) -> int:
    """Minutes 1 and 2 of a job that allows overlap were to start and have no file yet."""
    job = world.post(
        on_isolation=OnIsolation.RUN,
        concurrency=Concurrency.ALLOW,
        type=JobType.SCRIPT,
        sha256="0" * 64,
    )
    world.turn()

    def away(spec: Spec) -> Path:
        raise FileUnavailable("the store is away")

    node.fetch = away
    node.cut()
    node.database_away = True
    cut_off(world, node, 125)
    assert len(node.book.unclaimed.runs) == 2
    node._executor.submit(int).result()  # after the tries that were under way
    return job


def test_p9_a_start_that_waited_is_told_where_the_fence_has_passed_it(
    world: World, node: Node
) -> None:
    job = two_wait_for_a_file(world, node)
    node.heal()
    world.go(5)
    assert fence(world, job).mark == START + 120
    node.fetch = fetched
    restart(node)
    node.database_away = False
    world.go(10)
    assert minutes(node) == []
    assert states(world, job) == {1: RunState.MISSED, 2: RunState.MISSED}
    (row, *_) = [row for row in world.rows(job) if row.isolated]
    assert "daemon was restarted before it could" in str(row.reason)
    assert notes(node) == 0


def test_p9_a_start_that_waited_is_due_still_where_nothing_has_passed_it(
    world: World, node: Node
) -> None:
    job = two_wait_for_a_file(world, node)
    node.fetch = fetched
    node.database_away = False
    restart(node)
    world.until(lambda: bool(node.processes.launched))
    assert minutes(node) == [2], "the newest is caught up, by a claim"
    node.end()
    world.go(5)
    found = [(row.scheduled_at - START, row.state, row.isolated) for row in world.rows(job)]
    assert found == [(60, RunState.MISSED, False), (120, RunState.SUCCEEDED, False)]
    assert notes(node) == 0


def test_p9_an_end_without_a_start_is_told_by_the_next_daemon(world: World, node: Node) -> None:
    job = two_wait_for_a_file(world, node)
    ids = list(node.book.unclaimed.runs)
    for run_id in ids:
        assert node.isolation.stop(run_id, "ended by user ann")
    restart(node)
    node.database_away = False
    world.go(10)
    found = {row.run_id: (row.state, row.reason) for row in world.rows(job)}
    assert [found[run_id] for run_id in ids] == [(RunState.KILLED, "ended by user ann")] * 2


def test_p9_nothing_is_done_about_a_minute_that_cannot_be_noted(
    world: World, node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.post(on_isolation=OnIsolation.RUN)
    world.turn()
    node.cut()

    def full(notes: Notes, rows: Sequence[RunRecord]) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Notes, "put", full)
        cut_off(world, node, 65)
    assert minutes(node) == []
    assert not node.book.unclaimed.marks, "nor is it said to be decided"
    cut_off(world, node, 5)
    assert minutes(node) == [1]
