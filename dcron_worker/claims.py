"""Claims: the transactions by which a worker takes runs (P1, P2, P3, P12).

Every transaction of a holder writes the job's fence at the version the decision was made on. If
that version is gone, the fence is read again and the decision is made anew; a lost answer is
resolved by reading the claim and looking for one's own nonce, or where that fails, too, or there
is another session by then, by taking the claim again. `endings` has how they go.
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
from dcron_common.run import MANUAL, RunState, Trigger, cron_key
from dcron_worker.book import Book, Held, OpenClaim
from dcron_worker.decide import ON_TIME, Decision
from dcron_worker.transactions import commit_each

log = logging.getLogger(__name__)

BATCH = 25  # claims of four operations at most: a transaction has at most 100


@dataclass(slots=True)
class Wanted:
    """One claim to make: the operations that make it, and what the book says afterwards.
    `begins`: whether its run has no process, and gets one then."""

    held: Held
    opened: OpenClaim
    fence: Fence
    operations: tuple[Operation, ...]
    begins: bool


class Claims:
    """Makes claims for one worker; keeps `book` in step with what was committed."""

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

    def take_task(
        self, slot: Slot, key: str, task: Task, ended: str | None = None
    ) -> OpenClaim | None:
        """Claim what was asked for; the task goes in the same transaction. `ended`: why it is over
        before it began."""
        for _ in range(2):  # who asked wrote the fence: the first try may be by an older version
            held = self._book.mine(slot) if ended else self._book.may_start(slot, key)
            if held is None or (ended is None and self._is_taken(held, key)):
                return None
            claim = self._for_task(held, key, task, ended)
            wanted = self._want(slot, held, key, claim, mark=held.fence.mark)
            gone = Delete(paths.task(self._worker, slot, key))
            wanted.operations = (*wanted.operations, gone)
            if taken := self._take([wanted]):
                return taken[0]
        return None

    def _for_task(self, held: Held, key: str, task: Task, ended: str | None) -> Claim:
        claim = replace(
            self._claim(held, task.trigger, task.attempt),
            resumes=task.resumes,
            not_before=task.not_before,
            ended=task.ended,
            passed_over=task.passed_over,
            passed_reason=task.passed_reason,
            arguments=task.arguments,
            run_as=task.run_as,
            secrets=task.secrets,
        )
        if task.trigger is Trigger.MANUAL:  # by the id that the user was told
            claim = replace(claim, run_id=key.removeprefix(MANUAL))
        if ended is not None:
            result = Result(RunState.KILLED, None, self._clock.wall(), reason=ended)
            claim = replace(claim, not_before=None, result=result, closed=True)
        return claim

    def take_again(self, claims: Sequence[OpenClaim]) -> list[OpenClaim]:
        """Own open claims again: due retries, runs that were never begun, or processes found alive
        by a new session."""
        ours = [(opened, self._book.mine(opened.slot)) for opened in claims]
        free = [(x, held) for x, held in ours if held and not self._keeps_from(x, held)]
        owners = self._coordinator.get_many([paths.owner(opened.path) for opened, _ in free])
        return self._take(
            [
                self._again(opened, held, owner is not None)
                for (opened, held), owner in zip(free, owners, strict=True)
            ]
        )

    def _keeps_from(self, opened: OpenClaim, held: Held) -> bool:
        if self._begins(opened):
            return self._is_taken(held, opened.key)
        return _taken_by_another(held, opened.key)  # its process lives, whatever else does

    def _begins(self, opened: OpenClaim) -> bool:
        return opened.claim.not_before is not None or opened.claim.run_id in self._book.unbegun

    def _is_taken(self, held: Held, key: str) -> bool:
        """Whether another run has the job, one without a claim too (P9, P11); of a job that allows
        overlap one of the same minute, which attempts are not to run beside (P12)."""
        forbids = held.spec.concurrency is not Concurrency.ALLOW
        of = None if forbids else key
        unclaimed = self._book.unclaimed.alive(held.spec.job_id, of) is not None
        return unclaimed or _taken_by_another(held, key)

    def _again(self, opened: OpenClaim, held: Held, has_owner: bool) -> Wanted:
        claim = replace(opened.claim, nonce=self._new_id(), not_before=None)
        fence, spec = held.fence, opened.spec
        begins = self._begins(opened)
        if begins:
            # It starts now, by the right and the spec of now.
            spec = held.spec
            claim = replace(claim, epoch=fence.epoch, revision=spec.revision)
        if held.spec.concurrency is not Concurrency.ALLOW:
            fence = replace(fence, active=opened.key)
        owner = paths.owner(opened.path)
        operations: tuple[Operation, ...] = (
            Set(paths.fence(opened.slot), fence.encode(), held.fence_version),
            Set(opened.path, claim.encode(), opened.version),
            *([Delete(owner)] if has_owner else []),
            Create(owner, ephemeral=True, access=self._access),
        )
        again = replace(opened, spec=spec, claim=claim, owned=True)
        return Wanted(held, again, fence, operations, begins)

    def move_mark(self, slot: Slot, mark: int) -> bool:
        """Say that minutes through `mark` were launched here without a claim (P9). False: the
        fence has changed and was read again. ConnectionLost."""
        held = self._book.held[slot]
        fence = replace(held.fence, mark=mark)
        try:
            stat = self._coordinator.set(paths.fence(slot), fence.encode(), held.fence_version)
        except (BadVersion, NoNode):
            self.refresh([slot])
            return False
        held.fence, held.fence_version = fence, stat.version
        return True

    def refresh(self, slots: Sequence[Slot]) -> None:
        """Read fences again; a slot whose fence is gone is no longer held."""
        self.read_fences(slots)

    def read_fences(self, slots: Sequence[Slot]) -> list[Fence | None]:
        """As `refresh`; what each fence says, of slots that are not held here too. None: it is
        gone."""
        found: list[Fence | None] = []
        nodes = self._coordinator.get_many([paths.fence(slot) for slot in slots])
        for slot, node in zip(slots, nodes, strict=True):
            fence = Fence.decode(node.data) if node is not None else None
            found.append(fence)
            held = self._book.held.get(slot)
            if held is None:
                continue
            if node is None or fence is None:
                del self._book.held[slot]
                continue
            held.fence, held.fence_version = fence, node.stat.version
        return found

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
        elif not runs and fence.active == key:
            fence = replace(fence, active=None)
        owned = runs and claim.not_before is None
        path = paths.claim(self._worker, slot, key)
        operations: list[Operation] = [
            Set(paths.fence(slot), fence.encode(), held.fence_version),
            Create(path, claim.encode(), access=self._access),
        ]
        if owned:
            operations.append(Create(paths.owner(path), ephemeral=True, access=self._access))
        opened = OpenClaim(slot, key, path, held.spec, claim, 0, owned=owned)
        return Wanted(held, opened, fence, tuple(operations), begins=owned)

    def _take(self, wanted: list[Wanted]) -> list[OpenClaim]:
        """What was taken is returned whatever happens to the rest: it has to be begun. Until then,
        and if it is not heard of, the book has it as `unbegun`."""
        new = {one.opened.claim.run_id for one in wanted if one.begins} - self._book.unbegun
        self._book.unbegun |= new
        members = [one.operations for one in wanted]
        taken: list[OpenClaim] = []
        stale: list[Slot] = []
        for one, outcome in zip(
            wanted, commit_each(self._coordinator, members, share=BATCH), strict=True
        ):
            if not isinstance(outcome, CoordinatorError):
                taken.append(self._note(one, outcome))
            elif isinstance(outcome, ConnectionLost):
                taken += [one.opened] if self._was_done(one) else []
            else:
                log.info("job=%s not claimed: %s", one.opened.slot, outcome)
                self._book.unbegun -= new & {one.opened.claim.run_id}
                stale.append(one.opened.slot)
            if isinstance(outcome, CoordinatorError):
                self._book.doubt(one.opened)
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
            return False  # the next look finds the claim, if there is one, and takes it again
        if Claim.decode(node.data).nonce != one.opened.claim.nonce:
            return False
        one.opened.version = node.stat.version
        if one.opened.owned and (owner is None or owner.ephemeral_owner != session):
            return False  # a new session: the same
        self._book.claims[one.opened.claim.run_id] = one.opened
        return True


def _taken_by_another(held: Held, key: str) -> bool:
    """Whether another run has the job, which allows one at a time (P11)."""
    return held.spec.concurrency is not Concurrency.ALLOW and held.fence.active not in (None, key)


def _version(result: object) -> int:
    if not isinstance(result, Stat):
        raise BadVersion("the service answered a write without a version")
    return result.version
