"""Which due minutes to claim: pure decisions, no I/O (P2, P8, P11).

What was due since the fence's mark comes from the schedule. The newest minute is launched and
everything older is closed with it as missed; with `catch_up: all` the oldest that may still start
comes first, and each waits for the one before where the job forbids overlap. After a long outage
the oldest are closed first, so many at once, each with its own row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from dcron_common import history
from dcron_common.job import CatchUp, Concurrency, Spec
from dcron_common.protocol import Fence
from dcron_common.run import RunState
from dcron_common.schedule import Schedule

ON_TIME = 120  # seconds; later than this a start is a catch-up
REPLACED = "a later minute was due and concurrency is replace"  # of the run before
AT_ONCE = 100  # due minutes that one claim closes


@dataclass(frozen=True, slots=True)
class Decision:
    """Claim `minute`; `outcome` None means launch, else it is recorded without a start.

    `replaces`: the key of the run that has to end first; nothing is claimed before. `more`: there
    are later minutes to be decided once this one is claimed.
    """

    minute: int
    passed_over: tuple[int, ...]
    passed_reason: str | None
    outcome: RunState | None = None
    reason: str | None = None
    replaces: str | None = None
    more: bool = False


def decide(
    spec: Spec, schedule: Schedule, fence: Fence, worker: str, now: float
) -> Decision | None:
    """What `worker` does at `now` about one job; None when nothing is due, it is not its own, or
    a minute that has to be caught up waits for the run before it."""
    if fence.holder != worker or fence.state != "active":
        return None
    if (fence.incarnation, fence.revision) != (spec.incarnation, spec.revision):
        return None
    # A revision begins at its first minute. What was due before was due by those before it, and
    # is launched as the job is now.
    limit = AT_ONCE + 1
    due = history.due(spec.earlier, fence.mark, int(now), limit)
    due += schedule.due(max(fence.mark, spec.effective_from - 60), int(now), limit)
    due = due[:limit]
    if not due:
        return None
    minute = _to_start(spec, due, now)
    passed = tuple(one for one in due if one < minute)
    reason = _why_passed(spec) if passed else None
    if len(passed) == AT_ONCE:
        # There may be as many again: these are closed, what is to start is decided after.
        *older, newest = passed
        missed = RunState.MISSED
        return Decision(newest, tuple(older), reason, missed, reason, more=True)
    decision = Decision(minute, passed, reason, more=minute != due[-1])
    late = now - minute
    if late > _allowed(spec):
        return replace(
            decision,
            outcome=RunState.MISSED,
            reason=f"no worker could start it within {_allowed(spec)} s (it was {late:.0f} s late)",
        )
    if fence.active is None or spec.concurrency is Concurrency.ALLOW:
        return decision
    if spec.catch_up is CatchUp.ALL and (decision.more or late > ON_TIME):
        return None
    if spec.concurrency is Concurrency.REPLACE:
        return replace(decision, replaces=fence.active)
    return replace(
        decision,
        outcome=RunState.SKIPPED,
        reason="the run before was still active and concurrency is forbid "
        f"(its claim: {fence.active})",
    )


def _allowed(spec: Spec) -> int:
    """Seconds that a first start may be late."""
    if spec.catch_up is CatchUp.NONE:
        return min(spec.starting_deadline_seconds, ON_TIME)
    return spec.starting_deadline_seconds


def _to_start(spec: Spec, due: Sequence[int], now: float) -> int:
    """The newest minute; where all are to be caught up, the oldest that may still start."""
    if spec.catch_up is CatchUp.ALL:
        for minute in due:
            if now - minute <= _allowed(spec):
                return minute
    return due[-1]


def _why_passed(spec: Spec) -> str:
    if spec.catch_up is CatchUp.ALL:
        return f"no worker could start it within {_allowed(spec)} s"
    return "a later minute was due before this one could start"
