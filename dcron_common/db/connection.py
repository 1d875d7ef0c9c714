"""The connection to the record, and the only way to run statements on it.

`Database.transaction(work)` repeats the WHOLE of `work` when the database undid it (deadlock,
lock wait, Galera certification) or when the connection was lost before the commit was sent.
`work` must therefore change nothing but the database. A connection lost *in* the commit leaves
the outcome unknown: CommitInDoubt, unless the caller says that `work` looks first (`idempotent`).
When no database serves by the deadline, be it away or full or read-only: DatabaseUnavailable.
DatabaseError is for what would be refused again however long one waits. Nothing ever reconnects
inside a transaction.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import peewee

from dcron_common.clock import SYSTEM, Clock
from dcron_common.db.dialect import Dialect, Failure, MariaDb, Sleep, Sqlite, failure_of, unanswered
from dcron_common.db.models import proxy
from dcron_common.errors import CommitInDoubt, Conflict, DatabaseError, DatabaseUnavailable

log = logging.getLogger(__name__)

T = TypeVar("T")

DEADLINE = 8.0  # seconds; a request has to be answered before its client gives up
_FIRST_PAUSE, _LONGEST_PAUSE = 0.01, 0.5


class Database:
    """One database for this process; safe to use from all threads, each has its connection."""

    def __init__(
        self,
        dialect: Dialect,
        *,
        clock: Clock = SYSTEM,
        sleep: Sleep = time.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._dialect = dialect
        self._clock = clock
        self._sleep = sleep
        self._jitter = jitter
        self._here = threading.local()
        proxy.initialize(dialect)

    @classmethod
    def mariadb(
        cls,
        hosts: Sequence[str],
        name: str,
        user: str,
        password: str,
        ca: Path | str | None,
        *,
        answer_timeout: float = 10.0,
    ) -> Database:
        """A MariaDB behind any of `hosts` ("host:port"), tried in order; TLS if `ca` is given.

        `answer_timeout` bounds a single statement, in seconds.
        """
        path = Path(ca) if ca is not None else None
        return cls(MariaDb(hosts, name, user, password, path, answer_timeout))

    @classmethod
    def sqlite(cls, path: Path | str) -> Database:
        """A file that only this machine uses."""
        return cls(Sqlite(Path(path)))

    @property
    def is_sqlite(self) -> bool:
        """Whether this is a file (else a MariaDB server): for what the two spell differently."""
        return isinstance(self._dialect, Sqlite)

    @property
    def is_mariadb(self) -> bool:
        """Whether this is a MariaDB server."""
        return not self.is_sqlite

    def transaction(
        self,
        work: Callable[[], T],
        *,
        idempotent: bool = False,
        causal: bool = False,
        deadline: float = DEADLINE,
    ) -> T:
        """Run `work` in one transaction, and the whole of it again where that is safe.

        Inside another transaction of this thread `work` joins it. `causal`: its reads see all
        that was committed before on any member (ignored outside Galera). Raises Conflict,
        DatabaseError, DatabaseUnavailable, CommitInDoubt, and whatever `work` raises.
        """
        if self._inside():
            return work()
        return self._repeat(lambda: self._attempt(work, causal, idempotent), deadline)

    def read(self, work: Callable[[], T], *, causal: bool = False, deadline: float = DEADLINE) -> T:
        """Run `work`, which only reads, outside a transaction; again after a lost connection."""
        if self._inside():
            return work()
        return self._repeat(lambda: self._with_waits(work, causal), deadline)

    def execute(self, statement: str) -> None:
        """One statement of the schema's migrations, inside `transaction` or `read`."""
        self._run(statement)

    def columns(self, table: str) -> set[str]:
        """The names of a table's columns; empty where there is no such table."""
        if not self._dialect.table_exists(table):
            return set()
        return {column.name for column in self._dialect.get_columns(table)}

    def check(self) -> None:
        """DatabaseUnavailable unless the database answers now."""
        self.read(lambda: self._run("SELECT 1").fetchone(), deadline=0)

    def close(self) -> None:
        """Close this thread's connection."""
        if not self._dialect.is_closed():
            self._dialect.close()

    def _inside(self) -> bool:
        """Whether this thread is in a transaction. Not peewee's own count of them, which cannot
        bear that the connection goes away in between."""
        return getattr(self._here, "inside", False)

    def _repeat(self, attempt: Callable[[], T], deadline: float) -> T:
        end = self._clock.boot() + deadline
        pause = _FIRST_PAUSE
        while True:
            try:
                self._dialect.connect(reuse_if_open=True)
                return attempt()
            except (peewee.PeeweeException, OSError) as error:
                failure = failure_of(error)
                if failure in (Failure.LOST, Failure.UNFIT):  # another member may serve
                    self._dialect.dispose()
                if isinstance(error, peewee.IntegrityError):
                    raise Conflict(str(error)) from error
                if failure is Failure.REFUSED:
                    raise DatabaseError(str(error)) from error
                if self._clock.boot() >= end:
                    raise DatabaseUnavailable(f"no database served in time: {error}") from error
                log.info("database transaction is repeated: %s", error)
            self._sleep(pause * self._jitter())
            pause = min(_LONGEST_PAUSE, pause * 2)

    def _attempt(self, work: Callable[[], T], causal: bool, idempotent: bool) -> T:
        self._here.inside = True
        try:
            if causal:
                self._wait_for_others(True)
            self._dialect.begin()
            try:
                result = work()
            except BaseException:
                self._undo()
                raise
            self._commit(idempotent)
            if causal:
                self._wait_for_others(False)
            return result
        finally:
            self._here.inside = False

    def _commit(self, idempotent: bool) -> None:
        try:
            self._dialect.commit()
        except (peewee.PeeweeException, OSError) as error:
            if unanswered(error) and not idempotent:
                self._dialect.dispose()
                raise CommitInDoubt(f"the connection was lost in a commit: {error}") from error
            self._undo()
            raise

    def _undo(self) -> None:
        try:
            self._dialect.rollback()
        except (peewee.PeeweeException, OSError):
            self._dialect.dispose()  # the server undoes what a closed connection began

    def _with_waits(self, work: Callable[[], T], causal: bool) -> T:
        if not causal:
            return work()
        self._wait_for_others(True)
        result = work()
        self._wait_for_others(False)
        return result

    def _wait_for_others(self, wait: bool) -> None:
        """Make reads of this connection wait until this member has applied what others wrote."""
        if self._dialect.galera:
            self._run(f"SET SESSION wsrep_sync_wait={int(wait)}")

    def _run(self, statement: str) -> Any:
        return self._dialect.execute_sql(statement)  # type: ignore[no-untyped-call]  # peewee
