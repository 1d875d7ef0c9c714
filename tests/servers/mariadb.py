"""A real MariaDB server for tests: Debian's mariadbd, one process, a socket and loopback.

It needs Debian's packages mariadb-server-core and mariadb-client-core
(tests/servers/packages.txt), and no root.

    with MariaDBServer(folder) as server:
        pymysql.connect(host=server.host, port=server.port, user=server.user, ...)
"""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import pymysql
from pymysql.cursors import Cursor

from tests.servers.process import end, free_port, launch, wait_until_ready

_PROGRAMS = ("mariadbd", "mariadb-install-db", "my_print_defaults")
_START_SECONDS = 120


def missing() -> str | None:
    """Why no server can be had on this machine, or None."""
    lacking = [name for name in _PROGRAMS if _which(name) is None]
    if lacking:
        return f"{', '.join(lacking)} is not installed (tests/servers/packages.txt)"
    return None


def _which(name: str) -> str | None:
    # mariadbd is in /usr/sbin, which is not on every user's PATH.
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin")


@dataclass
class MariaDBServer:
    """Start with `with`. `user` may do everything; `stop` and `start` keep the data."""

    folder: Path
    port: int = field(default_factory=free_port)
    user: str = "dcron_test"
    password: str = field(default_factory=lambda: secrets.token_hex(16), repr=False)
    host: str = "127.0.0.1"
    options: tuple[str, ...] = ()  # more of mariadbd's, such as those of TLS
    _process: subprocess.Popen[bytes] | None = None

    @property
    def socket(self) -> Path:
        """Where root may log in without a password."""
        return self.folder / "mariadb.sock"

    def create_database(self, name: str) -> None:
        """An empty database, utf8mb4; one of that name is dropped first."""
        self.execute(f"DROP DATABASE IF EXISTS `{name}`")
        self.execute(f"CREATE DATABASE `{name}` CHARACTER SET utf8mb4 COLLATE utf8mb4_bin")

    @contextmanager
    def speak(self) -> Iterator[Cursor]:
        """Statements as root."""
        connection = pymysql.connect(unix_socket=str(self.socket), user="root", autocommit=True)
        with connection, connection.cursor() as cursor:
            yield cursor

    def execute(self, statement: str) -> None:
        """One statement as root."""
        with self.speak() as cursor:
            cursor.execute(statement)

    def start(self) -> None:
        log = self.folder / "mariadb.log"
        self._process = launch(
            [
                str(_which("mariadbd")),
                "--no-defaults",
                f"--datadir={self._data()}",
                f"--tmpdir={self._scratch()}",
                f"--socket={self.socket}",
                f"--pid-file={self.folder / 'mariadb.pid'}",
                f"--port={self.port}",
                f"--bind-address={self.host}",
                f"--user={_account()}",
                "--skip-name-resolve",
                "--performance-schema=OFF",
                "--innodb-buffer-pool-size=64M",
                "--innodb-log-file-size=16M",
                "--character-set-server=utf8mb4",
                # As the cluster's, so that isolation and durability are what production has.
                "--innodb-flush-log-at-trx-commit=1",
                "--binlog-format=ROW",
                *self.options,
            ],
            log,
        )
        wait_until_ready(self._process, self._answers, log, _START_SECONDS)

    def stop(self) -> None:
        if self._process is not None:
            end(self._process)
            self._process = None

    def __enter__(self) -> Self:
        self._scratch().mkdir(parents=True)
        subprocess.run(
            [
                str(_which("mariadb-install-db")),
                "--no-defaults",
                f"--datadir={self._data()}",
                f"--tmpdir={self._scratch()}",
                f"--user={_account()}",
                "--auth-root-authentication-method=normal",
                "--skip-test-db",
            ],
            check=True,
            capture_output=True,
        )
        self.start()
        try:
            # The name is ours and the password hexadecimal: nothing to quote.
            account = f"'{self.user}'@'%'"
            self.execute(f"CREATE USER {account} IDENTIFIED BY '{self.password}'")
            self.execute(f"GRANT ALL ON *.* TO {account} WITH GRANT OPTION")
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _data(self) -> Path:
        return self.folder / "data"

    def _scratch(self) -> Path:
        """Of this server alone: one that starts removes all temporary tables that it finds in its
        folder for them, and one whose table goes so dies by a null pointer."""
        return self.folder / "scratch"

    def _answers(self) -> bool:
        try:
            self.execute("SELECT 1")
        except pymysql.MySQLError:
            return False
        return True


def _account() -> str:
    return pwd.getpwuid(os.getuid()).pw_name
