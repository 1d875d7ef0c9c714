"""What stands in the coordination service of a world, and a removal as the API does it."""

from __future__ import annotations

from dcron_app.api import places
from dcron_app.api.announce import write_fences
from dcron_common import paths
from dcron_common.db import histories, jobs, run_reads
from dcron_common.ledger import Standing, ledger
from dcron_common.paths import Slot
from dcron_common.protocol import Fence
from tests.in_process.world import START, Node, World


def fence(world: World, slot: Slot) -> Fence:
    return Fence.decode(world.app.get(paths.fence(slot)).data)


def claims(world: World) -> list[str]:
    """All that stand, of all workers."""
    names = world.app.children(paths.RUNS)
    return [claim for name in names for claim in world.app.children(paths.runs(name))]


def holder_of(world: World, job: int) -> Node:
    (name,) = world.holders(job)
    return world.nodes[name]


def remove(world: World, job: int) -> None:
    """As the API does it."""
    row, _ = jobs.remove_job(world.database, job, world.time.now, "admin")
    write_fences(world.app, row)


def unaccounted(world: World, job_id: int, deadline: int = 600) -> list[int]:
    """Due minutes of a job, counted from START, that lack a row, and should have it by now. Of a
    job on all: of each worker that had its place, and, if it has it still, is there."""
    row = jobs.get_job(world.database, job_id)
    assert row is not None
    online = world.app.children(paths.WORKERS)
    there = [name for name in online if world.app.exists(paths.registration(name))]
    found = places.on_all(world.app, row)
    spans = histories.histories(world.database, [job_id])[job_id]
    rows = run_reads.runs_of(world.database, job_id, 5000)
    now = world.time.now
    owing = {name: place for name, place in found.items() if name in there}
    entries = ledger(spans, rows, START, int(now), now, deadline, places=owing)
    late = {one.scheduled_at for one in entries if one.outcome is Standing.UNACCOUNTED}
    return [(minute - START) // 60 for minute in sorted(late)]
