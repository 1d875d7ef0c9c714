"""Makes fences and assignments say what placement decided (P1, design of a move).

A move is one transaction: the leader's proof, the fence with a higher epoch and the new holder,
the old assignment out, the new one in. From then on the old holder's claims fail, whatever its
crontab still says.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

from dcron_app.manager.view import Known, View, Wanted, reread
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
from dcron_common.errors import BadVersion, CoordinatorError, NoNode
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
    before: Known | None
    fence: Fence
    assigned: frozenset[tuple[str, int]]

    @property
    def moves(self) -> bool:
        """Whether an existing fence gets another holder."""
        return self.before is not None and self.before.fence.holder != self.fence.holder


def state_of(spec: Spec) -> str:
    return "paused" if spec.paused else "active"


def change_for(view: View, slot: Slot, job: Wanted | None, holder: str | None) -> Change | None:
    """What has to be written so that `slot` stands on `holder`; None when it does already.

    `job` None: it is over, and the slot is closed for good. `holder` None: it waits.
    """
    known = view.fences.get(slot)
    assigned = view.assigned.get(slot, set())
    if job is None:
        return _removal(slot, known, assigned)
    spec = job.spec
    fence = _first(spec, holder) if known is None else _next(known.fence, spec, holder)
    open_ = fence.state != REMOVED and holder is not None
    wanted = {(holder, spec.revision)} if open_ and holder else set()
    if known is not None and fence == known.fence and assigned == wanted:
        return None
    operations: list[Operation] = [
        Create(paths.fence(slot), fence.encode(), access=_access(holder))
        if known is None
        else Set(paths.fence(slot), fence.encode(), known.version)
    ]
    # Of another incarnation an assignment of the same name says something else.
    same = known is None or known.fence.incarnation == spec.incarnation
    kept = wanted & assigned if same else set()
    operations += [Delete(paths.assignment(w, slot, r)) for w, r in sorted(assigned - kept)]
    operations += [
        Create(paths.assignment(w, slot, r), spec.encode(), access=shared_with(w, "r"))
        for w, r in sorted(wanted - kept)
    ]
    return Change(slot, tuple(operations), known, fence, frozenset(wanted))


def _first(spec: Spec, holder: str | None, epoch: int = 1) -> Fence:
    mark = spec.effective_from - 60
    return Fence(spec.incarnation, epoch, holder, spec.revision, state_of(spec), mark)


def _next(before: Fence, spec: Spec, holder: str | None) -> Fence:
    if before.incarnation != spec.incarnation:
        # A restored database gave this id to another job: what ran under the old one is fenced.
        return _first(spec, holder, before.epoch + 1)
    if before.state == REMOVED and before.revision >= spec.revision:
        # Removed by the API, at a revision that the leader has not read yet.
        return replace(before, epoch=before.epoch + (before.holder is not None), holder=None)
    epoch = before.epoch + (before.holder != holder)
    state = state_of(spec)
    return replace(before, epoch=epoch, holder=holder, revision=spec.revision, state=state)


def _removal(slot: Slot, known: Known | None, assigned: set[tuple[str, int]]) -> Change | None:
    if known is None:
        return None
    before = known.fence
    epoch = before.epoch + (before.holder is not None)
    fence = replace(before, state=REMOVED, holder=None, epoch=epoch)
    if fence == before and not assigned:
        return None
    operations: tuple[Operation, ...] = (
        Set(paths.fence(slot), fence.encode(), known.version),
        *(Delete(paths.assignment(w, slot, r)) for w, r in sorted(assigned)),
    )
    return Change(slot, operations, known, fence, frozenset())


def _access(*holders: str | None) -> Access:
    """Only holders may write a fence; any worker may read it, to see that it lost it."""
    mine = tuple((holder, "rw") for holder in dict.fromkeys(holders) if holder)
    return ((APP, "rwcda"), *mine, (ANYONE, "r"))


def apply(
    coordinator: Coordinator, view: View, proof: Check, changes: list[Change]
) -> Sequence[Slot]:
    """Commit changes, many in flight; returns the slots that were written.

    The access list cannot be part of the transaction. So the new holder gets its right before,
    the old one loses it after: whoever the fence names can always write it. A leader that was
    replaced meanwhile fails on the list's version. A slot whose fence has moved on is read again
    and stays for the next pass.
    """
    ready = [change for change in changes if not change.moves or _widen(coordinator, view, change)]
    outcomes = coordinator.commit_many([[proof, *change.operations] for change in ready])
    done: list[Slot] = []
    for change, outcome in zip(ready, outcomes, strict=True):
        if isinstance(outcome, CoordinatorError):
            log.info("job=%s is decided again: %s", change.slot, outcome)
            reread(coordinator, view, change.slot)
            continue
        _note(view, change, outcome[1])
        done.append(change.slot)
        if change.moves:
            _narrow(coordinator, view, change.slot)
        log.info(
            "job=%s holder=%s epoch=%d revision=%d %s",
            change.slot,
            change.fence.holder,
            change.fence.epoch,
            change.fence.revision,
            change.fence.state,
        )
    return done


def _note(view: View, change: Change, stat: object) -> None:
    version = stat.version if isinstance(stat, Stat) else 0
    access = view.fences[change.slot].access_version if change.before else 0
    view.fences[change.slot] = Known(change.fence, version, access)
    view.assigned[change.slot] = set(change.assigned)


def _widen(coordinator: Coordinator, view: View, change: Change) -> bool:
    """Give the new holder its right beside the old one; False if that was not done."""
    if change.before is None or change.fence.holder is None:
        return True
    access = _access(change.before.fence.holder, change.fence.holder)
    return _set_access(coordinator, view, change.slot, access)


def _narrow(coordinator: Coordinator, view: View, slot: Slot) -> None:
    """Take the old holder's right away. If it fails it stays until the slot moves again: the
    epoch fences that worker all the same."""
    fence = view.fence(slot)
    if fence is not None:
        _set_access(coordinator, view, slot, _access(fence.holder))


def _set_access(coordinator: Coordinator, view: View, slot: Slot, access: Access) -> bool:
    known = view.fences[slot]
    try:
        coordinator.set_access(paths.fence(slot), access, known.access_version)
    except (NoNode, BadVersion) as error:
        log.info("job=%s its fence is read again: %s", slot, error)
        reread(coordinator, view, slot)
        return False
    view.fences[slot] = replace(known, access_version=known.access_version + 1)
    return True
