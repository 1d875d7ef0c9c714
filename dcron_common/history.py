"""What a job was due by, and when: its history as spans of time, one for each schedule (P8). Pure.

Minutes and instants are epoch seconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dcron_common.schedule import parse

ACTIVE = "active"
FOR_EVER = 2**40  # a minute after all
MOST = 20  # spans that an assignment carries; what waits from before them the leader closes


@dataclass(frozen=True, slots=True)
class Span:
    """Minutes from `valid_from` to before `valid_to` (None: it goes on). `state`: "active", or
    "paused", in which nothing is due. `on`: "one" worker was to have the job, or "all"; None: it
    was not noted."""

    schedule: str
    timezone: str
    state: str
    valid_from: int
    valid_to: int | None = None
    on: str | None = None


def due(spans: Iterable[Span], after: int, until: int, limit: int | None = None) -> list[int]:
    """Minutes in (after, until] at which the spans fire, ascending; the first `limit` of them if
    that is given. ScheduleError: a stored schedule cannot be read."""
    minutes: set[int] = set()
    for span in spans:
        if span.state != ACTIVE:
            continue
        low = max(after, span.valid_from - 60)
        high = until if span.valid_to is None else min(until, span.valid_to - 60)
        if low < high:
            minutes.update(parse(span.schedule, span.timezone).due(low, high, limit))
    return sorted(minutes)[:limit]


def unclosed(spans: Sequence[Span], mark: int) -> tuple[Span, ...]:
    """The spans that are over and hold due minutes above `mark`, oldest first."""
    over = [span for span in spans if span.valid_to is not None]
    return tuple(span for span in over if due([span], mark, span.valid_to or 0, 1))
