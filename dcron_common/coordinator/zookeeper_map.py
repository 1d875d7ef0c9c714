"""kazoo's values and errors as the contract's, and back. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kazoo.exceptions import (
    AuthFailedError,
    BadVersionError,
    CancelledError,
    ConnectionClosedError,
    ConnectionDropped,
    ConnectionLoss,
    KazooException,
    NoAuthError,
    NoChildrenForEphemeralsError,
    NodeExistsError,
    NoNodeError,
    NotEmptyError,
    OperationTimeoutError,
    RequestTimeoutError,
    RolledBackError,
    RuntimeInconsistency,
    SessionExpiredError,
    SessionMovedError,
)
from kazoo.security import ACL, OPEN_ACL_UNSAFE, Id, Permissions

from dcron_common.coordinator.contract import (
    ANYONE,
    APP,
    Access,
    Create,
    Operation,
    OperationResult,
    Set,
    Stat,
)
from dcron_common.errors import (
    BadVersion,
    ConnectionLost,
    CoordinatorError,
    NoAuth,
    NodeExists,
    NoNode,
    NotEmpty,
    SessionExpired,
    TransactionFailed,
)

# What waiting for an answer may raise. kazoo raises RuntimeError for an answer out of order, and
# lets struct.error and the like out where an answer cannot be read: those are bugs, not failures.
FAILURES = (KazooException,)

# The first match counts: ConnectionClosedError is a SessionExpiredError to kazoo, but it means
# only that this client was stopped.
_ERRORS: tuple[tuple[type[Exception], type[CoordinatorError]], ...] = (
    (ConnectionClosedError, ConnectionLost),
    (SessionExpiredError, SessionExpired),
    (NoNodeError, NoNode),
    (NodeExistsError, NodeExists),
    (BadVersionError, BadVersion),
    (NotEmptyError, NotEmpty),
    (NoAuthError, NoAuth),
    (AuthFailedError, NoAuth),
    (ConnectionLoss, ConnectionLost),
    (ConnectionDropped, ConnectionLost),
    (OperationTimeoutError, ConnectionLost),
    (RequestTimeoutError, ConnectionLost),
    (SessionMovedError, ConnectionLost),
    (CancelledError, ConnectionLost),
)

_RIGHTS = {
    "r": Permissions.READ,
    "w": Permissions.WRITE,
    "c": Permissions.CREATE,
    "d": Permissions.DELETE,
    "a": Permissions.ADMIN,
}


def error_of(error: Exception, path: str = "") -> CoordinatorError:
    """kazoo's error as ours; `path` is named in it."""
    for theirs, ours in _ERRORS:
        if isinstance(error, theirs):
            return ours(path or str(error) or type(error).__name__)
    if isinstance(error, NoChildrenForEphemeralsError):
        return CoordinatorError(f"the parent of {path} is ephemeral and cannot have children")
    return CoordinatorError(f"{type(error).__name__} {error} {path}".strip())


def stat_of(stat: Any) -> Stat:
    """From kazoo's ZnodeStat."""
    return Stat(
        version=stat.version,
        ephemeral_owner=stat.ephemeralOwner or 0,
        created_zxid=stat.czxid,
        modified_zxid=stat.mzxid,
        children=stat.numChildren,
        access_version=stat.aversion,
        modified_at=stat.mtime / 1000,
    )


def acl_of(access: Access | None, *, secured: bool) -> list[ACL]:
    """ZooKeeper's access list. Identities are subjects of certificates: CN=<identity>.

    Over a plain connection there is no identity to tell apart, so everything is open.
    """
    if not secured:
        return list(OPEN_ACL_UNSAFE)
    entries = ((APP, "rwcda"),) if access is None else access
    return [ACL(_permissions(rights), _identity(name)) for name, rights in entries]


def _identity(name: str) -> Id:
    # "world" is every client that holds a certificate of the cluster: the port asks for one.
    return Id("world", "anyone") if name == ANYONE else Id("x509", f"CN={name}")


def _permissions(rights: str) -> int:
    total = 0
    for letter in rights:
        if letter not in _RIGHTS:
            raise CoordinatorError(f"{rights!r} are no rights: letters of 'rwcda'")
        total |= _RIGHTS[letter]
    return total


def results_of(
    operations: Sequence[Operation], answer: Any
) -> list[OperationResult] | CoordinatorError:
    """What a transaction's answer means.

    kazoo answers a failed one with an error for each operation: the real cause at one place,
    RolledBackError before it and RuntimeInconsistency after it.
    """
    if isinstance(answer, CoordinatorError):
        return answer
    if isinstance(answer, Exception):
        return error_of(answer, operations[0].path)
    failed = [each for each in enumerate(answer) if isinstance(each[1], Exception)]
    for index, error in failed:
        if not isinstance(error, RolledBackError | RuntimeInconsistency):
            return TransactionFailed(index, error_of(error, operations[index].path))
    if failed:
        return CoordinatorError(f"a transaction failed without a cause: {answer!r}")
    return [_result(operation, each) for operation, each in zip(operations, answer, strict=True)]


def _result(operation: Operation, answer: Any) -> OperationResult:
    if isinstance(operation, Create):
        return str(answer)
    if isinstance(operation, Set):
        return stat_of(answer)
    return None
