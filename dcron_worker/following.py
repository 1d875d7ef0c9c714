"""What runs write while somebody follows them, on its way to the database.

A worker has no port that the API could ask at. So the API writes a wish below the worker's name
(`/follows`), and renews it as long as somebody reads; while it stands, the worker copies what the
run's file gains into rows, once a second (docs/adr/0030). Wishes are a level: they are looked at
with all else, and a wish that has passed, or whose run is over and copied, is removed.

A thread of its own reads and writes, since a database that is away takes its time to say so, and
no job may wait for that. Without a wish it sleeps. What it cannot write it tries again a second
later; nothing is kept that the run's own file has not.

Bounds: RATE bytes a second for all runs of this worker together, MOST bytes of one run, RUNS runs
at a time. Who writes faster is followed with gaps: what lies further back than BACKLOG is passed
over, so that a reader sees what is written now.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from dcron_common import paths
from dcron_common.clock import Clock
from dcron_common.coordinator.contract import Coordinator
from dcron_common.errors import ConnectionLost, CoordinatorError, DatabaseError, NoNode
from dcron_common.protocol import Follow
from dcron_worker.followed_file import FollowedFile
from dcron_worker.pieces import Pieces

log = logging.getLogger(__name__)

PACE = 1.0  # seconds between two looks at files
RATE = 512 * 1024
RUNS = 16


class Following:
    """`heed` and `ended` are called from the daemon's thread. `output_path` says where a run's
    file lies, `lives` whether a run goes on here."""

    def __init__(
        self,
        worker: str,
        coordinator: Coordinator,
        *,
        pieces: Pieces,
        output_path: Callable[[str], Path],
        lives: Callable[[str], bool],
        clock: Clock,
    ) -> None:
        self._worker = worker
        self._coordinator = coordinator
        self._pieces = pieces
        self._output_path = output_path
        self._lives = lives
        self._clock = clock
        self._lock = threading.Lock()  # around what follows, never while a file is read
        self._files: dict[str, FollowedFile] = {}
        self._dropped: list[FollowedFile] = []
        self._busy = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="following", daemon=True)
        self._away = False

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout: float) -> None:
        """End the copying; the wishes stay for the next daemon."""
        self._stop.set()
        self._busy.set()
        self._thread.join(timeout)

    # -- the daemon's thread

    def heed(self, *, known: bool) -> None:
        """One look at all wishes. `known`: the daemon knows which runs go on. ConnectionLost: it
        is repeated; nothing else that is wrong with wishes may end the daemon's pass."""
        try:
            self._heed(known)
        except ConnectionLost:
            raise
        except CoordinatorError as error:
            log.warning("wishes to follow runs are heeded later: %s", error)

    def _heed(self, known: bool) -> None:
        try:
            names = self._coordinator.children(paths.follows(self._worker))
        except NoNode:
            return  # a manager of this release has not admitted this worker yet
        if not names and not self._files:
            return
        wished = self._standing(names)
        with self._lock:
            before = self._files
            done = {run_id for run_id, file in before.items() if file.done}
            self._files = {
                run_id: before.get(run_id) or FollowedFile(run_id, self._output_path(run_id))
                for run_id in sorted(wished.keys() - done)[:RUNS]
            }
            self._dropped += [file for run_id, file in before.items() if run_id not in self._files]
            for run_id, file in self._files.items():
                file.over = file.over or (known and not self._lives(run_id))
            self._busy.set()
        self._remove({name for name in names if name not in wished or name in done})

    def ended(self, run_id: str) -> None:
        """The launcher says that a run is over: its file grows no more."""
        with self._lock:
            file = self._files.get(run_id)
            if file is not None:
                file.over = True

    def _standing(self, names: list[str]) -> Mapping[str, Follow]:
        """The wishes that have not passed, by run id."""
        nodes = self._coordinator.get_many([paths.follow(self._worker, name) for name in names])
        now = self._clock.wall()
        found: dict[str, Follow] = {}
        for name, node in zip(names, nodes, strict=True):
            if node is None:
                continue
            try:
                wish = Follow.decode(node.data)
                if wish.until > now:
                    found[paths.followed_run(name)] = wish
            except CoordinatorError as error:
                log.error("a wish to follow %a is dropped: %s", name, error)
        return found

    def _remove(self, names: set[str]) -> None:
        """Remove wishes. One that was renewed in this moment is written anew by its reader."""
        for name in sorted(names):
            try:
                self._coordinator.delete(paths.follow(self._worker, name))
            except ConnectionLost:
                raise
            except CoordinatorError as error:
                log.debug("a wish to follow %a was gone: %s", name, error)

    # -- its own thread

    def _work(self) -> None:
        while not self._stop.is_set():
            self._busy.wait()
            try:
                if not self.step():
                    self._pieces.rest()
            except Exception:  # the top of a loop: following may fail, never end
                log.exception("worker=%s following failed and goes on", self._worker)
            self._stop.wait(PACE)

    def step(self) -> bool:
        """Copy what the followed files have gained; False if there is none to look at."""
        with self._lock:
            dropped, self._dropped = self._dropped, []
            for file in dropped:
                file.close()
            files = [file for file in self._files.values() if not file.done]
            if not files:
                self._busy.clear()
                return False
        for file in files:
            try:
                self._copy(file, RATE // len(files))
            except DatabaseError as error:
                if not self._away:
                    log.warning("what is followed waits for the database: %s", error)
                self._away = True
                return True
            except OSError as error:
                log.error("run=%s cannot be followed: %s", file.run_id, error)
                file.give_up()
        self._away = False
        return True

    def _copy(self, file: FollowedFile, most: int) -> None:
        if file.copied is None:
            file.copied = self._pieces.copied(file.run_id)
        chunks = file.read(most)
        if chunks:
            self._pieces.put(chunks)
        file.took(chunks)
