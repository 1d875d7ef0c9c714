"""Election of the one manager that acts, and the epoch that proves it to ZooKeeper (P1).

Each candidate holds an ephemeral, numbered node; the lowest leads. Having the lowest node is no
proof, since a frozen leader may believe it still has it: every write of a leader therefore
checks the epoch node at the version that this leader raised it to.

Failures: after ConnectionLost the candidate may have a node that it does not know. It looks for
one of its own session before it makes another.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress

from dcron_common import paths
from dcron_common.clock import offset
from dcron_common.coordinator.contract import Check, Coordinator
from dcron_common.errors import CoordinatorError, NoNode

log = logging.getLogger(__name__)


class Election:
    """One candidate. Not thread-safe: used by the manager's loop."""

    def __init__(self, coordinator: Coordinator, name: str) -> None:
        self._coordinator = coordinator
        self._name = name
        self._node: str | None = None
        self._session = 0  # the one that owns the node, as the node itself says
        self._epoch: int | None = None

    def leads(self) -> bool:
        """Whether this candidate leads now; joins the election where it has not, or has lost
        its session. Becoming the leader raises the epoch. ConnectionLost: nobody knows."""
        if self._node is None or self._session != self._coordinator.session_id:
            self._forget("its session ended")
            self._join()
        names = self._coordinator.children(paths.ELECTION)
        if self._node is None or self._node not in names:
            self._forget("its candidacy is gone")
            return False
        first = min(names, key=_number)
        if first != self._node:
            if self._owner(first) == self._session:
                self._node = None  # a node of ours that we do not know: the next call adopts it
            self._resign(f"{first} is before it")
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

    def clock_offset(self, wall: Callable[[], float]) -> float | None:
        """Seconds that the clock `wall` is ahead of the coordination service's, at least; None if
        they are one clock, or this is no candidate. One write to our own candidacy."""
        if self._node is None:
            return None
        sent = wall()
        try:
            stat = self._coordinator.set(f"{paths.ELECTION}/{self._node}", self._name.encode())
        except NoNode:
            return None
        return None if stat.modified_at is None else offset(sent, stat.modified_at, wall())

    def step_down(self) -> None:
        """Leave at once, so that another leads without waiting for the session."""
        if self._node is None:
            return
        try:
            self._coordinator.delete(f"{paths.ELECTION}/{self._node}")
        except CoordinatorError as error:
            log.info("the candidacy goes with the session: %s", error)
        self._forget("it steps down")

    def _join(self) -> None:
        """Have exactly one node in the present session.

        The answer to an earlier create may have been lost: its node would stand in front of
        every other as long as this session lives, and nobody would lead. Therefore look first.
        """
        self._coordinator.sync(paths.ELECTION)
        session = self._coordinator.session_id
        names = sorted(self._coordinator.children(paths.ELECTION), key=_number)
        mine = [name for name in names if session and self._owner(name) == session]
        for name in mine[1:]:
            with suppress(NoNode):
                self._coordinator.delete(f"{paths.ELECTION}/{name}")
        if mine:
            node = mine[0]
            log.info("manager=%s goes on with its candidacy %s", self._name, node)
        else:
            node = self._coordinator.create(
                f"{paths.ELECTION}/n-", self._name.encode(), ephemeral=True, sequence=True
            ).rpartition("/")[2]
        # Not the session of before: the create may have waited for a new one.
        owner = self._owner(node)
        if owner:
            self._node, self._session = node, owner

    def _owner(self, name: str) -> int:
        """The session that a candidate's node belongs to; 0 if it is gone."""
        stat = self._coordinator.exists(f"{paths.ELECTION}/{name}")
        return stat.ephemeral_owner if stat else 0

    def _forget(self, reason: str) -> None:
        self._node = None
        self._session = 0
        self._resign(reason)

    def _resign(self, reason: str) -> None:
        if self._epoch is not None:
            log.warning("manager=%s no longer leads: %s", self._name, reason)
        self._epoch = None


def _number(name: str) -> int:
    return int(name.rpartition("-")[2])
