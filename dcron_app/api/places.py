"""A job's places as the API sees them: fences at the versions that were read (P1).

What is asked of a worker is one transaction with the fence's write: a worker or the leader that
decides at the same time decides anew, and sees what was asked for.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dcron_app.api.announce import brought_up, slots
from dcron_common import paths
from dcron_common.coordinator.contract import Coordinator, Operation, Set
from dcron_common.db.jobs import JobRow
from dcron_common.errors import (
    BadVersion,
    CoordinatorError,
    NodeExists,
    NoNode,
    TransactionFailed,
)
from dcron_common.ledger import Place
from dcron_common.paths import Slot
from dcron_common.protocol import REMOVED, Fence

log = logging.getLogger(__name__)

AWAY = "the coordination service does not answer; ask again"
_AGAIN = (BadVersion, NodeExists, NoNode)  # what was read is not so any more: look again


@dataclass(frozen=True, slots=True)
class Asked:
    """A run, and the worker that was asked."""

    slot: Slot
    run_id: str
    worker: str


@dataclass(frozen=True, slots=True)
class Held:
    """A place of the job, its fence, and the fence's version."""

    slot: Slot
    fence: Fence
    version: int

    def kept(self) -> Set:
        """The write that proves that the fence is as it was read."""
        return Set(paths.fence(self.slot), self.fence.encode(), self.version)


def read(coordinator: Coordinator, row: JobRow, slot: Slot) -> Held | None:
    """None where the place has no fence of this job. CoordinatorError."""
    try:
        node = coordinator.get(paths.fence(slot))
    except NoNode:
        return None
    fence = Fence.decode(node.data)
    if fence.incarnation != row.incarnation:
        return None
    return Held(slot, brought_up(fence, row), node.stat.version)


def on_all(coordinator: Coordinator, row: JobRow) -> dict[str, Place]:
    """The open places of a job on all, by worker, for its ledger. None of them while the
    coordination service is away: then the record alone tells who owes a row."""
    if not coordinator.connected:
        return {}
    found: dict[str, Place] = {}
    try:
        there = [slot for slot in slots(coordinator, row.id) if slot.node]
        nodes = coordinator.get_many([paths.fence(slot) for slot in there])
        for slot, node in zip(there, nodes, strict=True):
            if node is None:
                continue
            fence = Fence.decode(node.data)
            open_ = fence.state != REMOVED and fence.holder == slot.node
            if open_ and fence.incarnation == row.incarnation:
                found[slot.node] = Place(fence.epoch, fence.mark)
    except CoordinatorError as error:
        log.warning("the places of a job cannot be read job=%d: %r", row.id, error)
        return {}
    return found


def asked_for(
    coordinator: Coordinator, operations: Sequence[Operation], tell: Callable[[], None]
) -> bool:
    """Tell of a request that nothing refuses any more, then commit it. Whether it was done; False
    where it has to be decided anew. CoordinatorError, and what `tell` raises: nothing was done."""
    tell()
    try:
        coordinator.commit(operations)
    except TransactionFailed as error:
        if isinstance(error.cause, _AGAIN):
            return False
        raise
    return True
