"""What the API tells the coordination service.

A change that is in the database is acknowledged even when it cannot be announced: the leader
compares both periodically. A removal is different (P15): the job's fences are written before the
answer, so that afterwards no connected worker launches it.
"""

from __future__ import annotations

import logging
from dataclasses import replace

from dcron_common import paths
from dcron_common.coordinator.contract import Coordinator
from dcron_common.db.jobs import JobRow, spec_of
from dcron_common.errors import BadVersion, CoordinatorError, NoNode
from dcron_common.paths import Slot
from dcron_common.protocol import Fence, Notice

log = logging.getLogger(__name__)

REMOVED = "removed"
_TRIES = 20  # a fence is written about once a minute


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


def close_fences(coordinator: Coordinator, row: JobRow) -> None:
    """Make every fence of a removed job say so. CoordinatorError if that cannot be done now."""
    for slot in _slots(coordinator, row):
        _close(coordinator, slot, row)


def _slots(coordinator: Coordinator, row: JobRow) -> list[Slot]:
    if spec_of(row).placement.on == "one":
        return [Slot(row.id)]
    shard, _, _ = paths.fence(Slot(row.id)).rpartition("/")
    try:
        names = coordinator.children(shard)
    except NoNode:
        return []
    return [slot for slot in map(Slot.parse, names) if slot.job_id == row.id]


def _close(coordinator: Coordinator, slot: Slot, row: JobRow) -> None:
    path = paths.fence(slot)
    for _ in range(_TRIES):
        try:
            node = coordinator.get(path)
            fence = Fence.decode(node.data)
            if fence.incarnation != row.incarnation or fence.state == REMOVED:
                return
            closed = replace(fence, state=REMOVED, revision=row.revision)
            coordinator.set(path, closed.encode(), node.stat.version)
            return
        except NoNode:
            return  # not yet seen by the leader: the database says removed before it looks
        except BadVersion:
            continue
    raise CoordinatorError(f"the fence of job {row.id} changes all the time")
