"""The local tree's persistent nodes in one SQLite file.

A transaction of the tree is one of SQLite's, on disk before anybody is told (WAL,
synchronous=FULL). One process at a time: a second one gets an error that says so. If the disk
refuses, the caller gets CoordinatorError and takes its change of the tree back.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from pathlib import Path

from dcron_common.coordinator.contract import Access
from dcron_common.coordinator.tree import Znode
from dcron_common.errors import CoordinatorError

SCHEMA = """
CREATE TABLE IF NOT EXISTS node (
    path TEXT PRIMARY KEY, data BLOB NOT NULL, version INTEGER NOT NULL,
    created INTEGER NOT NULL, created_zxid INTEGER NOT NULL, modified_zxid INTEGER NOT NULL,
    access TEXT NOT NULL, access_version INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
"""
# Files of before the column existed get it when they are opened: no list was fenced by then.
ADD_ACCESS_VERSION = "ALTER TABLE node ADD COLUMN access_version INTEGER NOT NULL DEFAULT 0"
COLUMNS = "path, data, version, created, created_zxid, modified_zxid, access, access_version"
UPSERT = f"INSERT OR REPLACE INTO node ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608  # a constant
SELECT = f"SELECT {COLUMNS} FROM node"  # noqa: S608  # a constant


class Store:
    """Called under the ensemble's lock; not thread-safe by itself."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._db = sqlite3.connect(
                path, timeout=1.0, isolation_level=None, check_same_thread=False
            )
            self._prepare()
        except sqlite3.OperationalError as error:
            raise CoordinatorError(
                f"{path} cannot be opened ({error}): is another dcron running on this directory?"
            ) from error
        except sqlite3.Error as error:
            raise CoordinatorError(f"{path} is no state of dcron's: {error}") from error

    def _prepare(self) -> None:
        try:
            self._db.execute("PRAGMA locking_mode=EXCLUSIVE")
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            self._db.executescript(SCHEMA)
            columns = {row[1] for row in self._db.execute("PRAGMA table_info(node)")}
            if "access_version" not in columns:
                self._db.execute(ADD_ACCESS_VERSION)
        except sqlite3.Error:
            self._db.close()
            raise

    def load(self) -> dict[str, Znode]:
        """Every node by path. All are persistent: ephemerals are never written."""
        return {
            path: Znode(data, version, created, 0, made, modified, _access(access), access_version)
            for path, data, version, created, made, modified, access, access_version in (
                self._db.execute(SELECT)
            )
        }

    def zxid(self) -> int:
        """The number of the last transaction that was written, 0 at first."""
        row = self._db.execute("SELECT value FROM meta WHERE name = 'zxid'").fetchone()
        return 0 if row is None else int(row[0])

    def write(self, zxid: int, nodes: Iterable[tuple[str, Znode | None]]) -> None:
        """Store the nodes as they are now (None: deleted) in one transaction; CoordinatorError."""
        try:
            self._db.execute("BEGIN IMMEDIATE")
            for path, znode in nodes:
                if znode is None:
                    self._db.execute("DELETE FROM node WHERE path = ?", (path,))
                else:
                    self._db.execute(UPSERT, _row(path, znode))
            self._db.execute("INSERT OR REPLACE INTO meta VALUES ('zxid', ?)", (zxid,))
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise CoordinatorError(f"{self._path} cannot be written: {error}") from error

    def close(self) -> None:
        self._db.close()


def _row(path: str, znode: Znode) -> tuple[str, bytes, int, int, int, int, str, int]:
    return (
        path,
        znode.data,
        znode.version,
        znode.created,
        znode.created_zxid,
        znode.modified_zxid,
        json.dumps(znode.access),
        znode.access_version,
    )


def _access(text: str) -> Access | None:
    entries = json.loads(text)
    return None if entries is None else tuple((name, rights) for name, rights in entries)
