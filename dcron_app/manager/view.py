"""What the leader knows: jobs from the database, the rest from ZooKeeper.

Jobs, fences and assignments are read whole at an election and at every comparison, and kept in
step by the leader's own writes in between; names of claims and tasks are read at every scan.
Whatever is stale here makes a version check fail, never a wrong write.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from dcron_common import paths
from dcron_common.coordinator.contract import Coordinator, Node
from dcron_common.db.workers import Settings
from dcron_common.errors import ConnectionLost, CoordinatorError, NoNode
from dcron_common.history import Span, due
from dcron_common.job import Spec
from dcron_common.paths import Edition, Slot
from dcron_common.protocol import Fence, Registration

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A job as the database has it. `over`: removed, or a one-shot that has had its time.

    `fenced` is the highest revision that the job's fences showed before the row was read: the API
    writes the database first, so a fence at that revision is no proof that the row is old. (It
    may have been put back from a backup.) `unfenced`: the job had no fence then; `closed`: of such
    a job the newest minute in the record by node (empty for a job on one).
    `beyond`: spans of its history with open minutes that are too many for its workers; the leader
    closes these minutes before any worker has the job. `edition`: of `spec`.
    """

    spec: Spec
    over: bool = False
    removed: bool = False
    fenced: int = 0
    unfenced: bool = False
    closed: Mapping[str, int] = field(default_factory=dict)
    beyond: tuple[Span, ...] = ()
    edition: Edition = field(init=False)

    def __post_init__(self) -> None:
        # Once, since it is asked for at every look at every slot.
        edition = Edition(self.spec.revision, self.spec.digest())
        object.__setattr__(self, "edition", edition)

    @property
    def waiting(self) -> tuple[Span, ...]:
        """Earlier spans of which something may still be told, oldest first."""
        return (*self.beyond, *self.spec.earlier)

    @property
    def placed_from(self) -> int:
        """The first minute of its present placement of which something may still be told."""
        first = self.spec.effective_from
        for span in reversed(self.waiting):
            if span.on != self.spec.placement.on:
                break
            first = min(first, span.valid_from)
        return first

    def left_to(self, slot: Slot, spans: Sequence[Span], mark: int) -> list[Span]:
        """Those of these spans of which a place that is closed has to tell: what was due above its
        mark until the job wanted others, or wants it again."""
        kind = "all" if slot.node else "one"
        until = self.wanted_otherwise(slot, mark)
        if self.wants(slot) and not self.removed:
            until = self.placed_from if until is None else min(until, self.placed_from)
        return [
            span
            for span in spans
            if span.on in (None, kind) and (until is None or span.valid_from < until)
        ]

    def wanted_otherwise(self, slot: Slot, mark: int) -> int | None:
        """The first minute above `mark` for which the job wanted no such places, as far as
        something may still be told of it."""
        kind = "all" if slot.node else "one"
        starts = [
            max(span.valid_from, mark + 60)
            for span in self.waiting
            if span.on not in (None, kind) and (span.valid_to or 0) > mark + 60
        ]
        if not (starts or self.wants(slot) or self.removed):
            starts = [self.placed_from]
        return min(starts, default=None)

    def is_behind(self, fence: Fence) -> bool:
        """Whether the API has written a revision that was not read yet (P15)."""
        same = fence.incarnation == self.spec.incarnation
        return same and fence.revision > max(self.spec.revision, self.fenced)

    def is_open_beyond(self, mark: int) -> bool:
        """Whether there are minutes above `mark` that are the leader's to close."""
        return any(due([span], mark, span.valid_to or 0, 1) for span in self.beyond)

    def wants(self, slot: Slot) -> bool:
        """Whether the job's placement has such places at all: one, or one on each worker."""
        return bool(slot.node) == (self.spec.placement.on == "all")


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
    """`assigned`: (worker, edition) pairs of each slot. `claims`, `tasks`, `kills`: as last
    scanned.

    `said`: what people say of workers. `unread`: jobs that got a fence since they were read, or
    one that was opened again; the API may have changed one before it had a fence to write.
    `places`: which worker the job's row names, None for none. `aside`: claims and tasks that
    cannot be closed; they are tried again after the next comparison.
    `untold`: since when (epoch seconds) minutes of a slot are overdue of which its holder may have
    to tell yet that it launched them while it was cut off.
    `upheld`: marks ahead of time that the record bears out.
    `unsettled`: removed jobs of which a due minute may still lack its row.
    `unreadable`: slots whose fence is there and says nothing; they are left alone until somebody
    has put it right or removed it.
    """

    jobs: dict[int, Wanted] = field(default_factory=dict)
    fences: dict[Slot, Known] = field(default_factory=dict)
    assigned: dict[Slot, set[tuple[str, Edition]]] = field(default_factory=dict)
    workers: dict[str, Registration] = field(default_factory=dict)
    said: Settings = field(default_factory=Settings)
    absent_since: dict[str, float] = field(default_factory=dict)  # boot seconds
    claims: list[Name] = field(default_factory=list)
    tasks: list[Name] = field(default_factory=list)
    kills: list[Name] = field(default_factory=list)
    places: dict[int, str | None] = field(default_factory=dict)
    aside: set[Name] = field(default_factory=set)
    untold: dict[Slot, float] = field(default_factory=dict)
    unread: set[int] = field(default_factory=set)
    upheld: dict[Slot, int] = field(default_factory=dict)
    unsettled: set[int] = field(default_factory=set)
    unreadable: set[Slot] = field(default_factory=set)

    def fence(self, slot: Slot) -> Fence | None:
        """The slot's fence, if there is one."""
        known = self.fences.get(slot)
        return known.fence if known else None

    def marks_and_revisions(self) -> tuple[dict[int, int], dict[int, int]]:
        """The lowest mark and the highest revision of each job's fences."""
        marks: dict[int, int] = {}
        revisions: dict[int, int] = {}
        for slot, known in self.fences.items():
            job_id, fence = slot.job_id, known.fence
            marks[job_id] = min(fence.mark, marks.get(job_id, fence.mark))
            revisions[job_id] = max(fence.revision, revisions.get(job_id, 0))
        return marks, revisions

    def open_slots(self) -> set[Slot]:
        """Slots of which a run is under way or asked for."""
        active = {s for s, known in self.fences.items() if known.fence.active is not None}
        return active | {name.slot for name in (*self.claims, *self.tasks)}


