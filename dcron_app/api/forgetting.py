"""What is below a worker's name goes, if the worker is gone and nothing of it is left."""

from __future__ import annotations

from dcron_app.api.errors import Problem
from dcron_common import paths
from dcron_common.coordinator.contract import Coordinator, Create, Delete, Operation
from dcron_common.errors import NodeExists, NoNode, NotEmpty, TransactionFailed

_TRIES = 5  # of a transaction that others get in before


def clear_places(coordinator: Coordinator, worker: str) -> None:
    """Remove a worker's places, whole or not at all. Problem 409 says why they stay.

    CoordinatorError; ConnectionLost: it may be done, and may be asked for again. The leader makes
    the places anew when the worker registers.
    """
    coordinator.sync()
    for _ in range(_TRIES):
        _refuse_living(coordinator, worker)
        parents = paths.below(worker)
        lists = coordinator.children_many(parents)
        held = {
            root: len(names)
            for root, names in zip(parents, lists, strict=True)
            if names and root not in (paths.kills(worker), paths.follows(worker))
        }
        if held:
            raise _holds(worker, sum(held.values()))
        operations = _absent(coordinator, worker)
        for root, names in zip(parents, lists, strict=True):
            operations += [Delete(f"{root}/{name}") for name in names or []]
            operations += [Delete(root)] if names is not None else []
        if not operations:
            return
        try:
            coordinator.commit(operations)
        except TransactionFailed as error:
            if not isinstance(error.cause, NodeExists | NoNode | NotEmpty):
                raise
            continue  # something came or went in between: look again
        return
    raise Problem(409, f"what is below worker {worker} changes all the time; ask again")


def _absent(coordinator: Coordinator, worker: str) -> list[Operation]:
    """The proof that the worker is not registered: its node can be made, and is gone again. One
    that was dismissed cannot register at all."""
    if coordinator.exists(paths.worker(worker)) is None:
        return []
    live = paths.registration(worker)
    return [Create(live), Delete(live)]


def _refuse_living(coordinator: Coordinator, worker: str) -> None:
    if coordinator.exists(paths.registration(worker)) is not None:
        raise Problem(
            409,
            f"worker {worker} is online: drain it (POST /workers/{worker}/drain), then stop it "
            "(`systemctl disable --now dcron-worker` there), and forget it when it is offline",
        )


def _holds(worker: str, count: int) -> Problem:
    return Problem(
        409,
        f"worker {worker} still holds {count} jobs or runs: they move or are closed within half a "
        f"minute after it went, places of jobs on all workers once it is drained (POST /workers/"
        f"{worker}/drain); drain it, and ask again",
    )
