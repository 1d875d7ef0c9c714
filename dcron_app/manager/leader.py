"""The leader's pass: see workers, read what changed, place, write, look after losses.

Everything is level-triggered: the inbox only says which jobs to read sooner. Every COMPARE
seconds the database, the fences and the assignments are read whole and any difference is
healed. If ZooKeeper or the database is away, the pass ends with an error and is repeated;
nothing is half done, since each slot's change is one transaction.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from dcron_app.manager import assigner, losses, placement
from dcron_app.manager import view as views
from dcron_app.manager.election import Election
from dcron_app.manager.view import View, Wanted
from dcron_common import paths, timing
from dcron_common.clock import Clock
from dcron_common.coordinator.contract import Coordinator, Delete, shared_with
from dcron_common.db import jobs, runs, workers
from dcron_common.db.connection import Database
from dcron_common.paths import Slot
from dcron_common.run import RunRecord

log = logging.getLogger(__name__)

PAGE = 1000  # jobs of one read
BATCH = 200  # changes committed before the leader looks up again
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

    def step(self) -> bool:
        """One pass; whether this manager leads."""
        if not self._election.leads():
            self._view = None
            return False
        now = self._clock.boot()
        if self._view is None or now >= self._compare_at:
            self._load()
            self._compare_at = now + timing.COMPARE
        view = self._view
        if view is None:
            return False
        self._see_workers(view, now)
        read = self._read_inbox(view)
        self._place(view)
        if read:
            # Only after what they told of was read and written.
            self._coordinator.commit_many([[Delete(f"{paths.INBOX}/{name}")] for name in read])
        if now >= self._scan_at:
            self._look_after_losses(view, now)
            self._scan_at = now + timing.SCAN
        return True

    def _load(self) -> None:
        """Read everything: at an election, and to compare."""
        before = self._view
        self._coordinator.sync()
        view = View(
            fences=views.read_fences(self._coordinator),
            assigned=views.read_assigned(self._coordinator),
            absent_since=before.absent_since if before else {},
        )
        last = 0
        while page := jobs.jobs_after(self._database, last, PAGE, live=True):
            for row in page:
                view.jobs[row.id] = Wanted(jobs.spec_of(row), removed=False)
            last = page[-1].id
        self._view = view

    def _see_workers(self, view: View, now: float) -> None:
        view.workers = views.read_workers(self._coordinator)
        for name in view.workers.keys() - self._admitted:
            self._admit(name)
        if now >= self._seen_at:
            workers.save_seen(self._database, view.workers, self._clock.wall())
            view.drained = workers.drained(self._database)
            self._seen_at = now + SEEN

    def _admit(self, name: str) -> None:
        """Give a worker its places: what is below them is its own and nobody else's."""
        self._coordinator.ensure(paths.assignments(name), shared_with(name, "r"))
        self._coordinator.ensure(paths.tasks(name), shared_with(name, "rd"))
        self._coordinator.ensure(paths.runs(name), shared_with(name, "rcd"))
        self._admitted.add(name)
        log.info("worker=%s is online", name)

    def _read_inbox(self, view: View) -> list[str]:
        names = self._coordinator.children(paths.INBOX)
        ids = sorted({paths.inbox_job(name) for name in names})
        for start in range(0, len(ids), PAGE):
            rows = jobs.get_jobs(self._database, ids[start : start + PAGE], causal=True)
            for row in rows.values():
                view.jobs[row.id] = Wanted(jobs.spec_of(row), row.removed_at is not None)
        if names:
            self._seen_at = 0.0  # drains come by the inbox too
        return names

    def _place(self, view: View) -> None:
        hosts = [
            placement.Host(name, seen.labels, seen.capacity, name not in view.drained)
            for name, seen in view.workers.items()
        ]
        wishes: list[placement.Wish] = []
        for job_id, job in view.jobs.items():
            if job.removed:
                continue
            for slot in self._slots(view, job_id, job, hosts):
                known = view.fences.get(slot)
                idle = known is None or known[0].active is None
                wishes.append(placement.Wish(slot, job.spec.placement, idle))
        present = {slot: fence.holder for slot, (fence, _) in view.fences.items()}
        placed = placement.place(wishes, hosts, present)
        changes: list[assigner.Change] = []
        for slot, holder in placed.items():
            change = assigner.change_for(view, slot, view.jobs[slot.job_id].spec, holder)
            if change is not None:
                changes.append(change)
        for slot in view.fences.keys() - placed.keys():
            change = assigner.change_for(view, slot, None, None)
            if change is not None:
                changes.append(change)
        for start in range(0, len(changes), BATCH):
            done = assigner.apply(
                self._coordinator, view, self._election.proof, changes[start : start + BATCH]
            )
            workers.save_places(self._database, {slot.job_id: h for slot, h in done.items()})

    @staticmethod
    def _slots(view: View, job_id: int, job: Wanted, hosts: Sequence[placement.Host]) -> list[Slot]:
        """The slots a job shall have; a job on all keeps those of workers that are away."""
        slots = placement.slots_of(job_id, job.spec.placement, hosts)
        if job.spec.placement.on != "all":
            return slots
        away = [
            slot
            for slot in view.fences
            if slot.job_id == job_id and slot.node and slot.node not in view.workers
        ]
        return [*slots, *away]

    def _look_after_losses(self, view: View, now: float) -> None:
        names = self._coordinator.children(paths.RUNS)
        lost = losses.lost_workers(view, names, now)
        for name in lost:
            self._admitted.discard(name)
        proof = self._election.proof
        for orphan in losses.orphans(self._coordinator, lost):
            losses.settle(self._coordinator, view, proof, orphan, self._write, self._clock.wall())
        losses.move_tasks(self._coordinator, view, proof, lost)
        self._forget_removed(view, names)

    def _forget_removed(self, view: View, names: Sequence[str]) -> None:
        """Fences of removed jobs go once no claim of them is left anywhere."""
        gone = [s for s, (f, _) in view.fences.items() if f.state == assigner.REMOVED]
        if not gone:
            return
        lists = self._coordinator.children_many([paths.runs(name) for name in names])
        open_slots = {paths.run_parts(name)[0] for found in lists for name in found or []}
        for slot in gone:
            job = view.jobs.get(slot.job_id)
            if slot in open_slots or view.assigned.get(slot) or (job and not job.removed):
                continue
            version = view.fences[slot][1]
            self._coordinator.commit_many(
                [[self._election.proof, Delete(paths.fence(slot), version)]]
            )
            assigner.reread(self._coordinator, view, slot)
            if slot not in view.fences:
                view.jobs.pop(slot.job_id, None)

    def _write(self, rows: Sequence[RunRecord]) -> None:
        runs.record_runs(self._database, rows, self._clock.wall())