def read_fences(coordinator: Coordinator) -> tuple[dict[Slot, Known], set[Slot]]:
    """All fences, and the slots of those that cannot be read."""
    slots: list[Slot] = []
    for names in coordinator.children_many(paths.fence_shards()):
        slots += [Slot.parse(name) for name in names or []]
    nodes = coordinator.get_many([paths.fence(slot) for slot in slots])
    found: dict[Slot, Known] = {}
    unreadable: set[Slot] = set()
    for slot, node in zip(slots, nodes, strict=True):
        if node is None:
            continue
        try:
            found[slot] = _known(node)
        except CoordinatorError:
            log.exception("job=%s its fence cannot be read and is left alone", slot)
            unreadable.add(slot)
    return found, unreadable


def reread(coordinator: Coordinator, view: View, slot: Slot) -> Known | None:
    """Bring the view of one slot's fence up to date, and return it; None if there is none.
    CoordinatorError: it cannot be read, and the view says so."""
    try:
        node = coordinator.get(paths.fence(slot))
    except NoNode:
        node = None
    view.fences.pop(slot, None)
    view.unreadable.discard(slot)
    if node is None:
        return None
    try:
        known = _known(node)
    except CoordinatorError:
        view.unreadable.add(slot)
        raise
    view.fences[slot] = known
    return known


def refresh(coordinator: Coordinator, view: View, slot: Slot) -> Known | None:
    """As `reread`, where a fence that cannot be read is as good as none: it hinders no other."""
    try:
        return reread(coordinator, view, slot)
    except ConnectionLost:
        raise
    except CoordinatorError as error:
        log.error("job=%s its fence cannot be read and is left alone: %s", slot, error)
        return None


def _known(node: Node) -> Known:
    return Known(Fence.decode(node.data), node.stat.version, node.stat.access_version)


def read_assigned(coordinator: Coordinator) -> dict[Slot, set[tuple[str, Edition]]]:
    """All assignments, those of workers that are gone too."""
    workers = coordinator.children(paths.ASSIGNMENTS)
    assigned: dict[Slot, set[tuple[str, Edition]]] = {}
    lists = coordinator.children_many([paths.assignments(worker) for worker in workers])
    for worker, names in zip(workers, lists, strict=True):
        for name in names or []:
            slot, edition = paths.assignment_parts(name)
            assigned.setdefault(slot, set()).add((worker, edition))
    return assigned


def read_workers(coordinator: Coordinator) -> dict[str, Registration]:
    """All registrations; one that cannot be read, or is of another name, counts as none: its
    worker gets no jobs."""
    names = coordinator.children(paths.WORKERS)
    nodes = coordinator.get_many([paths.registration(name) for name in names])
    found: dict[str, Registration] = {}
    for name, node in zip(names, nodes, strict=True):
        if node is None:
            continue
        try:
            registration = Registration.decode(node.data)
            if registration.worker != name:
                raise CoordinatorError(f"it says {registration.worker!a}")
        except CoordinatorError as error:
            log.error("worker=%s its registration cannot be read: %s", name, error)
        else:
            found[name] = registration
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
