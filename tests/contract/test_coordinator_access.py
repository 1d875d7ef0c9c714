"""What access lists let a worker do (P18): asked of the local coordinator and of a real ZooKeeper
server (TLS)."""

from __future__ import annotations

import pytest

from dcron_common.coordinator.contract import ANYONE, APP, Check, Coordinator, Set
from dcron_common.errors import BadVersion, NoAuth
from tests.contract.services import Service, failed


def test_p18_without_an_access_list_a_node_is_the_apps_alone(service: Service) -> None:
    app, worker = service.connect(), service.connect("node1")
    path = app.create(f"{service.root}/a", b"secret")
    assert worker.exists(path) is not None
    for call in (
        lambda: worker.get(path),
        lambda: worker.get_many([service.root, path]),
        lambda: worker.children(path),
        lambda: worker.set(path, b""),
        lambda: worker.create(f"{path}/b"),
        lambda: worker.delete(path),
        lambda: worker.set_access(path, ((ANYONE, "rwcda"),)),
    ):
        with pytest.raises(NoAuth):
            call()


def test_p18_an_access_list_gives_a_worker_what_it_says(service: Service) -> None:
    app, one, other = service.connect(), service.connect("node1"), service.connect("node2")
    path = f"{service.root}/a"
    app.create(path, b"x", access=((APP, "rwcda"), ("node1", "rc")))
    assert one.get(path).data == b"x"
    made = one.create(f"{path}/b", b"mine", access=(("node1", "rw"), (APP, "rwcda")))
    one.set(made, b"again")
    with pytest.raises(NoAuth):
        one.set(path, b"y")
    with pytest.raises(NoAuth):
        one.delete(made)
    with pytest.raises(NoAuth):
        other.get(path)
    error = failed(one, Check(made, 1), Set(path, b"y"))
    assert (error.index, type(error.cause)) == (1, NoAuth)
    app.delete(made)


def test_anyone_is_every_client_of_the_cluster_and_a_list_can_be_replaced(
    service: Service,
) -> None:
    app, worker = service.connect(), service.connect("node1")
    path = app.create(f"{service.root}/a", access=((ANYONE, "r"), (APP, "rwcda")))
    assert worker.get(path).stat.version == 0
    app.set_access(path, ((APP, "rwcda"),))
    with pytest.raises(NoAuth):
        worker.get(path)
    assert app.get(path).stat.version == 0


def test_an_access_list_has_a_version_of_its_own(service: Service) -> None:
    app, worker = service.connect(), service.connect("node1")
    path = app.create(f"{service.root}/a")
    assert app.set(path, b"1").access_version == 0
    app.set_access(path, ((APP, "rwcda"),), version=0)
    app.set_access(path, ((APP, "rwcda"),))
    stat = app.get(path).stat
    assert (stat.version, stat.access_version) == (1, 2)
    for stale in (0, 1, 3):
        with pytest.raises(BadVersion):
            app.set_access(path, ((APP, "rwcda"), ("node1", "r")), version=stale)
    with pytest.raises(NoAuth):
        worker.get(path)
    assert app.exists(path) == stat
    app.set_access(path, ((APP, "rwcda"), ("node1", "r")), version=2)
    assert worker.get(path).stat.access_version == 3


def test_a_node_made_again_has_an_access_list_at_version_0(
    service: Service, coordinator: Coordinator
) -> None:
    path = coordinator.create(f"{service.root}/a")
    coordinator.set_access(path, ((APP, "rwcda"),))
    coordinator.delete(path)
    coordinator.create(path)
    coordinator.set_access(path, ((APP, "rwcda"),), version=0)
    assert coordinator.get(path).stat.access_version == 1
