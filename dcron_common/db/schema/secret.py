"""Version 6: secrets of users, which jobs name them, and what is sealed of them for workers.

The foreign key makes the database refuse to remove a secret that a live job names, and a job that
names one that is gone, whatever else is written at the same moment.
"""

from __future__ import annotations

from dcron_common.db.schema.step import Step

_STATEMENTS = (
    """CREATE TABLE IF NOT EXISTS `secret` (
        `name` VARCHAR(64) NOT NULL PRIMARY KEY,
        `owner` VARCHAR(64) NOT NULL,
        `team` VARCHAR(64) NULL,
        `revision` INTEGER NOT NULL,
        `version` VARCHAR(26) NOT NULL,
        `value` {text} NOT NULL,
        `created_at` DOUBLE PRECISION NOT NULL,
        `updated_at` DOUBLE PRECISION NOT NULL
    ) {end}""",
    """CREATE TABLE IF NOT EXISTS `job_secret` (
        `job_id` BIGINT NOT NULL,
        `secret` VARCHAR(64) NOT NULL,
        PRIMARY KEY (`job_id`, `secret`),
        FOREIGN KEY (`secret`) REFERENCES `secret` (`name`)
    ) {end}""",
    "CREATE INDEX IF NOT EXISTS `job_secret_secret` ON `job_secret` (`secret`)",
    """CREATE TABLE IF NOT EXISTS `sealed_secret` (
        `worker` VARCHAR(64) NOT NULL,
        `secret` VARCHAR(64) NOT NULL,
        `version` VARCHAR(26) NOT NULL,
        `public_key` VARCHAR(64) NOT NULL,
        `sealed` {text} NOT NULL,
        PRIMARY KEY (`worker`, `secret`)
    ) {end}""",
)

STEP = Step(6, "secrets of users", _STATEMENTS)
