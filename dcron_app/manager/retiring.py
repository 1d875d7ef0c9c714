"""Removes runs that have had their time, job after job, and then jobs that were removed long ago.

A run's output goes before its row. A crash in between leaves a row whose output is not there any
more, which the next round removes, and the API shows its tail meanwhile; the other way round an
object would be left that only a walk over all of them finds (`files` is that walk, for what is
left by other accidents). While the store is away rows with an output wait and others go.

A round begins where the one before has ended, also under another leader. Two leaders at once, one
of which does not know yet that it is none any more, remove the same.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence

from dcron_app.manager.keeping import Bounds, Held, Sieve, outputs_of
from dcron_app.manager.retention_pace import BATCH, Done, Pace
from dcron_common import paths
from dcron_common.coordinator.contract import Coordinator
from dcron_common.db import old_jobs, old_runs, progress
from dcron_common.db.connection import Database
from dcron_common.db.old_runs import Extent, OldRun
from dcron_common.errors import ObjectStoreError, ObjectStoreUnavailable
from dcron_common.object_store.contract import ObjectStore, output_key
from dcron_common.settings import RetentionConfig

log = logging.getLogger(__name__)

DAY = 86_400
JOBS = 100  # whose runs are looked at by one statement
LATER = 2_000  # runs behind the bound that may tell of a later minute of a node
PLACE = "runs after job"
_FOR_EVER = 2**62


class Retiring:
    """One round. `now`: epoch seconds. DatabaseUnavailable, ConnectionLost: the next goes on."""

    def __init__(
        self,
        database: Database,
        store: ObjectStore,
        config: RetentionConfig,
        held: Held,
        now: float,
        pace: Pace,
        done: Done,
    ) -> None:
        self._database = database
        self._store = store
        self._config = config
        self._held = held
        self._now = now
        self._pace = pace
        self._done = done
        self._store_away = False

    # -- runs

    def runs(self) -> None:
        """Go on through the jobs that have runs, as far as this round goes."""
        config = self._config
        if config.run_days is None and config.runs_per_job is None and self._orphans_from is None:
            return
        after = int(progress.read(self._database, PLACE) or 0)
        while self._pace.goes_on:
            page = old_runs.extents(self._database, after, JOBS, config.runs_per_job)
            self._pace.looked()
            orphans = old_runs.without_row(self._database, [one.job_id for one in page])
            for extent in page:
                self._job(extent, extent.job_id in orphans)
                if not self._pace.goes_on:
                    break  # the next round begins with this job
                after = extent.job_id
            else:
                after = page[-1].job_id if len(page) == JOBS else 0
                if after == 0:
                    self._note(0)
                    return
        self._done.whole = False
        self._note(after)

    def _note(self, after: int) -> None:
        progress.write(self._database, PLACE, str(after), self._now)

    @property
    def _orphans_from(self) -> float | None:
        """Runs of jobs that are gone wholly go when they ended before this."""
        days = self._config.removed_job_days
        return None if days is None else self._now - days * DAY

    def _job(self, extent: Extent, orphaned: bool) -> None:
        if extent.job_id in self._held.unsure:
            return
        bounds = self._bounds(extent, orphaned)
        if extent.oldest < bounds.until:
            job_id = extent.job_id
            mark, open_ = self._held.marks.get(job_id), self._held.open.get(job_id, ())
            sieve = Sieve(bounds, mark, open_, orphaned=orphaned)
            self._sift(job_id, sieve, bounds.until, horizon=not orphaned)

    def _bounds(self, extent: Extent, orphaned: bool) -> Bounds:
        if orphaned:
            return Bounds(self._orphans_from, None)
        days = self._config.run_days
        return Bounds(None if days is None else self._now - days * DAY, extent.newest_from)

    def _sift(self, job_id: int, sieve: Sieve, until: int, *, horizon: bool) -> None:
        last: OldRun | None = None
        while self._pace.goes_on:
            page = old_runs.runs_before(self._database, job_id, last, until, BATCH)
            self._drop(job_id, sieve.pass_through(page), horizon=horizon)
            if len(page) < BATCH:
                break
            last = page[-1]
            self._pace.breathe()
        else:
            return
        if sieve.waiting:
            later = old_runs.nodes_since(self._database, job_id, until, LATER)
            self._drop(job_id, sieve.rest(later), horizon=horizon)

    def _drop(self, job_id: int, rows: Sequence[OldRun], *, horizon: bool) -> None:
        kept = self._outputs(rows)
        gone = [row for row in rows if row.run_id not in kept]
        if gone:
            count = old_runs.drop_runs(self._database, job_id, gone, horizon=horizon)
            self._done.runs += count
            self._pace.removed(len(gone))

    def _outputs(self, rows: Sequence[OldRun]) -> Collection[str]:
        """Remove the outputs of these rows; the ids of those that could not be."""
        kept = set()
        for worker, run_id in outputs_of(rows):
            try:
                if self._store_away:
                    raise ObjectStoreUnavailable("it was away a moment ago")
                self._store.delete(output_key(worker, run_id))
                self._done.outputs += 1
            except ObjectStoreUnavailable as error:
                if not self._store_away:
                    log.warning("runs with an output are kept for now: %s", error)
                self._store_away = True
                self._done.whole = False
                kept.add(run_id)
            except ObjectStoreError as error:
                # The row names a place where no output can be.
                log.error("run=%s its output is not removed: %s", run_id, error)
        return kept

    # -- removed jobs

    def jobs(self, coordinator: Coordinator) -> None:
        """Remove what is left of jobs that were removed long ago and have no fence any more."""
        before = self._orphans_from
        if before is None:
            return
        last = 0
        while self._pace.goes_on:
            page = old_jobs.removed_before(self._database, before, last, JOBS)
            self._pace.looked()
            fenced = _fenced(coordinator, page)
            for job_id in page:
                if not self._pace.goes_on:
                    break
                if job_id not in fenced and job_id not in self._held.open:
                    self._removed_job(job_id, before)
                last = job_id
            else:
                if len(page) < JOBS:
                    return
        self._done.whole = False

    def _removed_job(self, job_id: int, before: float) -> None:
        # Its fence is gone, so no run of it is left anywhere: nothing of its past is needed.
        nothing_kept = Bounds(float(_FOR_EVER), None)
        sieve = Sieve(nothing_kept, None, (), orphaned=True)
        self._sift(job_id, sieve, _FOR_EVER, horizon=False)
        while self._pace.goes_on:
            if old_jobs.drop_revisions(self._database, job_id, BATCH) < BATCH:
                break
            self._pace.removed(BATCH)
        if self._pace.goes_on and old_jobs.drop_job(self._database, job_id, before):
            self._done.jobs += 1
            self._pace.removed(1)


def _fenced(coordinator: Coordinator, job_ids: Collection[int]) -> set[int]:
    """Those of these jobs that have a fence."""
    parents = sorted({paths.fences(job_id) for job_id in job_ids})
    lists = coordinator.children_many(parents)
    return {paths.Slot.parse(name).job_id for names in lists for name in names or ()} & set(job_ids)
