"""Endings: the transactions by which a worker writes how its runs ended, and removes claims that
are recorded (P3, P6, P12).

Each run's end is a transaction of its own; many are in flight together. One that fails is decided
anew at a later pass, one whose answer was lost is resolved by reading the claim. A worker that is
not the holder any more only writes the result into its own claim: the leader closes it
(`dcron_app.manager`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from dcron_common import paths
from dcron_common.coordinator.contract import (
    Coordinator,
    Delete,
    Operation,
    OperationResult,
    Set,
    Stat,
)
from dcron_common.errors import ConnectionLost, CoordinatorError, NoNode, TransactionFailed
from dcron_common.paths import Slot
from dcron_common.protocol import Claim, Fence, Result
from dcron_common.run import Trigger
from dcron_worker.book import Book, Held, OpenClaim
from dcron_worker.transactions import commit_each

log = logging.getLogger(__name__)

_DROPS = 50  # claims removed by one transaction


@dataclass(frozen=True, slots=True)
class End:
    """How a run ended. With `retry_at` its claim goes on as the next attempt, and the job stays
    taken."""

    opened: OpenClaim
    result: Result
    retry_at: float | None


@dataclass(frozen=True, slots=True)
class _Written:
    """An end, and what stands in the service once it is written."""

    opened: OpenClaim
    claim: Claim
    held: Held | None
    fence: Fence | None
    operations: list[Operation]


class Endings:
    """Ends and drops the claims of one worker; keeps `book` in step with what was committed.
    `refresh` reads fences again."""

    def __init__(
        self,
        coordinator: Coordinator,
        book: Book,
        refresh: Callable[[Sequence[Slot]], None],
        new_id: Callable[[], str],
    ) -> None:
        self._coordinator = coordinator
        self._book = book
        self._refresh = refresh
        self._new_id = new_id

    def finish(self, ends: Sequence[End]) -> list[OpenClaim]:
        """Write ends, free the jobs, drop the owners: one transaction each (P6). Returns what was
        done; try the others again after the next look."""
        done: list[OpenClaim] = []
        left = list(ends)
        while left:
            # Two runs of one job would write its fence at the same version.
            first = {end.opened.slot: end for end in reversed(left)}
            now = [end for end in left if first[end.opened.slot] is end]
            left = [end for end in left if first[end.opened.slot] is not end]
            written = self._finish([self._written(end) for end in now])
            done += written
            # By a fence that has changed they have to be decided anew, like the first.
            failed = first.keys() - {opened.slot for opened in written}
            left = [end for end in left if end.opened.slot not in failed]
        return done

    def drop(self, claims: Sequence[OpenClaim]) -> None:
        """Remove claims whose record the database has; what fails stays in the book."""
        members = [[Delete(opened.path, opened.version)] for opened in claims]
        outcomes = commit_each(self._coordinator, members, share=_DROPS)
        for opened, outcome in zip(claims, outcomes, strict=True):
            if isinstance(outcome, CoordinatorError) and not _was_gone(outcome):
                log.info("claim %s is dropped later: %s", opened.path, outcome)
                self._book.doubt(opened)
            else:
                self._book.claims.pop(opened.claim.run_id, None)

    def _written(self, end: End) -> _Written:
        opened = end.opened
        held = self._book.mine(opened.slot)
        claim = replace(opened.claim, result=end.result, not_before=None, closed=held is not None)
        if end.retry_at is not None:
            claim = self._next(opened.claim, end.result, end.retry_at)
        operations: list[Operation] = [Set(opened.path, claim.encode(), opened.version)]
        fence = held.fence if held else None
        if held and fence:
            if fence.active == opened.key and end.retry_at is None:
                fence = replace(fence, active=None)
            operations.append(Set(paths.fence(opened.slot), fence.encode(), held.fence_version))
        if opened.owned:
            operations.append(Delete(paths.owner(opened.path)))
        return _Written(opened, claim, held, fence, operations)

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

    def _finish(self, written: list[_Written]) -> list[OpenClaim]:
        outcomes = commit_each(self._coordinator, [one.operations for one in written])
        done: list[OpenClaim] = []
        in_doubt: list[_Written] = []
        stale: list[Slot] = []
        for one, outcome in zip(written, outcomes, strict=True):
            if not isinstance(outcome, CoordinatorError):
                done.append(self._note(one, outcome))
                continue
            self._book.doubt(one.opened)
            if isinstance(outcome, ConnectionLost):
                in_doubt.append(one)
            else:
                log.info("job=%s finish is tried again: %s", one.opened.slot, outcome)
                stale.append(one.opened.slot)
        # What is done is told in any case: a connection that is lost now is met again soon.
        try:
            done += self._resolve(in_doubt)
            self._refresh(stale)
        except ConnectionLost as error:
            log.info("%d ends are looked at later: %s", len(in_doubt) + len(stale), error)
        return done

    def _note(self, one: _Written, results: list[OperationResult]) -> OpenClaim:
        versions = [result.version for result in results if isinstance(result, Stat)]
        self._enter(one, versions[0])
        if one.held and one.fence:
            one.held.fence, one.held.fence_version = one.fence, versions[1]
        return one.opened

    def _resolve(self, in_doubt: list[_Written]) -> list[OpenClaim]:
        """After a lost answer: what stands in the claim says whether it was done (P3)."""
        if not in_doubt:
            return []
        self._coordinator.sync()
        nodes = self._coordinator.get_many([one.opened.path for one in in_doubt])
        self._refresh([one.opened.slot for one in in_doubt])
        done: list[OpenClaim] = []
        for one, node in zip(in_doubt, nodes, strict=True):
            if node is not None and node.data == one.claim.encode():
                self._enter(one, node.stat.version)
                done.append(one.opened)
        return done

    def _enter(self, one: _Written, version: int) -> None:
        self._book.claims.pop(one.opened.claim.run_id, None)
        one.opened.claim, one.opened.owned, one.opened.version = one.claim, False, version
        self._book.claims[one.claim.run_id] = one.opened


def _was_gone(error: CoordinatorError) -> bool:
    return isinstance(error, NoNode) or (
        isinstance(error, TransactionFailed) and isinstance(error.cause, NoNode)
    )
