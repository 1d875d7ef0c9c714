"""What dcron asks of an object store. One contract suite runs against every implementation.

Failures: ObjectNotFound for a key that is not there, ObjectStoreUnavailable where asking again
later may help (no answer, no bucket, no right, no space), ObjectStoreError for all others.
Implementations retry within bounds and may be used from many threads.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from dcron_common.durable import sync_directory
from dcron_common.errors import ObjectStoreError, ObjectStoreUnavailable

CHUNK = 1 << 16
PAGE = 1000  # keys of one list, at most
EXECUTABLES, OUTPUTS, RETIRED = "executables/", "outputs/", "retired/"
MAX_KEY = 512
_SEGMENT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,199}")


def check_key(key: str) -> str:
    """The key itself, if it is one: segments of plain characters, joined by `/`.

    Keys are made by the server and never hold a user's text; so this refuses only mistakes and
    attacks: `..`, hidden names, absolute paths, control characters. ObjectStoreError.
    """
    if not is_key(key):
        raise ObjectStoreError(f"{key[:80]!r} is no key of an object")
    return key


def is_key(text: str) -> bool:
    """Whether an object of ours can be called so."""
    return len(text) <= MAX_KEY and all(_SEGMENT.fullmatch(part) for part in text.split("/"))


def executable_key(sha256: str) -> str:
    """Where the executable with this SHA-256 (lower-case hex) lies."""
    if re.fullmatch(r"[0-9a-f]{64}", sha256) is None:
        raise ObjectStoreError(f"{sha256[:80]!r} is no SHA-256")
    return check_key(f"{EXECUTABLES}{sha256}")


def output_key(worker: str, run_id: str) -> str:
    """Where the whole output of a run lies: by its worker first, so that a store that knows
    rights by prefix can keep each worker to its own."""
    return check_key(f"{OUTPUTS}{worker}/{run_id}")


def retired_key(sha256: str) -> str:
    """Where an executable's copy lies while it is being removed (manager/files.py)."""
    return RETIRED + executable_key(sha256).removeprefix(EXECUTABLES)


@dataclass(frozen=True, slots=True)
class Listed:
    """An object as a list names it. `modified`: epoch seconds of its last put, by the store's
    clock."""

    key: str
    modified: float


class ObjectStore(ABC):
    """Objects by key; each is written whole or not at all, and read as it was last written."""

    @abstractmethod
    def put(
        self, key: str, data: bytes | BinaryIO, content_type: str = "application/octet-stream"
    ) -> None:
        """Write an object, from bytes or from a file that can be read again from its beginning;
        one that is there is replaced. Durable when this returns."""

    @abstractmethod
    def stream(self, key: str) -> Iterator[bytes]:
        """The object's bytes in pieces. ObjectNotFound comes at the first piece; a connection
        lost midway raises, it never ends the stream early."""

    @abstractmethod
    def size(self, key: str) -> int:
        """Length in bytes."""

    @abstractmethod
    def exists(self, key: str) -> bool:
        """Is there such an object? Raises if that cannot be told."""

    @abstractmethod
    def delete(self, key: str) -> None:
        """Remove the object; none to remove is no error."""

    @abstractmethod
    def listed(self, prefix: str, after: str = "", limit: int = PAGE) -> list[Listed]:
        """At most `limit` (1 to PAGE) objects whose key begins with `prefix`, a folder and its
        slash, and is above `after`; ascending, as bytes compare. Fewer than `limit`: these were
        the last. One that is not below `prefix`, or is no key of ours, is not named."""

    @abstractmethod
    def url(self, key: str) -> str:
        """The object's address, for people to read. It opens no access."""

    @abstractmethod
    def ready(self) -> None:
        """Ask the store for a sign of life; ObjectStoreUnavailable says what is wrong."""

    def get(self, key: str) -> bytes:
        """The object, whole."""
        return b"".join(self.stream(key))

    def fetch(self, key: str, destination: Path, sha256: str | None) -> None:
        """Copy the object to a file, which appears complete, checked and durable, or not at all.

        `sha256` (lower-case hex) is compared unless it is None; a difference is ObjectStoreError.
        The temporary file stands beside `destination`, so that the rename is atomic.
        """
        check_key(key)
        try:
            self._fetch(key, destination, sha256)
        except OSError as error:
            raise ObjectStoreUnavailable(f"{destination}: {error.strerror or error}") from error

    def _fetch(self, key: str, destination: Path, sha256: str | None) -> None:
        handle, name = tempfile.mkstemp(prefix=".fetch-", suffix=".part", dir=destination.parent)
        temporary = Path(name)
        try:
            digest = hashlib.sha256()
            with os.fdopen(handle, "wb") as file:
                for piece in self.stream(key):
                    digest.update(piece)
                    file.write(piece)
                file.flush()
                os.fsync(file.fileno())
            if sha256 is not None and digest.hexdigest() != sha256:
                raise ObjectStoreError(
                    f"{key}: its SHA-256 is {digest.hexdigest()}, not {sha256}; post the job again"
                )
            temporary.replace(destination)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        sync_directory(destination.parent)
