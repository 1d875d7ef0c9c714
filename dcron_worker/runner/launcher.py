"""The launcher: starts, reaps and guards runs for the worker daemon, and outlives it.

One thread, one loop. It never waits for a child, a client or a lease renewal, so that none of
them can keep it from ending a run whose lease has passed. When it is killed and started again it
finds the living runs by the journal and goes on guarding them; only their exit codes are lost.
On SIGTERM it leaves at once and lets the runs go on. `start` is answered when the launches are
on disk; a run id that is known already is not started again, so a request may be repeated.
"""

from __future__ import annotations

import gc
import json
import logging
import os
import resource
import selectors
import signal
import time
from collections import deque
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

from dcron_common.errors import LaunchError
from dcron_worker.runner import account, output, process, procfs
from dcron_worker.runner.account import Account
from dcron_worker.runner.channel import Channel
from dcron_worker.runner.lease import Lease, lease_path
from dcron_worker.runner.limits import Cgroups, Group
from dcron_worker.runner.model import Ended, Launch, Started, launch_from
from dcron_worker.runner.outbox import Outbox, known_page
from dcron_worker.runner.register import Entry, Register
from dcron_worker.runner.run import Exit, Run, never_ran
from dcron_worker.runner.tree import CgroupTree, ScannedTree, Tree

log = logging.getLogger(__name__)

_CHUNK = 32  # launches between two looks at everything else
_LOOK = 0.25  # seconds between two looks at the sizes of outputs and at the lease
_GATHER = 0.02  # seconds that a result waits for others, to share an fsync
_IDLE = 10.0


