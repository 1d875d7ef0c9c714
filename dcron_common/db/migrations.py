"""Bringing the schema up to this release, step by step (`schema/`).

A step may be repeated: MariaDB commits each statement by itself, so an interrupted step is simply
taken again. Release n works with schema n and n+1 (P16): `migrate` comes first, then the processes
are restarted one by one.
"""

from __future__ import annotations

import logging

from dcron_common.clock import SYSTEM, Clock
from dcron_common.db.connection import Database
from dcron_common.db.lookups import catch_up
from dcron_common.db.models import SchemaVersion
from dcron_common.db.schema import STEPS
from dcron_common.db.schema.step import Step
from dcron_common.errors import DatabaseError

log = logging.getLogger(__name__)

# What the two databases spell differently. Texts may pass 64 KiB, so MariaDB's TEXT is too small.
_MARIADB = {
    "id": "BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY",
    "text": "MEDIUMTEXT",
    "end": "ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin",
}
_SQLITE = {
    "id": "INTEGER PRIMARY KEY AUTOINCREMENT",  # numbers are never handed out twice
    "text": "TEXT",
    "end": "",
}


LATEST = STEPS[-1].version

_VERSION_TABLE = """CREATE TABLE IF NOT EXISTS `schema_version` (
    `version` INTEGER NOT NULL PRIMARY KEY,
    `applied_at` DOUBLE PRECISION NOT NULL,
    `description` VARCHAR(128) NOT NULL
) {end}"""


def current(database: Database) -> int:
    """The schema's version; 0 for an empty database."""

    def look() -> int:
        if not database.columns("schema_version"):
            return 0
        newest = SchemaVersion.select().order_by(SchemaVersion.version.desc()).first()
        return newest.version if newest is not None else 0

    return database.read(look)


def migrate(database: Database, *, clock: Clock = SYSTEM) -> int:
    """Take every step that is missing; the version reached. Safe to repeat and to interrupt.

    What is derived from other rows is brought up to date, too: a release that did not know of it
    may have written meanwhile.
    """
    found = current(database)
    _refuse_newer(found)
    words = _SQLITE if database.is_sqlite else _MARIADB
    database.read(lambda: database.execute(_VERSION_TABLE.format(**words)))
    # Not all above the newest: a database that followed the development may lack one in between.
    taken = database.read(lambda: {row.version for row in SchemaVersion.select()})
    for step in STEPS:
        if step.version not in taken:
            _take(database, step, words, clock)
    catch_up(database)
    return max(found, LATEST)


def _take(database: Database, step: Step, words: dict[str, str], clock: Clock) -> None:
    def work() -> None:
        for column in step.columns:
            if column.name not in database.columns(column.table):
                added = f"ALTER TABLE `{column.table}` ADD COLUMN `{column.name}` "
                database.execute((added + column.definition).format(**words))
        for statement in step.statements:
            database.execute(statement.format(**words))
        SchemaVersion.insert(
            version=step.version, applied_at=clock.wall(), description=step.description
        ).on_conflict_ignore().execute()

    database.transaction(work, idempotent=True)
    log.info("schema migrated version=%d: %s", step.version, step.description)


def check(database: Database) -> None:
    """DatabaseError unless this release can work with the schema that is there."""
    found = current(database)
    if found < LATEST:
        raise DatabaseError(
            f"the database has schema {found}, this release needs {LATEST}: run `dcron-app migrate`"
        )
    _refuse_newer(found)


def _refuse_newer(found: int) -> None:
    if found > LATEST + 1:
        raise DatabaseError(
            f"the database has schema {found}; this release knows {LATEST} and can work with "
            f"{LATEST + 1}: install a newer release on this host"
        )
