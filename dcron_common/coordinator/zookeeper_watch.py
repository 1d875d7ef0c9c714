"""A watch on a node's children that stands until the client stops.

ZooKeeper's watches fire once and are forgotten with the connection. This one is set again after
every event and every reconnection, and `wake` is called once it stands: what changed meanwhile is
in the level that the woken reader reads. While the node does not exist, its creation is watched.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from kazoo.exceptions import ConnectionLoss, KazooException, NoNodeError, SessionExpiredError

log = logging.getLogger(__name__)


class ChildrenWatch:
    """Runs in kazoo's threads only, never blocks."""

    def __init__(self, client: Any, path: str, wake: Callable[[], None]) -> None:
        self._client = client
        self._path = path
        self._wake = wake

    def arm(self) -> None:
        """Set the watch; called anew after each reconnection, by whoever hears of it."""
        self._client.get_children_async(self._path, watch=self._fired).rawlink(self._armed)

    def _fired(self, event: Any) -> None:
        # An event without a path speaks of the session: the reconnection will arm again.
        if event.path is not None:
            self.arm()

    def _armed(self, answer: Any) -> None:
        try:
            answer.get(block=False)
        except NoNodeError:
            self._client.exists_async(self._path, watch=self._fired).rawlink(self._awaited)
            return
        except KazooException as error:
            self._give_up(error)
            return
        self._wake()

    def _awaited(self, answer: Any) -> None:
        try:
            stat = answer.get(block=False)
        except KazooException as error:
            self._give_up(error)
            return
        if stat is None:
            self._wake()
        else:
            self.arm()  # it appeared between the two requests

    def _give_up(self, error: KazooException) -> None:
        """The connection went: the next one arms again. Anything else is told."""
        if not isinstance(error, ConnectionLoss | SessionExpiredError):
            log.error("cannot watch %s: %s", self._path, type(error).__name__)
