"""A clock that is wrong is told by a real ZooKeeper server's: libfaketime lies to a worker's beat.

The host's clock stays right, as tests may not set it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dcron_app.manager.admission import admit
from dcron_common import paths, timing
from dcron_common.coordinator.contract import APP
from dcron_common.coordinator.zookeeper import ZooKeeperCoordinator
from dcron_common.protocol import Registration
from tests.servers.process import end
from tests.servers.zookeeper import ZooKeeperServer

ROOT = Path(__file__).resolve().parents[2]
LIBRARY = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)
PATIENCE = 60.0

pytestmark = pytest.mark.skipif(
    LIBRARY is None, reason="Debian's libfaketime is not installed (tests/servers/packages.txt)"
)

# A worker's membership, as the daemon has it; it ends with its standard input.
BEAT = """
import sys
from pathlib import Path
from dcron_common.clock import SYSTEM
from dcron_common.coordinator.zookeeper import ZooKeeperCoordinator
from dcron_common.protocol import Registration
from dcron_worker.membership import Membership
name, host, certificate, key, ca = sys.argv[1:]
session = ZooKeeperCoordinator(
    [host], certificate=Path(certificate), key=Path(key), ca=Path(ca), request_timeout=5.0
)
session.start(15.0)
seen = Registration(name, "boot", "1", "127.0.0.1", {}, 1, "0", 0)
Membership(session, seen, SYSTEM, renew=lambda until: None, on_session=lambda: None).start()
sys.stdin.read()
session.stop()
"""


def coordinator(server: ZooKeeperServer, name: str) -> ZooKeeperCoordinator:
    mine = server.issue(name)
    return ZooKeeperCoordinator(
        [f"127.0.0.1:{server.tls_port}"],
        certificate=mine.certificate,
        key=mine.key,
        ca=server.ca,
        request_timeout=5.0,
    )


@contextmanager
def beating(server: ZooKeeperServer, name: str, lie: str) -> Iterator[None]:
    """A worker in a process of its own, whose clock is off by `lie`."""
    mine = server.issue(name)
    files = [str(path) for path in (mine.certificate, mine.key, server.ca)]
    process = subprocess.Popen(
        [sys.executable, "-c", BEAT, name, f"127.0.0.1:{server.tls_port}", *files],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        env={
            **os.environ,
            "LD_PRELOAD": str(LIBRARY),
            "FAKETIME": lie,
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        },
    )
    try:
        yield
    finally:
        end(process)


@pytest.mark.parametrize(
    ("lie", "least", "most"), [("+5s", 4.0, 6.0), ("-3600s", -3601.0, -3599.0), ("+0s", -1.0, 1.0)]
)
def test_a_worker_measures_how_far_its_clock_is_off_and_says_so(
    zookeeper_server: ZooKeeperServer, lie: str, least: float, most: float
) -> None:
    name = f"clock{int(least)}"
    app = coordinator(zookeeper_server, APP)
    app.start(PATIENCE)
    try:
        admit(app, name)
        with beating(zookeeper_server, name, lie):
            seen = measured(app, name)
    finally:
        app.stop()
    assert seen.clock_offset is not None and least <= seen.clock_offset <= most
    assert ("clock" in seen.ill) is (abs(seen.clock_offset) > timing.CLOCK_OFFSET)


def measured(app: ZooKeeperCoordinator, name: str) -> Registration:
    """The registration, when the offset that it tells was told once."""
    deadline = time.monotonic() + PATIENCE
    while True:
        if app.exists(paths.registration(name)) is not None:
            seen = Registration.decode(app.get(paths.registration(name)).data)
            if seen.clock_offset is not None and seen.beat > 2:
                return seen
        assert time.monotonic() < deadline, "no beat told its offset"
        time.sleep(0.1)
