"""The schema, step by step, from the first table on.

A step is a list of statements that may be repeated: MariaDB commits each of them by itself, so an
interrupted step is simply taken again. Release n works with schema n and n+1 (P16): `migrate`
comes first, then the processes are restarted one by one. Never change a step that was released.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from dcron_common.clock import SYSTEM, Clock
from dcron_common.db.connection import Database
from dcron_common.db.models import SchemaVersion
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


@dataclass(frozen=True, slots=True)
class Step:
    """One version of the schema. Braces in statements are filled in from the dialect."""

    version: int
    description: str
    statements: tuple[str, ...]


_FIRST = (
    """CREATE TABLE IF NOT EXISTS `job` (
        `id` {id},
        `incarnation` VARCHAR(26) NOT NULL,
        `name` VARCHAR(128) NULL,
        `live_name` VARCHAR(128) NULL,
        `labels` {text} NOT NULL,
        `type` VARCHAR(8) NOT NULL,
        `executable` {text} NOT NULL,
        `sha256` VARCHAR(64) NULL,
        `filename` VARCHAR(128) NULL,
        `schedule` VARCHAR(256) NOT NULL,
        `timezone` VARCHAR(64) NOT NULL,
        `owner` VARCHAR(64) NOT NULL,
        `team` VARCHAR(64) NULL,
        `run_as` VARCHAR(32) NOT NULL,
        `spec` {text} NOT NULL,
        `paused` BOOLEAN NOT NULL,
        `revision` INTEGER NOT NULL,
        `effective_from` BIGINT NOT NULL,
        `status` VARCHAR(9) NOT NULL,
        `last_scheduled_at` BIGINT NOT NULL,
        `last_attempt` INTEGER NOT NULL,
        `worker` VARCHAR(64) NULL,
        `removed_at` DOUBLE PRECISION NULL,
        `created_at` DOUBLE PRECISION NOT NULL,
        `updated_at` DOUBLE PRECISION NOT NULL
    ) {end}""",
    "CREATE UNIQUE INDEX IF NOT EXISTS `job_incarnation` ON `job` (`incarnation`)",
    "CREATE UNIQUE INDEX IF NOT EXISTS `job_live_name` ON `job` (`live_name`)",
    "CREATE INDEX IF NOT EXISTS `job_owner` ON `job` (`owner`)",
    "CREATE INDEX IF NOT EXISTS `job_removed_at` ON `job` (`removed_at`)",
    """CREATE TABLE IF NOT EXISTS `job_revision` (
        `id` {id},
        `job_id` BIGINT NOT NULL,
        `revision` INTEGER NOT NULL,
        `schedule` VARCHAR(256) NOT NULL,
        `timezone` VARCHAR(64) NOT NULL,
        `state` VARCHAR(8) NOT NULL,
        `valid_from` BIGINT NOT NULL,
        `valid_to` BIGINT NULL
    ) {end}""",
    "CREATE UNIQUE INDEX IF NOT EXISTS `job_revision_key` ON `job_revision` (`job_id`, `revision`)",
    """CREATE TABLE IF NOT EXISTS `run` (
        `id` {id},
        `run_id` VARCHAR(26) NOT NULL,
        `job_id` BIGINT NOT NULL,
        `scheduled_at` BIGINT NOT NULL,
        `kind` VARCHAR(32) NOT NULL,
        `node` VARCHAR(64) NOT NULL DEFAULT '',
        `attempt` INTEGER NOT NULL,
        `trigger` VARCHAR(8) NOT NULL,
        `state` VARCHAR(9) NOT NULL,
        `rank` INTEGER NOT NULL,
        `worker` VARCHAR(64) NULL,
        `epoch` INTEGER NOT NULL,
        `started_at` DOUBLE PRECISION NULL,
        `finished_at` DOUBLE PRECISION NULL,
        `exit_code` INTEGER NULL,
        `signal` INTEGER NULL,
        `reason` VARCHAR(512) NULL,
        `isolated` BOOLEAN NOT NULL,
        `output_tail` {text} NULL,
        `output_url` VARCHAR(512) NULL
    ) {end}""",
    """CREATE UNIQUE INDEX IF NOT EXISTS `run_key`
        ON `run` (`job_id`, `scheduled_at`, `kind`, `node`, `attempt`)""",
    "CREATE INDEX IF NOT EXISTS `run_run_id` ON `run` (`run_id`)",
    """CREATE TABLE IF NOT EXISTS `worker` (
        `name` VARCHAR(64) NOT NULL PRIMARY KEY,
        `state` VARCHAR(8) NOT NULL,
        `drained` BOOLEAN NOT NULL,
        `address` VARCHAR(64) NOT NULL,
        `boot_id` VARCHAR(36) NOT NULL,
        `labels` {text} NOT NULL,
        `capacity` INTEGER NOT NULL,
        `version` VARCHAR(32) NOT NULL,
        `clock_offset` DOUBLE PRECISION NULL,
        `first_seen` DOUBLE PRECISION NOT NULL,
        `last_seen` DOUBLE PRECISION NOT NULL
    ) {end}""",
    """CREATE TABLE IF NOT EXISTS `user` (
        `name` VARCHAR(64) NOT NULL PRIMARY KEY,
        `role` VARCHAR(8) NOT NULL,
        `team` VARCHAR(64) NULL,
        `os_users` {text} NOT NULL,
        `disabled` BOOLEAN NOT NULL,
        `created_at` DOUBLE PRECISION NOT NULL
    ) {end}""",
    """CREATE TABLE IF NOT EXISTS `token` (
        `id` {id},
        `digest` VARCHAR(64) NOT NULL,
        `user` VARCHAR(64) NOT NULL,
        `name` VARCHAR(64) NOT NULL,
        `created_at` DOUBLE PRECISION NOT NULL,
        `expires_at` DOUBLE PRECISION NULL,
        `revoked_at` DOUBLE PRECISION NULL,
        `last_used_at` DOUBLE PRECISION NULL
    ) {end}""",
    "CREATE UNIQUE INDEX IF NOT EXISTS `token_digest` ON `token` (`digest`)",
    "CREATE INDEX IF NOT EXISTS `token_user` ON `token` (`user`)",
    """CREATE TABLE IF NOT EXISTS `audit` (
        `id` {id},
        `at` DOUBLE PRECISION NOT NULL,
        `user` VARCHAR(64) NOT NULL,
        `action` VARCHAR(32) NOT NULL,
        `object_type` VARCHAR(16) NOT NULL,
        `object_id` VARCHAR(64) NOT NULL,
        `before` {text} NULL,
        `after` {text} NULL
    ) {end}""",
    "CREATE INDEX IF NOT EXISTS `audit_at` ON `audit` (`at`)",
)

STEPS = (Step(1, "jobs, runs, workers, users, tokens, audit", _FIRST),)
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
    """Take every step that is missing; the version reached. Safe to repeat and to interrupt."""
    found = current(database)
    _refuse_newer(found)
    words = _SQLITE if database.is_sqlite else _MARIADB
    database.read(lambda: database.execute(_VERSION_TABLE.format(**words)))
    for step in STEPS:
        if step.version > found:
            _take(database, step, words, clock)
    return max(found, LATEST)


def _take(database: Database, step: Step, words: dict[str, str], clock: Clock) -> None:
    def work() -> None:
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
