"""`@at 2026-12-01T03:00:00Z`: a schedule that fires once, at a point in time with its offset."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone

from dcron_common.schedule.errors import ScheduleError, quote

_TIME = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?"
    r"(Z|[+-]\d\d(?::?\d\d)?)?",
    re.ASCII | re.IGNORECASE,
)
_EXAMPLE = "write it as @at 2026-12-01T03:00:00Z"


def parse_time(text: str, now: int | None) -> int:
    """The epoch seconds that `text` (what follows `@at`) names.

    Raises ScheduleError if it is not ISO 8601 with an offset or Z, not a whole minute, before 1970
    or, where `now` (epoch seconds) is given, not after it.
    """
    match = _TIME.fullmatch(text)
    if match is None:
        raise ScheduleError(f"schedule: @at {quote(text)} is not an ISO 8601 time; {_EXAMPLE}")
    *numbers, second, fraction, offset = match.groups()
    if offset is None:
        raise ScheduleError(
            f"schedule: @at {quote(text)} does not say its offset; end it with Z or as +02:00"
        )
    if int(second or 0) or int(fraction or 0):
        raise ScheduleError(
            f"schedule: @at {quote(text)}: seconds must be 0, cron fires by minutes"
        )
    try:
        year, month, day, hour, minute = map(int, numbers)
        when = datetime(year, month, day, hour, minute, tzinfo=_zone(offset)).astimezone(UTC)
        epoch = int(when.timestamp())
    except (ValueError, OverflowError) as error:
        raise ScheduleError(
            f"schedule: @at {quote(text)} is no time of the calendar ({error}); {_EXAMPLE}"
        ) from error
    if epoch < 0:
        raise ScheduleError(f"schedule: @at {quote(text)} is before 1970")
    if now is not None and epoch <= now:
        current = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        raise ScheduleError(
            f"schedule: @at {quote(text)} is in the past (it is {current}); give a later time"
        )
    return epoch


def format_time(epoch: int) -> str:
    """As `2026-12-01T03:00:00Z`."""
    return datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _zone(offset: str) -> timezone:
    if offset in "Zz":
        return UTC
    hours, minutes = int(offset[1:3]), int(offset[-2:] if len(offset) > 3 else 0)
    if hours > 23 or minutes > 59:
        raise ValueError("offset must be less than a day")
    delta = timedelta(hours=hours, minutes=minutes)
    return timezone(-delta if offset[0] == "-" else delta)
