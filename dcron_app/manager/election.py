"""Election of the one manager that acts, and the epoch that proves it to ZooKeeper (P1).

Each candidate holds an ephemeral, numbered node; the lowest leads. Having the lowest node is no
proof, since a frozen leader may believe it still has it: every write of a leader therefore
checks the epoch node at the version that this leader raised it to.
"""

from __future__ import annotations

import logging

from dcron_common import paths
from dcron_common.coordinator.contract import Check, Coordinator
from dcron_common.errors import CoordinatorError, NoNode

log = logging.getLogger(__name__)


class Election:
    """One candidate. Not thread-safe: used by the manager's loop."""

    def __init__(self, coordinator: Coordinator, name: str) -> None:
        self._coordinator = coordinator
        self._name = name
        self._node: str | None = None
        self._session = 0
        self._epoch: int | None = None

    def leads(self) -> bool:
        """Whether this candidate leads now; joins the election where it has not, or has lost
        its session. Becoming the leader raises the epoch."""
        session = self._coordinator.session_id
        if self._node is None or self._session != session:
            self._epoch = None
            self._node = self._coordinator.create(
                f"{paths.ELECTION}/n-", self._name.encode(), ephemeral=True, sequence=True
            ).rpartition("/")[2]
            self._session = session
        names = self._coordinator.children(paths.ELECTION)
        if self._node not in names:
            self._node = None
            self._epoch = None
            return False
        if min(names, key=_number) != self._node:
            self._epoch = None
            return False
        if self._epoch is None:
            self._epoch = self._coordinator.set(paths.EPOCH, self._name.encode()).version
            log.info("manager=%s leads with epoch %d", self._name, self._epoch)
        return True

    @property
    def proof(self) -> Check:
        """The operation that goes first in every transaction of the leader."""
        if self._epoch is None:
            raise NoNode("this manager does not lead")
        return Check(paths.EPOCH, self._epoch)

    def step_down(self) -> None:
        """Leave at once, so that another leads without waiting for the session."""
        if self._node is None:
            return
        try:
            self._coordinator.delete(f"{paths.ELECTION}/{self._node}")
        except CoordinatorError as error:
            log.info("the candidacy goes with the session: %s", error)
        self._node = None
        self._epoch = None


def _number(name: str) -> int:
    return int(name.rpartition("-")[2])
