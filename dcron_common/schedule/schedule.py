"""A schedule: what fires when. Made by `parse`, asked by everybody else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice

from dcron_common.schedule.describe import describe
from dcron_common.schedule.one_shot import format_time
from dcron_common.schedule.recurrence import Recurrence
from dcron_common.schedule.zone import LAST_MINUTE, Zone


@dataclass(frozen=True, slots=True)
class Schedule:
    """When a job is due. Times are epoch seconds, each the first second of a minute.

    `expression` and `timezone` are as given; `key` is one ASCII text for one meaning, equal for
    equal schedules of a zone; `crontab` is that meaning as five cron fields, None for a one-shot.
    Immutable, hashable, safe to share between threads.
    """

    expression: str
    timezone: str
    key: str = field(compare=False)
    crontab: str | None = field(compare=False)
    _zone: Zone = field(compare=False, repr=False)
    _recurrence: Recurrence | None = field(compare=False, repr=False)
    _at: int = field(default=0, compare=False, repr=False)

    @property
    def one_shot(self) -> bool:
        """Does it fire once only (`@at`)?"""
        return self._recurrence is None

    def due(self, after: int, until: int, limit: int | None = None) -> list[int]:
        """Every firing in (after, until], ascending; the first `limit` of them if that is given.

        Depends on nothing but its arguments, so that any split of a span gives the same firings.
        """
        return list(islice(self._firings(after // 60 + 1, until // 60), limit))

    def next(self, after: int, count: int = 1) -> list[int]:
        """The next `count` firings strictly after `after`; fewer if the calendar holds no more."""
        return list(islice(self._firings(after // 60 + 1, LAST_MINUTE), count))

    def local_time(self, epoch: int) -> datetime:
        """`epoch` as the clock of the schedule's zone shows it, with its offset."""
        return self._zone.local_time(epoch)

    def describe(self) -> str:
        """One English sentence."""
        if self._recurrence is None:
            return f"Once, at {format_time(self._at)}."
        return describe(self._recurrence, self.timezone)

    def _firings(self, first: int, last: int) -> Iterator[int]:
        recurrence = self._recurrence
        if recurrence is None:
            if first <= self._at // 60 <= last:
                yield self._at
            return
        for stretch, start, end in self._zone.stretches(first, last):
            offset = stretch.offset
            if start == stretch.start:
                made_up = not recurrence.wild or stretch.made_up_wild
                clock = start + offset
                if made_up and any(recurrence.between(stretch.made_up, clock - 1)):
                    yield start * 60
                    start += 1
            low = start + offset
            if not recurrence.wild:
                low = max(low, stretch.held + 1)
            for clock in recurrence.between(low, end + offset):
                yield (clock - offset) * 60
