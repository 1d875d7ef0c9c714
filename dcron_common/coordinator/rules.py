"""What both coordinators refuse before they ask anybody, and what they build from other calls.

ZooKeeper answers an oversized request by closing the connection, which looks like an outage and
would be tried again for ever. Therefore the size is checked here first.
"""

from __future__ import annotations

from collections.abc import Sequence

from dcron_common.coordinator.contract import (
    Access,
    Coordinator,
    Create,
    Operation,
    Set,
)
from dcron_common.errors import CoordinatorError, NodeExists, NoNode

# ZooKeeper's jute.maxbuffer is 1,048,575 bytes for a whole request.
MAX_REQUEST_BYTES = 1_000_000
# An operation's header, flags and access list, generously.
OVERHEAD_BYTES = 200


def check_operations(operations: Sequence[Operation]) -> None:
    """CoordinatorError for a malformed path or a transaction too large for one request."""
    total = 0
    for operation in operations:
        check_path(operation.path)
        total += len(operation.path.encode()) + OVERHEAD_BYTES
        if isinstance(operation, Create | Set):
            total += len(operation.data)
    if total > MAX_REQUEST_BYTES:
        raise CoordinatorError(
            f"{len(operations)} operations from {operations[0].path} on take {total} bytes, "
            f"the service accepts {MAX_REQUEST_BYTES}: split them, or shorten the data"
        )


def check_path(path: str) -> None:
    """CoordinatorError unless `path` is absolute, without empty parts, "." or ".."."""
    if path == "/":
        return
    before, slash, rest = path.partition("/")
    parts = rest.split("/")
    if before or not slash or any(part in ("", ".", "..") or "\0" in part for part in parts):
        raise CoordinatorError(
            f"{path!r} is no node's path: it starts with '/', without empty parts, '.' or '..'"
        )


def parent_of(path: str) -> str:
    """The path of the node above."""
    return path.rpartition("/")[0] or "/"


def make_missing(coordinator: Coordinator, path: str, access: Access | None) -> None:
    """`Coordinator.ensure` from single requests; another client may do the same meanwhile."""
    check_path(path)
    missing: list[str] = []
    at = path
    while at != "/" and coordinator.exists(at) is None:
        missing.append(at)
        at = parent_of(at)
    for each in reversed(missing):
        try:
            coordinator.create(each, access=access)
        except NodeExists:
            continue  # made by another client since we looked: as good as ours
        except NoNode as error:
            raise NoNode(f"the parent of {each} went while {path} was made") from error
