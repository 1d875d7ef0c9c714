"""What is written into znodes: the payloads of the protocol, each with a version.

The rules that govern them stand in docs/guarantees.md, P1 to P18. Times are epoch seconds.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from dcron_common.errors import CoordinatorError
from dcron_common.job import versioned
from dcron_common.run import RunState, Trigger


class _Payload:
    """JSON with the class's version; an unknown version or a wrong shape is an error."""

    __slots__ = ()
    VERSION = 1

    def encode(self) -> bytes:
        values: dict[str, Any] = asdict(self)  # type: ignore[call-overload]  # subclasses are dataclasses
        return json.dumps({"v": self.VERSION, **values}, separators=(",", ":")).encode()

    @classmethod
    def decode(cls, data: bytes) -> Self:
        values = versioned(data, cls.VERSION)
        try:
            return cls(**cls._typed(values))
        except (TypeError, ValueError, KeyError) as error:
            raise CoordinatorError(f"not a {cls.__name__}: {error!r}") from error

    @classmethod
    def _typed(cls, values: dict[str, Any]) -> dict[str, Any]:
        return values


@dataclass(frozen=True, slots=True)
class Fence(_Payload):
    """The one node that every decision about a job writes (P1).

    `holder` may claim minutes above `mark` under `epoch`, and launches `revision`. `active` is
    the key of the claim that runs now, unless the job allows overlap. `state` is "active",
    "paused" or "removed".
    """

    incarnation: str
    epoch: int
    holder: str | None
    revision: int
    state: str
    mark: int
    active: str | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """How a run ended, as its claim keeps it until the database has it (P6)."""

    state: RunState
    started_at: float | None
    finished_at: float
    exit_code: int | None = None
    signal: int | None = None
    reason: str | None = None
    output_tail: str | None = None
    output_url: str | None = None


@dataclass(frozen=True, slots=True)
class Claim(_Payload):
    """A (job, minute, attempt) that somebody took.

    `nonce` names the launch: after a lost answer, a claim with one's own nonce is one's own
    (P3). `not_before` is set while a retry waits. `resumes` counts the times that another
    worker took it over. `passed_over` are older due minutes that this claim closes without a
    start of their own: they are recorded as missed together with it, for `passed_reason`.
    """

    run_id: str
    nonce: str
    worker: str
    epoch: int
    revision: int
    attempt: int
    trigger: Trigger
    claimed_at: float
    resumes: int = 0
    not_before: float | None = None
    passed_over: list[int] = field(default_factory=list)
    passed_reason: str | None = None
    result: Result | None = None

    @classmethod
    def _typed(cls, values: dict[str, Any]) -> dict[str, Any]:
        result = values.get("result")
        if result is not None:
            values["result"] = Result(**{**result, "state": RunState(result["state"])})
        values["trigger"] = Trigger(values["trigger"])
        return values


@dataclass(frozen=True, slots=True)
class Registration(_Payload):
    """A worker's ephemeral node: who it is and how far it has looked at what is due.

    `started` tells this life of the daemon from another on the same boot. `clock_offset` is in
    seconds, None where it could not be read.
    """

    worker: str
    boot_id: str
    started: str
    address: str
    labels: dict[str, str]
    capacity: int
    version: str
    ticked_through: int
    beat: int = 0
    clock_offset: float | None = None
    ill: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Task(_Payload):
    """A run that the leader asks of the job's present holder."""

    trigger: Trigger
    attempt: int
    epoch: int
    resumes: int = 0

    @classmethod
    def _typed(cls, values: dict[str, Any]) -> dict[str, Any]:
        return {**values, "trigger": Trigger(values["trigger"])}


@dataclass(frozen=True, slots=True)
class Notice(_Payload):
    """An inbox entry: the database has `revision` of a job. Consumed after a read of it."""

    revision: int
