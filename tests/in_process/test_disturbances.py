"""Jobs on all, one-shots and drained workers; and what must stop nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from dcron_app.manager.admission import admit
from dcron_common import paths
from dcron_common.db import jobs, runs, workers
from dcron_common.db.connection import Database
from dcron_common.errors import DatabaseError, DatabaseUnavailable
from dcron_common.job import JobType, OnWorkerLoss, Placement
from dcron_common.paths import Slot
from dcron_common.run import RunRecord, RunState
from tests.in_process.look import claims, fence, holder_of, remove
from tests.in_process.world import World

# Jobs on all, one-shots, drained workers


def test_a_job_on_all_runs_again_on_a_worker_that_was_resumed(world: World) -> None:
    for name in ("a", "n.example.org"):
        world.add(name)
    job = world.post(placement=Placement({}, "all"))
    world.go(5)
    workers.set_drained(world.database, "n.example.org", True, world.time.now, "admin")
    world.go(20)
    assert fence(world, Slot(job, "n.example.org")).holder is None
    workers.set_drained(world.database, "n.example.org", False, world.time.now, "admin")
    world.go(100)
    assert world.nodes["a"].processes.launched
    assert world.nodes["n.example.org"].processes.launched


def test_a_worker_with_dots_in_its_name_is_lost_like_any_other(world: World) -> None:
    node = world.add("n.example.org")
    world.add("b")
    job = world.post(placement=Placement({}, "all"))
    world.go(65)
    assert node.processes.launched
    world.lose(node.name)
    world.go(40)
    states = {row.worker: row.state for row in world.rows(job)}
    assert states["n.example.org"] is RunState.LOST


def test_a_one_shot_that_is_over_stands_nowhere(world: World) -> None:
    node = world.add("a")
    job = world.post(schedule="@at 2027-01-15T08:02:00Z")
    world.go(130)
    node.end()
    world.go(70)
    assert world.status(job) == "finished"
    assert world.holders(job) == []
    assert world.app.exists(paths.fence(Slot(job))) is None


def test_a_one_shot_in_error_keeps_its_retries(world: World) -> None:
    node = world.add("a")
    job = world.post(schedule="@at 2027-01-15T08:02:00Z", retries=1, retry_delay_seconds=120)
    world.go(125)
    node.end("failed", 1)
    world.go(60)
    assert world.status(job) == "error"
    world.go(90)
    node.end()
    world.go(70)
    assert world.status(job) == "finished"
    assert [row.state for row in world.rows(job)] == [RunState.FAILED, RunState.SUCCEEDED]
    assert world.app.exists(paths.fence(Slot(job))) is None


# The database away, and what should never happen


def test_jobs_of_a_lost_worker_move_while_the_database_is_away(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.add("a")
    world.add("b")
    job = world.post()
    world.turn()
    first = holder_of(world, job)
    world.lose(first.name)

    def away(*_: object, **__: object) -> None:
        raise DatabaseUnavailable("no database")

    for module, names in (
        (workers, ("save_seen", "settings", "save_places")),
        (jobs, ("jobs_after", "get_jobs")),
        (runs, ("record_runs",)),
    ):
        for name in names:
            monkeypatch.setattr(module, name, away)
    for _ in range(10):
        world.time.now += 5
        with pytest.raises(DatabaseUnavailable):
            world.manager._leader.step()
    (other,) = world.nodes.values()
    other.turn()
    assert world.holders(job) == [other.name]


def test_the_row_of_a_job_names_its_worker_even_if_a_leader_died_in_between(world: World) -> None:
    world.add("a")
    job = world.post()
    world.turn()
    workers.save_places(world.database, {job: "elsewhere"})
    world.go(35)
    row = jobs.get_job(world.database, job)
    assert row is not None
    assert row.worker == "a"


def test_a_job_held_by_a_run_of_which_nothing_is_left_is_freed(world: World) -> None:
    node = world.add("a")
    world.post()
    world.go(65)
    (claim,) = claims(world)
    path = f"{paths.runs('a')}/{claim}"
    world.app.delete(paths.owner(path))
    world.app.delete(path)
    node.processes.running.clear()
    world.go(90)
    assert len(node.processes.launched) >= 2


def test_a_failed_fetch_that_nobody_foresaw_ends_the_run(world: World) -> None:
    node = world.add("a")
    job = world.post(type=JobType.SCRIPT, sha256="0" * 64, schedule="1 * * * *")

    def broken(spec: object) -> Path:
        raise OSError("a disk that is not there")

    node.fetch = broken
    world.go(70)
    world.until(lambda: bool(world.rows(job)))
    assert [row.state for row in world.rows(job)] == [RunState.FAILED]
    assert "disk" in (world.rows(job)[0].reason or "")


def test_a_task_that_cannot_be_read_stops_nothing(world: World) -> None:
    node = world.add("a")
    job = world.post()
    world.turn()
    key = "m.01ARZ3NDEKTSV4RRFFQ69G5FAV"
    world.app.create(paths.task("a", Slot(job), key), b'{"v": 99}')
    world.go(65)
    assert len(node.processes.launched) == 1


def test_a_registration_that_cannot_be_read_stops_nothing(world: World) -> None:
    world.add("a")
    admit(world.app, "odd")
    world.app.create(paths.registration("odd"), b"{")
    job = world.post()
    world.turn()
    assert world.holders(job) == ["a"]


def test_a_row_that_the_database_refuses_stops_nothing_else_of_the_leader(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.add("a")
    world.add("b")
    first = world.post(on_worker_loss=OnWorkerLoss.FAIL)
    second = world.post(schedule="0 0 1 1 *")
    world.turn()
    node = holder_of(world, first)
    world.go(65)
    write = runs.record_runs

    def refusing(database: Database, rows: Sequence[RunRecord], now: float) -> None:
        if any(row.job_id == first for row in rows):
            raise DatabaseError("refused")
        write(database, rows, now)

    monkeypatch.setattr(runs, "record_runs", refusing)
    world.lose(node.name)
    for other in world.nodes.values():
        other.database_away = True  # only the leader writes
    world.go(40)
    remove(world, second)
    world.go(60)
    assert world.app.exists(paths.fence(Slot(second))) is None


def test_a_job_posted_after_a_drain_was_answered_never_stands_there(world: World) -> None:
    for name in ("a", "b"):
        world.add(name)
    world.turn()
    workers.set_drained(world.database, "a", True, world.time.now, "admin")
    ids = [world.post() for _ in range(4)]
    world.manager._leader.step()  # the very next pass, no time has gone by
    assert [fence(world, Slot(job)).holder for job in ids] == ["b"] * 4
