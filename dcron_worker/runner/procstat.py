"""/proc/<pid>/stat, read without a file object: it is asked often. Imported by the starter."""

from __future__ import annotations

import os

STATE, PARENT, GROUP, SESSION, TICKS = 0, 1, 2, 3, 19  # of the fields after the name
_LAST = 20


def fields(pid: int) -> list[bytes] | None:
    """The first fields after the name; None if there is no such process."""
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


def start_ticks(pid: int) -> int:
    """When it started, in clock ticks since boot; 0 if there is no such process."""
    found = fields(pid)
    return int(found[TICKS]) if found else 0
