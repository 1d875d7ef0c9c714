"""Claimed runs that cannot be started now: their file, or the launcher, cannot be had.

They wait here between two tries, each until its starting deadline. A try looks at everything anew:
what was changed, paused or removed meanwhile is not launched as it was (P15).
"""

from __future__ import annotations

from dataclasses import dataclass

from dcron_common.job import Spec
from dcron_common.run import Trigger, scheduled_at
from dcron_worker.book import OpenClaim


@dataclass(frozen=True, slots=True)
class Wait:
    """Why a run waits; until when it may start (epoch seconds); when to try (boot seconds)."""

    reason: str
    until: float
    again: float


class Waiting:
    """Waits by run id."""

    def __init__(self) -> None:
        self._waits: dict[str, Wait] = {}
        self._trying: dict[str, Wait] = {}  # a try is under way

    def __contains__(self, run_id: str) -> bool:
        return run_id in self._waits

    def put(self, run_id: str, reason: str, until: float, again: float) -> None:
        """Let a run wait; the deadline of an earlier wait stays."""
        earlier = self._trying.pop(run_id, None)
        self._waits[run_id] = Wait(reason, earlier.until if earlier else until, again)

    def due(self, now: float) -> dict[str, Wait]:
        """Those whose time to try has come; they wait no longer. `now`: boot seconds."""
        found = {run_id: wait for run_id, wait in self._waits.items() if wait.again <= now}
        for run_id, wait in found.items():
            self._trying[run_id] = self._waits.pop(run_id, wait)
        return found

    def forget(self, run_id: str) -> None:
        """It has started, or never will."""
        self._waits.pop(run_id, None)
        self._trying.pop(run_id, None)


def deadline(opened: OpenClaim, spec: Spec, asked: float) -> float:
    """Until when it may start, in epoch seconds like `asked`: a run that was due counts from its
    minute, one that somebody asked for and a later attempt from when they were `asked` for."""
    claim = opened.claim
    due = claim.attempt == 1 and claim.trigger in (Trigger.CRON, Trigger.CATCH_UP)
    return (scheduled_at(opened.key) if due else asked) + spec.starting_deadline_seconds
