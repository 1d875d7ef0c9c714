"""A node on which all is well; tests take one thing away from it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from dcron_cli.doctor.facts import (
    Api,
    AppFacts,
    Certificate,
    Clock,
    ConfigFile,
    CrontabFile,
    Disk,
    Facts,
    Fifo,
    Launcher,
    Results,
    Service,
    Unit,
    WorkerFacts,
    ZooKeeper,
)
from dcron_common.protocol import Registration

NOW = 1_800_000_000.0
BOOT = "11111111-2222-3333-4444-555555555555"
DAY = 86_400.0
SERVERS = {"ctl1": "leader", "ctl2": "follower", "ctl3": "follower"}
REGISTRATION = Registration("node1", BOOT, "1.0", "10.0.0.21", {}, 100, "0.1.0", 1_799_999_940)

WORKER = WorkerFacts(
    name="node1",
    crontab=(CrontabFile("dcron", 0o644, 0, True, True, frozenset({1, 2})),),
    tick_age=12.0,
    fifo=Fifo(Path("/run/dcron/fire"), "fifo"),
    launcher=Launcher(Path("/var/lib/dcron-worker/launcher.sock"), True, 8.2, Results(3, 1, NOW)),
    zookeeper=ZooKeeper(SERVERS, registered=REGISTRATION, assigned=frozenset({1, 2})),
    database=Service("10.0.0.100:3307"),
    store=Service("https://10.0.0.100:8080"),
)
APP = AppFacts(
    api=Api(200),
    zookeeper=ZooKeeper(SERVERS, managers=3),
    database=Service("10.0.0.100:3307"),
    store=Service("https://10.0.0.100:8080"),
)
FACTS = Facts(
    host="node1",
    now=NOW,
    uptime=90_000.0,
    boot_id=BOOT,
    version="0.1.0",
    release="abc",
    configs=(ConfigFile(Path("/etc/dcron/worker.toml"), 0o600),),
    units=(
        Unit("cron.service", "active", "running", process="S"),
        Unit("dcron-worker.service", "active", "running", process="S", release="abc"),
    ),
    clock=Clock(0.0001, True),
    disks=(Disk(Path("/var/lib/dcron-worker"), 50 * 2**30, 0.5, 0.9),),
    certificates=(Certificate(Path("/etc/dcron/worker/worker.crt"), NOW + 400 * DAY),),
    unresolved=(),
    worker=WORKER,
    app=APP,
)


def node(**changes: Any) -> Facts:
    """The node with other facts of its host."""
    return replace(FACTS, **changes)


def worker(**changes: Any) -> Facts:
    """The node with other facts of its worker."""
    return replace(FACTS, worker=replace(WORKER, **changes))


def app(**changes: Any) -> Facts:
    """The node with other facts of its API and manager."""
    return replace(FACTS, app=replace(APP, **changes))


def zookeeper(**changes: Any) -> Facts:
    """The node whose worker sees another ZooKeeper."""
    assert isinstance(WORKER.zookeeper, ZooKeeper)
    return worker(zookeeper=replace(WORKER.zookeeper, **changes))


def launcher(**changes: Any) -> Facts:
    """The node with another launcher."""
    assert isinstance(WORKER.launcher, Launcher)
    return worker(launcher=replace(WORKER.launcher, **changes))
