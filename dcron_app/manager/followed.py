"""Clears away what following runs has left: pieces of output, and wishes that no worker takes back.

Once a minute, and a bounded number at a time: while nobody follows, that is one look at an empty
index and one at a list of names.
"""

from __future__ import annotations

import logging

from dcron_app.manager.view import View
from dcron_common import paths
from dcron_common.coordinator.contract import Check, Coordinator, Delete
from dcron_common.db import chunks
from dcron_common.db.connection import Database

log = logging.getLogger(__name__)

EVERY = 60.0  # seconds between two looks
ENDED = 600.0  # seconds that pieces of a run that is over are kept
ANY_RUN = 3600.0  # seconds that pieces of a run that goes on are kept when nobody follows it
BATCH = 100  # rows of one transaction: 6 MiB at most
BATCHES = 10  # of one look


class Followed:
    """One leader's; `clear` is called in each of its passes."""

    def __init__(self, coordinator: Coordinator, database: Database) -> None:
        self._coordinator = coordinator
        self._database = database
        self._next = 0.0

    def clear(self, view: View, proof: Check, boot: float, wall: float) -> None:
        """A look, where it is time for one. DatabaseUnavailable: the next comes in its time."""
        if boot < self._next:
            return
        self._next = boot + EVERY
        self._clear_wishes(view, proof)
        dropped = 0
        for _ in range(BATCHES):
            count = chunks.drop_old(self._database, wall, ended=ENDED, any_run=ANY_RUN, most=BATCH)
            dropped += count
            if count < BATCH:
                break
        if dropped:
            log.info("%d pieces of output that were followed are removed", dropped)

    def _clear_wishes(self, view: View, proof: Check) -> None:
        """Of workers that are gone; the others remove their own."""
        gone = [
            name for name in self._coordinator.children(paths.FOLLOWS) if name not in view.workers
        ]
        lists = self._coordinator.children_many([paths.follows(name) for name in gone])
        wishes = [
            paths.follow(worker, name)
            for worker, names in zip(gone, lists, strict=True)
            for name in names or []
        ]
        self._coordinator.commit_many([[proof, Delete(path)] for path in wishes])
