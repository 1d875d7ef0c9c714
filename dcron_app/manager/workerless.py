"""Minutes of a job on all workers for which there was none (P7).

Each worker of such a job accounts for itself. Where none is online that carries its labels,
undrained, or none may have it until a run of its placement before is over, the leader records
every due minute once, as missed and of no node, as soon as no start or record of it can come any
more.

No fence has a part in this, since the row decides nothing: it starts nothing, keeps nobody from
starting, and gives way to a worker's word (P13). Nor has a leader to remember anything: how far the
record has come it says itself, so a repeated row, of this leader or the next, changes nothing. A
worker that joins, or gets the job when it goes to one, goes on from there (`opening`). One that was
away closes on its return what it missed, whatever stands here; the ledger shows its word.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from dataclasses import replace

from dcron_app.manager.accounting import MOST
from dcron_app.manager.opening import fences_of, goes_on
from dcron_app.manager.view import View
from dcron_common import history
from dcron_common.clock import minute
from dcron_common.db import histories, run_reads, runs
from dcron_common.db.connection import Database
from dcron_common.history import ACTIVE, Span
from dcron_common.ids import ulid
from dcron_common.job import Concurrency
from dcron_common.ledger import SETTLING
from dcron_common.protocol import REMOVED
from dcron_common.run import RunRecord, RunState, Trigger
from dcron_common.schedule import ScheduleError

log = logging.getLogger(__name__)

WEEK = 7 * 86_400  # seconds of a job's past looked at in one go
REASON = "no worker could have it: none was online that carries its labels, undrained"
KEPT = "no worker could have it: a run from before the job's placement was changed went on"


class Workerless:
    """Keeps in mind how far such jobs are recorded; what it does not know it reads."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._through: dict[int, int] = {}

    def account(self, view: View, now: float) -> None:
        """Record what is overdue. `now`: epoch seconds. DatabaseUnavailable: the next look does."""
        found = _workerless(view)
        kept = _kept(view)
        self._through = {i: through for i, through in self._through.items() if i in found}
        self._begin(view, found - self._through.keys(), now)
        until = {job_id: _until(view, job_id, now) for job_id in found}
        late = {job_id: to for job_id, to in until.items() if to > self._through[job_id]}
        spans = histories.histories(self._database, sorted(late), causal=True)
        for job_id, to in late.items():
            reason = KEPT if job_id in kept else REASON
            self._record(view, job_id, spans.get(job_id, []), to, reason, now)

    def forget(self) -> None:
        """Others may have told of these jobs since: how far they are is read again."""
        self._through.clear()

    def _begin(self, view: View, new: Collection[int], now: float) -> None:
        """Learn how far these jobs have come."""
        told = run_reads.told_through(self._database, sorted(new))
        fences = fences_of(view, new)
        for job_id in new:
            through = goes_on(view.jobs[job_id], fences[job_id], told.get(job_id, 0), now)
            self._through[job_id] = through

    def _record(
        self, view: View, job_id: int, spans: Sequence[Span], until: int, reason: str, now: float
    ) -> None:
        after = self._through[job_id]
        to = min(until, after + WEEK)
        try:
            minutes = history.due(spans, after, to, MOST + 1)
        except ScheduleError:
            log.exception("job=%d its schedule cannot be read", job_id)
            minutes = []
        minutes, more = minutes[:MOST], minutes[MOST:]
        runs.record_runs(self._database, [_row(job_id, m, reason, now) for m in minutes], now)
        if minutes:
            log.warning("job=%d %d minutes are missed: %s", job_id, len(minutes), reason)
        through = self._through[job_id] = minutes[-1] if more else to
        job = view.jobs[job_id]
        if job.unfenced:
            view.jobs[job_id] = replace(job, closed={**job.closed, "": through})


def _row(job_id: int, due: int, reason: str, now: float) -> RunRecord:
    return RunRecord(
        ulid(now), job_id, due, 1, Trigger.CRON, RunState.MISSED, finished_at=now, reason=reason
    )


def _workerless(view: View) -> set[int]:
    """Jobs on all that no worker online has."""
    unsure = view.unread | {slot.job_id for slot in view.unreadable}
    held = {
        slot.job_id
        for slot, known in view.fences.items()
        if known.fence.state == ACTIVE and known.fence.holder in view.workers
    }
    return {
        job_id
        for job_id, job in view.jobs.items()
        if job.spec.placement.on == "all"
        and not job.over
        and job_id not in held
        and job_id not in unsure
    }


def _kept(view: View) -> set[int]:
    """Jobs whose places cannot open yet, if they forbid overlap: one that is closed has a run."""
    return {
        slot.job_id
        for slot, known in view.fences.items()
        if known.fence.state == REMOVED
        and known.fence.active is not None
        and (job := view.jobs.get(slot.job_id)) is not None
        and job.spec.concurrency is not Concurrency.ALLOW
    }


def _until(view: View, job_id: int, now: float) -> int:
    deadline = view.jobs[job_id].spec.starting_deadline_seconds
    return minute(now - deadline - SETTLING)
