"""Due against done: every minute a job was due, and what became of it (P8). Pure.

What was due comes from the job's history, a span for each schedule it has had; what was done from
its runs. A minute without a row is `pending` while it may still start, and `unaccounted` after:
nothing should stay so. Where retention has removed rows it is `expired`.

Of a job on all each worker that had its place at a minute owes a row. Who had it the epochs of rows
tell: while one lasts the place is that worker's and tells of everything, so what lies between two
rows of one epoch is owed. And fences tell: a place that is open now owes all that comes after its
mark.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from dcron_common.history import FOR_EVER, Span, due
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
    means that nothing was started or recorded. `worker` of a Standing: who owes the row, of a job
    on all."""

    scheduled_at: int
    outcome: RunState | Standing
    attempts: int
    reason: str | None = None
    run_id: str | None = None
    worker: str | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """A worker's place of a job on all that is open now, as its fence says: the worker has had it
    since `epoch`, and all is told there up to the minute `mark`."""

    epoch: int
    mark: int


_Rows = Mapping[str, list[RunRecord]]  # those of one minute, by node


def ledger(
    spans: Sequence[Span],
    runs: Sequence[RunRecord],
    after: int,
    until: int,
    now: float,
    deadline: int,
    removed_through: int = 0,
    places: Mapping[str, Place] = MappingProxyType({}),
) -> Iterator[Entry]:
    """Every due minute in (after, until], oldest first; one entry a node for jobs on all nodes.

    `deadline`: the job's starting deadline in seconds. `removed_through`: rows of minutes up to
    this one may have been removed for their age or number. `places`: by worker, read before `runs`
    were; none where they cannot be.
    """
    by_minute: dict[int, dict[str, list[RunRecord]]] = {}
    gaps = [run for run in runs if run.kind == RESTORED]
    for run in runs:
        if run.kind == CRON:
            by_minute.setdefault(run.scheduled_at, {}).setdefault(run.node, []).append(run)
    owed = _owed(spans, _had(runs, places), max(after, removed_through), until)
    for minute in due(spans, after, until):
        nodes = by_minute.get(minute, {})
        for attempts in _told(nodes):
            yield _entry(minute, attempts)
        waits = now < minute + deadline + SETTLING
        standing = Standing.PENDING if waits else Standing.UNACCOUNTED
        for node in _silent(nodes, owed.get(minute, frozenset())):
            if gap := _gap_over(minute, node, gaps, by_minute):
                yield Entry(minute, gap.state, 0, gap.reason, worker=node or None)
            elif minute <= removed_through:
                yield Entry(minute, Standing.EXPIRED, 0, _EXPIRED)
            else:
                yield Entry(minute, standing, 0, worker=node or None)


def _entry(minute: int, attempts: Sequence[RunRecord]) -> Entry:
    newest = max(attempts, key=lambda one: one.attempt)
    return Entry(minute, newest.state, len(attempts), newest.reason, newest.run_id, newest.worker)


def _silent(nodes: _Rows, owing: AbstractSet[str]) -> list[str]:
    """The nodes of which a row is missing; "" for a minute that has none at all, of nobody's. What
    the leader has said of a job on all that stood nowhere speaks for all of them."""
    if not nodes:
        return sorted(owing) or [""]
    return [] if nodes.keys() == {""} else sorted(owing - nodes.keys())


def _had(runs: Sequence[RunRecord], places: Mapping[str, Place]) -> list[tuple[str, int, int]]:
    """(worker, first minute, last minute): as long each surely had its place of a job on all."""
    found: dict[tuple[str, int], tuple[int, int]] = {}
    for run in runs:
        # A later attempt may be of a later epoch than its minute; a launch cut off is of none.
        if run.kind == CRON and run.node and run.epoch and run.attempt == 1 and not run.isolated:
            at = run.scheduled_at
            first, last = found.get((run.node, run.epoch), (at, at))
            found[run.node, run.epoch] = (min(first, at), max(last, at))
    for node, place in places.items():
        first, _ = found.get((node, place.epoch), (FOR_EVER, 0))
        found[node, place.epoch] = (min(first, place.mark + 60), FOR_EVER)
    return [(node, first, last) for (node, _), (first, last) in found.items()]


def _owed(
    spans: Sequence[Span], had: Sequence[tuple[str, int, int]], after: int, until: int
) -> dict[int, set[str]]:
    """Who owes a row of each minute that was due on all."""
    found: dict[int, set[str]] = {}
    minutes = due([span for span in spans if span.on == "all"], after, until) if had else []
    for node, first, last in had:
        for minute in minutes[bisect_left(minutes, first) : bisect_right(minutes, last)]:
            found.setdefault(minute, set()).add(node)
    return found


def _gap_over(
    minute: int, node: str, gaps: Sequence[RunRecord], recorded: Mapping[int, _Rows]
) -> RunRecord | None:
    """The gap that a restored backup left, if it covers the minute: from the last minute that the
    backup knows (of the node, if there is one) to the gap's own."""
    for gap in gaps:
        if minute <= gap.scheduled_at and (not node or gap.node in ("", node)):
            between = any(
                minute < known <= gap.scheduled_at and (not node or node in nodes)
                for known, nodes in recorded.items()
            )
            return None if between else gap
    return None


def _told(nodes: _Rows) -> list[list[RunRecord]]:
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
