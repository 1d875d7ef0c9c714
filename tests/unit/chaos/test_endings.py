"""The judge asks when processes were over, and when the next attempt began."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chaos.checker import judge
from chaos.model import Asked, Fault, Record, Row
from tests.unit.chaos.records import BEGIN, M, healthy, launch, row, told_when_over


def rules(record: Record) -> set[str]:
    return {violation.rule for violation in judge(record).violations}


def lasting(seconds: float, timeout: float) -> Record:
    """The last run succeeded after so many seconds."""
    record = healthy()
    record.jobs[0].timeout = timeout
    last = record.launches[2]
    last.seen = last.end = last.start + seconds
    return told_when_over(record)


def test_a_run_that_outlasts_its_timeout_is_found_though_it_succeeded() -> None:
    assert rules(lasting(40.0, 5.0)) == {"timeout"}
    assert rules(lasting(12.0, 5.0)) == set()
    assert rules(lasting(40.0, 45.0)) == set()


@pytest.mark.parametrize(
    ("kind", "host", "ends", "expected"),
    [
        ("stop dcron-launcher", "a", 30.0, set()),
        ("freeze", "a", 30.0, set()),
        ("kill dcron-launcher", "a", 5.0, {"timeout"}),  # it was back long before
        ("stop dcron-launcher", "b", 30.0, {"timeout"}),
        ("cut", "a", 30.0, {"timeout"}),  # a guard needs no network
        ("stop dcron-worker", "a", 30.0, {"timeout"}),
    ],
)
def test_a_timeout_waits_for_its_guard_alone(
    kind: str, host: str, ends: float, expected: set[str]
) -> None:
    record = lasting(35.0, 5.0)
    start = record.launches[2].start
    record.faults = [Fault(kind, (host,), start + 1.0, start + ends)]
    assert rules(record) == expected


def killed(finished: float, state: str = "succeeded", acknowledged: bool = True) -> Record:
    """A run that was asked for at M + 5 on a, whose end was asked for at M + 6."""
    record = healthy()
    record.jobs[0].overlaps = True
    at = M + 6.0 if acknowledged else None
    record.jobs[0].asked = [Asked(M + 5.0, "q", killed=True, kill_acknowledged=at)]
    over = M + finished
    record.launches.append(
        launch(M + 5, run="q", start=M + 5.5, seen=over, end=over if state == "succeeded" else None)
    )
    record.rows.append(Row("q", "1", M + 5, 1, state, "a", "ended by user admin", over))
    return record


def test_a_kill_that_was_acknowledged_and_ignored_is_found() -> None:
    assert rules(killed(45.0)) == {"kill"}
    assert rules(killed(45.0, acknowledged=False)) == set()


def test_a_run_may_end_by_itself_as_it_is_killed() -> None:
    assert rules(killed(6.3)) == set()
    assert rules(killed(9.0, "killed")) == set()


def test_a_kill_that_comes_late_is_found_too() -> None:
    assert rules(killed(45.0, "killed")) == {"kill"}


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (Fault("freeze", ("a",), M + 7.0, M + 30.0), set()),
        (Fault("cut", ("a",), M + 4.0, M + 20.0), set()),
        (Fault("stop dcron-launcher", ("a",), M + 4.0, M + 20.0), set()),
        (Fault("freeze", ("ctl2",), M + 4.0, M + 20.0), set()),
        (Fault("freeze", ("b",), M + 4.0, M + 20.0), {"kill"}),
        (Fault("database away", ("a", "b"), M + 4.0, M + 40.0), {"kill"}),
        (Fault("freeze", ("a",), M - 90.0, M - 60.0), {"kill"}),
    ],
)
def test_a_kill_waits_for_what_its_worker_cannot_hear(fault: Fault, expected: set[str]) -> None:
    record = killed(45.0)
    record.faults = [fault]
    assert rules(record) == expected


def test_no_attempt_follows_a_kill() -> None:
    record = killed(6.3, "killed")
    late = launch(M + 5, attempt=2, run="q2", start=M + 50.0, seen=M + 51.0, end=M + 51.0)
    record.launches.append(late)
    record.rows.append(Row("q2", "1", M + 5, 2, "succeeded", "a", None, M + 51.5))
    assert rules(record) == {"kill", "attempt"}


def outliving(late: float, state: str = "lost", *faults: Fault) -> Record:
    """The last run's process was seen so long after its row says that it was over, on a."""
    record = healthy()
    record.jobs[0].fails_on_loss = True
    record.rows[2] = row(M + 60, state=state, finished=M + 90.0, reason="worker a was lost")
    record.launches[2].seen, record.launches[2].end = M + 90.0 + late, None
    record.faults = list(faults)
    return record


