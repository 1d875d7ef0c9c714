"""A worker whose clock is ahead uses up no minutes to come (P2)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from dcron_common import paths, timing
from dcron_common.clock import Clock
from dcron_common.coordinator.contract import ANY_VERSION, Stat
from dcron_common.errors import ConnectionLost
from dcron_common.job import OnIsolation
from dcron_common.paths import Slot
from dcron_common.protocol import Fence
from tests.in_process.look import unaccounted
from tests.in_process.world import START, Node, Time, World

YEAR = 365 * 86400


@dataclass
class Skewed(Time):
    """A node's clock that is `ahead` of the world's by so many seconds."""

    world: Time | None = None
    ahead: float = 0.0

    def clock(self) -> Clock:
        return Clock(wall=lambda: self._true() + self.ahead, boot=self._true)

    def _true(self) -> float:
        assert self.world is not None
        return self.world.now


@pytest.fixture
def node(world: World) -> Node:
    """Its service tells its time with each beat."""
    node = world.add("a")
    answer = node.session.set

    def told(path: str, data: bytes, version: int = ANY_VERSION) -> Stat:
        return replace(answer(path, data, version), modified_at=world.time.now)

    node.session.set = told  # type: ignore[method-assign]  # the local service has no clock
    return node


def skew(world: World, node: Node, ahead: float) -> Skewed:
    """A new life of the daemon, by a clock that is ahead."""
    clock = Skewed(world=world.time, ahead=ahead)
    node._time = clock
    node.build()
    return clock


def fence(world: World, job: int) -> Fence:
    return Fence.decode(world.app.get(paths.fence(Slot(job))).data)


def minutes(node: Node) -> list[int]:
    return [(int(launch.key) - START) // 60 for launch in node.processes.launched]


def set_mark(world: World, job: int, mark: int) -> None:
    known = world.app.get(paths.fence(Slot(job)))
    ahead = replace(Fence.decode(known.data), mark=mark)
    world.app.set(paths.fence(Slot(job)), ahead.encode(), known.stat.version)


def test_p2_a_clock_that_is_ahead_fires_by_the_services_time(world: World, node: Node) -> None:
    job = world.post()
    world.turn()
    skew(world, node, YEAR)
    for at in range(1, 4):
        world.time.now = START + 60 * at - timing.CLOCK_OFFSET - 1
        node.membership.beat()
        world.turn()
        assert minutes(node) == list(range(1, at))
        world.time.now = START + 60 * at
        node.membership.beat()
        node.daemon.step()  # without a hint: crond's own came long ago
        assert minutes(node) == list(range(1, at + 1))
        node.end()
        world.turn()
    assert fence(world, job).mark == START + 180


def test_p2_a_minute_that_was_hinted_before_its_time_does_not_wait_for_the_next_hint(
    world: World, node: Node
) -> None:
    world.post()
    world.turn()
    clock = skew(world, node, timing.CLOCK_OFFSET + 1)
    world.time.now = START + 60 - timing.CLOCK_OFFSET - 0.5  # by its clock the minute has begun
    node.turn()
    assert minutes(node) == []
    clock.ahead = 0.0  # set right before the minute comes, of which crond has said all it will
    node.membership.beat()
    world.time.now = START + 60.5
    node.daemon.step()
    assert minutes(node) == [1]


def test_p2_a_clock_that_steps_ahead_between_two_beats_is_not_followed(
    world: World, node: Node
) -> None:
    job = world.post()
    world.turn()
    clock = skew(world, node, 0.0)
    clock.ahead = YEAR
    node.turn()
    assert fence(world, job).mark < START + 60


def test_p2_nothing_is_claimed_before_the_services_time_is_known(
    world: World, node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = world.post()
    world.turn()
    world.time.now += 65

    def lost() -> None:
        raise ConnectionLost("the first beat")

    monkeypatch.setattr("dcron_worker.membership.Membership.beat", lambda self: lost())
    node.build()
    node.turn()
    assert node.processes.launched == []
    monkeypatch.undo()
    node.membership.beat()
    node.turn()
    assert {launch.job_id for launch in node.processes.launched} == {job}


def test_p9_a_clock_that_is_ahead_fires_by_the_services_time_when_cut_off(
    world: World, node: Node
) -> None:
    world.post(on_isolation=OnIsolation.RUN)
    world.turn()
    skew(world, node, YEAR)
    node.turn()
    node.cut()
    for _ in range(13):
        world.time.now += 5
        node.isolated_turn()
    assert minutes(node) == [1]


def test_a_mark_that_is_ahead_of_time_is_set_back(world: World, node: Node) -> None:
    job = world.post()
    world.turn()
    set_mark(world, job, START + YEAR)
    node.build()
    world.go(180)
    assert minutes(node)[:1] == [1]
    assert fence(world, job).mark == START + 180


def test_p2_what_ran_ahead_of_time_does_not_run_again(
    world: World, node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock of ZooKeeper's leader is 300 s ahead, and so is that of the worker beside it."""
    job = world.post()
    world.turn()
    ahead = [300.0]
    answer = node.session.set

    def told(path: str, data: bytes, version: int = ANY_VERSION) -> Stat:
        return replace(answer(path, data, version), modified_at=world.time.now + ahead[0])

    node.session.set = told  # type: ignore[method-assign]  # the local service has no clock
    clock = skew(world, node, ahead[0])
    for _ in range(4):
        world.time.now += 60
        node.turn()
        node.end()
        node.turn()
    early = len(node.processes.launched)
    assert early == 4 and minutes(node)[0] > 5
    ahead[0] = clock.ahead = 0.0  # they are put right
    node.turn()
    for _ in range(8):
        world.go(60)
        while any(run not in node.processes.ends for run in node.processes.running):
            node.end()
        world.turn()
    found = minutes(node)
    assert len(found) > early and found == sorted(set(found))
    assert unaccounted(world, job) == []


def test_a_mark_that_is_ahead_stays_while_a_run_above_is_under_way(
    world: World, node: Node
) -> None:
    job = world.post()
    world.turn()
    set_mark(world, job, START + YEAR)
    claim = paths.claim("b", Slot(job), str(START + YEAR))
    world.app.ensure(paths.runs("b"))
    world.app.ensure(paths.tasks("b"))
    world.app.create(claim, b"{}")
    world.manager._leader._compare_at = 0.0
    world.go(60)
    assert fence(world, job).mark == START + YEAR
    world.app.delete(claim)
    world.go(10)
    assert fence(world, job).mark <= world.time.now
