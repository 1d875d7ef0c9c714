"""Time zones, and what Debian's cron does when their clocks are changed.

Zone data comes from the pinned `tzdata` wheel alone, so that all hosts agree; the system's is
never read. A zone is a row of stretches of constant offset. At the start of each cron compares the
clock with the last minute it has served (its "virtual time") and decides:

    ahead by 2 to 5 minutes       it woke late: every job of the minutes between runs now
    ahead by 6 to 180 minutes     fixed-time jobs of the skipped minutes run now
    behind by less than 180       fixed-time jobs wait until the clock passes the minute last served
    anything else                 the clock was set anew: nothing is made up for or held back

Jobs whose minute or hour begins with `*` follow the clock as it shows, but for the first case.
Here minutes are counted from 1970-01-01 00:00: real ones in UTC, clock ones as the zone shows.
Thread-safe: a zone only ever grows, and is replaced whole.
"""

from __future__ import annotations

import difflib
import importlib.resources
import threading
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from dcron_common.schedule.errors import ScheduleError, quote

_DAY = 86_400
_LATE, _JUMP = 5, 180
# Python's calendar ends with the year 9999; a zone may be a day ahead.
LAST_MINUTE = int(datetime(9999, 12, 30, tzinfo=UTC).timestamp()) // 60
# Zone data lists changes one by one up to 2087 (Morocco's) and gives a yearly rule from there on,
# and the calendar repeats itself, weekdays included, every 400 years. So a zone is known for good
# when one such cycle is, and nobody can make a process learn eight thousand years.
_CYCLE = 146_097 * 1440
_CYCLE_START = int(datetime(2100, 1, 1, tzinfo=UTC).timestamp()) // 60
# "Factory" is the database's mark for a machine whose zone nobody has set.
_NOT_ZONES = frozenset({"Factory"})


@dataclass(frozen=True, slots=True)
class Stretch:
    """A time of constant offset, all in minutes.

    `start`: its first real minute; clock = real + `offset`. `made_up`: the first clock minute that
    the change skipped and that is made up for at `start` (empty if it is the clock at `start`);
    `made_up_wild`: for jobs that follow the clock, too. `held`: fixed-time jobs run only at clock
    minutes after this one.
    """

    start: int
    offset: int
    made_up: int
    made_up_wild: bool
    held: int


def _stretch(start: int, offset: int, served: int) -> Stretch:
    clock = start + offset
    ahead = clock - served
    made_up, held = clock, clock - 1
    if 1 < ahead <= _JUMP:
        made_up = served + 1
    elif -_JUMP < ahead <= 0:
        held = served
    return Stretch(start, offset, made_up, ahead <= _LATE, held)


def _moved(stretch: Stretch, minutes: int) -> Stretch:
    """The same stretch, whole cycles later."""
    if not minutes:
        return stretch
    return replace(
        stretch,
        start=stretch.start + minutes,
        made_up=stretch.made_up + minutes,
        held=stretch.held + minutes,
    )


class Zone:
    """A time zone by its IANA name; get it from `zone()`."""

    def __init__(self, name: str, info: ZoneInfo) -> None:
        self.name = name
        self._info = info
        self._lock = threading.Lock()
        offset = self._offset(0)
        self._stretches: tuple[Stretch, ...] = (Stretch(0, offset, offset, False, offset - 1),)
        self._starts: tuple[int, ...] = (0,)
        self._known_until = 0  # real minute, excluded

    def stretches(self, first: int, last: int) -> Iterator[tuple[Stretch, int, int]]:
        """The stretches within [first, last] (real minutes), each with its part of that span."""
        first, last = max(first, 0), min(last, LAST_MINUTE)
        while first <= last:
            shift = max(0, (first - _CYCLE_START) // _CYCLE * _CYCLE)
            end = min(last, _CYCLE_START + _CYCLE - 1 + shift)
            for stretch, low, high in self._within_cycle(first - shift, end - shift):
                yield _moved(stretch, shift), low + shift, high + shift
            first = end + 1

    def _within_cycle(self, first: int, last: int) -> Iterator[tuple[Stretch, int, int]]:
        if first >= self._known_until:
            self._learn(first)
        # Read once: _learn replaces the tuples, and adds stretches at the end only.
        index = bisect_right(self._starts, first) - 1
        while first <= last:
            if index + 1 >= len(self._stretches) and last >= self._known_until:
                self._learn(min(last, max(first, self._known_until)))
            stretches = self._stretches
            end = stretches[index + 1].start - 1 if index + 1 < len(stretches) else last
            # Beyond what is known a change may hide: go no further in one step.
            end = min(end, last, self._known_until - 1)
            yield stretches[index], first, end
            first = end + 1
            if index + 1 < len(self._stretches) and self._stretches[index + 1].start == first:
                index += 1

    def local_time(self, epoch: int) -> datetime:
        """The zone's own time at `epoch` seconds, with its offset."""
        return datetime.fromtimestamp(epoch, self._info)

    def _learn(self, minute: int) -> None:
        """Find all changes up to `minute` and somewhat beyond, by looking at every day."""
        with self._lock:
            found = list(self._stretches)
            known = self._known_until
            while known <= minute:
                known = self._learn_year(found, known)
            self._stretches = tuple(found)
            self._starts = tuple(stretch.start for stretch in found)
            self._known_until = known

    def _learn_year(self, found: list[Stretch], known: int) -> int:
        until = min(known + 366 * 1440, LAST_MINUTE + 1)
        low = known
        while low < until:
            high = min(low + 1440, until)
            while self._offset(high) != found[-1].offset:
                start = self._first_change(low, high, found[-1].offset)
                last = found[-1]
                served = max(last.held, start - 1 + last.offset)
                found.append(_stretch(start, self._offset(start), served))
                low = start
            low = high
        return until

    def _first_change(self, low: int, high: int, offset: int) -> int:
        """The first real minute in (low, high] whose offset is not `offset` (that of `low`)."""
        while high - low > 1:
            middle = (low + high) // 2
            if self._offset(middle) == offset:
                low = middle
            else:
                high = middle
        return high

    def _offset(self, minute: int) -> int:
        """Minutes by which the clock is ahead of UTC; rounded as cron's division does."""
        when = datetime.fromtimestamp(minute * 60, UTC).astimezone(self._info)
        return (when.utcoffset() or timedelta()) // timedelta(minutes=1)


@lru_cache(maxsize=1)
def zones() -> frozenset[str]:
    """The names of all time zones that a schedule may be in."""
    text = (importlib.resources.files("tzdata") / "zones").read_text(encoding="ascii")
    return frozenset(text.split()) - _NOT_ZONES


@lru_cache(maxsize=1024)
def zone(name: str) -> Zone:
    """The zone of this IANA name. Raises ScheduleError (field `timezone`) for any other."""
    if name not in zones():
        raise ScheduleError(f"timezone: {quote(name)} is unknown; {_hint(name)}", "timezone")
    path = importlib.resources.files("tzdata").joinpath("zoneinfo", *name.split("/"))
    with path.open("rb") as file:
        return Zone(name, ZoneInfo.from_file(file, key=name))


def _hint(name: str) -> str:
    lowered = {known.lower(): known for known in zones()}
    close = difflib.get_close_matches(name.lower()[:64], lowered, n=1)
    if close:
        return f"did you mean {lowered[close[0]]}?"
    return "give an IANA name such as UTC or Europe/Riga"
