"""One migrated MariaDB database for all tests of a process, instead of one made for each.

To make all tables takes a server a second; to clear them takes it milliseconds.
"""

from __future__ import annotations

import re
from typing import Any

from pymysql.cursors import Cursor

from dcron_common.db import migrations
from tests.contract.records import open_mariadb
from tests.servers.mariadb import MariaDBServer

Rows = tuple[tuple[Any, ...], ...]

NAME = "dcron_contract"
_TABLES = """SELECT table_name, auto_increment FROM information_schema.tables
    WHERE table_schema = %s ORDER BY table_name"""
_TRIGGERS = """SELECT trigger_name, action_statement FROM information_schema.triggers
    WHERE trigger_schema = %s ORDER BY trigger_name"""
_NEXT_NUMBER = re.compile(r" AUTO_INCREMENT=\d+")  # a row's doing, not the schema's
_LOCK_SECONDS = 20  # a test that left a transaction open fails the next instead of holding it up


class MigratedSchema:
    """The database NAME on `server` as migrations make it: the same tables, rows and next numbers
    after each `restore`."""

    def __init__(self, server: MariaDBServer) -> None:
        self._server = server
        self._shape: Rows | None = None
        self._rows: dict[str, Rows] = {}

    def restore(self) -> None:
        """Make it, or take away what a test has left in it. What the server remembers of rows that
        were there, such as statistics, stays: where a plan matters, ANALYZE comes before."""
        if self.is_as_made():
            self._clear()
            return
        self._make()
        with self._server.speak() as cursor:
            self._shape = self._look(cursor)
            self._rows = {
                table: self._read(cursor, f"SELECT * FROM `{NAME}`.`{table}`")  # noqa: S608 (a name of the schema)
                for table in self._numbers(cursor)
            }

    def is_as_made(self) -> bool:
        """Whether the tables are, whatever rows there are."""
        with self._server.speak() as cursor:
            return self._look(cursor) == self._shape

    def _make(self) -> None:
        self._server.create_database(NAME)
        database = open_mariadb(self._server, NAME)
        try:
            migrations.migrate(database)
        finally:
            database.close()

    def _look(self, cursor: Cursor) -> Rows:
        shape = self._read(cursor, _TRIGGERS, NAME)
        for table in self._numbers(cursor):
            [[_, text]] = self._read(cursor, f"SHOW CREATE TABLE `{NAME}`.`{table}`")
            shape += ((table, _NEXT_NUMBER.sub("", text)),)
        return shape

    def _clear(self) -> None:
        with self._server.speak() as cursor:
            cursor.execute(f"USE `{NAME}`")
            cursor.execute(f"SET lock_wait_timeout = {_LOCK_SECONDS}")
            cursor.execute("SET foreign_key_checks = 0")  # in whatever order
            numbers = self._numbers(cursor)
            cursor.execute("BEGIN")
            for table in numbers:
                cursor.execute(f"DELETE FROM `{table}`")  # noqa: S608 (a name of the schema)
                self._insert(cursor, table)
            cursor.execute("COMMIT")
            for table, number in numbers.items():
                if number not in (None, 1):
                    cursor.execute(f"ALTER TABLE `{table}` AUTO_INCREMENT = 1")

    def _insert(self, cursor: Cursor, table: str) -> None:
        rows = self._rows[table]
        if rows:
            places = ", ".join(["%s"] * len(rows[0]))
            cursor.executemany(f"INSERT INTO `{table}` VALUES ({places})", rows)  # noqa: S608 (a name of the schema)

    def _numbers(self, cursor: Cursor) -> dict[str, int | None]:
        """The tables, and the next number of each that hands out numbers."""
        return dict(self._read(cursor, _TABLES, NAME))

    @staticmethod
    def _read(cursor: Cursor, query: str, *values: str) -> Rows:
        cursor.execute(query, values)
        return tuple(cursor.fetchall())
