"""Cgroups: one for each run, to find all its processes and to bound what they use.

Version 2 is used for finding wherever it is mounted, with or without controllers; a limit is
written there if its controller is, else into the version 1 hierarchy of that controller. A
limit that can be written nowhere is not replaced by something weaker (an rlimit counts all
processes of the user, and address space is not memory): the run fails with that as its reason.

Runs get a folder at the root of the mount, as container runtimes do, and only where that is not
writable one inside the launcher's own cgroup: a service whose own cgroup hands controllers on
could not be started again by systemd while runs of it are alive.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from dcron_common.errors import LaunchError
from dcron_worker.runner.model import Launch

_CONTROLLERS = {"memory_bytes": "memory", "cpu_percent": "cpu", "processes": "pids"}
_PERIOD_US = 100_000


@dataclass
class Group:
    """A run's cgroup in each hierarchy that it uses."""

    v2: Path | None
    v1: dict[str, Path] = field(default_factory=dict)
    _vacant: bool = field(default=False, compare=False)

    @property
    def directories(self) -> tuple[Path, ...]:
        """Which the child enters before exec."""
        return (*((self.v2,) if self.v2 else ()), *self.v1.values())

    def pids(self) -> set[int]:
        """Who is in it, in any hierarchy, or in a cgroup that the run has made below: all who keep
        it from being removed. Zombies may be among them."""
        found: set[int] = set()
        for top in self.directories:
            for directory in _with_those_below(top):
                with contextlib.suppress(OSError):  # gone by now, or one whose parent tells
                    found.update(map(int, (directory / "cgroup.procs").read_text().split()))
        return found

    def kill(self) -> bool:
        """End everybody at once. False where the kernel cannot (before 5.14, version 1)."""
        if self.v2 is None:
            return False
        try:
            _write(self.v2 / "cgroup.kill", "1")
        except OSError:
            return False
        return True

    def vacant(self) -> bool:
        """Whether nobody is in it, nor below: once that is so, after its run's main process is
        gone, nobody comes. To remove it says so as well, but takes the kernel long: that is left
        for later where one can ask. Version 1 cannot be asked, so what is there is removed."""
        if not self._vacant:
            self._vacant = not (self.v2 and _populated(f"{self.v2}/cgroup.events")) and all(
                map(_remove, self.v1.values())
            )
        return self._vacant

    def remove(self) -> bool:
        """Remove it, with what the run has made below. False while somebody is in it."""
        return all(map(_remove, self.directories))

    def exceeded(self, launch: Launch) -> str | None:
        """Which limit the run ran into, in words."""
        if launch.memory_bytes is not None and self._count("memory", "oom_kill"):
            return f"memory limit of {launch.memory_bytes} bytes exceeded"
        if launch.processes is not None and self._count("pids", "max"):
            return f"limit of {launch.processes} processes reached"
        return None

    def throttled(self, launch: Launch) -> str | None:
        """How long the run was held back by its share of the CPU, in words."""
        if launch.cpu_percent is None:
            return None
        if "cpu" in self.v1:
            seconds = _event(self.v1["cpu"] / "cpu.stat", "throttled_time") / 1e9
        else:
            seconds = _event(self.v2 / "cpu.stat", "throttled_usec") / 1e6 if self.v2 else 0.0
        return f"cpu limit of {launch.cpu_percent} % held it back for {seconds:.1f} s"

    def _count(self, controller: str, key: str) -> int:
        if controller in self.v1:
            name = "memory.oom_control" if controller == "memory" else "pids.events"
            return _event(self.v1[controller] / name, key)
        return _event(self.v2 / f"{controller}.events", key) if self.v2 else 0


@dataclass
class Cgroups:
    """The folders in which runs get their cgroups. `v2` None: processes are found by /proc."""

    v2: Path | None = None
    v1: dict[str, Path] = field(default_factory=dict)

    def prepare(self, launch: Launch) -> Group | None:
        """A new cgroup with the run's limits, or None if it needs none and can have none.
        LaunchError if a limit cannot be enforced here."""
        group = Group(None)
        try:
            if self.v2:
                group.v2 = _directory(self.v2 / launch.run_id)
            for name in _CONTROLLERS:
                value = getattr(launch, name)
                if value is not None:
                    self._limit(group, launch.run_id, name, value)
        except OSError as error:
            group.remove()
            raise LaunchError(f"cgroup of the run: {error}") from error
        except LaunchError:
            group.remove()
            raise
        return group if group.directories else None

    def find(self, run_id: str) -> Group | None:
        """The cgroup that a run got earlier."""
        v1 = {name: base / run_id for name, base in self.v1.items() if (base / run_id).is_dir()}
        v2 = self.v2 / run_id if self.v2 and (self.v2 / run_id).is_dir() else None
        return Group(v2, v1) if v2 or v1 else None

    def sweep(self, needed: Callable[[str], bool]) -> None:
        """Remove the folders of runs that are over, left by a launcher that was killed;
        `needed`: whether a run of that id may be about to enter its own."""
        for directory in self._bases():
            for run in directory.iterdir():
                if run.is_dir() and not needed(run.name):
                    _remove(run)  # unless somebody is in it: not over

    def remove(self) -> None:
        """Give the folders back, where no run is left in them."""
        for directory in self._bases():
            with contextlib.suppress(OSError):  # busy: the next launcher finds it again
                directory.rmdir()

    def _bases(self) -> list[Path]:
        return [*([self.v2] if self.v2 else []), *self.v1.values()]

    def _limit(self, group: Group, run_id: str, name: str, value: int) -> None:
        controller = _CONTROLLERS[name]
        if group.v2 and (group.v2 / f"{controller}.max").exists():
            _limit_v2(group.v2, controller, value)
        elif controller in self.v1:
            group.v1[controller] = _directory(self.v1[controller] / run_id)
            _limit_v1(group.v1[controller], controller, value)
        else:
            raise LaunchError(
                f"limits.{name} cannot be enforced on this host: "
                f"the cgroup controller {controller} is not available to the launcher"
            )


