"""What the leader knows: jobs from the database, fences and assignments from ZooKeeper.

Read whole at an election and at every comparison, kept in step by the leader's own writes in
between. Whatever is stale here makes a version check fail, never a wrong write.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from dcron_common import paths
from dcron_common.coordinator.contract import Coordinator
from dcron_common.job import Spec
from dcron_common.paths import Slot
from dcron_common.protocol import Fence, Registration


@dataclass(slots=True)
class Wanted:
    """A job as the database has it."""

    spec: Spec
    removed: bool


@dataclass(slots=True)
class View:
    """`fences` with their versions; `assigned`: (worker, revision) pairs of each slot."""

    jobs: dict[int, Wanted] = field(default_factory=dict)
    fences: dict[Slot, tuple[Fence, int]] = field(default_factory=dict)
    assigned: dict[Slot, set[tuple[str, int]]] = field(default_factory=dict)
    workers: dict[str, Registration] = field(default_factory=dict)
    drained: set[str] = field(default_factory=set)
    absent_since: dict[str, float] = field(default_factory=dict)  # boot seconds


def read_fences(coordinator: Coordinator) -> dict[Slot, tuple[Fence, int]]:
    """All fences."""
    slots: list[Slot] = []
    for names in coordinator.children_many(paths.fence_shards()):
        slots += [Slot.parse(name) for name in names or []]
    nodes = coordinator.get_many([paths.fence(slot) for slot in slots])
    return {
        slot: (Fence.decode(node.data), node.stat.version)
        for slot, node in zip(slots, nodes, strict=True)
        if node is not None
    }


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
    """All registrations."""
    names = coordinator.children(paths.WORKERS)
    nodes = coordinator.get_many([paths.worker(name) for name in names])
    return {
        name: Registration.decode(node.data)
        for name, node in zip(names, nodes, strict=True)
        if node is not None
    }
