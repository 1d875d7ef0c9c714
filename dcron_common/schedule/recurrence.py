"""What a five-field expression means on a clock face: which days, which minutes of a day.

Pure calendar, without zones. Days are counted from 1970-01-01 as 0; a clock minute is the number
of minutes since 1970-01-01 00:00 as a wall clock of the zone shows it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from functools import lru_cache

from dcron_common.schedule.errors import ScheduleError
from dcron_common.schedule.fields import Field

_MINUTES_PER_DAY = 1440
_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
_DAYS_IN_MONTH = (0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_MONTH_NAMES = (
    "", "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Recurrence:
    """The meaning of five fields.

    `both_days`: a day must match the day of month and the day of week (Debian: one of the two
    fields begins with `*`); else either is enough. `wild`: the minute or the hour field begins
    with `*`; such jobs follow the clock as it shows, all others are made up for or held back when
    the clock is changed. Values are ascending; Sunday is 0.
    """

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days_of_month: tuple[int, ...]
    months: tuple[int, ...]
    days_of_week: tuple[int, ...]
    both_days: bool
    wild: bool

    def matches_day(self, day: int) -> bool:
        """Does it fire on this day (at any time)?"""
        when = date.fromordinal(day + _EPOCH_ORDINAL)
        if when.month not in self.months:
            return False
        in_month = when.day in self.days_of_month
        in_week = (day + 4) % 7 in self.days_of_week
        return (in_month and in_week) if self.both_days else (in_month or in_week)

    def matches(self, minute: int) -> bool:
        """Does it fire at this clock minute?"""
        day, rest = divmod(minute, _MINUTES_PER_DAY)
        return rest % 60 in self.minutes and rest // 60 in self.hours and self.matches_day(day)

    def between(self, first: int, last: int) -> Iterator[int]:
        """Every clock minute from `first` to `last`, both included, at which it fires."""
        if last - first < 8:
            # The daemons ask for a minute or two, for thousands of schedules at a time.
            yield from (minute for minute in range(first, last + 1) if self.matches(minute))
            return
        times = _times_of_day(self.minutes, self.hours)
        for day in range(first // _MINUTES_PER_DAY, last // _MINUTES_PER_DAY + 1):
            if not self.matches_day(day):
                continue
            midnight = day * _MINUTES_PER_DAY
            if midnight >= first and midnight + _MINUTES_PER_DAY - 1 <= last:
                for time in times:
                    yield midnight + time
            else:
                for time in times:
                    if first <= midnight + time <= last:
                        yield midnight + time


def from_fields(
    minute: Field, hour: Field, day_of_month: Field, month: Field, day_of_week: Field
) -> Recurrence:
    """Put five fields together. Raises ScheduleError for a date that no calendar has."""
    both_days = day_of_month.starred or day_of_week.starred
    if not both_days and (len(day_of_month.values) == 31 or len(day_of_week.values) == 7):
        # Either field alone covers every day, so the other says nothing.
        day_of_month = Field(tuple(range(1, 32)), starred=True)
        day_of_week = Field(tuple(range(7)), starred=True)
        both_days = True
    if both_days:
        _refuse_impossible_date(day_of_month.values, month.values)
    return Recurrence(
        minutes=minute.values,
        hours=hour.values,
        days_of_month=day_of_month.values,
        months=month.values,
        days_of_week=day_of_week.values,
        both_days=both_days,
        wild=minute.starred or hour.starred,
    )


def _refuse_impossible_date(days: tuple[int, ...], months: tuple[int, ...]) -> None:
    if any(days[0] <= _DAYS_IN_MONTH[month] for month in months):
        return
    example = f"{days[0]} {_MONTH_NAMES[months[0]]}"
    raise ScheduleError(
        f"day of month: there is no {example}, so this never fires; change the day or the month"
    )


@lru_cache(maxsize=512)
def _times_of_day(minutes: tuple[int, ...], hours: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(hour * 60 + minute for hour in hours for minute in minutes)
