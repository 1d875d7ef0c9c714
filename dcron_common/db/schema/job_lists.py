"""Version 4: what lists of jobs are found by, and keys that make a repeated POST harmless.

Each `job_by_…` begins with what a list is sorted by and holds all that it is filtered by: at worst
a page reads one index from end to end, and never a row that it does not show.
"""

from __future__ import annotations

from dcron_common.db.schema.step import Step

_STATEMENTS = (
    """CREATE INDEX IF NOT EXISTS `job_by_id` ON `job`
        (`id`, `status`, `type`, `owner`, `team`, `worker`, `run_as`, `paused`, `removed_at`)""",
    """CREATE INDEX IF NOT EXISTS `job_by_name` ON `job` (`name`, `id`, `status`, `type`, `owner`,
        `team`, `worker`, `run_as`, `paused`, `removed_at`)""",
    """CREATE INDEX IF NOT EXISTS `job_by_status` ON `job` (`status`, `id`, `type`, `owner`, `team`,
        `worker`, `run_as`, `paused`, `removed_at`)""",
    """CREATE INDEX IF NOT EXISTS `job_by_updated_at` ON `job` (`updated_at`, `id`, `status`,
        `type`, `owner`, `team`, `worker`, `run_as`, `paused`, `removed_at`)""",
    """CREATE TABLE IF NOT EXISTS `job_label` (
        `name` VARCHAR(63) NOT NULL,
        `value` VARCHAR(255) NOT NULL,
        `job_id` BIGINT NOT NULL,
        PRIMARY KEY (`name`, `value`, `job_id`)
    ) {end}""",
    "CREATE INDEX IF NOT EXISTS `job_label_job_id` ON `job_label` (`job_id`)",
    """CREATE TABLE IF NOT EXISTS `job_text` (
        `job_id` BIGINT NOT NULL PRIMARY KEY,
        `revision` INTEGER NOT NULL,
        `text` VARCHAR(1024) NOT NULL
    ) {end}""",
    """CREATE TABLE IF NOT EXISTS `idempotency` (
        `id` {id},
        `user` VARCHAR(64) NOT NULL,
        `key` VARCHAR(255) NOT NULL,
        `digest` VARCHAR(64) NOT NULL,
        `incarnation` VARCHAR(26) NOT NULL,
        `job_id` BIGINT NULL,
        `at` DOUBLE PRECISION NOT NULL
    ) {end}""",
    "CREATE UNIQUE INDEX IF NOT EXISTS `idempotency_key` ON `idempotency` (`user`, `key`)",
    "CREATE INDEX IF NOT EXISTS `idempotency_at` ON `idempotency` (`at`)",
)

STEP = Step(4, "lists of jobs; keys of repeated requests", _STATEMENTS)
