"""Makes fences and assignments say what placement decided (P1, design of a move).

A move is one transaction: the leader's proof, the fence with a higher epoch and the new holder,
the old assignment out, the new one in. From then on the old holder's claims fail, whatever its
crontab still says.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace

from dcron_app.manager.view import View
from dcron_common import paths
from dcron_common.coordinator.contract import (
    ANYONE,
    APP,
    Access,
    Check,
    Coordinator,
    Create,
    Delete,
    Operation,
    Set,
    Stat,
    shared_with,
)
from dcron_common.errors import CoordinatorError, NoNode
from dcron_common.job import Spec
from dcron_common.paths import Slot
from dcron_common.protocol import Fence

log = logging.getLogger(__name__)

REMOVED = "removed"


@dataclass(frozen=True, slots=True)
class Change:
    """One slot's transaction, and what the view says after it."""

    slot: Slot
    operations: tuple[Operation, ...]
    fence: Fence
    assigned: frozenset[tuple[str, int]]
    access: Access | None  # to set before the fence is written, where the holder changes


def state_of(spec: Spec) -> str:
    return "paused" if spec.paused else "active"


def change_for(view: View, slot: Slot, spec: Spec | None, holder: str | None) -> Change | None:
    """What has to be written so that `slot` stands on `holder`; None when it does already.

    `spec` None: the job is removed.
    """
    known = view.fences.get(slot)
    assigned = view.assigned.get(slot, set())
    if spec is None:
        return _removal(slot, known, assigned)
    wanted = {(holder, spec.revision)} if holder else set()
    operations: list[Operation] = []
    if known is None:
        fence = Fence(
            spec.incarnation, 1, holder, spec.revision, state_of(spec), spec.effective_from - 60
        )
        operations.append(Create(paths.fence(slot), fence.encode(), access=_access(holder)))
        access = None
    else:
        before, version = known
        fence = _next(before, spec, holder)
        if fence == before and assigned == wanted:
            return None
        operations.append(Set(paths.fence(slot), fence.encode(), version))
        access = _access(holder) if before.holder != holder else None
    operations += [Delete(paths.assignment(w, slot, r)) for w, r in sorted(assigned - wanted)]
    operations += [
        Create(paths.assignment(w, slot, r), spec.encode(), access=shared_with(w, "r"))
        for w, r in sorted(wanted - assigned)
    ]
    return Change(slot, tuple(operations), fence, frozenset(wanted), access)


def _next(before: Fence, spec: Spec, holder: str | None) -> Fence:
    if before.incarnation != spec.incarnation:
        # A restored database gave this id to another job: what ran under the old one is fenced.
        return Fence(
            spec.incarnation,
            before.epoch + 1,
            holder,
            spec.revision,
            state_of(spec),
            spec.effective_from - 60,
        )
    epoch = before.epoch + (before.holder != holder)
    state = REMOVED if before.state == REMOVED else state_of(spec)
    return replace(before, epoch=epoch, holder=holder, revision=spec.revision, state=state)


def _removal(
    slot: Slot, known: tuple[Fence, int] | None, assigned: set[tuple[str, int]]
) -> Change | None:
    if known is None:
        return None
    before, version = known
    fence = replace(before, state=REMOVED, holder=None)
    if fence == before and not assigned:
        return None
    if before.holder is not None:
        fence = replace(fence, epoch=before.epoch + 1)
    operations: tuple[Operation, ...] = (
        Set(paths.fence(slot), fence.encode(), version),
        *(Delete(paths.assignment(w, slot, r)) for w, r in sorted(assigned)),
    )
    return Change(slot, operations, fence, frozenset(), _access(None))


def _access(holder: str | None) -> Access:
    """Only the holder may write a fence; any worker may read it, to see that it lost it."""
    mine = shared_with(holder, "rw") if holder else ((APP, "rwcda"),)
    return (*mine, (ANYONE, "r"))


def apply(
    coordinator: Coordinator, view: View, proof: Check, changes: list[Change]
) -> Mapping[Slot, str | None]:
    """Commit changes, many in flight; returns the holders of the slots that were written.

    A slot whose fence has moved on is read again and stays for the next pass.
    """
    for change in changes:
        if change.access is not None:
            try:
                coordinator.set_access(paths.fence(change.slot), change.access)
            except NoNode:
                log.info("job=%s its fence is gone; it is made at the next pass", change.slot)
    outcomes = coordinator.commit_many([[proof, *change.operations] for change in changes])
    done: dict[Slot, str | None] = {}
    for change, outcome in zip(changes, outcomes, strict=True):
        if isinstance(outcome, CoordinatorError):
            log.info("job=%s is decided again: %s", change.slot, outcome)
            reread(coordinator, view, change.slot)
            continue
        stat = outcome[1]
        view.fences[change.slot] = (change.fence, stat.version if isinstance(stat, Stat) else 0)
        view.assigned[change.slot] = set(change.assigned)
        done[change.slot] = change.fence.holder
        log.info(
            "job=%s holder=%s epoch=%d revision=%d %s",
            change.slot,
            change.fence.holder,
            change.fence.epoch,
            change.fence.revision,
            change.fence.state,
        )
    return done


def reread(coordinator: Coordinator, view: View, slot: Slot) -> None:
    """Bring the view of one slot's fence up to date."""
    try:
        node = coordinator.get(paths.fence(slot))
    except NoNode:
        view.fences.pop(slot, None)
        return
    view.fences[slot] = (Fence.decode(node.data), node.stat.version)
