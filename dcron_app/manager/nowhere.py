"""Minutes of a job on all workers for which there was none (P7).

Each worker of such a job accounts for itself. Where none is online that carries its labels,
undrained, the leader records every due minute once, as missed and of no node, as soon as no
start or record of it can come any more. When workers have the job again it records what was due
before they joined.

No fence has a part in this, since the row decides nothing: it starts nothing and keeps nobody
from starting. A worker that was away closes on its return what it missed, whatever stands here;
the ledger shows its word instead. How far the record has come the database itself says, so a
repeated row, of this leader or the next, changes nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence

from dcron_app.manager.accounting import MOST
from dcron_app.manager.view import View
from dcron_common import history
from dcron_common.clock import minute
from dcron_common.db import histories, run_reads, runs
from dcron_common.db.connection import Database
from dcron_common.history import ACTIVE, Span
from dcron_common.ids import ulid
from dcron_common.ledger import SETTLING
from dcron_common.run import RunRecord, RunState, Trigger
from dcron_common.schedule import ScheduleError

log = logging.getLogger(__name__)

WEEK = 7 * 86_400  # seconds of a job's past looked at in one go
REASON = "no worker could have it: none was online that carries its labels, undrained"


class Nowhere:
    """Keeps in mind which jobs stood nowhere at the last look, and how far they are recorded."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._through: dict[int, int] = {}

    def account(self, view: View, now: float) -> None:
        """Record what is overdue. `now`: epoch seconds. DatabaseUnavailable: the next look does."""
        marks = _marks(view)
        found = _nowhere(view, marks)
        self._begin(view, found - self._through.keys())
        until = {job_id: _until(view, job_id, now) for job_id in found}
        for job_id in [one for one in self._through if _is_removed(view, one)]:
            del self._through[job_id]  # `settling` tells the rest
        # What was due before it had places again, or went to one worker.
        for job_id in self._through.keys() - found:
            until[job_id] = min(marks.get(job_id, minute(now)), _end(view, job_id, now))
        late = {job_id: to for job_id, to in until.items() if to > self._through[job_id]}
        spans = histories.histories(self._database, sorted(late), causal=True)
        for job_id, to in late.items():
            self._record(job_id, spans.get(job_id, []), to, now)
        for job_id in self._through.keys() - found:
            if self._through[job_id] >= until[job_id]:
                del self._through[job_id]

    def _begin(self, view: View, new: Iterable[int]) -> None:
        """Learn how far these jobs have come."""
        ids = sorted(new)
        # Not before its present revision: rows of no node may be those of a job on one worker.
        through = {job_id: view.jobs[job_id].begins for job_id in ids}
        for start in range(0, len(ids), 500):
            for (job_id, _), last in run_reads.last_minutes(
                self._database, ids[start : start + 500]
            ).items():
                through[job_id] = max(through[job_id], last)
        for slot, known in view.fences.items():
            if slot.job_id in through and known.fence.holder is not None:
                through[slot.job_id] = max(through[slot.job_id], known.fence.mark)
        self._through |= through

    def _record(self, job_id: int, spans: Sequence[Span], until: int, now: float) -> None:
        after = self._through[job_id]
        to = min(until, after + WEEK)
        try:
            minutes = history.due(spans, after, to, MOST + 1)
        except ScheduleError:
            log.exception("job=%d its schedule cannot be read", job_id)
            minutes = []
        runs.record_runs(self._database, [_row(job_id, m, now) for m in minutes[:MOST]], now)
        if minutes:
            log.warning("job=%d %d minutes are missed: %s", job_id, len(minutes[:MOST]), REASON)
        self._through[job_id] = to if len(minutes) <= MOST else minutes[MOST - 1]


def _row(job_id: int, due: int, now: float) -> RunRecord:
    return RunRecord(
        ulid(now), job_id, due, 1, Trigger.CRON, RunState.MISSED, finished_at=now, reason=REASON
    )


def _marks(view: View) -> dict[int, int]:
    """The lowest mark of each job's places that a worker online has."""
    marks: dict[int, int] = {}
    for slot, known in view.fences.items():
        fence = known.fence
        if fence.state == ACTIVE and fence.holder in view.workers:
            marks[slot.job_id] = min(fence.mark, marks.get(slot.job_id, fence.mark))
    return marks


def _nowhere(view: View, marks: Mapping[int, int]) -> set[int]:
    """Jobs on all that no worker online has."""
    unsure = view.unread | {slot.job_id for slot in view.unreadable}
    return {
        job_id
        for job_id, job in view.jobs.items()
        if job.spec.placement.on == "all"
        and not job.over
        and job_id not in marks
        and job_id not in unsure
    }


def _is_removed(view: View, job_id: int) -> bool:
    job = view.jobs.get(job_id)
    return job is None or job.removed


def _end(view: View, job_id: int, now: float) -> int:
    """The last minute in which the job was on all."""
    job = view.jobs[job_id]
    if job.spec.placement.on == "all":
        return minute(now)
    return job.spec.effective_from - 60


def _until(view: View, job_id: int, now: float) -> int:
    deadline = view.jobs[job_id].spec.starting_deadline_seconds
    return minute(now - deadline - SETTLING)
