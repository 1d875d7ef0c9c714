"""One migrated MariaDB database for all tests of a process, instead of one made for each.

To make all tables takes a server a second; to clear them takes it milliseconds.
"""

from __future__ import annotations

from typing import Any

from pymysql.cursors import Cursor

from dcron_common.db import migrations
from tests.contract.records import open_mariadb
from tests.servers.mariadb import MariaDBServer

Rows = tuple[tuple[Any, ...], ...]

NAME = "dcron_contract"
_SHAPE = """SELECT 'column', table_name, column_name, column_type
        FROM information_schema.columns WHERE table_schema = %s
    UNION ALL SELECT 'index', table_name, index_name, CONCAT(seq_in_index, ' ', column_name)
        FROM information_schema.statistics WHERE table_schema = %s
    ORDER BY 1, 2, 3, 4"""
_TABLES = """SELECT table_name, auto_increment FROM information_schema.tables
    WHERE table_schema = %s"""


class MigratedSchema:
    """The database NAME on `server` as migrations make it: the same tables, rows and next numbers
    after each `restore`."""

    def __init__(self, server: MariaDBServer) -> None:
        self._server = server
        self._shape: Rows = ()
        self._rows: dict[str, Rows] = {}

    def restore(self) -> None:
        """Make it, or take away what a test has left in it."""
        with self._server.speak() as cursor:
            if self._shape and self._read(cursor, _SHAPE, NAME, NAME) == self._shape:
                self._clear(cursor)
                return
        self._server.create_database(NAME)
        database = open_mariadb(self._server, NAME)
        migrations.migrate(database)
        database.close()
        with self._server.speak() as cursor:
            self._shape = self._read(cursor, _SHAPE, NAME, NAME)
            self._rows = {
                table: self._read(cursor, f"SELECT * FROM `{NAME}`.`{table}`")  # noqa: S608 (a name of the schema)
                for table, _ in self._tables(cursor)
            }

    def _clear(self, cursor: Cursor) -> None:
        cursor.execute(f"USE `{NAME}`")
        tables = self._tables(cursor)
        cursor.execute("SET foreign_key_checks = 0")  # in whatever order
        cursor.execute("BEGIN")
        for table, _ in tables:
            cursor.execute(f"DELETE FROM `{table}`")  # noqa: S608 (a name of the schema)
            rows = self._rows[table]
            if rows:
                places = ", ".join(["%s"] * len(rows[0]))
                cursor.executemany(f"INSERT INTO `{table}` VALUES ({places})", rows)  # noqa: S608
        cursor.execute("COMMIT")
        for table, following in tables:
            if following not in (None, 1):
                cursor.execute(f"ALTER TABLE `{table}` AUTO_INCREMENT = 1")

    def _tables(self, cursor: Cursor) -> Rows:
        return self._read(cursor, _TABLES, NAME)

    @staticmethod
    def _read(cursor: Cursor, query: str, *values: str) -> Rows:
        cursor.execute(query, values)
        return tuple(cursor.fetchall())
