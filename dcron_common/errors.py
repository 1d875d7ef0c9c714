"""Every error that dcron raises on purpose.

DcronError
├── ConfigError                 a configuration file or argument is wrong
├── ScheduleError               an expression or time zone is refused (dcron_common.schedule)
├── ValidationError             a request's field is refused (422)
├── CoordinatorError            the coordination service refused or failed
│   ├── NoNode, NodeExists, BadVersion, NotEmpty, NoAuth
│   ├── TransactionFailed       one operation of a transaction failed, so none was done
│   └── ConnectionLost          no answer: what was asked may or may not have been done
│       └── SessionExpired      and the session with its ephemeral nodes is gone
├── DatabaseError
│   ├── Conflict                a unique key is taken
│   ├── Outdated                the row is another by now than the one that was to be changed
│   ├── CommitInDoubt           the connection was lost in a commit: look before trying again
│   └── DatabaseUnavailable     no healthy database within the deadline
├── ObjectStoreError
│   ├── ObjectNotFound
│   └── ObjectStoreUnavailable
├── SecretError                 a secret's value cannot be opened, or sealed
└── LaunchError                 a run could not be started; the message is the run's reason
    └── FileUnavailable         its file cannot be had now; it may be later

Third-party errors are wrapped where they enter (coordinator/, db/, object_store) and
never seen above.
"""


class DcronError(Exception):
    """The root of the tree."""


class ConfigError(DcronError):
    """A configuration file or argument is wrong; the message names the key and the remedy."""


class ValidationError(DcronError):
    """A request's field is refused.

    `field` is the path within the request, such as `limits.memory_bytes`.
    """

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message


class CoordinatorError(DcronError):
    """The coordination service refused or failed."""


class NoNode(CoordinatorError):
    """The node, or the parent of a node to be made, does not exist."""


class NodeExists(CoordinatorError):
    """A node of this name exists already."""


class BadVersion(CoordinatorError):
    """The node was changed since it was read: read again and decide again."""


class NotEmpty(CoordinatorError):
    """A node with children cannot be deleted."""


class NoAuth(CoordinatorError):
    """This identity has no right to do that."""


class TransactionFailed(CoordinatorError):
    """Operation number `index` failed for `cause`; nothing of the transaction was done."""

    def __init__(self, index: int, cause: CoordinatorError) -> None:
        super().__init__(f"operation {index}: {type(cause).__name__} {cause}")
        self.index = index
        self.cause = cause


class ConnectionLost(CoordinatorError):
    """No answer came: the request may or may not have been carried out."""


class SessionExpired(ConnectionLost):
    """The session is over and its ephemeral nodes are gone."""


class DatabaseError(DcronError):
    """The record refused a statement."""


class Conflict(DatabaseError):
    """A unique key is taken."""


class Outdated(DatabaseError):
    """The row is not what the caller knows any more; `tag`: what it is by now, if that is known."""

    def __init__(self, tag: str | None = None) -> None:
        super().__init__("it was changed since it was read")
        self.tag = tag


class CommitInDoubt(DatabaseError):
    """The connection was lost in a commit: what was written may or may not stand."""


class DatabaseUnavailable(DatabaseError):
    """No healthy database answered within the deadline."""


class ObjectStoreError(DcronError):
    """The object store refused or failed."""


class ObjectNotFound(ObjectStoreError):
    """No object has this key."""


class ObjectStoreUnavailable(ObjectStoreError):
    """The object store did not answer."""


class SecretError(DcronError):
    """A secret's value cannot be opened, or sealed; the message never holds anything of it."""


class LaunchError(DcronError):
    """A run could not be started; the message is the reason that its record shows."""


class FileUnavailable(LaunchError):
    """The run's file cannot be had now: asking again later may help."""
