"""The judge must find what it is there to find: each log below breaks one promise."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from chaos.checker import judge
from chaos.model import Fault, Final, Job, Launch, Record, Row

BEGIN = 1_800_000_000 // 60 * 60
M = BEGIN + 120
HOSTS = ("a", "b")


def job(**changes: object) -> Job:
    made = Job("quick", "* * * * *", id="1", sent=BEGIN + 50, acknowledged=BEGIN + 51)
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def launch(minute: int = M, attempt: int = 1, host: str = "a", **changes: object) -> Launch:
    start = minute + 1.5 + 10 * (attempt - 1)
    made = Launch(
        "1", minute, attempt, 1, f"r{minute}.{attempt}", host, start, start + 2, start + 2
    )
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def row(minute: int = M, attempt: int = 1, state: str = "succeeded", **changes: object) -> Row:
    values = {"worker": "a", "reason": None, "finished": minute + 4.0, **changes}
    return Row("1", minute, attempt, state, **values)  # type: ignore[arg-type]


def healthy() -> Record:
    """A job that is due three times and runs three times."""
    minutes = (BEGIN + 60, M, M + 60)
    return Record(
        seed=1,
        begin=BEGIN,
        end=M + 60,
        hosts=HOSTS,
        jobs=[job()],
        launches=[launch(minute) for minute in minutes],
        rows=[row(minute) for minute in minutes],
        final=Final({"a": {"1"}, "b": set()}, {"1": "a"}, []),
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


def without_launch(record: Record) -> None:
    record.launches = [one for one in record.launches if one.minute != M]


def miss(record: Record) -> None:
    without_launch(record)
    record.rows = [one for one in record.rows if one.minute != M]


def false_excuse(record: Record) -> None:
    without_launch(record)
    record.rows = [one for one in record.rows if one.minute != M]
    record.rows.append(row(state="missed", reason="nobody was there"))


def silent_excuse(record: Record) -> None:
    false_excuse(record)
    record.rows[-1] = row(state="missed")
    record.faults = [Fault("power", ("a",), M - 5.0, M + 30.0)]


def false_skip(record: Record) -> None:
    without_launch(record)
    record.rows = [one for one in record.rows if one.minute != M]
    record.rows.append(row(state="skipped", reason="the run before was active"))


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
    record.final = Final({"a": set(), "b": set()}, {}, [])


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
    assert judge(record).violations == []


def test_an_overlap_after_a_thaw_is_counted_apart() -> None:
    record = healthy()
    record.launches[0].host = "b"
    record.launches[0].seen, record.launches[0].end = M + 2.0, None
    record.rows[0] = row(BEGIN + 60, state="lost")
    record.faults = [Fault("freeze", ("b",), BEGIN + 70.0, M + 1.2)]
    verdict = judge(record)
    assert verdict.violations == []
    assert verdict.counts["overlaps after a thaw"] == 1


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
