"""The judge compares crontabs, the API and ZooKeeper when all is healed."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from chaos.checker import judge
from chaos.main import minima
from chaos.model import Fault, Final, Record
from tests.unit.chaos.records import M, healthy, on_all


def rules(record: Record) -> list[str]:
    return [violation.rule for violation in judge(record).violations]


def removed(record: Record) -> Final:
    record.jobs[0].delete_sent = record.jobs[0].deleted = M + 100.0
    record.final = Final()
    return record.final


def another_holder(record: Record) -> None:
    record.final.fences["1"] = "b"


def no_holder(record: Record) -> None:
    record.final.fences["1"] = None


def no_fence(record: Record) -> None:
    record.final.fences.clear()


def a_fence_of_a_host(record: Record) -> None:
    record.final.fences["1@b"] = "b"


def assigned_twice(record: Record) -> None:
    record.final.assignments["b"] = {"1"}


def assigned_to_nobody(record: Record) -> None:
    record.final.assignments["a"] = set()


def a_fence_of_a_removed_job(record: Record) -> None:
    removed(record).fences = {"1": None}


def an_assignment_of_a_removed_job(record: Record) -> None:
    removed(record).assignments = {"b": {"1@b"}}


@pytest.mark.parametrize(
    ("spoil", "rule"),
    [
        (another_holder, "fence"),
        (no_holder, "fence"),
        (no_fence, "fence"),
        (a_fence_of_a_host, "fence"),
        (assigned_twice, "assignment"),
        (assigned_to_nobody, "assignment"),
        (a_fence_of_a_removed_job, "stale"),
        (an_assignment_of_a_removed_job, "stale"),
    ],
)
def test_zookeeper_agrees_with_the_api(spoil: Callable[[Record], None], rule: str) -> None:
    record = healthy()
    spoil(record)
    assert rules(record) == [rule]


def test_a_job_on_all_has_a_fence_and_an_assignment_a_host() -> None:
    record = on_all("a", "b")
    assert rules(record) == []
    record.final.fences["1@b"] = None
    record.final.assignments["b"] = set()
    assert rules(record) == ["fence", "assignment"]


def test_a_removed_job_leaves_nothing() -> None:
    record = healthy()
    removed(record)
    assert rules(record) == []


def test_a_run_with_one_kind_of_fault_was_too_idle() -> None:
    record = healthy()
    record.faults = [Fault("kill dcron-api", ("a",), M, M + 1.0) for _ in range(20)]
    idle = " ".join(judge(record, minima(15)).idle)
    for name in ("kinds of faults: 1", "retries: 0", "pauses: 0", "kills: 0", "deletions: 0"):
        assert name in idle


def test_minima_are_in_proportion_and_know_what_was_aimed_at() -> None:
    assert minima(15)["kinds of faults"] == 4
    assert minima(30)["deletions"] == 2 * minima(15)["deletions"]
    assert minima(15, ["power"])["kinds of faults"] == 1
    assert minima(3)["kinds of faults"] == 1
