"""An attempt at a password: it takes a place among few, and gives it back unless the password was
looked at and wrong. A database that fails meanwhile makes nobody's password a wrong one."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from dcron_app.api.errors import Problem, unavailable
from dcron_app.api.services import Services
from dcron_app.passwords import Busy, Passwords
from dcron_common.db import login_limits
from dcron_common.db.login_limits import Subject
from dcron_common.errors import DatabaseError

log = logging.getLogger(__name__)


class Attempt:
    """`failed`: a password was looked at, and was wrong."""

    def __init__(self, passwords: Passwords) -> None:
        self._passwords = passwords
        self.failed = False

    def matches(self, stored: str | None, password: str) -> bool:
        """As of `Passwords`; what does not match counts. Busy, which does not."""
        right = self._passwords.matches(stored, password)
        self.failed |= not right
        return right


class Attempts:
    """Of all users and addresses."""

    def __init__(self, services: Services) -> None:
        self._services = services

    @contextmanager
    def one(self, subjects: Sequence[Subject]) -> Iterator[Attempt]:
        """Around the check of a password, which `Attempt.matches` does. Problem 429, Retry-After,
        where one of the subjects has failed too often; 503 where too many ask at once."""
        database, now = self._services.database, self._services.clock.wall()
        wait = login_limits.take(database, subjects, now)
        if wait is not None:
            raise Problem(
                429,
                f"too many wrong passwords; try again in {wait} s",
                headers={"Retry-After": str(wait)},
            )
        attempt = Attempt(self._services.passwords)
        try:
            yield attempt
        except Busy as error:
            raise unavailable(str(error)) from error
        finally:
            if not attempt.failed:
                self._give_back(subjects)

    def _give_back(self, subjects: Sequence[Subject]) -> None:
        try:
            login_limits.give_back(self._services.database, subjects)
        except DatabaseError as error:
            # Nothing was wrong all the same; the count is one too high for some minutes.
            log.warning("an attempt that did not fail stays counted: %s", error)
