"""Version 3: users with teams and passwords, tokens with scopes, bounded logins, an audit to read.

`team` of a user stays, the first of `teams`: the release before knows no other column. Nor does it
know scopes: while both serve, it takes every token for what its user may do.
"""

from __future__ import annotations

from dcron_common.db.schema.step import Column, Step

_COLUMNS = (
    Column("user", "teams", "{text} NULL"),
    Column("user", "password", "VARCHAR(255) NULL"),
    Column("user", "logins", "BIGINT NOT NULL DEFAULT 0"),
    Column("user", "last_login_at", "DOUBLE PRECISION NULL"),
    Column("token", "kind", "VARCHAR(8) NOT NULL DEFAULT 'token'"),
    Column("token", "scope", "VARCHAR(8) NOT NULL DEFAULT 'admin'"),
    Column("token", "replaced_by", "BIGINT NULL"),
)

_STATEMENTS = (
    """UPDATE `user` SET `teams` = CASE WHEN `team` IS NULL THEN '[]' ELSE JSON_ARRAY(`team`) END
        WHERE `teams` IS NULL""",
    """CREATE TABLE IF NOT EXISTS `login_window` (
        `subject` VARCHAR(64) NOT NULL,
        `opened_at` BIGINT NOT NULL,
        `attempts` INTEGER NOT NULL,
        PRIMARY KEY (`subject`, `opened_at`)
    ) {end}""",
    "CREATE INDEX IF NOT EXISTS `login_window_opened_at` ON `login_window` (`opened_at`)",
    "CREATE INDEX IF NOT EXISTS `audit_user` ON `audit` (`user`)",
    "CREATE INDEX IF NOT EXISTS `audit_object` ON `audit` (`object_type`, `object_id`)",
)

STEP = Step(3, "teams, passwords, scopes of tokens, bounded logins", _STATEMENTS, _COLUMNS)
