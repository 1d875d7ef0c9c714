"""The embedded mode: API, manager and worker in one process, on files in one folder, without root.

Everything above the adapters is the cluster's code: SQLite stands for MariaDB, a tree in this
process for ZooKeeper, a directory for S3. Killed at any moment and started again, it goes on
with its jobs; runs outlive it in their launcher and are owned again.
"""

from __future__ import annotations

import fcntl
import ipaddress
import logging
import os
import pwd
import shutil
import signal
import socket
import sys
import threading
from pathlib import Path
from socketserver import ThreadingMixIn
from types import FrameType
from typing import IO, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from dcron_app.api.app import build
from dcron_app.api.services import Services, Settings
from dcron_app.manager.admission import admit
from dcron_app.manager.main import Manager
from dcron_cli import launcher_process
from dcron_common import log as logs
from dcron_common.clock import SYSTEM
from dcron_common.config_file import split_host
from dcron_common.coordinator.local import LocalCoordinator, LocalEnsemble
from dcron_common.db import migrations, tokens, users
from dcron_common.db.connection import Database
from dcron_common.errors import ConfigError
from dcron_common.object_store.directory import DirectoryStore
from dcron_common.protocol import Registration
from dcron_common.sealing.ring import Ring
from dcron_common.sealing.worker_key import WorkerKey
from dcron_common.version import VERSION
from dcron_worker.crontab_check import CrontabError
from dcron_worker.crontab_file import UserCrontab
from dcron_worker.firing import embedded_firing
from dcron_worker.runner.lease import boot_id
from dcron_worker.service import Worker, daemon_life

log = logging.getLogger(__name__)

ADMIN = "admin"
FOLLOWERS = 16  # each has a thread of its own here
STOP = 8.0  # seconds until a stop is forced


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    request_queue_size = 128


class _Handler(WSGIRequestHandler):
    """Says requests in the log's form, without headers: tokens never reach a log."""

    timeout = 60  # seconds for a client that says nothing

    def log_message(self, format: str, *args: Any) -> None:
        log.debug("%s %s", self.address_string(), format % args)


def serve(state: Path, listen: str, crontab: str) -> int:
    """Run until SIGTERM or SIGINT; returns the exit code. ConfigError for bad arguments."""
    logs.configure()
    os.umask(0o077)  # tokens, jobs and outputs are this user's own; runs get a umask of their own
    state = state.absolute()  # it goes into the crontab, and the launcher lives in another folder
    host, port = _loopback(listen)
    lock = _prepare(state)
    if crontab == "none":
        _clear_crontab(state)
    parts = _Parts(state, host, crontab)
    try:
        server = make_server(host, port, parts.application, _Server, _Handler)
    except OSError as error:
        raise ConfigError(f"--listen {listen}: {error.strerror}: choose another port") from error
    log.info("listening on http://%s:%d, token in %s", host, port, state / "token")
    healthy = parts.run(server)
    lock.close()
    log.info("stopped; runs that go on are owned again at the next start")
    return 0 if healthy else 1


class _Parts:
    """API, manager, worker, and what they share: a record, a tree, a store. `run` ends them all."""

    def __init__(self, state: Path, host: str, crontab: str) -> None:
        self._database = _record(state)
        self._ensemble = LocalEnsemble(state / "coordination.db")
        self._store = DirectoryStore(state / "objects")
        session = self._session()
        ring = Ring.read_or_make(state / "secrets.keys")
        self._manager = Manager("standalone", session, self._database, ring=ring, store=self._store)
        settings = Settings(only_run_as=pwd.getpwuid(os.getuid()).pw_name, followers=FOLLOWERS)
        self.application = build(
            Services(self._database, self._session(), self._store, SYSTEM, settings, ring=ring)
        )
        self._runner = launcher_process.connect(state)
        name = socket.gethostname().partition(".")[0]
        admit(session, name)
        self._worker = self._worker_of(name, state, host, crontab)

    def _session(self) -> LocalCoordinator:
        session = self._ensemble.session()
        session.start(5.0)
        return session

    def _worker_of(self, name: str, state: Path, host: str, crontab: str) -> Worker:
        return Worker(
            Registration(name, boot_id(), daemon_life(), host, {}, 1000, VERSION, 0),
            key=WorkerKey.read_or_make(state / "secrets.key"),
            coordinator=self._session(),
            database=self._database,
            object_store=self._store,
            runner=self._runner,
            firing=embedded_firing(state, crontab, SYSTEM),
            state_dir=state,
            cache_bytes=2**30,
            allowed=None,
            clock=SYSTEM,
        )

    def run(self, server: WSGIServer) -> bool:
        """Until asked to stop; False if a part ended by itself."""
        threads = {
            "manager": threading.Thread(target=self._manager.run, name="manager", daemon=True),
            "worker": threading.Thread(target=self._worker.run, name="worker", daemon=True),
            "api": threading.Thread(target=server.serve_forever, name="api", daemon=True),
        }
        done = _asked_to_stop()
        for thread in threads.values():
            thread.start()
        healthy = _wait(done, threads)
        server.shutdown()
        self._worker.stop()
        self._manager.stop()
        for thread in threads.values():
            thread.join(STOP / len(threads))
        self._runner.close()
        self._ensemble.close()
        return healthy


