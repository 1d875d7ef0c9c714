"""Claims that their worker cannot close: it is gone, or its job stands elsewhere by now.

What goes on becomes a task of the slot's present holder, in the transaction that removes the
claim; its earlier attempts travel with it until they are recorded. What is over is first closed
in the claim itself, then recorded, then removed: a leader that dies in between is followed by one
that finds the claim and goes on (P4, P6, P12, P14).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from dcron_app.manager.view import Known, Name, View, reread
from dcron_common import paths, records
from dcron_common.attempts import next_attempt
from dcron_common.coordinator.contract import (
    Check,
    Coordinator,
    Create,
    Delete,
    Node,
    Operation,
    Set,
    shared_with,
)
from dcron_common.errors import ConnectionLost, CoordinatorError, DatabaseUnavailable, NoNode
from dcron_common.job import Concurrency
from dcron_common.protocol import Claim, Kill, Result, Task
from dcron_common.run import RunRecord, RunState, Trigger

log = logging.getLogger(__name__)


class Closing:
    """One pass over some claims. `write` records rows in the database; `now`: epoch seconds.

    `trouble`: why what needed the database was left for the next pass, if it was.
    """

    def __init__(
        self,
        coordinator: Coordinator,
        view: View,
        proof: Check,
        write: Callable[[Sequence[RunRecord]], None],
        now: float,
    ) -> None:
        self._coordinator = coordinator
        self._view = view
        self._proof = proof
        self._write = write
        self._now = now
        self.trouble: DatabaseUnavailable | None = None

    def close(self, names: Sequence[Name], lost: Collection[str]) -> None:
        """Look at claims of workers that are `lost`, and of others whose slot has moved on."""
        nodes = self._coordinator.get_many([_path(name) for name in names])
        for name, node in zip(names, nodes, strict=True):
            if node is not None and name not in self._view.aside:
                self._alone(name, partial(self._close, name, node, name.worker in lost))

    def _alone(self, name: Name, work: Callable[[], None]) -> None:
        """What is wrong with one claim or task hinders no other (P13)."""
        try:
            work()
        except ConnectionLost:
            raise
        except DatabaseUnavailable as error:
            self.trouble = error
        except CoordinatorError as error:
            log.info("job=%s key=%s is closed later: %s", name.slot, name.key, error)
        except Exception:  # whatever is wrong is wrong with this item alone (P13)
            log.exception(
                "job=%s key=%s of worker=%s is set aside", name.slot, name.key, name.worker
            )
            self._view.aside.add(name)

    def _close(self, name: Name, node: Node, lost: bool) -> None:
        claim = Claim.decode(node.data)
        released = claim.result is not None or claim.not_before is not None
        if not released and not lost:
            return  # its process may be alive: it is its worker's until it has ended
        if lost and self._coordinator.exists(paths.registration(name.worker)) is not None:
            return  # it is back: it may go on with what it has
        known = reread(self._coordinator, self._view, name.slot)
        if known is not None and known.fence.holder == name.worker and not lost:
            return  # it has become the holder again
        # After the fence: whoever asks for the run's end writes it.
        kill = self._kill(name, claim)
        task = None if kill else self._task(name, claim, known)
        if task is not None:
            self._hand_on(name, node, known, task)
        elif kill is None and self._next(name, claim) is not None:
            return  # nobody can have it now: it will be a task as soon as somebody has the job
        elif claim.result is not None:
            self._remove(name, node, claim, known)
        else:
            self._end(name, node, claim, known, kill)

    def _kill(self, name: Name, claim: Claim) -> Kill | None:
        """Whether somebody asked for the end of this run, and its worker has not heeded it."""
        try:
            node = self._coordinator.get(paths.kill(name.worker, name.slot, name.key))
        except NoNode:
            return None
        kill = Kill.decode(node.data)
        return kill if kill.means(claim.run_id, claim.ended) else None

    def _next(self, name: Name, claim: Claim) -> float | None:
        """When the run's next attempt may start, None if there is none."""
        job = self._view.jobs.get(name.slot.job_id)
        if job is None or job.removed or name.slot.node or not job.wants(name.slot):
            return None  # what runs on every node is not taken over by another
        if claim.closed:
            return None
        if claim.result is None and claim.not_before is not None:
            return claim.not_before
        state = claim.result.state if claim.result else RunState.LOST
        return next_attempt(job.spec, claim, state, self._now, 0.0)

    def _task(self, name: Name, claim: Claim, known: Known | None) -> Task | None:
        start_at = self._next(name, claim)
        if start_at is None or known is None or known.fence.state == "removed":
            return None
        if known.fence.holder is None or known.fence.holder not in self._view.workers:
            return None
        inherited: dict[str, Any] = {
            "epoch": known.fence.epoch,
            "not_before": start_at,
            "passed_over": claim.passed_over,
            "passed_reason": claim.passed_reason,
            "arguments": claim.arguments,
            "run_as": claim.run_as,
            "secrets": claim.secrets,
        }
        if claim.result is None and claim.not_before is not None:
            return Task(
                claim.trigger,
                claim.attempt,
                resumes=claim.resumes,
                ended=claim.ended,
                **inherited,
            )
        result = claim.result or self._lost(name)
        again = result.state.is_loss
        return Task(
            Trigger.RESUME if again else Trigger.RETRY,
            claim.attempt + 1,
            resumes=claim.resumes + again,
            ended=claim.with_ended(claim.as_ended(result)),
            **inherited,
        )

    def _lost(self, name: Name) -> Result:
        return Result(
            RunState.LOST,
            None,
            self._now,
            reason=f"worker {name.worker} was lost while it had this run; "
            "whether the process had begun or ended cannot be told",
        )

    def _hand_on(self, name: Name, node: Node, known: Known | None, task: Task) -> None:
        if known is None or known.fence.holder is None:
            return
        fence = known.fence
        if self._view.jobs[name.slot.job_id].spec.concurrency is not Concurrency.ALLOW:
            if fence.active not in (None, name.key):
                return  # another run has the job: this one goes on after it
            fence = replace(fence, active=name.key)
        goal = paths.task(fence.holder or "", name.slot, name.key)
        access = shared_with(fence.holder or "", "r")
        self._commit(
            name,
            [
                Set(paths.fence(name.slot), fence.encode(), known.version),
                *self._without_owner(name),
                Delete(_path(name), node.stat.version),
                Create(goal, task.encode(), access=access),
            ],
        )
        log.warning(
            "job=%s key=%s of worker=%s: attempt %d goes on on worker=%s",
            name.slot,
            name.key,
            name.worker,
            task.attempt,
            fence.holder,
        )

    def _end(
        self, name: Name, node: Node, claim: Claim, known: Known | None, kill: Kill | None
    ) -> None:
        """Close it for good, in the claim; the next scan records and removes it."""
        last = claim.ended[-1] if claim.ended else None
        if kill is not None:
            closed = replace(claim, not_before=None, result=self._killed(name, claim, kill))
        elif name.slot.node:
            closed = replace(claim, not_before=None, result=self._given_up(name, claim))
        elif claim.not_before is not None and last is not None:
            # The attempt before has its end already; this one will never begin.
            closed = replace(
                claim,
                not_before=None,
                result=last.result,
                run_id=last.run_id,
                attempt=last.attempt,
                trigger=last.trigger,
            )
        else:
            closed = replace(claim, not_before=None, result=self._lost(name))
        self._commit(
            name,
            [
                *_freed(name, known),
                *self._without_owner(name),
                Set(_path(name), closed.encode(), node.stat.version),
            ],
        )
        log.warning("job=%s key=%s of worker=%s is closed", name.slot, name.key, name.worker)

    def _given_up(self, name: Name, claim: Claim) -> Result:
        """The end of a run of a job on all, which no other worker takes over. An attempt that
        waited has a row of its own: that of the one before is written."""
        why = f"no attempt follows: worker {name.worker}, which alone could make it, was away"
        lost = self._lost(name)
        begun = claim.not_before is None
        return replace(lost, reason=f"{lost.reason}; {why}" if begun else f"not started, and {why}")

    def _killed(self, name: Name, claim: Claim, kill: Kill) -> Result:
        """The end that was asked for, where the worker cannot say any more how it came."""
        reason = kill.reason
        if claim.not_before is None:
            reason += f"; {self._lost(name).reason}"
        return Result(RunState.KILLED, None, self._now, reason=reason)

    def _remove(self, name: Name, node: Node, claim: Claim, known: Known | None) -> None:
        self._record(records.rows(name.slot, name.key, claim))
        self._commit(
            name,
            [
                *_freed(name, known),
                *self._without_owner(name),
                Delete(_path(name), node.stat.version),
            ],
        )

    def _record(self, rows: Sequence[RunRecord]) -> None:
        """Write rows; once the database did not answer it is not asked again in this pass."""
        if self.trouble is not None:
            raise self.trouble
        self._write(rows)

    def _without_owner(self, name: Name) -> list[Operation]:
        owner = paths.owner(_path(name))
        return [Delete(owner)] if self._coordinator.exists(owner) is not None else []

    def _commit(self, name: Name, operations: Sequence[Operation]) -> None:
        self._coordinator.commit([self._proof, *operations])
        reread(self._coordinator, self._view, name.slot)

    # -- tasks

    def move_tasks(self, names: Sequence[Name]) -> None:
        """Tasks of workers that do not hold their slot any more go to the one that does."""
        for name in names:
            if name not in self._view.aside:
                self._alone(name, partial(self._move_task, name))

    def _move_task(self, name: Name) -> None:
        path = paths.task(name.worker, name.slot, name.key)
        node = self._coordinator.get(path)
        known = reread(self._coordinator, self._view, name.slot)
        job = self._view.jobs.get(name.slot.job_id)
        if known is None or known.fence.state == "removed" or job is None or job.removed:
            task = Task.decode(node.data)
            self._record(records.of_task(name.slot, name.key, task, self._now))
            self._commit(name, [*_freed(name, known), Delete(path, node.stat.version)])
            return
        holder = known.fence.holder
        if holder is None or holder == name.worker or holder not in self._view.workers:
            return
        goal = paths.task(holder, name.slot, name.key)
        access = shared_with(holder, "r")
        self._commit(
            name,
            [
                # Whoever asks for the run's end meanwhile writes the fence too, and looks again.
                Set(paths.fence(name.slot), known.fence.encode(), known.version),
                Delete(path, node.stat.version),
                Create(goal, node.data, access=access),
                *self._request_moved(name, holder),
            ],
        )

    def _request_moved(self, name: Name, holder: str) -> list[Operation]:
        """A request to end what a task asks for goes with it."""
        path = paths.kill(name.worker, name.slot, name.key)
        try:
            node = self._coordinator.get(path)
        except NoNode:
            return []
        goal = paths.kill(holder, name.slot, name.key)
        access = shared_with(holder, "r")
        return [Delete(path, node.stat.version), Create(goal, node.data, access=access)]


def _path(name: Name) -> str:
    return paths.claim(name.worker, name.slot, name.key)


def _freed(name: Name, known: Known | None) -> list[Operation]:
    """The fence's write that belongs to the end of a run; it has none if the fence is gone."""
    if known is None:
        return []
    fence = known.fence
    if fence.active == name.key:
        fence = replace(fence, active=None)
    return [Set(paths.fence(name.slot), fence.encode(), known.version)]
