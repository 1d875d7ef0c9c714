"""P9: minutes that ran while nobody could hear of it are not called missed before their worker
could tell."""

from __future__ import annotations

import pytest

from dcron_app.manager.accounting import TELLING
from dcron_common.job import OnIsolation
from dcron_common.run import RunRecord, RunState
from tests.in_process.test_accounting import leader_alone
from tests.in_process.test_isolation import cut_off
from tests.in_process.world import Node, World


@pytest.fixture
def node(world: World) -> Node:
    return world.add("a")


def long_isolation(world: World, node: Node) -> int:
    """A job whose minutes ran without claims for longer than its starting deadline, while no
    leader could account for them either."""
    job = world.post(on_isolation=OnIsolation.RUN)
    world.turn()
    node.cut()
    for _ in range(25):
        cut_off(world, node, 60)
        if len(node.processes.ends) < len(node.processes.running):
            node.end()
    node.isolated_turn()
    return job


def missed(world: World, job: int) -> list[RunRecord]:
    return [row for row in world.rows(job) if row.state is RunState.MISSED]


def test_p9_a_leader_waits_until_a_returned_worker_has_told_what_it_launched(
    world: World, node: Node
) -> None:
    job = long_isolation(world, node)
    leader_alone(world, 30)
    node.heal()
    world.go(30)
    assert missed(world, job) == []
    assert sum(row.isolated for row in world.rows(job)) >= 25


def test_p9_a_leader_waits_for_what_a_worker_tells_only_so_long(world: World, node: Node) -> None:
    job = long_isolation(world, node)
    leader_alone(world, int(TELLING) + 30)
    (first, *_) = missed(world, job)
    assert not first.isolated
    assert "if it launched it while it was cut off" in str(first.reason)
