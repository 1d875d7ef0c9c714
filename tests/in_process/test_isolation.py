"""P9: a worker that is cut off launches `on_isolation: run` jobs, and nothing else."""

from __future__ import annotations

import pytest

from dcron_common import paths
from dcron_common.job import Concurrency, OnIsolation
from dcron_common.paths import Slot
from dcron_common.protocol import Fence
from dcron_common.run import RunState
from tests.in_process.world import START, Node, World


def fence(world: World, job: int) -> Fence:
    return Fence.decode(world.app.get(paths.fence(Slot(job))).data)


def cut_off(world: World, node: Node, seconds: int) -> None:
    """Time passes for a worker that hears nothing."""
    for _ in range(seconds // 5):
        world.time.now += 5
        node.isolated_turn()


def minutes(node: Node) -> list[int]:
    return [(int(launch.key) - START) // 60 for launch in node.processes.launched]


@pytest.fixture
def node(world: World) -> Node:
    return world.add("a")


def test_p9_only_run_jobs_fire_while_zookeeper_is_away(world: World, node: Node) -> None:
    run = world.post(on_isolation=OnIsolation.RUN)
    skip = world.post()
    world.turn()
    node.cut()
    for _ in range(3):
        cut_off(world, node, 60)
        node.end()
    assert minutes(node) == [1, 2, 3]
    assert {launch.job_id for launch in node.processes.launched} == {run}
    assert not node.processes.launched[0].leased
    node.heal()
    world.go(10)
    found = world.rows(run)
    assert [(row.scheduled_at, row.state) for row in found] == [
        (START + 60 * n, RunState.SUCCEEDED) for n in (1, 2, 3)
    ]
    assert all(row.isolated and row.node == "a" for row in found)
    assert minutes(node)[3:] == [3], "the newest minute of the other is caught up"
    node.end()
    world.turn()
    states = [row.state for row in world.rows(skip)]
    assert states == [RunState.MISSED, RunState.MISSED, RunState.SUCCEEDED]


def test_p9_what_was_launched_without_a_claim_is_not_claimed_later(
    world: World, node: Node
) -> None:
    job = world.post(on_isolation=OnIsolation.RUN)
    world.turn()
    node.cut()
    cut_off(world, node, 65)
    node.end()
    cut_off(world, node, 60)
    node.end()
    node.heal()
    world.go(5)
    assert fence(world, job).mark == START + 120
    world.go(60)
    assert minutes(node) == [1, 2, 3]
    assert [launch.isolated for launch in node.processes.launched] == [True, True, False]


def test_p9_a_restart_before_the_flush_launches_nothing_again(world: World, node: Node) -> None:
    job = world.post(on_isolation=OnIsolation.RUN)
    world.turn()
    node.cut()
    cut_off(world, node, 65)
    node.end()
    node.isolated_turn()
    node.isolated_turn()  # its row is written
    node._ensemble.reconnect(node.session)
    node.build()
    world.go(5)
    assert minutes(node) == [1]
    assert fence(world, job).mark == START + 60
    assert [row.state for row in world.rows(job)] == [RunState.SUCCEEDED]
    assert not node.processes.running, "the launcher may forget it"


def test_p9_an_isolated_run_goes_on_through_the_return_and_a_restart(
    world: World, node: Node
) -> None:
    job = world.post(on_isolation=OnIsolation.RUN)
    world.turn()
    node.cut()
    cut_off(world, node, 65)
    node.heal()
    node.build()
    world.go(15)
    assert not node.processes.killed
    node.end()
    world.go(5)
    assert [row.state for row in world.rows(job)] == [RunState.SUCCEEDED]


def ran_on_both(world: World, job: int) -> tuple[Node, Node]:
    """A minute runs on the holder, which is cut off, and on the one to which its job moved; both
    still run."""
    world.turn()
    (holder,) = world.holders(job)
    node = world.nodes.pop(holder)
    (other,) = world.nodes.values()
    node.cut()
    node.expire()
    for _ in range(13):
        world.time.now += 5
        world.turn()
        node.isolated_turn()
    assert minutes(node) == minutes(other) == [1]
    return node, other


def comes_back(world: World, node: Node) -> None:
    """It hears again, and the others hear of it."""
    node.heal()
    node.membership.register()
    world.nodes[node.name] = node


def test_p9_a_double_shows_as_two_rows(world: World, node: Node) -> None:
    world.add("b")
    job = world.post(on_isolation=OnIsolation.RUN)
    node, other = ran_on_both(world, job)
    node.end()
    other.end()
    comes_back(world, node)
    world.go(5)
    found = sorted((row.node, row.isolated, row.state) for row in world.rows(job))
    assert found == [("", False, RunState.SUCCEEDED), (node.name, True, RunState.SUCCEEDED)]


def test_p9_its_own_run_holds_a_job_that_a_run_of_the_same_minute_holds_elsewhere(
    world: World, node: Node
) -> None:
    """A minute ran on both; the other is lost, its job moves here, and this is cut off again."""
    world.add("b")
    job = world.post(on_isolation=OnIsolation.RUN)
    node, other = ran_on_both(world, job)
    comes_back(world, node)
    world.turn()
    world.lose(other.name)
    world.until(lambda: world.holders(job) == [node.name], 10)
    world.turn()
    assert fence(world, job).active == node.last_minute
    node.cut()
    cut_off(world, node, 120)
    assert minutes(node) == [1]


def test_p9_runs_do_not_overlap_unless_the_job_allows_it(world: World, node: Node) -> None:
    forbid = world.post(on_isolation=OnIsolation.RUN)
    allow = world.post(on_isolation=OnIsolation.RUN, concurrency=Concurrency.ALLOW)
    world.turn()
    node.cut()
    cut_off(world, node, 125)
    launched = [launch.job_id for launch in node.processes.launched]
    assert launched.count(forbid) == 1
    assert launched.count(allow) == 2
    node.heal()
    world.go(60)
    launched = [launch.job_id for launch in node.processes.launched]
    assert launched.count(forbid) == 1, "the isolated run still holds the job"
    assert RunState.SKIPPED in [row.state for row in world.rows(forbid)]


def test_p9_a_claimed_run_that_ended_meanwhile_holds_nothing(world: World, node: Node) -> None:
    world.post(on_isolation=OnIsolation.RUN)
    world.go(65)
    node.cut()
    node.end()
    cut_off(world, node, 60)
    assert minutes(node) == [1, 2]


def test_p9_a_later_run_replaces_the_one_before(world: World, node: Node) -> None:
    world.post(on_isolation=OnIsolation.RUN, concurrency=Concurrency.REPLACE)
    world.turn()
    node.cut()
    cut_off(world, node, 125)
    assert node.processes.killed
    node.end("killed", None)
    node.isolated_turn()
    node.isolated_turn()
    assert minutes(node) == [1, 2]


def test_p9_a_change_of_leader_is_not_an_isolation(world: World, node: Node) -> None:
    """Connections are gone for less than a lease."""
    world.post(on_isolation=OnIsolation.RUN)
    world.go(55)
    node.membership.beat()
    node.cut()
    world.time.now += 3
    node.isolated_turn()
    world.time.now = START + 61
    node.isolated_turn()
    assert minutes(node) == []


def test_p9_a_frozen_worker_asks_before_it_launches(world: World, node: Node) -> None:
    """Its lease has passed, but nothing says that ZooKeeper is away."""
    job = world.post(on_isolation=OnIsolation.RUN)
    world.turn()
    world.time.now += 65
    node.daemon.step()
    world.turn()
    assert [launch.isolated for launch in node.processes.launched] == [False]
    assert fence(world, job).mark == START + 60
