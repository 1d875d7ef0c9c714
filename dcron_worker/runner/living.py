"""The runs that live, whoever started them: what is said of them, and what ends them.

A run of an earlier launcher has a starter that outlives that launcher, and says in its log how
the run exited. Where that was killed too, the run's end is seen by a pidfd, its exit code is not.
"""

from __future__ import annotations

import logging
import os
import selectors
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from dcron_worker.runner import procfs
from dcron_worker.runner.host import now
from dcron_worker.runner.lease import Lease
from dcron_worker.runner.limits import Cgroups, Group
from dcron_worker.runner.model import Ended, Launch, Started
from dcron_worker.runner.order import mark_of
from dcron_worker.runner.register import Entry, Register
from dcron_worker.runner.run import Exit, Run, never_ran
from dcron_worker.runner.starters import Starters
from dcron_worker.runner.tree import CgroupTree, ScannedTree, Tree

log = logging.getLogger(__name__)

_LOOK = 0.25  # seconds between two looks at the sizes of outputs and at the lease
_SOON = 0.01
_TRIES = 50  # to remove a cgroup that a child is about to leave
_FEW = 16  # cgroups that are removed between two looks at everything else
_GATHER = 0.02  # seconds until what a run has left behind, or a death, is looked at


class Living:
    """`name` is the launcher's; `report` takes a result, to be written down and told."""

    def __init__(
        self,
        name: str,
        register: Register,
        cgroups: Cgroups,
        lease: Lease,
        starters: Starters,
        selector: selectors.BaseSelector,
        report: Callable[[Ended], None],
    ) -> None:
        self._name = name
        self._register = register
        self._cgroups = cgroups
        self._lease = lease
        self._lease_trouble: str | None = None
        self._starters = starters
        self._selector = selector
        self._report = report
        self._runs: dict[str, Run] = {}
        self._by_pid: dict[int, Run] = {}
        self._pidfds: dict[str, int] = {}  # of runs of an earlier launcher
        # of those, dead and with no exit in the log; whether there was nothing left to write it
        self._vanishing: dict[str, bool] = {}
        self._exits: deque[tuple[Run, int, float]] = deque()  # see `exited`
        self._vacated: deque[tuple[Group, int]] = deque()  # and how often to try
        self._unheard: set[str] = set()  # that an earlier launcher's starter may yet start
        self.next_look = 0.0

    def __len__(self) -> int:
        return len(self._runs)

    # What is said

    def started(self, record: dict[str, Any], group: Group | None) -> Started | None:
        """A process is about to become the run; None if the run is not known."""
        entry = self._register.start(record)
        if entry is None or entry.started is None:
            return None
        run = self._watch(entry, entry.started, group)
        if record["run_id"] in self._unheard:
            self._unheard.remove(record["run_id"])
            self._adopt(run, entry)
        else:
            self._by_pid[entry.started.pid] = run
        self.next_look = min(self.next_look, now() + _LOOK)
        return entry.started

    def refused(self, record: dict[str, Any]) -> bool:
        """The child did not become the program; False if nothing lives by that id."""
        self._unheard.discard(record["run_id"])
        run = self._runs.get(record["run_id"])
        if run is not None:
            run.refused("lost" if record["lease"] else "failed", record["reason"])
        return run is not None

    def exited(self, run_id: str, code: int) -> None:
        """The main process has exited; `code` below 0 is a signal. What follows from it, `settle`
        does, or the next look."""
        run = self._runs.get(run_id)
        if run is not None:
            self._forget_pid(run)  # it may be another process's from now on
            self._exits.append((run, code, time.time()))

    def settle(self) -> None:
        """Do what follows from all exits that are known."""
        while self._exits:
            run, code, at = self._exits[0]
            if run.launch.run_id in self._runs:
                self._exited(run, Exit(code, None) if code >= 0 else Exit(None, -code), at)
            self._exits.popleft()

    def reap(self) -> list[tuple[int, int]]:
        """Pids and exit codes of dead children of our own: starters, orphans of runs, and runs
        whose starter was killed. Of those the log may have to be read before `died`."""
        dead: list[tuple[int, int]] = []
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return dead
            if pid == 0:
                return dead
            self.next_look = min(self.next_look, now() + _GATHER)
            self._starters.reaped(pid)
            dead.append((pid, os.waitstatus_to_exitcode(status)))

    def died(self, dead: list[tuple[int, int]]) -> None:
        """What was reaped, when everything that it said before is known."""
        for pid, code in dead:
            run = self._by_pid.get(pid)
            if run is not None:
                self.exited(run.launch.run_id, code)

    def left(self, run: Run) -> None:
        """The main process of a run of an earlier launcher's is dead; its exit may be told yet."""
        if run.launch.run_id in self._pidfds:
            self._drop_pidfd(run)
            self._vanishing[run.launch.run_id] = False
            self.next_look = 0.0

    # What ends it

    def end(self, run_id: str, reason: str) -> bool:
        """End a run on request; False if it does not live."""
        run = self._runs.get(run_id)
        if run is not None:
            run.end("killed", reason, now(), run.launch.grace_seconds)
            self.next_look = 0.0
        return run is not None

    def look(self) -> None:
        """End what must end; `next_look` says when to come again."""
        at = now()
        if not self._runs or at < self.next_look:
            return
        self.settle()  # what is over is not ended
        self.follow_lease()
        until = self._lease.until()
        self.next_look = at + _LOOK
        for run in list(self._runs.values()):
            self.next_look = min(self.next_look, max(run.guard(at, until), at + _SOON))
            self._finish_if_over(run, time.time())
        for run_id in list(self._vanishing):
            self._vanish(run_id)

    def follow_lease(self) -> None:
        """The lease's file may have been made anew."""
        trouble = None
        try:
            self._lease.refresh()
        except OSError as error:  # the lease that is still open passes: the safe side
            trouble = str(error)
        if trouble and trouble != self._lease_trouble:
            log.error("the lease cannot be opened: %s", trouble)
        self._lease_trouble = trouble

    def never(self, launch: Launch, state: str, reason: str) -> None:
        """A run of which there is no process."""
        path = self._register.output_path(launch.run_id)
        self._report(never_ran(launch, state, reason, time.time(), path))

    def vacate(self, group: Group) -> None:
        """Nobody is to be in it any more: it is removed when there is time."""
        self._vacated.append((group, _TRIES))

    @property
    def untidy(self) -> int:
        """How many cgroups of runs that are over there are."""
        return len(self._vacated)

    def tidy(self) -> None:
        """Remove a few of them."""
        for _ in range(min(_FEW, len(self._vacated))):
            group, tries = self._vacated.popleft()
            if group.remove():
                continue
            if tries > 1:
                self._vacated.append((group, tries - 1))
            else:
                where = ", ".join(map(str, group.directories))
                log.warning("cgroups of a run that is over stay: %s", where)

    # Coming back

    def recover(self) -> list[Launch]:
        """Find what an earlier launcher started; returns what it may be about to start, or
        never will."""
        unheard: list[Launch] = []
        for run_id, entry in self._register.entries.items():
            if entry.ended:
                continue
            if not self._register.same_boot:
                self.never(entry.launch, "lost", "the host was rebooted during the run")
            elif entry.started is not None:
                run = self._watch(entry, entry.started, self._cgroups.find(run_id))
                self._adopt(run, entry)
            else:
                unheard.append(entry.launch)
        self._unheard = {launch.run_id for launch in unheard}
        self._cgroups.sweep(self._register.unfinished)
        return unheard

    def _adopt(self, run: Run, entry: Entry) -> None:
        """It is no child of ours."""
        run.inherited = True
        pid = run.started.pid
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            descriptor = -1
        if descriptor >= 0 and not procfs.alive(pid, entry.ticks):
            os.close(descriptor)
            descriptor = -1
        if descriptor < 0:
            self._vanishing[run.launch.run_id] = False
            return
        self._pidfds[run.launch.run_id] = descriptor
        self._selector.register(descriptor, selectors.EVENT_READ, run)

    def _vanish(self, run_id: str) -> None:
        """A starter that lives writes the exit down and only then lets the zombie go: what is
        not in the log at the look after that is not written by anybody."""
        if self._vanishing[run_id]:
            self._exited(self._runs[run_id], Exit(None, None), time.time())
            return
        entry = self._register.entries[run_id]
        process = procfs.read(entry.started.pid) if entry.started else None
        self._vanishing[run_id] = process is None or process.ticks != entry.ticks
        self.next_look = min(self.next_look, now() + _SOON)

    # One run

    def _watch(self, entry: Entry, started: Started, group: Group | None) -> Run:
        run_id = entry.launch.run_id
        tree: Tree = ScannedTree(mark_of(run_id, self._name), started.pid, entry.ticks)
        if group:
            tree = CgroupTree(group, started.pid, entry.ticks)
        path = self._register.output_path(run_id)
        run = Run(entry.launch, started, entry.boot_at, tree, group, path, self._vacant)
        self._runs[run_id] = run
        return run

    def _exited(self, run: Run, how: Exit, at: float) -> None:
        self._drop_pidfd(run)
        self._vanishing.pop(run.launch.run_id, None)
        self._forget_pid(run)
        run.exited(how, now())
        if not self._finish_if_over(run, at):
            self.next_look = min(self.next_look, now() + _GATHER)

    def _vacant(self, run: Run) -> bool:
        if run.group:
            return run.group.vacant()
        if not run.inherited:
            children = procfs.own_children()
            if children is not None and children <= self._starters.pids:
                return True  # what it left behind would be our child now
        return not run.tree.members()

    def _forget_pid(self, run: Run) -> None:
        if self._by_pid.get(run.started.pid) is run:
            del self._by_pid[run.started.pid]

    def _drop_pidfd(self, run: Run) -> None:
        descriptor = self._pidfds.pop(run.launch.run_id, -1)
        if descriptor >= 0:
            self._selector.unregister(descriptor)
            os.close(descriptor)

    def _finish_if_over(self, run: Run, at: float) -> bool:
        if not run.over():
            return False
        if run.group:
            self.vacate(run.group)
        del self._runs[run.launch.run_id]
        self._report(run.result(at))
        return True
