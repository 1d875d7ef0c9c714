"""The manager as a process, or as a thread of the embedded mode."""

from __future__ import annotations

import logging
import signal
import socket
import threading
from types import FrameType

from dcron_app.manager.election import Election
from dcron_app.manager.leader import Leader
from dcron_app.manager.retention import Retention
from dcron_app.manager.sealing import Sealing
from dcron_app.wiring import open_coordinator, open_database
from dcron_common import paths
from dcron_common.clock import SYSTEM, Clock
from dcron_common.coordinator.contract import ANYONE, APP, Coordinator
from dcron_common.db.connection import Database
from dcron_common.errors import ConnectionLost, DatabaseUnavailable, NoNode
from dcron_common.object_store import ObjectStore, open_object_store
from dcron_common.sealing.ring import Ring
from dcron_common.settings import AppConfig, RetentionConfig

log = logging.getLogger(__name__)

CONNECT = 15.0  # seconds until a start without ZooKeeper is tried again
STOP = 5.0  # seconds for retention to end: a daemon's thread, it may be left behind
PASS = 1.0  # seconds between two passes when nothing wakes the manager


class Manager:
    """Campaigns, leads, and steps down; everything it touches is passed in."""

    def __init__(
        self,
        name: str,
        coordinator: Coordinator,
        database: Database,
        clock: Clock = SYSTEM,
        *,
        ring: Ring,
        store: ObjectStore | None = None,
        retention: RetentionConfig | None = None,
    ) -> None:
        """`ring`: opens users' secrets, to be sealed for workers. `retention`: what is removed
        after its time, from the database and from `store`; without a store nothing is."""
        self._name = name
        self._coordinator = coordinator
        self._election = Election(coordinator, name)
        sealing = Sealing(database, ring)
        self._retention = None
        if store is not None:
            config = retention or RetentionConfig()
            self._retention = Retention(coordinator, database, store, config, clock)
        self._leader = Leader(
            coordinator, database, self._election, clock, sealing, self._retention
        )
        self._watched = False
        self._wake = threading.Event()
        self._stop = threading.Event()

    def stop(self) -> None:
        """Ask `run` to end and to step down."""
        self._stop.set()
        self._wake.set()

    def run(self) -> None:
        """Work until stopped; an error ends one pass, never the manager."""
        if self._retention is None:
            self._lead()
            return
        thread = self._retention.start()
        self._lead()
        self._retention.stop()
        thread.join(STOP)

    def _lead(self) -> None:
        prepared = False
        trouble: str | None = None
        while not self._stop.is_set():
            try:
                if not prepared:
                    self._prepare()
                    prepared = True
                self._leader.step()
                if trouble is not None:
                    log.info("manager=%s goes on", self._name)
                trouble = None
            except (ConnectionLost, DatabaseUnavailable) as error:
                if trouble is None:
                    log.warning("manager=%s waits: %s", self._name, error)
                trouble = str(error)
            except NoNode as error:
                # ZooKeeper may have been set up anew; if not, looking costs little.
                log.warning("manager=%s makes what is missing: %s", self._name, error)
                prepared = False
            except Exception:  # the top of the loop: one bad item must not end the manager
                log.exception("manager=%s a pass failed and is repeated", self._name)
            self._wake.wait(PASS)
            self._wake.clear()
        self._election.step_down()

    def _prepare(self) -> None:
        """Make what every pass needs. It may be called again; watches stand for good."""
        # A fresh ensemble lets everybody write below its root.
        self._coordinator.set_access("/", ((APP, "rwcda"), (ANYONE, "r")))
        for path in paths.roots():
            self._coordinator.ensure(path)
        if self._watched:
            return
        self._watched = True
        for path in (paths.INBOX, paths.ELECTION):
            self._coordinator.watch_children(path, self._wake.set)


def run(config: AppConfig) -> None:
    """`dcron-app manager`: work until SIGTERM or SIGINT."""
    coordinator = open_coordinator(config.zookeeper)
    ring = Ring.read(config.secrets.keys_file)
    manager = Manager(
        socket.gethostname(),
        coordinator,
        open_database(config.database),
        ring=ring,
        store=open_object_store(config.object_store),
        retention=config.retention,
    )
    stopped = threading.Event()

    def ask_to_stop(number: int, frame: FrameType | None) -> None:
        stopped.set()
        manager.stop()

    signal.signal(signal.SIGTERM, ask_to_stop)
    signal.signal(signal.SIGINT, ask_to_stop)
    while not stopped.is_set():
        try:
            coordinator.start(CONNECT)
        except ConnectionLost as error:
            log.warning("ZooKeeper does not answer yet: %s", error)
        else:
            break
    manager.run()
    coordinator.stop()
