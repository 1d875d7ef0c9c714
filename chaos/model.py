"""What a chaos run leaves to be judged. All times are epoch seconds of the one clock."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from zoneinfo import ZoneInfo

from croniter import croniter


@dataclass(slots=True)
class Change:
    """A change of a job as its client saw it; `acknowledged` is None if no 200 came: it may be in
    force or not. `revision` is the load's own number, which the job's text tells."""

    sent: float
    schedule: str
    revision: int
    paused: bool = False
    acknowledged: float | None = None


@dataclass(slots=True)
class Asked:
    """A run that was asked for; `run` is None if no 202 came. `killed`: its end was asked for,
    too; `kill_acknowledged`: when the 202 to that came, None if none did (or an older load kept no
    answer)."""

    sent: float
    run: str | None = None
    killed: bool = False
    kill_acknowledged: float | None = None


ON_TIME = 120  # seconds that a start may be late where nothing is caught up


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
    isolates: bool = False  # on_isolation: run
    replaces: bool = False  # concurrency: replace
    file: bool = False  # it has a file, which has to be had before it can run
    secret: bool = False  # it has a secret, which has to be had, too
    arguments: bool = False
    catch_up: str = "latest"
    timeout: float | None = None  # seconds
    retries: int = 0
    retry_delay: float = 0.0  # seconds before the first retry, doubled before each that follows
    failures: int = 0  # so many first attempts its first text fails; those after it fail none
    timezone: str = "UTC"  # in which its schedules are meant
    kind: str = ""  # how the names of hosts begin that may have it
    deadline: int = 600
    id: str | None = None
    sent: float = 0.0
    acknowledged: float | None = None
    delete_sent: float | None = None
    deleted: float | None = None
    changes: list[Change] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)

    @property
    def newest(self) -> Change:
        """What its client last wanted of it."""
        return self.changes[-1] if self.changes else self._first

    @property
    def _first(self) -> Change:
        return Change(self.sent, self.schedule, 0, acknowledged=self.acknowledged)

    def surely(self) -> Iterator[tuple[float, float, Change]]:
        """(from, to, how it stood): from the answer to a change until the next was sent."""
        stood = [self._first, *self.changes]
        ends = [change.sent for change in self.changes]
        ends.append(float("inf") if self.delete_sent is None else self.delete_sent)
        for change, end in zip(stood, ends, strict=True):
            if change.acknowledged is not None and change.acknowledged < end:
                yield change.acknowledged, end, change

    def surely_due(self, until: float) -> Iterator[int]:
        """Minutes up to `until` at which it was due whatever became of unanswered requests."""
        for begin, end, change in self.surely():
            if change.paused:
                continue
            for minute in due(change.schedule, begin, min(end, until), self.timezone):
                if minute < end:
                    yield minute

    def possibly(self) -> Iterator[tuple[float, float, Change]]:
        """(from, to, how it stood): from when a change was sent until what came after it, a
        deletion too, was answered."""
        stood = [self._first, *self.changes]
        over = float("inf") if self.deleted is None else self.deleted
        for number in reversed(range(len(stood))):
            change = stood[number]
            yield change.sent, over, change
            if change.acknowledged is not None:
                over = min(over, change.acknowledged)

    def paused_to_the_end(self) -> float | None:
        """Since when it may have been paused, and may be so in the end, or when it was removed;
        None: surely not."""
        over = float("inf") if self.deleted is None else self.deleted
        begins = [at for at, end, how in self.possibly() if how.paused and end == over]
        return min(begins, default=None)

    @property
    def pauses(self) -> int:
        """How often it was paused, surely."""
        return sum(change.paused and change.acknowledged is not None for change in self.changes)

    @property
    def allowed(self) -> int:
        """Seconds that a first start may be late."""
        return min(self.deadline, ON_TIME) if self.catch_up == "none" else self.deadline

    def fails(self, launch: Launch) -> bool:
        """Whether what this launch ran ends with a failure."""
        return launch.revision == 0 and launch.attempt <= self.failures


def due(schedule: str, after: float, until: float, timezone: str = "UTC") -> Iterator[int]:
    """Minutes in (after, until] at which cron fires it in that zone, by a reader that is not
    ours."""
    if schedule.startswith("@at "):
        at = int(datetime.fromisoformat(schedule[4:].replace("Z", "+00:00")).timestamp())
        if after < at <= until:
            yield at
        return
    begin = datetime.fromtimestamp(after, ZoneInfo(timezone))
    following = croniter(schedule, begin, ret_type=float)
    while (minute := int(following.get_next())) <= until:
        yield minute


@dataclass(slots=True)
class Launch:
    """A process that ran, by its own account. `seen`: the last it wrote. `revision`: that of the
    text that it ran. `lacks`: what its job gives it and it did not get."""

    job: str
    minute: int
    attempt: int
    epoch: int
    run: str
    host: str
    start: float
    seen: float
    end: float | None = None
    revision: int = 0
    lacks: str | None = None

    @property
    def manual(self) -> bool:
        """Whether it was asked for; the load asks in no first second of a minute."""
        return self.minute % 60 != 0


@dataclass(frozen=True, slots=True)
class Row:
    """A run as the API shows it."""

    run: str
    job: str
    minute: int
    attempt: int
    state: str
    worker: str | None
    reason: str | None
    finished: float | None
    isolated: bool = False


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


@dataclass(frozen=True, slots=True)
class How:
    """How a job stands, by one of those that tell of it; a fence tells no schedule. `state`:
    active, paused, or removed."""

    revision: int
    state: str
    schedule: str | None = None
    timezone: str | None = None


@dataclass(slots=True)
class Details:
    """How the jobs stand when all is healed: `jobs` by the API, by job id; `fences` by slot;
    `assignments` by host and slot, all that there are; `lines`: by host and job id, the five
    fields of each line of the crontab that stands for it; `zones`: in which each host's crond
    lives, empty where that cannot be told."""

    jobs: dict[str, How] = field(default_factory=dict)
    fences: dict[str, How] = field(default_factory=dict)
    assignments: dict[str, dict[str, list[How]]] = field(default_factory=dict)
    lines: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    zones: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Final:
    """What stands when all is healed. `crontabs`: host to job ids; `holders`: job id to the
    worker that the API names; `fences`: slot to the holder that ZooKeeper names; `assignments`:
    host to slots; a slot is a job id, with `@` and the host if the job is on all. `leftovers`:
    what should be empty and is not. `details`: None in a record of before these were kept."""

    crontabs: dict[str, set[str]] = field(default_factory=dict)
    holders: dict[str, str | None] = field(default_factory=dict)
    fences: dict[str, str | None] = field(default_factory=dict)
    assignments: dict[str, set[str]] = field(default_factory=dict)
    leftovers: list[str] = field(default_factory=list)
    details: Details | None = None


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
