"""From claims to the database's rows: the same for a worker and for the leader in its stead.

What the leader closed of a job on all is shown as its node's: people want to know where."""

from __future__ import annotations

from collections.abc import Sequence

from dcron_common.ids import derived
from dcron_common.paths import Slot
from dcron_common.protocol import Attempt, Claim, Result, Task
from dcron_common.run import CRON, MANUAL, RunRecord, RunState, Trigger, scheduled_at


def of_task(slot: Slot, key: str, task: Task, now: float) -> list[RunRecord]:
    """All that a task knows to have ended, when it is given up at `now`; of one that a user asked
    for also that it never began."""
    known = [*task.ended]
    if not known and task.trigger is Trigger.MANUAL:
        reason = "the job was removed, or its placement changed, before this run could start"
        given_up = Result(RunState.SKIPPED, None, now, reason=reason)
        run_id = key.removeprefix(MANUAL)
        known = [Attempt(run_id, task.attempt, task.trigger, "", task.epoch, given_up)]
    missed = _not_started(
        slot, task.passed_over, RunState.MISSED, task.passed_reason, task.ended[-1:]
    )
    return [*missed, *ended(slot, key, known)]


def rows(slot: Slot, key: str, claim: Claim) -> list[RunRecord]:
    """All that a claim knows to have ended: passed over minutes, earlier attempts, itself."""
    known = [*passed_over(slot, claim), *ended(slot, key, claim.ended)]
    if claim.result is not None:
        known.append(_record(slot, key, claim.as_ended(claim.result)))
    return known


def ended(slot: Slot, key: str, attempts: Sequence[Attempt]) -> list[RunRecord]:
    """Rows of attempts that ended."""
    return [_record(slot, key, one) for one in attempts]


def running(slot: Slot, key: str, claim: Claim, started_at: float) -> RunRecord:
    """The row of an attempt that has just started."""
    begun = Result(RunState.RUNNING, started_at, 0.0)
    return _record(slot, key, claim.as_ended(begun))


def passed_over(slot: Slot, claim: Claim) -> list[RunRecord]:
    """Rows for the older minutes that a claim closed. The leader says the same of all that it
    closes for nobody; of what a worker passes over a later minute was due, or the time was up."""
    state = RunState.MISSED
    if not claim.worker and claim.result is not None:
        state = claim.result.state
    by = claim.as_ended(Result(state, None, claim.claimed_at))
    return _not_started(slot, claim.passed_over, state, claim.passed_reason, [by])


def _not_started(
    slot: Slot, minutes: Sequence[int], state: RunState, reason: str | None, by: Sequence[Attempt]
) -> list[RunRecord]:
    """`by`: the attempt that closed them. Each has an id of its own: a row is known by it, and so
    is what became of that attempt."""
    return [
        RunRecord(
            run_id=derived(one.run_id, minute),
            job_id=slot.job_id,
            scheduled_at=minute,
            attempt=1,
            trigger=Trigger.CRON,
            state=state,
            node=slot.node,
            worker=one.worker or slot.node or None,
            epoch=one.epoch,
            finished_at=one.result.finished_at,
            reason=reason,
        )
        for one in by
        for minute in minutes
    ]


def _record(slot: Slot, key: str, one: Attempt) -> RunRecord:
    result = one.result
    over = result.state is not RunState.RUNNING
    return RunRecord(
        run_id=one.run_id,
        job_id=slot.job_id,
        scheduled_at=scheduled_at(key),
        attempt=one.attempt,
        trigger=one.trigger,
        state=result.state,
        kind=key if key.startswith(MANUAL) else CRON,
        node=slot.node,
        worker=one.worker or slot.node or None,
        epoch=one.epoch,
        started_at=result.started_at,
        finished_at=result.finished_at if over else None,
        exit_code=result.exit_code,
        signal=result.signal,
        reason=result.reason,
        output_tail=result.output_tail,
        output_url=result.output_url,
    )
