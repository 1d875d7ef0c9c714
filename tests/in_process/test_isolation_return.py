"""P9: a worker that was cut off is back, and what it launched meanwhile still counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from dcron_app.api.announce import announce, write_fences
from dcron_common import paths
from dcron_common.coordinator.contract import Operation, shared_with
from dcron_common.db import editing, jobs
from dcron_common.errors import ConnectionLost, FileUnavailable
from dcron_common.ids import ulid
from dcron_common.job import Concurrency, JobType, OnIsolation, Spec
from dcron_common.paths import Slot
from dcron_common.protocol import Kill, Task
from dcron_common.run import RunState, Trigger, manual_key
from dcron_worker.daemon import Due
from dcron_worker.runner.model import Started
from tests.in_process.asking import JOB, below, kill, made, nothing_is_left
from tests.in_process.test_isolation import cut_off, fence, minutes
from tests.in_process.world import START, Node, World
from tests.unit.app.api_client import Api


@pytest.fixture
def node(world: World) -> Node:
    return world.add("a")


def alive(node: Node) -> list[str]:
    """Keys of processes that have not ended."""
    processes = node.processes
    return [one.key for run_id, one in processes.running.items() if run_id not in processes.ends]


def ask(world: World, job: int) -> str:
    """A manual run, on worker a; its key."""
    key = manual_key(ulid(world.time.now))
    task = Task(Trigger.MANUAL, 1, 0).encode()
    world.app.create(paths.task("a", Slot(job), key), task, access=shared_with("a", "r"))
    return key


def test_p11_a_manual_run_does_not_start_beside_an_isolated_one(world: World, node: Node) -> None:
    job = world.post(on_isolation=OnIsolation.RUN)
    world.turn()
    node.cut()
    cut_off(world, node, 65)
    (isolated,) = alive(node)
    node.heal()
    world.go(10)
    key = ask(world, job)
    world.go(10)
    assert alive(node) == [isolated]
    node.end()
    world.go(10)
    assert alive(node) == [key], "it waited for the end of the other"


def test_p11_a_retry_does_not_start_beside_an_isolated_run(world: World, node: Node) -> None:
    world.post(on_isolation=OnIsolation.RUN, retries=1, retry_delay_seconds=100)
    world.go(65)
    node.end("failed", 1)
    world.go(5)
    node.cut()
    cut_off(world, node, 60)
    assert minutes(node) == [1, 2]
    node.heal()
    world.go(120)
    assert len(alive(node)) == 1
    node.end()
    world.go(10)
    assert [launch.attempt for launch in node.processes.launched] == [1, 1, 2]


def test_p12_no_attempt_starts_beside_an_isolated_one_of_its_minute(
    world: World, node: Node
) -> None:
    """The minute ran elsewhere too, was lost there, and is to be resumed here."""
    job = world.post(on_isolation=OnIsolation.RUN, concurrency=Concurrency.ALLOW)
    world.turn()
    node.cut()
    cut_off(world, node, 65)
    (isolated,) = alive(node)
    node.heal()
    world.go(5)
    task = Task(Trigger.RESUME, 2, 0).encode()
    goal = paths.task("a", Slot(job), isolated)
    world.app.create(goal, task, access=shared_with("a", "r"))
    world.go(10)
    assert [launch.attempt for launch in node.processes.launched] == [1]
    node.end()
    world.go(10)
    assert [(one.key, one.attempt) for one in node.processes.launched] == [
        (isolated, 1),
        (isolated, 2),
    ]


def wait_for_its_file(world: World, node: Node) -> int:
    """A job of which one minute was launched in isolation, and waits for its file; the worker is
    back."""
    job = world.post(on_isolation=OnIsolation.RUN, type=JobType.SCRIPT, sha256="0" * 64)
    world.turn()

    def away(spec: Spec) -> Path:
        raise FileUnavailable("the store is away")

    node.fetch = away
    node.cut()
    cut_off(world, node, 65)
    node._executor.submit(int).result()  # after the try before it
    node.isolated_turn()
    node.heal()
    world.turn()
    assert minutes(node) == [] and alive_by_book(node, job)
    return job


def alive_by_book(node: Node, job: int) -> bool:
    return node.book.unclaimed.alive(job) is not None


def fetched(spec: Spec) -> Path:
    return Path("/bin/true")


@pytest.mark.parametrize("state", ["removed", "paused", "active"])
def test_p15_what_waits_for_its_file_does_not_start_once_its_job_is_stopped(
    world: World, node: Node, api: Api, state: str
) -> None:
    job = wait_for_its_file(world, node)
    if state == "removed":
        api.call("DELETE", f"/jobs/{job}")
    elif state == "paused":
        api.call("POST", f"/jobs/{job}/pause")
    else:  # another worker had it meanwhile
        before = fence(world, job)
        moved = replace(before, epoch=before.epoch + 2)
        world.app.set(paths.fence(Slot(job)), moved.encode())
    assert fence(world, job).state == state
    node.fetch = fetched
    world.until(lambda: bool(world.rows(job)))
    world.go(10)
    assert minutes(node) == []
    (row_of_it,) = [one for one in world.rows(job) if one.isolated]
    assert (row_of_it.state, row_of_it.scheduled_at) == (RunState.SKIPPED, START + 60)
    assert "removed, paused or moved" in str(row_of_it.reason)


def test_p15_what_waits_for_its_file_starts_as_its_job_is_by_now(world: World, node: Node) -> None:
    job = wait_for_its_file(world, node)
    before = jobs.get_job(world.database, job)
    assert before is not None
    spec = replace(jobs.spec_of(before), sha256="1" * 64)
    row = editing.update_job(
        world.database, before, jobs.NewJob(spec, "admin", {}), world.time.now, "admin"
    )
    write_fences(world.app, row)
    announce(world.app, row.id, row.revision)
    wanted: list[str | None] = []

    def note(spec: Spec) -> Path:
        wanted.append(spec.sha256)
        return Path("/bin/true")

    node.fetch = note
    world.until(lambda: bool(node.processes.launched))
    assert minutes(node) == [1]
    assert wanted[-1] == "1" * 64


def test_p9_what_waits_for_its_file_starts_once_it_is_there(world: World, node: Node) -> None:
    wait_for_its_file(world, node)
    node.fetch = fetched
    world.until(lambda: bool(node.processes.launched))
    world.go(10)
    assert minutes(node) == [1]
    assert node.processes.launched[0].isolated


def lose_the_answer(world: World, node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """Minute 1 is claimed; the worker is cut off before it hears so."""
    world.time.now = START + 61
    node.membership.try_to_beat()
    commit = node.session.commit_many

    def lossy(transactions: Sequence[Sequence[Operation]]) -> list[ConnectionLost]:
        commit(transactions)
        node.cut()
        return [ConnectionLost("cut") for _ in transactions]

    node.inbox.put(Due())
    node.daemon._hear(0.0)
    with monkeypatch.context() as patched, pytest.raises(ConnectionLost):
        patched.setattr(node.session, "commit_many", lossy)
        node.daemon.step()
    node.daemon._changed = True
    assert minutes(node) == []


def test_p3_a_claim_in_doubt_is_closed_where_its_minute_ran_isolated(
    world: World, node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = world.post(on_isolation=OnIsolation.RUN)
    world.turn()
    lose_the_answer(world, node, monkeypatch)
    cut_off(world, node, 30)
    assert minutes(node) == [1]
    node.heal()
    world.go(15)
    assert minutes(node) == [1]
    node.end()
    world.go(5)
    rows = world.rows(job)
    assert {(row.isolated, row.state) for row in rows} == {
        (False, RunState.SKIPPED),
        (True, RunState.SUCCEEDED),
    }


def test_p3_a_claim_in_doubt_of_a_short_cut_runs_once(
    world: World, node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing was launched in isolation: the minute is still to be run."""
    world.post(on_isolation=OnIsolation.RUN)
    world.turn()
    lose_the_answer(world, node, monkeypatch)
    node.heal()
    world.go(15)
    assert minutes(node) == [1]


