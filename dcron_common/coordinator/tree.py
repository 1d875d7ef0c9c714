"""The tree of nodes in memory, with ZooKeeper's rules. No I/O, no threads, no clock.

`apply` carries out a transaction whole or not at all. It returns how to take it back, for the
caller whose disk then refuses it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from dcron_common.coordinator.contract import (
    ANY_VERSION,
    ANYONE,
    APP,
    Access,
    Check,
    Create,
    Delete,
    Node,
    Operation,
    OperationResult,
    Set,
    Stat,
)
from dcron_common.coordinator.rules import parent_of
from dcron_common.errors import (
    BadVersion,
    CoordinatorError,
    NoAuth,
    NodeExists,
    NoNode,
    NotEmpty,
    TransactionFailed,
)


@dataclass(frozen=True, slots=True)
class Client:
    """Who asks: its session's number (the owner of ephemerals) and its identity."""

    session_id: int
    identity: str


@dataclass(frozen=True, slots=True)
class Znode:
    """A node. `created` counts the children ever made below it: the next sequence number."""

    data: bytes
    version: int
    created: int
    owner: int
    created_zxid: int
    modified_zxid: int
    access: Access | None
    access_version: int = 0


@dataclass(slots=True)
class Changes:
    """What a transaction did: each path's node before it, oldest first, and the results."""

    before: list[tuple[str, Znode | None]] = field(default_factory=list)
    results: list[OperationResult] = field(default_factory=list)


ROOT = Znode(b"", 0, 0, 0, 0, 0, ((ANYONE, "rwcda"),))