FROZEN = Fault("freeze", ("a",), M + 65.0, M + 100.0)


def test_a_process_that_outlives_its_row_is_found() -> None:
    cut = Fault("cut", ("a",), M + 65.0, M + 120.0)
    assert rules(outliving(6.0, "lost", cut)) == {"outlives"}
    assert rules(outliving(1.0, "lost", cut)) == set()


def test_a_frozen_process_may_be_seen_until_just_after_the_thaw() -> None:
    assert rules(outliving(11.0, "lost", FROZEN)) == set()
    assert rules(outliving(12.0, "lost", FROZEN)) == {"outlives"}
    assert rules(outliving(11.0, "lost", replace(FROZEN, begin=M + 85.0))) == {"outlives"}


def test_what_goes_on_where_it_is_cut_off_may_be_called_lost() -> None:
    record = outliving(6.0, "lost", Fault("cut", ("a",), M + 65.0, M + 120.0))
    record.jobs[0].isolates = True
    assert rules(record) == set()
    record.jobs[0].delete_sent = M + 80.0  # which asks for the end
    record.rows[2] = replace(record.rows[2], state="killed")
    assert "outlives" not in rules(record)
    record.jobs[0].delete_sent = None
    record.rows[2] = replace(record.rows[2], state="succeeded")
    record.launches[2].end = record.launches[2].seen
    assert rules(record) == {"outlives"}


def retried(*starts: float) -> Record:
    """The first minute failed as often as it may, and each next attempt began so many seconds
    after the end of the one before."""
    record = healthy()
    job = record.jobs[0]
    job.retries = job.failures = 2
    job.retry_delay = 3.0
    record.launches, record.rows = record.launches[:1], record.rows[:1]
    record.rows[0] = replace(record.rows[0], state="failed")
    record.end = BEGIN + 60
    over = record.launches[0].seen
    for number, wait in enumerate(starts, 2):
        begun = over + wait
        made = launch(BEGIN + 60, number, start=begun, seen=begun + 1, end=begun + 1)
        record.launches.append(made)
        state = "failed" if number == 2 else "succeeded"
        record.rows.append(row(BEGIN + 60, number, state, finished=begun + 1.1))
        over = begun + 1
    return record


def test_a_retry_waits_for_its_delay_and_the_next_for_twice_that() -> None:
    assert rules(retried(3.1, 6.1)) == set()
    assert rules(retried(33.0, 66.0)) == set()
    assert rules(retried(2.0, 6.1)) == {"delay"}
    assert rules(retried(3.1, 4.0)) == {"delay"}


def test_a_record_that_knows_no_delay_asks_for_none() -> None:
    record = retried(0.5, 0.5)
    record.jobs[0].retry_delay = 0.0
    assert rules(record) == set()


def test_a_lost_attempt_is_followed_at_once_and_counts_as_no_failure() -> None:
    record = retried(0.2, 3.1)
    record.jobs[0].failures = 2
    record.rows[0] = replace(record.rows[0], state="lost", reason="lease passed")
    record.launches[0].end = None
    record.faults = [Fault("power", ("a",), BEGIN + 62.0, BEGIN + 63.0)]
    assert rules(record) == set()
