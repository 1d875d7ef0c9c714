"""Retention of outputs, removed jobs and files."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from dcron_app.manager.retention_pace import Done
from dcron_common import paths
from dcron_common.db import histories, jobs, old_runs
from dcron_common.errors import DatabaseUnavailable, ObjectStoreUnavailable
from dcron_common.job import JobType
from dcron_common.object_store.contract import EXECUTABLES, executable_key, output_key, retired_key
from dcron_common.paths import Slot
from dcron_common.run import RunRecord
from tests.in_process.rounds import DAY, DIGEST, SCRIPT, Rounds, count, past
from tests.in_process.world import World
from tests.unit.app.api_client import Api

# -- outputs


def with_outputs(world: World, job: int, *minutes: int) -> list[RunRecord]:
    made = past(world, job, *minutes, output_url="there", output_tail="the end")
    for one in made:
        world.store.put(output_key("a", one.run_id), b"whole")
    return made


def test_outputs_go_with_their_runs(world: World, rounds: Callable[..., Rounds]) -> None:
    job = world.post(paused=True)
    made = with_outputs(world, job, *range(1, 11))
    done = rounds(runs_per_job=4).round()
    assert (done.runs, done.outputs) == (6, 6)
    kept = {one.run_id for one in world.rows(job)}
    for one in made:
        assert world.store.exists(output_key("a", one.run_id)) is (one.run_id in kept)


def test_with_the_store_away_runs_with_an_output_wait_and_others_go(
    world: World, rounds: Callable[..., Rounds], monkeypatch: pytest.MonkeyPatch
) -> None:
    job = world.post(paused=True)
    with_outputs(world, job, *range(1, 11, 2))
    past(world, job, *range(2, 11, 2))
    kept = rounds(runs_per_job=4)

    def away(key: str) -> None:
        raise ObjectStoreUnavailable("the store does not answer")

    with monkeypatch.context() as patch:
        patch.setattr(world.store, "delete", away)
        assert kept.round().whole is False
    assert count(world, job) == 7
    assert kept.round().whole is True
    assert count(world, job) == 4


def test_a_crash_between_output_and_row_leaves_a_row_that_the_next_round_removes(
    world: World, rounds: Callable[..., Rounds], api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = world.post(paused=True)
    made = with_outputs(world, job, *range(1, 11))
    kept = rounds(runs_per_job=4)

    def crash(*args: object, **more: object) -> int:
        raise DatabaseUnavailable("it is away")

    with monkeypatch.context() as patch:
        patch.setattr(old_runs, "drop_runs", crash)
        kept.hand_over()
        assert kept.retention.step(kept.rest) is None
    answer = api.get(f"/jobs/{job}/runs/{made[-1].run_id}/output")
    assert (answer.status, answer.body) == (200, b"the end")
    kept.round()
    assert count(world, job) == 4


def test_an_output_that_no_run_names_goes_when_it_is_old(
    world: World, rounds: Callable[..., Rounds]
) -> None:
    job = world.post(paused=True)
    (known,) = with_outputs(world, job, 1)
    stray = "9" * 26
    world.store.put(output_key("a", stray), b"whole")
    kept = rounds(runs_per_job=4)
    aged(world, "outputs/a", 6 * DAY)
    assert kept.round().strays == 0
    aged(world, "outputs/a", 8 * DAY)
    assert kept.round().strays == 1
    assert not world.store.exists(output_key("a", stray))
    assert world.store.exists(output_key("a", known.run_id))


# -- removed jobs and files


def test_a_removed_job_goes_wholly_after_its_time_and_its_fence(
    world: World, rounds: Callable[..., Rounds], api: Api
) -> None:
    node = world.add("a")
    job = world.post()
    world.go(120)
    assert api.delete(f"/jobs/{job}").status == 200
    kept = rounds(removed_job_days=2)
    world.time.now += 3 * DAY
    node.membership.try_to_beat()
    kept.round()
    assert jobs.get_job(world.database, job) is not None, "a run of it goes on"
    for _ in list(node.processes.running):
        node.end()
    world.go(60)
    assert world.app.exists(paths.fence(Slot(job))) is None
    done = kept.round()
    assert done.jobs == 1
    assert api.get(f"/jobs/{job}").status == 404
    assert count(world, job) == 0
    assert histories.spans_of(world.database, job) == []


def test_a_removed_job_stays_while_it_has_a_fence(
    world: World, rounds: Callable[..., Rounds]
) -> None:
    world.add("a")
    job = world.post(schedule="0 0 1 1 *")
    world.turn()
    kept = rounds(removed_job_days=2)
    jobs.remove_job(world.database, job, world.time.now - 3 * DAY, "ann")
    assert world.manager._leader._view is not None
    kept.retention._due_at = 0.0
    kept.retention.lead(world.manager._leader._view)  # which has not heard of it
    assert kept.retention.step(kept.rest) == Done()
    assert jobs.get_job(world.database, job) is not None
    world.go(60)
    assert kept.round().jobs == 1


def test_a_job_that_was_removed_lately_stays(world: World, rounds: Callable[..., Rounds]) -> None:
    job = world.post()
    jobs.remove_job(world.database, job, world.time.now, "ann")
    rounds(removed_job_days=2).round()
    assert jobs.get_job(world.database, job) is not None


def test_runs_of_a_job_that_the_record_forgot_go_too(
    world: World, rounds: Callable[..., Rounds]
) -> None:
    past(world, 99, 1, 2, 3 * DAY // 60)
    rounds(removed_job_days=2).round()
    assert count(world, 99) == 2


def aged(world: World, prefix: str, seconds: float) -> None:
    """Objects below it were last put so long ago."""
    root = Path(world.store.url("x").removeprefix("file://")).parent
    for path in (root / prefix).rglob("*"):
        if path.is_file():
            os.utime(path, (world.time.now - seconds, world.time.now - seconds))


def script(world: World) -> int:
    world.store.put(executable_key(DIGEST), SCRIPT)
    return world.post(
        type=JobType.SCRIPT,
        executable=executable_key(DIGEST),
        sha256=DIGEST,
        filename="a.sh",
        paused=True,
    )


def files(world: World) -> list[str]:
    found = [*world.store.listed(EXECUTABLES), *world.store.listed("retired/")]
    return [one.key.partition("/")[0] for one in found]


def test_a_file_stays_as_long_as_a_job_names_it(
    world: World, rounds: Callable[..., Rounds]
) -> None:
    job = script(world)
    jobs.remove_job(world.database, job, world.time.now, "ann")
    aged(world, "executables", 100 * DAY)
    rounds(removed_job_days=200).round()
    assert files(world) == ["executables"]


def test_a_file_that_was_just_put_stays(world: World, rounds: Callable[..., Rounds]) -> None:
    world.store.put(executable_key(DIGEST), SCRIPT)
    aged(world, "executables", 0.9 * DAY)
    rounds().round()
    assert files(world) == ["executables"]


def test_a_file_that_no_job_names_goes_in_steps(
    world: World, rounds: Callable[..., Rounds]
) -> None:
    world.store.put(executable_key(DIGEST), SCRIPT)
    kept = rounds()
    aged(world, "executables", 2 * DAY)
    assert kept.round().files == 0
    assert files(world) == ["executables", "retired"]
    aged(world, "executables", 8 * DAY)
    aged(world, "retired", 6 * DAY)
    assert kept.round().files == 0
    aged(world, "retired", 7.5 * DAY)
    assert kept.round().files == 1
    assert files(world) == ["retired"]
    aged(world, "retired", 0.9 * DAY)
    kept.round()
    assert files(world) == ["retired"]
    aged(world, "retired", 1.1 * DAY)
    kept.round()
    assert files(world) == []


def test_a_file_that_is_named_again_is_put_back(
    world: World, rounds: Callable[..., Rounds]
) -> None:
    """A POST has put it, it was removed, and then the POST committed."""
    job = script(world)
    world.store.delete(executable_key(DIGEST))
    world.store.put(retired_key(DIGEST), SCRIPT)
    kept = rounds()
    kept.round()
    assert files(world) == ["executables"]
    row = jobs.get_job(world.database, job)
    assert row is not None
    assert world.store.get(row.executable) == SCRIPT


def test_a_file_that_is_named_while_it_is_removed_is_put_back_at_once(
    world: World, rounds: Callable[..., Rounds], monkeypatch: pytest.MonkeyPatch
) -> None:
    world.store.put(executable_key(DIGEST), SCRIPT)
    world.store.put(retired_key(DIGEST), SCRIPT)
    kept = rounds()
    delete = world.store.delete

    def delete_late(key: str) -> None:
        """This host stands still before it, and somebody posts the file."""
        script(world)
        delete(key)

    aged(world, "executables", 9 * DAY)
    aged(world, "retired", 8 * DAY)
    with monkeypatch.context() as patch:
        patch.setattr(world.store, "delete", delete_late)
        assert kept.round().files == 0
    assert world.store.get(executable_key(DIGEST)) == SCRIPT


def test_a_file_that_is_put_again_has_its_time_anew(
    world: World, rounds: Callable[..., Rounds]
) -> None:
    world.store.put(retired_key(DIGEST), SCRIPT)
    world.store.put(executable_key(DIGEST), SCRIPT)
    kept = rounds()
    aged(world, "retired", 9 * DAY)
    aged(world, "executables", 0.5 * DAY)
    kept.round()
    assert files(world) == ["executables"]
