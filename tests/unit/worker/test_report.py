"""Reports on their way to the database: none is lost, none blocks the others."""

from __future__ import annotations

import queue
from collections.abc import Callable, Sequence
from dataclasses import replace

from dcron_common.errors import DatabaseError, DatabaseUnavailable
from dcron_common.run import RunRecord, RunState, Trigger
from dcron_worker.report import BATCH, Outcome, Reporter


def row(run_id: str) -> RunRecord:
    return RunRecord(run_id, 1, 60, 1, Trigger.CRON, RunState.SUCCEEDED)


class Table:
    """A database that refuses some run ids, and is away for some calls."""

    def __init__(self, refused: Sequence[str] = (), away_at: Sequence[int] = ()) -> None:
        self.refused = set(refused)
        self.away_at = set(away_at)
        self.calls: list[int] = []
        self.written: list[str] = []

    def write(self, records: Sequence[RunRecord]) -> None:
        self.calls.append(len(records))
        if len(self.calls) in self.away_at:
            raise DatabaseUnavailable("away")
        if self.refused & {record.run_id for record in records}:
            raise DatabaseError("refused")
        self.written += [record.run_id for record in records]


def report(table: Table, run_ids: Sequence[str]) -> list[Outcome]:
    """What is told, until each of the runs has been."""
    told: queue.SimpleQueue[Outcome] = queue.SimpleQueue()
    reporter = Reporter(table.write, told.put)
    for run_id in run_ids:
        reporter.put([row(run_id)], [run_id])
    reporter.start()
    outcomes: list[Outcome] = []
    while sum(len(one.run_ids) for one in outcomes) < len(run_ids):
        outcomes.append(told.get(timeout=60))
    reporter.stop(10)
    return outcomes


def chosen(outcomes: Sequence[Outcome], which: Callable[[Outcome], bool]) -> list[str]:
    return [run_id for one in outcomes if which(one) for run_id in one.run_ids]


def test_rows_are_written_together_and_told() -> None:
    table = Table()
    outcomes = report(table, ["a", "b", "c"])
    assert outcomes == [Outcome(("a", "b", "c"))]
    assert table.calls == [3]


def test_that_a_run_runs_is_not_written_where_its_end_is_written_too() -> None:
    table, told = Table(), queue.SimpleQueue[Outcome]()
    reporter = Reporter(table.write, told.put)
    for run_id in ("over", "on"):
        reporter.put([replace(row(run_id), state=RunState.RUNNING)])
    reporter.put([row("over")], ["over"])
    reporter.start()
    assert told.get(timeout=60).run_ids == ("over",)
    reporter.stop(10)
    assert table.written == ["on", "over"]


def test_what_could_not_be_written_is_written_later() -> None:
    table = Table(away_at=[1])
    outcomes = report(table, ["a"])
    assert (outcomes, table.written) == ([Outcome(("a",))], ["a"])


def test_a_refused_row_is_set_aside_and_the_others_are_written() -> None:
    table = Table(refused=["bad"])
    outcomes = report(table, ["a", "bad", "b"])
    assert chosen(outcomes, lambda one: one.refused) == ["bad"]
    assert table.written == ["a", "b"]


def test_a_database_that_goes_while_rows_are_tried_one_by_one_loses_none() -> None:
    table = Table(refused=["bad"], away_at=[3])  # the batch, the first row, and then
    outcomes = report(table, ["bad", "a", "b"])
    assert table.written == ["a", "b"]
    assert chosen(outcomes, lambda one: not one.refused) == ["a", "b"]


def test_a_long_queue_is_written_in_pieces() -> None:
    table = Table()
    report(table, [f"r{number}" for number in range(BATCH + 10)])
    assert table.calls == [BATCH, 10]
