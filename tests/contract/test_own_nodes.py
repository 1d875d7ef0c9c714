"""What one worker's identity may do with everything that dcron itself makes in ZooKeeper (P18):
manager, workers and API do their work on a real server (TLS), and another worker asks for it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import pytest

from dcron_app.api import asking, ending, wishes
from dcron_common import paths
from dcron_common.coordinator.contract import APP, Coordinator
from dcron_common.coordinator.local import LocalEnsemble
from dcron_common.coordinator.zookeeper import ZooKeeperCoordinator
from dcron_common.db import jobs, workers
from dcron_common.errors import CoordinatorError, NoAuth
from dcron_common.job import Concurrency
from dcron_common.paths import Slot
from dcron_common.protocol import Fence
from tests.contract.services import PATIENCE
from tests.in_process.world import Node, World
from tests.servers import zookeeper
from tests.servers.zookeeper import ZooKeeperServer

# What a worker may do with the node of its name, and with what stands below that.
OWN = {
    paths.ASSIGNMENTS: ("rl", "rl"),
    paths.TASKS: ("rl", "rld"),
    paths.KILLS: ("rl", "rld"),
    paths.FOLLOWS: ("rl", "rld"),
    paths.RUNS: ("rlc", "rlwdc"),
    paths.WORKERS: ("rlc", "rlwd"),
}
YEARLY = "0 0 1 1 *"  # nothing is due, so that runs are those that are asked for


class RealEnsemble:
    """A server's sessions, as the world takes them from a local ensemble."""

    def __init__(self, server: ZooKeeperServer) -> None:
        self._server = server
        self.opened: list[Coordinator] = []

    def session(self, identity: str = APP) -> Coordinator:
        certificate = self._server.issue(identity)
        made = _Patient(
            [f"127.0.0.1:{self._server.tls_port}"],
            certificate=certificate.certificate,
            key=certificate.key,
            ca=self._server.ca,
            session_timeout=30.0,
        )
        self.opened.append(made)
        return made

    def close(self) -> None:
        for session in self.opened:
            session.stop()


class _Patient(ZooKeeperCoordinator):
    def start(self, timeout: float) -> None:
        super().start(PATIENCE)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A manager and two workers, `one` and `two`, on a server that is nobody else's."""
    reason = zookeeper.missing()
    if reason is not None:
        pytest.skip(reason)
    folder = tmp_path / "zookeeper"
    folder.mkdir()
    with ZooKeeperServer(folder) as server:
        ensemble = RealEnsemble(server)
        world = World(tmp_path, cast(LocalEnsemble, ensemble))
        world.time.now = time.time()
        world.add("one")
        world.add("two")
        world.turn()
        yield world
        ensemble.close()
        world.database.close()


def tree(coordinator: Coordinator, path: str = "") -> list[str]:
    """Every node that dcron made."""
    names = [name for name in coordinator.children(path or "/") if name != "zookeeper"]
    below = [one for name in names for one in tree(coordinator, f"{path}/{name}")]
    return [*(f"{path}/{name}" for name in names), *below]


def granted(session: Coordinator, path: str) -> str:
    """What the identity may do there: read, list, write, delete, make a node below, change the
    access list. Versions that are wrong keep the rest as it is."""
    asks: dict[str, Callable[[], object]] = {
        "r": lambda: session.get(path),
        "l": lambda: session.children(path),
        "w": lambda: session.set(path, b"x", version=99),
        "d": lambda: session.delete(path, version=99),
        "a": lambda: session.set_access(path, ((APP, "rwcda"),), version=99),
        "c": lambda: session.create(f"{path}/strange"),
    }
    return "".join(letter for letter, ask in asks.items() if _may(ask))


def _may(ask: Callable[[], object]) -> bool:
    try:
        ask()
    except NoAuth:
        return False
    except CoordinatorError:
        return True
    return True


def all_granted(session: Coordinator, nodes: list[str]) -> dict[str, str]:
    """Of these nodes those that are not wholly closed to the identity."""
    found = {path: granted(session, path) for path in nodes}
    return {path: letters for path, letters in found.items() if letters}


class Placed:
    """A job that stands on a worker, and the other one, which does not have it."""

    def __init__(self, world: World, concurrency: Concurrency = Concurrency.FORBID) -> None:
        self.world = world
        self.job = world.post(schedule=YEARLY, concurrency=concurrency)
        world.turn()
        self.holder = world.nodes[self.fence.holder or ""]
        (self.other,) = (node for node in world.nodes.values() if node is not self.holder)

    @property
    def row(self) -> jobs.JobRow:
        row = jobs.get_job(self.world.database, self.job)
        assert row is not None
        return row

    @property
    def fence(self) -> Fence:
        return Fence.decode(self.world.app.get(paths.fence(Slot(self.job))).data)

    def ask_for_a_run(self) -> str:
        app, now = self.world.app, self.world.time.now
        (one,), _ = asking.ask_for_runs(app, self.row, None, now, tell=lambda: None)
        return one.run_id

    def drain(self) -> None:
        """The leader moves the job, while its worker does nothing."""
        now = self.world.time.now
        assert workers.set_drained(self.world.database, self.holder.name, True, now, "ann")
        self.world.manager._leader._view = None
        for _ in range(3):
            assert self.world.manager._leader.step()
        assert self.fence.holder == self.other.name


def below(nodes: list[str], root: str, node: Node) -> list[str]:
    return [one for one in nodes if one.startswith(f"{root}/{node.name}/")]


def own(nodes: list[str], node: Node) -> dict[str, str]:
    """What has to be the worker's among these nodes, and how much of it."""
    found = {}
    for root, (place, letters) in OWN.items():
        found |= {f"{root}/{node.name}": place}
        found |= dict.fromkeys(below(nodes, root, node), letters)
    return found


def test_p18_what_is_below_a_workers_name_is_its_own_and_closed_to_every_other(
    world: World,
) -> None:
    placed = Placed(world)
    run = placed.ask_for_a_run()
    placed.holder.turn()  # it starts,
    placed.ask_for_a_run()  # and another one waits
    wishes.wish(world.app, placed.holder.name, run, world.time.now)
    ending.ask_for_end(world.app, placed.row, None, run, "ann", tell=lambda: None)

    nodes = tree(world.app)
    for root in OWN.keys() - {paths.RUNS}:
        assert len(below(nodes, root, placed.holder)) == 1, root
    claim, owner = below(nodes, paths.RUNS, placed.holder)
    assert owner == paths.owner(claim)

    fence = paths.fence(Slot(placed.job))  # who lost a job has to see it
    stranger = world.ensemble.session("three")
    stranger.start(PATIENCE)
    assert all_granted(stranger, nodes) == {fence: "rl"}
    theirs = own(nodes, placed.other)
    assert all_granted(placed.other.session, nodes) == {fence: "rl", **theirs}
    mine = own(nodes, placed.holder)
    assert all_granted(placed.holder.session, nodes) == {fence: "rlw", **mine}


def test_p18_a_job_that_moves_takes_all_rights_along(world: World) -> None:
    placed = Placed(world, Concurrency.ALLOW)  # so that what waits moves, too
    placed.ask_for_a_run()
    placed.drain()
    nodes, fence = tree(world.app), paths.fence(Slot(placed.job))
    moved = [one for root in OWN for one in below(nodes, root, placed.other)]
    assert {paths.ASSIGNMENTS, paths.TASKS} <= {f"/{one.split('/')[1]}" for one in moved}
    assert all_granted(placed.holder.session, [fence, *moved]) == {fence: "rl"}
    assert granted(placed.other.session, fence) == "rlw"
