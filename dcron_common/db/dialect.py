"""The two databases as peewee sees them: how a connection is opened, and what its errors mean.

MariaDB: the hosts are tried in their order; a member that is not part of the primary component
(1047) is passed over. TLS is verified against the cluster's CA, and the certificate must name the
host as configured: each member's names the addresses of its proxies, too. A statement longer
than the server takes is refused before it is sent: the server would close the connection in the
middle of it, which looks like an outage and would be tried again for ever. A connection behind
which nobody is left is found out while it is idle: that of a node to the virtual address which it
held itself ends when the address moves, and nothing tells it.
SQLite: WAL, synchronous=FULL, writers wait for each other.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import sqlite3
import ssl
from collections.abc import Callable, Sequence
from enum import Enum
from pathlib import Path
from typing import Any

import peewee
import pymysql

log = logging.getLogger(__name__)

DEFAULT_PORT = 3306
CONNECT = 3.0  # seconds for each step of making a connection
# An idle connection is asked after 10 s, three times, 3 s apart, and is lost 19 s after its end.
KEEPALIVE = {
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE): 1,
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE): 10,
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL): 3,
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT): 3,
}
# Lock conflicts and certification failures: the whole transaction was undone, do it again.
# 1213 deadlock, 1205 lock wait timeout.
CONTENDED = frozenset({1213, 1205})
# This member cannot serve, another one may: 1047 not in the primary component, 1053 shutting
# down, 1927 connection killed, 1040 too many connections, 2002/2003 cannot connect,
# 2006/2013/2055 gone, 0 pymysql on a closed socket.
LOST = frozenset({1047, 1053, 1927, 1040, 2002, 2003, 2006, 2013, 2055, 0})
# pymysql: no answer came back, so the server may have gone on (1047 and the like are answers).
UNANSWERED = frozenset({2006, 2013, 2055, 1927, 1053, 0})
# The server answers, but something around the statement is wrong, and may be mended or be right
# on another member: 1021 disk full, 1030 storage engine, 1114 table full, 1135 no thread, 1142
# command denied, 1146 no such table, 1203 too many connections of this user, 1290 an option
# (read_only) prevents it, 1836 read only. Whoever wrote the row cannot help it, and waits.
UNFIT = frozenset({1021, 1030, 1114, 1135, 1142, 1146, 1203, 1290, 1836})
# The same of SQLite: 7 no memory, 8 read only, 10 disk I/O, 13 disk full, 14 cannot open.
_SQLITE_UNFIT = frozenset({7, 8, 10, 13, 14})
_UNKNOWN_VARIABLE = 1193
_PACKET_TOO_LARGE = 1153
_COMMAND_BYTES = 2  # of a packet beside the statement; a packet must stay below the bound


class Failure(Enum):
    """What an error of a statement means for the transaction that it stood in."""

    CONTENDED = "contended"
    LOST = "lost"
    UNFIT = "unfit"
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
    if code in UNFIT or _sqlite_unfit(error):
        return Failure.UNFIT
    return Failure.REFUSED


def _sqlite_unfit(error: BaseException) -> bool:
    original = error.__context__  # peewee raises its own error while it handles sqlite3's
    code = original.sqlite_errorcode if isinstance(original, sqlite3.Error) else None
    if code is None:
        return False
    return code & 0xFF in _SQLITE_UNFIT or str(error).startswith("no such table")


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


class _Connection(pymysql.connections.Connection):
    """`longest`: bytes of the longest statement that the server takes, None while unknown."""

    longest: int | None = None

    def connect(self, sock: socket.socket | None = None) -> None:
        dialled = (
            socket.create_connection((self.host, self.port), CONNECT) if sock is None else sock
        )
        try:
            dialled.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for (level, option), value in KEEPALIVE.items():
                dialled.setsockopt(level, option, value)
        except OSError:
            dialled.close()
            raise
        super().connect(dialled)

    def be_patient(self, seconds: float) -> None:
        """Let statements take this long from now on."""
        self._read_timeout = self._write_timeout = seconds

    def query(self, sql: str | bytes, unbuffered: bool = False) -> Any:
        data = sql.encode(self.encoding, "surrogateescape") if isinstance(sql, str) else sql
        if self.longest is not None and len(data) > self.longest:
            raise pymysql.err.DataError(
                _PACKET_TOO_LARGE,
                f"a statement of {len(data)} bytes is longer than the server's "
                f"max_allowed_packet allows ({self.longest})",
            )
        return super().query(data, unbuffered)


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
        self._answer_timeout = answer_timeout
        self._hosts = [_host_and_port(host) for host in hosts]
        self.galera = False
        options: dict[str, Any] = {"user": user, "password": password}
        if ca is not None:
            options["ssl"] = ssl.create_default_context(cafile=str(ca))
        super().__init__(
            name,
            autoconnect=False,
            connect_timeout=CONNECT,
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
                if failure_of(error) not in (Failure.LOST, Failure.UNFIT):
                    raise  # a wrong password or name is the same everywhere
                log.warning("database host refused host=%s port=%d: %s", host, port, error)
                problem = error
        if isinstance(problem, OSError):
            raise pymysql.err.OperationalError(2003, str(problem)) from problem
        raise problem

    def _connect_to(self, host: str, port: int) -> Any:
        # A server that takes the connection and then says nothing must not cost more than one
        # that cannot be reached: the longer patience is for statements.
        params = {**self.connect_params, "read_timeout": CONNECT, "write_timeout": CONNECT}
        connection = _Connection(
            database=self.database, host=host, port=port, autocommit=True, **params
        )
        try:
            with connection.cursor() as cursor:
                # 1047 shows itself at the first statement only
                cursor.execute("SELECT @@max_allowed_packet")
                (largest,) = cursor.fetchone() or (None,)
                connection.longest = None if largest is None else largest - _COMMAND_BYTES
                self.galera = _is_galera(cursor)
            connection.be_patient(self._answer_timeout)
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
