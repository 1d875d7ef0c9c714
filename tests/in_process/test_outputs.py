"""Large outputs: the row comes first, the whole is stored as soon as the store takes it."""

from __future__ import annotations

from pathlib import Path

import pytest

from dcron_common.db import outputs, runs
from dcron_common.object_store.contract import output_key
from dcron_common.run import TAIL_BYTES, RunRecord, RunState, Trigger
from dcron_worker import outputs as worker_outputs
from tests.in_process.world import Node, World

LARGE = b"a line of output\n" * TAIL_BYTES


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "output"
    path.write_bytes(LARGE)
    return path


def run_once(world: World, node: Node, file: Path) -> str:
    """The id of a run that has just written the file."""
    world.go(65)
    end = node.processes.end(output=file)
    node.inbox.put(end)
    return end.run_id


def the_row(world: World, job: int, run_id: str) -> RunRecord:
    (row,) = [row for row in world.rows(job) if row.run_id == run_id]
    return row


def test_a_large_output_is_stored_whole_and_its_address_stands_in_the_row(
    world: World, file: Path
) -> None:
    node = world.add("a")
    job = world.post()
    run_id = run_once(world, node, file)
    world.turn()
    world.turn()
    key = output_key("a", run_id)
    row = the_row(world, job, run_id)
    assert (row.state, row.output_url) == (RunState.SUCCEEDED, world.store.url(key))
    assert world.store.get(key) == LARGE
    assert run_id not in node.processes.running, "its file is no longer needed"


def test_a_small_output_is_its_tail(world: World, tmp_path: Path) -> None:
    node = world.add("a")
    job = world.post()
    small = tmp_path / "small"
    small.write_bytes(b"x" * (TAIL_BYTES - 1))
    run_id = run_once(world, node, small)
    world.turn()
    assert the_row(world, job, run_id).output_url is None
    assert run_id not in node.processes.running


def test_an_output_of_exactly_the_tails_size_is_stored_since_its_row_cannot_tell_that_it_is_whole(
    world: World, tmp_path: Path
) -> None:
    node = world.add("a")
    world.post()
    exact = tmp_path / "exact"
    exact.write_bytes(b"x" * TAIL_BYTES)
    run_id = run_once(world, node, exact)
    world.turn()
    world.turn()
    assert world.store.get(output_key("a", run_id)) == b"x" * TAIL_BYTES


def test_with_the_store_away_the_row_is_written_and_the_output_follows(
    world: World, file: Path
) -> None:
    node = world.add("a")
    job = world.post()
    world.store.away = True
    run_id = run_once(world, node, file)
    for _ in range(20):
        world.turn()
    row = the_row(world, job, run_id)
    assert (row.state, row.output_url) == (RunState.SUCCEEDED, None)
    assert run_id in node.processes.running, "its file stays"
    world.store.away = False
    world.turn()
    assert world.store.get(output_key("a", run_id)) == LARGE
    assert the_row(world, job, run_id).output_url is not None
    world.turn()
    assert run_id not in node.processes.running


def test_a_restarted_daemon_goes_on_with_the_outputs_that_wait(world: World, file: Path) -> None:
    node = world.add("a")
    job = world.post()
    world.store.away = True
    run_id = run_once(world, node, file)
    world.turn()
    node.build()
    world.turn()
    assert run_id in node.processes.running
    world.store.away = False
    world.turn()
    world.turn()
    assert world.store.get(output_key("a", run_id)) == LARGE
    assert the_row(world, job, run_id).output_url is not None
    assert run_id not in node.processes.running


def test_a_row_that_is_written_before_the_end_was_told_waits_for_it(
    world: World, file: Path
) -> None:
    node = world.add("a")
    world.post()
    world.store.away = True
    run_id = run_once(world, node, file)
    world.turn()
    node.build()
    told = []
    while not node.inbox.empty():
        told.append(node.inbox.get())  # the launcher's word is late
    for _ in range(3):
        world.turn()
    assert run_id in node.processes.running
    world.store.away = False
    for message in told:
        node.inbox.put(message)
    world.turn()
    world.turn()
    assert world.store.get(output_key("a", run_id)) == LARGE
    assert run_id not in node.processes.running


def test_with_the_database_away_the_file_stays_until_row_and_address_are_written(
    world: World, file: Path
) -> None:
    node = world.add("a")
    job = world.post()
    node.database_away = True
    run_id = run_once(world, node, file)
    world.turn()
    assert world.rows(job) == [] and run_id in node.processes.running
    node.database_away = False
    node.build()
    world.turn()
    world.turn()
    assert the_row(world, job, run_id).output_url is not None


def test_what_would_make_the_backlog_too_large_keeps_its_tail_only(
    world: World, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_outputs, "BACKLOG_BYTES", len(LARGE) + 1)
    node = world.add("a")
    world.post()
    world.store.away = True
    first = run_once(world, node, file)
    world.turn()
    second = run_once(world, node, file)
    for _ in range(3):
        world.turn()
    assert first in node.processes.running and second not in node.processes.running
    assert node.outputs.ill


def test_an_output_that_cannot_be_read_any_more_holds_nothing_up(world: World, file: Path) -> None:
    node = world.add("a")
    job = world.post()
    world.go(65)
    end = node.processes.end(output=file)
    file.unlink()
    node.inbox.put(end)
    world.turn()
    world.turn()
    assert the_row(world, job, end.run_id).state is RunState.SUCCEEDED
    assert end.run_id not in node.processes.running


def test_a_link_in_place_of_the_output_is_not_followed(world: World, file: Path) -> None:
    node = world.add("a")
    world.post()
    world.go(65)
    end = node.processes.end(output=file)
    file.unlink()
    file.symlink_to("/etc/hostname")
    node.inbox.put(end)
    world.turn()
    world.turn()
    assert not world.store.exists(output_key("a", end.run_id))


def test_a_result_that_comes_late_does_not_take_the_address_away(world: World) -> None:
    lost = RunRecord("R" * 26, 1, 60, 1, Trigger.CRON, RunState.LOST, worker="a", finished_at=2.0)
    done = RunRecord("R" * 26, 1, 60, 1, Trigger.CRON, RunState.FAILED, worker="a", finished_at=3.0)
    runs.record_runs(world.database, [lost], 2.0)
    assert outputs.set_output(world.database, lost.run_id, "file:///there")
    runs.record_runs(world.database, [done], 3.0)
    found = outputs.get_output(world.database, 1, lost.run_id)
    assert found is not None and (found.state, found.url) == (RunState.FAILED, "file:///there")


def test_an_address_is_noted_once_and_only_where_there_is_a_run(world: World) -> None:
    done = RunRecord("R" * 26, 1, 60, 1, Trigger.CRON, RunState.SUCCEEDED, worker="a")
    assert not outputs.set_output(world.database, done.run_id, "file:///none")
    runs.record_runs(world.database, [done], 2.0)
    assert outputs.set_output(world.database, done.run_id, "file:///first")
    assert outputs.set_output(world.database, done.run_id, "file:///second")
    found = outputs.get_output(world.database, 1, done.run_id)
    assert found is not None and found.url == "file:///first"
