"""Due against done: every minute a job was due, and what became of it (P8). Pure.

What was due comes from the job's history, a span for each schedule it has had; what was done from
its runs. A minute without a row is `pending` while it may still start, and `unaccounted` after:
nothing should stay so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from dcron_common.run import RunRecord, RunState
from dcron_common.schedule import parse

# Seconds beyond the starting deadline in which a start or its row may still come: a lease, a
# takeover and the way to the database.
SETTLING = 120


class Standing(StrEnum):
    """Of a minute without a row."""

    PENDING = "pending"
    UNACCOUNTED = "unaccounted"


@dataclass(frozen=True, slots=True)
class Span:
    """Minutes from `valid_from` to before `valid_to` (None: it goes on), epoch seconds."""

    schedule: str
    timezone: str
    state: str
    valid_from: int
    valid_to: int | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """A due minute. `outcome` is the state of its newest attempt, or a Standing; `attempts` 0
    means that nothing was started or recorded."""

    scheduled_at: int
    outcome: RunState | Standing
    attempts: int
    reason: str | None = None
    run_id: str | None = None
    worker: str | None = None


def due(spans: Iterable[Span], after: int, until: int) -> list[int]:
    """Minutes in (after, until] at which the spans fire, ascending. ScheduleError: a stored
    schedule cannot be read."""
    minutes: set[int] = set()
    for span in spans:
        if span.state != "active":
            continue
        low = max(after, span.valid_from - 60)
        high = until if span.valid_to is None else min(until, span.valid_to - 60)
        if low < high:
            minutes.update(parse(span.schedule, span.timezone).due(low, high))
    return sorted(minutes)


def ledger(
    spans: Iterable[Span],
    runs: Sequence[RunRecord],
    after: int,
    until: int,
    now: float,
    deadline: int,
) -> Iterator[Entry]:
    """Every due minute in (after, until], oldest first; one entry a node for jobs on all nodes.

    `deadline`: the job's starting deadline in seconds.
    """
    by_minute: dict[int, dict[str, list[RunRecord]]] = {}
    for run in runs:
        if run.kind == "cron":
            by_minute.setdefault(run.scheduled_at, {}).setdefault(run.node, []).append(run)
    for minute in due(spans, after, until):
        nodes = by_minute.get(minute)
        if nodes is None:
            waits = now < minute + deadline + SETTLING
            yield Entry(minute, Standing.PENDING if waits else Standing.UNACCOUNTED, 0)
            continue
        for _, attempts in sorted(nodes.items()):
            newest = max(attempts, key=lambda one: one.attempt)
            yield Entry(
                minute,
                newest.state,
                len(attempts),
                newest.reason,
                newest.run_id,
                newest.worker,
            )
