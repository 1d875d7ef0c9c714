"""What a worker does while something that it needs is away, and when that is back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from dcron_common import paths, timing
from dcron_common.coordinator.contract import ANY_VERSION, Stat, shared_with
from dcron_common.errors import FileUnavailable, LaunchError
from dcron_common.job import Concurrency, JobType, Spec
from dcron_common.paths import Slot
from dcron_common.protocol import Fence, Registration
from dcron_common.run import RunRecord, RunState
from dcron_worker.runner.model import Launch
from tests.in_process.world import START, Node, World

FILE = {"type": JobType.SCRIPT, "executable": "executables/x", "sha256": "0" * 64}


def refuse(spec: Spec) -> Path:
    raise FileUnavailable("the store does not answer")


def deliver(spec: Spec) -> Path:
    return Path("/bin/true")


def ask_for_the_file(world: World, node: Node, times: int) -> None:
    """Turn until the worker has asked the store so often, and has heard its answers."""
    asked: list[Spec] = []
    behind, node.fetch = node.fetch, lambda spec: (asked.append(spec), behind(spec))[1]

    def heard() -> bool:
        world.time.now += 1
        return len(asked) >= times

    world.until(heard)
    node.fetch = behind


def of_minute(world: World, job: int, minute: int) -> list[RunRecord]:
    return [row for row in world.rows(job) if row.scheduled_at == minute]


def test_a_file_that_cannot_be_had_now_is_asked_for_again_and_run(world: World) -> None:
    node = world.add("a")
    job = world.post(**FILE, starting_deadline_seconds=600)
    node.fetch = refuse
    world.go(65)
    ask_for_the_file(world, node, 2)
    assert not node.processes.launched and world.rows(job) == []
    node.fetch = deliver
    ask_for_the_file(world, node, 1)
    world.until(lambda: bool(node.processes.launched))
    assert node.last_minute == str(START + 60)
    node.end()
    world.turn()
    assert [row.state for row in of_minute(world, job, START + 60)] == [RunState.SUCCEEDED]


def test_a_file_that_does_not_come_within_the_starting_deadline_fails_the_run(
    world: World,
) -> None:
    node = world.add("a")
    job = world.post(**FILE, starting_deadline_seconds=30)
    node.fetch = refuse
    world.go(65)

    def failed() -> bool:
        world.time.now += 1
        return bool(of_minute(world, job, START + 60))

    world.until(failed)
    (row,) = of_minute(world, job, START + 60)
    assert (row.state, row.started_at) == (RunState.FAILED, None)
    assert row.reason == "the store does not answer (until its starting deadline of 30 s)"
    assert world.status(job) == "error"


def test_a_run_whose_file_is_cached_needs_no_store(world: World) -> None:
    node = world.add("a")
    world.post(**{**FILE, "executable": "executables/away"})
    world.post(**{**FILE, "executable": "executables/cached"})
    node.fetch = lambda spec: (deliver if "cached" in spec.executable else refuse)(spec)
    world.go(65)
    world.until(lambda: len(node.processes.launched) == 1)
    assert node.processes.launched[0].job_id == 2


def test_a_run_that_waits_for_its_file_gives_way_to_the_one_that_replaces_it(
    world: World,
) -> None:
    node = world.add("a")
    job = world.post(**FILE, concurrency=Concurrency.REPLACE)
    node.fetch = refuse
    world.go(65)
    ask_for_the_file(world, node, 1)
    world.go(60)
    assert [row.state for row in of_minute(world, job, START + 60)] == [RunState.KILLED]


@pytest.mark.parametrize("state", ["paused", "removed"])
def test_p15_a_run_that_waits_for_its_file_is_not_started_after_its_job_was_stopped(
    world: World, state: str
) -> None:
    node = world.add("a")
    job = world.post(**FILE)
    node.fetch = refuse
    world.go(65)
    ask_for_the_file(world, node, 1)
    known = world.app.get(paths.fence(Slot(job)))
    fence = replace(Fence.decode(known.data), state=state)
    world.app.set(paths.fence(Slot(job)), fence.encode(), known.stat.version)
    node.fetch = deliver
    for _ in range(10):
        world.time.now += 1
        node.turn()
    assert not node.processes.launched
    (row,) = of_minute(world, job, START + 60)
    assert row.state is RunState.SKIPPED
    assert row.reason is not None and f"the job was {state}" in row.reason


def test_p15_a_run_that_waits_is_started_as_its_job_is_by_then(world: World) -> None:
    node = world.add("a")
    job = world.post()
    disk = FullDisk(node)
    world.go(65)
    (held,) = node.book.held.values()
    changed = replace(held.spec, revision=2, executable="echo changed")
    world.app.create(
        paths.assignment("a", Slot(job), paths.Edition(2)),
        changed.encode(),
        access=shared_with("a", "r"),
    )
    known = world.app.get(paths.fence(Slot(job)))
    fence = replace(Fence.decode(known.data), revision=2)
    world.app.set(paths.fence(Slot(job)), fence.encode(), known.stat.version)
    disk.free()
    node.turn()
    assert [launch.job_id for launch in node.processes.launched] == [job]
    assert node.processes.launched[0].argv[2] == "echo changed"


def test_a_run_that_the_launcher_took_without_answering_goes_on(world: World) -> None:
    node = world.add("a")
    job = world.post(starting_deadline_seconds=30)
    disk = FullDisk(node, takes=True)
    world.go(120)
    assert len({launch.run_id for launch in node.processes.launched}) == 1
    assert of_minute(world, job, START + 60) == []
    disk.free()
    node.end()
    world.turn()
    assert [row.state for row in of_minute(world, job, START + 60)] == [RunState.SUCCEEDED]


class FullDisk:
    """The launcher's answer while there is no room to write a launch down; `takes`: the answer
    is wrong, as after a lost connection."""

    def __init__(self, node: Node, *, takes: bool = False) -> None:
        self._node = node
        self._takes = takes
        self._start = node.processes.start
        node.processes.start = self._refuse  # type: ignore[method-assign]  # a fault

    def _refuse(self, launches: Sequence[Launch]) -> None:
        if self._takes:
            self._start([one for one in launches if one.run_id not in self._node.processes.running])
        raise LaunchError("the launcher refused start: OSError: [Errno 28] No space left on device")

    def free(self) -> None:
        self._node.processes.start = self._start  # type: ignore[method-assign]  # and its end


def test_without_room_on_the_disk_nothing_is_launched_until_there_is(world: World) -> None:
    node = world.add("a")
    job = world.post()
    disk = FullDisk(node)
    world.go(70)
    assert not node.processes.launched
    disk.free()
    world.turn()
    assert node.last_minute == str(START + 60)
    node.end()
    world.turn()
    assert [row.state for row in world.rows(job)] == [RunState.SUCCEEDED]


def test_without_room_until_the_starting_deadline_the_run_fails_and_says_so(world: World) -> None:
    node = world.add("a")
    job = world.post(starting_deadline_seconds=30, schedule="* * * * *")
    FullDisk(node)
    world.go(100)
    (row,) = of_minute(world, job, START + 60)
    assert (row.state, row.started_at) == (RunState.FAILED, None)
    assert row.reason is not None and "No space left on device" in row.reason
    assert "starting deadline of 30 s" in row.reason


def due_without_hints(world: World, node: Node, seconds: float) -> None:
    """Time passes, crond says nothing, and the daemon goes on with its passes."""
    end = world.time.now + seconds
    while world.time.now < end:
        world.time.now += 5
        node.silence += 5
        node.membership.beat()
        for _ in range(2):
            node.daemon._hear(0.0)
            node.daemon.step()


def test_with_crond_silent_the_daemon_ticks_and_has_it_restarted(world: World) -> None:
    node = world.add("a")
    job = world.post(concurrency=Concurrency.ALLOW)
    world.turn()
    due_without_hints(world, node, 85)
    assert (len(node.processes.launched), node.restarts) == (0, 0)
    due_without_hints(world, node, 60)
    launched = [(launch.job_id, launch.key) for launch in node.processes.launched]
    assert launched == [(job, str(START + 60)), (job, str(START + 120))]
    assert node.restarts == 1
    seen = Registration.decode(world.app.get(paths.registration("a")).data)
    assert seen.ill == ["crond"]


def test_a_crond_that_stays_silent_is_not_restarted_all_the_time(world: World) -> None:
    node = world.add("a")
    world.turn()
    due_without_hints(world, node, 3600)
    assert 8 <= node.restarts <= 3600 / timing.RESTART_AGAIN


def test_a_crond_that_ticks_again_is_well(world: World) -> None:
    node = world.add("a")
    world.turn()
    due_without_hints(world, node, 120)
    node.silence = 0.0
    due_without_hints(world, node, 10)
    assert Registration.decode(world.app.get(paths.registration("a")).data).ill == []


def test_a_restart_that_cannot_be_asked_for_ends_no_pass(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = world.add("a")
    world.post()
    asked: list[float] = []

    def fail() -> None:
        asked.append(world.time.now)
        raise OSError("read-only")

    monkeypatch.setattr(node, "_restart_crond", fail)
    node.build()  # a daemon that was given this
    world.turn()
    due_without_hints(world, node, 150)
    assert len(asked) == 1
    assert node.processes.launched and node.restarts == 0


def test_a_leader_whose_clock_is_wrong_accounts_for_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer, off = world.app.set, [3.0]

    def told(path: str, data: bytes, version: int = ANY_VERSION) -> Stat:
        return replace(answer(path, data, version), modified_at=world.time.now - off[0])

    monkeypatch.setattr(world.app, "set", told)
    job = world.post(starting_deadline_seconds=10)  # and no worker is there to have it
    world.go(400)
    assert world.rows(job) == []
    off[0] = 0.5
    world.go(10)
    assert {row.state for row in world.rows(job)} == {RunState.MISSED}
