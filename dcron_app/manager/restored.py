"""A record that was put back from a backup: nothing of the past is done again, and it says what
it does not know (P8).

Leaders count their looks, in the record first and then in ZooKeeper. A record that has counted
less than ZooKeeper is a backup. The fences know how far each job had come, so nothing is launched
again; for each job whose fence is ahead of its runs one row, of kind `restored`, closes the gap.
A job that has no fence was removed since, or had none yet: its first fence begins now, and what was
due before, by whatever revision, is closed by such a row as well; of a one-shot, by a row of its
minute. One that was removed again before this look gets that row, too, in place of those that
`settling` would write, which waits for this look.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from dcron_app.manager.view import View
from dcron_common import history, paths
from dcron_common.clock import minute
from dcron_common.coordinator.contract import Check, Coordinator, Node, Set
from dcron_common.db import counters, histories, run_reads, runs, unsettled
from dcron_common.db.connection import Database
from dcron_common.history import Span
from dcron_common.ids import ulid
from dcron_common.paths import Slot
from dcron_common.run import CRON, RESTORED, RunRecord, RunState, Trigger, cron_key
from dcron_common.schedule import ScheduleError

log = logging.getLogger(__name__)

LOOKS = "leader looks"
_AT_ONCE = 500  # jobs


def look(
    coordinator: Coordinator, database: Database, view: View, proof: Check, now: float
) -> None:
    """Count this look; close the gaps of a restored record. `view` was just read.

    DatabaseUnavailable: nothing is counted here or there, so that a later look finds the same."""
    node, seen, counted = _counts(coordinator, database)
    if counted < seen:
        gaps = _close(database, view, now) + _close_unfenced(database, view, now)
        log.warning("the record was restored from a backup: %d jobs have a gap", gaps)
    count = max(counted, seen) + 1
    counters.raise_to(database, LOOKS, count)
    coordinator.commit([proof, Set(paths.RECORD, str(count).encode(), node.stat.version)])


def is_backup(coordinator: Coordinator, database: Database) -> bool:
    """Whether the record was put back since the last look. DatabaseUnavailable."""
    _, seen, counted = _counts(coordinator, database)
    return counted < seen


def _counts(coordinator: Coordinator, database: Database) -> tuple[Node, int, int]:
    """How many looks ZooKeeper has seen, with its node, and the record."""
    node = coordinator.get(paths.RECORD)
    return node, int(node.data or b"0"), counters.get(database, LOOKS)


def _close(database: Database, view: View, now: float) -> int:
    ids = sorted({slot.job_id for slot in view.fences} & view.jobs.keys())
    number = 0
    for start in range(0, len(ids), _AT_ONCE):
        part = ids[start : start + _AT_ONCE]
        known = run_reads.last_minutes(database, part)
        wanted = set(part)
        slots = [slot for slot in view.fences if slot.job_id in wanted]
        rows = [row for slot in slots for row in _gap(view, slot, known, now)]
        runs.record_runs(database, rows, now)
        number += len(rows)
    return number


def _gap(
    view: View, slot: Slot, known: dict[tuple[int, str], int], now: float
) -> Iterator[RunRecord]:
    """A row, if the fence has closed minutes of which the record knows nothing."""
    fence, spec = view.fences[slot].fence, view.jobs[slot.job_id].spec
    last = max(known.get((slot.job_id, slot.node), 0), spec.effective_from - 60)
    open_ = {(name.slot, name.key) for name in view.claims}
    through = fence.mark if (slot, cron_key(fence.mark)) not in open_ else fence.mark - 60
    if fence.incarnation != spec.incarnation or through <= last:
        return
    yield _row(slot, through, last, now, fence.epoch)


def _close_unfenced(database: Database, view: View, now: float) -> int:
    fenced = {slot.job_id for slot in (*view.fences, *view.unreadable)}
    through, number = minute(now), 0
    told: dict[int, int] = {}
    for job_id in view.jobs.keys() - fenced:
        job = view.jobs[job_id]
        last = max(job.closed.values(), default=0)
        view.jobs[job_id] = replace(job, closed={**job.closed, "": max(last, through)})
        if not job.over:
            told[job_id] = last
    told |= unsettled.told_through(database, sorted(view.unsettled - fenced))
    ids = sorted(told)
    for start in range(0, len(ids), _AT_ONCE):
        part = ids[start : start + _AT_ONCE]
        spans = histories.histories(database, part, causal=True)
        rows = [
            row
            for job_id in part
            for row in _unfenced(view, job_id, spans.get(job_id, []), told[job_id], now)
        ]
        runs.record_runs(database, rows, now)
        number += len(rows)
    return number


def _unfenced(
    view: View, job_id: int, spans: Sequence[Span], last: int, now: float
) -> Iterator[RunRecord]:
    """Rows for what was due after `last` by now."""
    job, through = view.jobs.get(job_id), minute(now)
    since = max(last, spans[0].valid_from - 60) if spans else last
    try:
        if job is not None and job.spec.schedule.startswith("@at") and job.wants(Slot(job_id)):
            for at in history.due(spans[-1:], last, through, 1):
                # In place of its run: and so the job is over.
                yield replace(_row(Slot(job_id), at, since, now, 0), kind=CRON)
                through = at - 60
        if history.due(spans, last, through, 1):
            yield _row(Slot(job_id), through, since, now, 0)
    except ScheduleError:
        log.exception("job=%d its schedule cannot be read", job_id)


def _row(slot: Slot, through: int, last: int, now: float, epoch: int) -> RunRecord:
    since = datetime.fromtimestamp(last, UTC).strftime("%Y-%m-%dT%H:%MZ")
    return RunRecord(
        run_id=ulid(now),
        job_id=slot.job_id,
        scheduled_at=through,
        attempt=1,
        trigger=Trigger.CRON,
        state=RunState.LOST,
        kind=RESTORED,
        node=slot.node,
        epoch=epoch,
        finished_at=now,
        reason=f"the record was restored from a backup: what became of minutes after {since} "
        "is not known",
    )
