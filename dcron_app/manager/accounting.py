"""Minutes that no worker will ever close, since no worker may have the job (P7).

Where a job has a holder, that one accounts: it claims what is due, or closes it with the next
minute. A job without one waits; when a minute's starting deadline has passed the leader closes it,
by writing: one transaction moves the fence's mark and makes a claim that is closed already. From
then on nobody can start that minute. The claim is recorded and removed like any other that its
worker cannot close (`closing`), by this leader or the next.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace

from dcron_app.manager.view import Known, View, Wanted, reread
from dcron_common import paths
from dcron_common.coordinator.contract import Check, Coordinator, Create, Set
from dcron_common.errors import ConnectionLost, CoordinatorError
from dcron_common.ledger import SETTLING
from dcron_common.paths import Slot
from dcron_common.protocol import Claim, Result
from dcron_common.run import RunState, Trigger, cron_key
from dcron_common.schedule import ScheduleError, parse

log = logging.getLogger(__name__)

NOBODY = "~leader"  # no worker can be called so
MOST = 100  # minutes closed at once, of one slot


def account(
    coordinator: Coordinator, view: View, proof: Check, new_id: Callable[[], str], now: float
) -> None:
    """Close what is overdue of slots without a holder. `now`: epoch seconds."""
    for slot, known in list(view.fences.items()):
        job = view.jobs.get(slot.job_id)
        if job is None or job.over or known.fence.holder is not None:
            continue
        if known.fence.state != "active" or slot.node:
            continue
        overdue = _overdue(job, known, now)
        if overdue:
            _close(coordinator, view, proof, slot, known, overdue, new_id, now)


def _overdue(job: Wanted, known: Known, now: float) -> list[int]:
    spec = job.spec
    since = max(known.fence.mark, spec.effective_from - 60)
    until = int(now) - spec.starting_deadline_seconds - SETTLING
    if until <= since:
        return []
    try:
        return parse(spec.schedule, spec.timezone).due(since, until, MOST)
    except ScheduleError:
        log.exception("job=%d its schedule cannot be read", spec.job_id)
        return []


def _close(
    coordinator: Coordinator,
    view: View,
    proof: Check,
    slot: Slot,
    known: Known,
    overdue: list[int],
    new_id: Callable[[], str],
    now: float,
) -> None:
    reason = "no worker could have it: none is online that carries its labels and is not drained"
    *older, newest = overdue
    claim = Claim(
        run_id=new_id(),
        nonce=new_id(),
        worker="",
        epoch=known.fence.epoch,
        revision=known.fence.revision,
        attempt=1,
        trigger=Trigger.CRON,
        claimed_at=now,
        passed_over=older,
        passed_reason=reason if older else None,
        result=Result(RunState.MISSED, None, now, reason=reason),
    )
    fence = replace(known.fence, mark=newest)
    path = paths.claim(NOBODY, slot, cron_key(newest))
    coordinator.ensure(paths.runs(NOBODY))
    coordinator.ensure(paths.tasks(NOBODY))
    try:
        coordinator.commit(
            [
                proof,
                Set(paths.fence(slot), fence.encode(), known.version),
                Create(path, claim.encode()),
            ]
        )
    except ConnectionLost:
        raise
    except CoordinatorError as error:
        log.info("job=%s is accounted for later: %s", slot, error)
    else:
        log.warning("job=%s has no worker: %d minutes are missed", slot, len(overdue))
    reread(coordinator, view, slot)
