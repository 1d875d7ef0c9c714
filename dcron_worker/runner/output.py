"""A run's output: one plain file for standard output and error.

A file, not a pipe: a job that writes to a file is never blocked by a busy launcher and gets no
SIGPIPE while the launcher is restarted, and the output needs no copying. Nothing but
RLIMIT_FSIZE bounds a plain file by itself, and that would bound the job's other files too, so
the guard looks at the size four times a second: a run that wrote more than its limit is ended
at once (without grace, since each second of a flood costs disk) with the limit as its reason,
and the file is cut to the limit when its processes are gone.
"""

from __future__ import annotations

import itertools
import logging
import os
from dataclasses import dataclass
from pathlib import Path

from dcron_common.run import TAIL_BYTES

log = logging.getLogger(__name__)

FOLDER = "output"
SPARE = ".spare-"  # no run id begins with a dot
_FEW = 16


@dataclass(frozen=True)
class Summary:
    """What is left when the run is over."""

    tail: str
    size: int
    truncated: bool


class Spares:
    """Empty files made in idle time, since making one can cost more than the fork: ext4 passes
    over the inodes that were freed in the last seconds. Each file serves one run only."""

    def __init__(self, folder: Path, count: int = 1024) -> None:
        self._folder = str(folder)
        self._count = count
        self._numbers = itertools.count()
        self._free: list[str] = []
        self.wanted = True

    def refill(self) -> None:
        """Make a few; `wanted` stays true until there are enough or the disk refuses."""
        try:
            for _ in range(_FEW):
                path = f"{self._folder}/{SPARE}{next(self._numbers)}"
                os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
                self._free.append(path)
        except OSError as error:
            log.warning("cannot make spare output files: %s", error)
            self.wanted = False
            return
        self.wanted = len(self._free) < self._count

    def give(self, path: str) -> None:
        """Let one be the output file at `path`, if there is any; else the run makes it."""
        if self._free:
            os.rename(self._free.pop(), path)
            self.wanted = len(self._free) < self._count // 2


def path_of(state: Path, run_id: str) -> Path:
    """Where a run's output lies below the launcher's folder."""
    return state / FOLDER / run_id


def size(path: str) -> int:
    """Bytes written so far; 0 if there is no file. Asked often: no Path is made."""
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return 0


def close(path: str, limit: int) -> Summary:
    """Cut the file to `limit` bytes and read its tail; invalid UTF-8 is replaced."""
    if size(path) == 0:  # what most runs write
        return Summary("", 0, truncated=False)
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW)
    except FileNotFoundError:
        return Summary("", 0, truncated=False)
    try:
        length = os.fstat(descriptor).st_size
        truncated = length > limit
        if truncated:
            os.ftruncate(descriptor, limit)
            length = limit
        start = max(0, length - TAIL_BYTES)
        tail = os.pread(descriptor, length - start, start)
    finally:
        os.close(descriptor)
    return Summary(tail.decode("utf-8", "replace"), length, truncated)
