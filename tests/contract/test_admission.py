"""P18 on a real ZooKeeper server, with the nodes' own certificates."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dcron_app.manager.admission import StillRegistered, admit, dismiss
from dcron_common import paths
from dcron_common.coordinator.contract import APP
from dcron_common.coordinator.zookeeper import ZooKeeperCoordinator
from dcron_common.errors import CoordinatorError
from tests.servers.zookeeper import ZooKeeperServer

NAME = "dismissed1"


@pytest.fixture
def sessions(
    zookeeper_server: ZooKeeperServer,
) -> Iterator[tuple[ZooKeeperCoordinator, ZooKeeperCoordinator]]:
    """The control plane's, and a node's."""
    made = []
    for identity in (APP, NAME):
        mine = zookeeper_server.issue(identity)
        made.append(
            ZooKeeperCoordinator(
                [f"127.0.0.1:{zookeeper_server.tls_port}"],
                certificate=mine.certificate,
                key=mine.key,
                ca=zookeeper_server.ca,
            )
        )
        made[-1].start(15.0)
    yield made[0], made[1]
    for session in made:
        session.stop()


def test_p18_a_certificate_registers_nothing_after_its_node_was_dismissed(
    sessions: tuple[ZooKeeperCoordinator, ZooKeeperCoordinator],
) -> None:
    app, node = sessions
    admit(app, NAME)
    node.create(paths.registration(NAME), ephemeral=True)
    node.create(f"{paths.worker(NAME)}/left-behind")
    with pytest.raises(StillRegistered):
        dismiss(app, NAME)
    node.delete(paths.registration(NAME))  # as its session's end does
    assert dismiss(app, NAME)
    for path in (paths.worker(NAME), paths.registration(NAME)):
        with pytest.raises(CoordinatorError):
            node.create(path, ephemeral=True)