def _limit_v2(directory: Path, controller: str, value: int) -> None:
    if controller == "cpu":
        _write(directory / "cpu.max", f"{value * _PERIOD_US // 100} {_PERIOD_US}")
        return
    _write(directory / f"{controller}.max", str(value))
    if controller == "memory":
        for name, text in (("memory.swap.max", "0"), ("memory.oom.group", "1")):
            if (directory / name).exists():  # absent without swap accounting
                _write(directory / name, text)


def _limit_v1(directory: Path, controller: str, value: int) -> None:
    if controller == "cpu":
        _write(directory / "cpu.cfs_period_us", str(_PERIOD_US))
        _write(directory / "cpu.cfs_quota_us", str(value * _PERIOD_US // 100))
    elif controller == "pids":
        _write(directory / "pids.max", str(value))
    else:
        _write(directory / "memory.limit_in_bytes", str(value))
        if (directory / "memory.memsw.limit_in_bytes").exists():
            _write(directory / "memory.memsw.limit_in_bytes", str(value))


def discover(name: str, mountinfo: str, membership: str) -> Cgroups:
    """The cgroups that this process may use, tried out. `name` tells launchers on a host apart;
    `mountinfo` and `membership` are the texts of /proc/self/mountinfo and /proc/self/cgroup."""
    found = Cgroups()
    for controllers, mount, own in hierarchies(mountinfo, membership):
        if not controllers:
            found.v2 = _usable(mount, own, name)
            if found.v2:
                _hand_on_controllers(found.v2)
        for controller in controllers & set(_CONTROLLERS.values()):
            directory = _usable(mount, own, name)
            if directory:
                found.v1[controller] = directory
    return found


def hierarchies(mountinfo: str, membership: str) -> list[tuple[set[str], Path, Path]]:
    """(controllers, mount point, own cgroup) of each mounted hierarchy; version 2 has an empty
    set of controllers."""
    own: dict[str, str] = {}
    for line in membership.splitlines():
        _, names, path = line.split(":", 2)
        for controller in names.split(","):
            own[controller] = path
    result = []
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        root, mount = before.split()[3:5]
        kind, _, options = after.split()[:3]
        controllers = set(options.split(",")) & set(own) if kind == "cgroup" else set()
        if kind == "cgroup2" or controllers:
            path = own.get(min(controllers, default=""), "/")
            relative = os.path.relpath(path, root)
            inside = Path(mount) if relative.startswith("..") else Path(mount) / relative
            result.append((controllers, Path(mount), inside))
    return result


def _usable(mount: Path, own: Path, name: str) -> Path | None:
    """A folder for runs that a child of ours can really enter."""
    for parent in dict.fromkeys((mount, own)):
        try:
            directory = _directory(parent / name)
            probe = _directory(directory / "probe")
        except OSError:
            continue
        enters = _enters(probe)
        probe.rmdir()
        if enters:
            return directory
        with contextlib.suppress(OSError):  # somebody may be in it from an earlier launcher
            directory.rmdir()
    return None


def _enters(directory: Path) -> bool:
    pid = os.fork()
    if pid == 0:
        try:
            _write(directory / "cgroup.procs", "0")
            os._exit(0)
        finally:
            os._exit(1)
    return os.waitpid(pid, 0)[1] == 0


def _hand_on_controllers(directory: Path) -> None:
    """Let runs have limits: each folder from the parent down hands the controllers on."""
    for parent in (directory.parent, directory):
        for controller in _CONTROLLERS.values():
            # Not available, or not handed on to us: a run that needs it will say so.
            with contextlib.suppress(OSError):
                _write(parent / "cgroup.subtree_control", f"+{controller}")


def _directory(path: Path) -> Path:
    path.mkdir(exist_ok=True)
    return path


def _with_those_below(top: Path) -> list[Path]:
    """A cgroup, and those that a run with the right to has made in it; parents come first."""
    found = [top]
    for directory in found:  # which grows
        with contextlib.suppress(OSError), os.scandir(directory) as entries:
            found += [Path(one.path) for one in entries if one.is_dir(follow_symlinks=False)]
    return found


def _remove(top: Path) -> bool:
    """Remove a cgroup; False while somebody is in it, or in one below."""
    return _is_gone(top) or all(map(_is_gone, reversed(_with_those_below(top))))


def _is_gone(directory: Path) -> bool:
    """Whether it is removed, now or before: the kernel refuses while it has members or children."""
    try:
        directory.rmdir()
    except FileNotFoundError:
        pass
    except OSError:
        return False
    return True


def _write(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)


def _populated(events: str) -> bool:
    """By a file that is asked for each run: no Path and no file object is made."""
    try:
        descriptor = os.open(events, os.O_RDONLY)
        try:
            return b"populated 1" in os.read(descriptor, 4096)
        finally:
            os.close(descriptor)
    except OSError as error:  # another error says nothing: it is asked again
        return error.errno not in (errno.ENOENT, errno.ENODEV)


def _event(path: Path, key: str) -> int:
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return 0
    return next((int(value) for name, value in map(str.split, lines) if name == key), 0)
