"""What every coordinator promises of nodes and transactions: asked of the local one and of a real
ZooKeeper server (TLS)."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from dcron_common.coordinator.contract import (
    ANY_VERSION,
    APP,
    Check,
    Coordinator,
    Create,
    Delete,
    Operation,
    Set,
    Stat,
)
from dcron_common.errors import (
    BadVersion,
    CoordinatorError,
    NodeExists,
    NoNode,
    NotEmpty,
    TransactionFailed,
)
from tests.contract.services import Service, failed

# Nodes


def test_a_made_node_is_read_back_at_version_0(service: Service, coordinator: Coordinator) -> None:
    assert coordinator.create(f"{service.root}/a", b"text") == f"{service.root}/a"
    node = coordinator.get(f"{service.root}/a")
    assert (node.data, node.stat.version, node.stat.ephemeral_owner) == (b"text", 0, 0)
    assert node.stat.created_zxid == node.stat.modified_zxid > 0


def test_each_set_raises_the_version_by_one(service: Service, coordinator: Coordinator) -> None:
    path = coordinator.create(f"{service.root}/a")
    assert coordinator.set(path, b"1").version == 1
    stat = coordinator.set(path, b"2", version=1)
    assert stat.version == 2
    assert coordinator.get(path).stat == stat
    assert stat.modified_zxid > stat.created_zxid


def test_a_set_or_delete_of_a_stale_version_is_refused(
    service: Service, coordinator: Coordinator
) -> None:
    path = coordinator.create(f"{service.root}/a")
    coordinator.set(path, b"1")
    with pytest.raises(BadVersion):
        coordinator.set(path, b"2", version=0)
    with pytest.raises(BadVersion):
        coordinator.delete(path, version=0)
    assert coordinator.get(path).data == b"1"
    coordinator.delete(path, version=1)
    assert coordinator.exists(path) is None


def test_a_node_made_again_starts_at_version_0(service: Service, coordinator: Coordinator) -> None:
    path = coordinator.create(f"{service.root}/a")
    coordinator.set(path, b"1")
    coordinator.delete(path)
    coordinator.create(path)
    assert coordinator.get(path).stat.version == 0


def test_a_node_that_is_not_there_is_told_so(service: Service, coordinator: Coordinator) -> None:
    path = f"{service.root}/none"
    assert coordinator.exists(path) is None
    for call in (
        lambda: coordinator.get(path),
        lambda: coordinator.children(path),
        lambda: coordinator.set(path, b""),
        lambda: coordinator.delete(path),
        lambda: coordinator.create(f"{path}/below"),
        lambda: coordinator.set_access(path, ((APP, "r"),)),
    ):
        with pytest.raises(NoNode):
            call()


def test_a_second_node_of_the_same_name_is_refused(
    service: Service, coordinator: Coordinator
) -> None:
    coordinator.create(f"{service.root}/a", b"first")
    with pytest.raises(NodeExists):
        coordinator.create(f"{service.root}/a", b"second")
    assert coordinator.get(f"{service.root}/a").data == b"first"


def test_a_node_with_children_is_not_deleted(service: Service, coordinator: Coordinator) -> None:
    coordinator.create(f"{service.root}/a")
    coordinator.create(f"{service.root}/a/b")
    with pytest.raises(NotEmpty):
        coordinator.delete(f"{service.root}/a")


def test_children_are_names_in_order_and_counted(
    service: Service, coordinator: Coordinator
) -> None:
    for name in ("c", "a", "b"):
        coordinator.create(f"{service.root}/{name}")
    assert coordinator.children(service.root) == ["a", "b", "c"]
    stat = coordinator.exists(service.root)
    assert stat is not None and stat.children == 3


def test_sequence_numbers_rise_and_are_never_used_twice(
    service: Service, coordinator: Coordinator
) -> None:
    prefix = f"{service.root}/n-"
    first = coordinator.create(prefix, sequence=True)
    assert first == f"{prefix}0000000000"
    second = coordinator.create(prefix, sequence=True)
    coordinator.delete(second)
    third = coordinator.create(prefix, sequence=True, ephemeral=True)
    assert [path[-10:] for path in (second, third)] == ["0000000001", "0000000002"]


def test_ensure_makes_what_is_missing_and_keeps_the_rest(
    service: Service, coordinator: Coordinator
) -> None:
    coordinator.create(f"{service.root}/a", b"kept")
    coordinator.ensure(f"{service.root}/a/b/c")
    coordinator.ensure(f"{service.root}/a/b/c")
    assert coordinator.get(f"{service.root}/a").data == b"kept"
    assert coordinator.children(f"{service.root}/a/b") == ["c"]


def test_many_are_read_in_their_order_with_none_for_the_missing(
    service: Service, coordinator: Coordinator
) -> None:
    paths = [f"{service.root}/{number:03}" for number in range(200)]
    made = paths[::2]
    coordinator.commit_many([[Create(path, path.encode())] for path in made])
    nodes = coordinator.get_many(paths)
    assert [node.data if node else None for node in nodes] == [
        path.encode() if path in made else None for path in paths
    ]
    lists = coordinator.children_many([service.root, f"{service.root}/none"])
    assert lists == [[path.rpartition("/")[2] for path in made], None]


def test_many_large_nodes_are_read_at_once(service: Service, coordinator: Coordinator) -> None:
    paths = [f"{service.root}/{number}" for number in range(60)]
    for answer in coordinator.commit_many(
        [[Create(path, path.encode() * 10_000)] for path in paths]
    ):
        assert not isinstance(answer, Exception)
    nodes = coordinator.get_many(paths)
    assert [node.data if node else None for node in nodes] == [x.encode() * 10_000 for x in paths]
    assert nodes == [coordinator.get(path) for path in paths]


@pytest.mark.parametrize("path", ["", "a", "/a/", "/a//b", "/a/../b", "/a\0b"])
def test_a_malformed_path_is_refused(coordinator: Coordinator, path: str) -> None:
    with pytest.raises(CoordinatorError, match="no node's path"):
        coordinator.create(path)


def test_too_large_a_request_is_refused_before_it_is_sent(
    service: Service, coordinator: Coordinator
) -> None:
    with pytest.raises(CoordinatorError, match="split them"):
        coordinator.create(f"{service.root}/a", bytes(1_000_001))
    assert coordinator.connected
    coordinator.create(f"{service.root}/b", bytes(990_000))


# Transactions


def test_a_transaction_answers_each_operation(service: Service, coordinator: Coordinator) -> None:
    old = coordinator.create(f"{service.root}/old")
    fence = coordinator.create(f"{service.root}/fence")
    results = coordinator.commit(
        [Create(f"{service.root}/new", b"x"), Set(fence, b"y", 0), Delete(old), Check(fence, 1)]
    )
    assert results[0] == f"{service.root}/new"
    assert isinstance(results[1], Stat) and results[1].version == 1
    assert results[2:] == [None, None]
    assert coordinator.children(service.root) == ["fence", "new"]


@pytest.mark.parametrize(
    ("operation", "cause"),
    [
        (Create("fence"), NodeExists),
        (Create("none/below"), NoNode),
        (Set("fence", b"", 7), BadVersion),
        (Set("none", b""), NoNode),
        (Delete("fence", 7), BadVersion),
        (Delete("full"), NotEmpty),
        (Delete("none"), NoNode),
        (Check("fence", 7), BadVersion),
        (Check("none", ANY_VERSION), NoNode),
    ],
)
def test_a_transaction_that_fails_names_the_operation_and_does_nothing(
    service: Service,
    coordinator: Coordinator,
    operation: Operation,
    cause: type[CoordinatorError],
) -> None:
    root = service.root
    coordinator.commit([Create(f"{root}/{name}") for name in ("fence", "full", "full/child")])
    at_fault = replace(operation, path=f"{root}/{operation.path}")
    error = failed(
        coordinator,
        Create(f"{root}/new"),
        Set(f"{root}/fence", b"changed"),
        at_fault,
        Create(f"{root}/newer"),
    )
    assert (error.index, type(error.cause)) == (2, cause)
    assert coordinator.children(root) == ["fence", "full"]
    assert coordinator.get(f"{root}/fence").stat.version == 0


def test_later_operations_see_what_earlier_ones_did(
    service: Service, coordinator: Coordinator
) -> None:
    path = f"{service.root}/a"
    coordinator.commit(
        [Create(path), Create(f"{path}/b"), Set(path, b"1", 0), Delete(f"{path}/b"), Check(path, 1)]
    )
    error = failed(coordinator, Delete(path), Check(path, 1))
    assert (error.index, type(error.cause)) == (1, NoNode)
    assert coordinator.children(path) == []


def test_an_empty_transaction_does_nothing(coordinator: Coordinator) -> None:
    assert coordinator.commit([]) == []
    assert coordinator.commit_many([[], []]) == [[], []]


def test_of_many_transactions_each_has_its_own_outcome(
    service: Service, coordinator: Coordinator
) -> None:
    fence = coordinator.create(f"{service.root}/fence")
    transactions: list[list[Operation]] = [
        [Check(fence, number % 2), Create(f"{service.root}/{number:03}")] for number in range(300)
    ]
    outcomes = coordinator.commit_many(transactions)
    assert [isinstance(outcome, TransactionFailed) for outcome in outcomes] == [False, True] * 150
    assert len(coordinator.children(service.root)) == 151


def test_p1_of_two_claims_of_the_same_version_one_wins(service: Service) -> None:
    sessions = [service.connect() for _ in range(4)]
    fence = sessions[0].create(f"{service.root}/fence")
    outcomes: list[object] = []

    def claim(session: Coordinator) -> None:
        try:
            outcomes.append(session.commit([Set(fence, b"mine", 0)]))
        except TransactionFailed as error:
            outcomes.append(error.cause)

    threads = [threading.Thread(target=claim, args=(session,)) for session in sessions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(isinstance(outcome, list) for outcome in outcomes) == 1
    assert sum(isinstance(outcome, BadVersion) for outcome in outcomes) == 3
