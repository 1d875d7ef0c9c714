"""The leader's pass: see workers, read what changed, place, write, close what workers cannot.

Everything is level-triggered: the inbox only says which jobs to read sooner. Every COMPARE
seconds the database, the fences and the assignments are read whole and any difference is healed.
With ZooKeeper away a pass ends with an error and is repeated. With the database away a leader that
has read it once goes on moving jobs of dead workers and handing runs on; what it could not read or
write it does later. Nothing is half done, since each slot's change is one transaction.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from dcron_app.manager import reading, restored
from dcron_app.manager import view as views
from dcron_app.manager.accounting import Accounting
from dcron_app.manager.closing import Closing
from dcron_app.manager.election import Election
from dcron_app.manager.followed import Followed
from dcron_app.manager.future_marks import set_back
from dcron_app.manager.isolated import Isolated
from dcron_app.manager.leftovers import clear_requests, forget_removed, free
from dcron_app.manager.placing import Placing
from dcron_app.manager.presence import Presence, lost_workers, note_absent
from dcron_app.manager.retention import Retention
from dcron_app.manager.sealing import Sealing
from dcron_app.manager.settling import settle
from dcron_app.manager.view import View
from dcron_app.manager.workerless import Workerless
from dcron_common import paths, timing
from dcron_common.clock import Clock
from dcron_common.coordinator.contract import Check, Coordinator, Delete
from dcron_common.db import run_reads, runs, workers
from dcron_common.db.connection import Database
from dcron_common.errors import DatabaseUnavailable
from dcron_common.ids import ulid
from dcron_common.run import RunRecord

log = logging.getLogger(__name__)

SEEN = 5.0  # seconds between two writes of the table of workers


class Leader:
    """One manager's work while it leads."""

    def __init__(
        self,
        coordinator: Coordinator,
        database: Database,
        election: Election,
        clock: Clock,
        sealing: Sealing,
        retention: Retention | None = None,
    ) -> None:
        self._coordinator = coordinator
        self._database = database
        self._election = election
        self._clock = clock
        self._proof: Check | None = None
        self._view: View | None = None
        self._compare_at = 0.0
        self._scan_at = 0.0
        self._seen_at = 0.0
        self._presence = Presence(coordinator, clock)
        self._workerless = Workerless(database)
        self._followed = Followed(coordinator, database)
        self._isolated = Isolated(database, self._write)
        self._placing = Placing(coordinator, election, clock, self._told)
        self._sealing = sealing
        self._retention = retention
        self._places_due = True
        self._trouble: DatabaseUnavailable | None = None
        self._records = False  # whether the database took the last thing that it was given
        self._clock_wrong = False

    def step(self) -> bool:
        """One pass; whether this manager leads. DatabaseUnavailable: all was done but what needs
        the database."""
        if not self._election.leads():
            self._view = None
            if self._retention is not None:
                self._retention.rest()
            return False
        if self._election.proof != self._proof:
            # Others may have led in between, even where this manager never saw it.
            self._proof = self._election.proof
            self._view = None
            self._presence.forget()
            self._records = False
            self._workerless = Workerless(self._database)
            self._sealing.forget()
        self._trouble = None
        now = self._clock.boot()
        view = self._compared(now)
        seen = self._presence.see(view)
        self._place(view)
        if now >= self._scan_at:
            self._scan_at = now + timing.SCAN
            self._scan(view, seen)
        # Last, since a database that is away takes its time to say so.
        self._unless_away(lambda: self._read_inbox(view))
        self._unless_away(lambda: self._open_new(view))
        self._unless_away(lambda: self._sealing.look(view, now))
        if self._places_due:
            self._unless_away(lambda: self._record_places(view))
        self._unless_away(lambda: self._record_workers(view, now))
        self._unless_away(lambda: self._isolated.close(view, seen, self._clock.wall()))
        proof = self._election.proof
        self._unless_away(lambda: self._followed.clear(view, proof, now, self._clock.wall()))
        if self._trouble is not None:
            raise self._trouble
        if self._retention is not None:
            self._retention.lead(view)
        return True

    def _unless_away(self, work: Callable[[], None]) -> None:
        """Do what needs the database; where it is away, the rest of the pass goes on."""
        try:
            work()
        except DatabaseUnavailable as error:
            self._trouble = error
            self._records = False

    def _told(self, ids: Sequence[int]) -> dict[int, int]:
        found: dict[int, int] = {}
        self._unless_away(lambda: found.update(run_reads.told_through(self._database, ids)))
        return found

    def _place(self, view: View) -> None:
        if self._placing.place(view):
            self._places_due = True
            self._sealing.placed()

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
        self._placing.look_again()
        self._sealing.forget()
        reading.load(self._coordinator, self._database, view)
        # After the jobs: a one-shot whose row says that it is over may have a run that is not.
        self._read_names(view)
        # It writes: a record that can only be read must not keep a leader from its work.
        self._unless_away(lambda: self._look_for_a_backup(view))

    def _look_for_a_backup(self, view: View) -> None:
        wall = self._clock.wall()
        restored.look(self._coordinator, self._database, view, self._election.proof, wall)

    def _record_workers(self, view: View, now: float) -> None:
        if now >= self._seen_at:
            self._seen_at = now + SEEN
            workers.save_seen(self._database, view.workers, self._clock.wall())
            self._records = True
            view.said = workers.settings(self._database)

    def _read_inbox(self, view: View) -> None:
        """Read the jobs that are spoken of; only then the notices go."""
        names = self._coordinator.children(paths.INBOX)
        if not names:
            return
        ids = {paths.inbox_job(name) for name in names}
        reading.load_jobs(self._database, view, ids)
        # What was posted after a drain was answered must not go to that worker.
        view.said = workers.settings(self._database)
        self._placing.look_again()
        self._place(view)
        self._coordinator.commit_many([[Delete(f"{paths.INBOX}/{name}")] for name in names])

    def _open_new(self, view: View) -> None:
        """Read jobs again that have got their first fence, and give them to their workers."""
        if view.unread:
            reading.load_jobs(self._database, view, view.unread)
            self._placing.look_again()
            self._place(view)

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

    def _scan(self, view: View, seen: float) -> None:
        """`seen`: when the view's workers were read, in boot seconds."""
        suspects = {s: known for s, known in view.fences.items() if known.fence.active is not None}
        names = self._read_names(view)
        note_absent(view, names, seen)
        lost = lost_workers(view, seen)
        closing = Closing(
            self._coordinator, view, self._election.proof, self._write, self._clock.wall()
        )
        strays = [name for name in view.claims if name.worker in lost or not _holds(view, name)]
        closing.close(strays, lost)
        closing.move_tasks([name for name in view.tasks if not _holds(view, name)])
        self._trouble = closing.trouble or self._trouble
        proof = self._election.proof
        free(self._coordinator, view, proof, suspects, [*view.claims, *view.tasks])
        clear_requests(self._coordinator, view, proof)
        self._placing.scanned()
        wall = self._clock.wall()
        if closing.trouble is not None:
            self._records = False
        if self._clock_is_right():
            self._unless_away(
                lambda: set_back(self._coordinator, self._database, view, proof, wall)
            )
            # Each closing makes a claim that only the database can take away. Later one claim
            # closes what many would now.
            if self._records:
                self._account(view, wall)
                return
        self._workerless.forget()

    def _account(self, view: View, wall: float) -> None:
        proof = self._election.proof
        # First: what is closed below is a claim that this scan has not seen, and until it is
        # recorded the fence alone says so.
        self._unless_away(lambda: self._settle(view, wall))
        forget_removed(self._coordinator, view, proof, wall)
        Accounting(self._coordinator, view, proof, lambda: ulid(wall), wall).account()
        self._unless_away(lambda: self._workerless.account(view, wall))

    def _settle(self, view: View, wall: float) -> None:
        # What is missing in a record that was just put back is told at the next comparison.
        if view.unsettled and not restored.is_backup(self._coordinator, self._database):
            settle(self._database, view, wall)

    def _clock_is_right(self) -> bool:
        """Whether what is overdue by this clock is overdue (P7)."""
        off = self._election.clock_offset(self._clock.wall) or 0.0
        wrong = abs(off) > timing.CLOCK_OFFSET
        if wrong is not self._clock_wrong:
            say = log.error if wrong else log.info
            say("clock offset to ZooKeeper %+.3f s: accounts=%s", off, not wrong)
        self._clock_wrong = wrong
        return not wrong

    def _read_names(self, view: View) -> list[str]:
        """Look which runs are under way; all workers that ever had one."""
        names = self._coordinator.children(paths.RUNS)
        # Requests first: what they are about was there before them. Then tasks: one that is taken
        # in between shows as a claim.
        view.kills = views.read_names(self._coordinator, names, [paths.kills(n) for n in names])
        view.tasks = views.read_names(self._coordinator, names, [paths.tasks(n) for n in names])
        view.claims = views.read_names(self._coordinator, names, [paths.runs(n) for n in names])
        return names

    def _write(self, rows: Sequence[RunRecord]) -> None:
        if rows:
            runs.record_runs(self._database, rows, self._clock.wall())


def _holds(view: View, name: views.Name) -> bool:
    """Whether the worker holds the slot, so that what is below its name is its own affair."""
    fence = view.fence(name.slot)
    return fence is not None and fence.holder == name.worker
