"""Reports: rows of runs on their way to the database, from a thread of their own.

Nothing is kept here that cannot be found again: an ended run stays in its claim and in the
launcher's files until `done` was told. While the database is away the queue waits; a start's
report is worth little later, so `running` rows are dropped when a newer one of the same run is
behind them.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dcron_common.errors import DatabaseError, DatabaseUnavailable
from dcron_common.run import RunRecord

log = logging.getLogger(__name__)

BATCH = 500  # rows of one transaction
PAUSE = 1.0  # seconds between two tries while the database is away


@dataclass(frozen=True, slots=True)
class _Report:
    records: tuple[RunRecord, ...]
    done: Callable[[], None]


class Reporter:
    """Writes in order, in batches; `write` raises DatabaseUnavailable to be asked again."""

    def __init__(self, write: Callable[[Sequence[RunRecord]], None]) -> None:
        self._write = write
        self._queue: queue.SimpleQueue[_Report] = queue.SimpleQueue()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="report", daemon=True)
        self.ill: str | None = None

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout: float) -> None:
        """Write what is waiting, for at most `timeout` seconds."""
        self._stop.set()
        self._thread.join(timeout)

    def put(self, records: Sequence[RunRecord], done: Callable[[], None] = lambda: None) -> None:
        """`done` is called, from the reporter's thread, once the rows are committed."""
        self._queue.put(_Report(tuple(records), done))

    def _work(self) -> None:
        waiting: list[_Report] = []
        while not (self._stop.is_set() and not waiting and self._queue.empty()):
            waiting += self._take(block=not waiting)
            if waiting and self._flush(waiting):
                waiting = []
            elif waiting:
                if self._stop.is_set():
                    return
                self._stop.wait(PAUSE)

    def _take(self, *, block: bool) -> list[_Report]:
        taken: list[_Report] = []
        try:
            if block:
                taken.append(self._queue.get(timeout=0.25))
            while len(taken) < BATCH:
                taken.append(self._queue.get_nowait())
        except queue.Empty:
            return taken
        return taken

    def _flush(self, reports: list[_Report]) -> bool:
        try:
            self._write([record for report in reports for record in report.records])
        except DatabaseUnavailable as error:
            if self.ill is None:
                log.warning("%d reports wait for the database: %s", len(reports), error)
            self.ill = "database"
            return False
        except DatabaseError:
            log.exception("a batch was refused; its rows are tried one by one")
            self._one_by_one(reports)
        if self.ill is not None:
            log.info("the database is back; %d reports are written", len(reports))
        self.ill = None
        for report in reports:
            report.done()
        return True

    def _one_by_one(self, reports: list[_Report]) -> None:
        """A record that cannot be written is set aside and never blocks the rest (P13)."""
        for report in reports:
            for record in report.records:
                try:
                    self._write([record])
                except DatabaseError:
                    log.exception("run=%s cannot be recorded: %r", record.run_id, record)
