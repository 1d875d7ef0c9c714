"""Where a place begins that opens: nothing is left out, and nothing is done again (P7, P8).

A place is new, was closed while the job's placement wanted others, or was given up by a worker that
was drained. It goes on where what is told of its job ends:

- at the highest mark of the job's places of the same kind, whoever had them;
- at the newest minute of the record: places have come and gone, and while nobody could have the
  job the leader wrote rows (`workerless`);
- where the places of the other kind end, if there are any: each tells of what was due from its mark
  until others were wanted, and of nothing else. If there are none, what the record does not tell of
  is open, by whatever revision it was due.

A worker that joins others which have the job, and keep it, does nothing of what was due before it
joined.
No leader has to remember anything for this.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence, Set

from dcron_app.manager.view import View, Wanted
from dcron_common.clock import minute
from dcron_common.paths import Slot
from dcron_common.protocol import Fence

Told = Callable[[Sequence[int]], Mapping[int, int]]
"""The newest minute of the record of each of these jobs; without those that cannot be read now."""


def begins(
    view: View, opening: Set[Slot], placed: Mapping[Slot, str | None], told: Told, now: float
) -> dict[Slot, int]:
    """The lowest mark that each of these slots may have, which their jobs want. `placed`: who is
    to have each slot. `now`: epoch seconds."""
    fences = fences_of(view, {slot.job_id for slot in opening})
    joins = {slot for slot in opening if slot.node and _is_held(view, fences[slot.job_id], placed)}
    asked = sorted({s.job_id for s in opening - joins if not view.jobs[s.job_id].unfenced})
    recorded = told(asked) if asked else {}
    found = dict.fromkeys(joins, minute(now))
    for slot in opening - joins:
        job = view.jobs[slot.job_id]
        newest = _recorded(job, slot) if job.unfenced else recorded.get(slot.job_id)
        found[slot] = goes_on(job, fences[slot.job_id], newest, now)
    return found


def goes_on(job: Wanted, fences: Mapping[Slot, Fence], recorded: int | None, now: float) -> int:
    """The last minute that is told of a job that no worker has. `fences`: its places; `recorded`:
    the newest minute of the record, None if it cannot be read: then what was due by an earlier
    placement is taken for told."""
    mine = [fence.mark for slot, fence in fences.items() if job.wants(slot)]
    ends = [
        job.wanted_otherwise(slot, fence.mark) or 0
        for slot, fence in fences.items()
        if not job.wants(slot)
    ]
    if recorded is None:
        first = job.placed_from
    elif ends:
        first = max(ends)
    else:
        first = min([job.placed_from, *[span.valid_from for span in job.waiting]])
    # A mark that is ahead of time is that of one worker, whose clock was.
    return max(min(max(mine, default=0), minute(now)), recorded or 0, first - 60)


def fences_of(view: View, ids: Collection[int]) -> dict[int, dict[Slot, Fence]]:
    """The places that these jobs have; those of another job that had the number do not count."""
    found: dict[int, dict[Slot, Fence]] = {job_id: {} for job_id in ids}
    for slot, known in view.fences.items() if found else ():
        job = view.jobs.get(slot.job_id)
        if slot.job_id in found and job and job.spec.incarnation == known.fence.incarnation:
            found[slot.job_id][slot] = known.fence
    return found


def _is_held(view: View, fences: Mapping[Slot, Fence], placed: Mapping[Slot, str | None]) -> bool:
    """Whether a worker that is online has a job on all, and keeps it."""
    return any(
        slot.node and fence.holder in view.workers and placed.get(slot) == fence.holder
        for slot, fence in fences.items()
    )


def _recorded(job: Wanted, slot: Slot) -> int:
    """Of a job all of whose fences are lost: the newest minutes that the record knows of this node
    in the present placement, else of any, and of none (`workerless`)."""
    newest = max(job.closed.values(), default=0)
    before = min(newest, job.placed_from - 60)
    own = job.closed.get(slot.node, newest) if slot.node else newest
    return max(own, before, job.closed.get("", 0))
