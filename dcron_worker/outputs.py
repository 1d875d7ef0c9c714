"""Whole outputs on their way to the object store.

The run's row comes first, with the output's tail: history does not wait for a store. An output
that fills the tail (its row cannot tell whether there was more) is then copied as a whole, under a
key of our own making, and its address noted in the row. Until that is done the launcher keeps the
file, over restarts of either daemon; so nothing is lost while the store is away, but for what would
make the backlog too large: of such a run only the tail is kept, and the log and the worker's
registration say so.
"""

from __future__ import annotations

import logging
import os
import queue
import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from dcron_common.errors import DatabaseUnavailable, DcronError, ObjectStoreUnavailable
from dcron_common.object_store.contract import ObjectStore, output_key
from dcron_common.run import TAIL_BYTES
from dcron_worker.runner.model import Ended

log = logging.getLogger(__name__)

PAUSE = 2.0  # seconds between two tries while the store or the database is away
TRIES = 10  # of noting an address in a row that is not there: the leader may be about to write it
BACKLOG_RUNS = 2_000
BACKLOG_BYTES = 2 << 30


@dataclass(frozen=True, slots=True)
class Stored:
    """The run's whole output is stored, or given up: its file is no longer needed."""

    run_id: str


class Outputs:
    """`saw`, `retain`, `keep` and `done` are called from the daemon's thread. `note` writes an
    address into the run's row and says whether there is one; `tell` only queues."""

    def __init__(
        self,
        worker: str,
        store: ObjectStore,
        note: Callable[[str, str], bool],
        tell: Callable[[Stored], None],
        *,
        pause: float = PAUSE,
    ) -> None:
        self._worker = worker
        self._store = store
        self._note = note
        self._tell = tell
        self._pause = pause
        self._heard: dict[str, Ended | None] = {}  # ended runs with their files; None: small
        self._written: set[str] = set()  # rows, of runs whose end was not heard yet
        self._under_way: dict[str, int] = {}  # with their sizes
        self._given_up = False
        self._queue: queue.SimpleQueue[tuple[Ended, int]] = queue.SimpleQueue()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="outputs", daemon=True)
        self._away = False

    @property
    def ill(self) -> bool:
        """Whether the backlog is so large that outputs were given up."""
        return self._given_up

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout: float) -> None:
        """End the copying; what is left is found again by the next daemon."""
        self._stop.set()
        self._thread.join(timeout)

    def saw(self, end: Ended) -> None:
        """The launcher tells how a run ended; to a new daemon it tells all that it still has."""
        if end.run_id in self._under_way:
            return
        large = end.output_size >= TAIL_BYTES and bool(end.output_path)
        self._heard[end.run_id] = end if large else None
        if end.run_id in self._written:
            self._written.discard(end.run_id)
            if not self.keep(end.run_id):
                self._tell(Stored(end.run_id))

    def retain(self, run_ids: Collection[str]) -> None:
        """These are all that the launcher has."""
        self._heard = {run_id: end for run_id, end in self._heard.items() if run_id in run_ids}
        self._written.intersection_update(run_ids)
        if not self._under_way:
            self._given_up = False

    def keep(self, run_id: str) -> bool:
        """The run's row is written: begin to copy its output if that is large. False: there is
        nothing to wait for. An end that was not told yet is waited for."""
        if run_id in self._under_way:
            return True
        if run_id not in self._heard:
            self._written.add(run_id)
            return True
        end = self._heard.pop(run_id)
        if end is None:
            return False
        waiting = sum(self._under_way.values()) + end.output_size
        if self._under_way and (len(self._under_way) >= BACKLOG_RUNS or waiting > BACKLOG_BYTES):
            log.error("run=%s only its output's tail is kept: too many others wait", run_id)
            self._given_up = True
            return False
        self._under_way[run_id] = end.output_size
        self._queue.put((end, 1))
        return True

    def done(self, run_id: str) -> None:
        """`Stored` was heard."""
        self._under_way.pop(run_id, None)

    def step(self, timeout: float) -> None:
        """Copy the next output, if there is one within `timeout` seconds."""
        try:
            end, tries = self._queue.get(timeout=timeout)
        except queue.Empty:
            return
        try:
            noted = self._copy(end)
        except (ObjectStoreUnavailable, DatabaseUnavailable) as error:
            if not self._away:
                log.warning("outputs wait: %s", error)
            self._away = True
            self._again(end, tries)
            return
        except (DcronError, OSError) as error:
            log.error("run=%s only its output's tail is kept: %s", end.run_id, error)
        except Exception:  # one output must not stop the others
            log.exception("run=%s only its output's tail is kept", end.run_id)
        else:
            if not noted and tries < TRIES:
                self._again(end, tries + 1)
                return
            log.info("run=%s output of %d bytes stored=%s", end.run_id, end.output_size, noted)
        self._away = False
        self._tell(Stored(end.run_id))

    def _work(self) -> None:
        while not self._stop.is_set():
            self.step(0.25)

    def _again(self, end: Ended, tries: int) -> None:
        self._queue.put((end, tries))
        self._stop.wait(self._pause)

    def _copy(self, end: Ended) -> bool:
        """Put the file, then its address into the row; False if there is no row."""
        key = output_key(self._worker, end.run_id)
        descriptor = os.open(Path(end.output_path), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            self._store.put(key, file)
        return self._note(end.run_id, self._store.url(key))
