"""The real servers that the contract suites share, one each for the whole run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.servers import mariadb, zookeeper


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
def mariadb_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[mariadb.MariaDBServer]:
    reason = mariadb.missing()
    if reason is not None:
        pytest.skip(reason)
    with mariadb.MariaDBServer(tmp_path_factory.mktemp("mariadb")) as server:
        yield server
