"""A job as a worker needs it, and the words of its fields.

`Spec` is what stands in an assignment: complete, immutable at one revision, without secrets'
values. Instants and minutes are epoch seconds.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Any

from dcron_common.errors import CoordinatorError
from dcron_common.history import Span

VERSION = 1  # bump when the stored form changes; a reader must know the version before and this


class JobType(StrEnum):
    COMMAND = "command"
    SCRIPT = "script"
    BINARY = "binary"


class Status(StrEnum):
    SCHEDULED = "scheduled"
    FINISHED = "finished"
    ERROR = "error"


class Concurrency(StrEnum):
    ALLOW = "allow"
    FORBID = "forbid"
    REPLACE = "replace"


class CatchUp(StrEnum):
    ALL = "all"
    LATEST = "latest"
    NONE = "none"


class OnWorkerLoss(StrEnum):
    RERUN = "rerun"
    FAIL = "fail"


class OnIsolation(StrEnum):
    SKIP = "skip"
    RUN = "run"


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one run; None: no bound of the job's own."""

    memory_bytes: int | None = None
    cpu_percent: int | None = None
    processes: int | None = None
    output_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a job may stand: workers that carry all `labels`; on `one` of them or on `all`."""

    labels: dict[str, str] = field(default_factory=dict)
    on: str = "one"


@dataclass(frozen=True, slots=True)
class Spec:
    """One revision of a job.

    `executable` is the command's text, or the object key of the file whose SHA-256 is
    `sha256`. `incarnation` tells this job from any other that ever had its id (a restored
    database hands ids out again). `effective_from` is the first minute that this revision
    may fire; `earlier` are spans of revisions before it whose minutes may still have to be
    closed.
    """

    job_id: int
    incarnation: str
    revision: int
    type: JobType
    executable: str
    schedule: str
    timezone: str
    effective_from: int
    name: str | None = None
    sha256: str | None = None
    filename: str | None = None
    arguments: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    working_directory: str | None = None
    secrets: tuple[str, ...] = ()
    run_as: str = "dcron-job"
    concurrency: Concurrency = Concurrency.FORBID
    timeout_seconds: int = 3600
    retries: int = 0
    retry_delay_seconds: int = 60
    starting_deadline_seconds: int = 600
    catch_up: CatchUp = CatchUp.LATEST
    on_worker_loss: OnWorkerLoss = OnWorkerLoss.RERUN
    on_isolation: OnIsolation = OnIsolation.SKIP
    placement: Placement = field(default_factory=Placement)
    limits: Limits = field(default_factory=Limits)
    paused: bool = False
    earlier: tuple[Span, ...] = ()

    def encode(self) -> bytes:
        """The stored form: JSON with a version. Without the placement of `earlier`, of which a
        worker makes nothing and one of the release before would know nothing."""
        values = asdict(self)
        for span in values["earlier"]:
            del span["on"]
        return json.dumps({"v": VERSION, **values}, separators=(",", ":")).encode()

    @classmethod
    def decode(cls, data: bytes) -> Spec:
        """CoordinatorError if the version is unknown or a field is missing."""
        return cls.from_dict(versioned(data, VERSION))

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Spec:
        """From plain values, as `encode` or the database keep them."""
        try:
            return cls(
                **{
                    **values,
                    "type": JobType(values["type"]),
                    "arguments": tuple(values.get("arguments", ())),
                    "secrets": tuple(values.get("secrets", ())),
                    "concurrency": Concurrency(values["concurrency"]),
                    "catch_up": CatchUp(values["catch_up"]),
                    "on_worker_loss": OnWorkerLoss(values["on_worker_loss"]),
                    "on_isolation": OnIsolation(values["on_isolation"]),
                    "placement": Placement(**values["placement"]),
                    "limits": Limits(**values["limits"]),
                    "earlier": tuple(Span(**span) for span in values.get("earlier", ())),
                }
            )
        except (KeyError, TypeError, ValueError) as error:
            raise CoordinatorError(f"this is not a job's spec: {error!r}") from error

    def digest(self) -> str:
        """Eight hex digits that tell this from any other spec of the job, whatever waits in
        `earlier`. They need not be the same in another release."""
        text = repr(replace(self, earlier=()))
        return hashlib.sha256(text.encode()).hexdigest()[:8]

    def at(self, revision: int) -> Spec:
        """The same job under another revision number."""
        return replace(self, revision=revision)


def versioned(data: bytes, *known: int) -> dict[str, Any]:
    """Decode a stored payload whose version must be among `known`; without its version key."""
    try:
        values = json.loads(data)
        version = values.pop("v")
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise CoordinatorError(f"a stored payload cannot be read: {error!r}") from error
    if version not in known:
        raise CoordinatorError(
            f"a stored payload has version {version}; this release knows {known}: update this node"
        )
    return dict(values)
