"""Lists of runs, newest first: filtered, page by page.

A page is found by its place (keyset): the minute and the row's number of the last run of the page
before. So it costs the same however deep it is, and new runs neither repeat nor hide others.

The list is made of one list for each state, each read in the order of one index
(schema/followed.py) until it has a page: 8 pages of an index for a page of rows, at any number of
runs.

| asked for                                    | index            |
|----------------------------------------------|------------------|
| one job, with or without all else            | `run_by_job`     |
| another trigger than cron, also of one worker | `run_by_trigger` |
| a worker                                     | `run_by_worker`  |
| cron                                         | `run_by_trigger` |
| anything else                                | `run_by_state`   |

Where more is asked for than the index is sorted by, it is read past what does not match: of the
runs of one job or one worker, never of all. MariaDB is told which index to use, since by its own
estimates it may sort millions of rows instead.

Errors: those of connection.Database.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from operator import and_
from typing import Any

from peewee import SQL

from dcron_common.db.connection import Database
from dcron_common.db.models import Run
from dcron_common.db.run_reads import runs_by_row
from dcron_common.run import RunRecord, RunState, Trigger

# By rank: a run that moves on between two reads shows twice rather than never, and once in the end.
_STATES = tuple(sorted(RunState, key=lambda state: state.rank))


@dataclass(frozen=True, slots=True)
class WantedRuns:
    """Which runs; None: any. `states` empty: any. Due or asked for in (after, until]."""

    states: frozenset[RunState] = frozenset()
    job_id: int | None = None
    worker: str | None = None
    trigger: Trigger | None = None
    after: int | None = None
    until: int | None = None


@dataclass(frozen=True, slots=True, order=True)
class RunPlace:
    """Where a run stands in a list."""

    scheduled_at: int
    row: int


def find_runs(
    database: Database, wanted: WantedRuns, before: RunPlace | None, limit: int
) -> list[tuple[RunPlace, RunRecord]]:
    """The next `limit` runs of the list behind `before`."""

    def work() -> list[tuple[RunPlace, RunRecord]]:
        found: set[RunPlace] = set()
        for state in _STATES:
            if not wanted.states or state in wanted.states:
                query = page_query(wanted, state, before, hint=database.is_mariadb)
                found |= {RunPlace(*values) for values in query.limit(limit).tuples()}
        page = sorted(found, reverse=True)[:limit]
        rows = runs_by_row([place.row for place in page])
        return [(place, rows[place.row]) for place in page if place.row in rows]

    return database.read(work)


def page_query(wanted: WantedRuns, state: RunState, before: RunPlace | None, *, hint: bool) -> Any:
    """The statement for one state. `hint`: name the index to MariaDB."""
    run = Run.alias("run")
    query = run.select(run.scheduled_at, run.id)
    if hint:
        query = query.from_(SQL(f"`run` AS `run` FORCE INDEX (`{index_for(wanted)}`)"))
    conditions = [run.state == state.value]
    for name in ("job_id", "worker", "trigger"):
        if getattr(wanted, name) is not None:
            conditions.append(getattr(run, name) == getattr(wanted, name))
    if wanted.after is not None:
        conditions.append(run.scheduled_at > wanted.after)
    until = wanted.until
    if before is not None:
        until = before.scheduled_at if until is None else min(until, before.scheduled_at)
        # Beside the bound below, which alone the index would not be entered by.
        same = (run.scheduled_at < before.scheduled_at) | (run.id < before.row)
        conditions.append(same)
    if until is not None:
        conditions.append(run.scheduled_at <= until)
    return query.where(reduce(and_, conditions)).order_by(run.scheduled_at.desc(), run.id.desc())


def index_for(wanted: WantedRuns) -> str:
    """The index that the list is read in."""
    if wanted.job_id is not None:
        return "run_by_job"
    if wanted.trigger not in (None, Trigger.CRON):
        return "run_by_trigger"
    if wanted.worker is not None:
        return "run_by_worker"
    return "run_by_state" if wanted.trigger is None else "run_by_trigger"


def running_by_worker(database: Database) -> dict[str, int]:
    """How many runs go on, by worker, as the record knows it (`run_by_state`)."""

    def work() -> dict[str, int]:
        hint = database.is_mariadb
        run = Run.alias("run")
        query = run.select(run.worker, SQL("COUNT(*)"))
        if hint:
            query = query.from_(SQL("`run` AS `run` FORCE INDEX (`run_by_state`)"))
        counted: Any = (
            query.where(run.state == RunState.RUNNING.value, run.worker.is_null(False))
            .group_by(run.worker)
            .tuples()
        )
        return dict(counted)

    return database.read(work)
