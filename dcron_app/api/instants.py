"""Points in time in a query string: ISO 8601 with an offset, or epoch seconds."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

from dcron_app.api.errors import invalid

_EPOCH = re.compile(r"[0-9]{1,12}(\.[0-9]{1,9})?")
_FORM = "write ISO 8601 with its offset, such as 2026-12-01T03:00:00Z, or epoch seconds"


def instant(query: Any, name: str, default: float) -> int:
    """Epoch seconds of the query's `name`; Problem 422."""
    text = query.getunicode(name)
    if text is None:
        return int(default)
    if _EPOCH.fullmatch(text):
        return int(float(text))
    # in a query string an unescaped + is a blank, and no other blank belongs behind the time
    date, mark, rest = text.strip().partition("T")
    try:
        when = datetime.fromisoformat(f"{date}{mark}{rest.replace(' ', '+')}")
    except ValueError as error:
        raise invalid((name, f"is no time; {_FORM}")) from error
    if when.tzinfo is None:
        raise invalid((name, f"does not say its offset; {_FORM}"))
    try:
        epoch = int(when.astimezone(UTC).timestamp())
    except OverflowError as error:
        raise invalid((name, f"is beyond the calendar; {_FORM}")) from error
    if epoch < 0:
        raise invalid((name, "is before 1970"))
    return epoch
