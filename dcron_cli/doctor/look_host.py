"""Looking at the host: units, clock, disks, certificates, names. Nothing here changes anything.

Each look raises OSError, ValueError or subprocess.SubprocessError where it cannot be done; the
caller makes a `Trouble` of that, and bounds the time.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import stat
import subprocess
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from cryptography import x509

from dcron_cli.doctor.facts import Certificate, Clock, ConfigFile, Disk, Unit
from dcron_common.config_file import split_host
from dcron_common.errors import ConfigError
from dcron_common.settings import AppConfig, WorkerConfig

COMMAND = 5.0  # seconds for one command
# Those that a control node may have beside dcron's own; they count where they are enabled.
_COMPANIONS = (
    "mariadb.service",
    "dcron-mysql-health.socket",
    "dcron-zookeeper.service",
    "haproxy.service",
    "keepalived.service",
)
WORKER_UNITS = (
    "cron.service",
    "dcron-fire.socket",
    "dcron-launcher.service",
    "dcron-worker.service",
)
APP_UNITS = ("dcron-api.service", "dcron-manager.service")
_ASKED = (
    "Id,LoadState,ActiveState,SubState,UnitFileState,NRestarts,MainPID,"
    "ActiveEnterTimestampMonotonic"
)
_RELEASE = re.compile(r"/opt/dcron/releases/([^/\x00]+)/")
RELEASES = Path("/opt/dcron")
_STATE = ("/var/lib/mysql", "/var/lib/zookeeper", "/var/log/journal", "/var/spool/cron", "/run")


def output(*command: str) -> str:
    """What a command prints; OSError or subprocess.SubprocessError if it fails or hangs."""
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=COMMAND
    )
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise OSError(f"{command[0]}: {said[-1] if said else f'exit code {done.returncode}'}")
    return done.stdout


def config_file(path: Path, load: Callable[[Path], object]) -> tuple[ConfigFile, object | None]:
    """A configuration and what it says, None where it cannot be used."""
    mode = stat.S_IMODE(path.stat().st_mode)
    try:
        return ConfigFile(path, mode), load(path)
    except ConfigError as error:
        return ConfigFile(path, mode, str(error)), None


def units(names: Iterable[str]) -> tuple[Unit, ...]:
    """The named units, which all have to run, and companions that are enabled here."""
    needed = tuple(names)
    text = output("systemctl", "show", f"--property={_ASKED}", *needed, *_COMPANIONS)
    return tuple(unit for block in text.strip().split("\n\n") if (unit := _unit(block, needed)))


def _unit(block: str, needed: tuple[str, ...]) -> Unit | None:
    values = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
    name = values["Id"]
    if values["LoadState"] != "loaded":
        return Unit(name, "missing", "") if name in needed else None
    since = int(values.get("ActiveEnterTimestampMonotonic") or 0) / 1e6
    process = Path("/proc") / values.get("MainPID", "0")
    return Unit(
        name,
        values["ActiveState"],
        values["SubState"],
        int(values.get("NRestarts") or 0),
        time.monotonic() - since,
        process_state(process),
        _release_of(process),
        name in needed or values["UnitFileState"] == "enabled",
    )


def process_state(process: Path) -> str:
    """The letter in /proc/PID/stat, T for one that was stopped; "" where there is none."""
    try:
        return (process / "stat").read_text().rpartition(") ")[2][:1]
    except OSError:
        return ""


def _release_of(process: Path) -> str:
    try:
        found = _RELEASE.search((process / "cmdline").read_text(errors="replace"))
    except OSError:
        return ""
    return found[1] if found else ""


def installed_release() -> str:
    """The folder of the present release; "" where dcron was not installed by its roles."""
    try:
        return (RELEASES / "venv").readlink().name
    except OSError:
        return ""


def clock() -> Clock:
    """What chronyd says of the clock."""
    return clock_of(output("chronyc", "-c", "-n", "tracking"))


def clock_of(text: str) -> Clock:
    """chronyc's comma-separated `tracking`: the fifth field is the offset, the last the leap."""
    fields = text.strip().split(",")
    if len(fields) < 14:
        raise ValueError(f"chronyc answers {text.strip()[:100]!r}")
    return Clock(float(fields[4]), fields[-1] != "Not synchronised")


def disks(folders: Iterable[Path]) -> tuple[Disk, ...]:
    """The file systems of these folders and of the servers' own, each once."""
    seen: dict[int, Disk] = {}
    for path in [*folders, *map(Path, _STATE)]:
        if not path.is_dir():
            continue
        device = path.stat().st_dev
        if device in seen:
            continue
        usage, files = shutil.disk_usage(path), os.statvfs(path)
        seen[device] = Disk(
            path,
            usage.free,
            usage.free / usage.total if usage.total else 1.0,
            files.f_favail / files.f_files if files.f_files else 1.0,
        )
    return tuple(seen.values())


def certificates(folders: Iterable[Path]) -> tuple[Certificate, ...]:
    """Every certificate in these folders and below."""
    paths = {path for folder in folders for path in folder.rglob("*.crt")}
    return tuple(_certificate(path) for path in sorted(paths))


def _certificate(path: Path) -> Certificate:
    try:
        found = x509.load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError) as error:
        return Certificate(path, None, f"cannot be read: {error}")
    return Certificate(path, found.not_valid_after_utc.timestamp())


def unresolved(configs: Iterable[AppConfig | WorkerConfig]) -> tuple[str, ...]:
    """This host's name and the names in the configurations that have no address."""
    hosts = {socket.gethostname()}
    for config in configs:
        hosts |= {split_host(text)[0] for text in config.zookeeper.hosts + config.database.hosts}
    return tuple(sorted(host for host in hosts if not _resolves(host)))


def _resolves(host: str) -> bool:
    try:
        return bool(socket.getaddrinfo(host, None))
    except OSError:
        return False
