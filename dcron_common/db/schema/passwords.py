"""Version 12: how often people set a user's password, which a login that renews its hash does not.

The release before counts none: of what it sets while both serve, no tag tells.
"""

from __future__ import annotations

from dcron_common.db.schema.step import Column, Step

_COLUMNS = (Column("user", "passwords_set", "BIGINT NOT NULL DEFAULT 0"),)

STEP = Step(12, "how often a password was set", (), _COLUMNS)
