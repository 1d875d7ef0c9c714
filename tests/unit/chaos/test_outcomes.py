"""The judge holds what rows say against what processes said, and attempts against what is owed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from chaos.checker import judge
from chaos.model import Change, Fault, Final, Record
from tests.unit.chaos.records import BEGIN, M, healthy, instead, launch, on_all, row


def rules(record: Record) -> set[str]:
    return {violation.rule for violation in judge(record).violations}


def unended(record: Record) -> None:
    """The second minute's process told no end."""
    record.launches[1].end = None


def failing(record: Record) -> None:
    """A job whose text fails its first attempt, and is retried."""
    job = record.jobs[0]
    job.retries, job.failures = 2, 1
    record.rows = [replace(one, state="failed") for one in record.rows]
    for minute in (BEGIN + 60, M, M + 60):
        record.launches.append(launch(minute, attempt=2))
        record.rows.append(row(minute, attempt=2))


def every_run_is_lost_for_no_reason(record: Record) -> None:
    for one in record.launches:
        one.end = None
    record.rows = [replace(one, state="lost", reason="lease passed") for one in record.rows]


def every_run_fails_though_its_process_did_not(record: Record) -> None:
    record.rows = [replace(one, state="failed") for one in record.rows]


def a_failure_is_called_success(record: Record) -> None:
    record.jobs[0].failures = 1


def a_loss_by_a_fault_of_another_host(record: Record) -> None:
    unended(record)
    record.rows[1] = row(state="lost", reason="lease passed")
    record.jobs[0].fails_on_loss = True
    record.faults = [Fault("power", ("b",), M + 3.0, M + 20.0)]


def a_loss_before_its_fault(record: Record) -> None:
    a_loss_by_a_fault_of_another_host(record)
    record.faults = [Fault("power", ("a",), M + 30.0, M + 50.0)]


def a_success_where_nothing_ran(record: Record) -> None:
    instead(record, row())


def a_command_failed_for_want_of_its_file(record: Record) -> None:
    instead(record, row(state="failed", reason="execve: permission denied"))
    record.faults = [Fault("freeze", ("b",), M - 25.0, M - 20.0)]


def a_file_failed_by_the_store_of_another_host(record: Record) -> None:
    a_command_failed_for_want_of_its_file(record)
    record.jobs[0].file = True
    record.jobs[0].deadline = 45
    record.rows[-1] = row(state="failed", reason="no file", finished=M + 46.0)


def a_file_was_given_up_before_its_deadline(record: Record) -> None:
    a_file_failed_by_the_store_of_another_host(record)
    record.rows[-1] = row(state="failed", reason="no file", finished=M + 20.0)
    record.faults = [Fault("object store away", ("a", "b"), M - 5.0, M + 30.0)]


def killed_by_nobody(record: Record) -> None:
    unended(record)
    record.rows[1] = row(state="killed", reason="ended by user admin")


def killed_for_a_later_minute_though_it_is_not_to_be_replaced(record: Record) -> None:
    unended(record)
    record.rows[1] = row(state="killed", reason="a later minute was due", finished=M + 61.0)


def timed_out_before_its_time(record: Record) -> None:
    unended(record)
    record.jobs[0].timeout = 15
    record.rows[1] = row(state="timed_out")


def told_of_another_host(record: Record) -> None:
    record.rows[1] = row(worker="b")


@pytest.mark.parametrize(
    "spoil",
    [
        every_run_is_lost_for_no_reason,
        every_run_fails_though_its_process_did_not,
        a_failure_is_called_success,
        a_loss_by_a_fault_of_another_host,
        a_loss_before_its_fault,
        a_success_where_nothing_ran,
        a_command_failed_for_want_of_its_file,
        a_file_failed_by_the_store_of_another_host,
        a_file_was_given_up_before_its_deadline,
        killed_by_nobody,
        killed_for_a_later_minute_though_it_is_not_to_be_replaced,
        timed_out_before_its_time,
        told_of_another_host,
    ],
)
def test_a_row_that_says_otherwise_than_the_process_is_found(
    spoil: Callable[[Record], None],
) -> None:
    record = healthy()
    spoil(record)
    assert "false row" in rules(record)


def retries_are_never_made(record: Record) -> None:
    failing(record)
    record.launches = [one for one in record.launches if one.attempt == 1]
    record.rows = [one for one in record.rows if one.attempt == 1]


def a_lost_run_is_never_resumed(record: Record) -> None:
    unended(record)
    record.rows[1] = row(state="lost", reason="worker a was lost")
    record.faults = [Fault("power", ("a",), M + 2.0, M + 20.0)]


def a_success_is_followed(record: Record) -> None:
    record.launches += [launch(attempt=number) for number in (2, 3)]
    record.rows += [row(attempt=number) for number in (2, 3)]


def it_is_resumed_too_often(record: Record) -> None:
    a_lost_run_is_never_resumed(record)
    for number in range(2, 6):
        began = M + 1.5 + 3 * number
        record.launches.append(launch(attempt=number, start=began, seen=began + 1, end=None))
        record.rows.append(row(attempt=number, state="lost", reason="lease passed"))


