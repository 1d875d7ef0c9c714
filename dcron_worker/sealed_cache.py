"""What was last sealed for this worker, in a folder of its own: a file (0600) for each secret.

Sealed, not opened: whoever takes the folder needs the worker's key, too. With the database away
jobs get their secrets from here. It may be lost at any time. OSError: the disk failed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable
from pathlib import Path

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")  # of a secret, and so of a file


class SealedCache:
    """`directory` is made, closed to everybody else. Safe to use from several threads."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        directory.chmod(0o700)

    def read(self, names: Iterable[str]) -> dict[str, str]:
        """What is kept of these secrets, by name."""
        found: dict[str, str] = {}
        for name in names:
            if _NAME.fullmatch(name):
                try:
                    found[name] = (self._directory / name).read_text(encoding="ascii")
                except (OSError, UnicodeDecodeError):
                    continue  # as good as not there
        return found

    def write(self, name: str, sealed: str) -> None:
        """Keep what is sealed of a secret, unless it is kept already."""
        if not _NAME.fullmatch(name) or self.read([name]).get(name) == sealed:
            return
        new = self._directory / f".{name}.new"
        new.unlink(missing_ok=True)
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(sealed)
            file.flush()
            os.fsync(file.fileno())
        new.rename(self._directory / name)

    def names(self) -> list[str]:
        """All that is kept."""
        return sorted(x.name for x in self._directory.iterdir() if _NAME.fullmatch(x.name))

    def retain(self, wanted: Collection[str]) -> None:
        """Remove what no job here names any more."""
        for name in self.names():
            if name not in wanted:
                (self._directory / name).unlink(missing_ok=True)
