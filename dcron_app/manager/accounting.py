"""Minutes that no worker will ever close (P7).

A job's holder accounts for it: it claims what is due, or closes it with the next minute. The
leader does so where nobody else will:

- no worker may have the job, or its holder stands still: once a minute's starting deadline has
  passed and any start or record of it must long have come; of an `on_isolation: run` job a little
  later, since its holder may have launched it while it was cut off;
- the job was changed so often since that its worker cannot be told of it: at once;
- the job was paused, removed or placed otherwise before the minute could start: at once, since
  its fence lets nobody start it any more. A place that is closed may be kept for long by a run: it
  tells only of what was due from its mark until the job wanted others. What came later is theirs.

It decides by writing: one transaction moves the fence's mark and makes a claim that is closed
already. From then on nobody can start these minutes, and since every claim writes the mark,
nobody has. The claim is recorded and removed like any other that its worker cannot close
(`closing`), by this leader or the next.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from dcron_app.manager.view import Known, View, Wanted, refresh
from dcron_common import history, paths
from dcron_common.coordinator.contract import Check, Coordinator, Create, Set
from dcron_common.errors import ConnectionLost, CoordinatorError
from dcron_common.history import ACTIVE, Span
from dcron_common.job import OnIsolation
from dcron_common.ledger import SETTLING
from dcron_common.paths import Slot
from dcron_common.protocol import REMOVED, Claim, Fence, Result
from dcron_common.run import RunState, Trigger, cron_key
from dcron_common.schedule import ScheduleError, parse

log = logging.getLogger(__name__)

NOBODY = "~leader"  # no worker can be called so
MOST = 100  # minutes closed at once, of one slot
TELLING = 60.0  # seconds for a holder that was cut off to come back and tell what it launched


@dataclass(frozen=True, slots=True)
class Overdue:
    """Minutes to be closed, oldest first, and what is said about them."""

    minutes: Sequence[int]
    state: RunState
    reason: str


class Accounting:
    """One pass over all slots. `now`: epoch seconds."""

    def __init__(
        self,
        coordinator: Coordinator,
        view: View,
        proof: Check,
        new_id: Callable[[], str],
        now: float,
    ) -> None:
        self._coordinator = coordinator
        self._view = view
        self._proof = proof
        self._new_id = new_id
        self._now = now

    def account(self) -> None:
        """Close what no worker will. ConnectionLost."""
        for slot, known in list(self._view.fences.items()):
            job = self._view.jobs.get(slot.job_id)
            if job is None or job.is_behind(known.fence):
                continue
            try:
                overdue = find_overdue(self._view, slot, known, job, self._now)
            except ScheduleError:
                log.exception("job=%s its schedule cannot be read", slot)
                continue
            if overdue is None:
                self._view.untold.pop(slot, None)
            elif not self._waits(slot, known.fence, job, overdue):
                self._close(slot, known, overdue)

    def _waits(self, slot: Slot, fence: Fence, job: Wanted, overdue: Overdue) -> bool:
        """Whether the holder may have launched them while nobody could hear of it, and is given
        time to say so (P9). What it tells later shows as rows beside these."""
        if not _may_be_isolated(job, fence):
            return False
        seen = self._view.workers.get(fence.holder or "")
        if seen is not None and seen.ticked_through >= overdue.minutes[-1]:
            return False  # it had told everything when it came to look at this minute
        return self._now < self._view.untold.setdefault(slot, self._now) + TELLING

    def _close(self, slot: Slot, known: Known, overdue: Overdue) -> None:
        newest = overdue.minutes[-1]
        fence = replace(known.fence, mark=newest)
        prepare(self._coordinator)
        try:
            self._coordinator.commit(
                [
                    self._proof,
                    Set(paths.fence(slot), fence.encode(), known.version),
                    close_for_nobody(slot, known.fence, overdue, self._new_id, self._now),
                ]
            )
        except ConnectionLost:
            raise
        except CoordinatorError as error:
            log.info("job=%s is accounted for later: %s", slot, error)
        else:
            state, count = overdue.state.value, len(overdue.minutes)
            log.warning("job=%s %d minutes are %s: %s", slot, count, state, overdue.reason)
        refresh(self._coordinator, self._view, slot)


def prepare(coordinator: Coordinator) -> None:
    """Make the places of the claims that close minutes for nobody. ConnectionLost."""
    coordinator.ensure(paths.runs(NOBODY))
    coordinator.ensure(paths.tasks(NOBODY))


def close_for_nobody(
    slot: Slot, fence: Fence, overdue: Overdue, new_id: Callable[[], str], now: float
) -> Create:
    """A claim of the newest minute, closed already; it closes the older ones with it. It belongs to
    the transaction that moves the mark of `fence` to that minute."""
    *older, newest = overdue.minutes
    claim = Claim(
        run_id=new_id(),
        nonce=new_id(),
        worker="",
        epoch=fence.epoch,
        revision=fence.revision,
        attempt=1,
        trigger=Trigger.CRON,
        claimed_at=now,
        passed_over=older,
        passed_reason=overdue.reason if older else None,
        result=Result(overdue.state, None, now, reason=overdue.reason),
    )
    return Create(paths.claim(NOBODY, slot, cron_key(newest)), claim.encode())


def is_accounted(view: View, slot: Slot, known: Known, now: float) -> bool:
    """Whether nothing is left to be closed of a slot that is closed itself, nor will be: what
    changed a job may have been ahead of this clock. (What comes yet of a job that is over is told
    without its places: `settling`.) A schedule that cannot be read tells of no minutes."""
    job = view.jobs.get(slot.job_id)
    if job is None:
        return True
    if job.is_behind(known.fence):
        return False  # what was due until the change is not read yet
    try:
        until = now if job.over else history.FOR_EVER
        return find_overdue(view, slot, known, job, until) is None
    except ScheduleError:
        return True


def find_overdue(view: View, slot: Slot, known: Known, job: Wanted, now: float) -> Overdue | None:
    """What is to be closed of one slot; None for nothing."""
    fence = known.fence
    beyond = _told_here(slot, fence, job, job.beyond)
    if minutes := history.due(beyond, fence.mark, int(now), MOST):
        reason = (
            f"the job was changed more than {history.MOST} times before this minute could start"
        )
        return Overdue(minutes, RunState.MISSED, reason)
    if fence.state != ACTIVE:
        earlier = _told_here(slot, fence, job, job.spec.earlier)
        minutes = history.due(earlier, fence.mark, int(now), MOST)
        reason = f"{_what_happened(fence, job)} before this minute could start"
        return Overdue(minutes, RunState.SKIPPED, reason) if minutes else None
    if job.over or (slot.node and (fence.holder is None or slot.node not in view.workers)):
        # Of a job on all: a worker that is drained or not meant has told all (`leaving`), and one
        # that is away closes what it missed when it is back. Where all are so, see `workerless`.
        return None
    minutes = _overdue(job, fence.mark, now)
    if not minutes:
        return None
    if fence.holder is None:
        reason = "no worker could have it: none is online that carries its labels, undrained"
    else:
        reason = f"worker {fence.holder} had the job and neither started nor closed this minute"
        if _may_be_isolated(job, fence):
            reason += "; if it launched it while it was cut off, a row of its own tells so"
    return Overdue(minutes, RunState.MISSED, reason)


def _may_be_isolated(job: Wanted, fence: Fence) -> bool:
    may_run = job.spec.on_isolation is OnIsolation.RUN and fence.state == ACTIVE
    return may_run and fence.holder is not None


def _told_here(slot: Slot, fence: Fence, job: Wanted, spans: Sequence[Span]) -> Sequence[Span]:
    """Those of these spans of which this place tells."""
    if not spans or fence.state != REMOVED:
        return spans
    if job.removed and job.wants(slot) and fence.revision == job.spec.revision:
        return spans  # it was open until the removal, whatever the job wanted in between
    return job.left_to(slot, spans, fence.mark)


def _what_happened(fence: Fence, job: Wanted) -> str:
    if job.removed:
        return "the job was removed"
    if fence.state == REMOVED:
        return "the job's placement was changed"
    return "the job was paused"


def _overdue(job: Wanted, mark: int, now: float) -> list[int]:
    return find_open(job, mark, int(now) - job.spec.starting_deadline_seconds - SETTLING, MOST)


def find_open(job: Wanted, mark: int, until: int, most: int) -> list[int]:
    """The oldest `most` due minutes in (mark, until], by whatever revision. ScheduleError."""
    spec = job.spec
    if until <= mark:
        return []
    minutes = history.due(job.waiting, mark, until, most)
    since = max(mark, spec.effective_from - 60)
    if since < until and not spec.paused:
        minutes += parse(spec.schedule, spec.timezone).due(since, until, most)
    return minutes[:most]
