"""The judge must find what it is there to find: each log below breaks one promise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from chaos.checker import judge
from chaos.model import Asked, Fault, Final, Record
from tests.unit.chaos.records import (
    BEGIN,
    HOSTS,
    M,
    healthy,
    instead,
    launch,
    row,
    told_when_over,
    without_launch,
)


def test_a_record_without_fault_passes() -> None:
    verdict = judge(healthy(), {"due": 3})
    assert verdict.violations == []
    assert verdict.passed
    assert verdict.counts["due launched"] == 3


def test_a_run_that_proves_nothing_fails() -> None:
    verdict = judge(healthy(), {"due": 4})
    assert not verdict.passed
    assert verdict.idle == ["due: 3, at least 4 are needed"]


def miss(record: Record) -> None:
    without_launch(record)
    record.rows = [one for one in record.rows if one.minute != M]


def false_excuse(record: Record) -> None:
    instead(record, row(state="missed", reason="nobody was there"))


def silent_excuse(record: Record) -> None:
    false_excuse(record)
    record.rows[-1] = row(state="missed")
    record.faults = [Fault("power", ("a",), M - 5.0, M + 30.0)]


def false_skip(record: Record) -> None:
    instead(record, row(state="skipped", reason="the run before was active"))


def double(record: Record) -> None:
    record.launches.append(launch(host="b", start=M + 30.0, seen=M + 32.0, end=M + 32.0))


def beside_itself(record: Record) -> None:
    record.launches.append(launch(attempt=2, host="b", start=M + 2.0, seen=M + 5.0))
    record.rows.append(row(attempt=2))


def overlap(record: Record) -> None:
    record.launches[0].seen = M + 3.0


def old_epoch(record: Record) -> None:
    record.launches[0].epoch = 2


def undue(record: Record) -> None:
    record.jobs[0].schedule = "*/2 * * * *"


def early(record: Record) -> None:
    record.launches[1].start = M - 1.0


def late(record: Record) -> None:
    record.launches[1].start = M + 700.0
    record.launches[1].seen = M + 701.0


def after_deletion(record: Record) -> None:
    record.jobs[0].delete_sent = M - 20.0
    record.jobs[0].deleted = M - 19.0
    record.final = Final()


def paused(record: Record) -> None:
    """It was paused well before M, and resumed after."""
    stood = record.jobs[0].newest
    record.jobs[0].changes = [
        replace(stood, sent=M - 20.0, acknowledged=M - 19.0, paused=True),
        replace(stood, sent=M + 40.0, acknowledged=M + 41.0),
    ]


def old_text(record: Record) -> None:
    stood = record.jobs[0].newest
    record.jobs[0].changes = [replace(stood, sent=M - 20.0, acknowledged=M - 19.0, revision=1)]
    record.launches[2].revision = 1


def untold(record: Record) -> None:
    record.jobs[0].asked = [Asked(M + 5.0, "r99")]


def false_pause(record: Record) -> None:
    said = "the job was paused before this minute could start"
    instead(record, row(state="skipped", reason=said))


def no_row(record: Record) -> None:
    record.rows = [one for one in record.rows if one.minute != M]


def false_success(record: Record) -> None:
    record.launches[1].end = None


def never_over(record: Record) -> None:
    record.rows[1] = row(state="running")


def two_crontabs(record: Record) -> None:
    record.final.crontabs["b"] = {"1"}


def other_crontab(record: Record) -> None:
    record.final.holders["1"] = "b"


def leftover(record: Record) -> None:
    record.final.leftovers = ["/runs/a/1.60"]


def stale_line(record: Record) -> None:
    record.jobs[0].delete_sent = record.jobs[0].deleted = M + 100.0


@pytest.mark.parametrize(
    ("spoil", "rule"),
    [
        (miss, "miss"),
        (false_excuse, "excuse"),
        (silent_excuse, "excuse"),
        (false_skip, "excuse"),
        (double, "double"),
        (beside_itself, "overlap"),
        (overlap, "overlap"),
        (old_epoch, "epoch"),
        (undue, "not due"),
        (early, "too early"),
        (late, "too late"),
        (after_deletion, "deleted"),
        (paused, "paused"),
        (old_text, "old text"),
        (untold, "asked"),
        (false_pause, "excuse"),
        (no_row, "no row"),
        (false_success, "false row"),
        (never_over, "running"),
        (two_crontabs, "crontab"),
        (other_crontab, "crontab"),
        (leftover, "leftover"),
        (stale_line, "stale"),
    ],
)
def test_a_broken_promise_is_found(spoil: Callable[[Record], None], rule: str) -> None:
    record = healthy()
    spoil(record)
    assert rule in {violation.rule for violation in judge(record).violations}


def test_a_minute_missed_while_its_host_was_dead_is_excused() -> None:
    record = healthy()
    false_excuse(record)
    record.faults = [Fault("power", ("a",), M - 5.0, M + 30.0)]
    verdict = judge(record)
    assert verdict.violations == []
    assert verdict.counts["excused: missed"] == 1


def test_a_skip_beside_a_living_run_is_excused() -> None:
    record = healthy()
    false_skip(record)
    record.launches[0].seen = record.launches[0].end = M + 10.0
    assert judge(told_when_over(record)).violations == []


def lost_and_seen_again(record: Record, kind: str, end: float) -> None:
    """The first run's host is taken away; the run is seen once more right after."""
    record.launches[0].host = "b"
    record.launches[0].seen, record.launches[0].end = end + 0.8, None
    record.rows[0] = row(BEGIN + 60, state="lost", worker="b", finished=BEGIN + 93.0)
    record.jobs[0].fails_on_loss = True
    record.faults = [Fault(kind, ("b",), BEGIN + 70.0, end)]


