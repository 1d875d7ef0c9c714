"""The launcher's side of its starters: giving them orders, and reading what they saw.

There is one starter that takes orders. It is replaced when it was killed, and now and then so
that no log grows without bound. One that is replaced keeps its orders: their end would tell it
that the launcher has gone, so it comes when all are done. It then stays until its last run is
over, like one that an earlier launcher left.

Nothing is started by a starter any more when it is dead, or its launcher is, and the lock on its
log is free. Only then it is said of a run that it was never started. Nothing here waits for that:
where a child hangs before its start is in the log, the rest goes on. A log goes when nothing is
started by it and the journal has the end of every run in it.
"""

from __future__ import annotations

import fcntl
import itertools
import logging
import os
import selectors
import socket
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dcron_worker.runner import lines

log = logging.getLogger(__name__)

RUNS = 20_000  # orders that one log takes: some megabytes
_READ = 65536
PROGRAM = Path(__file__).with_name("dcron-starter")  # made from starter/ by setup.py
ORDERS, TOLD, LOG = 3, 4, 5  # the descriptors that it is passed


@dataclass
class _Starter:
    """`pid` is 0 if it is dead or an `earlier` launcher's, `orders` None once it takes none. It
    is `over` if nothing is started by it any more. `sent` are the runs that it has not said
    anything of, `runs` all of its log."""

    path: Path
    tail: lines.Tail
    pid: int = 0
    orders: socket.socket | None = None
    told: int | None = None
    earlier: bool = False
    over: bool = False
    unsent: bytearray = field(default_factory=bytearray)
    sent: set[str] = field(default_factory=set)
    runs: set[str] = field(default_factory=set)

    def take(self, records: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """Note what it has said of its runs."""
        for record in records:
            if "run_id" in record:
                self.runs.add(record["run_id"])
                self.sent.discard(record["run_id"])
                yield record

    def flush(self) -> None:
        """Send what it takes now. OSError: it is gone."""
        try:
            while self.orders and self.unsent:
                del self.unsent[: self.orders.send(self.unsent)]
        except BlockingIOError:
            return


class Starters:
    """`directory` holds the logs, `files` are the limits of open files that runs get."""

    def __init__(
        self,
        directory: Path,
        lease: Path | str,
        selector: selectors.BaseSelector,
        files: tuple[int, int],
    ) -> None:
        directory.mkdir(mode=0o700, exist_ok=True)
        self._directory = directory
        self._lease = lease
        self._selector = selector
        self._files = files
        self._all = [
            _Starter(path, lines.Tail(path), earlier=True) for path in sorted(directory.iterdir())
        ]
        self._unheard: set[str] = set()
        numbers = [int(starter.path.name) for starter in self._all]
        self._numbers = itertools.count(max(numbers, default=0) + 1)
        self._current: _Starter | None = None

    @property
    def pids(self) -> set[int]:
        """Children of the launcher that are no runs."""
        return {starter.pid for starter in self._all if starter.pid}

    @property
    def unheard(self) -> int:
        """How many runs may yet be started by what an earlier launcher left."""
        return len(self._unheard)

    def expect(self, run_ids: Iterable[str]) -> None:
        """Runs of an earlier launcher that no log speaks of so far: `read` says what comes of
        them."""
        self._unheard = set(run_ids)

    def ready(self) -> _Starter:
        """The starter for the next order. OSError: there can be none."""
        if self._current and len(self._current.runs) >= RUNS:
            self._current = None
        if self._current is None:
            self._current = self._new()
        return self._current

    def order(self, run_id: str, order: bytes) -> None:
        """Have a run started. OSError: there can be no starter."""
        starter = self.ready()
        starter.sent.add(run_id)
        starter.unsent += order

    def flush(self) -> None:
        """Send orders; what is not taken now is sent at a later call."""
        for starter in self._all:
            try:
                starter.flush()
            except OSError:
                self._leave(starter)  # it will be reaped

    def read(self) -> list[dict[str, Any]]:
        """All that was seen since the last call, in order for each run. A run whose starter
        went before it was started comes as `refused`."""
        found: list[dict[str, Any]] = []
        for starter in self._all:
            # In this order: all that is in the log when the lock is free is read, and what the
            # pipe says of a run is about one that the log has begun with.
            starter.over = starter.over or (not starter.pid and _is_free(starter.path))
            said = self._said(starter)
            found += starter.take([*starter.tail.read(), *said])
            if starter.over:
                found += [_never_started(x, "the launcher's starter ended") for x in starter.sent]
                self._close(starter)
            elif starter is not self._current and not starter.sent:
                self._leave(starter)
        self._unheard.difference_update(record["run_id"] for record in found)
        if not any(starter.earlier and not starter.over for starter in self._all):
            found += [_never_started(x, "the launcher was restarted") for x in self._unheard]
            self._unheard.clear()
        return found

    def reaped(self, pid: int) -> None:
        """A child of the launcher's is dead; it may have been a starter."""
        for starter in self._all:
            if starter.pid == pid:
                starter.pid = 0
                if starter is self._current:
                    log.error("the starter ended: the next run starts another one")
                self._leave(starter)

    def leave(self) -> None:
        """Give no more orders; starters stay for their runs."""
        for starter in self._all:
            self._leave(starter)

    def sweep(self, needed: Callable[[str], bool]) -> None:
        """Remove logs by which nothing is started; `needed`: whether the end of a run is not in
        the journal yet."""
        for starter in list(self._all):
            if starter.over and not any(map(needed, starter.runs)):
                starter.tail.close()
                starter.path.unlink(missing_ok=True)
                self._all.remove(starter)

    def _new(self) -> _Starter:
        path = self._directory / f"{next(self._numbers):08}"
        ours, theirs = socket.socketpair()
        told, tell = os.pipe()
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            pid = self._spawn(path, theirs.fileno(), tell, descriptor)
        except OSError:
            ours.close()
            os.close(told)
            path.unlink()
            raise
        finally:
            for each in (theirs.detach(), tell, descriptor):
                os.close(each)
        ours.setblocking(False)
        os.set_blocking(told, False)
        self._selector.register(told, selectors.EVENT_READ, "seen")
        starter = _Starter(path, lines.Tail(path), pid, ours, told)
        self._all.append(starter)
        return starter

    def _spawn(self, path: Path, orders: int, tell: int, descriptor: int) -> int:
        """Without environment or terminal: nothing that is ours can reach a run."""
        command = [str(PROGRAM), str(self._lease), str(path), *map(str, self._files)]
        # Out of the way first: the numbers that are passed may be taken by what is passed.
        high = [fcntl.fcntl(each, fcntl.F_DUPFD_CLOEXEC, 10) for each in (orders, tell, descriptor)]
        passed = zip(high, (ORDERS, TOLD, LOG), strict=True)
        actions: list[tuple[Any, ...]] = [(os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)]
        actions += [(os.POSIX_SPAWN_DUP2, source, target) for source, target in passed]
        try:
            return os.posix_spawn(
                PROGRAM,
                command,
                {},
                file_actions=actions,
                setsid=True,
            )
        finally:
            for each in high:
                os.close(each)

    def _said(self, starter: _Starter) -> list[dict[str, Any]]:
        """What came by the pipe, which is mostly nothing."""
        data = bytearray()
        try:
            while starter.told is not None and (piece := os.read(starter.told, _READ)):
                data += piece
        except BlockingIOError:
            pass  # that was all
        records = (lines.decode(line) for line in bytes(data).split(b"\n"))
        return [record for record in records if record is not None]

    def _close(self, starter: _Starter) -> None:
        starter.sent.clear()
        self._leave(starter)
        if starter.told is not None:
            self._selector.unregister(starter.told)
            os.close(starter.told)
        starter.told = None

    def _leave(self, starter: _Starter) -> None:
        if starter.orders:
            starter.orders.close()
        starter.orders = None
        if starter is self._current:
            self._current = None


def _never_started(run_id: str, why: str) -> dict[str, Any]:
    return {"t": "refused", "run_id": run_id, "reason": f"never started: {why}", "lease": True}


def _is_free(path: Path) -> bool:
    """Whether nobody has the lock on this log, which is not taken."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True
