"""Marks that are ahead of time: a job would be silent until its mark's time comes.

A worker whose clock was ahead may have claimed minutes to come (one of an earlier release, or one
that went by a service whose own clock was ahead). Once nothing above is under way the mark is set
back to now, by a checked write of the fence (P1); its holder reads such fences at each look.

A minute that was closed too early has its row, and does not start a second time (P2): the mark is
set back no lower than the newest of the record, and the job waits until then. Where that is more
than LONGEST ahead it would be silent for too long: its minutes run at their own time too, and
share their rows.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

from dcron_app.manager.view import View, reread
from dcron_common import paths
from dcron_common.clock import minute
from dcron_common.coordinator.contract import Check, Coordinator, Set
from dcron_common.db import run_reads
from dcron_common.db.connection import Database
from dcron_common.errors import ConnectionLost, CoordinatorError
from dcron_common.paths import Slot
from dcron_common.run import key_minute

PAGE = 500  # jobs looked up in one query

log = logging.getLogger(__name__)

LONGEST = 3600  # seconds for which a job may be silent, so that nothing starts twice
AHEAD = 60  # seconds by which a mark may be ahead: clocks differ a little, and it heals itself


def set_back(
    coordinator: Coordinator, database: Database, view: View, proof: Check, now: float
) -> None:
    """Set marks that are ahead of `now` (epoch seconds) back to it. ConnectionLost,
    DatabaseUnavailable: some are not."""
    ahead = {
        slot
        for slot, known in view.fences.items()
        if known.fence.mark > now + AHEAD and view.upheld.get(slot) != known.fence.mark
    }
    if not ahead:
        return
    free = sorted(ahead - _under_way(view, minute(now)))
    # After the claims: one that is gone has its row.
    recorded = _recorded(database, free, now)
    for slot in free:
        known = view.fences[slot]
        mark = max(minute(now), recorded.get(slot, 0))
        if mark >= known.fence.mark:
            view.upheld[slot] = known.fence.mark
            log.error("job=%s has run %.0f s ahead of time and waits", slot, mark - now)
            continue
        fence = replace(known.fence, mark=mark)
        write = Set(paths.fence(slot), fence.encode(), known.version)
        try:
            coordinator.commit([proof, write])
        except ConnectionLost:
            raise
        except CoordinatorError as error:
            log.info("job=%s its mark is set back later: %s", slot, error)
        else:
            by = known.fence.mark - now
            log.error("job=%s its mark was %.0f s ahead of time and is set back", slot, by)
        reread(coordinator, view, slot)


def _recorded(database: Database, slots: Sequence[Slot], now: float) -> dict[Slot, int]:
    """The newest minute of the record of each of these slots, if it is not beyond LONGEST."""
    found: dict[Slot, int] = {}
    for start in range(0, len(slots), PAGE):
        page = slots[start : start + PAGE]
        newest = run_reads.last_minutes(database, sorted({slot.job_id for slot in page}))
        for slot in page:
            at = newest.get((slot.job_id, slot.node), 0)
            if at <= now + LONGEST:
                found[slot] = at
    return found


def _under_way(view: View, now: int) -> set[Slot]:
    """Slots with a run of a minute above `now`, under way or asked for."""
    names = [(name.slot, key_minute(name.key)) for name in (*view.claims, *view.tasks)]
    return {slot for slot, at in names if at is not None and at > now}
