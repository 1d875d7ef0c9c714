"""Files of SQLite with the schema of this release: all its steps take longer than most tests."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from dcron_common.db import migrations
from dcron_common.db.connection import Database


@cache
def _made() -> bytes:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "dcron.db"
        database = Database.sqlite(path)
        migrations.migrate(database)
        database.close()
        return path.read_bytes()


def migrated_sqlite(path: Path) -> Database:
    """A new one at `path`, with no rows but those of the schema itself."""
    path.write_bytes(_made())
    return Database.sqlite(path)
