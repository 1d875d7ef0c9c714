"""Minutes that end here without a claim and without a process (P9): closed as missed or skipped, or
launches that never came to the launcher.

Each is noted on disk before anything is done about it, and told to the record until that has it,
by the next life of the daemon if need be. So the fence's mark may move past it, whatever is away.
A row that is told again changes nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

from dcron_common.clock import Clock
from dcron_common.run import RunRecord, RunState
from dcron_worker.book import Book
from dcron_worker.notes import Notes

log = logging.getLogger(__name__)

RESTARTED = "it was to start without a claim, and the worker's daemon was restarted before it could"


class UnclaimedClosing:
    """Called from the daemon's thread only. `report`: as Isolation's."""

    def __init__(
        self,
        book: Book,
        notes: Notes,
        report: Callable[[Sequence[RunRecord], Sequence[str]], None],
        clock: Clock,
    ) -> None:
        self._book = book
        self._notes = notes
        self._report = report
        self._clock = clock
        self._untold: dict[str, int] = {}  # jobs of what is on its way to the record, by run id
        self._told: dict[str, int] = {}  # of which the record has the row, or refuses it for good

    def note(self, rows: Sequence[RunRecord]) -> bool:
        """Have it on disk that these minutes are decided, `running` of those that are to start;
        False: nothing may be done about any of them."""
        try:
            self._notes.put(rows)
        except OSError as error:
            log.error("%d due minutes wait for a disk that takes notes: %s", len(rows), error)
            return False
        return True

    def note_end(self, row: RunRecord) -> None:
        """A run that was to start is over, and the launcher did not have it."""
        try:
            self._notes.put([row])
        except OSError as error:  # what was noted at first still says that it did not start
            log.error("run=%s its end is not on disk: %s", row.run_id, error)

    def close(self, rows: Sequence[RunRecord]) -> None:
        """Tell the record of minutes that are noted, and end without a start."""
        if rows:
            self._untold |= {row.run_id: row.job_id for row in rows}
            self._report(rows, [row.run_id for row in rows])

    def told(self, run_id: str) -> bool:
        """The record has the row, or refuses it for good; False if it is none of these."""
        if run_id not in self._untold:
            return run_id in self._told
        self._told[run_id] = self._untold.pop(run_id)
        return True

    def go_on(self, known: Collection[str]) -> None:
        """After a restart: what is noted and the launcher does not know. Runs that it knows are in
        the book already."""
        left = [row for row in self._notes.left() if row.run_id not in known]
        for row in left:
            if row.state is not RunState.RUNNING:
                self._book.unclaimed.reach(row.job_id, row.scheduled_at - 60, row.scheduled_at)
                self.close([row])
        due: list[RunRecord] = []
        for row in left:
            if row.state is RunState.RUNNING:
                due += self._give_up(row)
        self._told |= {row.run_id: row.job_id for row in due}
        self.forget([row.run_id for row in due])

    def _give_up(self, row: RunRecord) -> list[RunRecord]:
        """A launch that the launcher never got. Its minute is due still, and returned, unless later
        ones were decided, or the fence says that it was; then nobody else would tell of it."""
        unclaimed = self._book.unclaimed
        slot = next((slot for slot in self._book.held if slot.job_id == row.job_id), None)
        held = self._book.mine(slot) if slot is not None else None
        if held and max(held.fence.mark, unclaimed.marks.get(row.job_id, 0)) < row.scheduled_at:
            return [row]
        now = self._clock.wall()
        self.close([replace(row, state=RunState.MISSED, finished_at=now, reason=RESTARTED)])
        return []

    def accounted(self) -> list[str]:
        """What is told, and of which the fence knows."""
        marks = self._book.unclaimed.marks
        return [run_id for run_id, job_id in self._told.items() if job_id not in marks]

    def forget(self, run_ids: Sequence[str]) -> bool:
        """Drop the notes of these, runs that had a process among them; False: it is done later."""
        try:
            self._notes.drop(run_ids)
        except OSError as error:
            log.warning("%d notes are dropped later: %s", len(run_ids), error)
            return False
        for run_id in run_ids:
            self._told.pop(run_id, None)
        return True
