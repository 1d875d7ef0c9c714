"""Each contract test begins with the schema as it is made, whatever was left in it."""

from __future__ import annotations

import pytest

from dcron_common.db import migrations
from dcron_common.db.models import SchemaVersion
from tests.contract.records import count_jobs, insert, open_mariadb
from tests.contract.schemas import MigratedSchema
from tests.servers.mariadb import MariaDBServer


@pytest.mark.parametrize(
    "left",
    [
        "DROP TABLE audit",
        "ALTER TABLE job ADD COLUMN more INT",
        "ALTER TABLE audit MODIFY COLUMN `user` VARCHAR(9) NULL DEFAULT 'x'",
        "CREATE UNIQUE INDEX more ON audit (id, `user`)",
        "CREATE TABLE more (n INT)",
        "CREATE TRIGGER more BEFORE INSERT ON audit FOR EACH ROW SET NEW.`user` = 'x'",
        "DELETE FROM schema_version WHERE version = 4",
        "DELETE FROM counter",
    ],
)
def test_nothing_is_left_of_what_a_test_has_done(
    schema: MigratedSchema, mariadb_server: MariaDBServer, left: str
) -> None:
    schema.restore()
    database = open_mariadb(mariadb_server)
    before = [insert(database, number).id for number in range(3)]
    database.transaction(lambda: database.execute(left))
    database.close()
    schema.restore()
    database = open_mariadb(mariadb_server)
    assert migrations.current(database) == migrations.LATEST
    assert database.read(lambda: SchemaVersion.select().count()) == len(migrations.STEPS)
    assert count_jobs(database) == 0
    assert [insert(database, number).id for number in range(3)] == before
    database.close()
    assert schema.is_as_made()
