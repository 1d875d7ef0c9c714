"""One cgroup for each host, made before its init starts.

Without it all hosts would share the caller's cgroup, and systemd in one could not tell its own
processes from another's. It also says which processes are a host's, whatever else is lost, and
freezes them. Works with the v1 hierarchies beside cgroup2 ("hybrid") and with cgroup2 alone.
"""

import os
from functools import partial
from pathlib import Path

from lab.shell import wait_until

ROOT = Path("/sys/fs/cgroup")
_TOP = "dcron-lab"
_V1 = ("systemd", "unified", "memory", "pids", "cpu", "cpuacct", "freezer")
# Controllers whose v1 hierarchy a host gets to itself, so that limits work in it.
LIMITS = ("memory", "pids", "cpu", "cpuacct")


def is_unified() -> bool:
    """Whether the machine has cgroup2 alone."""
    return (ROOT / "cgroup.controllers").exists()


def hierarchies() -> list[Path]:
    """The hierarchies in which hosts get a cgroup."""
    if is_unified():
        return [ROOT]
    return [ROOT / name for name in _V1 if (ROOT / name / "cgroup.procs").exists()]


def paths(lab: str, host: str) -> list[Path]:
    """The cgroups of a host, one in each hierarchy."""
    return [each / _TOP / lab / host for each in hierarchies()]


def create(lab: str, host: str) -> list[Path]:
    """Make the cgroups of a host; return the files that take the pid of its first process."""
    made = paths(lab, host)
    for group in made:
        group.mkdir(parents=True, exist_ok=True)
        if is_unified():
            for parent in (ROOT, group.parents[1], group.parents[0]):
                there = set((parent / "cgroup.controllers").read_text().split())
                wanted = sorted(there & {"memory", "pids", "cpu"})
                (parent / "cgroup.subtree_control").write_text(" ".join(f"+{c}" for c in wanted))
    return [group / "cgroup.procs" for group in made]


def processes(lab: str, host: str) -> list[int]:
    """Every process of a host, the nspawn that holds it included."""
    pids: set[int] = set()
    for group in paths(lab, host):
        for folder, _, _ in os.walk(group):
            try:
                pids.update(int(line) for line in Path(folder, "cgroup.procs").read_text().split())
            except OSError:  # The cgroup went away while it was read.
                continue
    return sorted(pids)


def hosts(lab: str) -> list[str]:
    """The hosts of which a cgroup is there, booted by whomever."""
    found: set[str] = set()
    for each in hierarchies():
        folder = each / _TOP / lab
        found.update(entry.name for entry in folder.glob("*") if entry.is_dir())
    return sorted(found)


def remove(lab: str, host: str) -> None:
    """Remove the cgroups of a host whose processes have ended."""
    for group in paths(lab, host):
        for folder, _, _ in os.walk(group, topdown=False):
            wait_until(partial(_removed, Path(folder)), 10, f"remove {folder}")


def remove_lab(lab: str) -> None:
    """Remove the lab's cgroups, and the top ones where no lab needs them any more."""
    for host in hosts(lab):
        remove(lab, host)
    for each in hierarchies():
        for folder in (each / _TOP / lab, each / _TOP):
            if folder.is_dir() and not any(entry.is_dir() for entry in folder.iterdir()):
                _removed(folder)


def _removed(folder: Path) -> bool:
    # EBUSY while a dying process is still counted; the caller waits.
    try:
        folder.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def freeze(lab: str, host: str, frozen: bool) -> None:
    """Stop every process of a host where it stands, or let all go on."""
    file, on, off = _freezer(lab, host)
    wanted = on if frozen else off
    file.write_text(wanted)
    wait_until(lambda: is_frozen(lab, host) is frozen, 10, f"{host}: {wanted} in {file}")


def is_frozen(lab: str, host: str) -> bool:
    """Whether a host is frozen; False for one that does not run."""
    file, on, _ = _freezer(lab, host)
    try:
        if file.name == "freezer.state":
            return file.read_text().strip() == on
        return "frozen 1" in (file.parent / "cgroup.events").read_text()
    except FileNotFoundError:
        return False


def _freezer(lab: str, host: str) -> tuple[Path, str, str]:
    old = ROOT / "freezer"
    if old.is_dir():
        return old / _TOP / lab / host / "freezer.state", "FROZEN", "THAWED"
    top = ROOT if is_unified() else ROOT / "unified"
    return top / _TOP / lab / host / "cgroup.freeze", "1", "0"


def memory_bytes(lab: str, host: str) -> int | None:
    """The memory that a host uses, page cache included; None where nothing counts it."""
    group = f"{_TOP}/{lab}/{host}"
    old, new = f"memory/{group}/memory.usage_in_bytes", f"{group}/memory.current"
    for file in (ROOT / old, ROOT / new):
        if file.exists():
            return int(file.read_text())
    return None
