"""From the user's text to a Schedule, or to a clear refusal."""

from __future__ import annotations

import re
from functools import lru_cache

from dcron_common.schedule.canonical import crontab_fields
from dcron_common.schedule.errors import ScheduleError, quote
from dcron_common.schedule.fields import RULES, parse_field
from dcron_common.schedule.one_shot import format_time, parse_time
from dcron_common.schedule.recurrence import from_fields
from dcron_common.schedule.schedule import Schedule
from dcron_common.schedule.zone import zone

# A schedule goes into a znode, a database column and a log line. The longest list that makes
# sense (all 60 minutes one by one) has 169 characters.
MAX_LENGTH = 200
_ALIASES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_NOT_PLAIN = re.compile(r"[^\t\x20-\x7e]")


def parse(expression: str, timezone: str = "UTC", *, now: int | None = None) -> Schedule:
    """Read a schedule: five cron fields, an alias such as `@daily`, or `@at` with a time.

    `timezone` is an IANA name. With `now` (epoch seconds) an `@at` that is not after it is
    refused; leave it out for schedules that were accepted before. Raises ScheduleError.
    """
    if not isinstance(expression, str):
        raise ScheduleError("schedule: must be a text such as '*/5 * * * *'")
    if not isinstance(timezone, str):
        raise ScheduleError("timezone: must be a text such as 'Europe/Riga'", "timezone")
    _check_text(expression)
    text = expression.strip(" \t")
    if text.startswith("@at"):
        return _parse_one_shot(expression, text, timezone, now)
    return _parse_recurring(expression, timezone)


def _check_text(expression: str) -> None:
    if len(expression) > MAX_LENGTH:
        raise ScheduleError(
            f"schedule: {len(expression)} characters are too many, {MAX_LENGTH} are the most; "
            "ranges and steps such as 0-30/2 are shorter than lists"
        )
    foreign = _NOT_PLAIN.search(expression)
    if foreign is not None:
        raise ScheduleError(
            f"schedule: the character {ascii(foreign[0])} is refused; "
            "write one line of plain ASCII, blanks between the fields"
        )


def _parse_one_shot(expression: str, text: str, timezone: str, now: int | None) -> Schedule:
    words = text.split()
    if words[0] != "@at" or len(words) != 2:
        raise ScheduleError("schedule: after @at stands one time; write @at 2026-12-01T03:00:00Z")
    at = parse_time(words[1], now)
    return Schedule(
        expression=expression,
        timezone=timezone,
        key=f"@at {format_time(at)}",
        crontab=None,
        _zone=zone(timezone),
        _recurrence=None,
        _at=at,
    )


# Thousands of jobs share a few schedules; a Schedule is immutable, so they may share that, too.
@lru_cache(maxsize=4096)
def _parse_recurring(expression: str, timezone: str) -> Schedule:
    texts = _fields(expression.strip(" \t"))
    recurrence = from_fields(
        *(parse_field(rule, text) for rule, text in zip(RULES, texts, strict=True))
    )
    crontab = crontab_fields(recurrence)
    return Schedule(
        expression=expression,
        timezone=timezone,
        key=f"{crontab} {timezone}",
        crontab=crontab,
        _zone=zone(timezone),
        _recurrence=recurrence,
    )


def _fields(text: str) -> list[str]:
    if text.startswith("@"):
        return _alias(text).split()
    fields = text.split()
    if not fields:
        raise ScheduleError("schedule: is empty; write five fields such as '*/5 * * * *'")
    if len(fields) < len(RULES):
        missing = ", ".join(rule.name for rule in RULES[len(fields) :])
        raise ScheduleError(
            f"schedule: {quote(text)} has {len(fields)} of the five fields; missing: {missing}"
        )
    if len(fields) > len(RULES):
        raise ScheduleError(
            f"schedule: {quote(text)} has {len(fields)} fields, cron has five (minute, hour, day "
            "of month, month, day of week): no seconds, no years, no user, no command"
        )
    return fields


def _alias(text: str) -> str:
    if text in _ALIASES:
        return _ALIASES[text]
    word = text.split()[0]
    known = ", ".join(_ALIASES)
    if word.lower() in _ALIASES:
        why = f"write {word.lower()} alone, in small letters"
    elif word.lower() == "@reboot":
        why = "a job belongs to the cluster, not to the start of one machine; give it times"
    elif word.lower() == "@every":
        why = "cron counts by the clock, not from a start; write such as */5 * * * *"
    elif word.lower() == "@at":
        why = "write @at 2026-12-01T03:00:00Z, in small letters"
    else:
        why = f"known are {known} and @at with a time"
    raise ScheduleError(f"schedule: {quote(text)} is refused: {why}")
