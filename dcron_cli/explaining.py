"""When a schedule fires next, and where the clocks of its zone are changed in between.

Pure: the same arguments give the same lines. Times are epoch seconds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from dcron_common.schedule import Schedule
from dcron_common.schedule.zone import zone


@dataclass(frozen=True, slots=True)
class Firing:
    """An occurrence by the zone's clock. `again`: the clock shows this time for the second time."""

    at: datetime

    @property
    def again(self) -> bool:
        return self.at.fold == 1


@dataclass(frozen=True, slots=True)
class Change:
    """The clocks are changed. `before` and `after` are what they show at that instant by the old
    and by the new offset; the times between do not exist, or come twice."""

    before: datetime
    after: datetime

    @property
    def forward(self) -> bool:
        return self.after.replace(tzinfo=None) > self.before.replace(tzinfo=None)

    @property
    def span(self) -> tuple[datetime, datetime]:
        """First and last local minute that is skipped or repeated."""
        low, high = sorted((self.before.replace(tzinfo=None), self.after.replace(tzinfo=None)))
        return low, high - timedelta(minutes=1)

    def sentence(self) -> str:
        """Such as `2027-03-28: clocks go from 03:00 +02:00 to 04:00 +03:00; local times 03:00 to
        03:59 are skipped`."""
        first, last = self.span
        what = "are skipped" if self.forward else "come twice"
        return (
            f"{self.before:%Y-%m-%d}: clocks go from {_clock(self.before)} "
            f"to {_clock(self.after)}; "
            f"local times {first:%H:%M} to {last:%H:%M} {what}"
        )


def _clock(at: datetime) -> str:
    return f"{at:%H:%M} {at.isoformat()[-6:]}"


def upcoming(schedule: Schedule, after: int, count: int) -> Iterator[Firing | Change]:
    """The next `count` firings, and between two whose offsets differ the change that made it so.
    The first is compared with `after`."""
    previous = after
    for epoch in schedule.next(after, count):
        at = schedule.local_time(epoch)
        if at.utcoffset() != schedule.local_time(previous).utcoffset():
            yield _last_change(schedule, previous, epoch)
        yield Firing(at)
        previous = epoch


def _last_change(schedule: Schedule, after: int, until: int) -> Change:
    """The newest change of offset in (after, until]."""
    starts = [
        (stretch.start, stretch.offset)
        for stretch, _, _ in zone(schedule.timezone).stretches(after // 60, until // 60)
    ]
    start, old = next(
        (later[0], earlier[1])
        for earlier, later in reversed(list(zip(starts, starts[1:], strict=False)))
        if earlier[1] != later[1]
    )
    new = schedule.local_time(start * 60)
    offset = new.utcoffset() or timedelta()
    before = new.replace(fold=0) - offset + timedelta(minutes=old)
    return Change(_with_offset(before, old), new)


def _with_offset(at: datetime, minutes: int) -> datetime:
    return at.replace(tzinfo=timezone(timedelta(minutes=minutes)))
