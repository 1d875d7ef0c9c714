"""A database account as the one who has its password uses it: what it may say to the record."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pymysql
from pymysql.cursors import Cursor

from dcron_common.db.connection import Database
from tests.contract.records import open_as
from tests.servers.mariadb import MariaDBServer

DENIED = (1142, 1143)  # a table's right, a column's right


@dataclass(frozen=True)
class Account:
    """`record`: the name of the database that it is for."""

    record: str
    name: str
    password: str

    def create(self, server: MariaDBServer) -> None:
        """Make it, with no right."""
        server.execute(f"CREATE USER {self.name}@'%' IDENTIFIED BY '{self.password}'")

    def drop(self, server: MariaDBServer) -> None:
        server.execute(f"DROP USER {self.name}@'%'")

    def open(self, server: MariaDBServer) -> Database:
        """The record as dcron has it with this account."""
        return open_as(server, self.record, self.name, self.password)

    @contextmanager
    def speaking(self, server: MariaDBServer) -> Iterator[Cursor]:
        """Statements of its own."""
        where = {"host": server.host, "port": server.port, "database": self.record}
        with (
            pymysql.connect(**where, user=self.name, password=self.password) as connection,
            connection.cursor() as cursor,
        ):
            yield cursor


def refused(cursor: Cursor, statement: str) -> bool:
    """Whether a right is missing for it; AssertionError where it fails for another reason."""
    try:
        cursor.execute(statement)
    except pymysql.MySQLError as error:
        assert error.args[0] in DENIED, error
        return True
    return False
