"""What the doctor saw on a node, without any opinion. Times are epoch seconds, spans seconds.

A part that does not apply to the node is None; a part that could not be looked at in time is a
`Trouble`, which is never mistaken for good news.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from dcron_common.protocol import Registration


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why something could not be looked at."""

    why: str


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """`problem` is the refusal of the configuration's reader, None where it is sound."""

    path: Path
    mode: int
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Unit:
    """`age`: for how long it is active. `process`: the main process's state letter in /proc, ""
    where there is none. `release`: the folder of the release that it runs, "" where that does not
    apply. `needed` is false for a unit that is there but not enabled."""

    name: str
    active: str
    sub: str
    restarts: int = 0
    age: float = 1e9
    process: str = ""
    release: str = ""
    needed: bool = True


@dataclass(frozen=True, slots=True)
class CrontabFile:
    """`jobs`: the ids in its comments. `age`: since it was written."""

    name: str
    mode: int
    owner: int
    intact: bool
    ticks: bool
    jobs: frozenset[int] = frozenset()
    age: float = 1e9


@dataclass(frozen=True, slots=True)
class Fifo:
    """`kind`: "fifo", "missing" or "other". `held`: somebody has it open to read."""

    path: Path
    kind: str
    mode: int = 0o600
    held: bool = True


@dataclass(frozen=True, slots=True)
class Clock:
    """As chronyd says it; `offset` in seconds."""

    offset: float
    synchronised: bool


@dataclass(frozen=True, slots=True)
class Disk:
    """Shares are of 1."""

    path: Path
    free_bytes: int
    free_share: float
    free_files_share: float


@dataclass(frozen=True, slots=True)
class Certificate:
    """`ends` None: it could not be read, and `problem` says why."""

    path: Path
    ends: float | None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Results:
    """The launcher's runs: those that go on, and those whose result nobody has taken yet."""

    running: int = 0
    waiting: int = 0
    oldest: float | None = None


@dataclass(frozen=True, slots=True)
class Launcher:
    """`lease` is how long the worker's lease still lasts, negative where it has passed, None
    where there is none of this boot."""

    socket: Path
    listens: bool
    lease: float | None
    results: Results | Trouble


@dataclass(frozen=True, slots=True)
class ZooKeeper:
    """`servers`: host to its mode ("leader", "follower", "standalone"), or "" and why not in
    `problems`. `session`: "" or why none could be had. `admitted`: whether the cluster takes a
    worker of this name; `registered`: what this worker says of itself, None where it is away."""

    servers: dict[str, str]
    problems: dict[str, str] = field(default_factory=dict)
    session: str = ""
    admitted: bool = True
    registered: Registration | None = None
    assigned: frozenset[int] = frozenset()
    managers: int | None = None


@dataclass(frozen=True, slots=True)
class Service:
    """Something that was asked; `problem` is "" where it answered well."""

    name: str
    problem: str = ""
    refused: bool = False


@dataclass(frozen=True, slots=True)
class Api:
    """`status` of /health/ready here, and the parts that it calls ill."""

    status: int
    ill: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class WorkerFacts:
    """What only a worker has."""

    name: str
    crontab: tuple[CrontabFile, ...] | Trouble
    tick_age: float | None | Trouble
    fifo: Fifo | Trouble
    launcher: Launcher | Trouble
    zookeeper: ZooKeeper | Trouble
    database: Service | Trouble
    store: Service | Trouble


@dataclass(frozen=True, slots=True)
class AppFacts:
    """What only a control node has."""

    api: Api | Trouble
    zookeeper: ZooKeeper | Trouble
    database: Service | Trouble
    store: Service | Trouble


@dataclass(frozen=True, slots=True)
class Facts:
    """A node as a whole. `unresolved`: names that no address is known for. `release`: the folder
    of the release that is installed."""

    host: str
    now: float
    uptime: float
    boot_id: str
    version: str
    release: str
    configs: tuple[ConfigFile, ...]
    units: tuple[Unit, ...] | Trouble
    clock: Clock | Trouble
    disks: tuple[Disk, ...] | Trouble
    certificates: tuple[Certificate, ...] | Trouble
    unresolved: tuple[str, ...] | Trouble
    worker: WorkerFacts | None = None
    app: AppFacts | None = None