class Tree:
    """Nodes by path. Not thread-safe."""

    def __init__(self, nodes: dict[str, Znode] | None = None) -> None:
        self._nodes: dict[str, Znode] = {}
        self._children: dict[str, set[str]] = {}
        for path, znode in sorted((nodes or {}).items()):
            self._put(path, znode)
        if "/" not in self._nodes:
            self._put("/", ROOT)

    # Reading

    def find(self, path: str) -> Znode | None:
        return self._nodes.get(path)

    def stat(self, path: str) -> Stat | None:
        """The node's stat, or None; needs no right, as in ZooKeeper."""
        znode = self._nodes.get(path)
        return None if znode is None else self._stat(path, znode)

    def read(self, client: Client, path: str) -> Node:
        """NoNode, NoAuth."""
        znode = self._permitted(client, path, "r")
        return Node(znode.data, self._stat(path, znode))

    def children(self, client: Client, path: str) -> list[str]:
        """Names, sorted; NoNode, NoAuth."""
        self._permitted(client, path, "r")
        return sorted(self._children[path])

    # Writing

    def apply(self, client: Client, operations: Sequence[Operation], zxid: int) -> Changes:
        """One transaction; TransactionFailed, and then nothing has changed."""
        changes = Changes()
        for index, operation in enumerate(operations):
            try:
                changes.results.append(self._one(client, operation, zxid, changes))
            except CoordinatorError as cause:
                self.take_back(changes)
                raise TransactionFailed(index, cause) from cause
        return changes

    def create_sequence(self, client: Client, operation: Create, zxid: int) -> Changes:
        """As a Create whose path gets the parent's next number; CoordinatorError."""
        parent = self._nodes.get(parent_of(operation.path))
        number = parent.created if parent else 0
        named = replace(operation, path=f"{operation.path}{number:010d}")
        return self.single(client, named, zxid)

    def single(self, client: Client, operation: Operation, zxid: int) -> Changes:
        """One operation by itself: its own error instead of TransactionFailed."""
        changes = Changes()
        changes.results.append(self._one(client, operation, zxid, changes))
        return changes

    def set_access(self, client: Client, path: str, access: Access, version: int) -> Changes:
        """Replace the access list if it is at `version`; the data's version stays."""
        changes = Changes()
        znode = self._permitted(client, path, "a")
        if version not in (ANY_VERSION, znode.access_version):
            raise BadVersion(
                f"{path} has an access list at version {znode.access_version}, not {version}"
            )
        raised = replace(znode, access=access, access_version=znode.access_version + 1)
        self._change(path, raised, changes)
        return changes

    def remove_owned(self, session_id: int) -> Changes:
        """Remove a session's ephemeral nodes, as the service does when the session ends."""
        changes = Changes()
        owned = [path for path, znode in self._nodes.items() if znode.owner == session_id]
        for path in owned:
            changes.before.append((path, self._nodes[path]))
            self._remove(path)
        return changes

    def persistent(self, changes: Changes) -> list[tuple[str, Znode | None]]:
        """What of the changes a disk must know: nodes as they are now, None for deleted ones."""
        rows: dict[str, Znode | None] = {}
        for path, before in changes.before:
            now = self._nodes.get(path)
            if now is not None and not now.owner:
                rows[path] = now
            elif before is not None and not before.owner:
                rows[path] = None
        return list(rows.items())

    def changed_children(self, changes: Changes) -> set[str]:
        """Paths whose list of children may have changed, those made or deleted included."""
        paths: set[str] = set()
        for path, before in changes.before:
            if before is None or path not in self._nodes:
                paths |= {path, parent_of(path)}
        return paths

    def take_back(self, changes: Changes) -> None:
        """Undo what `apply` or its like has done."""
        for path, znode in reversed(changes.before):
            if znode is None:
                self._remove(path)
            else:
                self._put(path, znode)

    def _one(
        self, client: Client, operation: Operation, zxid: int, changes: Changes
    ) -> OperationResult:
        match operation:
            case Create():
                return self._create(client, operation, zxid, changes)
            case Set():
                return self._set(client, operation, zxid, changes)
            case Delete():
                self._delete(client, operation, changes)
            case Check(path, version):
                self._expect(path, self._permitted(client, path, "r"), version)
        return None

    def _create(self, client: Client, operation: Create, zxid: int, changes: Changes) -> str:
        path = operation.path
        above = parent_of(path)
        parent = self._permitted(client, above, "c")
        if path in self._nodes:
            raise NodeExists(path)
        if parent.owner:
            raise CoordinatorError(f"{above} is ephemeral and cannot have children")
        owner = client.session_id if operation.ephemeral else 0
        self._change(above, replace(parent, created=parent.created + 1), changes)
        made = Znode(operation.data, 0, 0, owner, zxid, zxid, operation.access)
        self._change(path, made, changes)
        return path

    def _set(self, client: Client, operation: Set, zxid: int, changes: Changes) -> Stat:
        znode = self._permitted(client, operation.path, "w")
        self._expect(operation.path, znode, operation.version)
        raised = replace(znode, data=operation.data, version=znode.version + 1, modified_zxid=zxid)
        self._change(operation.path, raised, changes)
        return self._stat(operation.path, raised)

    def _delete(self, client: Client, operation: Delete, changes: Changes) -> None:
        path = operation.path
        if path == "/":
            raise CoordinatorError("the root cannot be deleted")
        if path not in self._nodes:
            raise NoNode(path)
        self._permitted(client, parent_of(path), "d")
        self._expect(path, self._nodes[path], operation.version)
        if self._children[path]:
            raise NotEmpty(path)
        changes.before.append((path, self._nodes[path]))
        self._remove(path)

    def _permitted(self, client: Client, path: str, right: str) -> Znode:
        znode = self._nodes.get(path)
        if znode is None:
            raise NoNode(path)
        for identity, rights in znode.access or ((APP, "rwcda"),):
            if identity in (client.identity, ANYONE) and right in rights:
                return znode
        raise NoAuth(f"{client.identity} has no right {right!r} on {path}")

    @staticmethod
    def _expect(path: str, znode: Znode, version: int) -> None:
        if version not in (ANY_VERSION, znode.version):
            raise BadVersion(f"{path} is at version {znode.version}, not {version}")

    def _stat(self, path: str, znode: Znode) -> Stat:
        return Stat(
            version=znode.version,
            ephemeral_owner=znode.owner,
            created_zxid=znode.created_zxid,
            modified_zxid=znode.modified_zxid,
            children=len(self._children[path]),
            access_version=znode.access_version,
        )

    def _change(self, path: str, znode: Znode, changes: Changes) -> None:
        changes.before.append((path, self._nodes.get(path)))
        self._put(path, znode)

    def _put(self, path: str, znode: Znode) -> None:
        if path not in self._nodes:
            self._children[path] = set()
            if path != "/":
                self._children[parent_of(path)].add(path.rpartition("/")[2])
        self._nodes[path] = znode

    def _remove(self, path: str) -> None:
        del self._nodes[path]
        del self._children[path]
        self._children[parent_of(path)].discard(path.rpartition("/")[2])
