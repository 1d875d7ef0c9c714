"""What was decided without a claim, on disk: nothing else tells of it once the daemon is gone.

A row for each minute, fsynced before anything is done about the minute: how it was closed, or
`running` where it is to be launched, which the launcher's journal tells once it has it. A note
stays until the record has its row and the fence knows of the minute. The file is emptied when none
is left; meanwhile it grows by a line for each minute, as the launcher's journal does.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, fields
from io import FileIO
from pathlib import Path
from typing import Any

from dcron_common.durable import sync_directory
from dcron_common.run import RunRecord, RunState, Trigger
from dcron_worker.runner import lines

log = logging.getLogger(__name__)

_FIELDS = {field.name for field in fields(RunRecord)}


class Notes:
    """Called from the daemon's thread only. OSError: the disk failed, or has no room."""

    def __init__(self, path: Path) -> None:
        """Read what an earlier life of the daemon left; lines that are torn are skipped."""
        self._path = path
        self._left: dict[str, RunRecord] = {}
        with self._open():
            sync_directory(path.parent)
        for line in path.read_bytes().split(b"\n"):
            self._read(lines.decode(line))
        self._standing = set(self._left)

    def __contains__(self, run_id: str) -> bool:
        return run_id in self._standing

    def left(self) -> list[RunRecord]:
        """What an earlier life noted and nobody dropped, oldest first; told once."""
        found, self._left = list(self._left.values()), {}
        return found

    def put(self, rows: Sequence[RunRecord]) -> None:
        """Note these, all or none, in place of what was noted of the same runs."""
        if rows:
            self._append([{"row": asdict(row)} for row in rows])
            self._standing |= {row.run_id for row in rows}

    def drop(self, run_ids: Iterable[str]) -> None:
        """These are recorded and accounted for; such as were not noted are left alone."""
        gone = self._standing.intersection(run_ids)
        if not gone:
            return
        if gone == self._standing:
            with self._open() as file:
                file.truncate(0)
                os.fsync(file.fileno())
        else:
            self._append([{"dropped": sorted(gone)}])
        self._standing -= gone

    def _append(self, records: Iterable[dict[str, Any]]) -> None:
        with self._open() as file:
            before = file.seek(0, os.SEEK_END)
            try:
                lines.write_all(file.fileno(), b"".join(map(lines.encode, records)))
                os.fdatasync(file.fileno())
            except OSError:
                file.truncate(before)  # what is not done must not be told
                raise

    def _open(self) -> FileIO:
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        return FileIO(os.open(self._path, flags, 0o600), "r+")

    def _read(self, record: dict[str, Any] | None) -> None:
        if record is None:
            return
        for run_id in record.get("dropped", ()):
            self._left.pop(run_id, None)
        if "row" in record:
            try:
                row = _row(record["row"])
            except (KeyError, TypeError, ValueError):
                log.exception("%s has a note that cannot be read: %r", self._path, record)
            else:
                self._left[row.run_id] = row


def _row(values: dict[str, Any]) -> RunRecord:
    """Keys of a later version are ignored."""
    known = {name: value for name, value in values.items() if name in _FIELDS}
    words = {"trigger": Trigger(values["trigger"]), "state": RunState(values["state"])}
    return RunRecord(**{**known, **words})
