"""What goes wrong between a worker and the coordination service."""

from __future__ import annotations

from collections.abc import Sequence

from dcron_common.coordinator.contract import Operation
from dcron_common.errors import ConnectionLost, CoordinatorError
from tests.in_process.world import Node

Outcome = list[list[object] | CoordinatorError]


def lose_answers(
    node: Node, number: int, *, done: bool, syncs: bool = True, renew: bool = False
) -> None:
    """The answers of the next transactions are lost: they are carried out or not, and a sync
    after them works or fails as well. `renew`: it works in a new session."""
    session = node.session
    commit, sync, left = session.commit_many, session.sync, [number]

    def losing(transactions: Sequence[Sequence[Operation]]) -> Outcome:
        if not left[0]:
            return commit(transactions)
        left[0] -= 1
        if done:
            commit(transactions)
        if renew:
            node.expire()
            node.come_back()
        return [ConnectionLost("the answer was lost") for _ in transactions]

    def failing(path: str = "/") -> None:
        session.sync = sync
        raise ConnectionLost("and this one too")

    session.commit_many = losing
    if not syncs:
        session.sync = failing
