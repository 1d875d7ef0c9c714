"""The judge believes an excuse for a cause of its own, where and when it can have been one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chaos.checker import judge
from chaos.model import Asked, Fault, Record, Row
from tests.unit.chaos.records import M, healthy, instead, launch, row, told_when_over

NEITHER = "worker a had the job and neither started nor closed this minute"
NOBODY = "no worker could have it: none is online that carries its labels, undrained"
PASSED = "a later minute was due before this one could start"


def excused(record: Record, *faults: Fault) -> bool:
    record.faults = list(faults)
    found = {violation.rule for violation in judge(record).violations}
    assert found <= {"excuse"}
    return not found


def told_by_the_leader(reason: str, deadline: int = 600) -> Record:
    record = healthy()
    record.jobs[0].deadline = deadline
    late = M + deadline + 60.0
    instead(record, row(state="missed", reason=reason, worker=None, finished=late))
    return record


def test_a_short_fault_elsewhere_and_later_excuses_no_row_that_no_worker_told() -> None:
    record = told_by_the_leader(NEITHER)
    assert not excused(record, Fault("kill cron", ("b",), M + 600.0, M + 601.0))
    assert not excused(record, Fault("power", ("b",), M - 5.0, M + 700.0))
    assert not excused(record, Fault("power", ("a",), M - 5.0, M + 100.0))
    assert excused(record, Fault("power", ("a",), M - 5.0, M + 700.0))


def test_nobody_was_there_only_if_every_host_was_away_until_the_deadline() -> None:
    record = told_by_the_leader(NOBODY, deadline=45)
    one, other = (Fault("power", (host,), M - 5.0, M + 20.0) for host in "ab")
    assert not excused(record, one)
    assert not excused(record, other)
    assert excused(record, one, other)


def test_only_hosts_that_carry_its_labels_count() -> None:
    record = told_by_the_leader(NOBODY, deadline=45)
    record.jobs[0].kind = "a"
    assert excused(record, Fault("power", ("a",), M - 5.0, M + 20.0))
    record.jobs[0].kind = "c"
    assert not excused(record, Fault("power all", ("a", "b"), M - 5.0, M + 20.0))


def test_another_reason_that_no_worker_told_wants_all_hosts_away() -> None:
    record = told_by_the_leader(PASSED, deadline=45)
    assert not excused(record, Fault("power", ("b",), M - 5.0, M + 20.0))
    assert excused(record, Fault("power all", ("a", "b"), M - 5.0, M + 20.0))


def test_a_fault_after_a_worker_should_have_launched_excuses_nothing() -> None:
    record = healthy()
    instead(record, row(state="missed", reason=PASSED, finished=M + 61.0))
    assert excused(record, Fault("crond stopped", ("a",), M - 1.0, M + 50.0))
    assert not excused(record, Fault("crond stopped", ("a",), M + 30.0, M + 50.0))


@pytest.mark.parametrize(
    ("kind", "begin", "end", "believed"),
    [
        ("stop cron", -20.0, 45.0, True),
        ("restart cron", -0.5, 1.0, True),
        ("restart cron", -40.0, -38.0, False),
        ("restart mariadb", -5.0, 40.0, False),
        ("restart haproxy", -5.0, 40.0, False),
        ("restart swift-proxy", -5.0, 40.0, False),
    ],
)
def test_a_minute_passes_without_a_tick_where_crond_was_silent_as_it_began(
    kind: str, begin: float, end: float, believed: bool
) -> None:
    record = healthy()
    instead(record, row(state="missed", reason=PASSED, finished=M + 61.0))
    assert excused(record, Fault(kind, ("a",), M + begin, M + end)) is believed


def test_a_fault_that_was_over_when_it_was_due_lets_it_start_late() -> None:
    record = healthy()
    instead(record, row(state="missed", reason=PASSED, finished=M + 61.0))
    assert not excused(record, Fault("power", ("a",), M - 40.0, M - 20.0))
    record.jobs[0].schedule = "*/2 * * * *"  # M is due by it, the next is two minutes later
    del record.launches[:], record.rows[:2]
    record.rows[0] = row(state="missed", reason=PASSED, finished=M + 121.0)
    assert not excused(record, Fault("power", ("a",), M - 5.0, M + 20.0))
    assert excused(record, Fault("power", ("a",), M - 5.0, M + 70.0))


def test_an_excuse_is_true_also_where_it_is_not_sure_that_the_minute_was_due() -> None:
    record = told_by_the_leader(NEITHER)
    stood = record.jobs[0].newest
    record.jobs[0].changes = [replace(stood, sent=M - 20.0, acknowledged=None, paused=True)]
    assert not excused(record)


def test_no_minute_of_a_job_that_catches_up_all_gives_way_to_a_later_one() -> None:
    record = healthy()
    record.jobs[0].catch_up = "all"
    instead(record, row(state="missed", reason=PASSED, finished=M + 61.0))
    assert not excused(record, Fault("crond stopped", ("a",), M - 1.0, M + 1.0))


@pytest.mark.parametrize(("catch_up", "allowed"), [("all", 600), ("latest", 600), ("none", 120)])
def test_a_deadline_has_passed_when_it_is_said_to(catch_up: str, allowed: int) -> None:
    away = Fault("crond stopped", ("a",), M - 1.0, M + allowed - 50.0)
    reason = f"no worker could start it within {allowed} s"
    for late, true in ((allowed + 5.0, True), (allowed - 5.0, False)):
        record = healthy()
        record.jobs[0].catch_up = catch_up
        instead(record, row(state="missed", reason=reason, finished=M + late))
        assert excused(record, away) is true


@pytest.mark.parametrize(
    ("after", "fault", "believed"),
    [
        (0.1, None, True),
        (4.0, None, False),
        (4.0, Fault("stop dcron-launcher", ("a",), M - 5.0, M + 7.0), True),
        (4.0, Fault("stop dcron-launcher", ("b",), M - 5.0, M + 7.0), False),
    ],
)
def test_a_run_holds_its_job_from_its_claim_which_is_before_its_first_word(
    after: float, fault: Fault | None, believed: bool
) -> None:
    record = healthy()
    reason = "the run before was still active and concurrency is forbid (its claim: m.q)"
    instead(record, row(state="skipped", reason=reason, finished=M + 7.3))
    begun = M + 7.3 + after
    record.jobs[0].asked = [Asked(M + 2.0, "q")]
    record.launches.append(launch(M + 2, run="q", start=begun, seen=begun + 1, end=begun + 1))
    record.rows.append(Row("q", "1", M + 2, 1, "succeeded", "a", None, begun + 1.1))
    assert excused(record, *([fault] if fault else [])) is believed


def test_a_job_that_replaces_is_not_skipped_beside_its_run() -> None:
    record = healthy()
    reason = "the run before was still active and concurrency is forbid (its claim: 7)"
    instead(record, row(state="skipped", reason=reason))
    record.launches[0].seen = record.launches[0].end = M + 10.0
    assert excused(told_when_over(record))
    record.jobs[0].replaces = True
    assert not excused(record)


def test_what_nobody_had_told_before_a_removal_is_excused_by_the_removal() -> None:
    record = healthy()
    record.launches.pop()
    record.rows.pop()
    record.end = M
    reason = "the job was removed, and no worker had told of this minute"
    instead(record, row(state="skipped", reason=reason, worker=None, finished=M + 30.0))
    assert not excused(record)
    record.jobs[0].delete_sent = M + 1.0
    assert excused(record)


def test_a_pause_is_no_removal() -> None:
    record = healthy()
    stood = record.jobs[0].newest
    change = type(stood)(M + 1.0, stood.schedule, 0, paused=True, acknowledged=M + 2.0)
    record.jobs[0].changes = [change]
    record.launches.pop()
    record.rows.pop()
    said = "before this minute could start"
    instead(record, row(state="skipped", reason=f"the job was removed {said}"))
    assert not excused(record)
    instead(record, row(state="skipped", reason=f"the job was paused {said}"))
    assert excused(record)


def test_a_run_before_that_waits_for_no_file_holds_nothing() -> None:
    record = healthy()
    instead(record, row(state="skipped", reason="the run before was still active"))
    record.rows[0] = row(M - 60, finished=M + 4.0)
    away = Fault("object store away", ("a", "b"), M - 50.0, M - 5.0)
    assert not excused(record, away)
    record.jobs[0].file = True
    assert excused(record, away)
