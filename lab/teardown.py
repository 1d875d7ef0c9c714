"""Taking a lab down, found by its name alone: a lab whose state is lost goes, too."""

import shutil
import subprocess
from pathlib import Path

from lab import cgroup, disk, host, mounts, names, network, ssh, state
from lab.shell import step


def leftovers(name: str) -> list[str]:
    """What there is on this machine of a lab of this name."""
    found = [f"cgroup of {each}" for each in cgroup.hosts(name)]
    found += [str(p) for p in (names.run_dir(name), names.disk_dir(name)) if p.exists()]
    found += [names.bridge(name)] if network.link_exists(names.bridge(name)) else []
    return found


def take_down(name: str) -> None:
    """Remove a lab whole: processes, mounts, disks, network, cgroups, its folder."""
    lab = state.load(name)
    known = set(lab.hosts) if lab else set()
    hosts = sorted(known | set(cgroup.hosts(name)))
    with step(f"end {len(hosts)} hosts of lab {name}"):
        if lab is not None:
            for each in hosts:
                ssh.disconnect(lab, each)
        _end_masters(name)
        for each in hosts:
            host.clear(name, each)
    with step("remove its disks, network and cgroups"):
        mounts.unmount_below(names.disk_dir(name))
        _remove(names.disk_dir(name))
        if names.DISKS.is_dir() and not any(names.DISKS.iterdir()):
            names.DISKS.rmdir()
        network.remove(name)
        cgroup.remove_lab(name)
        for folder in {Path(lab.folder) if lab else None, names.own_folder(name)} - {None}:
            _remove_folder(folder, name)
        _remove(names.run_dir(name))
        network.release_forwarding()


def _end_masters(name: str) -> None:
    for socket in (names.run_dir(name) / "ssh").glob("*"):
        subprocess.run(
            ["ssh", "-o", f"ControlPath={socket}", "-O", "exit", "lab"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
        )


def _remove_folder(folder: Path | None, name: str) -> None:
    # The folder was recorded by whoever made the lab: only what looks like one is removed.
    if folder is None or folder.name != name or folder.parent.name != ".lab":
        return
    _remove(folder)
    if name == names.DEFAULT_LAB:
        (folder.parent / "env").unlink(missing_ok=True)
    if folder.parent.is_dir() and not any(folder.parent.iterdir()):
        folder.parent.rmdir()


def _remove(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)


def forget_disk(name: str, each: str) -> None:
    """Remove one host's disk; the host must not run."""
    mounts.unmount_below(disk.root(name, each))
    _remove(names.disk_dir(name) / each)
