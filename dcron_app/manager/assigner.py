"""Makes fences and assignments say what placement decided (P1, design of a move).

A move is one transaction: the leader's proof, the fence with a higher epoch and the new holder,
the old assignment out, the new one in. From then on the old holder's claims fail, whatever its
crontab still says.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

from dcron_app.manager.view import Known, View, Wanted, refresh
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
from dcron_common.paths import Edition, Slot
from dcron_common.protocol import REMOVED, Fence

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Change:
    """One slot's transaction, and what the view says after it."""

    slot: Slot
    operations: tuple[Operation, ...]
    before: Known | None
    fence: Fence
    assigned: frozenset[tuple[str, Edition]]

    @property
    def moves(self) -> bool:
        """Whether an existing fence gets another holder."""
        return self.before is not None and self.before.fence.holder != self.fence.holder

    @property
    def opens(self) -> bool:
        """Whether the API writes this fence only from now on: what it changed until now has to be
        read."""
        open_ = self.fence.state != REMOVED
        return open_ and not _is_written(self.before, self.fence.incarnation)


def _is_written(known: Known | None, incarnation: str) -> bool:
    """Whether the API writes this fence when the job is changed: not one that is closed, nor one
    of another job that had the number."""
    if known is None or known.fence.state == REMOVED:
        return False
    return known.fence.incarnation == incarnation


def state_of(spec: Spec) -> str:
    return "paused" if spec.paused else "active"


def change_for(
    view: View, slot: Slot, job: Wanted | None, holder: str | None, first: int = 0
) -> Change | None:
    """What has to be written so that `slot` stands on `holder`; None when it does already.

    `job` None: it is over, or has no such place any more, and the slot is closed until a later
    revision wants it. `holder` None: it waits. `first`: the lowest mark that it may have, if it
    opens (`opening`).
    """
    if slot in view.unreadable:
        return None
    known = view.fences.get(slot)
    assigned = view.assigned.get(slot, set())
    if job is None or not job.wants(slot):
        read = view.jobs.get(slot.job_id)
        if known is not None and read is not None and read.is_behind(known.fence):
            return None  # what the API has changed it to is read first
        return _removal(slot, known, assigned, read)
    spec = job.spec
    if known is None:
        fence = _first(job, holder, 1, first)
    else:
        fence = _next(known.fence, job, holder, first)
    # A slot without a fence that the API writes gets it first: a change that was made before has to
    # be read before any worker has the job (P15).
    open_ = _is_written(known, spec.incarnation) and fence.state != REMOVED
    open_ = open_ and not job.is_open_beyond(fence.mark)
    wanted = {(holder, job.edition)} if open_ and holder else set()
    if known is not None and fence == known.fence and assigned == wanted:
        return None
    operations: list[Operation] = [
        Create(paths.fence(slot), fence.encode(), access=_access(holder))
        if known is None
        else Set(paths.fence(slot), fence.encode(), known.version)
    ]
    operations += [Delete(paths.assignment(w, slot, e)) for w, e in sorted(assigned - wanted)]
    operations += [
        Create(paths.assignment(w, slot, e), spec.encode(), access=shared_with(w, "r"))
        for w, e in sorted(wanted - assigned)
    ]
    return Change(slot, tuple(operations), known, fence, frozenset(wanted))


def _first(job: Wanted, holder: str | None, epoch: int, mark: int) -> Fence:
    """The fence of a slot that has none."""
    spec = job.spec
    epoch = max(epoch, _least_epoch(spec))
    return Fence(spec.incarnation, epoch, holder, spec.revision, state_of(spec), mark)


def _least_epoch(spec: Spec) -> int:
    """Where epochs begin in a slot that a later revision opens (again): above all that the job can
    have had in other slots, or before the fence was forgotten. It moves less than once a minute."""
    return 1 if spec.revision == 1 else spec.effective_from // 60


def _next(before: Fence, job: Wanted, holder: str | None, first: int) -> Fence:
    spec = job.spec
    if before.incarnation != spec.incarnation:
        # A restored database gave this id to another job: what ran under the old one is fenced.
        return _first(job, holder, before.epoch + 1, job.placed_from - 60)
    epoch = before.epoch + (before.holder != holder)
    mark = max(before.mark, first)
    if not job.is_behind(before):
        if before.state == REMOVED:
            # The job did not stand on this slot for a while (on one worker, on all, on one again).
            epoch = max(epoch, _least_epoch(spec))
        return replace(
            before,
            epoch=epoch,
            holder=holder,
            revision=spec.revision,
            state=state_of(spec),
            mark=mark,
        )
    # What the API has written stands. The worker launches nothing by the spec that it gets now.
    if before.state == REMOVED:
        return replace(before, epoch=before.epoch + (before.holder is not None), holder=None)
    return replace(before, epoch=epoch, holder=holder, mark=mark)


def _removal(
    slot: Slot, known: Known | None, assigned: set[tuple[str, Edition]], read: Wanted | None
) -> Change | None:
    if known is None:
        return None
    before = known.fence
    epoch = before.epoch + (before.holder is not None)
    fence = replace(before, state=REMOVED, holder=None, epoch=epoch)
    if read is not None and read.removed and _is_written(known, read.spec.incarnation):
        # As the API would: that it was open until then says of which minutes it tells.
        fence = replace(fence, revision=read.spec.revision)
    if fence == before and not assigned:
        return None
    operations: tuple[Operation, ...] = (
        Set(paths.fence(slot), fence.encode(), known.version),
        *(Delete(paths.assignment(w, slot, e)) for w, e in sorted(assigned)),
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
            refresh(coordinator, view, change.slot)
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
        refresh(coordinator, view, slot)
        return False
    view.fences[slot] = replace(known, access_version=known.access_version + 1)
    return True
