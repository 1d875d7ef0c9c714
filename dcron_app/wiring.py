"""From the configuration to the parts that the API and the manager work with."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

from dcron_app.api.services import Services, Settings
from dcron_common.coordinator.contract import Coordinator
from dcron_common.coordinator.zookeeper import ZooKeeperCoordinator
from dcron_common.db import lookups
from dcron_common.db.connection import Database
from dcron_common.errors import ConfigError, CoordinatorError, DatabaseError
from dcron_common.object_store import open_object_store
from dcron_common.sealing.ring import Ring
from dcron_common.settings import AppConfig, DatabaseConfig, ZooKeeperConfig

log = logging.getLogger(__name__)

_ANSWER = 5.0  # seconds that a request may wait for the coordination service
_START = 15.0


def open_database(
    config: DatabaseConfig,
    *,
    user: str | None = None,
    password: str | None = None,
    statement_seconds: float = 10.0,
) -> Database:
    """The record; `user` and `password` replace the configured account, and `statement_seconds`
    how long a statement may take (both for migrations)."""
    if config.kind == "sqlite":
        if config.path is None:
            raise ConfigError("database.path: is missing; write an absolute path")
        return Database.sqlite(config.path)
    return Database.mariadb(
        config.hosts,
        config.name,
        user or config.user,
        password or config.password,
        config.ca,
        answer_timeout=statement_seconds,
    )


def open_coordinator(config: ZooKeeperConfig, *, request_timeout: float = _ANSWER) -> Coordinator:
    """A client that is not yet started."""
    return ZooKeeperCoordinator(
        config.hosts,
        certificate=config.certificate,
        key=config.key,
        ca=config.ca,
        request_timeout=request_timeout,
    )


def open_services(config: AppConfig) -> Services:
    """All that the API needs. Waits for none of it: an API without ZooKeeper still answers.
    ConfigError where the keys of secrets cannot be read."""
    ring = Ring.read(config.secrets.keys_file)
    coordinator = open_coordinator(config.zookeeper)
    threading.Thread(
        target=_start, args=(coordinator,), name="coordinator-start", daemon=True
    ).start()
    database = open_database(config.database)
    threading.Thread(target=_catch_up, args=(database,), name="catch-up", daemon=True).start()
    return Services(
        database=database,
        coordinator=coordinator,
        object_store=open_object_store(config.object_store),
        settings=Settings(
            timezone=config.cluster.timezone,
            max_executable_bytes=config.api.max_executable_bytes,
            body_seconds=config.api.body_seconds,
            session_seconds=config.api.session_seconds,
            # The other threads serve the rest.
            large_bodies=max(1, config.api.threads // 4),
            followers=max(2, config.api.threads // 2),
        ),
        ring=ring,
    )


def _start(coordinator: Coordinator) -> None:
    """Connect for the first time, however long it takes; from then on the client reconnects."""
    while True:
        try:
            coordinator.start(_START)
        except CoordinatorError as error:
            log.warning("the coordination service does not answer yet: %s", error)
        else:
            return


def _catch_up(database: Database) -> None:
    """Mend what an API of the release before, which is now gone, did not know to write."""
    try:
        lookups.catch_up(database)
    except DatabaseError as error:
        log.warning("jobs could not be described for lists; the next start does it: %s", error)
    finally:
        database.close()


def read_password(path: Path) -> str:
    """A password file's first line; ConfigError if it cannot be read or is empty."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    if not lines or not lines[0]:
        raise ConfigError(f"{path}: is empty; write the password into its first line")
    return lines[0]
