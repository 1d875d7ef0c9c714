"""Asking what the node needs: ZooKeeper, the database, the object store, and its own API."""

from __future__ import annotations

import http.client
import json
import ssl
from contextlib import suppress
from pathlib import Path

from dcron_cli.doctor.facts import Api, Service, ZooKeeper
from dcron_common import paths
from dcron_common.config_file import split_host
from dcron_common.coordinator.contract import Coordinator
from dcron_common.coordinator.zookeeper import ZooKeeperCoordinator
from dcron_common.coordinator.zookeeper_server import server_mode
from dcron_common.coordinator.zookeeper_tls import Tls, tls_of
from dcron_common.db.connection import Database
from dcron_common.db.probe import check_writable
from dcron_common.errors import (
    ConfigError,
    ConnectionLost,
    CoordinatorError,
    DatabaseError,
    DatabaseUnavailable,
    DcronError,
    NoNode,
)
from dcron_common.object_store import open_object_store
from dcron_common.protocol import Registration
from dcron_common.settings import ApiConfig, DatabaseConfig, ObjectStoreConfig, ZooKeeperConfig

ANSWER = 3.0  # seconds for one answer


def zookeeper(config: ZooKeeperConfig, worker: str | None) -> ZooKeeper:
    """The servers one by one, then a session with this node's certificate. `worker`: whose
    registration and assignments to read; None: look for managers."""
    servers: dict[str, str] = {}
    problems: dict[str, str] = {}
    try:
        tls_of(config.certificate, config.key, config.ca)
    except ConfigError as error:
        return ZooKeeper({}, session=str(error))
    tls = Tls(config.certificate, config.key, config.ca)
    for address in config.hosts:
        host, port = split_host(address)
        try:
            servers[host] = server_mode(host, port, tls, ANSWER)
        except ConnectionLost as error:
            servers[host], problems[host] = "", str(error)
    if not any(servers.values()):
        return ZooKeeper(servers, problems, session="no server is part of a quorum")
    coordinator = ZooKeeperCoordinator(
        config.hosts,
        certificate=config.certificate,
        key=config.key,
        ca=config.ca,
        request_timeout=ANSWER,
    )
    try:
        coordinator.start(ANSWER)
        return asked(coordinator, servers, problems, worker)
    except CoordinatorError as error:
        return ZooKeeper(servers, problems, session=str(error) or type(error).__name__)
    finally:
        with suppress(CoordinatorError):
            coordinator.stop()


def asked(
    coordinator: Coordinator, servers: dict[str, str], problems: dict[str, str], worker: str | None
) -> ZooKeeper:
    """What the tree says, by a session that is there; `worker` as above. CoordinatorError."""
    if worker is None:
        with suppress(NoNode):
            managers = len(coordinator.children(paths.ELECTION))
            return ZooKeeper(servers, problems, managers=managers)
        return ZooKeeper(servers, problems, managers=0)
    admitted = coordinator.exists(paths.worker(worker)) is not None
    registered, assigned = None, frozenset[int]()
    with suppress(NoNode):
        registered = Registration.decode(coordinator.get(paths.registration(worker)).data)
    with suppress(NoNode):
        names = coordinator.children(paths.assignments(worker))
        assigned = frozenset(paths.assignment_parts(name)[0].job_id for name in names)
    return ZooKeeper(servers, problems, admitted=admitted, registered=registered, assigned=assigned)


def database(config: DatabaseConfig) -> Service:
    """Whether the writer's address takes writes of this node's account."""
    if config.kind == "sqlite":
        opened = Database.sqlite(str(config.path))
    else:
        opened = Database.mariadb(
            config.hosts,
            config.name,
            config.user,
            config.password,
            config.ca,
            answer_timeout=ANSWER,
        )
    name = ", ".join(config.hosts) or str(config.path)
    try:
        check_writable(opened)
    except DatabaseUnavailable as error:
        return Service(name, str(error))
    except DatabaseError as error:
        return Service(name, str(error), refused=True)
    finally:
        opened.close()
    return Service(name)


def store(config: ObjectStoreConfig) -> Service:
    """Whether the object store answers this node."""
    name = str(config.path) if config.kind == "directory" else config.endpoint or "AWS"
    try:
        open_object_store(config).ready()
    except DcronError as error:
        return Service(name, str(error))
    return Service(name)


def api(config: ApiConfig, ca: Path | None) -> Api:
    """/health/ready of this node's own API, over loopback. OSError where it does not answer."""
    _, port = split_host(config.listen)
    if config.tls_certificate is None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2 * ANSWER)
    else:
        context = ssl.create_default_context(cafile=None if ca is None else str(ca))
        connection = http.client.HTTPSConnection(
            "127.0.0.1", port, timeout=2 * ANSWER, context=context
        )
    try:
        connection.request("GET", "/health/ready")
        answer = connection.getresponse()
        parts = json.loads(answer.read(65536))
    except (http.client.HTTPException, ValueError) as error:
        raise OSError(f"no answer of an API: {error!r}") from error
    finally:
        connection.close()
    ill = tuple(sorted(name for name, state in parts.items() if state == "ill"))
    return Api(answer.status, ill)
