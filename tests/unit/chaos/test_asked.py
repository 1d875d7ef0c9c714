"""The judge asks what became of runs that were asked for, and of requests to end them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chaos.checker import judge
from chaos.model import Asked, Record, Row
from tests.unit.chaos.records import M, healthy, told_when_over


def rules(record: Record) -> set[str]:
    return {violation.rule for violation in judge(record).violations}


def asked(state: str, reason: str | None = None, killed: bool = False) -> Record:
    """A run that was asked for, of which a row tells."""
    record = healthy()
    record.jobs[0].asked = [Asked(M + 5.0, "q", killed)]
    record.rows.append(Row("q", "1", M + 5, 1, state, "a", reason, M + 6.0))
    return record


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        ("skipped", None),
        ("skipped", "the run before was still active and concurrency is forbid"),
        ("skipped", "the job was removed before this run could start"),
        ("missed", "no worker could start it within 600 s"),
    ],
)
def test_an_asked_run_that_did_not_run_needs_a_true_excuse(state: str, reason: str | None) -> None:
    record = asked(state, reason)
    # The run before was over long since.
    record.rows[-1] = replace(record.rows[-1], minute=M + 40, finished=M + 41.0)
    assert rules(record) == {"asked"}


def test_a_removal_explains_a_skipped_run() -> None:
    record = asked("skipped", "the job was removed before this run could start")
    record.jobs[0].delete_sent = M + 5.5
    record.launches.pop()
    record.rows.pop(2)
    assert rules(record) == set()


def test_an_asked_run_beside_another_is_skipped() -> None:
    record = asked("skipped", "the run before was still active and concurrency is forbid")
    record.launches[1].seen = record.launches[1].end = M + 8.0
    assert judge(told_when_over(record)).violations == []


def test_a_kill_that_was_asked_for_ends_a_run() -> None:
    record = asked("killed", "ended by user admin", killed=True)
    verdict = judge(record, {"kills": 1})
    assert verdict.violations == [] and verdict.passed
    assert rules(asked("killed", "ended by user admin")) == {"false row"}
