"""All processes of a run, daemonized ones included: found, signalled, counted.

By cgroup this is exact. Without cgroups the launcher is the subreaper of what its runs leave
behind, and a process belongs to a run if it is the main process, is in its session or group,
was started with the run's mark in its environment, or descends from such a process. A process
that leaves its session, loses its parent *and* clears its environment then escapes: a host that
must hold hostile jobs needs cgroups.
"""

from __future__ import annotations

import os
import signal
from typing import Protocol

from dcron_worker.runner import procfs
from dcron_worker.runner.limits import Group
from dcron_worker.runner.order import MARK
from dcron_worker.runner.procfs import Process


class Tree(Protocol):
    """The living processes of one run."""

    def members(self) -> list[Process]:
        """Who lives now."""

    def terminate(self) -> None:
        """Ask all to end; stopped ones are woken, so that they can."""

    def kill(self) -> int:
        """End all by force; how many there were. To be repeated until nobody is left."""


def _ask_all(members: list[Process]) -> None:
    for number in (signal.SIGTERM, signal.SIGCONT):
        for process in members:
            procfs.send(process, number)


class CgroupTree:
    """The processes of a cgroup, and the main one, which may not have entered it yet."""

    def __init__(self, group: Group, pid: int, ticks: int) -> None:
        self._group = group
        self._pid = pid
        self._ticks = ticks

    def members(self) -> list[Process]:
        found = (procfs.read(pid) for pid in {*self._group.pids(), self._pid})
        return [
            process
            for process in found
            if process
            and process.state not in "ZX"
            and (process.pid != self._pid or process.ticks == self._ticks)
        ]

    def terminate(self) -> None:
        _ask_all(self.members())

    def kill(self) -> int:
        members = self.members()
        self._group.kill()
        for process in members:  # where the kernel cannot, and a main one on its way in
            procfs.send(process, signal.SIGKILL)
        return len(members)


class ScannedTree:
    """The processes that descend from `pid`, or carry `mark`."""

    def __init__(self, mark: str, pid: int, ticks: int) -> None:
        self._mark = mark
        self._pid = pid
        self._ticks = ticks

    def members(self) -> list[Process]:
        return select(procfs.everything(), self._pid, self._ticks, self._mark)

    def terminate(self) -> None:
        _ask_all(self.members())

    def kill(self) -> int:
        members = self.members()
        for process in members:
            procfs.send(process, signal.SIGKILL)
        return len(members)


def select(everything: dict[int, Process], pid: int, ticks: int, mark: str) -> list[Process]:
    """The run's own among `everything`. The launcher itself is never among them."""
    main = everything.get(pid)
    # A pid is not given out again while a session or group has it as its number, so a session
    # `pid` is the run's unless a younger process has since made one of its own.
    reused = main is not None and main.ticks != ticks
    chosen = {} if main is None or reused else {pid: main}
    own = os.getpid()
    for process in everything.values():
        if process.pid in (own, pid) or process.ticks < ticks:
            continue
        by_session = not reused and pid in (process.session, process.group)
        if by_session or procfs.environment_has(process.pid, MARK, mark):
            chosen[process.pid] = process
    frontier = set(chosen)
    while frontier:
        children = [p for p in everything.values() if p.parent in frontier and p.pid not in chosen]
        chosen.update((child.pid, child) for child in children)
        frontier = {child.pid for child in children}
    return list(chosen.values())
