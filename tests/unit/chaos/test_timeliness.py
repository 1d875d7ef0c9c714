"""The judge holds each minute against the change that stood then."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chaos.checker import judge
from chaos.model import Change, Fault, Final, Record
from tests.unit.chaos.records import BEGIN, M, healthy, launch, row, told_when_over


def rules(record: Record) -> list[str]:
    return [violation.rule for violation in judge(told_when_over(record)).violations]


def changed(schedule: str, acknowledged: float | None = M - 29.0) -> Record:
    """Another text with another schedule before the second minute; the minutes go on."""
    record = healthy()
    record.jobs[0].changes = [Change(M - 30.0, schedule, 1, acknowledged=acknowledged)]
    for one in record.launches[1:]:
        one.revision = 1
    return record


def test_paused_minutes_are_not_replayed_after_the_resume() -> None:
    record = healthy()
    stood = record.jobs[0].newest
    record.jobs[0].changes = [
        replace(stood, sent=M - 30.0, acknowledged=M - 29.0, paused=True),
        replace(stood, sent=M + 90.0, acknowledged=M + 91.0),
    ]
    for number, one in enumerate(record.launches[1:]):
        one.start = M + 95.0 + 2 * number
        one.seen = one.end = one.start + 1
    assert rules(record) == ["paused", "paused"]


@pytest.mark.parametrize("resumed", [True, False])
def test_a_resume_without_an_answer_may_be_in_force(resumed: bool) -> None:
    record = healthy()
    stood = record.jobs[0].newest
    record.jobs[0].changes = [
        replace(stood, sent=M - 50.0, acknowledged=M - 49.0, paused=True),
        replace(stood, sent=M - 20.0, acknowledged=None, paused=not resumed),
        replace(stood, sent=M + 90.0, acknowledged=M + 91.0),
    ]
    assert (rules(record) == []) is resumed


def test_minutes_of_an_old_schedule_do_not_go_on_with_the_new_text() -> None:
    assert rules(changed("59 5 * * *")) == ["not due", "not due"]


def test_both_schedules_may_stand_while_no_answer_came() -> None:
    assert rules(changed("59 5 * * *", acknowledged=None)) == []


def test_a_minute_due_before_its_change_may_start_after_it() -> None:
    record = healthy()
    record.jobs[0].changes = [Change(M + 61.0, "59 5 * * *", 1, acknowledged=M + 62.0)]
    last = record.launches[2]
    last.start, last.seen, last.end, last.revision = M + 66.0, M + 68.0, M + 68.0, 1
    assert rules(record) == []


def test_a_host_that_was_cut_off_goes_on_by_what_it_knew_for_a_lease() -> None:
    record = healthy()
    record.jobs[0].changes = [Change(M - 3.0, "59 5 * * *", 1, acknowledged=M - 2.0)]
    record.launches.pop()
    record.rows.pop()
    assert rules(record) == ["not due", "old text"]
    record.faults = [Fault("cut", ("a",), M - 5.0, M + 20.0)]
    assert rules(record) == []


@pytest.mark.parametrize(
    ("catch_up", "late", "expected"),
    [
        ("none", 130.0, ["too late"]),
        ("none", 60.0, []),
        ("latest", 130.0, []),
        ("latest", 610.0, ["too late"]),
    ],
)
def test_a_start_is_as_late_as_its_policy_allows(
    catch_up: str, late: float, expected: list[str]
) -> None:
    record = healthy()
    record.jobs[0].catch_up = catch_up
    # Nothing is due after its last minute: it is not overtaken.
    record.jobs[0].changes = [Change(M + 61.0, "59 5 * * *", 0, acknowledged=M + 62.0)]
    minute = M + 60
    record.launches[2] = launch(
        minute, start=minute + late, seen=minute + late + 1, end=minute + late + 1
    )
    assert rules(record) == expected


def delayed(record: Record, number: int, start: float) -> None:
    """The launch of that number begins then."""
    one = record.launches[number]
    one.start, one.seen, one.end = start, start + 1, start + 1


@pytest.mark.parametrize(("catch_up", "expected"), [("latest", ["overtaken"]), ("all", [])])
def test_an_older_minute_runs_beside_a_due_one_only_if_all_are_caught_up(
    catch_up: str, expected: list[str]
) -> None:
    record = healthy()
    record.jobs[0].catch_up = catch_up
    delayed(record, 1, M + 80.0)
    delayed(record, 2, M + 82.0)
    assert rules(record) == expected


def test_a_run_that_waits_for_a_secret_is_not_overtaken() -> None:
    record = healthy()
    delayed(record, 1, M + 80.0)
    delayed(record, 2, M + 82.0)
    record.jobs[0].secret = True
    assert rules(record) == []


def test_minutes_are_those_of_the_jobs_own_zone() -> None:
    record = healthy()
    record.jobs[0].schedule = "*/2 * * * *"  # M is due by it in UTC
    record.jobs[0].timezone = "Asia/Kathmandu"
    assert rules(record) == ["not due"]
    record.launches.pop(1)
    record.rows.pop(1)
    assert rules(record) == []
    assert judge(record).counts["due launched"] == 2


def test_minutes_that_are_caught_up_begin_oldest_first() -> None:
    record = healthy()
    record.jobs[0].catch_up = "all"
    delayed(record, 1, M + 82.0)
    delayed(record, 2, M + 80.0)
    assert rules(record) == ["backward"]


def isolating() -> Record:
    """A job that runs where a worker is cut off, and ran on both hosts."""
    record = healthy()
    record.jobs[0].isolates = True
    record.launches.append(launch(host="b", run="r2", epoch=0))
    record.rows.append(replace(row(worker="b", isolated=True), run="r2"))
    record.faults = [Fault("cut", ("b",), M - 30.0, M + 10.0)]
    return record


def test_only_one_double_a_host_is_what_isolation_explains() -> None:
    record = isolating()
    assert rules(record) == []
    late = launch(host="b", run="r3", epoch=0, start=M + 5.0, seen=M + 6.0, end=M + 6.0)
    record.launches.append(late)
    record.rows.append(replace(row(worker="b", isolated=True), run="r3"))
    assert rules(record) == ["double"]


def test_a_job_that_isolates_does_not_run_twice_on_healthy_hosts() -> None:
    record = isolating()
    record.rows[-1] = replace(record.rows[-1], isolated=False)
    assert "double" in rules(record)


def test_a_run_is_isolated_by_a_cut_of_its_own_host() -> None:
    record = isolating()
    record.faults = [Fault("cut", ("a",), M - 30.0, M + 10.0)]
    assert {"double", "isolated"} <= set(rules(record))


def test_a_first_minute_is_not_before_the_job() -> None:
    record = healthy()
    record.launches.append(launch(BEGIN, start=BEGIN + 55.0, seen=BEGIN + 57.0, end=BEGIN + 57.0))
    record.rows.append(row(BEGIN))
    assert rules(record) == ["not due"]


def late_after_a_deletion(late: float, healed: float) -> Record:
    """A job that was deleted, and launched so many seconds after that by a host that was cut off
    until so many seconds before."""
    record = isolating()
    job, last = record.jobs[0], record.launches[2]
    job.isolates = False
    delayed(record, 2, M + 75.0)
    record.launches, record.rows = record.launches[:3], record.rows[:3]
    job.delete_sent = job.deleted = last.start - late
    record.faults = [Fault("cut", ("a",), M - 30.0, job.deleted - healed)]
    record.final = Final()
    return record


def test_a_fault_that_was_over_long_before_the_answer_explains_no_late_launch() -> None:
    assert rules(late_after_a_deletion(10.5, healed=-5.0)) == []
    assert rules(late_after_a_deletion(10.5, healed=8.0)) == []
    assert rules(late_after_a_deletion(10.5, healed=12.0)) == ["deleted"]
    assert rules(late_after_a_deletion(10.5, healed=19.0)) == ["deleted"]
    assert rules(late_after_a_deletion(12.5, healed=-11.0)) == ["deleted"]


@pytest.mark.parametrize(
    ("thawed", "seen", "isolates", "expected"),
    [
        (0.5, 0.9, False, []),
        (0.5, 9.0, False, ["deleted"]),
        (0.5, 9.0, True, []),
        (2.0, 2.1, False, ["deleted"]),
        (2.0, 2.1, True, ["deleted"]),
    ],
)
def test_a_process_that_was_frozen_before_its_first_word_says_it_at_the_thaw(
    thawed: float, seen: float, isolates: bool, expected: list[str]
) -> None:
    record = late_after_a_deletion(14.0, healed=60.0)
    record.jobs[0].isolates = isolates
    last = record.launches[2]
    end = last.start - thawed
    last.seen = last.end = end + seen
    record.faults = [Fault("freeze", ("a",), last.start - 14.5, end)]
    assert rules(record) == expected


@pytest.mark.parametrize(
    ("faults", "expected"),
    [
        # It was cut off from before the deletion until after the launch.
        ([("cut", "b", -20.0, 300.0)], []),
        # Back for more than half a minute it must have heard of it, though it is cut off again.
        ([("cut", "b", -20.0, 10.0), ("cut", "b", 150.0, 300.0)], ["deleted"]),
        ([("cut", "b", -20.0, 10.0), ("cut", "b", 30.0, 300.0)], []),
        # It was there when it was told.
        ([("cut", "b", 60.0, 300.0)], ["deleted"]),
        # Nobody could be told, and then it was cut off.
        ([("freeze", "ctl1", -1.0, 30.0), ("cut", "b", 40.0, 300.0)], []),
    ],
)
def test_an_isolated_launch_goes_by_what_its_host_knew_until_it_must_have_heard(
    faults: list[tuple[str, str, float, float]], expected: list[str]
) -> None:
    record = isolating()
    record.end = M + 240
    deleted = record.jobs[0].delete_sent = record.jobs[0].deleted = M + 65.0
    late = launch(M + 240, host="b", run="late", epoch=0)
    record.launches = [*record.launches[:3], late]
    record.rows = [*record.rows[:3], replace(row(M + 240, worker="b", isolated=True), run="late")]
    record.faults = [Fault(kind, (host,), deleted + a, deleted + b) for kind, host, a, b in faults]
    record.final = Final()
    assert [one for one in rules(record) if one == "deleted"] == expected


def test_a_claimed_launch_of_a_job_that_isolates_is_held_to_the_answer_like_others() -> None:
    record = late_after_a_deletion(12.5, healed=-60.0)
    record.jobs[0].isolates = True
    assert rules(record) == ["deleted"]
