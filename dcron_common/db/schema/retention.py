"""Version 7: up to where runs were removed for their age or number, and how far that has come."""

from __future__ import annotations

from dcron_common.db.schema.step import Step

_STATEMENTS = (
    """CREATE TABLE IF NOT EXISTS `run_horizon` (
        `job_id` BIGINT NOT NULL PRIMARY KEY,
        `through` BIGINT NOT NULL
    ) {end}""",
    """CREATE TABLE IF NOT EXISTS `retention` (
        `name` VARCHAR(32) NOT NULL PRIMARY KEY,
        `value` {text} NOT NULL,
        `at` DOUBLE PRECISION NOT NULL
    ) {end}""",
    "CREATE INDEX IF NOT EXISTS `job_sha256` ON `job` (`sha256`)",
)

STEP = Step(7, "how far retention has come", _STATEMENTS)
