"""The starter: a small process that forks the launcher's runs, and sees how they exit.

Small because a fork copies the page tables of its parent: a run costs a third of what it costs
from a process of the launcher's size, and pathlib and socket alone would cost it 0.1 ms more. It
holds no state that matters and decides nothing. What it sees it appends to its log: `started` (by
the child itself, before exec), `refused`, `exited`
(before the child is reaped). The launcher reads the log; a byte in a pipe says that there is
something new. Where the disk is full the pipe takes records; while that is full too they wait: an
order is not done, a child not reaped, until somebody could be told.

When the launcher goes, its starter starts nothing more and stays until its last child has
exited, so that the next launcher finds the exit codes in the log. The log's first descriptor is
locked, and shared with children until their start is in the log: whoever gets the lock knows that
nothing is started by it any more, but what the log says. If the starter is killed, its children
become the launcher's.
"""

from __future__ import annotations

import gc
import os
import resource
import select
import signal
import sys
from collections import deque
from typing import Any

from dcron_worker.runner import lines
from dcron_worker.runner.lease import Lease
from dcron_worker.runner.process import (
    Order,
    Surroundings,
    become,
    boot_ns,
    refusal,
    take_defaults,
)
from dcron_worker.runner.wire import Decoder

ORDERS, TOLD, LOG = 3, 4, 5  # the descriptors that the launcher passes
_AGAIN = 0.05  # seconds until a record that nobody took is tried again
_CHUNK = 16  # forks between two looks at who has exited
_READ = 1 << 18


class Starter:
    """`lease`, `log`: paths. `files`: the limits of open files that runs get."""

    def __init__(self, lease: str, log: str, files: tuple[int, int]) -> None:
        for descriptor in (ORDERS, TOLD, LOG):
            os.set_inheritable(descriptor, False)
        os.set_blocking(TOLD, False)
        resource.setrlimit(resource.RLIMIT_NOFILE, files)
        take_defaults()
        self._decoder = Decoder()
        self._log = os.open(log, os.O_WRONLY | os.O_APPEND)  # not locked, kept to the end
        self._lease = Lease(lease)
        self._queue: deque[Order] = deque()
        self._children: dict[int, str] = {}
        self._serving = True
        self._untold = False  # whether a record waits for room
        self._surroundings = Surroundings(
            write=_write_locked,
            begun=_unlock,
            tell=self._tell_from_child,
            lease=self._lease,
        )
        self._wake, wake = os.pipe()
        for descriptor in (self._wake, wake):
            os.set_blocking(descriptor, False)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def run(self) -> None:
        """Until the launcher has gone and every child has exited."""
        gc.disable()
        gc.freeze()
        while self._serving or self._children:
            idle = _AGAIN if self._untold else None
            self._hear(0.0 if self._queue and not self._untold else idle)
            self._untold = False
            begun = self._start_some()
            if self._reap() or begun:
                _hint()

    def _hear(self, timeout: float | None) -> None:
        watched = [self._wake, ORDERS] if self._serving else [self._wake]
        ready, _, _ = select.select(watched, [], [], timeout)
        if self._wake in ready:
            os.read(self._wake, _READ)
        if ORDERS in ready:
            data = os.read(ORDERS, _READ)
            if not data:
                self._launcher_gone()
            self._queue.extend(Order(**message) for message in self._decoder.feed(data))

    def _launcher_gone(self) -> None:
        self._serving = False
        self._queue.clear()
        os.close(LOG)

    def _start_some(self) -> bool:
        if not self._queue:
            return False
        try:
            self._lease.refresh()
        except OSError as error:  # the one that is open passes: the safe side
            print(f"the lease cannot be opened: {error}", file=sys.stderr)  # noqa: T201
        for _ in range(min(_CHUNK, len(self._queue))):
            if not self._start(self._queue[0]):
                break
            self._queue.popleft()
        return True

    def _start(self, order: Order) -> bool:
        """False if it could not be, and nobody could be told."""
        before = boot_ns()
        try:
            pid = os.fork()
        except OSError as error:
            return self._tell(refusal(order.run_id, f"cannot be started: {error}"))
        if pid == 0:
            become(order, self._surroundings, before)
        self._children[pid] = order.run_id
        return True

    def _reap(self) -> bool:
        seen = False
        while True:
            try:
                found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return seen
            if found is None:
                return seen
            by_signal = found.si_code != os.CLD_EXITED
            code = -found.si_status if by_signal else found.si_status
            run_id = self._children[found.si_pid]
            if not self._tell({"t": "exited", "run_id": run_id, "code": code}):
                return seen
            seen = True
            del self._children[found.si_pid]
            os.waitpid(found.si_pid, 0)

    def _tell(self, record: dict[str, Any]) -> bool:
        """False if neither log nor pipe has room now."""
        try:
            lines.write_all(self._log, lines.encode(record))
        except OSError:
            told = _send(record)
            self._untold = self._untold or not told
            return told
        return True

    def _tell_from_child(self, record: dict[str, Any]) -> None:
        while not self._tell(record):
            select.select([], [TOLD], [])


def _write_locked(data: bytes) -> None:
    lines.write_all(LOG, data)


def _unlock() -> None:
    """In a child: the starter's and its other children's descriptors keep the lock."""
    os.close(LOG)


def _send(record: dict[str, Any]) -> bool:
    """Into the pipe: at once, and below PIPE_BUF in one piece. False if it is full."""
    try:
        os.write(TOLD, lines.encode(record))
    except BlockingIOError:
        return False
    except OSError as error:  # the launcher has gone
        print(f"nobody could be told of {record}: {error}", file=sys.stderr)  # noqa: T201
    return True


def _hint() -> None:
    try:
        os.write(TOLD, b"\n")
    except (BlockingIOError, BrokenPipeError):
        return  # the launcher has not read the last one, or has gone


def main(arguments: list[str]) -> None:
    """LEASE LOG SOFT HARD: two paths, and the two limits of open files."""
    lease, log, soft, hard = arguments
    Starter(lease, log, (int(soft), int(hard))).run()
