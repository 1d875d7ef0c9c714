"""What becomes of a claim once it has ended: its rows, then the claim, then the launcher's files.

The files of a large output stay until `outputs` has stored the whole.

A row that the database refuses is set aside (P13): its claim and files stay, it is not tried
again before the daemon's next start, and nothing else waits for it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from dcron_common import records
from dcron_common.errors import LaunchError
from dcron_common.run import RunRecord
from dcron_worker.book import Book, OpenClaim
from dcron_worker.endings import Endings
from dcron_worker.outputs import Outputs
from dcron_worker.report import Outcome
from dcron_worker.runner.client import Runner

log = logging.getLogger(__name__)

Report = Callable[[Sequence[RunRecord], Sequence[str]], None]


class Recording:
    """Called from the daemon's thread only. `report` takes rows, and the run ids to tell the
    outcome of (by `written` or `refused`)."""

    def __init__(
        self, book: Book, endings: Endings, runner: Runner, report: Report, outputs: Outputs
    ) -> None:
        self._book = book
        self._endings = endings
        self._runner = runner
        self._report = report
        self.outputs = outputs
        self._under_way: set[str] = set()
        self._written: set[str] = set()  # of claims that still stand
        self._to_drop: set[str] = set()
        self._aside: set[str] = set()
        self._unacknowledged: set[str] = set()

    @property
    def ill(self) -> bool:
        """Whether rows were set aside."""
        return bool(self._aside)

    def running(self, rows: Sequence[RunRecord]) -> None:
        """Rows that nobody waits for."""
        self._report(rows, ())

    def closed(self, opened: OpenClaim) -> None:
        """Report what the claim knows to have ended, unless that is done or on its way."""
        claim = opened.claim
        ended = {one.run_id for one in claim.ended}
        if claim.result is not None:
            ended.add(claim.run_id)
            if claim.run_id in self._written:
                self._to_drop.add(claim.run_id)  # did not succeed before
        new = ended - self._under_way - self._aside - self._written
        if new:
            self._under_way |= new
            self._report(records.rows(opened.slot, opened.key, claim), sorted(new))

    def knows(self, run_id: str) -> bool:
        """Whether the run's files must stay, since its row is not written yet."""
        return run_id in self._under_way or run_id in self._aside

    def told(self, outcome: Outcome) -> None:
        """The database has the rows, or refuses them."""
        for run_id in outcome.run_ids:
            self._under_way.discard(run_id)
            if outcome.refused:
                self._aside.add(run_id)
                continue
            self._written.add(run_id)
            if not self.outputs.keep(run_id):
                self._unacknowledged.add(run_id)
            opened = self._book.claims.get(run_id)
            if opened is not None and opened.claim.result is not None:
                self._to_drop.add(run_id)

    def stored(self, run_id: str) -> None:
        """The run's output lies elsewhere, or was given up."""
        self.outputs.done(run_id)
        self._unacknowledged.add(run_id)

    def may_forget(self, run_id: str) -> bool:
        """Whether nothing has to be made of the files of a run whose claim is gone."""
        return run_id not in self._unacknowledged and not self.outputs.keep(run_id)

    def drop(self) -> None:
        """Remove recorded claims, where that is for their worker to do; else the leader closes
        them. What fails is tried again after the next look."""
        found = [self._book.claims.get(run_id) for run_id in self._to_drop]
        self._to_drop.clear()
        ours = [x for x in found if x and x.claim.closed and self._book.mine(x.slot)]
        if ours:
            self._endings.drop(ours)

    def acknowledge(self) -> None:
        """Have the launcher forget what is recorded."""
        if not self._unacknowledged:
            return
        try:
            self._runner.acknowledge(sorted(self._unacknowledged))
        except LaunchError as error:
            log.warning("%d runs are acknowledged later: %s", len(self._unacknowledged), error)
        else:
            self._unacknowledged.clear()

    def forget(self) -> None:
        """Keep in mind only what still stands in a claim."""
        standing = set(self._book.claims)
        for opened in self._book.claims.values():
            standing |= {one.run_id for one in opened.claim.ended}
        self._written &= standing
        self._aside &= standing
