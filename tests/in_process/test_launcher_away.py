"""What a worker does while no launcher answers it, and where its jobs go."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from dcron_common import paths
from dcron_common.errors import LaunchError
from dcron_common.job import Placement
from dcron_common.paths import Slot
from dcron_common.protocol import Fence, Registration
from dcron_common.run import RunState
from dcron_worker.runner import client
from dcron_worker.runner.client import Runner
from tests.in_process.world import START, Node, Processes, World


class Away:
    """A node's launcher that does not answer, until it is `back`."""

    def __init__(self, node: Node) -> None:
        self._launcher = node.processes
        for name in ("start", "known", "names", "kill", "acknowledge"):
            setattr(self._launcher, name, self._fail)

    def _fail(self, *asked: object) -> None:
        raise LaunchError("no launcher answers")

    def back(self) -> None:
        for name in ("start", "known", "names", "kill", "acknowledge"):
            delattr(self._launcher, name)


def ill(world: World, name: str) -> list[str]:
    return Registration.decode(world.app.get(paths.registration(name)).data).ill


def fence(world: World, slot: Slot) -> Fence:
    return Fence.decode(world.app.get(paths.fence(slot)).data)


def go(world: World, seconds: int) -> None:
    """As World.go; registrations are brought up to date on the way."""
    for _ in range(seconds // 5):
        world.go(5)
        for node in world.nodes.values():
            node.membership.beat()


def keys(processes: Processes) -> list[str]:
    return [launch.key for launch in processes.launched]


def test_jobs_leave_a_worker_whose_launcher_does_not_answer(world: World) -> None:
    node = world.add("a")
    job = world.post(starting_deadline_seconds=60)
    world.turn()
    other = world.add("b")
    Away(node)
    go(world, 65)
    assert ill(world, "a") == ["launcher"]
    assert fence(world, Slot(job)).holder == "b"
    assert keys(other.processes) == [str(START + 60)]
    assert world.rows(job) == [], "nothing was missed"


def test_a_worker_without_a_launcher_claims_nothing_until_it_is_back(world: World) -> None:
    node = world.add("a")
    job = world.post()
    world.turn()
    away = Away(node)
    go(world, 130)
    assert fence(world, Slot(job)).holder == "a", "nobody else could have it"
    assert world.app.children(paths.runs("a")) == []
    away.back()
    go(world, 5)
    assert keys(node.processes) == [str(START + 120)]
    assert ill(world, "a") == []


def test_a_retry_waits_for_the_launcher(world: World) -> None:
    node = world.add("a")
    world.post(retries=1, retry_delay_seconds=10, schedule="1 * * * *")
    world.go(65)
    node.end("failed", 1)
    world.turn()
    away = Away(node)
    go(world, 30)
    (opened,) = node.book.claims.values()
    assert opened.claim.not_before is not None, "it has not begun, and others may take it over"
    away.back()
    go(world, 5)
    assert [launch.attempt for launch in node.processes.launched] == [1, 2]


def test_a_run_that_ended_is_told_without_the_launcher(world: World) -> None:
    node = world.add("a")
    job = world.post()
    world.go(65)
    node.end()
    Away(node)
    go(world, 10)
    assert fence(world, Slot(job)).active is None
    assert [row.state for row in world.rows(job)] == [RunState.SUCCEEDED]


def test_a_place_on_all_stays_with_the_worker_and_is_caught_up(world: World) -> None:
    node = world.add("a")
    job = world.post(placement=Placement({}, "all"))
    world.turn()
    world.add("b")
    away = Away(node)
    go(world, 65)
    assert fence(world, Slot(job, "a")).holder == "a"
    away.back()
    go(world, 5)
    assert keys(node.processes) == [str(START + 60)]


def test_a_launcher_that_stays_away_is_waited_for_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner = Runner(tmp_path / "socket", tmp_path)
    monkeypatch.setattr(client, "RECONNECT_SECONDS", 0.0)
    with pytest.raises(LaunchError):
        runner.names()
    monkeypatch.setattr(client, "RECONNECT_SECONDS", 1e6)
    failed: list[LaunchError] = []

    def ask() -> None:
        try:
            runner.acknowledge(["x"])
        except LaunchError as error:
            failed.append(error)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(60)
    assert failed
