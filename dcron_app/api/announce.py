"""What the API tells the coordination service.

A new job that is in the database is acknowledged even when it cannot be announced: the leader
compares both periodically. A change or a removal is different (P15): the job's fences are written
before the answer, so that afterwards no connected worker launches what it was before.
"""

from __future__ import annotations

import logging
from dataclasses import replace

from dcron_common import paths
from dcron_common.coordinator.contract import Coordinator
from dcron_common.db.jobs import JobRow
from dcron_common.errors import BadVersion, CoordinatorError, NoNode
from dcron_common.paths import Slot
from dcron_common.protocol import REMOVED, Fence, Notice

log = logging.getLogger(__name__)

TRIES = 20  # a fence is written about once a minute


def announce(coordinator: Coordinator, job_id: int, revision: int) -> None:
    """Tell the leader that a job changed; a failure is logged."""
    if not coordinator.connected:
        # The answer to the client need not wait for a timeout: this is only a hint.
        log.warning(
            "a change was not announced job=%d revision=%d: no connection", job_id, revision
        )
        return
    try:
        notice = Notice(revision).encode()
        coordinator.create(paths.inbox_prefix(job_id), notice, sequence=True)
    except CoordinatorError as error:
        log.warning("a change was not announced job=%d revision=%d: %r", job_id, revision, error)


def write_fences(coordinator: Coordinator, row: JobRow) -> None:
    """Make every fence of a job say what its row does. CoordinatorError if that cannot be done
    now; it may be repeated."""
    for slot in slots(coordinator, row.id):
        for _ in range(TRIES):
            if _written(coordinator, slot, row):
                break
        else:
            raise CoordinatorError(f"the fence of job {row.id} changes all the time")


def slots(coordinator: Coordinator, job_id: int) -> list[Slot]:
    """The places of a job that have a fence: also those that its placement asks for no more."""
    shard, _, _ = paths.fence(Slot(job_id)).rpartition("/")
    coordinator.sync()  # a server that lags behind may not list what the leader has just made
    try:
        names = coordinator.children(shard)
    except NoNode:
        return []
    return [slot for slot in map(Slot.parse, names) if slot.job_id == job_id]


def _written(coordinator: Coordinator, slot: Slot, row: JobRow) -> bool:
    """One try; False if the fence was changed meanwhile."""
    path = paths.fence(slot)
    try:
        node = coordinator.get(path)
        fence = Fence.decode(node.data)
        wanted = brought_up(fence, row)
        if wanted != fence:
            coordinator.set(path, wanted.encode(), node.stat.version)
    except NoNode:
        return True  # the leader has not made it yet, or has forgotten it
    except BadVersion:
        return False
    return True


def brought_up(fence: Fence, row: JobRow) -> Fence:
    """The fence as the row wants it; unchanged where it belongs to another job, or to a later
    revision, or is closed for good: what the leader closed it opens again by itself."""
    if fence.incarnation != row.incarnation or fence.state == REMOVED:
        return fence
    if fence.revision > row.revision:
        return fence
    return replace(fence, revision=row.revision, state=_state(row))


def _state(row: JobRow) -> str:
    if row.removed_at is not None:
        return REMOVED
    return "paused" if row.paused else "active"
