"""What a run gets of the machine, whoever started us with more or less of it.

Imported by the starter; no file object is made: that alone cost a child as much as its fork.
"""

from __future__ import annotations

import os

_OOM = "/proc/self/oom_score_adj"


def take_ordinary_niceness() -> None:
    """For this process and its children, where it may have it: to be less nice takes root."""
    try:
        os.setpriority(os.PRIO_PROCESS, 0, 0)
    except OSError:
        return


def take_ordinary_place() -> None:
    """In the out-of-memory killer's list, where this process may have it. The launcher itself
    and its starter are the last that should be killed, so each child does this for itself."""
    try:
        descriptor = os.open(_OOM, os.O_WRONLY)
        os.write(descriptor, b"0")
        os.close(descriptor)
    except OSError:  # to be killed later takes root
        return
