"""Points in time in a query string: ISO 8601 with an offset, or epoch seconds."""

from __future__ import annotations

import re
from datetime import UTC, datetime

_EPOCH = re.compile(r"[0-9]{1,12}(\.[0-9]{1,9})?")
_FORM = "write ISO 8601 with its offset, such as 2026-12-01T03:00:00Z, or epoch seconds"


def parse_instant(text: str) -> int:
    """Epoch seconds; ValueError with the remedy."""
    if _EPOCH.fullmatch(text):
        return int(float(text))
    # in a query string an unescaped + is a blank, and no other blank belongs behind the time
    date, mark, rest = text.strip().partition("T")
    try:
        when = datetime.fromisoformat(f"{date}{mark}{rest.replace(' ', '+')}")
    except ValueError as error:
        raise ValueError(f"is no time; {_FORM}") from error
    if when.tzinfo is None:
        raise ValueError(f"does not say its offset; {_FORM}")
    try:
        epoch = int(when.astimezone(UTC).timestamp())
    except OverflowError as error:
        raise ValueError(f"is beyond the calendar; {_FORM}") from error
    if epoch < 0:
        raise ValueError("is before 1970")
    return epoch
