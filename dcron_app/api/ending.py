"""What the API asks of workers by way of the coordination service: the end of a run.

A request for an end stands until the run is over; if its worker is gone the leader ends the run in
its stead. Failures: Problem 404 or 409 says why nothing can be ended, 503 to ask again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dcron_app.api.announce import TRIES, slots
from dcron_app.api.errors import InDoubt, Problem, unavailable
from dcron_app.api.found import no_run
from dcron_app.api.places import AWAY, Asked, Held, asked_for, read
from dcron_common import paths
from dcron_common.coordinator.contract import (
    Check,
    Coordinator,
    Create,
    Operation,
    Set,
    shared_with,
)
from dcron_common.db.jobs import JobRow
from dcron_common.errors import ConnectionLost, CoordinatorError
from dcron_common.paths import Slot
from dcron_common.protocol import Claim, Kill, Task
from dcron_common.run import MANUAL, RunRecord, RunState, key_of


@dataclass(frozen=True, slots=True)
class _Standing:
    """Where a run stands: as a claim, or as a task that no worker has taken yet."""

    held: Held
    worker: str
    key: str
    path: str
    version: int
    open: Claim | Task

    def knows(self, run_id: str) -> bool:
        """Whether this attempt is here, or was before the one that is here."""
        mine = self.open.run_id if isinstance(self.open, Claim) else self.key.removeprefix(MANUAL)
        return run_id in (mine, *(one.run_id for one in self.open.ended))

    def why_not(self, run_id: str) -> str | None:
        """Why this attempt cannot be ended; None if it runs, or waits for its turn."""
        claim = self.open
        if isinstance(claim, Task):
            return None
        if claim.result is not None:
            return "it has just ended"
        if claim.run_id == run_id or claim.not_before is not None:
            return None
        return f"attempt {claim.attempt} goes on as run {claim.run_id}: end that one"


def ask_for_end(
    coordinator: Coordinator,
    row: JobRow,
    run: RunRecord | None,
    run_id: str,
    user: str,
    tell: Callable[[], None],
) -> Asked:
    """Ask the worker that has a run to end it. `run`: its row, None where it has none (yet).
    `tell` is called before each commit, behind all that refuses; what it raises ends it.

    Problem 404 or 409 where there is nothing to end, 503; InDoubt: it may be ended all the same.
    """
    wish = Kill(run_id, user).encode()
    try:
        if run is not None and run.isolated:
            return _ask_isolated(coordinator, row, run, wish, tell)
        for _ in range(TRIES):
            found = _find(coordinator, row, run, run_id)
            if found is None:
                raise _nothing_to_end(row, run, run_id)
            why = found.why_not(run_id)
            if why is not None:
                raise Problem(409, f"run {run_id} cannot be ended: {why}")
            slot, worker = found.held.slot, found.worker
            operations: list[Operation] = [found.held.kept(), Check(found.path, found.version)]
            operations.append(_request(coordinator, worker, slot, found.key, wish))
            if asked_for(coordinator, operations, tell):
                return Asked(slot, run_id, worker)
    except ConnectionLost as error:  # perhaps in the commit
        raise InDoubt(AWAY) from error
    except CoordinatorError as error:
        raise unavailable(AWAY) from error
    raise unavailable("the run moves all the time; ask again")


def _ask_isolated(
    coordinator: Coordinator,
    row: JobRow,
    run: RunRecord,
    wish: bytes,
    tell: Callable[[], None],
) -> Asked:
    """As above, of a run that has no claim (P9): it stands on the worker that its row names, and
    nowhere else. No fence tells of it, so there is none to write. One that is called lost may go on
    there: the leader calls it so when it has not heard of its worker for long."""
    if run.state not in (RunState.RUNNING, RunState.LOST) or not run.worker:
        raise _nothing_to_end(row, run, run.run_id)
    if coordinator.exists(paths.registration(run.worker)) is None:
        raise Problem(
            409,
            f"run {run.run_id} cannot be ended: worker {run.worker} started it while it was cut "
            "off, and cannot be reached, so nobody knows whether it goes on; ask again when "
            f"{run.worker} is online",
        )
    slot = next((s for s in slots(coordinator, row.id) if s.node == run.node), Slot(row.id))
    for _ in range(TRIES):
        request = _request(coordinator, run.worker, slot, key_of(run), wish)
        if asked_for(coordinator, [request], tell):
            return Asked(slot, run.run_id, run.worker)
    raise unavailable("another request for this run is made just now; ask again")


def _request(coordinator: Coordinator, worker: str, slot: Slot, key: str, wish: bytes) -> Operation:
    goal = paths.kill(worker, slot, key)
    if coordinator.exists(goal) is None:
        return Create(goal, wish, access=shared_with(worker, "r"))
    return Set(goal, wish)


def _find(
    coordinator: Coordinator, row: JobRow, run: RunRecord | None, run_id: str
) -> _Standing | None:
    for slot in slots(coordinator, row.id):
        if run is not None and slot.node != run.node:
            continue
        held = read(coordinator, row, slot)
        if held is None:
            continue
        places = _places(coordinator, held, run)
        claims = [paths.claim(worker, slot, key) for worker, key in places]
        tasks = [paths.task(worker, slot, key) for worker, key in places]
        nodes = coordinator.get_many([*claims, *tasks])
        for (worker, key), path, node in zip(places * 2, [*claims, *tasks], nodes, strict=True):
            if node is None:
                continue
            decode = Claim.decode if path in claims else Task.decode
            version = node.stat.version
            found = _Standing(held, worker, key, path, version, decode(node.data))
            if found.knows(run_id):
                return found
    return None


def _places(coordinator: Coordinator, held: Held, run: RunRecord | None) -> list[tuple[str, str]]:
    """(worker, key) of where a run may stand: by its row, or all of the slot's if it has none:
    the database may not know yet what runs, or be behind."""
    holder = held.fence.holder
    if run is not None:
        return [(name, key_of(run)) for name in dict.fromkeys((holder, run.worker)) if name]
    if holder is None:
        return []
    found: set[str] = set()
    for names in coordinator.children_many([paths.runs(holder), paths.tasks(holder)]):
        parts = [paths.run_parts(name) for name in names or []]
        found |= {key for slot, key in parts if slot == held.slot}
    return [(holder, key) for key in sorted(found)]


def _nothing_to_end(row: JobRow, run: RunRecord | None, run_id: str) -> Problem:
    if run is None:
        return no_run(str(row.id), run_id)
    known = "it is over" if run.state.rank else "no worker has it any more"
    return Problem(409, f"run {run_id} cannot be ended: {known} ({run.state.value})")
