"""Runs without a claim whose worker is gone (P9): the record must not have them run for ever.

No claim tells of them, and their worker may be cut off and well. So it has some time to come back
and go on telling; then the record calls them lost, by a row that gives way to the end that the
worker may tell after all (P13). Nothing follows from it: such a run is not resumed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace

from dcron_app.manager.view import View
from dcron_common import timing
from dcron_common.db import run_lists
from dcron_common.db.connection import Database
from dcron_common.db.run_lists import WantedRuns
from dcron_common.run import RunRecord, RunState

log = logging.getLogger(__name__)

WAIT = 600.0  # seconds for a worker to come back: a switch or a host that starts again takes less
MOST = 500  # of one worker at one look
REASON = (
    "worker {} started it while it was cut off, and was not heard of for {:.0f} minutes; if it "
    "goes on there, its end will tell"
)


class Isolated:
    """`write` records rows. Keeps in mind only when to look again."""

    def __init__(self, database: Database, write: Callable[[Sequence[RunRecord]], None]) -> None:
        self._database = database
        self._write = write
        self._look_at = 0.0

    def close(self, view: View, seen: float, now: float) -> None:
        """Record what is lost. `seen`: when the view's workers were read, in boot seconds; `now`:
        epoch seconds. Notes since when others are absent. DatabaseUnavailable: the next look does.
        """
        if seen < self._look_at:
            return
        running = run_lists.running_by_worker(self._database)
        for name in running.keys() - view.workers.keys():
            if seen - view.absent_since.setdefault(name, seen) >= WAIT:
                self._close(name, now)
        self._look_at = seen + timing.COMPARE

    def _close(self, name: str, now: float) -> None:
        wanted = WantedRuns(states=frozenset({RunState.RUNNING}), worker=name)
        found = run_lists.find_runs(self._database, wanted, None, MOST)
        lost = [_lost(row, now) for _, row in found if row.isolated]
        for row in lost:
            log.warning("job=%d run=%s of worker=%s is lost", row.job_id, row.run_id, name)
        self._write(lost)


def _lost(row: RunRecord, now: float) -> RunRecord:
    reason = REASON.format(row.worker, WAIT / 60)
    return replace(row, state=RunState.LOST, finished_at=now, reason=reason)
