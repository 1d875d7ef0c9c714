"""The two databases as peewee sees them: how a connection is opened, and what its errors mean.

MariaDB: the hosts are tried in their order; a member that is not part of the primary component
(1047) is passed over. TLS is verified against the cluster's CA, and the certificate must name the
host as configured: each member's names the addresses of its proxies, too.
SQLite: WAL, synchronous=FULL, writers wait for each other.
"""

from __future__ import annotations

import contextlib
import logging
import ssl
from collections.abc import Callable, Sequence
from enum import Enum
from pathlib import Path
from typing import Any

import peewee
import pymysql

log = logging.getLogger(__name__)

DEFAULT_PORT = 3306
# Lock conflicts and certification failures: the whole transaction was undone, do it again.
# 1213 deadlock, 1205 lock wait timeout.
CONTENDED = frozenset({1213, 1205})
# This member cannot serve, another one may: 1047 not in the primary component, 1053 shutting
# down, 1927 connection killed, 1040 too many connections, 2002/2003 cannot connect,
# 2006/2013/2055 gone, 0 pymysql on a closed socket.
LOST = frozenset({1047, 1053, 1927, 1040, 2002, 2003, 2006, 2013, 2055, 0})
# pymysql: no answer came back, so the server may have gone on (1047 and the like are answers).
UNANSWERED = frozenset({2006, 2013, 2055, 1927, 1053, 0})
_UNKNOWN_VARIABLE = 1193


class Failure(Enum):
    """What an error of a statement means for the transaction that it stood in."""

    CONTENDED = "contended"
    LOST = "lost"
    REFUSED = "refused"


def code_of(error: BaseException) -> int | None:
    """The server's (or pymysql's) number of an error, None where it has none."""
    first = error.args[0] if error.args else None
    if isinstance(first, BaseException):  # peewee wraps the original as the first argument
        return code_of(first)
    return first if isinstance(first, int) else None


def failure_of(error: BaseException) -> Failure:
    """Which kind of failure `error` (peewee's or pymysql's) is."""
    code = code_of(error)
    if code in CONTENDED:
        return Failure.CONTENDED
    if code in LOST or isinstance(error, (peewee.InterfaceError, OSError)):
        return Failure.LOST
    if isinstance(error, peewee.OperationalError) and "database is locked" in str(error):
        return Failure.CONTENDED
    return Failure.REFUSED


def unanswered(error: BaseException) -> bool:
    """Whether the server may have carried out what this error answers."""
    code = code_of(error)
    return code in UNANSWERED or (code is None and failure_of(error) is Failure.LOST)


class Sqlite(peewee.SqliteDatabase):
    """A file. `begin` takes the write lock at once: a later upgrade could only fail."""

    galera = False

    def __init__(self, path: Path) -> None:
        super().__init__(
            str(path),
            pragmas=(("journal_mode", "wal"), ("synchronous", "full"), ("foreign_keys", 1)),
            timeout=5,
            autoconnect=False,
            check_same_thread=False,  # each thread has its own; another only closes it
        )

    def begin(self, lock_type: str | None = None) -> None:
        super().begin(lock_type or "IMMEDIATE")


class MariaDb(peewee.MySQLDatabase):
    """One of several hosts, by TLS where a CA is given."""

    sql_mode = "STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION,ERROR_FOR_DIVISION_BY_ZERO"

    def __init__(
        self,
        hosts: Sequence[str],
        name: str,
        user: str,
        password: str,
        ca: Path | None,
        answer_timeout: float,
    ) -> None:
        self._hosts = [_host_and_port(host) for host in hosts]
        self.galera = False
        options: dict[str, Any] = {"user": user, "password": password}
        if ca is not None:
            options["ssl"] = ssl.create_default_context(cafile=str(ca))
        super().__init__(
            name,
            autoconnect=False,
            connect_timeout=3,
            read_timeout=answer_timeout,
            write_timeout=answer_timeout,
            init_command="SET SESSION time_zone='+00:00', tx_isolation='READ-COMMITTED'",
            **options,
        )
        # peewee guards thread-local state by one lock and connects under it: with a dead host
        # every thread would wait for every other thread's timeout.
        self._lock = contextlib.nullcontext()

    def _connect(self) -> Any:
        problem: Exception = pymysql.err.OperationalError(2003, "no database host is configured")
        for host, port in self._hosts:
            try:
                return self._connect_to(host, port)
            except (pymysql.err.Error, OSError) as error:
                if failure_of(error) is not Failure.LOST:
                    raise  # a wrong password or name is the same everywhere
                log.warning("database host refused host=%s port=%d: %s", host, port, error)
                problem = error
        if isinstance(problem, OSError):
            raise pymysql.err.OperationalError(2003, str(problem)) from problem
        raise problem

    def _connect_to(self, host: str, port: int) -> Any:
        connection = pymysql.connect(
            database=self.database, host=host, port=port, autocommit=True, **self.connect_params
        )
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1")  # 1047 shows itself at the first statement only
                self.galera = _is_galera(cursor)
        except BaseException:
            connection.close()
            raise
        return connection


def _is_galera(cursor: Any) -> bool:
    try:
        cursor.execute("SELECT @@wsrep_on")
    except pymysql.err.Error as error:
        if code_of(error) == _UNKNOWN_VARIABLE:
            return False
        raise
    return bool(cursor.fetchone()[0])


def _host_and_port(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or host.endswith(":") or port.endswith("]"):
        return text.strip("[]"), DEFAULT_PORT
    return host.strip("[]"), int(port)


Dialect = Sqlite | MariaDb
Sleep = Callable[[float], None]
