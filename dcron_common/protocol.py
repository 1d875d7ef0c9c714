"""What is written into znodes: the payloads of the protocol, each with a version.

The rules that govern them stand in docs/guarantees.md, P1 to P18. Times are epoch seconds.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field, replace
from typing import Any, Self

from dcron_common.errors import CoordinatorError
from dcron_common.job import versioned
from dcron_common.run import RunState, Trigger

REMOVED = "removed"  # a fence's state: no place of the job, now or for good


def _plain(value: Any) -> dict[str, Any]:
    """A dataclass's fields, shallow: asdict copies every value, and costs a claim more than all
    else that is done to it."""
    return {name: getattr(value, name) for name in value.__dataclass_fields__}


class _Payload:
    """JSON with the class's version; an unknown version or a wrong shape is an error. `EARLIER`:
    what is read, too: a rolling upgrade has writers of the version before."""

    __slots__ = ()
    VERSION = 1
    EARLIER: tuple[int, ...] = ()

    def encode(self) -> bytes:
        values = {"v": self.VERSION, **_plain(self)}
        return json.dumps(values, separators=(",", ":"), default=_plain).encode()

    @classmethod
    def decode(cls, data: bytes) -> Self:
        values = versioned(data, cls.VERSION, *cls.EARLIER)
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
class Attempt:
    """An attempt that has ended, kept with what follows it until the database has its row."""

    run_id: str
    attempt: int
    trigger: Trigger
    worker: str
    epoch: int
    result: Result


@dataclass(frozen=True, slots=True)
class Claim(_Payload):
    """A (job, minute, attempt) that somebody took.

    `nonce` names the launch: after a lost answer, a claim with one's own nonce is one's own
    (P3). `not_before` is set while a retry waits. `resumes` counts the times that another
    worker took it over. `closed`: the job's holder wrote the result, so that nothing remains to be
    decided. `ended` are earlier attempts whose rows may not be written yet; the newest
    of them may be long, the others have lost their output. `passed_over` are older due minutes
    that this claim closes without a start of their own: they are recorded as missed together with
    it, for `passed_reason`. `arguments` are those of a run that was asked for, in place of the
    job's; `run_as` is then the OS user as whom its user may run them: as another it is not started;
    nor with a secret that is none of `secrets`, those that the job had when it was asked for.
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
    closed: bool = False
    ended: list[Attempt] = field(default_factory=list)
    arguments: list[str] | None = None
    run_as: str | None = None
    secrets: list[str] = field(default_factory=list)

    @classmethod
    def _typed(cls, values: dict[str, Any]) -> dict[str, Any]:
        result = values.get("result")
        if result is not None:
            values["result"] = _result(result)
        values["trigger"] = Trigger(values["trigger"])
        values["ended"] = [_attempt(one) for one in values.get("ended", [])]
        return values

    def as_ended(self, result: Result) -> Attempt:
        """This attempt, ended."""
        return Attempt(self.run_id, self.attempt, self.trigger, self.worker, self.epoch, result)

    def with_ended(self, *more: Attempt) -> list[Attempt]:
        """`ended` with more; only the last keeps its output, so that a znode stays small."""
        known = {one.run_id: one for one in (*self.ended, *more)}
        *older, last = known.values() if known else (None,)
        if last is None:
            return []
        bare = [replace(one, result=replace(one.result, output_tail=None)) for one in older if one]
        return [*bare, last]


LAUNCHER = "launcher"  # in a registration's `ill`: the worker can start nothing


@dataclass(frozen=True, slots=True)
class Registration(_Payload):
    """A worker's ephemeral node: who it is and how far it has looked at what is due.

    `started` tells this life of the daemon from another on the same boot. `clock_offset` is in
    seconds, None where it could not be read. `public_key`: what secrets are sealed for, 64 hex
    digits; empty where the worker is of version 1, which gets none.
    """

    VERSION = 2
    EARLIER = (1,)

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
    public_key: str = ""

    @property
    def can_start(self) -> bool:
        """Whether the worker has a launcher, so that jobs can stand there."""
        return LAUNCHER not in self.ill

    @classmethod
    def _typed(cls, values: dict[str, Any]) -> dict[str, Any]:
        """A worker writes this, and the leader's database and placement rely on it."""
        bounds = {"worker": 64, "address": 64, "version": 32, "boot_id": 36}
        for name, most in bounds.items():
            if not isinstance(values[name], str) or len(values[name]) > most:
                raise ValueError(f"{name} must be a text of at most {most} characters")
        if type(values["capacity"]) is not int or not 0 < values["capacity"] <= 1_000_000:
            raise ValueError("capacity must be a number from 1 to 1,000,000")
        labels = values["labels"]
        if not isinstance(labels, dict) or not all(isinstance(v, str) for v in labels.values()):
            raise ValueError("labels must be texts")
        key = values.get("public_key", "")
        if not isinstance(key, str) or re.fullmatch("([0-9a-f]{64})?", key) is None:
            raise ValueError("public_key must be 64 hex digits")
        return values


@dataclass(frozen=True, slots=True)
class Task(_Payload):
    """A run that is asked of the job's present holder, not before `not_before`: by the leader, or
    by a user through the API.

    `ended`, `passed_over`, `passed_reason`, `arguments`, `run_as`, `secrets`: as in Claim; the
    claim that takes the task inherits them.
    """

    trigger: Trigger
    attempt: int
    epoch: int
    resumes: int = 0
    not_before: float | None = None
    ended: list[Attempt] = field(default_factory=list)
    passed_over: list[int] = field(default_factory=list)
    passed_reason: str | None = None
    arguments: list[str] | None = None
    run_as: str | None = None
    secrets: list[str] = field(default_factory=list)

    @classmethod
    def _typed(cls, values: dict[str, Any]) -> dict[str, Any]:
        ended = [_attempt(one) for one in values.get("ended", [])]
        return {**values, "trigger": Trigger(values["trigger"]), "ended": ended}


@dataclass(frozen=True, slots=True)
class Notice(_Payload):
    """An inbox entry: the database has `revision` of a job. Consumed after a read of it."""

    revision: int


@dataclass(frozen=True, slots=True)
class Kill(_Payload):
    """A request to end a run, and what of it is still to come. It stands below the name of the
    worker that has the run, and goes when that is over."""

    run_id: str
    user: str

    @property
    def reason(self) -> str:
        return f"ended by user {self.user}"

    def means(self, run_id: str, ended: list[Attempt]) -> bool:
        """Whether this attempt, with those before it, is what was to be ended: no attempt that
        followed the one named may outlive the request."""
        return self.run_id == run_id or any(one.run_id == self.run_id for one in ended)


@dataclass(frozen=True, slots=True)
class Follow(_Payload):
    """Somebody follows what a run writes, and will until `until` (epoch seconds) unless they say
    so again. It stands below the name of the worker that has the run, named by the run's id."""

    until: float

    @classmethod
    def _typed(cls, values: dict[str, Any]) -> dict[str, Any]:
        return {**values, "until": float(values["until"])}


def _result(values: dict[str, Any]) -> Result:
    return Result(**{**values, "state": RunState(values["state"])})


def _attempt(values: dict[str, Any]) -> Attempt:
    typed = {"trigger": Trigger(values["trigger"]), "result": _result(values["result"])}
    return Attempt(**{**values, **typed})
