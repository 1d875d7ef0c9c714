"""Claims: the transactions by which a worker takes, gives up and ends runs (P1, P2, P3, P6, P12).

Every transaction of a holder writes the job's fence at the version the decision was made on. If
that version is gone, the fence is read again and the decision is made anew; a lost answer is
resolved by reading the claim and looking for one's own nonce. A worker that is not the holder any
more only writes a run's result into its own claim: the leader closes it (`dcron_app.manager`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from dcron_common import paths
from dcron_common.clock import Clock
from dcron_common.coordinator.contract import (
    Coordinator,
    Create,
    Delete,
    Operation,
    Set,
    Stat,
    shared_with,
)
from dcron_common.errors import BadVersion, ConnectionLost, CoordinatorError, NoNode
from dcron_common.job import Concurrency
from dcron_common.paths import Slot
from dcron_common.protocol import Claim, Fence, Result, Task
from dcron_common.run import Trigger, cron_key
from dcron_worker.book import Book, Held, OpenClaim
from dcron_worker.decide import ON_TIME, Decision

log = logging.getLogger(__name__)

BATCH = 30  # claims of three operations each: a transaction has at most 100


@dataclass(slots=True)
class Wanted:
    """One claim to make: the operations that make it, and what the book says afterwards."""

    held: Held
    opened: OpenClaim
    fence: Fence
    operations: tuple[Operation, ...]


class Claims:
    """Makes and ends claims for one worker; keeps `book` in step with what was committed."""

    def __init__(
        self, coordinator: Coordinator, book: Book, clock: Clock, new_id: Callable[[], str]
    ) -> None:
        self._worker = book.worker
        self._access = shared_with(book.worker, "rwcd")
        self._coordinator = coordinator
        self._book = book
        self._clock = clock
        self._new_id = new_id

    def take_due(self, decisions: Sequence[tuple[Slot, Decision]]) -> list[OpenClaim]:
        """Claim due minutes; returns the claims that were made, to be launched or recorded."""
        return self._take([self._for_minute(slot, decision) for slot, decision in decisions])

    def take_task(self, slot: Slot, key: str, task: Task) -> OpenClaim | None:
        """Claim what the leader asked for; the task goes in the same transaction."""
        held = self._book.may_start(slot)
        if held is None or _taken_by_another(held, key):
            return None
        claim = replace(
            self._claim(held, task.trigger, task.attempt),
            resumes=task.resumes,
            not_before=task.not_before,
            ended=task.ended,
            passed_over=task.passed_over,
            passed_reason=task.passed_reason,
        )
        wanted = self._want(slot, held, key, claim, mark=held.fence.mark)
        gone = Delete(paths.task(self._worker, slot, key))
        wanted.operations = (*wanted.operations, gone)
        taken = self._take([wanted])
        return taken[0] if taken else None

    def take_again(self, opened: OpenClaim) -> bool:
        """Own an open claim again: a due retry, or a process found alive by a new session."""
        held = self._book.mine(opened.slot)
        if held is None or _taken_by_another(held, opened.key):
            return False
        claim = replace(opened.claim, nonce=self._new_id(), not_before=None)
        fence = held.fence
        if opened.claim.not_before is not None:
            # It starts now, by the right and the spec of now.
            claim = replace(claim, epoch=fence.epoch, revision=held.spec.revision)
        if held.spec.concurrency is not Concurrency.ALLOW:
            fence = replace(fence, active=opened.key)
        owner = paths.owner(opened.path)
        earlier = self._coordinator.exists(owner)
        operations: tuple[Operation, ...] = (
            Set(paths.fence(opened.slot), fence.encode(), held.fence_version),
            Set(opened.path, claim.encode(), opened.version),
            *([Delete(owner)] if earlier else []),
            Create(owner, ephemeral=True, access=self._access),
        )
        changed = replace(opened, claim=claim, owned=True)
        return bool(self._take([Wanted(held, changed, fence, operations)]))

    def finish(self, opened: OpenClaim, result: Result, retry_at: float | None) -> bool:
        """Write how a run ended, free the job, drop the owner: one transaction (P6).

        With `retry_at` the claim goes on as the next attempt, and the job stays taken. False:
        not done, try again after the next look.
        """
        held = self._book.mine(opened.slot)
        claim = replace(opened.claim, result=result, not_before=None, closed=held is not None)
        if retry_at is not None:
            claim = self._next(opened.claim, result, retry_at)
        operations: list[Operation] = [Set(opened.path, claim.encode(), opened.version)]
        fence = held.fence if held else None
        if held and fence:
            if fence.active == opened.key and retry_at is None:
                fence = replace(fence, active=None)
            operations.append(Set(paths.fence(opened.slot), fence.encode(), held.fence_version))
        if opened.owned:
            operations.append(Delete(paths.owner(opened.path)))
        results = self._commit(opened, claim, operations)
        if results is None:
            return False
        self._book.claims.pop(opened.claim.run_id, None)
        opened.claim, opened.owned = claim, False
        opened.version = _version(results[0])
        self._book.claims[claim.run_id] = opened
        if held and fence and len(results) > 1 and isinstance(results[1], Stat):
            held.fence, held.fence_version = fence, results[1].version
        return True

    def _next(self, claim: Claim, result: Result, retry_at: float) -> Claim:
        """The claim as its next attempt, with this one's end in it until that is recorded."""
        return replace(
            claim,
            result=None,
            run_id=self._new_id(),
            attempt=claim.attempt + 1,
            resumes=claim.resumes + (result.state.is_loss),
            trigger=Trigger.RESUME if result.state.is_loss else Trigger.RETRY,
            not_before=retry_at,
            ended=claim.with_ended(claim.as_ended(result)),
        )

    def _commit(
        self, opened: OpenClaim, claim: Claim, operations: list[Operation]
    ) -> Sequence[object] | None:
        """The results, None where it was not done. What is stale is read again."""
        try:
            return self._coordinator.commit(operations)
        except ConnectionLost:
            if not self._is_stored(opened.path, claim):
                return None
            self.refresh([opened.slot])
            return [self._coordinator.exists(opened.path)]
        except CoordinatorError as error:
            log.info("job=%s key=%s finish is tried again: %s", opened.slot, opened.key, error)
            self.refresh([opened.slot])
            return None

    def drop(self, opened: OpenClaim) -> None:
        """Remove a claim whose record the database has."""
        try:
            self._coordinator.delete(opened.path, opened.version)
        except NoNode:
            log.debug("claim %s was gone already", opened.path)
        self._book.claims.pop(opened.claim.run_id, None)

    def refresh(self, slots: Sequence[Slot]) -> None:
        """Read fences again; a slot whose fence is gone is no longer held."""
        nodes = self._coordinator.get_many([paths.fence(slot) for slot in slots])
        for slot, node in zip(slots, nodes, strict=True):
            held = self._book.held.get(slot)
            if held is None:
                continue
            if node is None:
                del self._book.held[slot]
                continue
            held.fence, held.fence_version = Fence.decode(node.data), node.stat.version

    def _for_minute(self, slot: Slot, decision: Decision) -> Wanted:
        held = self._book.held[slot]
        late = self._clock.wall() - decision.minute > ON_TIME
        claim = self._claim(held, Trigger.CATCH_UP if late else Trigger.CRON, 1)
        claim = replace(
            claim,
            passed_over=list(decision.passed_over),
            passed_reason=decision.passed_reason,
        )
        if decision.outcome is not None:
            result = Result(decision.outcome, None, self._clock.wall(), reason=decision.reason)
            claim = replace(claim, result=result, closed=True)
        return self._want(slot, held, cron_key(decision.minute), claim, mark=decision.minute)

    def _claim(self, held: Held, trigger: Trigger, attempt: int) -> Claim:
        return Claim(
            run_id=self._new_id(),
            nonce=self._new_id(),
            worker=self._worker,
            epoch=held.fence.epoch,
            revision=held.spec.revision,
            attempt=attempt,
            trigger=trigger,
            claimed_at=self._clock.wall(),
        )

    def _want(self, slot: Slot, held: Held, key: str, claim: Claim, *, mark: int) -> Wanted:
        fence = replace(held.fence, mark=max(mark, held.fence.mark))
        runs = claim.result is None
        if runs and held.spec.concurrency is not Concurrency.ALLOW:
            fence = replace(fence, active=key)
        owned = runs and claim.not_before is None
        path = paths.claim(self._worker, slot, key)
        operations: list[Operation] = [
            Set(paths.fence(slot), fence.encode(), held.fence_version),
            Create(path, claim.encode(), access=self._access),
        ]
        if owned:
            operations.append(Create(paths.owner(path), ephemeral=True, access=self._access))
        opened = OpenClaim(slot, key, path, held.spec, claim, 0, owned=owned)
        return Wanted(held, opened, fence, tuple(operations))

    def _take(self, wanted: list[Wanted]) -> list[OpenClaim]:
        """Commit in batches; where one member spoils a batch, its others go one by one.

        What was taken is returned whatever happens to the rest: it has to be begun.
        """
        batches = [wanted[i : i + BATCH] for i in range(0, len(wanted), BATCH)]
        outcomes = self._coordinator.commit_many(
            [[op for one in batch for op in one.operations] for batch in batches]
        )
        taken: list[OpenClaim] = []
        stale: list[Slot] = []
        for batch, outcome in zip(batches, outcomes, strict=True):
            if not isinstance(outcome, CoordinatorError):
                stats = iter(outcome)
                for one in batch:
                    taken.append(self._note(one, [next(stats) for _ in one.operations]))
            elif isinstance(outcome, ConnectionLost):
                taken += [one.opened for one in batch if self._was_done(one)]
            elif len(batch) > 1:
                for one in batch:
                    taken += self._take([one])
            else:
                log.info("job=%s not claimed: %s", batch[0].opened.slot, outcome)
                stale.append(batch[0].opened.slot)
        if stale:
            self._refresh_or_wait(stale)
        return taken

    def _refresh_or_wait(self, slots: Sequence[Slot]) -> None:
        try:
            self.refresh(slots)
        except ConnectionLost as error:
            # their versions go on failing until a later refresh has come through
            log.info("%d fences are read later: %s", len(slots), error)

    def _note(self, one: Wanted, results: Sequence[object]) -> OpenClaim:
        one.held.fence = one.fence
        one.held.fence_version = _version(results[0])
        if isinstance(results[1], Stat):
            one.opened.version = results[1].version
        self._book.claims[one.opened.claim.run_id] = one.opened
        return one.opened

    def _was_done(self, one: Wanted) -> bool:
        """After a lost answer: our nonce, owned by our session, means that it is ours (P3)."""
        session = self._coordinator.session_id
        try:
            self._coordinator.sync()
            node = self._coordinator.get(one.opened.path)
            owner = self._coordinator.exists(paths.owner(one.opened.path))
            self.refresh([one.opened.slot])
        except (ConnectionLost, NoNode):
            return False  # the next look finds the claim, if there is one
        if Claim.decode(node.data).nonce != one.opened.claim.nonce:
            return False
        one.opened.version = node.stat.version
        if one.opened.owned and (owner is None or owner.ephemeral_owner != session):
            return False  # a new session: the next look gives it back unlaunched
        self._book.claims[one.opened.claim.run_id] = one.opened
        return True

    def _is_stored(self, path: str, claim: Claim) -> bool:
        try:
            self._coordinator.sync()
            return self._coordinator.get(path).data == claim.encode()
        except CoordinatorError:
            return False


def _taken_by_another(held: Held, key: str) -> bool:
    """Whether another run has the job, which allows one at a time (P11)."""
    return held.spec.concurrency is not Concurrency.ALLOW and held.fence.active not in (None, key)


def _version(result: object) -> int:
    if not isinstance(result, Stat):
        raise BadVersion("the service answered a write without a version")
    return result.version
