"""What the API asks of workers by way of the coordination service: a run now.

Failures: Problem 409 says why nothing can be asked; Problem 503 where it is not known whether
something was.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from dcron_app.api.announce import TRIES, slots
from dcron_app.api.errors import InDoubt, Problem, unavailable
from dcron_app.api.places import AWAY, Asked, Held, asked_for, read
from dcron_common import paths
from dcron_common.coordinator.contract import Coordinator, Create, shared_with
from dcron_common.db.jobs import JobRow, has_had_its_time, spec_of
from dcron_common.errors import ConnectionLost, CoordinatorError
from dcron_common.ids import ulid
from dcron_common.paths import Slot
from dcron_common.protocol import REMOVED, Task
from dcron_common.run import Trigger, manual_key

log = logging.getLogger(__name__)

MAX_WAITING = 20  # runs of one place that wait for their turn


@dataclass(frozen=True, slots=True)
class Failed:
    """A worker of a job on all that could not be asked."""

    worker: str
    reason: str


def ask_for_runs(
    coordinator: Coordinator,
    row: JobRow,
    arguments: list[str] | None,
    now: float,
    tell: Callable[[], None],
) -> tuple[list[Asked], list[Failed]]:
    """Ask every worker that holds the job for a run of it. Problem where none could be asked.

    `tell` is called before each commit, behind all that refuses; what it raises ends it.
    """
    asked: list[Asked] = []
    failed: list[Failed] = []
    trouble: Problem | None = None
    for held in _held(coordinator, row):
        try:
            task = _task(row, arguments)
            one = _ask_for_run(coordinator, row, held.slot, task, ulid(now), tell)
        except Problem as error:
            # The others' runs are asked for all the same.
            trouble = trouble if isinstance(trouble, InDoubt) else error
            failed.append(Failed(held.slot.node, error.detail))
            log.warning("job=%s was not asked for a run: %s", held.slot, error.detail)
        else:
            asked += [one] if one else []
    if asked:
        return asked, failed
    raise trouble or Problem(409, _why_nobody(row, bool(_held(coordinator, row))))


def _held(coordinator: Coordinator, row: JobRow) -> list[Held]:
    """The job's places as its placement asks for them, but for closed ones. Problem 503."""
    on_all = spec_of(row).placement.on == "all"
    try:
        wanted = [slot for slot in slots(coordinator, row.id) if bool(slot.node) == on_all]
        found = [read(coordinator, row, slot) for slot in wanted]
    except CoordinatorError as error:
        raise unavailable(AWAY) from error
    return [held for held in found if held is not None and held.fence.state != REMOVED]


def _task(row: JobRow, arguments: list[str] | None) -> Task:
    if arguments is None:
        return Task(Trigger.MANUAL, 1, 0)
    # Who asked may run as this user, with these secrets; by the time it starts the job may run
    # as another, with others.
    known = list(spec_of(row).secrets)
    return Task(Trigger.MANUAL, 1, 0, arguments=arguments, run_as=row.run_as, secrets=known)


def _ask_for_run(
    coordinator: Coordinator,
    row: JobRow,
    slot: Slot,
    task: Task,
    run_id: str,
    tell: Callable[[], None],
) -> Asked | None:
    """None where no worker has it; Problem 409 where too many wait already, 503."""
    key = manual_key(run_id)
    worker = ""
    try:
        for _ in range(TRIES):
            held = read(coordinator, row, slot)
            if held is None or held.fence.holder is None or held.fence.state == REMOVED:
                return None
            worker = held.fence.holder
            if slot.node and coordinator.exists(paths.registration(worker)) is None:
                return None  # it would run there whenever that worker comes back
            _check_room(coordinator, worker, slot)  # the fence's write makes the count exact
            access = shared_with(worker, "r")
            goal = Create(paths.task(worker, slot, key), task.encode(), access=access)
            if asked_for(coordinator, [held.kept(), goal], tell):
                return Asked(slot, run_id, worker)
    except ConnectionLost as error:
        if _is_there(coordinator, worker, slot, key):
            return Asked(slot, run_id, worker)
        raise InDoubt(
            f"the coordination service did not answer, and run {run_id} may or may not come: "
            "look at the job's runs before you ask again"
        ) from error
    except CoordinatorError as error:
        raise unavailable(AWAY) from error
    raise unavailable("the job moves all the time; ask again")


def _check_room(coordinator: Coordinator, worker: str, slot: Slot) -> None:
    """Problem 409 where as many runs wait as may; CoordinatorError."""
    (names,) = coordinator.children_many([paths.tasks(worker)])
    waiting = sum(paths.run_parts(name)[0] == slot for name in names or [])
    if waiting >= MAX_WAITING:
        raise Problem(
            409,
            f"{waiting} runs of job {slot.job_id} wait on worker {worker} already, and "
            f"{MAX_WAITING} at most may: ask again when some have begun, end the one that runs or "
            "some that wait (POST /jobs/{id}/runs/{run_id}/kill), or let runs overlap "
            "(concurrency: allow)",
        )


def _is_there(coordinator: Coordinator, worker: str, slot: Slot, key: str) -> bool:
    """Whether what was asked for stands, as a request or as a claim already."""
    try:
        coordinator.sync()
        return any(
            coordinator.exists(path) is not None
            for path in (paths.task(worker, slot, key), paths.claim(worker, slot, key))
        )
    except CoordinatorError:
        return False


def _why_nobody(row: JobRow, placed: bool) -> str:
    if has_had_its_time(row):
        return f"job {row.id} has had its time and stands nowhere: give it a new schedule first"
    if placed:
        return (
            f"no worker has job {row.id}: none is online that carries its labels and is not "
            "drained; see GET /workers"
        )
    return f"no worker has job {row.id} yet: the manager is about to place it; ask again"
