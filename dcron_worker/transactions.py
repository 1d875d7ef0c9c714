"""Many small transactions at once: in flight together, and several in one where that helps."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from dcron_common.coordinator.contract import Coordinator, Operation, OperationResult
from dcron_common.errors import ConnectionLost, CoordinatorError

Outcome = list[OperationResult] | CoordinatorError

IN_FLIGHT = 250  # transactions; with a run's output in each, a few megabytes


def commit_each(
    coordinator: Coordinator, members: Sequence[Sequence[Operation]], *, share: int = 1
) -> list[Outcome]:
    """Each member is carried out whole or not at all, and has its own result or error.

    `share` members go into one transaction, as long as that has at most 100 operations. Where a
    member spoils it, its members go one by one; ConnectionLost is the outcome of all of them.
    """
    batches = [members[i : i + share] for i in range(0, len(members), share)]
    merged = _send(coordinator, [[op for one in batch for op in one] for batch in batches])
    outcomes: list[Outcome] = []
    for batch, outcome in zip(batches, merged, strict=True):
        if isinstance(outcome, CoordinatorError):
            spoilt = len(batch) > 1 and not isinstance(outcome, ConnectionLost)
            outcomes += _send(coordinator, batch) if spoilt else [outcome] * len(batch)
        else:
            results = iter(outcome)
            outcomes += [list(islice(results, len(one))) for one in batch]
    return outcomes


def _send(coordinator: Coordinator, transactions: Sequence[Sequence[Operation]]) -> list[Outcome]:
    outcomes: list[Outcome] = []
    for i in range(0, len(transactions), IN_FLIGHT):
        outcomes += coordinator.commit_many(transactions[i : i + IN_FLIGHT])
    return outcomes
