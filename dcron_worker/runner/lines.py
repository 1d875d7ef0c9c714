"""Records as lines of JSON in files that are only ever appended to.

Each begins and ends with a newline: a line torn by a full disk or a power cut spoils itself
only, and is ignored.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

_READ = 1 << 20


def encode(record: dict[str, Any]) -> bytes:
    """One record as bytes."""
    return b"\n" + json.dumps(record, separators=(",", ":")).encode() + b"\n"


def decode(line: bytes) -> dict[str, Any] | None:
    """None for a line that is empty or torn. Bytes that are no UTF-8, as in a path that a starter
    names, are replaced."""
    try:
        record = json.loads(line.decode("utf-8", "replace")) if line.strip() else None
    except ValueError:
        return None
    return record if isinstance(record, dict) else None


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of `data`; OSError if there is no room for it."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


class Tail:
    """Reads what others append to a file."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
        self._begun = b""  # of a line whose end was not there yet

    def read(self) -> list[dict[str, Any]]:
        """The records that have come since the last call."""
        data = bytearray(self._begun)
        while piece := os.read(self._fd, _READ):
            data += piece
        *whole, self._begun = bytes(data).split(b"\n")
        return [record for record in map(decode, whole) if record is not None]

    def close(self) -> None:
        os.close(self._fd)
