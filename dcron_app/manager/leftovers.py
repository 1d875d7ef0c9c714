"""What no claim explains any more: slots that nothing holds, requests that nobody will heed, fences
of jobs that are over."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace

from dcron_app.manager.accounting import is_accounted
from dcron_app.manager.view import Known, Name, View, refresh
from dcron_common import paths
from dcron_common.coordinator.contract import Check, Coordinator, Delete, Set
from dcron_common.errors import ConnectionLost, CoordinatorError
from dcron_common.paths import Slot
from dcron_common.protocol import REMOVED

log = logging.getLogger(__name__)


def free(
    coordinator: Coordinator,
    view: View,
    proof: Check,
    suspects: Mapping[Slot, Known],
    names: Sequence[Name],
) -> None:
    """Free slots whose fence names an active run that is neither a claim nor a task.

    Nothing should make one; if something does, the job must not be skipped for ever.
    `suspects` were read before `names`, and every step of a run writes the fence: one that
    has begun since makes the version check fail.
    """
    there = {(name.slot, name.key) for name in names}
    slots = [s for s, known in suspects.items() if (s, known.fence.active) not in there]
    nodes = coordinator.get_many([paths.fence(slot) for slot in slots])
    for slot, node in zip(slots, nodes, strict=True):
        known, active = suspects[slot], suspects[slot].fence.active
        if node is None or node.stat.version != known.version:
            if node is not None:  # its run has ended since: the view was behind
                refresh(coordinator, view, slot)
            continue
        fence = replace(known.fence, active=None)
        try:
            coordinator.commit([proof, Set(paths.fence(slot), fence.encode(), known.version)])
        except ConnectionLost:
            raise
        except CoordinatorError as error:
            log.info("job=%s was not free: %s", slot, error)
        else:
            log.error("job=%s was held by key=%s, of which nothing is left", slot, active)
        refresh(coordinator, view, slot)


def clear_requests(coordinator: Coordinator, view: View, proof: Check) -> None:
    """Remove requests to end runs that are over, of workers that cannot do so themselves.

    The view's requests were read before its tasks and claims: what none of these is about any
    more ended, or was ended for its worker.
    """
    there = {*view.claims, *view.tasks}
    gone = [name for name in view.kills if name.worker not in view.workers and name not in there]
    coordinator.commit_many(
        [[proof, Delete(paths.kill(name.worker, name.slot, name.key))] for name in gone]
    )


def forget_removed(coordinator: Coordinator, view: View, proof: Check, now: float) -> None:
    """Remove fences of jobs that are over once no run of them is left anywhere, and every minute
    of which they tell is closed: nobody could say later that it was due. `now`: epoch seconds."""
    taken = view.open_slots()
    gone = [s for s, known in view.fences.items() if known.fence.state == REMOVED]
    over: set[int] = set()
    for slot in gone:
        job, known = view.jobs.get(slot.job_id), view.fences[slot]
        if slot in taken or view.assigned.get(slot):
            continue
        if job and not job.over and job.wants(slot):
            continue  # it is about to be opened again
        if not is_accounted(view, slot, known, now):
            continue
        coordinator.commit_many([[proof, Delete(paths.fence(slot), known.version)]])
        refresh(coordinator, view, slot)
        if job and job.over:
            over.add(slot.job_id)
    # As long as a place of a job on all is there the job says what that one has to tell.
    for job_id in over - {slot.job_id for slot in (*view.fences, *view.unreadable)}:
        view.jobs.pop(job_id, None)
