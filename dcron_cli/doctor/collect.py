"""All looks of a node, side by side, each with a deadline: a part that hangs is a `Trouble`."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, cast

from dcron_cli.doctor import look_host, look_services, look_worker
from dcron_cli.doctor.facts import AppFacts, ConfigFile, Facts, Trouble, WorkerFacts
from dcron_common.clock import SYSTEM
from dcron_common.config import load_app, load_worker
from dcron_common.settings import AppConfig, WorkerConfig
from dcron_common.version import VERSION
from dcron_worker.main import LAUNCHER_SOCKET
from dcron_worker.runner.lease import boot_id

DEADLINE = 20.0  # seconds for all of it

T = TypeVar("T")


class Look:
    """One look in a thread of its own, begun at once. The thread of one that hangs is left
    behind: it ends with the process."""

    def __init__(self, work: Callable[[], Any]) -> None:
        self._work = work
        self._seen: Any = Trouble("the look ended without a result")
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._seen = self._work()
        except Exception as error:  # noqa: BLE001 - whatever a look meets is a finding
            self._seen = Trouble(str(error) or type(error).__name__)

    def result(self, until: float) -> Any:
        """What was seen, or a Trouble; waits until `until` on the monotonic clock."""
        self._thread.join(max(0.0, until - time.monotonic()))
        if self._thread.is_alive():
            return Trouble("no answer in time")
        return self._seen


def collect(folder: Path, seconds: float = DEADLINE) -> Facts | None:
    """The facts of this node, after `seconds` at the latest; None if it is no node of dcron."""
    until = time.monotonic() + seconds
    files: list[ConfigFile] = []
    worker = _config(folder / "worker.toml", load_worker, files)
    app = _config(folder / "app.toml", load_app, files)
    if not files:
        return None
    looks = _host_looks(folder, worker, app, files)
    looks |= {} if worker is None else _worker_looks(worker)
    looks |= {} if app is None else _app_looks(app)
    seen = {name: look.result(until) for name, look in looks.items()}
    return Facts(
        host=socket.gethostname(),
        now=SYSTEM.wall(),
        uptime=SYSTEM.boot(),
        boot_id=boot_id(),
        version=VERSION,
        release=look_host.installed_release(),
        configs=tuple(files),
        worker=None if worker is None else _worker_facts(worker.worker.name, seen),
        app=None if app is None else AppFacts(**_part(seen, "app")),
        **_part(seen, "host"),
    )


def _config(path: Path, load: Callable[[Path], T], files: list[ConfigFile]) -> T | None:
    if not path.exists():
        return None
    file, config = look_host.config_file(path, load)
    files.append(file)
    return cast("T | None", config)


def _host_looks(
    folder: Path, worker: WorkerConfig | None, app: AppConfig | None, files: list[ConfigFile]
) -> dict[str, Look]:
    names = {file.path.name for file in files}
    units: tuple[str, ...] = ("chrony.service",)
    units += look_host.WORKER_UNITS if "worker.toml" in names else ()
    units += look_host.APP_UNITS if "app.toml" in names else ()
    configs = [config for config in (worker, app) if config is not None]
    folders = [] if worker is None else [worker.worker.state_dir]
    folders += [c.object_store.path for c in configs if c.object_store.path is not None]
    return {
        "host.units": Look(partial(look_host.units, units)),
        "host.clock": Look(look_host.clock),
        "host.disks": Look(partial(look_host.disks, folders)),
        "host.certificates": Look(
            partial(look_host.certificates, [folder, Path("/etc/mysql/dcron")])
        ),
        "host.unresolved": Look(partial(look_host.unresolved, configs)),
    }


def _worker_looks(config: WorkerConfig) -> dict[str, Look]:
    state = config.worker.state_dir
    return {
        "worker.crontab": Look(look_worker.crontab),
        "worker.ticked": Look(look_worker.last_tick),
        "worker.fifo": Look(partial(look_worker.fifo, config.worker.fifo)),
        "worker.launcher": Look(
            lambda: look_worker.launcher(state, state / LAUNCHER_SOCKET, boot_id(), SYSTEM.boot())
        ),
        "worker.zookeeper": Look(
            partial(look_services.zookeeper, config.zookeeper, config.worker.name)
        ),
        "worker.database": Look(partial(look_services.database, config.database)),
        "worker.store": Look(partial(look_services.store, config.object_store)),
    }


def _app_looks(config: AppConfig) -> dict[str, Look]:
    return {
        "app.api": Look(partial(look_services.api, config.api, config.zookeeper.ca)),
        "app.zookeeper": Look(partial(look_services.zookeeper, config.zookeeper, None)),
        "app.database": Look(partial(look_services.database, config.database)),
        "app.store": Look(partial(look_services.store, config.object_store)),
    }


def _worker_facts(name: str, seen: dict[str, Any]) -> WorkerFacts:
    parts = _part(seen, "worker")
    ticked = parts.pop("ticked")
    age = SYSTEM.wall() - ticked if isinstance(ticked, float) else ticked
    return WorkerFacts(name=name, tick_age=age, **parts)


def _part(seen: dict[str, Any], prefix: str) -> dict[str, Any]:
    return {
        name.removeprefix(f"{prefix}."): value
        for name, value in seen.items()
        if name.startswith(f"{prefix}.")
    }
