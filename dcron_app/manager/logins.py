"""Removes what nobody logs in by any more: tokens, counts of wrong passwords, networks.

It comes first in a round, and takes no more than a part of it: attempts of strangers, however many
leave a count, hold up nothing else.
"""

from __future__ import annotations

from collections.abc import Callable

from dcron_app.manager.retention_pace import BATCH, Done, Pace
from dcron_common.db import old_accounts
from dcron_common.db.connection import Database

BATCHES = 20  # of each kind in one round

Drop = Callable[[Database, float, int], int]


class OldLogins:
    """One round. `now`: epoch seconds. DatabaseUnavailable: the next goes on."""

    def __init__(self, database: Database, now: float, pace: Pace, done: Done) -> None:
        self._database = database
        self._now = now
        self._pace = pace
        self._done = done

    def forget(self) -> None:
        """Remove what has had its time, as far as this round goes."""
        self._done.tokens += self._all(old_accounts.drop_tokens)
        self._all(old_accounts.drop_counts)
        self._all(old_accounts.drop_places)

    def _all(self, drop: Drop) -> int:
        total = 0
        for _ in range(BATCHES):
            if not self._pace.goes_on:
                break
            gone = drop(self._database, self._now, BATCH)
            if gone == 0:
                return total
            total += gone
            self._pace.removed(gone)
        self._done.whole = False
        return total
