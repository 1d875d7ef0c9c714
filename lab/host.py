"""One host: boot it, shut it down, cut its power, freeze it.

A host is a systemd-nspawn process in a session and cgroups of its own; the lab does not stay
around to watch it. A power cut loses what the host's processes held in memory, not what they
gave to the kernel: the machine's page cache lives on, unlike that of a real host.
"""

import os
import shutil
import signal
import subprocess
from pathlib import Path

from lab import cgroup, disk, mounts, names, network, state
from lab.errors import LabError
from lab.shell import run, succeeds, wait_until

_INSIDE = "/run/lab-cgroup"
_NSPAWN = Path("/run/systemd/nspawn")


def start_ticks(pid: int) -> int | None:
    """When a process started, in clock ticks since boot; None if it is gone or a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def is_running(record: state.Host) -> bool:
    """Whether the recorded process lives, and is not another with the same pid."""
    return record.pid is not None and start_ticks(record.pid) == record.started


def is_up(record: state.Host) -> bool:
    """Whether the host runs and its boot was not interrupted half-way."""
    return record.ready and is_running(record)


def describe(lab: state.Lab, host: str) -> str:
    """The host's state: running, frozen or stopped."""
    if not is_running(lab.hosts[host]):
        return "stopped"
    return "frozen" if cgroup.is_frozen(lab.name, host) else "running"


def boot(lab: state.Lab, host: str) -> None:
    """Start a host; return when its process runs and its cable is plugged in."""
    clear(lab.name, host)
    mounts.mount_overlay(Path(lab.base), names.disk_dir(lab.name) / host)
    joins = cgroup.create(lab.name, host)
    enter = "".join(f"echo 0 > {file} && " for file in joins)
    with (names.run_dir(lab.name) / f"{host}.log").open("ab") as log:
        process = subprocess.Popen(
            ["/bin/sh", "-c", f'{enter}exec "$@"', "lab", *nspawn(lab, host)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            cwd="/",
        )
    lab.hosts[host] = state.Host(process.pid, start_ticks(process.pid), ready=False)
    state.save(lab)
    port = names.port(lab.name, host)
    wait_until(
        lambda: network.link_exists(port) or process.poll() is not None, 20, f"{host}: its cable"
    )
    if process.poll() is not None:
        raise LabError(f"{host} did not start; the end of its console:\n{console(lab, host)}")
    network.plug(lab.name, host)


def nspawn(lab: state.Lab, host: str) -> list[str]:
    """The command that is a host."""
    port = names.port(lab.name, host)
    binds = [f"--bind={group}:{_INSIDE}/{kind}" for kind, group in _limits(lab.name, host)]
    return [
        "systemd-nspawn",
        "--quiet",
        "--register=no",
        "--keep-unit",
        "--boot",
        f"--directory={disk.root(lab.name, host)}",
        f"--machine={port}",
        f"--hostname={host}",
        f"--network-veth-extra={port}:host0",
        # The packages of tzdata and others fail on a bind-mounted /etc/localtime.
        "--timezone=off",
        "--resolv-conf=off",
        "--link-journal=no",
        *binds,
    ]


def _limits(lab: str, host: str) -> list[tuple[str, Path]]:
    groups = {path.relative_to(cgroup.ROOT).parts[0]: path for path in cgroup.paths(lab, host)}
    if cgroup.is_unified():
        return []
    return [(kind, groups[kind]) for kind in cgroup.LIMITS if kind in groups]


def console(lab: state.Lab, host: str) -> str:
    """The last lines of the host's console."""
    file = names.run_dir(lab.name) / f"{host}.log"
    return "\n".join(file.read_text(errors="replace").splitlines()[-15:]) if file.exists() else ""


def leader(record: state.Host) -> int | None:
    """The pid of the host's init, as the machine sees it."""
    try:
        children = Path(f"/proc/{record.pid}/task/{record.pid}/children").read_text().split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return int(children[0]) if children else None


def give_limits(lab: state.Lab, host: str) -> None:
    """Make MemoryMax=, TasksMax= and CPUQuota= work in a booted host.

    systemd-nspawn mounts the v1 controllers read-only, where they do nothing, silently; the host
    gets its own part of them instead, and its systemd looks again.
    """
    record = lab.hosts[host]
    kinds = [kind for kind, _ in _limits(lab.name, host)]
    if not kinds:
        return
    wait_until(lambda: leader(record) is not None, 10, f"{host}: its init")
    enter = ["nsenter", f"--target={leader(record)}", "--mount", "--pid", "--ipc", "--uts"]
    wait_until(lambda: succeeds(*enter, *_BOOTED), _BOOT, f"{host}: booted")
    script = "set -e\n" + "".join(
        f"mkdir -p /sys/fs/cgroup/{kind} 2>&1 || :\n"
        f"mount --bind {_INSIDE}/{kind} /sys/fs/cgroup/{kind}\n"
        for kind in kinds
    )
    run(*enter, "/bin/sh", "-c", script + "systemctl daemon-reexec\n")


# Seconds. A MariaDB that recovers beside four busy hosts is part of a boot.
_BOOT = 300
_BOOTED = ("/bin/sh", "-c", "systemctl is-system-running | grep -qE 'running|degraded'")


def shut_down(lab: state.Lab, host: str) -> None:
    """Shut a host down as its operator would; what hangs for a minute loses its power."""
    record = lab.hosts[host]
    if is_running(record) and record.pid is not None:
        cgroup.freeze(lab.name, host, False)
        os.kill(record.pid, signal.SIGTERM)
        try:
            wait_until(lambda: not is_running(record), 60, f"{host}: shutdown")
        finally:
            clear(lab.name, host)
    lab.hosts[host] = state.Host()
    state.save(lab)


def cut_power(lab: state.Lab, host: str) -> None:
    """Take a host's power away."""
    clear(lab.name, host)
    lab.hosts[host] = state.Host()
    state.save(lab)


def clear(lab: str, host: str) -> None:
    """End every process of a host at once, and remove its cable and its cgroups.

    Finds them by the cgroup's name alone, so leftovers of a lab without state go, too.
    """
    port = names.port(lab, host)
    if network.link_exists(port):
        # First off the wire: dying processes must not say goodbye to their peers.
        run("ip", "link", "set", port, "down")
    _kill(lab, host)
    wait_until(lambda: not _kill(lab, host), 20, f"{host}: its processes end")
    if network.link_exists(port):
        succeeds("ip", "link", "del", port)
        wait_until(lambda: not network.link_exists(port), 10, f"{port} goes away")
    cgroup.remove(lab, host)
    for kind in ("propagate", "unix-export"):
        _forget(_NSPAWN / kind / port)
    root = disk.root(lab, host)
    if root.is_dir():
        about = root.stat()
        (_NSPAWN / "locks" / f"inode-{about.st_dev}:{about.st_ino}").unlink(missing_ok=True)


def _kill(lab: str, host: str) -> list[int]:
    pids = cgroup.processes(lab, host)
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    if pids and cgroup.is_frozen(lab, host):
        # A frozen process of cgroup v1 dies only once it is thawed.
        cgroup.freeze(lab, host, False)
    return pids


def _forget(folder: Path) -> None:
    if folder.is_dir():
        mounts.unmount_below(folder)
        shutil.rmtree(folder)
