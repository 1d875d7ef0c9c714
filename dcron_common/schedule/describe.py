"""A recurrence in one English sentence, for people who do not read cron."""

from __future__ import annotations

from dcron_common.schedule.fields import DAY_OF_MONTH, HOUR, MINUTE, FieldRule, in_runs
from dcron_common.schedule.recurrence import Recurrence

_MONTHS = (
    "", "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
_DAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
_MOST_TIMES = 6


def describe(recurrence: Recurrence, zone: str) -> str:
    """Such as "At 04:15 on Monday to Friday in May, by the clock of Europe/Riga."."""
    parts = [_time(recurrence), *_day(recurrence)]
    if len(recurrence.months) < 12:
        parts.append(f"in {_listed(recurrence.months, _MONTHS)}")
    return f"{' '.join(parts)}, by the clock of {zone}."


def _time(recurrence: Recurrence) -> str:
    minutes, hours = recurrence.minutes, recurrence.hours
    if len(minutes) == 60 and len(hours) == 24:
        return "Every minute"
    if len(minutes) * len(hours) <= _MOST_TIMES:
        times = [f"{hour:02}:{minute:02}" for hour in hours for minute in minutes]
        return f"At {_joined(times)}"
    return f"{_minute(minutes)} {_hour(hours)}".rstrip()


def _minute(minutes: tuple[int, ...]) -> str:
    if len(minutes) == 60:
        return "Every minute"
    step = _even_step(MINUTE, minutes)
    if step is not None and 60 % step == 0:
        return f"Every {step} minutes"
    return f"At minute {_listed(minutes)}"


def _hour(hours: tuple[int, ...]) -> str:
    if len(hours) == 24:
        return "of every hour"
    step = _even_step(HOUR, hours)
    if step is not None and 24 % step == 0:
        return f"of every {_ordinal(step)} hour from 00:00"
    return f"of hour {_listed(hours)}"


def _day(recurrence: Recurrence) -> list[str]:
    every_date = len(recurrence.days_of_month) == 31
    every_weekday = len(recurrence.days_of_week) == 7
    dates = _dates(recurrence.days_of_month)
    weekdays = f"on {_listed(recurrence.days_of_week, _DAYS)}"
    if every_date and every_weekday:
        daily = len(recurrence.minutes) * len(recurrence.hours) <= _MOST_TIMES
        return ["every day"] if daily else []
    if every_date:
        return [weekdays]
    if every_weekday:
        return [dates]
    joint = "if that is also" if recurrence.both_days else "and also"
    return [dates, joint, weekdays]


def _dates(days: tuple[int, ...]) -> str:
    step = _even_step(DAY_OF_MONTH, days)
    if step is not None:
        return f"on every {_ordinal(step)} day of the month from day 1"
    return f"on day {_listed(days)} of the month"


def _even_step(rule: FieldRule, values: tuple[int, ...]) -> int | None:
    """The step if `values` are those of `*/step` and there are at least three."""
    if len(values) < 3:
        return None
    step = values[1] - values[0]
    return step if step > 1 and values == tuple(range(rule.low, rule.high + 1, step)) else None


def _ordinal(number: int) -> str:
    ending = "th" if 10 <= number % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10)
    return f"{number}{ending or 'th'}"


def _listed(values: tuple[int, ...], names: tuple[str, ...] = ()) -> str:
    texts: list[str] = []
    for run in in_runs(values):
        shown = [names[value] if names else str(value) for value in run]
        texts.extend([f"{shown[0]} to {shown[-1]}"] if len(run) > 2 else shown)
    return _joined(texts)


def _joined(texts: list[str]) -> str:
    return texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} and {texts[-1]}"
