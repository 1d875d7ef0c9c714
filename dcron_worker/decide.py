"""Which due minutes to claim: pure decisions, no I/O (P2, P8, P11).

What was due since the fence's mark comes from the schedule; the newest minute that may still
start is launched, everything older is closed with it and recorded as missed.
"""

from __future__ import annotations

from dataclasses import dataclass

from dcron_common.job import CatchUp, Concurrency, Spec
from dcron_common.protocol import Fence
from dcron_common.run import RunState
from dcron_common.schedule import Schedule

ON_TIME = 120  # seconds; later than this a start is a catch-up
LOOK_BACK = 100  # due minutes recorded one by one; what is older is closed by their reason


@dataclass(frozen=True, slots=True)
class Decision:
    """Claim `minute`; `outcome` None means launch, else it is recorded without a start."""

    minute: int
    passed_over: tuple[int, ...]
    passed_reason: str | None
    outcome: RunState | None = None
    reason: str | None = None


def decide(
    spec: Spec, schedule: Schedule, fence: Fence, worker: str, now: float
) -> Decision | None:
    """What `worker` does at `now` about one job; None when nothing is due or it is not its own."""
    if fence.holder != worker or fence.state != "active" or fence.revision != spec.revision:
        return None
    # A revision begins at its first minute; what was due before belongs to the one before.
    since = max(fence.mark, spec.effective_from - 60)
    due = list(schedule.due(since, int(now)))
    if not due:
        return None
    due, older = due[-LOOK_BACK:], len(due) - LOOK_BACK
    minute, passed = due[-1], tuple(due[:-1])
    reason = "a later minute was due before this one could start" if passed else None
    if older > 0:
        reason = f"{reason} (and {older} minutes before these)"
    late = now - minute
    allowed = spec.starting_deadline_seconds
    if spec.catch_up is CatchUp.NONE:
        allowed = min(allowed, ON_TIME)
    if late > allowed:
        return Decision(
            minute,
            passed,
            reason,
            RunState.MISSED,
            f"no worker could start it within {allowed} s (it was {late:.0f} s late)",
        )
    if fence.active is not None and spec.concurrency is not Concurrency.ALLOW:
        return Decision(
            minute,
            passed,
            reason,
            RunState.SKIPPED,
            "the run before was still active and concurrency is "
            f"{spec.concurrency.value} (its claim: {fence.active})",
        )
    return Decision(minute, passed, reason)
