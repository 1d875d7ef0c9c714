"""What the API asks of workers by way of the coordination service: to copy what a run writes.

A wish stands below the worker's name until its time has passed; whoever reads renews it. The
worker removes it (docs/adr/0030).
"""

from __future__ import annotations

from dcron_app.api.errors import Problem, unavailable
from dcron_common import paths
from dcron_common.coordinator.contract import Coordinator, shared_with
from dcron_common.errors import NodeExists, NoNode
from dcron_common.protocol import Follow

HOLD = 30.0  # seconds that a wish stands


def wish(coordinator: Coordinator, worker: str, run_id: str, now: float) -> float:
    """Ask for what the run writes; until when the worker heeds it (epoch seconds).

    CoordinatorError; NoNode where the worker has no place for wishes.
    """
    path, until = paths.follow(worker, run_id), now + HOLD
    data = Follow(until).encode()
    try:
        coordinator.set(path, data)
    except NoNode:
        try:
            coordinator.create(path, data, access=shared_with(worker, "r"))
        except NodeExists:
            return until  # another reader's, of this very moment
    return until


def is_there(coordinator: Coordinator, worker: str) -> bool:
    """Whether the worker is registered. CoordinatorError."""
    return coordinator.exists(paths.registration(worker)) is not None


def first_wish(coordinator: Coordinator, worker: str | None, run_id: str, now: float) -> float:
    """As `wish`, of a worker that is there to heed it. Problem 503, CoordinatorError."""
    if worker is None or not is_there(coordinator, worker):
        raise _away(worker)
    try:
        return wish(coordinator, worker, run_id, now)
    except NoNode as error:
        raise unavailable(
            f"worker {worker} cannot be asked for this yet: the manager is about to give it its "
            "places; ask again"
        ) from error


def _away(worker: str | None) -> Problem:
    return unavailable(
        f"worker {worker}, which has the run, is away, and nothing new can be read there; see GET "
        "/workers. The output can be read when the run's end is recorded"
    )
