"""While the database is away: one request at a time tries it, all others are answered at once.

Without the database nobody's token can be checked. Were every request to wait for its deadline,
a few clients would hold all threads, and not even /health would answer. So from the first request
that waited in vain until one gets an answer again, one request in HOLD seconds tries.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from dcron_common.clock import Clock
from dcron_common.errors import DatabaseUnavailable

HOLD = 2.0  # seconds


class Outage:
    """What all requests of this process know of the database."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._next: float | None = None  # when the next request may try; None: the database is well

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Around a question to the database. DatabaseUnavailable, at once where others know."""
        self._enter()
        away = False
        try:
            yield
        except DatabaseUnavailable:
            away = True
            raise
        finally:
            self._set(self._clock.boot() + HOLD if away else None)

    def _enter(self) -> None:
        with self._lock:
            if self._next is None:
                return
            now = self._clock.boot()
            if now < self._next:
                raise DatabaseUnavailable("the database was away a moment ago")
            self._next = now + HOLD  # this request tries; it may take longer than the others wait

    def _set(self, value: float | None) -> None:
        with self._lock:
            self._next = value
