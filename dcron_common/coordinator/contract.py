"""What dcron asks of a coordination service: ZooKeeper's data model, nothing more.

Both implementations (`zookeeper.py`, `local.py`) pass the same suite, tests/contract. The
promises that the protocol relies on:

- A transaction is carried out whole or not at all, in one total order with all others.
- A node's version is 0 when it is made and rises by one with each `set`; deleting and making
  it again starts at 0, therefore nothing is ever fenced on a node that can be deleted. The same
  holds for the version of its access list, which rises with each `set_access` only.
- An ephemeral node lives exactly as long as the session that made it.
- Requests of one session are carried out in the order in which they were sent.
- `ConnectionLost` means *in doubt*: the caller syncs and looks before it tries again.

Errors: those of `dcron_common.errors` below CoordinatorError.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum

from dcron_common.errors import CoordinatorError

ANY_VERSION = -1

# An access list: pairs of an identity and its rights, letters of "rwcda" (read, write the data,
# create children, delete children, administer). An identity is `APP` or a worker's name.
# None: what the parent of everything grants, that is APP alone.
Access = tuple[tuple[str, str], ...]
APP = "dcron-app"
ANYONE = "anyone"  # any client that holds a certificate of the cluster


def shared_with(worker: str, rights: str) -> Access:
    """Everything for the app, `rights` for one worker."""
    return ((APP, "rwcda"), (worker, rights))


@dataclass(frozen=True, slots=True)
class Stat:
    """What the service knows of a node. `ephemeral_owner` is 0 for a persistent node;
    `access_version` is that of the access list, `version` that of the data. `modified_at`: when
    the data was last written, in epoch seconds by the service's own clock; None where that is
    the client's as well."""

    version: int
    ephemeral_owner: int
    created_zxid: int
    modified_zxid: int
    children: int
    access_version: int
    modified_at: float | None = None


@dataclass(frozen=True, slots=True)
class Node:
    """A node's data and stat, read together."""

    data: bytes
    stat: Stat


@dataclass(frozen=True, slots=True)
class Create:
    """Make a node; the parent must exist."""

    path: str
    data: bytes = b""
    ephemeral: bool = False
    access: Access | None = None


@dataclass(frozen=True, slots=True)
class Set:
    """Replace a node's data if it is at `version`."""

    path: str
    data: bytes
    version: int = ANY_VERSION


@dataclass(frozen=True, slots=True)
class Delete:
    """Remove a childless node if it is at `version`."""

    path: str
    version: int = ANY_VERSION


@dataclass(frozen=True, slots=True)
class Check:
    """Fail the transaction unless the node is at `version`."""

    path: str
    version: int


Operation = Create | Set | Delete | Check
# One entry per operation: the made path, the new stat of a Set, or None.
OperationResult = str | Stat | None


class SessionState(Enum):
    """What happened to the session, told to listeners from a thread of the library's.

    CONNECTED: requests are answered, maybe by a new session: compare `session_id`.
    SUSPENDED: no server answers; the session may or may not survive.
    LOST: the session is over. While cut off from all servers this is NOT reported, so a lease
    is never counted from these events.
    """

    CONNECTED = "connected"
    SUSPENDED = "suspended"
    LOST = "lost"


class Coordinator(ABC):
    """One client session. Safe to use from several threads."""

    @property
    @abstractmethod
    def session_id(self) -> int:
        """The present session's number, 0 while there is none."""

    @property
    @abstractmethod
    def connected(self) -> bool:
        """Whether the library believes that a server answers: for display, never for safety."""

    @abstractmethod
    def start(self, timeout: float) -> None:
        """Connect; ConnectionLost if no server answered within `timeout` seconds."""

    @abstractmethod
    def stop(self, *, keep_session: bool = False) -> None:
        """Disconnect. With `keep_session` the ephemeral nodes stay until the session times out."""

    @abstractmethod
    def get(self, path: str) -> Node:
        """Data and stat; NoNode."""

    @abstractmethod
    def get_many(self, paths: Sequence[str]) -> list[Node | None]:
        """The nodes in the order of `paths`, None where there is none; sent together."""

    @abstractmethod
    def exists(self, path: str) -> Stat | None:
        """The stat, or None."""

    @abstractmethod
    def children(self, path: str) -> list[str]:
        """Names (not paths) of the children, sorted; NoNode."""

    @abstractmethod
    def children_many(self, paths: Sequence[str]) -> list[list[str] | None]:
        """As `children` for several paths in flight together; None where there is no such node."""

    @abstractmethod
    def create(
        self,
        path: str,
        data: bytes = b"",
        *,
        ephemeral: bool = False,
        sequence: bool = False,
        access: Access | None = None,
    ) -> str:
        """Make a node and return its path (with the number appended if `sequence`).

        NodeExists, NoNode (no parent).
        """

    @abstractmethod
    def ensure(self, path: str, access: Access | None = None) -> None:
        """Make the node and its parents where they are missing; `access` goes to what is made."""

    @abstractmethod
    def set(self, path: str, data: bytes, version: int = ANY_VERSION) -> Stat:
        """Replace the data; NoNode, BadVersion."""

    @abstractmethod
    def delete(self, path: str, version: int = ANY_VERSION) -> None:
        """Remove a childless node; NoNode, BadVersion, NotEmpty."""

    @abstractmethod
    def set_access(self, path: str, access: Access, version: int = ANY_VERSION) -> None:
        """Replace the access list if it is at `version` (Stat.access_version); NoNode,
        BadVersion."""

    @abstractmethod
    def commit(self, operations: Sequence[Operation]) -> list[OperationResult]:
        """One transaction; TransactionFailed names the operation at fault, ConnectionLost."""

    @abstractmethod
    def commit_many(
        self, transactions: Sequence[Sequence[Operation]]
    ) -> list[list[OperationResult] | CoordinatorError]:
        """Several transactions, in flight together; each has its own result or error."""

    @abstractmethod
    def sync(self, path: str = "/") -> None:
        """Return when what was committed before this call can be read here."""

    @abstractmethod
    def watch_children(self, path: str, wake: Callable[[], None]) -> None:
        """Call `wake` (quickly, from another thread) whenever the children of `path` change.

        Once at the start too, and again after a reconnection. A hint only: the level is read.
        """

    @abstractmethod
    def on_session(self, listener: Callable[[SessionState], None]) -> None:
        """Tell `listener` what happens to the session; it must not block."""
