"""Launches without a claim: `on_isolation: run` jobs of a worker that is cut off (P9).

Such a job wants to run rather twice than never. Once the lease has passed without a word from
ZooKeeper, its due minutes are launched on the strength of the last that was known: this worker
was the holder. The launcher's journal keeps each launch, `unclaimed_closing` what never comes to
it. The node's name is part of a row's identity, and the row says `isolated`, so that a double shows
as two rows.

When ZooKeeper is back, a worker that is still the holder writes the mark up to which it launched
(P1), before it claims anything; where the job stands elsewhere by now, the new holder accounts
for itself. An isolated run is not retried, and not resumed if its host is lost.

Called from the daemon's thread only. A daemon that is restarted while it is cut off starts
nothing until ZooKeeper is back: it does not know its assignments.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace

from dcron_common.clock import Clock
from dcron_common.job import OnIsolation
from dcron_common.paths import Slot
from dcron_common.protocol import Claim, Fence
from dcron_common.run import RunRecord, RunState, Trigger, cron_key, scheduled_at
from dcron_worker.book import Book, Held, OpenClaim
from dcron_worker.claims import Claims
from dcron_worker.decide import ON_TIME, REPLACED, Decision, decide
from dcron_worker.notes import Notes
from dcron_worker.preparing import Preparing
from dcron_worker.report import Outcome
from dcron_worker.runner.client import Known, Runner
from dcron_worker.runner.model import Ended, Launch, Started
from dcron_worker.unclaimed import Run
from dcron_worker.unclaimed_closing import UnclaimedClosing
from dcron_worker.unclaimed_starting import UnclaimedStarting

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Due:
    """What is to be done about one job: `closed` its minutes without a start, `launched` the row of
    the one that starts. `since`: the mark that it was decided on."""

    slot: Slot
    held: Held
    since: int
    run: Run
    closed: Sequence[RunRecord]
    launched: RunRecord | None

    @property
    def rows(self) -> list[RunRecord]:
        return [*self.closed, *([self.launched] if self.launched else [])]


class Isolation:
    """What was launched without a claim. `report` takes rows, and the run ids whose outcome is to
    be `told`; `has_ended` says whether the end of a claimed run is known here that could not be
    written to its claim yet; `hide`: see `Vault.hide`."""

    def __init__(
        self,
        *,
        book: Book,
        notes: Notes,
        runner: Runner,
        report: Callable[[Sequence[RunRecord], Sequence[str]], None],
        preparing: Preparing,
        has_ended: Callable[[str], bool],
        hide: Callable[[Ended, Collection[str] | None], Ended],
        clock: Clock,
        new_id: Callable[[], str],
    ) -> None:
        self._book = book
        self._runner = runner
        self._report = report
        self._has_ended = has_ended
        self._hide = hide
        self._clock = clock
        self._new_id = new_id
        self._runs = book.unclaimed.runs
        self._closing = UnclaimedClosing(book, notes, report, clock)
        self._starting = UnclaimedStarting(
            book, runner, preparing=preparing, clock=clock, ended=self.ended
        )

    def knows(self, run_id: str) -> bool:
        """Whether the run was launched without a claim."""
        return run_id in self._runs

    # -- cut off

    def fire(self) -> None:
        """Launch what is due of `run` jobs."""
        self._starting.try_again()
        now = self._clock.wall()
        due: dict[int, _Due] = {}
        for slot, held in self._book.held.items():
            if held.spec.on_isolation is not OnIsolation.RUN or slot.job_id in due:
                continue
            fence = self._as_far_as_known(slot, held)
            decision = decide(held.spec, held.schedule, fence, self._book.worker, now)
            if decision is None:
                continue
            if decision.replaces is None:
                due[slot.job_id] = self._prepared(slot, held, fence.mark, decision, now)
            elif not self.replace(slot, decision.replaces):
                self._replace_claimed(slot, decision.replaces)
        self._carry_out(list(due.values()), now)
        self._starting.hand_over()

    def _as_far_as_known(self, slot: Slot, held: Held) -> Fence:
        """As all decisions see it; a claim holds the job only while its process lives here."""
        fence = self._book.unclaimed.seen(slot, held.fence)
        if fence.active is None or self._book.unclaimed.alive(slot.job_id) is not None:
            return fence
        for run_id, opened in self._book.claims.items():
            if (opened.slot, opened.key) == (slot, fence.active):
                claim = opened.claim
                over = claim.result is not None or claim.not_before is not None
                if not over and not self._has_ended(run_id):
                    return fence
        return replace(fence, active=None)

    def _prepared(self, slot: Slot, held: Held, since: int, decision: Decision, now: float) -> _Due:
        run = Run(slot.job_id, cron_key(decision.minute), held.fence.epoch)
        missed, passed = RunState.MISSED, decision.passed_over
        rows = [self._closed(run, m, missed, decision.passed_reason, now) for m in passed]
        if decision.outcome is None:
            return _Due(slot, held, since, run, rows, self._row(self._new_id(), run))
        minute, outcome = decision.minute, decision.outcome
        rows.append(self._closed(run, minute, outcome, decision.reason, now))
        return _Due(slot, held, since, run, rows, None)

    def _carry_out(self, due: Sequence[_Due], now: float) -> None:
        """Note all first: from then on it is told whatever becomes of this daemon."""
        if not self._closing.note([row for one in due for row in one.rows]):
            return
        for one in due:
            slot, key = one.slot, one.run.key
            self._book.unclaimed.reach(slot.job_id, one.since, scheduled_at(key))
            if one.launched is not None:
                run_id = one.launched.run_id
                self._runs[run_id] = one.run
                log.warning("job=%s run=%s key=%s launched without a claim", slot, run_id, key)
                self._starting.begin(self._unclaimed(slot, one.held, run_id, key, now))
            self._closing.close(one.closed)

    def _closed(
        self, run: Run, minute: int, state: RunState, reason: str | None, now: float
    ) -> RunRecord:
        row = self._row(self._new_id(), replace(run, key=cron_key(minute)))
        return replace(row, state=state, finished_at=now, reason=reason)

    def _unclaimed(self, slot: Slot, held: Held, run_id: str, key: str, now: float) -> OpenClaim:
        claim = Claim(
            run_id=run_id,
            nonce="",
            worker=self._book.worker,
            epoch=held.fence.epoch,
            revision=held.spec.revision,
            attempt=1,
            trigger=Trigger.CRON,
            claimed_at=now,
        )
        return OpenClaim(slot, key, "", held.spec, claim, 0, owned=False)

    def replace(self, slot: Slot, key: str) -> bool:
        """Have an isolated run ended for a later one of its job (P11); False if there is none."""
        wanted = (slot.job_id, key)
        return self._end(i for i, run in self._runs.items() if (run.job_id, run.key) == wanted)

    def _replace_claimed(self, slot: Slot, key: str) -> None:
        claims = self._book.claims.items()
        self._end(run_id for run_id, one in claims if (one.slot, one.key) == (slot, key))

    def _end(self, run_ids: Iterable[str]) -> bool:
        found = list(run_ids)
        for run_id in found:
            self._runner.kill(run_id, REPLACED)
        return bool(found)

    def stop(self, run_id: str, reason: str) -> bool:
        """Have a run ended on request, or its wait for its file; it may be said again and again.
        False if there is none, or it is over. LaunchError."""
        run = self._runs.get(run_id)
        if run is None or not run.alive:
            return False
        end = self._starting.withdraw(run_id, reason)
        if end is not None:
            self.ended(end)
        else:
            self._runner.kill(run_id, reason)
        return True

    def ready(self, found: Launch | Ended) -> None:
        """A launch waits for the launcher, or could not be made."""
        self._starting.ready(found)

    # -- what became of them

    def started(self, event: Started) -> None:
        """Report that it runs."""
        row = self._row(event.run_id, self._runs[event.run_id])
        self._report([replace(row, started_at=event.started_at)], ())

    def ended(self, event: Ended) -> None:
        """Report its end; the launcher, or a note of what it never got, keeps it until it is
        recorded and accounted for."""
        waited = self._starting.forget(event.run_id)
        run = self._runs[event.run_id]
        if run.told:
            return
        run.alive = False
        event = self._hide(event, self._secrets_of(run.job_id))
        row = replace(
            self._row(event.run_id, run),
            state=RunState(event.state),
            started_at=event.started_at,
            finished_at=event.finished_at,
            exit_code=event.exit_code,
            signal=event.signal,
            reason=event.reason,
            output_tail=event.output_tail,
        )
        if waited:
            self._closing.note_end(row)
        self._report([row], [event.run_id])

    def _secrets_of(self, job_id: int) -> tuple[str, ...] | None:
        """What the job names; None where it does not stand here any more."""
        specs = [held.spec for slot, held in self._book.held.items() if slot.job_id == job_id]
        return specs[0].secrets if specs else None

    def told(self, outcome: Outcome) -> Outcome:
        """The record has ends of ours, or refuses them for good; what is left is of others."""
        others = []
        for run_id in outcome.run_ids:
            if run_id in self._runs:
                self._runs[run_id].told = True
            elif not self._closing.told(run_id):
                others.append(run_id)
        return replace(outcome, run_ids=tuple(others))

    def _row(self, run_id: str, run: Run) -> RunRecord:
        minute = scheduled_at(run.key)
        late = self._clock.wall() - minute > ON_TIME
        return RunRecord(
            run_id=run_id,
            job_id=run.job_id,
            scheduled_at=minute,
            attempt=1,
            trigger=Trigger.CATCH_UP if late else Trigger.CRON,
            state=RunState.RUNNING,
            node=self._book.worker,
            worker=self._book.worker,
            epoch=run.epoch,
            isolated=True,
        )

    # -- back again

    def adopt(self, alive: Known) -> None:
        """After a restart of the daemon: what the launcher's journal and the notes have of them."""
        for run_id, (launch, _, end) in alive.items():
            if not launch.isolated:
                continue
            if run_id not in self._runs:
                self._runs[run_id] = Run(launch.job_id, launch.key, launch.epoch, end is None)
                minute = scheduled_at(launch.key)
                self._book.unclaimed.reach(launch.job_id, minute - 60, minute)
                if end is not None:
                    self.ended(end)
        self._closing.go_on(alive)

    def flush(self, claims: Claims) -> None:
        """Write up to which minute was launched, where this worker is the holder still; then let
        go of what is recorded. ConnectionLost or LaunchError: at the next look."""
        unclaimed = self._book.unclaimed
        slots = {slot.job_id: slot for slot in self._book.held}
        for job_id, mark in list(unclaimed.marks.items()):
            slot = slots.get(job_id)
            held = self._book.mine(slot) if slot is not None else None
            if slot is None or held is None or held.fence.mark >= mark:
                unclaimed.flushed(job_id)
            elif claims.move_mark(slot, mark):
                log.info("job=%s was launched without claims through %d", slot, mark)
                unclaimed.flushed(job_id)
        self._starting.go_on(claims)
        done = [
            run_id
            for run_id, run in self._runs.items()
            if run.told and run.job_id not in unclaimed.marks
        ]
        if not self._closing.forget([*done, *self._closing.accounted()]):
            return
        self._runner.acknowledge(done)
        for run_id in done:
            del self._runs[run_id]