def it_is_retried_too_often(record: Record) -> None:
    failing(record)
    record.jobs[0].retries, record.jobs[0].failures = 1, 2
    record.rows = [replace(one, state="failed") for one in record.rows]
    record.launches.append(launch(attempt=3))
    record.rows.append(row(attempt=3))


def an_attempt_is_left_out(record: Record) -> None:
    failing(record)
    record.launches.append(launch(attempt=4))
    record.rows.append(row(attempt=4))


@pytest.mark.parametrize(
    ("spoil", "rule"),
    [
        (retries_are_never_made, "attempt"),
        (a_lost_run_is_never_resumed, "attempt"),
        (a_success_is_followed, "attempt"),
        (it_is_resumed_too_often, "resumed"),
        (it_is_retried_too_often, "attempt"),
        (an_attempt_is_left_out, "attempt"),
    ],
)
def test_an_attempt_is_there_exactly_where_it_is_owed(
    spoil: Callable[[Record], None], rule: str
) -> None:
    record = healthy()
    spoil(record)
    assert rules(record) == {rule}


def test_retries_that_follow_failures_pass_and_are_counted() -> None:
    record = healthy()
    failing(record)
    verdict = judge(record, {"retries": 3})
    assert verdict.violations == [] and verdict.passed


def test_what_a_later_text_does_is_not_what_the_first_fails() -> None:
    record = healthy()
    record.jobs[0].failures, record.jobs[0].retries = 1, 2
    stood = record.jobs[0].newest
    record.jobs[0].changes = [
        replace(stood, sent=BEGIN + 52.0, acknowledged=BEGIN + 53.0, revision=1)
    ]
    for one in record.launches:
        one.revision = 1
    assert judge(record).violations == []


@pytest.mark.parametrize(
    "fault",
    [
        Fault("power", ("a",), M + 3.0, M + 5.0),
        Fault("ZooKeeper away", ("a", "b"), M - 7.0, M + 20.0),
        Fault("freeze", ("ctl3",), M - 6.0, M + 20.0),
        Fault("restart dcron-zookeeper", ("ctl1",), M - 2.0, M - 1.0),
    ],
    ids=lambda fault: fault.kind,
)
def test_a_loss_by_a_fault_that_can_have_caused_it_is_resumed(fault: Fault) -> None:
    record = healthy()
    a_lost_run_is_never_resumed(record)
    record.launches.append(launch(attempt=2))
    record.rows.append(row(attempt=2))
    record.faults = [fault]
    verdict = judge(record)
    assert verdict.violations == [] and verdict.counts["resumes"] == 1


def test_nothing_follows_a_loss_of_a_job_that_is_removed() -> None:
    record = healthy()
    a_lost_run_is_never_resumed(record)
    record.final = Final()
    record.launches.pop()
    record.rows.pop()
    job = record.jobs[0]
    job.delete_sent, job.deleted = M + 40.0, M + 41.0
    assert judge(record).violations == []
    record.faults[0].end = M + 5.0  # it was well again before the deletion
    assert rules(record) == {"attempt"}


def test_resumes_are_not_spent_in_one_outage() -> None:
    record = healthy()
    lost = [
        row(attempt=number, state="lost", reason="lease passed before start", finished=M + moment)
        for number, moment in ((1, 1.0), (2, 1.2), (3, 1.4), (4, 1.6))
    ]
    instead(record, lost[0])
    record.rows += lost[1:]
    record.faults = [Fault("freeze", ("a",), M - 20.0, M + 0.5)]
    assert rules(record) == {"spent"}
    record.faults[0].end = M + 60.0
    record.rows[-1] = replace(lost[-1], finished=M + 30.0)
    assert rules(record) == set()


def test_a_file_that_was_not_to_be_had_until_the_deadline_fails_the_run() -> None:
    record = healthy()
    a_file_failed_by_the_store_of_another_host(record)
    record.faults = [Fault("object store away", ("a", "b"), M - 5.0, M + 50.0)]
    assert judge(record).violations == []


@pytest.mark.parametrize(
    ("fault", "believed"),
    [
        (Fault("database away", ("a", "b"), M - 5.0, M + 50.0), True),
        (Fault("kill dcron-manager", ("ctl2",), M - 5.0, M - 4.0), True),
        (Fault("power", ("b",), M - 5.0, M + 50.0), False),
    ],
)
def test_a_secret_is_withheld_by_what_is_wrong_on_its_host_or_a_control_host(
    fault: Fault, believed: bool
) -> None:
    record = healthy()
    record.jobs[0].deadline = 45
    reason = "no secret (until its starting deadline of 45 s)"
    instead(record, row(state="failed", reason=reason, finished=M + 46.0))
    record.faults = [fault]
    assert "false row" in rules(record)
    record.jobs[0].secret = True
    assert ("false row" in rules(record)) is not believed


def test_a_process_without_what_its_job_gives_is_found() -> None:
    record = healthy()
    record.launches[1].lacks = "secret"
    assert rules(record) == {"lacking"}


