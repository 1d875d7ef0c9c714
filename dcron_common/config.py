"""The configuration of a node: read once, validated whole, then a frozen value of `settings`.

`load_app` reads app.toml (API and manager), `load_worker` worker.toml. Every failure is a
ConfigError that names file, key and remedy.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import urlsplit

from dcron_common import config_file
from dcron_common.config_file import Table, split_host
from dcron_common.errors import ConfigError
from dcron_common.schedule import ScheduleError, parse
from dcron_common.settings import (
    ApiConfig,
    AppConfig,
    ClusterConfig,
    DatabaseConfig,
    LogConfig,
    ObjectStoreConfig,
    RetentionConfig,
    SecretsConfig,
    WorkerConfig,
    WorkerSettings,
    ZooKeeperConfig,
)

APP_PATH = Path("/etc/dcron/app.toml")
WORKER_PATH = Path("/etc/dcron/worker.toml")
CRONTAB_MODES = ("system", "user", "none", "auto")
_NAME = r"[A-Za-z0-9]([A-Za-z0-9._-]{0,62}[A-Za-z0-9])?"
_NAME_REMEDY = "use up to 64 letters, digits, '.', '_' and '-', a letter or digit at both ends"
_CENTURY = 36_500  # days
_OS_USER = r"[a-z_][a-z0-9_-]{0,31}"


def load_app(path: Path = APP_PATH) -> AppConfig:
    """Read and check app.toml."""
    file = Table(path, "", config_file.read(path))
    config = AppConfig(
        cluster=_cluster(file.section("cluster")),
        api=_api(file.section("api")),
        database=_database(file.section("database")),
        zookeeper=_zookeeper(file.section("zookeeper")),
        object_store=_object_store(file.section("object_store")),
        secrets=_secrets(file.section("secrets")),
        log=_log(file.section("log")),
        retention=_retention(file.optional_section("retention")),
    )
    file.close()
    return config


def load_worker(path: Path = WORKER_PATH) -> WorkerConfig:
    """Read and check worker.toml."""
    file = Table(path, "", config_file.read(path))
    config = WorkerConfig(
        worker=_worker(file.section("worker")),
        cluster=_cluster(file.section("cluster")),
        database=_database(file.section("database")),
        zookeeper=_zookeeper(file.section("zookeeper")),
        object_store=_object_store(file.section("object_store")),
        log=_log(file.section("log")),
    )
    file.close()
    return config


def _cluster(table: Table) -> ClusterConfig:
    name = table.matching("name", _NAME, _NAME_REMEDY, default="dcron")
    timezone = table.text("timezone", "UTC")
    table.close()
    try:
        parse("@daily", timezone)
    except ScheduleError as error:
        table.refuse("timezone", f"is refused: {error}")
    return ClusterConfig(name, timezone)


def _api(table: Table) -> ApiConfig:
    config = ApiConfig(
        listen=table.text("listen", "0.0.0.0:30000"),  # noqa: S104  # it is behind TLS and tokens
        tls_certificate=table.optional_path("tls_certificate"),
        tls_key=table.optional_path("tls_key"),
        processes=table.integer("processes", 1, 64, 2),
        threads=table.integer("threads", 1, 256, 8),
        idle_seconds=table.integer("idle_seconds", 1, 600, 20),
        body_seconds=table.integer("body_seconds", 1, 3600, 60),
        session_seconds=table.integer("session_seconds", 60, 30 * 86_400, 43_200),
        max_executable_bytes=table.integer("max_executable_bytes", 1024, 2**30, 67_108_864),
    )
    table.close()
    try:
        host, _ = split_host(config.listen)
    except ConfigError as error:
        table.refuse("listen", str(error))
    if (config.tls_certificate is None) != (config.tls_key is None):
        table.refuse("tls_key", "and tls_certificate belong together; write both, or neither")
    if config.tls_certificate is None and not _is_loopback(host):
        table.refuse("tls_certificate", "is missing; without TLS listen on 127.0.0.1 only")
    return config


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _url(table: Table, key: str, value: str) -> str:
    try:
        url = urlsplit(value)
        fine = url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0
    except ValueError:
        fine = False
    if not fine or url.username or url.query or url.fragment:
        table.refuse(key, f"is {value!r}; write such as https://dcron.example.org:443")
    return value.rstrip("/")


def _database(table: Table) -> DatabaseConfig:
    kind = table.text("kind", "mariadb", choices=("mariadb", "sqlite"))
    if kind == "sqlite":
        config = DatabaseConfig(kind, path=table.path("path"))
    else:
        config = DatabaseConfig(
            kind,
            hosts=table.hosts("hosts"),
            name=table.matching("name", r"[A-Za-z0-9_]{1,64}", "use letters, digits and '_'"),
            user=table.text("user"),
            password=table.secret("password"),
            ca=table.path("ca"),
        )
    table.close()
    return config


def _zookeeper(table: Table) -> ZooKeeperConfig:
    config = ZooKeeperConfig(
        table.hosts("hosts"), table.path("certificate"), table.path("key"), table.path("ca")
    )
    table.close()
    return config


def _object_store(table: Table) -> ObjectStoreConfig:
    kind = table.text("kind", choices=("s3", "directory"))
    if kind == "directory":
        config = ObjectStoreConfig(kind, path=table.path("path"))
    else:
        endpoint = table.optional("endpoint")
        config = ObjectStoreConfig(
            kind,
            bucket=table.matching(
                "bucket", r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", "3 to 63 of a-z, 0-9, '.' and '-'"
            ),
            region=table.matching("region", r"[a-z0-9-]{1,64}", "such as us-east-1", "us-east-1"),
            endpoint=None if endpoint is None else _url(table, "endpoint", endpoint),
            # Its name, not a secret: Swift's is `app:s3`, AWS's 20 capitals and digits.
            access_key=table.text("access_key"),
            secret_key=table.secret("secret_key"),
            ca=table.optional_path("ca"),
        )
    table.close()
    return config


def _secrets(table: Table) -> SecretsConfig:
    config = SecretsConfig(keys_file=table.path("keys_file"))
    table.close()
    return config


def _retention(table: Table) -> RetentionConfig:
    config = RetentionConfig(
        run_days=table.integer_or_never("run_days", _CENTURY, 90),
        runs_per_job=table.integer_or_never("runs_per_job", 10_000_000, 10_000),
        removed_job_days=table.integer_or_never("removed_job_days", _CENTURY, 90),
    )
    table.close()
    return config


def _log(table: Table) -> LogConfig:
    level = table.text("level", "INFO", choices=("DEBUG", "INFO", "WARNING", "ERROR"))
    table.close()
    return LogConfig(level)


def check_worker_names(names: Iterable[str]) -> None:
    """ConfigError for one that no worker can have."""
    for name in names:
        if re.fullmatch(_NAME, name) is None:
            raise ConfigError(f"{name!a} cannot be a worker's name: {_NAME_REMEDY}")


def _worker(table: Table) -> WorkerSettings:
    config = WorkerSettings(
        name=table.matching("name", _NAME, _NAME_REMEDY),
        labels=table.labels("labels"),
        capacity=table.integer("capacity", 1, 100_000, 100),
        crontab=table.text("crontab", "system", choices=CRONTAB_MODES),
        state_dir=table.path("state_dir", "/var/lib/dcron-worker"),
        fifo=table.path("fifo", "/run/dcron/fire"),
        run_as=table.strings("run_as", ("dcron-job",)),
        cache_bytes=table.integer("cache_bytes", 2**20, 2**40, 2**30),
    )
    table.close()
    for user in config.run_as:
        if re.fullmatch(_OS_USER, user) is None:
            table.refuse("run_as", f"names {user!r}, which is no name of an OS user")
    return config
