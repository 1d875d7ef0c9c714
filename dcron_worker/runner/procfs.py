"""Processes as /proc shows them."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

log = logging.getLogger(__name__)

_PROC = Path("/proc")
# Of the fields behind the name in /proc/<pid>/stat.
_STATE, _PARENT, _GROUP, _SESSION, _TICKS = 0, 1, 2, 3, 19
_LAST = 20


@dataclass(frozen=True)
class Process:
    """`ticks`: when it started, in clock ticks since boot; with the pid it names one process."""

    pid: int
    parent: int
    group: int
    session: int
    state: str
    ticks: int


def read(pid: int) -> Process | None:
    """None if there is no such process."""
    found = _fields(pid)
    if found is None:
        return None
    return Process(
        pid,
        int(found[_PARENT]),
        int(found[_GROUP]),
        int(found[_SESSION]),
        found[_STATE].decode(),
        int(found[_TICKS]),
    )


def start_ticks(pid: int) -> int:
    """When it started, in clock ticks since boot; 0 if there is no such process."""
    found = _fields(pid)
    return int(found[_TICKS]) if found else 0


def alive(pid: int, ticks: int) -> bool:
    """Whether exactly this process still runs; a zombie does not."""
    process = read(pid)
    return process is not None and process.ticks == ticks and process.state not in "ZX"


def everything() -> dict[int, Process]:
    """All processes that are not zombies, by pid."""
    found = (read(int(path.name)) for path in _PROC.iterdir() if path.name.isdigit())
    return {process.pid: process for process in found if process and process.state not in "ZX"}


def own_children() -> set[int] | None:
    """Direct children of this process; None where the kernel does not tell."""
    own = os.getpid()
    try:
        return {int(pid) for pid in Path(f"/proc/{own}/task/{own}/children").read_text().split()}
    except FileNotFoundError:
        return None


def environment_has(pid: int, name: str, value: str) -> bool:
    """Whether the process was started with this variable; False if we may not see it."""
    wanted = f"{name}={value}".encode()
    try:
        return wanted in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return False


def send(process: Process, number: signal.Signals) -> None:
    """Signal exactly this process, never another one that has got its pid since."""
    try:
        descriptor = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return
    try:
        if start_ticks(process.pid) == process.ticks:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(descriptor, number)
    except PermissionError:  # another user's, as by sudo, and we are not root: others are told
        _say_not_ours(process.pid, process.ticks)
    finally:
        os.close(descriptor)


@lru_cache(maxsize=1024)  # once for each process: it may be tried twenty times a second
def _say_not_ours(pid: int, ticks: int) -> None:
    log.warning(
        "pid=%d start_ticks=%d cannot be ended: another user's, and this launcher is not root",
        pid,
        ticks,
    )


def _fields(pid: int) -> list[bytes] | None:
    """The first fields behind the name; None if there is no such process. Without a file object: it
    is asked often."""
    try:
        descriptor = os.open(f"/proc/{pid}/stat", os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        text = os.read(descriptor, 4096)
    except ProcessLookupError:
        return None
    finally:
        os.close(descriptor)
    # The name is in parentheses and may hold any byte: the rest starts after the last one.
    return text[text.rindex(b")") + 2 :].split(None, _LAST)
