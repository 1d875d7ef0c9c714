"""Where time comes from: passed in as an argument, so that tests decide what time it is."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass


def _boottime() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@dataclass(frozen=True, slots=True)
class Clock:
    """`wall`: epoch seconds, for what people see and what is due. `boot`: seconds that never step
    and count through a suspend, for leases and deadlines (CLOCK_BOOTTIME)."""

    wall: Callable[[], float] = time.time
    boot: Callable[[], float] = _boottime


SYSTEM = Clock()


def minute(at: float) -> int:
    """The minute that `at` lies in, as epoch seconds."""
    return int(at // 60) * 60


def offset(sent: float, theirs: float, got: float) -> float:
    """How far this clock is ahead of another (negative: behind), at least: `theirs` was read there
    between `sent` and `got`, which were read here. All in epoch seconds. What may be the way of
    the question is not counted, so a slow answer makes no wrong clock."""
    return max(0.0, sent - theirs) or min(0.0, got - theirs)
