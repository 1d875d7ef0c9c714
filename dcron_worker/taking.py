"""Takes what is due: decides, claims, begins. Called from the daemon's thread only.

What could not be carried out yet is decided again, and that alone: a slot whose fence had changed,
whose run before has to end first, or that has more to catch up. All that is held is decided when
a hint came.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence

from dcron_common.errors import LaunchError
from dcron_common.paths import Slot
from dcron_worker.book import Book, OpenClaim
from dcron_worker.claims import Claims
from dcron_worker.decide import Decision, decide
from dcron_worker.isolation import Isolation
from dcron_worker.lifecycle import Lifecycle

log = logging.getLogger(__name__)

TOGETHER = 100  # minutes claimed before the first of them are started
TOLD = 1000  # claims that are told of together in the log
ROUNDS = (
    20  # times that what a long outage left is decided at once; the rest waits for the next look
)


class Taking:
    """Keeps nothing in mind between two calls but what it has complained of."""

    def __init__(
        self, book: Book, claims: Claims, lifecycle: Lifecycle, isolation: Isolation
    ) -> None:
        self._book = book
        self._claims = claims
        self._lifecycle = lifecycle
        self._isolation = isolation
        self._refused: dict[Slot, str] = {}

    def take(self, slots: Collection[Slot], now: float) -> set[Slot]:
        """Claim what is due of `slots` at `now`, in epoch seconds, and start it; those that have
        to be decided again. After a long outage of few jobs there is more to do than one look."""
        again, behind = self._take(slots, now)
        for _ in range(ROUNDS):
            if not behind or len(behind) > TOGETHER:
                break
            again -= behind
            more, behind = self._take(behind, now)
            again |= more
        return again

    def _take(self, slots: Collection[Slot], now: float) -> tuple[set[Slot], set[Slot]]:
        """One round: what has to be decided again, and of that what has only been closed so far
        and may start now."""
        ready: list[tuple[Slot, Decision]] = []
        again: set[Slot] = set()
        behind: set[Slot] = set()
        for slot in list(slots):
            decision = self._decide(slot, now)
            if decision is None:
                continue
            if decision.replaces is not None:
                self._replace(slot, decision.replaces)
                again.add(slot)
                continue
            ready.append((slot, decision))
            if decision.more:
                again.add(slot)
                if decision.outcome is not None:
                    behind.add(slot)
        failed = self._begin(ready)
        return again | failed, behind - failed

    def _begin(self, ready: Sequence[tuple[Slot, Decision]]) -> set[Slot]:
        """Claim and launch; returns what could not be claimed. The log, which no start needs, comes
        afterwards."""
        failed: set[Slot] = set()
        begun: list[OpenClaim] = []
        try:
            for i in range(0, len(ready), TOGETHER):
                some = ready[i : i + TOGETHER]
                taken = self._claims.take_due(some)
                begun += taken
                self._lifecycle.launch(taken)
                failed |= {slot for slot, _ in some} - {opened.slot for opened in taken}
                if len(begun) >= TOLD:
                    self._lifecycle.tell(begun)
                    begun = []
        finally:
            self._lifecycle.tell(begun)
        return failed

    def _decide(self, slot: Slot, now: float) -> Decision | None:
        held = self._book.held.get(slot)
        if held is None:
            return None
        fence = self._book.unclaimed.seen(slot, held.fence)
        return decide(held.spec, held.schedule, fence, self._book.worker, now)

    def _replace(self, slot: Slot, key: str) -> None:
        """Have a run ended; where the launcher will not, that is asked again at the next look, and
        no other job waits for it."""
        try:
            if not self._isolation.replace(slot, key):
                self._lifecycle.replace(slot, key)
        except LaunchError as error:
            if self._refused.get(slot) != key:
                log.error("job=%s key=%s is to be replaced and is not ended: %s", slot, key, error)
            self._refused[slot] = key
        else:
            self._refused.pop(slot, None)
