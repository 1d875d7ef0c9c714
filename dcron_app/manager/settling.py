"""Minutes of removed jobs that no place of theirs was there to tell of (P7, P8).

A job's fence tells which minutes are closed. A job may be removed before the leader has given it
one, or has given it those of a new placement. So a removal leaves a mark in the job's row, which
only goes once the job has no fence any more and the record has a row for each minute from the
last one that it knows. No fence has a part in it: what has none starts nothing. A leader that dies
in between is followed by one that finds the mark. These rows prove nothing: what a worker may
record later replaces them (P13).
"""

from __future__ import annotations

import logging

from dcron_app.manager.view import View
from dcron_common import history
from dcron_common.db import histories, runs, unsettled
from dcron_common.db.connection import Database
from dcron_common.ids import ulid
from dcron_common.run import RunRecord, RunState, Trigger
from dcron_common.schedule import ScheduleError

log = logging.getLogger(__name__)

REASON = "the job was removed, and no worker had told of this minute"
MOST_JOBS = 500  # of one look
MOST_MINUTES = 100  # of one job at one look
MOST_ROWS = 500  # of one look, and so of one statement: about 0.1 s


def settle(database: Database, view: View, now: float) -> None:
    """Give removed jobs that have no fence the rows that they lack. `now`: epoch seconds.
    DatabaseUnavailable: the next look does."""
    if not view.unsettled:
        return
    ids = sorted(view.unsettled - _fenced(view))[:MOST_JOBS]
    told = unsettled.told_through(database, ids)
    spans = histories.histories(database, sorted(told), causal=True)
    rows: list[RunRecord] = []
    done = set(ids) - told.keys()
    for job_id, through in told.items():
        if len(rows) > MOST_ROWS - MOST_MINUTES:
            break  # the next look goes on
        done.add(job_id)
        try:
            # All its spans are over, by the clock of who removed it, which may be ahead of ours.
            minutes = history.due(spans.get(job_id, []), through, history.FOR_EVER, MOST_MINUTES)
        except ScheduleError:
            log.exception("job=%d its schedule cannot be read: what it missed is not told", job_id)
            continue
        if len(minutes) == MOST_MINUTES:
            done.discard(job_id)
        if minutes:
            log.warning("job=%d %d minutes are skipped: %s", job_id, len(minutes), REASON)
        rows += [_row(job_id, minute, now) for minute in minutes]
    runs.record_runs(database, rows, now)
    unsettled.settle(database, done & told.keys())
    view.unsettled -= done


def _fenced(view: View) -> set[int]:
    """Jobs whose fence or runs are still to be looked after, and such as the leader does not know
    yet to be removed: it might give them a fence."""
    slots = [*view.fences, *view.unreadable, *view.open_slots()]
    seen = view.unsettled & view.jobs.keys()
    return {slot.job_id for slot in slots} | {i for i in seen if not view.jobs[i].removed}


def _row(job_id: int, minute: int, now: float) -> RunRecord:
    return RunRecord(
        ulid(now), job_id, minute, 1, Trigger.CRON, RunState.SKIPPED, finished_at=now, reason=REASON
    )
