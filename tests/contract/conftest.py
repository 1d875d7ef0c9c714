"""What the contract suites share: real servers, one each for the whole run, and what is on them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dcron_common.coordinator.contract import Coordinator
from dcron_common.db.connection import Database
from tests.contract.records import open_mariadb
from tests.contract.schemas import MigratedSchema
from tests.contract.services import Service, ZooKeeperService, make_service
from tests.migrated import migrated_sqlite
from tests.servers import mariadb as mariadb_servers
from tests.servers import zookeeper
from tests.servers.mariadb import MariaDBServer


@pytest.fixture(scope="session")
def zookeeper_server(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[zookeeper.ZooKeeperServer]:
    reason = zookeeper.missing()
    if reason is not None:
        pytest.skip(reason)
    with zookeeper.ZooKeeperServer(tmp_path_factory.mktemp("zookeeper")) as server:
        yield server


@pytest.fixture(scope="session")
def mariadb_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MariaDBServer]:
    reason = mariadb_servers.missing()
    if reason is not None:
        pytest.skip(reason)
    with MariaDBServer(tmp_path_factory.mktemp("mariadb")) as server:
        yield server


@pytest.fixture(params=["local", "zookeeper"])
def service(request: pytest.FixtureRequest) -> Iterator[Service]:
    yield from make_service(request, request.param)


@pytest.fixture
def real(request: pytest.FixtureRequest) -> Iterator[ZooKeeperService]:
    for service in make_service(request, "zookeeper"):
        assert isinstance(service, ZooKeeperService)
        yield service


@pytest.fixture
def coordinator(service: Service) -> Coordinator:
    return service.opened[0]


@pytest.fixture(scope="session")
def schema(mariadb_server: MariaDBServer) -> MigratedSchema:
    return MigratedSchema(mariadb_server)


@pytest.fixture
def mariadb(schema: MigratedSchema, mariadb_server: MariaDBServer) -> Iterator[Database]:
    schema.restore()
    database = open_mariadb(mariadb_server)
    yield database
    database.close()


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[Database]:
    database = migrated_sqlite(tmp_path / "dcron.db")
    yield database
    database.close()


@pytest.fixture(params=["sqlite", "mariadb"])
def database(request: pytest.FixtureRequest) -> Database:
    """With the schema of this release and nothing in it."""
    database: Database = request.getfixturevalue(request.param)
    return database


@pytest.fixture(params=["sqlite", "mariadb"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """Without a table."""
    if request.param == "sqlite":
        database = Database.sqlite(tmp_path / "dcron.db")
    else:
        server = request.getfixturevalue("mariadb_server")
        server.create_database("dcron_empty")
        database = open_mariadb(server, "dcron_empty")
    yield database
    database.close()