def _record(state: Path) -> Database:
    """The record, with an admin whose token is beside it."""
    database = Database.sqlite(state / "dcron.db")
    migrations.migrate(database)
    _admin_token(database, state / "token")
    return database


def _asked_to_stop() -> threading.Event:
    """Set by SIGTERM and SIGINT from now on."""
    done = threading.Event()

    def ask_to_stop(number: int, frame: FrameType | None) -> None:
        done.set()

    signal.signal(signal.SIGTERM, ask_to_stop)
    signal.signal(signal.SIGINT, ask_to_stop)
    return done


def _wait(done: threading.Event, threads: dict[str, threading.Thread]) -> bool:
    """Until asked to stop; False if a part ended by itself, which its log line explains."""
    while not done.wait(0.5):
        ended = [name for name, thread in threads.items() if not thread.is_alive()]
        if ended:
            log.error("%s ended by itself: stopping", ", ".join(ended))
            return False
    return True


def _loopback(listen: str) -> tuple[str, int]:
    host, port = split_host(listen)
    try:
        loopback = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise ConfigError(
            f"--listen {listen}: the embedded mode has no TLS and listens on loopback only, "
            "such as 127.0.0.1:30000"
        )
    return host, port


def _prepare(state: Path) -> IO[str]:
    """Make the folder, private; ConfigError if another process uses it. Keep the result open."""
    try:
        state.mkdir(parents=True, exist_ok=True, mode=0o700)
        _keep_private(state)
        lock = (state / "lock").open("w")
    except OSError as error:
        raise ConfigError(f"--state {state}: {error.strerror}: choose another folder") from error
    os.set_inheritable(lock.fileno(), False)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise ConfigError(f"--state {state}: another dcron standalone uses it") from error
    return lock


def _keep_private(state: Path) -> None:
    """ConfigError for a folder that others may look into.

    An empty one is closed: nothing of it was read, and nobody else needs it. One that holds
    something is for its user to decide: what others have read stays read, and a home or a shared
    folder, named by mistake, must not change under its users.
    """
    status = state.stat()
    if status.st_uid != os.geteuid():
        raise ConfigError(f"--state {state}: belongs to another user: choose another folder")
    if not status.st_mode & 0o077:
        return
    if any(state.iterdir()):
        raise ConfigError(
            f"--state {state}: is open to other users, and would hold tokens: chmod 700 {state}, "
            "or choose another folder"
        )
    state.chmod(0o700)


def _clear_crontab(state: Path) -> None:
    """Take away what an earlier start with `--crontab user` left in the user's crontab."""
    if shutil.which("crontab") is None:
        return
    try:
        if UserCrontab(state / "fire").clear():
            log.info("the lines of an earlier start were taken out of the user's crontab")
    except ConfigError:
        pass  # this path cannot stand in a crontab, so it never did
    except CrontabError as error:
        log.warning("the user's crontab was not looked at: %s", error)


def _admin_token(database: Database, path: Path) -> None:
    """At the first start: an admin and a token that only this user can read."""
    if any(user.name == ADMIN for user in users.list_users(database)) and path.exists():
        return
    now = SYSTEM.wall()
    if not any(user.name == ADMIN for user in users.list_users(database)):
        users.add_user(database, ADMIN, users.Role.ADMIN, [], ["*"], now, "standalone")
    token = tokens.add_token(database, ADMIN, "standalone", None, now, "standalone").text
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(token + "\n")
        file.flush()
        os.fsync(file.fileno())
    print(f"dcron: the admin's token is in {path}", file=sys.stderr)