@pytest.mark.parametrize("end", [M + 1.2, M + 20.0])
def test_an_overlap_after_a_thaw_is_counted_apart(end: float) -> None:
    """Also where the next run began long before the thaw: the frozen one did nothing then."""
    record = healthy()
    lost_and_seen_again(record, "freeze", end)
    verdict = judge(record)
    assert verdict.violations == []
    assert verdict.counts["overlaps after a thaw"] == 1


def test_the_next_may_not_begin_before_the_lease_of_a_frozen_host_has_passed() -> None:
    record = healthy()
    lost_and_seen_again(record, "freeze", M + 20.0)
    record.faults[0].begin = record.launches[1].start - 3.0
    assert "overlap" in {violation.rule for violation in judge(record).violations}


@pytest.mark.parametrize("kind", ["stop dcron-launcher", "cut"])
def test_a_run_that_went_on_beside_the_next_is_no_thaw(kind: str) -> None:
    record = healthy()
    lost_and_seen_again(record, kind, M + 20.0)
    assert "overlap" in {violation.rule for violation in judge(record).violations}


def test_a_minute_that_a_pause_overtook_is_excused() -> None:
    record = healthy()
    false_pause(record)
    stood = record.jobs[0].newest
    record.jobs[0].changes = [
        replace(stood, sent=M + 1.0, acknowledged=M + 1.2, paused=True),
        replace(stood, sent=M + 40.0, acknowledged=M + 41.0),
    ]
    assert judge(record).violations == []


def test_nothing_is_owed_while_it_is_not_known_what_stood() -> None:
    record = healthy()
    stood = record.jobs[0].newest
    record.jobs[0].changes = [
        replace(stood, sent=M - 20.0, acknowledged=None, paused=True),
        replace(stood, sent=M + 40.0, acknowledged=M + 41.0),
    ]
    miss(record)
    assert judge(record).violations == []


def test_a_worker_that_was_cut_off_may_double_a_job_that_wants_it() -> None:
    record = healthy()
    record.jobs[0].isolates = True
    record.launches.append(launch(host="b", run="r2", epoch=0))
    record.rows.append(replace(row(worker="b", isolated=True), run="r2"))
    record.faults = [Fault("cut", ("b",), M - 30.0, M + 10.0)]
    verdict = judge(record)
    assert verdict.violations == []
    assert verdict.counts["doubles of isolated workers"] == 1


def test_a_run_that_launched_nothing_is_not_excused_by_faults_all_the_while() -> None:
    record = healthy()
    record.end = M + 900
    minutes = range(BEGIN + 60, M + 901, 60)
    record.launches.clear()
    record.rows = [
        row(one, state="missed", reason="no worker could have it: none is online", worker=None)
        for one in minutes
    ]
    record.faults = [
        Fault("power", (HOSTS[number % 2],), BEGIN + 70.0 * number, BEGIN + 70.0 * number + 20)
        for number in range(14)
    ]
    found = [one for one in judge(record).violations if one.rule == "excuse"]
    assert len(found) == len(minutes)


def test_a_fault_elsewhere_excuses_nothing() -> None:
    record = healthy()
    false_excuse(record)
    record.rows[-1] = replace(record.rows[-1], reason="a later minute was due before this one")
    for kind, host in (("power", "b"), ("kill mariadb", "a"), ("database away", "a")):
        record.faults = [Fault(kind, (host,), M - 5.0, M + 30.0)]
        assert [one.rule for one in judge(record).violations] == ["excuse"], kind


def test_a_job_that_must_not_be_repeated_is_not() -> None:
    record = healthy()
    record.jobs[0].fails_on_loss = True
    record.launches.append(launch(attempt=2))
    record.rows.append(row(attempt=2))
    assert "resumed" in [one.rule for one in judge(record).violations]


def test_a_job_that_was_never_acknowledged_owes_nothing() -> None:
    record = healthy()
    record.jobs[0].acknowledged = None
    miss(record)
    assert judge(record).violations == []


def test_a_cut_off_worker_may_launch_for_a_lease_after_a_deletion() -> None:
    record = healthy()
    after_deletion(record)
    record.jobs[0].delete_sent, record.jobs[0].deleted = M - 6.0, M - 5.0
    record.launches.pop()
    record.rows.pop()
    record.faults = [Fault("cut", ("a",), M - 10.0, M + 20.0)]
    assert [one.rule for one in judge(record).violations] == []
