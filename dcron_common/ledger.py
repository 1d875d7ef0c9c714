"""Due against done: every minute a job was due, and what became of it (P8). Pure.

What was due comes from the job's history, a span for each schedule it has had; what was done from
its runs. A minute without a row is `pending` while it may still start, and `unaccounted` after:
nothing should stay so. Where retention has removed rows it is `expired`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from dcron_common.history import Span, due
from dcron_common.run import CRON, RESTORED, RunRecord, RunState

# Seconds beyond the starting deadline in which a start or its row may still come: a lease, a
# takeover and the way to the database.
SETTLING = 120


_EXPIRED = "its row has had its time and was removed"


class Standing(StrEnum):
    """Of a minute without a row."""

    PENDING = "pending"
    UNACCOUNTED = "unaccounted"
    EXPIRED = "expired"


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


def ledger(
    spans: Iterable[Span],
    runs: Sequence[RunRecord],
    after: int,
    until: int,
    now: float,
    deadline: int,
    removed_through: int = 0,
) -> Iterator[Entry]:
    """Every due minute in (after, until], oldest first; one entry a node for jobs on all nodes.

    `deadline`: the job's starting deadline in seconds. `removed_through`: rows of minutes up to
    this one may have been removed for their age or number.
    """
    by_minute: dict[int, dict[str, list[RunRecord]]] = {}
    gaps = [run for run in runs if run.kind == RESTORED]
    for run in runs:
        if run.kind == CRON:
            by_minute.setdefault(run.scheduled_at, {}).setdefault(run.node, []).append(run)
    for minute in due(spans, after, until):
        nodes = by_minute.get(minute)
        if nodes is None and (gap := _gap_over(minute, gaps, by_minute)):
            yield Entry(minute, gap.state, 0, gap.reason)
            continue
        if nodes is None and minute <= removed_through:
            yield Entry(minute, Standing.EXPIRED, 0, _EXPIRED)
            continue
        if nodes is None:
            waits = now < minute + deadline + SETTLING
            yield Entry(minute, Standing.PENDING if waits else Standing.UNACCOUNTED, 0)
            continue
        for attempts in _told(nodes):
            newest = max(attempts, key=lambda one: one.attempt)
            yield Entry(
                minute,
                newest.state,
                len(attempts),
                newest.reason,
                newest.run_id,
                newest.worker,
            )


def _gap_over(
    minute: int, gaps: Sequence[RunRecord], recorded: Mapping[int, object]
) -> RunRecord | None:
    """The gap that a restored backup left, if it covers the minute: from the last minute that the
    backup knows to the gap's own."""
    for gap in gaps:
        if minute <= gap.scheduled_at:
            between = any(minute < known <= gap.scheduled_at for known in recorded)
            return None if between else gap
    return None


def _told(nodes: Mapping[str, list[RunRecord]]) -> list[list[RunRecord]]:
    """The attempts to be shown of each node. A minute that was started on a node that was cut off
    is not missed because the others knew nothing of it; one that ran twice shows twice (P9)."""
    started = [runs for _, runs in sorted(nodes.items()) if any(map(_was_tried, runs))]
    if any(run.isolated for runs in started for run in runs):
        return started
    nobody = nodes.get("", [])
    if len(nodes) > 1 and not any(map(_was_tried, nobody)):
        # The leader's word for a job on all that stood nowhere; a worker has come back since.
        return [runs for node, runs in sorted(nodes.items()) if node]
    return [runs for _, runs in sorted(nodes.items())]


def _was_tried(run: RunRecord) -> bool:
    return run.state not in (RunState.MISSED, RunState.SKIPPED)
