"""Version 1: jobs, runs, workers, users, tokens, audit."""

from __future__ import annotations

from dcron_common.db.schema.step import Step

_STATEMENTS = (
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

STEP = Step(1, "jobs, runs, workers, users, tokens, audit", _STATEMENTS)