def isolated_run(world: World, node: Node, api: Api) -> tuple[int, str]:
    """A job, and its run without a claim: the worker is cut off, the record knows that it runs."""
    job = made(api, {**JOB, "on_isolation": "run"})
    world.turn()
    node.cut()
    cut_off(world, node, 65)
    (run,) = node.processes.running
    node.inbox.put(Started(run, 1, world.time.now))
    node.isolated_turn()
    return job, run


def test_p9_an_isolated_run_is_ended_on_request_once_its_worker_is_back(
    world: World, node: Node, api: Api
) -> None:
    job, run = isolated_run(world, node, api)
    node.heal()
    world.go(10)
    assert kill(api, job, run) == 202
    node.turn()
    assert set(node.processes.killed) == {run}
    assert below(world, paths.KILLS), "until it has ended"
    node.end("killed", None)
    world.go(5)
    assert [row.state for row in world.rows(job) if row.isolated] == [RunState.KILLED]
    assert nothing_is_left(world)
    assert kill(api, job, run) == 409


def test_p9_an_isolated_run_cannot_be_ended_while_its_worker_is_away(
    world: World, node: Node, api: Api
) -> None:
    job, run = isolated_run(world, node, api)
    node.expire()
    answer = api.call("POST", f"/jobs/{job}/runs/{run}/kill")
    assert answer.status == 409
    assert "worker a started it while it was cut off" in answer.json["detail"]
    assert not below(world, paths.KILLS)


def test_p9_the_wait_for_a_file_is_ended_on_request(world: World, node: Node) -> None:
    job = wait_for_its_file(world, node)
    (run,) = node.book.unclaimed.runs
    request = paths.kill("a", Slot(job), str(START + 60))
    world.app.create(request, Kill(run, "ann").encode(), access=shared_with("a", "r"))
    world.turn()
    node.fetch = fetched
    node._executor.submit(int).result()  # after a try that was under way
    world.go(10)
    (row,) = [one for one in world.rows(job) if one.isolated]
    assert (row.state, row.reason) == (RunState.KILLED, "ended by user ann")
    assert minutes(node) == []
