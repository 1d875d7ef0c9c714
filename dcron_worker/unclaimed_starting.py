"""How a run without a claim gets its process (P9): its secrets and its file are fetched, the
launcher asked.

Cut off, it starts as the job was last known. What still waits when ZooKeeper is back starts only
as its job is by then, and after a write of the fence: a job that was removed, paused or moved
does not start (P1, P15). Each waits until its starting deadline at the longest.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace

from dcron_common.clock import Clock
from dcron_common.errors import LaunchError
from dcron_common.history import ACTIVE
from dcron_common.run import RunState, scheduled_at
from dcron_worker.book import Book, OpenClaim
from dcron_worker.claims import Claims
from dcron_worker.preparing import Preparing, unstarted
from dcron_worker.runner.client import Runner
from dcron_worker.runner.model import Ended, Launch
from dcron_worker.waiting import deadline

log = logging.getLogger(__name__)

STOPPED = "the job was removed, paused or moved before the run could start"


class UnclaimedStarting:
    """Holds what has no process yet; called from the daemon's thread only. `ended` takes the ends
    of runs that never start."""

    def __init__(
        self,
        book: Book,
        runner: Runner,
        *,
        preparing: Preparing,
        clock: Clock,
        ended: Callable[[Ended], None],
    ) -> None:
        self._book = book
        self._runner = runner
        self._preparing = preparing
        self._clock = clock
        self._ended = ended
        self._waiting: dict[str, OpenClaim] = {}  # not yet known to be with the launcher
        self._late: dict[str, str] = {}  # why it has no file, or no secret, yet
        self._ready: dict[str, Launch] = {}

    def begin(self, opened: OpenClaim) -> None:
        """Prepare a run; it starts at the next `hand_over` or `go_on`."""
        self._waiting[opened.claim.run_id] = opened
        found = self._preparing.begin(opened)
        if found is not None:
            self.ready(found)

    def ready(self, found: Launch | Ended) -> None:
        """A launch waits for the launcher, or could not be made; or a run has ended."""
        self._preparing.done(found.run_id)
        if isinstance(found, Ended):
            self._ended(found)
        elif found.run_id in self._waiting:  # else it was withdrawn while it was prepared
            self._ready[found.run_id] = found

    def forget(self, run_id: str) -> bool:
        """The run is over, or the launcher's. Whether it was not known to be that yet."""
        waited = self._waiting.pop(run_id, None) is not None
        self._late.pop(run_id, None)
        self._ready.pop(run_id, None)
        return waited

    def withdraw(self, run_id: str, reason: str) -> Ended | None:
        """The end of a run that has no process, and gets none any more; None if it has one, or
        may have. LaunchError."""
        opened = self._waiting.get(run_id)
        if opened is None or run_id in self._runner.names():
            return None
        return unstarted(opened, RunState.KILLED, reason, self._clock.wall())

    def try_again(self) -> None:
        """Fetch again, while cut off, what could not be had; until the starting deadline."""
        self._hear_of_late()
        for run_id, reason in list(self._late.items()):
            self._begin_again(self._waiting[run_id], reason)

    def hand_over(self) -> None:
        """Give the launcher, while cut off, what is ready."""
        self._preparing.flush()
        self._start(list(self._ready.values()))

    def _start(self, launches: Sequence[Launch]) -> None:
        """It starts nothing twice."""
        if not launches:
            return
        try:
            self._runner.start(launches)
        except LaunchError as error:
            log.error("%d runs wait for the launcher: %s", len(launches), error)
        else:
            for launch in launches:
                self.forget(launch.run_id)

    def go_on(self, claims: Claims) -> None:
        """Start what waits, with ZooKeeper back. ConnectionLost or LaunchError: the rest waits
        for the next look."""
        self._hear_of_late()
        there = self._runner.names() if self._waiting else {}
        for run_id, opened in list(self._waiting.items()):
            if run_id in there:  # the launcher's answer was lost
                self.forget(run_id)
            elif run_id not in self._preparing and self._may_go_on(opened, claims):
                self._start([self._ready[run_id]])
        self._preparing.flush()

    def _hear_of_late(self) -> None:
        for late in self._preparing.late():
            run_id = late.opened.claim.run_id
            if run_id in self._waiting:
                self._late[run_id] = late.reason

    def _may_go_on(self, opened: OpenClaim, claims: Claims) -> bool:
        """Whether what is ready may start now. Else it is over, or prepared anew, or waits: for
        the next look, which reads what the job is by then."""
        held, run_id = self._book.mine(opened.slot), opened.claim.run_id
        reason = self._late.get(run_id)
        moved = held is None or held.fence.epoch != opened.claim.epoch  # and back again, it may be
        if held is None or moved or held.fence.state != ACTIVE:
            why = f"{STOPPED}: {reason}" if reason else STOPPED
            self._ended(unstarted(opened, RunState.SKIPPED, why, self._clock.wall()))
            return False
        if held.fence.revision != held.spec.revision:
            return False
        if not claims.move_mark(opened.slot, max(held.fence.mark, scheduled_at(opened.key))):
            return False
        claim = replace(opened.claim, revision=held.spec.revision)
        if run_id in self._ready and claim == opened.claim and not self._is_too_late(opened):
            return True
        self._ready.pop(run_id, None)
        self._begin_again(replace(opened, spec=held.spec, claim=claim), reason)
        return False

    def _begin_again(self, opened: OpenClaim, reason: str | None) -> None:
        self._late.pop(opened.claim.run_id, None)
        if self._is_too_late(opened):
            why = reason or "it could not be started within its starting deadline"
            self._ended(self._preparing.failed(opened, why))
        else:
            self.begin(opened)

    def _is_too_late(self, opened: OpenClaim) -> bool:
        now, spec = self._clock.wall(), opened.spec
        return spec is None or now >= deadline(opened, spec, now)
