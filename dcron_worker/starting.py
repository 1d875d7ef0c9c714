"""How a claimed run gets its process: its secrets and its file are fetched, the launcher asked.

Where these or the launcher cannot be had the run waits, until its starting deadline. What did not
go straight from its claim to the launcher, even if its file was merely fetched, is looked at anew
before: what was changed, paused, removed or moved meanwhile is not started as it was (P15). With
ZooKeeper away it goes on waiting.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable

from dcron_common.clock import Clock
from dcron_common.errors import ConnectionLost, LaunchError
from dcron_common.job import Spec
from dcron_common.protocol import Fence
from dcron_common.run import RunState, Trigger
from dcron_worker.book import Book, OpenClaim
from dcron_worker.claims import Claims
from dcron_worker.preparing import Preparing, unstarted
from dcron_worker.runner.client import Runner
from dcron_worker.runner.model import Ended, Launch
from dcron_worker.waiting import Wait, Waiting, deadline

log = logging.getLogger(__name__)

_Version = tuple[str, int] | None  # incarnation and revision


class Starting:
    """Holds what has no process yet; called from the daemon's thread only."""

    def __init__(
        self,
        book: Book,
        claims: Claims,
        runner: Runner,
        *,
        preparing: Preparing,
        clock: Clock,
        ended: Callable[[Ended], None],
    ) -> None:
        """`ended` takes the ends of runs that never start."""
        self._book = book
        self._claims = claims
        self._runner = runner
        self._preparing = preparing
        self._clock = clock
        self._ended = ended
        self._ready: dict[str, Launch] = {}  # not yet known to be with the launcher
        self._fetched: dict[str, Launch] = {}  # to be looked at anew before they are ready
        self._meant: dict[str, _Version] = {}  # what a run was begun as
        self._waiting = Waiting()
        self._launcher_ill = False

    def __contains__(self, run_id: str) -> bool:
        places = (self._preparing, self._waiting, self._fetched, self._ready)
        return any(run_id in place for place in places)

    def begin(self, opened: OpenClaim) -> None:
        """Start a run that was claimed, or looked at, in this pass: at the next step, or as soon
        as its file is there."""
        run_id = opened.claim.run_id
        self._book.unbegun.discard(run_id)  # from here on it may have a process
        self._meant[run_id] = _version(opened.spec)
        found = self._preparing.begin(opened)
        if isinstance(found, Launch):
            self._ready[run_id] = found
        elif found is not None:
            self._ended(found)

    def ready(self, found: Ended | Launch) -> None:
        """A file was fetched, or cannot be had. Meanwhile the job may have been changed."""
        self._preparing.done(found.run_id)
        if isinstance(found, Launch):
            self._fetched[found.run_id] = found
        else:
            self._ended(found)

    def step(self) -> None:
        """Give the launcher what is ready. If it does not answer that is tried again at the next
        pass: it starts nothing twice. The lease, which it checks last, bounds how late."""
        for late in self._preparing.late():
            self._postpone(late.opened.claim.run_id, late.reason, late.pause)
        self._hand_over()  # does not wait for ZooKeeper, as what follows does
        self._preparing.flush()
        self._look_again()
        self._preparing.flush()
        self._hand_over()

    def _hand_over(self) -> None:
        for run_id in list(self._ready):
            if not self._is_open(run_id):
                self.forget(run_id)  # taken away by somebody with the right, or over
        if not self._ready:
            return
        launches, self._ready = self._ready, {}
        try:
            self._runner.start(list(launches.values()))
        except LaunchError as error:
            if not self._launcher_ill:
                log.error("%d runs wait for the launcher: %s", len(launches), error)
            self._launcher_ill = True
            for run_id in launches:
                self._postpone(run_id, str(error), 0.0)
        else:
            self._launcher_ill = False
            for run_id in launches:
                self.forget(run_id)

    def _is_open(self, run_id: str) -> bool:
        opened = self._book.claims.get(run_id)
        return opened is not None and opened.claim.result is None

    def _postpone(self, run_id: str, reason: str, pause: float) -> None:
        opened = self._book.claims.get(run_id)
        if opened is None or opened.spec is None:
            self._waiting.forget(run_id)
            return
        until = deadline(opened, opened.spec, self._clock.wall())
        self._waiting.put(run_id, reason, until, self._clock.boot() + pause)

    def _look_again(self) -> None:
        """What waited or was fetched goes on by what its job is now (P15). ConnectionLost: all of
        it waits for the next pass."""
        due = self._waiting.due(self._clock.boot())
        still: dict[str, OpenClaim] = {}
        for run_id in [*due, *self._fetched]:
            if self._is_open(run_id):
                still[run_id] = self._book.claims[run_id]
            else:
                self.forget(run_id)
        if not still:
            return
        try:
            fences = self._claims.read_fences([opened.slot for opened in still.values()])
        except ConnectionLost:
            for run_id, wait in due.items():
                self._waiting.put(run_id, wait.reason, wait.until, 0.0)
            raise
        for (run_id, opened), fence in zip(still.items(), fences, strict=True):
            self._go_on(opened, fence, due.get(run_id), self._fetched.pop(run_id, None))

    def _go_on(
        self, opened: OpenClaim, fence: Fence | None, wait: Wait | None, launch: Launch | None
    ) -> None:
        """`wait`: it waited until now. `launch`: its file came."""
        run_id = opened.claim.run_id
        end = self._stopped(opened, fence, wait) or self._too_late(opened, wait)
        if end is not None:
            if not self._with_launcher(run_id):
                self._ended(end)
            return
        held = self._book.may_start(opened.slot, opened.key)
        if held is None:  # the next look reads what the job is now
            self._postpone(run_id, wait.reason if wait else "the job was changed", 0.0)
            return
        opened.spec = held.spec
        if launch is not None and self._meant.get(run_id) == _version(held.spec):
            self._ready[run_id] = launch
        else:
            self.begin(opened)

    def given_up(self, opened: OpenClaim, fence: Fence | None, reason: str) -> Ended | None:
        """The end of a run that could not be begun for a `reason`, where its job does not want it
        any more by this fence, or its starting deadline has passed; else None."""
        now, until = self._clock.wall(), math.inf
        if opened.spec is not None:
            first = opened.claim.attempt == 1  # a later attempt has no deadline
            until = deadline(opened, opened.spec, opened.claim.claimed_at if first else now)
        wait = Wait(reason, until, again=0.0)
        return self._stopped(opened, fence, wait) or self._too_late(opened, wait)

    def _stopped(self, opened: OpenClaim, fence: Fence | None, wait: Wait | None) -> Ended | None:
        """The end of a run whose job does not want it any more, or stands elsewhere. That this
        worker has no assignment says nothing: one of a removed job goes, too."""
        manual = opened.claim.trigger is Trigger.MANUAL
        why = f": {wait.reason}" if wait else ""
        now = self._clock.wall()
        if fence is None or fence.state == "removed" or (fence.state == "paused" and not manual):
            state = fence.state if fence else "removed"
            reason = f"the job was {state} before the run could start{why}"
            return unstarted(opened, RunState.SKIPPED, reason, now)
        if fence.holder != self._book.worker:
            reason = f"the job was given to another worker before the run could start{why}"
            return unstarted(opened, RunState.LOST, reason, now)
        return None

    def _too_late(self, opened: OpenClaim, wait: Wait | None) -> Ended | None:
        """The end of a run whose starting deadline has passed while it waited."""
        if wait is None or opened.spec is None or self._clock.wall() < wait.until:
            return None
        allowed = f"{opened.spec.starting_deadline_seconds} s"
        return self._preparing.failed(
            opened, f"{wait.reason} (until its starting deadline of {allowed})"
        )

    def _with_launcher(self, run_id: str) -> bool:
        """Whether the launcher has the run after all, its answer having been lost, or may have:
        that is seen when it answers again."""
        try:
            found = run_id in self._runner.known()
        except LaunchError as error:
            self._postpone(run_id, str(error), 0.0)
            return True
        self._waiting.forget(run_id)
        return found

    def withdraw(self, run_id: str) -> bool:
        """Start a run that waits no more; False where it does not wait, or the launcher has it."""
        return run_id in self._waiting and not self._with_launcher(run_id)

    def forget(self, run_id: str) -> None:
        """The run is over, or the launcher's."""
        self._ready.pop(run_id, None)
        self._fetched.pop(run_id, None)
        self._meant.pop(run_id, None)
        self._waiting.forget(run_id)


def _version(spec: Spec | None) -> _Version:
    return (spec.incarnation, spec.revision) if spec else None
