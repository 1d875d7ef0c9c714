"""Heeds requests to end runs: nodes below this worker's name, as long as the run is not over (P14).

A request is about one attempt and what follows it. It is looked at again and again until nothing
of the run is left here; then it goes. What the fence said when it was made still holds: whoever
hands a run on writes the fence, and so does who asks for its end.
"""

from __future__ import annotations

import logging
from contextlib import suppress

from dcron_common import paths
from dcron_common.coordinator.contract import Coordinator
from dcron_common.errors import ConnectionLost, DcronError, NoNode
from dcron_common.paths import Slot
from dcron_common.protocol import Kill, Task
from dcron_common.run import MANUAL, Trigger
from dcron_worker.book import Book
from dcron_worker.claims import Claims
from dcron_worker.isolation import Isolation
from dcron_worker.lifecycle import Lifecycle

log = logging.getLogger(__name__)


class Killing:
    """Called from the daemon's thread only, after the book was brought in line with the claims."""

    def __init__(
        self,
        coordinator: Coordinator,
        book: Book,
        claims: Claims,
        lifecycle: Lifecycle,
        isolation: Isolation,
    ) -> None:
        self._coordinator = coordinator
        self._book = book
        self._claims = claims
        self._lifecycle = lifecycle
        self._isolation = isolation

    def heed(self) -> list[str]:
        """One look at all requests; returns their names: what they are about must not begin.
        ConnectionLost: it is repeated."""
        try:
            names = self._coordinator.children(paths.kills(self._book.worker))
        except NoNode:
            return []  # a manager of this release has not admitted this worker yet
        for name in names:
            try:
                self._heed(*paths.run_parts(name))
            except ConnectionLost:
                raise
            except DcronError as error:  # one that cannot be heeded now hinders no other
                log.warning("the request to end %s is heeded later: %s", name, error)
        return names

    def _heed(self, slot: Slot, key: str) -> None:
        worker = self._book.worker
        request = paths.kill(worker, slot, key)
        node = self._coordinator.get(request)
        kill = Kill.decode(node.data)
        if self._isolation.stop(kill.run_id, kill.reason):
            return  # it never had a claim; its end is heard of before the next look
        opened = self._book.find(slot, key)
        if opened is None:
            if self._coordinator.exists(paths.claim(worker, slot, key)) is not None:
                return  # the book will have it after the next look
            if self._close_untaken(slot, key, kill):
                return
        elif kill.means(opened.claim.run_id, opened.claim.ended):
            if opened.claim.result is None:
                log.info("job=%s run=%s %s", slot, kill.run_id, kill.reason)
                self._lifecycle.stop(opened, kill.reason)
            return  # until the claim is gone: the leader may have to know
        with suppress(NoNode):
            self._coordinator.delete(request, node.stat.version)

    def _close_untaken(self, slot: Slot, key: str, kill: Kill) -> bool:
        """Close a run that was not taken yet. False if there is none that the request means."""
        try:
            node = self._coordinator.get(paths.task(self._book.worker, slot, key))
        except NoNode:
            return False
        task = Task.decode(node.data)
        first = key.removeprefix(MANUAL) if task.trigger is Trigger.MANUAL else ""
        if not kill.means(first, task.ended):
            return False
        closed = self._claims.take_task(slot, key, task, ended=kill.reason)
        if closed is not None:
            self._lifecycle.begin([closed])
        return True
