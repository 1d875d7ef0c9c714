"""What ZooKeeper says of the cluster: who leads, who is there, what waits.

Names are counted; of what they hold only registrations are read, and of claims the first CLAIMS.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from dcron_common import paths
from dcron_common.coordinator.contract import Coordinator
from dcron_common.errors import CoordinatorError, NoNode
from dcron_common.protocol import Claim, Registration

log = logging.getLogger(__name__)

CLAIMS = 1000  # of which is looked whether they have ended


@dataclass(frozen=True, slots=True)
class Coordination:
    """What ZooKeeper says. `leader` "": nobody leads; `live`: registrations by name."""

    leader: str
    epoch: int
    live: dict[str, Registration]
    inbox: int
    tasks: int
    claims: int
    looked_at: int
    ended: int


def look(coordinator: Coordinator) -> Coordination:
    """Ask ZooKeeper. CoordinatorError."""
    leader, epoch = _leader(coordinator)
    names = coordinator.children(paths.WORKERS)
    live: dict[str, Registration] = {}
    nodes = coordinator.get_many([paths.registration(name) for name in names])
    for name, node in zip(names, nodes, strict=True):
        if node is not None:
            try:
                live[name] = Registration.decode(node.data)
            except CoordinatorError as error:
                log.error("worker=%s its registration cannot be read: %s", name, error)
    ever = coordinator.children(paths.RUNS)
    tasks = coordinator.children_many([paths.tasks(name) for name in ever])
    claims = coordinator.children_many([paths.runs(name) for name in ever])
    standing = [
        f"{paths.runs(name)}/{claim}"
        for name, below in zip(ever, claims, strict=True)
        for claim in below or []
    ]
    return Coordination(
        leader=leader,
        epoch=epoch,
        live=live,
        inbox=len(coordinator.children(paths.INBOX)),
        tasks=sum(len(below or []) for below in tasks),
        claims=len(standing),
        looked_at=min(len(standing), CLAIMS),
        ended=_ended(coordinator, standing[:CLAIMS]),
    )


def _leader(coordinator: Coordinator) -> tuple[str, int]:
    """The control node whose manager leads, and its epoch."""
    names = coordinator.children(paths.ELECTION)
    stat = coordinator.exists(paths.EPOCH)
    epoch = 0 if stat is None else stat.version
    if not names:
        return "", epoch
    first = min(names, key=lambda name: int(name.rpartition("-")[2]))
    try:
        return coordinator.get(f"{paths.ELECTION}/{first}").data.decode("utf-8", "replace"), epoch
    except NoNode:
        return "", epoch  # it goes at this very moment


def _ended(coordinator: Coordinator, claims: list[str]) -> int:
    """How many of these claims have a result that waits for its row."""
    count = 0
    for node in coordinator.get_many(claims):
        if node is None or node.stat.children:
            continue  # closed meanwhile, or it has an owner: the run goes on
        try:
            count += Claim.decode(node.data).result is not None
        except CoordinatorError as error:
            log.error("a claim cannot be read: %s", error)
    return count
