"""Sees who has the places of jobs on all, and holds the record to it.

It goes by fences as they stood from look to look, so it knows what neither the record nor the
fences say later: that a worker had a place which it has given up, or has anew.
"""

from __future__ import annotations

from dcron_app.manager.view import read_fences
from dcron_common import paths
from dcron_common.db import histories, run_reads
from dcron_common.history import due
from dcron_common.paths import Slot
from dcron_common.protocol import REMOVED
from dcron_common.run import key_minute
from tests.in_process.world import World


class Witness:
    """Looks whenever it is told to; the more often, the more it knows."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._had: dict[tuple[Slot, int], tuple[int, int]] = {}
        self._have: set[tuple[Slot, int]] = set()

    def look(self) -> None:
        """Note who has which place, and, if it is new, where it begins."""
        now = int(self._world.time.now)
        fences, _ = read_fences(self._world.app)
        self._have = set()
        for slot, known in fences.items():
            fence = known.fence
            if slot.node and fence.holder == slot.node and fence.state != REMOVED:
                key = (slot, fence.epoch)
                since, _ = self._had.get(key, (fence.mark, 0))
                self._had[key] = (since, now)
                self._have.add(key)

    def untold(self) -> list[tuple[Slot, int]]:
        """(place, minute) of what was due on all while a worker had the place, which it has no
        more, and of which there is neither a row nor a claim."""
        found: set[tuple[Slot, int]] = set()
        for (slot, _), (since, until) in self._had.items():
            spans = histories.spans_of(self._world.database, slot.job_id)
            everywhere = [span for span in spans if span.on == "all"]
            found |= {(slot, minute) for minute in due(everywhere, since, until)}
        for slot, epoch in self._have:
            since, _ = self._had[slot, epoch]
            found = {one for one in found if one[0] != slot or one[1] <= since}
        return sorted(found - self._told({slot.job_id for slot, _ in found}))

    def _told(self, jobs: set[int]) -> set[tuple[Slot, int]]:
        world = self._world
        told: set[tuple[Slot, int]] = set()
        for worker in world.app.children(paths.RUNS):
            for name in world.app.children(paths.runs(worker)):
                slot, key = paths.run_parts(name)
                told.add((slot, key_minute(key) or 0))
        for job in jobs:
            rows = run_reads.runs_between(world.database, job, 0, 2**40)
            told |= {(Slot(job, row.node), row.scheduled_at) for row in rows}
        return told
