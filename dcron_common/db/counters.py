"""Numbers that only rise."""

from __future__ import annotations

from dcron_common.db.connection import Database
from dcron_common.db.models import Counter


def get(database: Database, name: str) -> int:
    """The counter, 0 where there is none yet; causal."""

    def work() -> int:
        row = Counter.get_or_none(Counter.name == name)
        return row.count if row is not None else 0

    return database.read(work, causal=True)


def raise_to(database: Database, name: str, count: int) -> None:
    """Make it at least `count`."""

    def work() -> None:
        lower = (Counter.name == name) & (Counter.count < count)
        if not Counter.update(count=count).where(lower).execute():
            Counter.insert(name=name, count=count).on_conflict_ignore().execute()

    database.transaction(work, idempotent=True)
