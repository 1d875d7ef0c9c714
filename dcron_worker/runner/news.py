"""What has happened and is not told yet: when ends are written down, and when the daemon hears.

What the daemon does with news takes time from runs that are being started. So as long as many wait
for their start it hears later, of ends that are on disk by then.
"""

from __future__ import annotations

import logging
import math

from dcron_worker.runner.model import Ended, Started
from dcron_worker.runner.register import Register

log = logging.getLogger(__name__)

# Seconds that the daemon hears later.
GATHER = 0.02  # at any time: news that come together share a message, and an fsync
HOLD_LAST = 2.0  # as long as the starter has not begun with all that it was told of
HOLD = 30.0  # as long as there are more: half of the minute after which jobs may be due again
# Seconds until an end is on disk at the latest.
_WRITE = 2.0


class News:
    """Times are seconds of one clock, given by the caller; `hold` is one of the above."""

    def __init__(self, register: Register) -> None:
        self._register = register
        self._begun: list[Started] = []
        self._unwritten: list[Ended] = []
        self._written: dict[str, Ended] = {}  # by run id
        self._since = 0.0  # the first that is not told
        self._unwritten_since = 0.0

    def begun(self, started: Started, now: float) -> None:
        """A run has begun."""
        self._note(now)
        self._begun.append(started)

    def ended(self, ended: Ended, now: float) -> None:
        """A run is over."""
        self._note(now)
        if not self._unwritten:
            self._unwritten_since = now
        self._unwritten.append(ended)

    def withholds(self, run_id: str) -> bool:
        """Whether the run's end is on disk and not told: to the daemon it goes on."""
        return run_id in self._written

    @property
    def unwritten(self) -> bool:
        """Whether an end is not on disk."""
        return bool(self._unwritten)

    def next_step(self, hold: float) -> float | None:
        """When there is something to do; None: there is no news."""
        times = [self._since + hold] if self._begun or self._unwritten or self._written else []
        if self._unwritten:
            times.append(self._unwritten_since + _WRITE)
        return min(times, default=None)

    def step(self, now: float, hold: float) -> list[Started | Ended]:
        """Write down what it is time for; returns what the daemon is to hear now."""
        due = self.next_step(hold)
        if due is None or now < due:
            return []
        self.write()
        if now < self._since + hold:
            return []
        told: list[Started | Ended] = [*self._begun, *self._written.values()]
        self._begun, self._written = [], {}
        return told

    def write(self) -> None:
        """Bring all ends to disk."""
        ended, self._unwritten = self._unwritten, []
        if not ended:
            return
        try:
            self._register.end(ended)
        except OSError as error:  # no room: the daemon keeps it, and is told at once
            log.error("%d results could not be written down: %s", len(ended), error)
            self._since = -math.inf
        self._written |= {one.run_id: one for one in ended}

    def for_a_new_client(self) -> list[Ended]:
        """Every end that was not acknowledged and that `step` will not give."""
        ended = self._register.results()
        over = {result.run_id for result in ended}
        self._begun = [started for started in self._begun if started.run_id not in over]
        self._written = {}
        return ended

    def _note(self, now: float) -> None:
        if not (self._begun or self._unwritten or self._written):
            self._since = now
