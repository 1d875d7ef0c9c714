"""Version 10: which token ends with which; wrong passwords in buckets; where users log in from.

The release before counts wrong passwords in `login_window` on, and writes tokens without a parent:
while both serve, each counts its own. The table may go with a later step.

`made` and `tokens_made` only rise: to write a row is to let one at a time in, on Galera too.
"""

from __future__ import annotations

from dcron_common.db.schema.step import Column, Step

_COLUMNS = (
    Column("token", "parent", "BIGINT NULL"),
    Column("token", "made", "BIGINT NOT NULL DEFAULT 0"),
    Column("user", "tokens_made", "BIGINT NOT NULL DEFAULT 0"),
)

_STATEMENTS = (
    "CREATE INDEX IF NOT EXISTS `token_parent` ON `token` (`parent`, `revoked_at`)",
    """CREATE INDEX IF NOT EXISTS `token_live`
        ON `token` (`user`, `kind`, `revoked_at`, `expires_at`)""",
    "CREATE INDEX IF NOT EXISTS `token_expires_at` ON `token` (`expires_at`)",
    "CREATE INDEX IF NOT EXISTS `token_revoked_at` ON `token` (`revoked_at`)",
    """CREATE TABLE IF NOT EXISTS `login_bucket` (
        `subject` VARCHAR(64) NOT NULL PRIMARY KEY,
        `empty_at` DOUBLE PRECISION NOT NULL
    ) {end}""",
    "CREATE INDEX IF NOT EXISTS `login_bucket_empty_at` ON `login_bucket` (`empty_at`)",
    """CREATE TABLE IF NOT EXISTS `login_place` (
        `user` VARCHAR(64) NOT NULL,
        `network` VARCHAR(64) NOT NULL,
        `at` DOUBLE PRECISION NOT NULL,
        PRIMARY KEY (`user`, `network`)
    ) {end}""",
    "CREATE INDEX IF NOT EXISTS `login_place_at` ON `login_place` (`at`)",
)

STEP = Step(10, "descent of tokens; where users log in from", _STATEMENTS, _COLUMNS)
