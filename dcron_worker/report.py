"""Reports: rows of runs on their way to the database, from a thread of their own.

Nothing is kept here that cannot be found again: what ended stays in its claim and in the
launcher's files until its outcome was told. While the database is away the queue waits.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dcron_common.errors import DatabaseUnavailable
from dcron_common.run import RunRecord, RunState

log = logging.getLogger(__name__)

BATCH = 500  # rows of one transaction
PAUSE = 1.0  # seconds between two tries while the database is away


@dataclass(frozen=True, slots=True)
class Outcome:
    """The rows of these runs are written, or `refused` for good."""

    run_ids: tuple[str, ...]
    refused: bool = False


@dataclass(frozen=True, slots=True)
class _Report:
    records: tuple[RunRecord, ...]
    run_ids: tuple[str, ...]


class Reporter:
    """Writes in order, in batches; `write` raises DatabaseUnavailable to be asked again, any
    other DatabaseError to refuse. `tell` is called from the reporter's thread, and only queues."""

    def __init__(
        self, write: Callable[[Sequence[RunRecord]], None], tell: Callable[[Outcome], None]
    ) -> None:
        self._write = write
        self._tell = tell
        self._queue: queue.SimpleQueue[_Report] = queue.SimpleQueue()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="report", daemon=True)
        self._away = False

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout: float) -> None:
        """Write what is waiting, for at most `timeout` seconds."""
        self._stop.set()
        self._thread.join(timeout)

    def put(self, records: Sequence[RunRecord], run_ids: Sequence[str] = ()) -> None:
        """Write these rows; `run_ids` come back in an Outcome."""
        self._queue.put(_Report(tuple(records), tuple(run_ids)))

    def _work(self) -> None:
        waiting: list[_Report] = []
        while not (self._stop.is_set() and not waiting and self._queue.empty()):
            if not waiting:
                waiting = self._take()
            if not waiting:
                continue
            try:
                self._flush(waiting)
            except DatabaseUnavailable as error:
                self._say_away(error)
                if self._stop.is_set():
                    return
                self._stop.wait(PAUSE)
            else:
                self._say_back()
                waiting = []

    def _take(self) -> list[_Report]:
        """About BATCH rows: a claim may bring a hundred passed over minutes of its own."""
        taken: list[_Report] = []
        rows = 0
        try:
            taken.append(self._queue.get(timeout=0.25))
            rows = len(taken[0].records)
            while rows < BATCH:
                taken.append(self._queue.get_nowait())
                rows += len(taken[-1].records)
        except queue.Empty:
            return taken
        return taken

    def _flush(self, reports: list[_Report]) -> None:
        try:
            self._write(_newest([record for report in reports for record in report.records]))
        except DatabaseUnavailable:
            raise
        except Exception:  # one bad record spoils a batch: it is found by trying each
            log.exception("a batch was refused; its reports are tried one by one")
            self._one_by_one(reports)
            return
        self._tell(Outcome(tuple(run_id for report in reports for run_id in report.run_ids)))

    def _one_by_one(self, reports: list[_Report]) -> None:
        """A record that cannot be written is set aside and never blocks the rest (P13)."""
        while reports:
            report = reports[0]
            try:
                self._write(report.records)
            except DatabaseUnavailable:
                raise  # what was written is off the list already
            except Exception:  # whatever is wrong with it is wrong with this report alone
                log.exception("runs %s cannot be recorded: %r", report.run_ids, report.records)
                self._tell(Outcome(report.run_ids, refused=True))
            else:
                self._tell(Outcome(report.run_ids))
            reports.pop(0)

    def _say_away(self, error: DatabaseUnavailable) -> None:
        if not self._away:
            log.warning("reports wait for the database: %s", error)
        self._away = True

    def _say_back(self) -> None:
        if self._away:
            log.info("the database is back; reports are written")
        self._away = False


def _newest(rows: Sequence[RunRecord]) -> list[RunRecord]:
    """Without rows that say of a run that it runs, where a later one tells how it ended."""
    over = {row.run_id for row in rows if row.state is not RunState.RUNNING}
    return [row for row in rows if row.state is not RunState.RUNNING or row.run_id not in over]
