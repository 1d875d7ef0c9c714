"""What a lost worker leaves behind: its claims are recorded, resumed or given up (P4, P6, P14).

Only LEASE + KILL seconds after a registration is gone, so that nothing of it can still run.
The database's row is written before the claim goes: a leader that dies in between is followed
by one that finds the claim and does the same again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from dcron_app.manager.assigner import reread
from dcron_app.manager.view import View
from dcron_common import paths, records, timing
from dcron_common.coordinator.contract import (
    Check,
    Coordinator,
    Create,
    Delete,
    Operation,
    Set,
    shared_with,
)
from dcron_common.errors import CoordinatorError, NoNode
from dcron_common.job import OnWorkerLoss
from dcron_common.paths import Slot
from dcron_common.protocol import Claim, Fence, Result, Task
from dcron_common.run import RunRecord, RunState, Trigger

log = logging.getLogger(__name__)

RESUMES = 3  # how often other workers take a run over


@dataclass(frozen=True, slots=True)
class Orphan:
    """A claim below a worker that is gone."""

    worker: str
    slot: Slot
    key: str
    claim: Claim


def lost_workers(view: View, names: Sequence[str], now: float) -> list[str]:
    """Workers that have been absent for long enough; notes since when others are absent.

    `now` in boot seconds.
    """
    for name in view.workers:
        view.absent_since.pop(name, None)
    wait = timing.LEASE + timing.KILL
    return [
        name
        for name in names
        if name not in view.workers and now - view.absent_since.setdefault(name, now) >= wait
    ]


def orphans(coordinator: Coordinator, workers: Sequence[str]) -> list[Orphan]:
    """All claims of these workers."""
    found: list[Orphan] = []
    lists = coordinator.children_many([paths.runs(worker) for worker in workers])
    for worker, names in zip(workers, lists, strict=True):
        parts = [paths.run_parts(name) for name in names or []]
        nodes = coordinator.get_many([paths.claim(worker, slot, key) for slot, key in parts])
        for (slot, key), node in zip(parts, nodes, strict=True):
            if node is not None:
                found.append(Orphan(worker, slot, key, Claim.decode(node.data)))
    return found


def settle(
    coordinator: Coordinator,
    view: View,
    proof: Check,
    orphan: Orphan,
    write: Callable[[Sequence[RunRecord]], None],
    now: float,
) -> None:
    """Record one orphan and hand it on, or close it. `now`: epoch seconds."""
    known = view.fences.get(orphan.slot)
    task = _task(view, orphan, known[0] if known else None)
    if task is None and _waits_for_a_worker(view, orphan, known[0] if known else None):
        return
    rows = _rows(orphan, now)
    if rows:
        write(rows)
    path = paths.claim(orphan.worker, orphan.slot, orphan.key)
    operations: list[Operation] = [proof]
    fence = known[0] if known else None
    if known and fence:
        if task is None and fence.active == orphan.key:
            fence = replace(fence, active=None)
        operations.append(Set(paths.fence(orphan.slot), fence.encode(), known[1]))
    if coordinator.exists(paths.owner(path)) is not None:
        operations.append(Delete(paths.owner(path)))
    operations.append(Delete(path))
    if task is not None and fence and fence.holder:
        operations.append(
            Create(
                paths.task(fence.holder, orphan.slot, orphan.key),
                task.encode(),
                access=shared_with(fence.holder, "r"),
            )
        )
    try:
        coordinator.commit(operations)
    except CoordinatorError as error:
        log.info("job=%s key=%s is settled later: %s", orphan.slot, orphan.key, error)
    else:
        log.warning(
            "job=%s run=%s of lost worker=%s: %s",
            orphan.slot,
            orphan.claim.run_id,
            orphan.worker,
            f"resumed on {fence.holder}" if task and fence else "closed",
        )
    reread(coordinator, view, orphan.slot)


def _rows(orphan: Orphan, now: float) -> list[RunRecord]:
    claim = orphan.claim
    missed = records.passed_over(orphan.slot, claim, claim.run_id)
    if claim.result is not None:
        return [*missed, records.record(orphan.slot, orphan.key, claim, claim.result)]
    if claim.not_before is not None:
        return missed  # a retry that waited: it has not begun
    lost = Result(
        RunState.LOST,
        None,
        now,
        reason=f"worker {orphan.worker} was lost while it had this run; "
        "whether the process had begun or ended cannot be told",
    )
    return [*missed, records.record(orphan.slot, orphan.key, claim, lost)]


def _resumable(view: View, orphan: Orphan, fence: Fence | None) -> bool:
    job = view.jobs.get(orphan.slot.job_id)
    if job is None or job.removed or fence is None or fence.state == "removed":
        return False
    if orphan.claim.result is not None or orphan.slot.node:
        return False
    if orphan.claim.not_before is not None:
        return True
    return job.spec.on_worker_loss is OnWorkerLoss.RERUN and orphan.claim.resumes < RESUMES


def _task(view: View, orphan: Orphan, fence: Fence | None) -> Task | None:
    if not _resumable(view, orphan, fence) or fence is None:
        return None
    if fence.holder is None or fence.holder not in view.workers:
        return None
    claim = orphan.claim
    if claim.not_before is not None:
        return Task(Trigger.RETRY, claim.attempt, fence.epoch, claim.resumes)
    return Task(Trigger.RESUME, claim.attempt + 1, fence.epoch, claim.resumes + 1)


def _waits_for_a_worker(view: View, orphan: Orphan, fence: Fence | None) -> bool:
    """It shall go on, but no worker can take it yet: the claim stays."""
    return _resumable(view, orphan, fence)


def move_tasks(coordinator: Coordinator, view: View, proof: Check, lost: Sequence[str]) -> None:
    """Tasks that a lost worker never took go to the slot's present holder."""
    for worker in lost:
        for name in coordinator.children(paths.tasks(worker)):
            slot, key = paths.run_parts(name)
            known = view.fences.get(slot)
            path = paths.task(worker, slot, key)
            operations: list[Operation] = [proof, Delete(path)]
            holder = known[0].holder if known else None
            if known and known[0].state != "removed":
                if holder is None or holder not in view.workers:
                    continue
                try:
                    data = coordinator.get(path).data
                except NoNode:
                    continue
                goal = paths.task(holder, slot, key)
                operations.append(Create(goal, data, access=shared_with(holder, "r")))
            try:
                coordinator.commit(operations)
            except CoordinatorError as error:
                log.info("task %s is moved later: %s", name, error)