class Launcher:
    """`run` returns after SIGTERM, or when idle with `exit_when_idle`."""

    def __init__(
        self, socket_path: Path, state_dir: Path, cgroups: Cgroups, *, exit_when_idle: bool = False
    ) -> None:
        self._exit_when_idle = exit_when_idle
        self._cgroups = cgroups
        self._register = Register(state_dir)
        self._lease = Lease(lease_path(socket_path))
        self._lease_trouble: str | None = None
        self._selector = selectors.DefaultSelector()
        self._reports, report_fd = os.pipe()
        os.set_blocking(self._reports, False)
        self._wake = self._install_signals()
        self._children = process.Surroundings(
            journal_fd=self._register.journal.fd,
            report_fd=report_fd,
            null_fd=os.open("/dev/null", os.O_RDONLY),
            lease=self._lease,
            file_limits=_raise_file_limit(),
            ignored=process.ignored_signals(),
        )
        self._spares = output.Spares(self._register.outputs)
        self._queue: deque[Launch] = deque()
        self._runs: dict[str, Run] = {}
        self._by_pid: dict[int, Run] = {}
        self._adopted: dict[str, int] = {}  # run id -> pidfd
        self._results: list[Ended] = []
        self._gather_until = 0.0
        self._next_look = 0.0
        self._idle_since = _now()
        self._stopping = False
        self._recover()
        self._channel = Channel(socket_path, self._selector)
        self._outbox = Outbox(self._channel)

    def run(self) -> None:
        """Serve until told to stop."""
        gc.disable()  # a collection touches all pages, and each fork makes them be copied again
        while not self._stopping or self._queue:
            for key, _ in self._selector.select(self._timeout()):
                self._handle(key)
            self._start_some()
            self._reap()
            self._look()
            self._tell()
            self._prepare()
            if self._idle():
                break
        self._write_results()
        self._cgroups.remove()
        self._channel.close()
        self._register.journal.close()

    # The loop's parts

    def _timeout(self) -> float | None:
        if self._queue or self._spares.wanted or self._outbox.ready:
            return 0.0
        waits = [self._next_look - _now()] if self._runs else []
        if self._results:
            waits.append(self._gather_until - _now())
        if self._exit_when_idle and not self._runs and not self._channel.connected:
            waits.append(self._idle_since + _IDLE - _now())
        return max(0.0, min(waits)) if waits else None

    def _handle(self, key: selectors.SelectorKey) -> None:
        if key.data == "accept":
            if self._channel.accept():
                self._outbox.begin(self._register.results())
        elif key.data == "client":
            self._channel.flush()
            for message in self._channel.receive():
                self._answer(message)
        elif key.data == "wake":
            _drain(self._wake)
        elif isinstance(key.data, Run):
            self._left_us(key.data)

    def _answer(self, message: dict[str, Any]) -> None:
        reply: dict[str, Any] = {"re": message.get("seq")}
        try:
            reply["result"] = self._do(message)
        except (LaunchError, OSError, KeyError, TypeError) as error:
            log.error("request op=%s failed: %s", message.get("op"), error)
            reply["error"] = f"{type(error).__name__}: {error}"
        self._channel.send(reply)

    def _do(self, message: dict[str, Any]) -> Any:
        match message.get("op"):
            case "start":
                launches = [launch_from(data) for data in message["launches"]]
                for launch in launches:
                    launch.check()
                self._queue.extend(self._register.add(launches))
            case "kill":
                self._kill(message["run_id"], message["reason"])
            case "known":
                return known_page(self._register, message["after"])
            case "acknowledge":
                self._register.forget(message["run_ids"])
                # compaction may have made a new file
                self._children = replace(self._children, journal_fd=self._register.journal.fd)
            case other:
                raise LaunchError(f"request {other!r} is not known to this launcher")
        return None

    def _kill(self, run_id: str, reason: str) -> None:
        queued = next((x for x in self._queue if x.run_id == run_id), None)
        if queued is not None:
            self._queue.remove(queued)
            self._never(queued, "killed", reason)
        elif run_id in self._runs:
            run = self._runs[run_id]
            run.end("killed", reason, _now(), run.launch.grace_seconds)
            self._next_look = 0.0

    # Starting

    def _start_some(self) -> None:
        if not self._queue:
            return
        self._follow_lease()
        accounts: dict[str | None, Account] = {}
        begun: list[Started] = []
        for _ in range(min(_CHUNK, len(self._queue))):
            launch = self._queue.popleft()
            if launch.leased and _now() >= self._lease.until():  # the child looks once more
                self._never(launch, "lost", process.LEASE_PASSED)
                continue
            try:
                if launch.user not in accounts:
                    accounts[launch.user] = account.lookup(launch.user)
                begun.append(self._start(launch, accounts[launch.user]))
            except LaunchError as error:
                self._never(launch, "failed", str(error))
            except OSError as error:
                self._never(launch, "failed", f"cannot be started: {error}")
        self._outbox.add(begun)
        self._next_look = min(self._next_look, _now() + _LOOK)

    def _start(self, launch: Launch, user: Account) -> Started:
        group = self._cgroups.prepare(launch)
        path = self._register.output_path(launch.run_id)
        descriptor = -1
        try:
            descriptor = self._spares.create(path, user.uid if user.change else None)
            directories = group.directories if group else ()
            pid = process.fork(launch, user, descriptor, directories, self._children)
        except OSError:
            if group:
                group.remove()
            raise
        finally:
            if descriptor >= 0:
                os.close(descriptor)
        started = Started(launch.run_id, pid, time.time())
        self._register.start(started, _now())
        self._by_pid[pid] = self._watch(self._register.entries[launch.run_id], started, group)
        return started

    def _watch(self, entry: Entry, started: Started, group: Group | None) -> Run:
        run_id = entry.launch.run_id
        ticks = entry.ticks or procfs.start_ticks(started.pid)
        tree: Tree = ScannedTree(run_id, started.pid, ticks)
        if group:
            tree = CgroupTree(group, started.pid, ticks)
        run = Run(
            entry.launch,
            started,
            entry.boot_at,
            tree,
            group,
            self._register.output_path(run_id),
            self._vacant,
        )
        self._runs[run_id] = run
        return run

    def _never(self, launch: Launch, state: str, reason: str) -> None:
        path = self._register.output_path(launch.run_id)
        self._result(never_ran(launch, state, reason, time.time(), path))

    # Ending

    def _reap(self) -> None:
        exits = []
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if pid == 0:
                break
            exits.append((pid, status))
        if not exits:
            return
        self._read_reports()  # written before the exits that were just seen
        for pid, status in exits:
            run = self._by_pid.pop(pid, None)
            if run is None:
                continue  # an orphan of some run, that we inherited as subreaper
            code = os.waitstatus_to_exitcode(status)
            run.exited(Exit(code, None) if code >= 0 else Exit(None, -code), _now())
            self._finish_if_over(run)
        self._next_look = min(self._next_look, _now() + _GATHER)

    def _read_reports(self) -> None:
        for line in _drain(self._reports).splitlines():
            report = json.loads(line)
            run = self._runs.get(report["run_id"])
            if run:
                run.refused("lost" if report["lease"] else "failed", report["reason"])

    def _left_us(self, run: Run) -> None:
        """The main process of a run that an earlier launcher started has exited."""
        descriptor = self._adopted.pop(run.launch.run_id)
        self._selector.unregister(descriptor)
        os.close(descriptor)
        run.exited(Exit(None, None), _now())
        self._finish_if_over(run)

    def _look(self) -> None:
        now = _now()
        if not self._runs or now < self._next_look:
            return
        self._follow_lease()
        until = self._lease.until()
        self._next_look = now + _LOOK
        for run in list(self._runs.values()):
            self._next_look = min(self._next_look, max(run.guard(now, until), now + 0.01))
            self._finish_if_over(run)

    def _follow_lease(self) -> None:
        trouble = None
        try:
            self._lease.refresh()
        except OSError as error:  # the lease that is still open passes: the safe side
            trouble = str(error)
        if trouble and trouble != self._lease_trouble:
            log.error("the lease cannot be opened: %s", trouble)
        self._lease_trouble = trouble

    def _vacant(self, run: Run) -> bool:
        if run.group:
            return run.group.remove()
        if run.launch.run_id not in self._adopted and not run.inherited:
            children = procfs.own_children()
            if children is not None and children <= self._by_pid.keys():
                return True  # what it left behind would be our child now
        return not run.tree.members()

    def _finish_if_over(self, run: Run) -> None:
        if run.over():
            del self._runs[run.launch.run_id]
            self._result(run.result(time.time()))

    def _result(self, ended: Ended) -> None:
        if not self._results:
            self._gather_until = _now() + _GATHER
        self._results.append(ended)

    def _tell(self) -> None:
        if self._results and _now() >= self._gather_until:
            self._outbox.add(self._write_results())
        self._outbox.send(self._register.entries)

    def _write_results(self) -> list[Ended]:
        results, self._results = self._results, []
        if results:
            try:
                self._register.end(results)
            except OSError as error:  # no room: the daemon is told all the same, and keeps it
                log.error("%d results could not be written down: %s", len(results), error)
        return results

    def _prepare(self) -> None:
        """What the next batch needs, made while there is nothing else to do."""
        if self._queue or self._results or not self._spares.wanted:
            return
        self._spares.refill()
        if not self._spares.wanted:
            gc.collect()

    def _idle(self) -> bool:
        if self._runs or self._queue or self._channel.connected:
            self._idle_since = _now()
        return self._exit_when_idle and _now() - self._idle_since >= _IDLE

    # Coming back

    def _recover(self) -> None:
        reboot = not self._register.same_boot
        for run_id, entry in self._register.entries.items():
            if entry.ended:
                continue
            if reboot:
                self._never(entry.launch, "lost", "the host was rebooted during the run")
            elif entry.started is None:
                self._never(entry.launch, "lost", "never started: the launcher was restarted")
            else:
                run = self._watch(entry, entry.started, self._cgroups.find(run_id))
                run.inherited = True
                self._adopt(run, entry)
        self._cgroups.sweep()
        if self._results:
            self._write_results()
        if reboot:
            self._register.disowned()
            self._children = replace(self._children, journal_fd=self._register.journal.fd)
        log.info("found runs=%d results=%d", len(self._runs), len(self._register.results()))

    def _adopt(self, run: Run, entry: Entry) -> None:
        pid = run.started.pid
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            descriptor = -1
        if descriptor >= 0 and not procfs.alive(pid, entry.ticks):
            os.close(descriptor)
            descriptor = -1
        if descriptor < 0:
            run.exited(Exit(None, None), _now())
            return
        self._adopted[run.launch.run_id] = descriptor
        self._selector.register(descriptor, selectors.EVENT_READ, run)

    def _install_signals(self) -> int:
        wake, wake_write = os.pipe()
        for descriptor in (wake, wake_write):
            os.set_blocking(descriptor, False)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        self._selector.register(wake, selectors.EVENT_READ, "wake")
        return wake

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self._stopping = True


def _now() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _drain(descriptor: int) -> bytes:
    data = bytearray()
    while True:
        try:
            piece = os.read(descriptor, 65536)
        except BlockingIOError:
            return bytes(data)
        data += piece


def _raise_file_limit() -> tuple[int, int]:
    """Room for a pidfd per run; the limits to put back in each child are returned."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[1], before[1]))
    return before
