"""The leader's pass: see workers, read what changed, place, write, close what workers cannot.

Everything is level-triggered: the inbox only says which jobs to read sooner. Every COMPARE
seconds the database, the fences and the assignments are read whole and any difference is healed.
With ZooKeeper away a pass ends with an error and is repeated. With the database away a leader that
has read it once goes on moving jobs of dead workers and handing runs on; what it could not read or
write it does later. Nothing is half done, since each slot's change is one transaction.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence

from dcron_app.manager import assigner
from dcron_app.manager import view as views
from dcron_app.manager.accounting import account
from dcron_app.manager.closing import Closing
from dcron_app.manager.election import Election
from dcron_app.manager.placing import Placing
from dcron_app.manager.view import View, Wanted
from dcron_common import paths, timing
from dcron_common.clock import Clock
from dcron_common.coordinator.contract import Coordinator, Delete, shared_with
from dcron_common.db import jobs, runs, workers
from dcron_common.db.connection import Database
from dcron_common.db.jobs import JobRow
from dcron_common.errors import DatabaseUnavailable
from dcron_common.ids import ulid
from dcron_common.run import RunRecord

log = logging.getLogger(__name__)

PAGE = 1000  # jobs of one read
SEEN = 5.0  # seconds between two writes of the table of workers


class Leader:
    """One manager's work while it leads."""

    def __init__(
        self, coordinator: Coordinator, database: Database, election: Election, clock: Clock
    ) -> None:
        self._coordinator = coordinator
        self._database = database
        self._election = election
        self._clock = clock
        self._view: View | None = None
        self._compare_at = 0.0
        self._scan_at = 0.0
        self._seen_at = 0.0
        self._admitted: set[str] = set()
        self._placing = Placing(coordinator, election)
        self._places_due = True
        self._trouble: DatabaseUnavailable | None = None

    def step(self) -> bool:
        """One pass; whether this manager leads. DatabaseUnavailable: all was done but what needs
        the database."""
        if not self._election.leads():
            self._view = None
            return False
        self._trouble = None
        now = self._clock.boot()
        view = self._compared(now)
        self._see_workers(view)
        if self._placing.place(view):
            self._places_due = True
        if now >= self._scan_at:
            self._scan_at = now + timing.SCAN
            self._scan(view, now)
        # Last, since a database that is away takes its time to say so.
        self._unless_away(lambda: self._read_inbox(view))
        if self._places_due:
            self._unless_away(lambda: self._record_places(view))
        self._unless_away(lambda: self._record_workers(view, now))
        if self._trouble is not None:
            raise self._trouble
        return True

    def _unless_away(self, work: Callable[[], None]) -> None:
        """Do what needs the database; where it is away, the rest of the pass goes on."""
        try:
            work()
        except DatabaseUnavailable as error:
            self._trouble = error

    # -- reading

    def _compared(self, now: float) -> View:
        """The view, read whole where it is time. A first read needs the database."""
        if self._view is None:
            self._view = View()
            try:
                self._load(self._view)
            except BaseException:
                self._view = None
                raise
            self._compare_at = now + timing.COMPARE
            self._scan_at = now
        elif now >= self._compare_at:
            view = self._view
            self._compare_at = now + timing.COMPARE
            self._unless_away(lambda: self._load(view))
        return self._view

    def _load(self, view: View) -> None:
        """Read fences and assignments, then the jobs: all that are live, and each other that has
        a fence. Causally: a server that lags behind may lack a job, or still have one whose fence
        is forgotten by now."""
        self._coordinator.sync()
        self._placing.look_again()
        view.fences = views.read_fences(self._coordinator)
        view.assigned = views.read_assigned(self._coordinator)
        view.aside.clear()
        last, found, places = 0, dict[int, Wanted](), dict[int, str | None]()
        while page := jobs.jobs_after(self._database, last, PAGE, live=True, causal=True):
            for row in page:
                found[row.id] = _wanted(row)
                places[row.id] = row.worker
            last = page[-1].id
        view.jobs, view.places = found, places
        unknown = {slot.job_id for slot in view.fences} - found.keys()
        self._read_jobs(view, unknown)
        view.drained = workers.drained(self._database)
        # After the jobs: a one-shot whose row says that it is over may have a run that is not.
        self._read_names(view)

    def _read_jobs(self, view: View, wanted: Iterable[int]) -> None:
        ids = sorted(wanted)
        for start in range(0, len(ids), PAGE):
            rows = jobs.get_jobs(self._database, ids[start : start + PAGE], causal=True)
            for row in rows.values():
                view.jobs[row.id] = _wanted(row)
                view.places[row.id] = row.worker

    def _see_workers(self, view: View) -> None:
        before = view.workers
        view.workers = views.read_workers(self._coordinator)
        for name in view.workers.keys() - self._admitted:
            self._admit(name)
        for name in before.keys() - view.workers.keys():
            log.warning("worker=%s is gone: its jobs move", name)

    def _record_workers(self, view: View, now: float) -> None:
        if now >= self._seen_at:
            self._seen_at = now + SEEN
            workers.save_seen(self._database, view.workers, self._clock.wall())
            view.drained = workers.drained(self._database)

    def _admit(self, name: str) -> None:
        """Give a worker its places: what is below them is its own and nobody else's."""
        self._coordinator.ensure(paths.assignments(name), shared_with(name, "r"))
        self._coordinator.ensure(paths.tasks(name), shared_with(name, "rd"))
        self._coordinator.ensure(paths.runs(name), shared_with(name, "rcd"))
        self._admitted.add(name)
        log.info("worker=%s is online", name)

    def _read_inbox(self, view: View) -> None:
        """Read the jobs that are spoken of; only then the notices go."""
        names = self._coordinator.children(paths.INBOX)
        if not names:
            return
        self._read_jobs(view, {paths.inbox_job(name) for name in names})
        # What was posted after a drain was answered must not go to that worker.
        view.drained = workers.drained(self._database)
        self._placing.look_again()
        self._placing.place(view)
        self._places_due = True
        self._coordinator.commit_many([[Delete(f"{paths.INBOX}/{name}")] for name in names])

    # -- recording where jobs stand

    def _record_places(self, view: View) -> None:
        """Make the jobs' rows name the workers that hold them; a job on all names none."""
        differs = {}
        for slot, known in view.fences.items():
            if slot.job_id not in view.places or slot.node:
                continue
            if view.places[slot.job_id] != known.fence.holder:
                differs[slot.job_id] = known.fence.holder
        if differs:
            workers.save_places(self._database, differs)
            view.places.update(differs)
        self._places_due = False

    # -- closing

    def _scan(self, view: View, now: float) -> None:
        suspects = {s: known for s, known in view.fences.items() if known.fence.active is not None}
        names = self._read_names(view)
        lost = self._lost_workers(view, names, now)
        self._admitted -= set(lost)
        closing = Closing(
            self._coordinator, view, self._election.proof, self._write, self._clock.wall()
        )
        strays = [name for name in view.claims if name.worker in lost or not _holds(view, name)]
        closing.close(strays, lost)
        closing.move_tasks([name for name in view.tasks if not _holds(view, name)])
        self._trouble = closing.trouble or self._trouble
        closing.free(suspects, [*view.claims, *view.tasks])
        self._placing.scanned()
        wall = self._clock.wall()
        account(self._coordinator, view, self._election.proof, lambda: ulid(wall), wall)
        self._forget_removed(view)

    def _read_names(self, view: View) -> list[str]:
        """Look which runs are under way; all workers that ever had one."""
        names = self._coordinator.children(paths.RUNS)
        # Tasks first: one that is taken in between shows as a claim.
        view.tasks = views.read_names(self._coordinator, names, [paths.tasks(n) for n in names])
        view.claims = views.read_names(self._coordinator, names, [paths.runs(n) for n in names])
        return names

    @staticmethod
    def _lost_workers(view: View, names: Sequence[str], now: float) -> list[str]:
        """Workers that have been absent for so long that nothing of theirs still runs (P4).

        `now` in boot seconds. Notes since when others are absent.
        """
        for name in view.workers:
            view.absent_since.pop(name, None)
        wait = timing.LEASE + timing.KILL
        return [
            name
            for name in names
            if name not in view.workers and now - view.absent_since.setdefault(name, now) >= wait
        ]

    def _forget_removed(self, view: View) -> None:
        """Fences of jobs that are over go once no run of them is left anywhere."""
        taken = view.open_slots()
        gone = [s for s, known in view.fences.items() if known.fence.state == assigner.REMOVED]
        for slot in gone:
            job = view.jobs.get(slot.job_id)
            if slot in taken or view.assigned.get(slot) or (job and not job.over):
                continue
            version = view.fences[slot].version
            self._coordinator.commit_many(
                [[self._election.proof, Delete(paths.fence(slot), version)]]
            )
            if views.reread(self._coordinator, view, slot) is None:
                view.jobs.pop(slot.job_id, None)

    def _write(self, rows: Sequence[RunRecord]) -> None:
        if rows:
            runs.record_runs(self._database, rows, self._clock.wall())


def _wanted(row: JobRow) -> Wanted:
    removed = row.removed_at is not None
    return Wanted(jobs.spec_of(row), over=removed or jobs.has_had_its_time(row), removed=removed)


def _holds(view: View, name: views.Name) -> bool:
    """Whether the worker holds the slot, so that what is below its name is its own affair."""
    fence = view.fence(name.slot)
    return fence is not None and fence.holder == name.worker
