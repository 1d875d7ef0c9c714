"""What the launcher knows, on disk: one file of JSON lines, only ever appended to.

launch   written and fsynced, a whole batch at once, before any of its runs is started
started  only when the file is written anew: at first it stands in a starter's log
ended    fsynced in small groups before the daemon is told
ack      the run is forgotten

A lock beside it tells that a launcher uses it.
"""

from __future__ import annotations

import fcntl
import logging
import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from dcron_common.durable import sync_directory
from dcron_common.errors import LaunchError
from dcron_worker.runner import lines

log = logging.getLogger(__name__)


class Journal:
    """Opening it takes the lock: LaunchError if another launcher keeps it for `patience` s."""

    def __init__(self, directory: Path, patience: float = 10.0) -> None:
        self._directory = directory
        self._path = directory / "journal"
        self._lock = os.open(directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        self._take_lock(patience)
        self._fd = self._open(self._path)
        self.records = 0

    def read(self) -> Iterator[dict[str, Any]]:
        """Every record, oldest first; unreadable lines are skipped."""
        with self._path.open("rb") as file:
            for line in file:
                if not line.strip():
                    continue
                self.records += 1
                record = lines.decode(line)
                if record is None:
                    log.warning("skipped a torn line of %s", self._path)
                else:
                    yield record

    def append(self, records: Iterable[dict[str, Any]]) -> None:
        """Write records with one call and make them durable. OSError: they may be there or not."""
        batch = list(records)
        lines.write_all(self._fd, b"".join(lines.encode(record) for record in batch))
        os.fdatasync(self._fd)
        self.records += len(batch)

    def rewrite(self, records: Iterable[dict[str, Any]]) -> None:
        """Replace the journal by `records`. OSError: the old one stays."""
        batch = list(records)
        new = self._path.with_name("journal.new")
        new.unlink(missing_ok=True)
        descriptor = self._open(new)
        try:
            lines.write_all(descriptor, b"".join(lines.encode(record) for record in batch))
            os.fsync(descriptor)
            new.rename(self._path)
        except OSError:
            os.close(descriptor)
            new.unlink()
            raise
        sync_directory(self._directory)
        os.close(self._fd)
        self._fd = descriptor
        self.records = len(batch)

    def close(self) -> None:
        """Give up the lock."""
        os.close(self._fd)
        os.close(self._lock)

    def _take_lock(self, patience: float) -> None:
        deadline = time.monotonic() + patience
        while True:
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError as error:
                if time.monotonic() > deadline:
                    raise LaunchError(
                        f"another launcher uses {self._directory}: stop it first"
                    ) from error
                time.sleep(0.02)  # until the deadline above

    @staticmethod
    def _open(path: Path) -> int:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
