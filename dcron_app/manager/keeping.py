"""Which runs of a job have had their time. Pure.

A run goes for its age or because enough newer ones are there, but never

- while it runs, or its claim or task is still there: what follows it may need it;
- at or above the mark of its job's fence, where minutes are still to be accounted for (P7);
- of the newest closed minute of its job on its node: a lost fence goes on from there (P8).

The last two are about due minutes only. A job that has no row any more needs nothing of its past:
of such a job only what runs is kept.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from dcron_app.manager.view import View
from dcron_common.db.old_runs import OldRun
from dcron_common.run import CRON, RunState, cron_key

Open = tuple[str, str]  # a claim's key and its slot's node


@dataclass(frozen=True, slots=True)
class Held:
    """What the leader knew of ZooKeeper when a round began; marks only rise, so that to know them
    late keeps more. `marks`: the lowest of each job's fences. `unsure`: jobs whose fence cannot be
    read: nothing of them goes."""

    marks: Mapping[int, int] = field(default_factory=dict)
    open: Mapping[int, Collection[Open]] = field(default_factory=dict)
    unsure: frozenset[int] = frozenset()

    @classmethod
    def of(cls, view: View) -> Held:
        """As the leader sees it now."""
        marks, _ = view.marks_and_revisions()
        found: dict[int, set[Open]] = {}
        for name in (*view.claims, *view.tasks, *view.kills):
            found.setdefault(name.slot.job_id, set()).add((name.key, name.slot.node))
        for slot, known in view.fences.items():
            if known.fence.active is not None:
                found.setdefault(slot.job_id, set()).add((known.fence.active, slot.node))
        return cls(marks, found, frozenset(slot.job_id for slot in view.unreadable))


@dataclass(frozen=True, slots=True)
class Bounds:
    """Of one job. A run may go if it ended before `ended_before` (epoch seconds; None: not for its
    age) or was due before the minute `due_before` (None: not for its number)."""

    ended_before: float | None
    due_before: int | None

    @property
    def until(self) -> int:
        """No run of this minute or a later one may go."""
        return max(int(self.ended_before or 0), self.due_before or 0)

    def allow(self, row: OldRun) -> bool:
        """Whether age or number let it go."""
        if self.due_before is not None and row.scheduled_at < self.due_before:
            return True
        ended = max(row.finished_at or 0.0, float(row.scheduled_at))
        return self.ended_before is not None and ended < self.ended_before


class Sieve:
    """Takes a job's runs in their order, oldest first, and gives those that go.

    Of each node the newest minute that was seen is held back until a newer one is seen.
    `orphaned`: the job has no row any more.
    """

    def __init__(
        self,
        bounds: Bounds,
        mark: int | None,
        open_: Collection[Open],
        *,
        orphaned: bool = False,
    ) -> None:
        self._bounds = bounds
        self._mark = mark
        self._open = open_
        self._orphaned = orphaned
        self._newest: dict[str, tuple[int, list[OldRun]]] = {}

    def pass_through(self, rows: Iterable[OldRun]) -> list[OldRun]:
        """Those of these rows, and of those before, that go now."""
        gone: list[OldRun] = []
        for row in rows:
            goes = self._may_go(row)
            if self._orphaned or not row.closes:
                gone += [row] if goes else []
                continue
            minute, waiting = self._newest.get(row.node, (row.scheduled_at, []))
            if minute < row.scheduled_at:
                gone += waiting
                waiting = []
            self._newest[row.node] = (row.scheduled_at, [*waiting, row] if goes else waiting)
        return gone

    @property
    def waiting(self) -> set[str]:
        """Nodes of which something is held back."""
        return {node for node, (_, rows) in self._newest.items() if rows}

    def rest(self, later: Collection[str]) -> list[OldRun]:
        """What was held back of nodes that are known to have a later minute."""
        return [row for node, (_, rows) in self._newest.items() if node in later for row in rows]

    def _may_go(self, row: OldRun) -> bool:
        if row.state is RunState.RUNNING or not self._bounds.allow(row):
            return False
        if row.closes and self._mark is not None and row.scheduled_at >= self._mark:
            return False
        key = cron_key(row.scheduled_at) if row.kind == CRON else row.kind
        # An isolated launch's row has a node, the slot of its job need not.
        return (key, row.node) not in self._open and (key, "") not in self._open


def outputs_of(rows: Sequence[OldRun]) -> list[tuple[str, str]]:
    """(worker, run id) of the whole outputs that go with these rows."""
    return [
        (row.worker, row.run_id)
        for row in rows
        if row.has_output and row.worker is not None and row.state is not RunState.MISSED
    ]
