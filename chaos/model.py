"""What a chaos run leaves to be judged. All times are epoch seconds of the one clock."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

from croniter import croniter


@dataclass(slots=True)
class Job:
    """A job as its client saw it: what was sent and what was answered, never what was hoped.

    `acknowledged` is None if no 201 came: the job may exist or not. `delete_sent` without
    `deleted`: it may be gone or not.
    """

    name: str
    schedule: str
    overlaps: bool = False  # concurrency: allow
    everywhere: bool = False  # placement: on all
    fails_on_loss: bool = False  # on_worker_loss: fail
    deadline: int = 600
    id: str | None = None
    sent: float = 0.0
    acknowledged: float | None = None
    delete_sent: float | None = None
    deleted: float | None = None

    def due(self, after: float, until: float) -> Iterator[int]:
        """Minutes in (after, until] at which cron fires it in UTC, by a reader that is not ours."""
        if self.schedule.startswith("@at "):
            at = int(datetime.fromisoformat(self.schedule[4:].replace("Z", "+00:00")).timestamp())
            if after < at <= until:
                yield at
            return
        following = croniter(self.schedule, datetime.fromtimestamp(after, UTC), ret_type=float)
        while (minute := int(following.get_next())) <= until:
            yield minute


@dataclass(slots=True)
class Launch:
    """A process that ran, by its own account. `seen`: the last it wrote."""

    job: str
    minute: int
    attempt: int
    epoch: int
    run: str
    host: str
    start: float
    seen: float
    end: float | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """A run as the API shows it."""

    job: str
    minute: int
    attempt: int
    state: str
    worker: str | None
    reason: str | None
    finished: float | None


@dataclass(slots=True)
class Fault:
    """Something was broken from `begin` until `end`; `hosts` are those it touched."""

    kind: str
    hosts: tuple[str, ...]
    begin: float
    end: float = float("inf")

    def during(self, begin: float, end: float) -> bool:
        """Whether it touches the span."""
        return self.begin <= end and begin <= self.end


@dataclass(slots=True)
class Final:
    """What stands when all is healed. `crontabs`: host to job ids; `holders`: job id to the
    worker that the API names; `leftovers`: what should be empty and is not."""

    crontabs: dict[str, set[str]] = field(default_factory=dict)
    holders: dict[str, str | None] = field(default_factory=dict)
    leftovers: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Record:
    """All of it. The load began at `begin`; minutes up to `end` are judged."""

    seed: int
    begin: float
    end: float
    hosts: tuple[str, ...]
    jobs: list[Job] = field(default_factory=list)
    launches: list[Launch] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    final: Final = field(default_factory=Final)
