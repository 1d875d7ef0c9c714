"""Where retention goes on after a restart or under another leader, and what its last round did."""

from __future__ import annotations

import json
from typing import Any

from dcron_common.db.connection import Database
from dcron_common.db.models import Retention

ROUND = "last round"


def read(database: Database, name: str) -> str:
    """What was noted; empty where nothing was."""
    row = database.read(lambda: Retention.get_or_none(Retention.name == name))
    return row.value if row is not None else ""


def write(database: Database, name: str, value: str, now: float) -> None:
    """Note it, in place of what was there. `now`: epoch seconds."""

    def work() -> None:
        Retention.insert(name=name, value=value, at=now).on_conflict_replace().execute()

    database.transaction(work, idempotent=True)


def last_round(database: Database) -> dict[str, Any] | None:
    """The counts of the last round, and `at`, its end in epoch seconds; None before the first."""
    row = database.read(lambda: Retention.get_or_none(Retention.name == ROUND))
    return {**json.loads(row.value), "at": row.at} if row is not None else None
