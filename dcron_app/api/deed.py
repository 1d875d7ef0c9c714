"""What is asked of workers, and its row in the audit.

The row comes before the effect, in a transaction of its own: written afterwards, it would be
missing where the database goes away in between, and nothing is done that the audit does not tell.
It comes after every check that can refuse, just before the first request is committed, so that a
refusal leaves none. What can still follow is a lost race (the fence moved at each try, the run
ended meanwhile): the row stands, for rows are only added, and a second one says that it was
refused. Where it is in doubt what was done no second one is written.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from dcron_app.api.errors import InDoubt, Problem
from dcron_app.api.services import Services
from dcron_common.auditing import Action
from dcron_common.db import audit
from dcron_common.errors import DatabaseError

log = logging.getLogger(__name__)


class Deed:
    """One request that is served: `action` on a job, `what` the audit keeps of it."""

    def __init__(
        self, services: Services, user: str, action: Action, job_id: int, what: dict[str, Any]
    ) -> None:
        self._services = services
        self._user, self._action, self._job_id, self._what = user, action, job_id, what
        self._told = False

    def tell(self) -> None:
        """Write the row, once; to be called before each request of a worker. DatabaseError: nothing
        may be asked for."""
        if not self._told:
            self._write(self._what)
            self._told = True

    @contextmanager
    def refused(self) -> Iterator[None]:
        """Notes a refusal that follows the row."""
        try:
            yield
        except InDoubt:
            raise
        except Problem as error:
            if self._told:
                self._unsay(error.detail)
            raise

    def _unsay(self, why: str) -> None:
        try:
            self._write({**self._what, "refused": why})
        except DatabaseError as error:  # the answer is the refusal all the same
            log.warning(
                "a refusal was not audited action=%s job=%s user=%s: %s",
                *(self._action, self._job_id, self._user, error),
            )

    def _write(self, what: dict[str, Any]) -> None:
        now = self._services.clock.wall()
        audit.note(self._services.database, now, self._user, self._action, self._job_id, what)
