"""One text for one meaning: five numeric fields that Debian's cron reads back as the same thing.

A leading `*` means more to cron than "all values" (see Recurrence), so it is written exactly where
the meaning needs or allows it. Steps are written only as `*/n`; lists otherwise. A field that has
all values but must not begin with `*` is written as two ranges, which other tools (python-crontab
among them) do not shorten to `*`.
"""

from __future__ import annotations

from dcron_common.schedule.fields import (
    DAY_OF_MONTH,
    DAY_OF_WEEK,
    HOUR,
    MINUTE,
    MONTH,
    FieldRule,
    in_runs,
)
from dcron_common.schedule.recurrence import Recurrence


def crontab_fields(recurrence: Recurrence) -> str:
    """The five fields, ASCII, one blank between; equal exactly for equal recurrences."""
    minute, hour = _clock_fields(recurrence)
    day_of_month, day_of_week = _day_fields(recurrence)
    month = _free(MONTH, recurrence.months)
    return f"{minute} {hour} {day_of_month} {month} {day_of_week}"


def _clock_fields(recurrence: Recurrence) -> tuple[str, str]:
    minutes, hours = recurrence.minutes, recurrence.hours
    if not recurrence.wild:
        return _plain(MINUTE, minutes), _plain(HOUR, hours)
    minute, hour = _free(MINUTE, minutes), _free(HOUR, hours)
    if not (minute.startswith("*") or hour.startswith("*")):
        if minutes[0] == MINUTE.low:
            minute = _starred(MINUTE, minutes)
        else:
            hour = _starred(HOUR, hours)
    return minute, hour


def _day_fields(recurrence: Recurrence) -> tuple[str, str]:
    of_month, of_week = recurrence.days_of_month, recurrence.days_of_week
    if not recurrence.both_days:
        return _plain(DAY_OF_MONTH, of_month), _plain(DAY_OF_WEEK, of_week)
    day_of_month, day_of_week = _free(DAY_OF_MONTH, of_month), _free(DAY_OF_WEEK, of_week)
    if not (day_of_month.startswith("*") or day_of_week.startswith("*")):
        if of_month[0] == DAY_OF_MONTH.low:
            day_of_month = _starred(DAY_OF_MONTH, of_month)
        else:
            day_of_week = _starred(DAY_OF_WEEK, of_week)
    return day_of_month, day_of_week


def _last(rule: FieldRule) -> int:
    return rule.low + rule.size - 1


def _free(rule: FieldRule, values: tuple[int, ...]) -> str:
    """Where a leading `*` does no harm: `*`, an exact `*/n`, or a list."""
    if len(values) == rule.size:
        return "*"
    if len(values) > 2:
        step = values[1] - values[0]
        if values == tuple(range(rule.low, _last(rule) + 1, step)):
            return f"*/{step}"
    return _plain(rule, values)


def _starred(rule: FieldRule, values: tuple[int, ...]) -> str:
    """Where a leading `*` is needed: the closest `*/n` inside `values`, and the rest as a list.

    `values` hold the field's lowest value, or no text with a leading `*` could have made them.
    """
    held = set(values)
    step = next(
        step
        for step in range(1, rule.size + 1)
        if held.issuperset(range(rule.low, _last(rule) + 1, step))
    )
    rest = sorted(held.difference(range(rule.low, _last(rule) + 1, step)))
    return ",".join([f"*/{step}", *_runs(rest)])


def _plain(rule: FieldRule, values: tuple[int, ...]) -> str:
    """Without `*`."""
    if len(values) == rule.size:
        middle = rule.low + rule.size // 2
        return f"{rule.low}-{middle - 1},{middle}-{_last(rule)}"
    return ",".join(_runs(list(values)))


def _runs(values: list[int]) -> list[str]:
    """Three neighbours or more become a range."""
    texts: list[str] = []
    for run in in_runs(values):
        texts.extend([f"{run[0]}-{run[-1]}"] if len(run) > 2 else map(str, run))
    return texts
