"""Version 2: a counter that only rises tells a restored backup."""

from __future__ import annotations

from dcron_common.db.schema.step import Step

_STATEMENTS = (
    """CREATE TABLE IF NOT EXISTS `counter` (
        `name` VARCHAR(32) NOT NULL PRIMARY KEY,
        `count` BIGINT NOT NULL
    ) {end}""",
)

STEP = Step(2, "a counter that tells a restored backup", _STATEMENTS)
