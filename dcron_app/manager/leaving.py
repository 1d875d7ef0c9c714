"""How a worker's place of a job on all is given up: with all that was due there told (P7).

A worker that is drained, or does not carry the job's labels any more, loses its place. A place that
nobody has tells of nothing, and when it opens again it begins with that moment: so what it had not
told until it was given up would never be. The transaction that gives it up therefore closes that,
as accounting does: it moves the mark, and makes a claim that is closed already. Where that is too
much for one claim the worker keeps the place, and the oldest minutes are closed first.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace

from dcron_app.manager import assigner
from dcron_app.manager.accounting import MOST, Overdue, close_for_nobody, find_open
from dcron_app.manager.assigner import Change
from dcron_app.manager.view import View, Wanted
from dcron_common.paths import Slot
from dcron_common.protocol import REMOVED
from dcron_common.run import RunState
from dcron_common.schedule import ScheduleError

log = logging.getLogger(__name__)


def leaves(view: View, slot: Slot, job: Wanted | None, holder: str | None) -> bool:
    """Whether the slot is a worker's place that its job goes on to have, and that is to stand on
    `holder`: nobody."""
    known = view.fences.get(slot)
    if not slot.node or holder is not None or known is None or job is None:
        return False
    fence = known.fence
    held = fence.holder is not None and fence.state != REMOVED
    return held and job.wants(slot) and fence.incarnation == job.spec.incarnation


def change_for(
    view: View, slot: Slot, job: Wanted, now: float, new_id: Callable[[], str]
) -> Change | None:
    """What gives the place up, or brings that nearer: its fence then has a holder still. None: the
    API has changed the job, and what was due until then has to be read first; by what it had before
    its worker starts nothing. `now`: epoch seconds. `paths.runs(NOBODY)` must be there."""
    known = view.fences[slot]
    if job.is_behind(known.fence):
        return None
    minutes = _open(slot, job, known.fence.mark, now)
    some = minutes[:MOST]
    holder = known.fence.holder if len(minutes) > MOST else None
    change = assigner.change_for(view, slot, job, holder, some[-1] if some else 0)
    if change is None or not some:
        return change
    reason = (
        f"worker {slot.node} was drained, or does not carry the job's labels any more, "
        "before this minute could start"
    )
    overdue = Overdue(some, RunState.SKIPPED, reason)
    claim = close_for_nobody(slot, known.fence, overdue, new_id, now)
    return replace(change, operations=(*change.operations, claim))


def _open(slot: Slot, job: Wanted, mark: int, now: float) -> list[int]:
    try:
        return find_open(job, mark, int(now), MOST + 1)
    except ScheduleError:
        log.exception("job=%s its schedule cannot be read: what it missed is not told", slot)
        return []
