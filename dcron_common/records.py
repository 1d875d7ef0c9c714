"""From claims to the database's rows: the same for a worker and for the leader in its stead."""

from __future__ import annotations

from dcron_common.paths import Slot
from dcron_common.protocol import Claim, Result
from dcron_common.run import RunRecord, RunState, Trigger, key_minute


def record(slot: Slot, key: str, claim: Claim, result: Result | None) -> RunRecord:
    """The row of one attempt: running without a result."""
    minute = key_minute(key)
    base = RunRecord(
        run_id=claim.run_id,
        job_id=slot.job_id,
        scheduled_at=int(claim.claimed_at) if minute is None else minute,
        attempt=claim.attempt,
        trigger=claim.trigger,
        state=RunState.RUNNING if result is None else result.state,
        kind="cron" if minute is not None else key,
        node=slot.node,
        worker=claim.worker,
        epoch=claim.epoch,
    )
    if result is None:
        return base
    return RunRecord(
        **{
            **{name: getattr(base, name) for name in base.__slots__},
            "started_at": result.started_at,
            "finished_at": result.finished_at,
            "exit_code": result.exit_code,
            "signal": result.signal,
            "reason": result.reason,
            "output_tail": result.output_tail,
            "output_url": result.output_url,
        }
    )


def passed_over(slot: Slot, claim: Claim, new_id: str) -> list[RunRecord]:
    """Rows for the older minutes that a claim closed. `new_id` begins their run ids."""
    return [
        RunRecord(
            run_id=new_id,
            job_id=slot.job_id,
            scheduled_at=minute,
            attempt=1,
            trigger=Trigger.CRON,
            state=RunState.MISSED,
            node=slot.node,
            worker=claim.worker,
            epoch=claim.epoch,
            finished_at=claim.claimed_at,
            reason=claim.passed_reason,
        )
        for minute in claim.passed_over
    ]