def test_a_run_over_its_timeout_is_ended() -> None:
    record = healthy()
    record.jobs[0].timeout = 15
    record.launches[1].end, record.launches[1].seen = None, M + 16.0
    record.rows[1] = row(state="timed_out", reason="timeout of 15 s", finished=M + 17.0)
    assert judge(record).violations == []


def test_an_exit_that_nobody_could_see_is_lost_however_long_after_the_kill_it_came() -> None:
    record = healthy()
    record.jobs[0].fails_on_loss = True
    record.launches[1].seen = M + 55.0
    unended(record)
    record.rows[1] = row(state="lost", reason="its exit code was not seen", finished=M + 56.0)
    record.faults = [Fault("kill dcron-launcher", ("a",), M + 5.0, M + 6.0)]
    assert "false row" not in rules(record)
    record.faults = [Fault("kill dcron-launcher", ("a",), M - 5.0, M - 4.0)]
    assert "false row" in rules(record)


def test_a_replaced_run_of_the_last_minute_needs_no_later_row() -> None:
    record = healthy()
    record.jobs[0].replaces = True
    unended(record)
    record.launches[-1].end = None
    record.rows[-1] = row(M + 60, state="killed", reason="replaced", finished=M + 121.0)
    assert "false row" in rules(record), "of the second minute"
    record.launches[1].end = record.launches[1].seen
    assert "false row" not in rules(record)
    record.rows[-1] = row(M + 60, state="killed", reason="replaced", finished=M + 59.0)
    assert "false row" in rules(record)


def lost_and_not_tried_again(record: Record) -> None:
    record.launches[1].end = None
    record.rows[1] = row(state="lost", finished=M + 10.0)
    record.faults = [Fault("power", ("a",), M + 3.0, M + 8.0)]


@pytest.mark.parametrize("resumed", [None, "sent", "answered"])
@pytest.mark.parametrize("paused", [M + 2.0, M + 110.0])
def test_what_is_paused_before_its_next_attempt_waits(paused: float, resumed: str | None) -> None:
    """Until it is resumed; an answer that did not come may mean either."""
    record = healthy()
    lost_and_not_tried_again(record)
    stood = record.jobs[0].newest
    record.jobs[0].changes = [replace(stood, sent=paused, acknowledged=paused + 0.2, paused=True)]
    if resumed is not None:
        answer = paused + 10.0 if resumed == "answered" else None
        change = replace(stood, sent=paused + 9.0, acknowledged=answer)
        record.jobs[0].changes.append(change)
    record.final.leftovers = [f"/runs/a/1.{M}", f"/fence/00/1.{M}"]
    rules = {violation.rule for violation in judge(record).violations}
    assert ("attempt" in rules) is (paused > M + 100 or resumed == "answered")
    assert ("leftover" in rules) is (resumed == "answered")


@pytest.mark.parametrize("paused", [M + 2.0, M + 110.0])
def test_what_was_paused_until_it_was_removed_needs_no_next_attempt(paused: float) -> None:
    record = healthy()
    lost_and_not_tried_again(record)
    job = record.jobs[0]
    job.changes = [replace(job.newest, sent=paused, acknowledged=paused + 0.2, paused=True)]
    job.delete_sent, job.deleted = M + 118.0, M + 119.0
    record.final.leftovers = [f"/runs/a/1.{M}"]
    rules = {violation.rule for violation in judge(record).violations}
    assert ("attempt" in rules) is (paused > M + 100)
    assert "leftover" in rules, "of a removed job nothing waits"


@pytest.mark.parametrize("away", [True, False])
def test_on_all_nobody_else_tries_again_for_a_worker_that_was_truly_away(away: bool) -> None:
    record = on_all("a", "b")
    lost = next(one for one in record.rows if one.minute == M and one.worker == "a")
    record.rows[record.rows.index(lost)] = replace(
        lost,
        state="lost",
        finished=M + 24.0,
        reason="no attempt follows: worker a, which alone could make it, was away",
    )
    next(one for one in record.launches if one.run == lost.run).end = None
    record.faults = [Fault("power", ("a" if away else "b",), M + 2.0, M + 37.0)]
    rules = {violation.rule for violation in judge(record).violations}
    assert ("attempt" in rules) is not away


def passed_over(record: Record) -> None:
    """The last minute's run closed the one before it."""
    closed = row(state="missed", reason="a later minute was due before this one could start")
    instead(record, replace(closed, finished=M + 61.0))
    record.faults.append(Fault("power all", ("a", "b"), M - 5.0, M + 60.0))


def test_a_minute_that_was_passed_over_for_a_later_one_is_believed() -> None:
    record = healthy()
    passed_over(record)
    assert rules(record) == set()


def test_two_rows_under_one_id_are_told() -> None:
    record = healthy()
    passed_over(record)
    record.rows[1] = replace(record.rows[1], run=record.rows[2].run)
    assert "one id" in rules(record)


def test_an_older_minute_is_passed_over_for_one_that_was_due_by_an_unanswered_change() -> None:
    record = healthy()
    passed_over(record)
    record.jobs[0].changes.append(Change(M + 30.0, "* * * * *", 2, paused=True))
    assert rules(record) == set()
