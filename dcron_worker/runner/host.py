"""What the launcher takes from its host: the clock that counts suspends, signals, file limits."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import time
from collections.abc import Callable
from pathlib import Path


def now() -> float:
    """CLOCK_BOOTTIME seconds."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def wake_on_signals(stop: Callable[[], None]) -> int:
    """A descriptor that is readable after a signal; SIGTERM and SIGINT call `stop`."""
    wake, wake_write = os.pipe()
    for descriptor in (wake, wake_write):
        os.set_blocking(descriptor, False)
    signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop())
    return wake


def drain(descriptor: int) -> None:
    """Read all that is there."""
    try:
        while os.read(descriptor, 65536):
            pass
    except BlockingIOError:
        return


def raise_file_limit() -> tuple[int, int]:
    """Room for a pidfd per run; returns the limits that runs get, which are those of before."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[1], before[1]))
    return before


def take_precedence() -> None:
    """Have this process's niceness count also where the kernel weighs sessions against each other
    and not processes (autogroup). A session that is somebody else's is let alone."""
    if os.getsid(0) != os.getpid():
        return
    with contextlib.suppress(OSError):  # there is no such thing, or to be less nice takes root
        Path("/proc/self/autogroup").write_text(str(os.nice(0)))
