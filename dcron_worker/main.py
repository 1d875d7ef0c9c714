"""`dcron-worker`: the daemon of a node, its launcher, and a check of the configuration."""

from __future__ import annotations

import argparse
import logging
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

import dcron_worker.runner.main as launcher
from dcron_common import log as logs
from dcron_common import timing
from dcron_common.clock import SYSTEM
from dcron_common.config import WORKER_PATH, load_worker
from dcron_common.coordinator.zookeeper import ZooKeeperCoordinator
from dcron_common.db.connection import Database
from dcron_common.errors import ConfigError, DcronError
from dcron_common.object_store import open_object_store
from dcron_common.protocol import Registration
from dcron_common.sealing.worker_key import WorkerKey
from dcron_common.settings import WorkerConfig
from dcron_common.version import VERSION
from dcron_worker.firing import system_firing
from dcron_worker.runner.client import Runner
from dcron_worker.runner.lease import boot_id
from dcron_worker.service import Worker, daemon_life

log = logging.getLogger(__name__)

LAUNCHER_SOCKET = "launcher.sock"
SECRETS_KEY = "secrets.key"  # what secrets are sealed for; lost, a new one is made
CONNECT = 30.0  # seconds to reach the launcher and ZooKeeper before the start has failed


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="dcron-worker", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text in (("run", "run the daemon"), ("check", "check the configuration")):
        command = commands.add_parser(name, help=text)
        command.add_argument("--config", type=Path, default=WORKER_PATH)
    started = commands.add_parser("launcher", help="start, reap and guard runs")
    started.add_argument("--config", type=Path, default=WORKER_PATH)
    arguments = parser.parse_args(argv)
    try:
        config = load_worker(arguments.config)
        if arguments.command == "check":
            print(f"{arguments.config}: correct")
            return 0
        if arguments.command == "launcher":
            state = config.worker.state_dir
            return launcher.main(
                ["--socket", str(state / LAUNCHER_SOCKET), "--state", str(state / "runs")]
            )
        return _run(config)
    except DcronError as error:
        print(f"dcron-worker: {error}", file=sys.stderr)
        return 2 if isinstance(error, ConfigError) else 1


def _run(config: WorkerConfig) -> int:
    logs.configure(config.log.level)
    settings = config.worker
    database = config.database
    keeper = config.zookeeper
    coordinator = ZooKeeperCoordinator(
        keeper.hosts,
        certificate=keeper.certificate,
        key=keeper.key,
        ca=keeper.ca,
        session_timeout=timing.SESSION,
        request_timeout=timing.LEASE / 3,
    )
    runner = Runner(settings.state_dir / LAUNCHER_SOCKET, settings.state_dir / "runs")
    runner.connect(CONNECT)
    coordinator.start(CONNECT)
    worker = Worker(
        Registration(
            worker=settings.name,
            boot_id=boot_id(),
            started=daemon_life(),
            address=_address(keeper.hosts[0]),
            labels=settings.labels,
            capacity=settings.capacity,
            version=VERSION,
            ticked_through=0,
        ),
        key=WorkerKey.read_or_make(settings.state_dir / SECRETS_KEY),
        coordinator=coordinator,
        database=Database.mariadb(
            database.hosts, database.name, database.user, database.password, database.ca
        ),
        object_store=open_object_store(config.object_store),
        runner=runner,
        firing=system_firing(settings.fifo, SYSTEM),
        state_dir=settings.state_dir,
        cache_bytes=settings.cache_bytes,
        allowed=frozenset(settings.run_as),
        clock=SYSTEM,
    )

    def ask_to_stop(number: int, frame: FrameType | None) -> None:
        worker.stop()

    signal.signal(signal.SIGTERM, ask_to_stop)
    signal.signal(signal.SIGINT, ask_to_stop)
    log.info("worker=%s version=%s starts", settings.name, VERSION)
    worker.run()
    coordinator.stop(keep_session=True)
    runner.close()
    return 0


def _address(server: str) -> str:
    """The address that this node uses towards the cluster; nothing is sent."""
    host, _, port = server.rpartition(":")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((host, int(port)))
        return str(probe.getsockname()[0])
