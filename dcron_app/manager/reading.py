"""Brings the leader's view in line with the database and ZooKeeper: whole, or some jobs of it.

Fences are read before the jobs, and jobs causally: what a fence says the record knows, unless it
was restored from a backup.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from dcron_app.manager import view as views
from dcron_app.manager.view import View, Wanted
from dcron_common import history
from dcron_common.coordinator.contract import Coordinator
from dcron_common.db import histories, jobs, run_reads, unsettled, workers
from dcron_common.db.connection import Database
from dcron_common.db.jobs import JobRow
from dcron_common.history import Span
from dcron_common.schedule import ScheduleError

log = logging.getLogger(__name__)

PAGE = 1000  # jobs of one read
REMOVED = 5000  # removed jobs that are settled between two readings


def load(coordinator: Coordinator, database: Database, view: View) -> None:
    """Read fences and assignments, then the jobs: all that are live, and each other that has a
    fence. Causally: a server that lags behind may lack a job, or still have one whose fence is
    forgotten by now."""
    coordinator.sync()
    view.fences, view.unreadable = views.read_fences(coordinator)
    view.assigned = views.read_assigned(coordinator)
    view.aside.clear()
    found = _Found(*view.marks_and_revisions())
    last = 0
    while page := jobs.jobs_after(database, last, PAGE, live=True, causal=True):
        found.add(database, page)
        last = page[-1].id
    others = {slot.job_id for slot in view.fences} - found.jobs.keys()
    found.add_all(database, others)
    view.jobs, view.places = found.jobs, found.places
    view.unread.clear()
    view.unsettled = set(unsettled.unsettled(database, REMOVED))
    view.said = workers.settings(database)


def load_jobs(database: Database, view: View, wanted: Iterable[int]) -> None:
    """Read these jobs, removed ones too."""
    found = _Found(*view.marks_and_revisions())
    wanted = list(wanted)
    found.add_all(database, wanted)
    view.jobs.update(found.jobs)
    view.places.update(found.places)
    view.unread.difference_update(wanted)
    view.unsettled |= {job_id for job_id, job in found.jobs.items() if job.removed}


@dataclass(slots=True)
class _Found:
    """What was read so far: a database that goes away in between leaves the view as it was."""

    marks: dict[int, int]
    revisions: dict[int, int]
    jobs: dict[int, Wanted] = field(default_factory=dict)
    places: dict[int, str | None] = field(default_factory=dict)

    def add_all(self, database: Database, wanted: Iterable[int]) -> None:
        ids = sorted(wanted)
        for start in range(0, len(ids), PAGE):
            rows = jobs.get_jobs(database, ids[start : start + PAGE], causal=True)
            self.add(database, list(rows.values()))

    def add(self, database: Database, rows: Sequence[JobRow]) -> None:
        unfenced = [row.id for row in rows if row.id not in self.marks]
        closed: dict[int, dict[str, int]] = {}
        for (job_id, node), minute in run_reads.last_minutes(database, unfenced).items():
            closed.setdefault(job_id, {})[node] = minute
        # Of a job that has runs, and no fence any more, the record says where it goes on: nothing
        # of its past is done again. One that has neither never stood anywhere: all is open.
        newest = {job_id: max(minutes.values()) for job_id, minutes in closed.items()}
        marks = {row.id: self.marks.get(row.id, newest.get(row.id, 0)) for row in rows}
        behind = [row.id for row in rows if _has_earlier(row, marks[row.id])]
        written = histories.histories(database, behind, causal=True)
        for row in rows:
            earlier = _unclosed(row.id, written.get(row.id, []), marks[row.id])
            self.jobs[row.id] = Wanted(
                replace(jobs.spec_of(row), earlier=earlier[-history.MOST :]),
                over=row.removed_at is not None or jobs.has_had_its_time(row),
                removed=row.removed_at is not None,
                fenced=self.revisions.get(row.id, 0),
                unfenced=row.id not in self.marks,
                closed=closed.get(row.id, {}),
                beyond=earlier[: -history.MOST],
            )
            self.places[row.id] = row.worker


def _unclosed(job_id: int, spans: Sequence[Span], mark: int) -> tuple[Span, ...]:
    try:
        return history.unclosed(spans, mark)
    except ScheduleError:  # what is wrong with one job hinders no other
        log.exception("job=%d its history cannot be read: what it missed is not told", job_id)
        return ()


def _has_earlier(row: JobRow, mark: int) -> bool:
    """Whether an earlier revision may have minutes that nobody has closed."""
    return row.removed_at is not None or mark < row.effective_from - 60
