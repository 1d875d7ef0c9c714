"""What the leader knows: jobs from the database, the rest from ZooKeeper.

Jobs, fences and assignments are read whole at an election and at every comparison, and kept in
step by the leader's own writes in between; names of claims and tasks are read at every scan.
Whatever is stale here makes a version check fail, never a wrong write.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

from dcron_common import paths
from dcron_common.coordinator.contract import Coordinator
from dcron_common.errors import CoordinatorError, NoNode
from dcron_common.job import Spec
from dcron_common.paths import Slot
from dcron_common.protocol import Fence, Registration

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A job as the database has it. `over`: removed, or a one-shot that has had its time."""

    spec: Spec
    over: bool = False
    removed: bool = False


@dataclass(frozen=True, slots=True)
class Known:
    """A fence as it was read: its version, and that of its access list."""

    fence: Fence
    version: int
    access_version: int


@dataclass(frozen=True, slots=True, order=True)
class Name:
    """A claim or a task: below which worker, of which slot, by which key."""

    worker: str
    slot: Slot
    key: str


@dataclass(slots=True)
class View:
    """`assigned`: (worker, revision) pairs of each slot. `claims`, `tasks`: as last scanned.

    `places`: which worker the job's row names, None for none. `aside`: claims and tasks that
    cannot be closed; they are tried again after the next comparison.
    """

    jobs: dict[int, Wanted] = field(default_factory=dict)
    fences: dict[Slot, Known] = field(default_factory=dict)
    assigned: dict[Slot, set[tuple[str, int]]] = field(default_factory=dict)
    workers: dict[str, Registration] = field(default_factory=dict)
    drained: set[str] = field(default_factory=set)
    absent_since: dict[str, float] = field(default_factory=dict)  # boot seconds
    claims: list[Name] = field(default_factory=list)
    tasks: list[Name] = field(default_factory=list)
    places: dict[int, str | None] = field(default_factory=dict)
    aside: set[Name] = field(default_factory=set)

    def fence(self, slot: Slot) -> Fence | None:
        """The slot's fence, if there is one."""
        known = self.fences.get(slot)
        return known.fence if known else None

    def open_slots(self) -> set[Slot]:
        """Slots of which a run is under way or asked for."""
        active = {s for s, known in self.fences.items() if known.fence.active is not None}
        return active | {name.slot for name in (*self.claims, *self.tasks)}


def read_fences(coordinator: Coordinator) -> dict[Slot, Known]:
    """All fences."""
    slots: list[Slot] = []
    for names in coordinator.children_many(paths.fence_shards()):
        slots += [Slot.parse(name) for name in names or []]
    nodes = coordinator.get_many([paths.fence(slot) for slot in slots])
    found: dict[Slot, Known] = {}
    for slot, node in zip(slots, nodes, strict=True):
        if node is None:
            continue
        try:
            fence = Fence.decode(node.data)
        except CoordinatorError:
            log.exception("job=%s its fence cannot be read and is left alone", slot)
            continue
        found[slot] = Known(fence, node.stat.version, node.stat.access_version)
    return found


def reread(coordinator: Coordinator, view: View, slot: Slot) -> Known | None:
    """Bring the view of one slot's fence up to date, and return it."""
    try:
        node = coordinator.get(paths.fence(slot))
    except NoNode:
        view.fences.pop(slot, None)
        return None
    known = Known(Fence.decode(node.data), node.stat.version, node.stat.access_version)
    view.fences[slot] = known
    return known


def read_assigned(coordinator: Coordinator) -> dict[Slot, set[tuple[str, int]]]:
    """All assignments, those of workers that are gone too."""
    workers = coordinator.children(paths.ASSIGNMENTS)
    assigned: dict[Slot, set[tuple[str, int]]] = {}
    lists = coordinator.children_many([paths.assignments(worker) for worker in workers])
    for worker, names in zip(workers, lists, strict=True):
        for name in names or []:
            slot, revision = paths.assignment_parts(name)
            assigned.setdefault(slot, set()).add((worker, revision))
    return assigned


def read_workers(coordinator: Coordinator) -> dict[str, Registration]:
    """All registrations; one that cannot be read counts as none: its worker gets no jobs."""
    names = coordinator.children(paths.WORKERS)
    nodes = coordinator.get_many([paths.worker(name) for name in names])
    found: dict[str, Registration] = {}
    for name, node in zip(names, nodes, strict=True):
        if node is None:
            continue
        try:
            found[name] = Registration.decode(node.data)
        except CoordinatorError as error:
            log.error("worker=%s its registration cannot be read: %s", name, error)
    return found


def read_names(
    coordinator: Coordinator, workers: Sequence[str], parents: Sequence[str]
) -> list[Name]:
    """What stands below these parents, one for each worker. A name that cannot be read was not
    made by this system and is left alone."""
    found: list[Name] = []
    for worker, names in zip(workers, coordinator.children_many(list(parents)), strict=True):
        for name in names or []:
            try:
                slot, key = paths.run_parts(name)
            except (CoordinatorError, ValueError):
                continue
            found.append(Name(worker, slot, key))
    return found
