"""Whether and when another attempt follows."""

from dataclasses import replace

import pytest

from dcron_common.attempts import next_attempt, retry_delay
from dcron_common.job import JobType, OnWorkerLoss, Spec
from dcron_common.protocol import Claim
from dcron_common.run import RunState, Trigger

SPEC = Spec(1, "i", 1, JobType.COMMAND, "true", "* * * * *", "UTC", 0, retries=2)
CLAIM = Claim("r", "n", "w", 1, 1, 1, Trigger.CRON, 0.0)


def test_a_failed_run_is_tried_again_as_often_as_it_may() -> None:
    assert next_attempt(SPEC, CLAIM, RunState.FAILED, 100.0, 0.0) == 160.0
    second = replace(CLAIM, attempt=2)
    assert next_attempt(SPEC, second, RunState.TIMED_OUT, 100.0, 0.0) == 220.0
    assert next_attempt(SPEC, replace(CLAIM, attempt=3), RunState.FAILED, 100.0, 0.0) is None


def test_a_lost_run_goes_on_at_once_three_times() -> None:
    assert next_attempt(SPEC, CLAIM, RunState.LOST, 100.0, 0.5) == 100.0
    worn = replace(CLAIM, attempt=4, resumes=3)
    assert next_attempt(SPEC, worn, RunState.LOST, 100.0, 0.0) is None


def test_resumes_do_not_use_up_retries() -> None:
    resumed = replace(CLAIM, attempt=4, resumes=3)
    assert next_attempt(SPEC, resumed, RunState.FAILED, 100.0, 0.0) == 160.0


def test_a_job_that_must_not_be_repeated_is_not() -> None:
    once = replace(SPEC, on_worker_loss=OnWorkerLoss.FAIL)
    assert next_attempt(once, CLAIM, RunState.LOST, 100.0, 0.0) is None


@pytest.mark.parametrize(
    "state", [RunState.SUCCEEDED, RunState.KILLED, RunState.MISSED, RunState.SKIPPED]
)
def test_nothing_follows_another_end(state: RunState) -> None:
    assert next_attempt(SPEC, CLAIM, state, 100.0, 0.0) is None


def test_retries_wait_twice_as_long_each_time_and_at_most_an_hour() -> None:
    assert retry_delay(SPEC, 1, 0) == 60
    assert retry_delay(SPEC, 3, 0) == 240
    assert retry_delay(SPEC, 12, 0) == 3600
    assert retry_delay(SPEC, 1, 0.5) == 63
