"""What a call asks of MariaDB, and how that would answer."""

from __future__ import annotations

from typing import Any

from dcron_common.db.connection import Database
from dcron_common.db.models import Run


def explained(database: Database, statement: str) -> list[dict[str, Any]]:
    def work() -> list[dict[str, Any]]:
        cursor = Run._meta.database.execute_sql(f"EXPLAIN {statement}")
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, values, strict=True)) for values in cursor.fetchall()]

    return database.read(work)


def statements(database: Database, call: Any) -> list[str]:
    """What `call` asks of the server, its values filled in."""
    said: list[str] = []
    dialect: Any = Run._meta.database.obj
    plain = dialect.execute_sql

    def listen(sql: str, params: Any = None) -> Any:
        cursor = plain(sql, params)
        if sql.startswith("SELECT `"):
            said.append(dialect.connection().cursor().mogrify(sql, params))
        return cursor

    dialect.execute_sql = listen
    try:
        call()
    finally:
        del dialect.execute_sql
    return said
