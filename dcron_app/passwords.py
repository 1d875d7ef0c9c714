"""Passwords: what one may be, and its argon2id hash. Neither is ever in a log or a message.

A hash takes some 50 ms and 64 MiB by design. Few are computed at a time, whatever many ask for, and
none of a text that is longer than a password can be.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from dcron_app.api import text
from dcron_common.errors import DcronError

# A request of 1 KiB holds it, even where JSON needs six bytes for a character of two.
MAX_BYTES = 256
MIN_CHARACTERS = 12


class Busy(DcronError):
    """Others have their passwords hashed now."""


def bounded(password: str) -> str:
    """A text that may be somebody's password. ValueError, without the text."""
    text.line(password)
    if len(password.encode()) > MAX_BYTES:
        raise ValueError(f"is too long; {MAX_BYTES} bytes are the most")
    return password


def acceptable(password: str) -> str:
    """A text that may become a password. ValueError, without the text."""
    if len(bounded(password)) < MIN_CHARACTERS:
        raise ValueError(f"is too short; {MIN_CHARACTERS} characters are the least")
    return password


class Passwords:
    """Hashes and checks; safe to use from all threads. `places`: how many at a time; who has to
    wait for longer than `patience` seconds gets Busy."""

    def __init__(
        self, hasher: PasswordHasher | None = None, *, places: int = 1, patience: float = 2.0
    ) -> None:
        self._hasher = hasher or PasswordHasher()
        self._places = threading.BoundedSemaphore(places)
        self._patience = patience

    def hash(self, password: str) -> str:
        """What is stored of a password; each time another. ValueError if it is too long."""
        with self._place():
            return self._hasher.hash(bounded(password))

    def matches(self, stored: str | None, password: str) -> bool:
        """Whether it is the password of this hash. For None, who has no password, it takes as long:
        the time does not tell who there is."""
        with self._place():
            against = self._nobodys if stored is None else stored
            try:
                right = self._hasher.verify(against, bounded(password))
            except (VerificationError, InvalidHashError):
                return False
            return right and stored is not None

    def outdated(self, stored: str) -> bool:
        """Whether new hashes are made by other parameters than this one."""
        return self._hasher.check_needs_rehash(stored)

    def prepare(self) -> None:
        """Make what the first check would else make, in its own time."""
        with self._place():
            self._nobodys  # noqa: B018  # made at its first use, which must not be told by its time

    @cached_property
    def _nobodys(self) -> str:
        return self._hasher.hash("nobody's password")

    @contextmanager
    def _place(self) -> Iterator[None]:
        if not self._places.acquire(timeout=self._patience):
            raise Busy("others log in now; try again soon")
        try:
            yield
        finally:
            self._places.release()
