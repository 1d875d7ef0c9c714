"""A record that was put back from a backup: nothing of the past is done again, and it says what
it does not know (P8).

Leaders count their looks, in the record first and then in ZooKeeper. A record that has counted
less than ZooKeeper is a backup. The fences know how far each job had come, so nothing is launched
again; for each job whose fence is ahead of its runs one row, of kind `restored`, closes the gap.
A job that has no fence was removed since, or had none yet: its first fence begins now, and what was
due before is closed by such a row as well; of a one-shot, by a row of its minute.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

from dcron_app.manager.view import View
from dcron_common import paths
from dcron_common.clock import minute
from dcron_common.coordinator.contract import Check, Coordinator, Set
from dcron_common.db import counters, run_reads, runs
from dcron_common.db.connection import Database
from dcron_common.ids import ulid
from dcron_common.job import Spec
from dcron_common.paths import Slot
from dcron_common.run import CRON, RESTORED, RunRecord, RunState, Trigger, cron_key
from dcron_common.schedule import ScheduleError, parse

log = logging.getLogger(__name__)

LOOKS = "leader looks"
_AT_ONCE = 500  # jobs


def look(
    coordinator: Coordinator, database: Database, view: View, proof: Check, now: float
) -> None:
    """Count this look; close the gaps of a restored record. `view` was just read.

    DatabaseUnavailable: nothing is counted here or there, so that a later look finds the same."""
    node = coordinator.get(paths.RECORD)
    seen = int(node.data or b"0")
    counted = counters.get(database, LOOKS)
    if counted < seen:
        gaps = _close(database, view, now) + _close_unfenced(database, view, now)
        log.warning("the record was restored from a backup: %d jobs have a gap", gaps)
    count = max(counted, seen) + 1
    counters.raise_to(database, LOOKS, count)
    coordinator.commit([proof, Set(paths.RECORD, str(count).encode(), node.stat.version)])


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
    through, rows = minute(now), []
    for job_id in view.jobs.keys() - fenced:
        job = view.jobs[job_id]
        spec = job.spec
        last = max(spec.effective_from - 60, *job.closed.values(), 0)
        view.jobs[job_id] = replace(job, closed={**job.closed, "": max(last, through)})
        due = [] if job.over or spec.paused else _due(spec, last, through)
        if not due:
            continue
        row = _row(Slot(job_id), through, last, now, 0)
        if spec.schedule.startswith("@at") and spec.placement.on == "one":
            row = replace(row, kind=CRON, scheduled_at=due[0])  # and so the job is over
        rows.append(row)
    runs.record_runs(database, rows, now)
    return len(rows)


def _due(spec: Spec, after: int, until: int) -> list[int]:
    """Whether anything was due: the first such minute, if any."""
    try:
        return parse(spec.schedule, spec.timezone).due(after, until, 1)
    except ScheduleError:
        log.exception("job=%d its schedule cannot be read", spec.job_id)
        return []


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
