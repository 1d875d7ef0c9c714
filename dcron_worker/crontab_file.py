"""Bringing the crontab on disk in line with the table, for crond or in a user's own crontab (P17).

`reconcile` reads what is there, writes only what differs, and tells what somebody had edited.
Foreign entries are never touched. A failure is CrontabError; the old file then still stands, and
the next pass tries again.
"""

from __future__ import annotations

import os
import re
import stat
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from dcron_common.durable import sync_directory
from dcron_worker.crontab import (
    FIRST_FILE,
    Table,
    is_intact,
    marker,
    render,
    render_empty,
    render_user,
)
from dcron_worker.crontab_check import CrontabError, check, check_user, dry_run

CRON_D = Path("/etc/cron.d")
_OURS = re.compile(rf"{FIRST_FILE}(-[1-9][0-9]*)?")
_MODE = 0o644
_COMMAND_SECONDS = 20


@dataclass(frozen=True, slots=True)
class Change:
    """Names of the files that were written, and of those in which a hand edit was put back."""

    written: tuple[str, ...] = ()
    drift: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.written)


class SystemCrontab:
    """Files `dcron`, `dcron-2`… in /etc/cron.d, which only root may write."""

    def __init__(
        self,
        fifo: Path,
        *,
        directory: Path = CRON_D,
        user: str = "root",
        now: Callable[[], float] = time.time,
    ) -> None:
        self._fifo = str(fifo)
        self._directory = directory
        self._user = user
        self._now = now
        self._made: set[str] = set()  # a file of these that is gone was deleted by somebody

    def reconcile(self, table: Table) -> Change:
        """Make the files say what the table says."""
        wanted = render(table, fifo=self._fifo, user=self._user)
        try:
            self._sweep()
            for name in self._present():
                wanted.setdefault(name, render_empty())
            written, drift = [], []
            for name, text in wanted.items():
                present = _read(self._directory / name)
                if present == text:
                    self._made.add(name)
                    continue
                if not self._is_ours(name, present):
                    drift.append(name)
                self._write(name, text)
                self._made.add(name)
                written.append(name)
        except OSError as error:
            raise CrontabError(f"{self._directory}: {error}") from error
        return Change(tuple(written), tuple(drift))

    def _present(self) -> list[str]:
        return sorted(p.name for p in self._directory.iterdir() if _OURS.fullmatch(p.name))

    def _is_ours(self, name: str, present: str | None) -> bool:
        """Is the file as we left it, or absent as it was?"""
        if present is None:
            return name not in self._made and not os.path.lexists(self._directory / name)
        return is_intact(present)

    def _sweep(self) -> None:
        """Take away what a crash left of an unfinished write."""
        for leftover in self._directory.glob(f"{FIRST_FILE}.new-*"):
            leftover.unlink(missing_ok=True)

    def _write(self, name: str, text: str) -> None:
        check(text, self._user)
        # crond ignores names with a dot, so the unfinished file is none of its business.
        handle, temporary_name = tempfile.mkstemp(prefix=f"{FIRST_FILE}.new-", dir=self._directory)
        temporary = Path(temporary_name)
        try:
            with os.fdopen(handle, "w", encoding="ascii") as file:
                file.write(text)
                file.flush()
                os.fchmod(file.fileno(), _MODE)
                dry_run(temporary)
                mtime = self._next_mtime()
                os.utime(file.fileno(), (mtime, mtime))
                os.fsync(file.fileno())
            temporary.replace(self._directory / name)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        sync_directory(self._directory)

    def _next_mtime(self) -> int:
        """A whole second that crond has not seen yet.

        crond compares the newest mtime of the directory and its files with the newest of its
        last look, in whole seconds and by `!=`: two writes within one second would be one to it.
        """
        newest = self._directory.stat().st_mtime
        for entry in self._directory.iterdir():
            if not entry.name.startswith(f"{FIRST_FILE}.new-"):
                newest = max(newest, entry.lstat().st_mtime)
        return max(int(self._now()), int(newest) + 1)


class UserCrontab:
    """Marked lines in the crontab of the process's own user; all other lines stay as they are."""

    def __init__(self, fifo: Path, *, command: str = "crontab") -> None:
        self._fifo = str(fifo)
        self._command = command
        self._last: list[str] | None = None

    def reconcile(self, table: Table) -> Change:
        """Make our lines say what the table says."""
        return self._replace(render_user(table, fifo=self._fifo))

    def clear(self) -> Change:
        """Take our lines away: for the end of an instance that will not come back."""
        return self._replace([])

    def _replace(self, wanted: list[str]) -> Change:
        mark = marker(self._fifo)
        before = self._list()
        # One newline is the end of a line here; cron knows no other.
        lines = before.split("\n")[:-1] if before.endswith("\n") else before.split("\n")
        lines = [line for line in lines if line or before]
        foreign = [line for line in lines if not line.endswith(mark)]
        ours = [line for line in lines if line.endswith(mark)]
        if ours == wanted:
            self._last = wanted
            return Change()
        drift = self._last is not None and ours != self._last
        check_user(wanted)
        self._install("".join(f"{line}\n" for line in [*foreign, *wanted]))
        self._last = wanted
        return Change(("crontab",), ("crontab",) if drift else ())

    def _list(self) -> str:
        done = self._run("-l")
        if done.returncode == 0:
            return _decode(done.stdout)
        if b"no crontab for" in done.stderr:
            return ""
        raise CrontabError(f"crontab -l: {_decode(done.stderr).strip()[:500]}")

    def _install(self, text: str) -> None:
        done = self._run("-", text.encode("utf-8", "surrogateescape"))
        if done.returncode != 0:
            raise CrontabError(f"crontab -: {_decode(done.stderr).strip()[:500]}")

    def _run(self, argument: str, data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        try:
            return subprocess.run(
                [self._command, argument],
                input=data,
                capture_output=True,
                timeout=_COMMAND_SECONDS,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise CrontabError(
                f"{self._command} does not work ({error}); install cron, or use --crontab none"
            ) from error


def _decode(data: bytes) -> str:
    """A foreign line may be in any encoding, and goes back byte for byte."""
    return data.decode("utf-8", "surrogateescape")


class MemoryCrontab:
    """No crond at all (`--crontab none`): the table is kept for the ticker to read."""

    # Nothing runs these lines, so that the state folder's path need not fit into one.
    _FIFO = "/run/dcron/fire"

    def __init__(self) -> None:
        self._files = render(Table(()), fifo=self._FIFO)

    def reconcile(self, table: Table) -> Change:
        """Keep what crond would have got."""
        wanted = render(table, fifo=self._FIFO)
        if wanted == self._files:
            return Change()
        written = tuple(name for name, text in wanted.items() if self._files.get(name) != text)
        self._files = wanted
        return Change(written)

    def texts(self) -> list[str]:
        """The files crond would have got. Safe to call from another thread."""
        return list(self._files.values())


class Crontab(Protocol):
    """What the daemon asks of whichever crontab it keeps."""

    def reconcile(self, table: Table) -> Change:
        """Make it say what the table says; CrontabError if that failed."""


def _read(path: Path) -> str | None:
    """The text of a plain file of ours with the right mode; None for everything else."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    with os.fdopen(handle, "rb") as file:
        status = os.fstat(file.fileno())
        ours = status.st_uid == os.geteuid() and stat.S_IMODE(status.st_mode) == _MODE
        if not stat.S_ISREG(status.st_mode) or not ours:
            return None
        return file.read().decode("utf-8", "replace")
