"""Whether and when an attempt is followed by another: one rule for worker and leader (P12)."""

from __future__ import annotations

from dcron_common.job import OnWorkerLoss, Spec
from dcron_common.protocol import Claim
from dcron_common.run import RunState

RESUMES = 3  # how often a lost run is started again
LONGEST_DELAY = 3600.0  # seconds


def next_attempt(
    spec: Spec, claim: Claim, state: RunState, now: float, jitter: float
) -> float | None:
    """When the attempt after `claim`, which ended in `state`, may start (epoch seconds), or None.

    A lost run is started again at once, at most RESUMES times, if the job allows it; a failed one
    after its delay, at most `retries` times. `jitter` is in [0, 1).
    """
    if state is RunState.LOST:
        again = spec.on_worker_loss is OnWorkerLoss.RERUN and claim.resumes < RESUMES
        return now if again else None
    if state not in (RunState.FAILED, RunState.TIMED_OUT):
        return None
    failures = claim.attempt - claim.resumes
    if failures > spec.retries:
        return None
    return now + retry_delay(spec, failures, jitter)


def retry_delay(spec: Spec, failures: int, jitter: float) -> float:
    """Seconds to wait after so many failures: doubled each time, at most LONGEST_DELAY, by up to
    a tenth more."""
    delay = min(spec.retry_delay_seconds * 2.0 ** (failures - 1), LONGEST_DELAY)
    return delay * (1 + jitter / 10)
