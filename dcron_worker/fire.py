"""Hints that something may be due: from crond through a FIFO, or from a ticker of our own.

A hint means "look at all that is due"; what it says is thrown away. It may come twice, late or
never: the daemon looks by itself as well. `Fire.silence` tells how long none came; crond's tick
line comes every minute, so timing.TICK_SILENCE seconds without one mean that crond is ill.

A writer of a full FIFO waits, and crond's shells would pile up while the daemon stands still. So
a line writes only if no hint waits: the FIFO's time of change is no later than that of the file
beside it, which says up to where we have read. Setting that file after a read is always safe: a
hint that comes later changes the FIFO again.
"""

from __future__ import annotations

import fcntl
import logging
import os
import select
import stat
import threading
from collections.abc import Callable, Iterable, MutableMapping
from contextlib import suppress
from pathlib import Path

from dcron_common.clock import SYSTEM, Clock, minute
from dcron_common.errors import ConfigError
from dcron_common.schedule import parse
from dcron_worker.crontab import schedule_lines, seen_path

log = logging.getLogger(__name__)

_FIRST_PASSED_FD = 3  # sd_listen_fds(3)
# All lines of one moment may write before the first of them is seen. This holds 100,000 hints; more
# than the default 64 KiB needs no right up to 1 MiB.
_PIPE_BYTES = 1 << 20
_READ = 1 << 16


class Fire:
    """The reading end of a FIFO. One thread waits; `silence` may be asked from any."""

    def __init__(
        self, source: int | Path, clock: Clock = SYSTEM, *, seen: Path | None = None
    ) -> None:
        """`source`: an open descriptor of a FIFO (systemd's), which is taken over, or the path
        of a FIFO to open, made with mode 0600 if it is missing. ConfigError if it is none.
        `seen`: the file that says up to where was read; None: there is none, lines write always."""
        self._fd = source if isinstance(source, int) else _open(source)
        if not stat.S_ISFIFO(os.fstat(self._fd).st_mode):
            self.close()
            raise ConfigError(f"{source} is no FIFO; use ListenFIFO= in the socket unit")
        os.set_blocking(self._fd, False)
        os.set_inheritable(self._fd, False)
        try:
            fcntl.fcntl(self._fd, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        except OSError as error:
            log.info("the FIFO stays small: %s", error)
        self._poll = select.poll()
        self._poll.register(self._fd, select.POLLIN)
        self._clock = clock
        self._last_hint = clock.boot()
        self._seen = seen
        self._said: int | None = 0  # nanoseconds; None: it could not be said
        self._say_seen()

    def wait(self, timeout: float) -> bool:
        """Wait for hints, at most `timeout` seconds; take all that are there. Was there any?"""
        if not self._poll.poll(max(0.0, timeout) * 1000):
            self._say_seen()  # somebody may have touched it
            return False
        # Hints that came after the read are a reason to be called again, not to stay here.
        heard = False
        for _ in range(2 * _PIPE_BYTES // _READ):
            try:
                data = os.read(self._fd, _READ)
            except BlockingIOError:
                break
            if not data:
                break
            heard = True
        if heard:
            self._last_hint = self._clock.boot()
        self._say_seen()
        return heard

    def _say_seen(self) -> None:
        """Let lines write again. Where that cannot be said they shall always do."""
        if self._seen is None:
            return
        changed = os.fstat(self._fd).st_mtime_ns
        if changed == self._said:
            return
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            handle = os.open(self._seen, flags, 0o600)
            try:
                os.utime(handle, ns=(changed, changed))
            finally:
                os.close(handle)
            self._said = changed
        except OSError as error:
            if self._said is not None:
                log.error(
                    "%s cannot be kept, lines may wait for a full FIFO: %s", self._seen, error
                )
            self._said = None
            with suppress(OSError):
                self._seen.unlink(missing_ok=True)

    def silence(self) -> float:
        """Seconds since the last hint, or since this was opened."""
        return self._clock.boot() - self._last_hint

    def close(self) -> None:
        """Let go of the FIFO; its file stays, for crond's lines test for it."""
        os.close(self._fd)


def passed_fds(environ: MutableMapping[str, str], pid: int) -> list[int]:
    """The descriptors that systemd passed to process `pid`; the variables are taken away.

    They are meant for one process only: a child that inherited the variables must not believe
    them, which is what LISTEN_PID is for.
    """
    wanted = environ.pop("LISTEN_PID", "")
    count = environ.pop("LISTEN_FDS", "")
    environ.pop("LISTEN_FDNAMES", None)
    if wanted != str(pid) or not count.isdecimal():
        return []
    fds = list(range(_FIRST_PASSED_FD, _FIRST_PASSED_FD + min(int(count), 64)))
    for fd in fds:
        os.set_inheritable(fd, False)
    return fds


def open_fire(path: Path, environ: MutableMapping[str, str], clock: Clock = SYSTEM) -> Fire:
    """The FIFO that systemd passed, or else our own at `path`."""
    fds = passed_fds(environ, os.getpid())
    if len(fds) > 1:
        raise ConfigError(f"systemd passed {len(fds)} descriptors; give the worker one socket unit")
    return Fire(fds[0] if fds else path, clock, seen=Path(seen_path(str(path))))


def _open(path: Path) -> int:
    try:
        try:
            os.mkfifo(path, 0o600)
        except FileExistsError:
            log.debug("the FIFO %s is there already", path)
        # Read and write: without a writer of our own each crond line would end the stream.
        fd = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise ConfigError(
            f"the FIFO {path} cannot be opened ({error.strerror}); remove what is there, "
            "or name another path"
        ) from error
    status = os.fstat(fd)
    if not stat.S_ISFIFO(status.st_mode) or status.st_uid != os.geteuid():
        os.close(fd)
        raise ConfigError(f"{path} is there and no FIFO of this user; remove it")
    os.fchmod(fd, 0o600)
    return fd


class Ticker:
    """Does crond's part: reads the very table that crond would have got, and hints by it."""

    def __init__(
        self,
        texts: Callable[[], Iterable[str]],
        hint: Callable[[], None],
        *,
        zone: str = "UTC",
        clock: Clock = SYSTEM,
    ) -> None:
        """`texts` gives the crontab files' present text; `hint` is called when a line is due."""
        self._texts = texts
        self._hint = hint
        self._zone = zone
        self._clock = clock
        self._mark = minute(clock.wall())

    def due(self, after: int, until: int) -> bool:
        """Has any line a firing in (after, until]?"""
        return any(
            parse(fields, self._zone).due(after, until, 1)
            for text in self._texts()
            for fields, _ in schedule_lines(text)
        )

    def step(self) -> float:
        """Hint if a new minute has begun and a line is due; the seconds until the next look."""
        wall = self._clock.wall()
        now = minute(wall)
        if now < self._mark:  # the clock was set back: its minutes come again
            self._mark = now
        if now > self._mark:
            if self.due(max(self._mark, now - 3600), now):
                self._hint()
            self._mark = now
        # Short, so that a step of the clock or a suspend is noticed soon.
        return min(1.0, now + 60 - wall + 0.01)

    def run(self, stop: threading.Event) -> None:
        """Tick until `stop` is set."""
        while not stop.wait(self.step()):
            pass
