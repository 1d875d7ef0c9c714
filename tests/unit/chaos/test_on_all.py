"""Of a job on all each host that is there owes each minute."""

from __future__ import annotations

from dataclasses import replace

from chaos.checker import judge
from chaos.model import Fault, Record
from tests.unit.chaos.records import BEGIN, M, on_all, row


def without_first(record: Record, host: str, minute: int = BEGIN + 60) -> None:
    record.launches = [x for x in record.launches if (x.minute, x.host) != (minute, host)]
    record.rows = [x for x in record.rows if (x.minute, x.worker) != (minute, host)]


def test_a_job_on_all_is_due_on_a_host_from_when_it_is_there() -> None:
    record = on_all("a", "b")
    without_first(record, "b")
    assert [one.rule for one in judge(record).violations] == ["miss"]
    record.faults = [Fault("freeze", ("b",), BEGIN + 30.0, BEGIN + 59.0)]
    verdict = judge(record)
    assert verdict.violations == [] and verdict.counts["due elsewhere only"] == 1


def test_a_host_that_had_the_job_before_owes_its_minutes_though_it_is_away() -> None:
    record = on_all("a", "b")
    without_first(record, "b", M)
    record.faults = [Fault("freeze", ("b",), BEGIN + 30.0, M + 10.0)]
    assert [one.rule for one in judge(record).violations] == ["miss"]


def test_a_host_that_was_there_when_the_job_came_owes_the_first_minute() -> None:
    record = on_all("a", "b")
    without_first(record, "b")
    record.jobs[0].sent, record.jobs[0].acknowledged = BEGIN - 600.0, BEGIN - 599.0
    record.faults = [Fault("freeze", ("b",), BEGIN + 50.0, BEGIN + 90.0)]
    assert "miss" in [one.rule for one in judge(record).violations]


def test_another_host_that_was_away_excuses_no_minute_of_this_one() -> None:
    record = on_all("b", "a")
    without_first(record, "b", M)
    missed = row(state="missed", worker="b", reason="a later minute was due before this one")
    record.rows.append(replace(missed, run="missed", finished=M + 61.0))
    record.faults = [Fault("power", ("a",), M - 5.0, M + 50.0)]
    assert [one.rule for one in judge(record).violations] == ["excuse"]
    record.faults = [Fault("power", ("b",), M - 5.0, M + 50.0)]
    assert judge(record).violations == []
