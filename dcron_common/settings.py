"""What can be configured of a node: frozen values, with the defaults of what may be left out.

`config` reads them. Secrets do not show in `repr`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class ClusterConfig:
    """`timezone` is what jobs without one of their own get: an IANA name."""

    name: str = "dcron"
    timezone: str = "UTC"


@dataclass(frozen=True, slots=True)
class ApiConfig:
    """`listen` is `address:port`; both TLS files, or neither (then on loopback only).
    `idle_seconds`: how long a client may say nothing, and take for a handshake or for its headers;
    `body_seconds`: how long a small body may take to arrive, a large one in proportion.
    `session_seconds`: how long a login lasts."""

    listen: str
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    processes: int = 2
    threads: int = 8
    idle_seconds: int = 20
    body_seconds: int = 60
    max_executable_bytes: int = 67_108_864
    session_seconds: int = 43_200


@dataclass(frozen=True, slots=True)
class DatabaseConfig:
    """`kind` "mariadb" has `hosts` (`name:port`, tried in order) and all but `path`; "sqlite" has
    `path` only."""

    kind: str
    hosts: tuple[str, ...] = ()
    name: str = ""
    user: str = ""
    password: str = field(default="", repr=False)
    ca: Path | None = None
    path: Path | None = None


@dataclass(frozen=True, slots=True)
class ZooKeeperConfig:
    """Mutual TLS: this node's certificate is its identity."""

    hosts: tuple[str, ...]
    certificate: Path
    key: Path
    ca: Path


@dataclass(frozen=True, slots=True)
class ObjectStoreConfig:
    """`kind` "s3" has `bucket`, `region`, the keys, `endpoint` (None: AWS) and `ca` (None: the
    usual authorities); "directory" has `path` only."""

    kind: str
    bucket: str = ""
    region: str = "us-east-1"
    endpoint: str | None = None
    access_key: str = ""
    secret_key: str = field(default="", repr=False)
    ca: Path | None = None
    path: Path | None = None


@dataclass(frozen=True, slots=True)
class SecretsConfig:
    """`keys_file`: the ring by which values of users' secrets are encrypted (`sealing.Ring`)."""

    keys_file: Path


@dataclass(frozen=True, slots=True)
class RetentionConfig:
    """How long the record is kept; None: for ever. `run_days`: from a run's end. `runs_per_job`:
    the newest that are kept, of all nodes together. `removed_job_days`: from a job's removal until
    nothing tells of it."""

    run_days: int | None = 90
    runs_per_job: int | None = 10_000
    removed_job_days: int | None = 90


@dataclass(frozen=True, slots=True)
class LogConfig:
    level: str = "INFO"


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """`capacity` is how many jobs at most; `run_as` the OS users that jobs may run as here;
    `cache_bytes` the quota of the cached executables."""

    name: str
    state_dir: Path
    fifo: Path
    labels: dict[str, str] = field(default_factory=dict)
    capacity: int = 100
    crontab: str = "system"
    run_as: tuple[str, ...] = ("dcron-job",)
    cache_bytes: int = 1_073_741_824


@dataclass(frozen=True, slots=True)
class AppConfig:
    """app.toml."""

    cluster: ClusterConfig
    api: ApiConfig
    database: DatabaseConfig
    zookeeper: ZooKeeperConfig
    object_store: ObjectStoreConfig
    secrets: SecretsConfig
    log: LogConfig
    retention: RetentionConfig = RetentionConfig()


@dataclass(frozen=True, slots=True)
class WorkerConfig:
    """worker.toml."""

    worker: WorkerSettings
    cluster: ClusterConfig
    database: DatabaseConfig
    zookeeper: ZooKeeperConfig
    object_store: ObjectStoreConfig
    log: LogConfig
