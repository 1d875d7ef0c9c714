"""Fork and exec of one run, and what the child does between the two.

The launcher forks and does not wait for the exec: a thousand starts use all cores, and no slow
file system holds up the loop. What fails before exec the child says in one short write (atomic,
below PIPE_BUF) to a pipe that all children share; the launcher reads it before it reaps.
"""

from __future__ import annotations

import errno
import json
import os
import resource
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from dcron_worker.runner import journal
from dcron_worker.runner.account import Account
from dcron_worker.runner.lease import Lease
from dcron_worker.runner.model import Launch
from dcron_worker.runner.procfs import start_ticks

MARK = "DCRON_LAUNCH"
LEASE_PASSED = "lease passed before start"
_EXIT_NOT_STARTED = 127
_MAX_REASON = 1000


@dataclass(frozen=True)
class Surroundings:
    """The launcher's own things that a child needs until exec; all are closed by it."""

    journal_fd: int
    report_fd: int
    null_fd: int
    lease: Lease
    file_limits: tuple[int, int]
    ignored: tuple[signal.Signals, ...]


class _Refused(Exception):
    """The run is not started; `lease` if that is because its lease has passed."""

    def __init__(self, reason: str, *, lease: bool = False) -> None:
        super().__init__(reason)
        self.lease = lease


def ignored_signals() -> tuple[signal.Signals, ...]:
    """Which signals this process ignores: two by Python, others by nohup or whoever started us."""
    return tuple(x for x in signal.Signals if signal.getsignal(x) == signal.SIG_IGN)


def fork(
    launch: Launch, account: Account, output_fd: int, cgroups: tuple[Path, ...], env: Surroundings
) -> int:
    """The pid of a child that is about to become the run. OSError if there can be no child."""
    pid = os.fork()
    if pid:
        return pid
    try:
        _become(launch, account, output_fd, cgroups, env)
    except _Refused as refused:
        _report(env.report_fd, launch.run_id, str(refused), lease=refused.lease)
    except BaseException as error:  # noqa: BLE001 - the child must never return to the loop
        _report(env.report_fd, launch.run_id, f"cannot be started: {error}", lease=False)
    finally:
        os._exit(_EXIT_NOT_STARTED)


def _become(
    launch: Launch, account: Account, output_fd: int, cgroups: tuple[Path, ...], env: Surroundings
) -> NoReturn:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # from here on it is meant for the run
    for directory in cgroups:
        _join(directory)
    os.setsid()
    _record_start(launch, env.journal_fd)
    for target, source in ((0, env.null_fd), (1, output_fd), (2, output_fd)):
        os.dup2(source, target, inheritable=True)
    for number in env.ignored:  # whatever we handle becomes the default again with exec
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    resource.setrlimit(resource.RLIMIT_NOFILE, env.file_limits)
    os.umask(0o022)
    if account.change:
        os.setgroups(account.groups)
        os.setresgid(account.gid, account.gid, account.gid)
        os.setresuid(account.uid, account.uid, account.uid)
    _enter(launch.working_directory, account)
    environment = {**launch.environment, MARK: launch.run_id}
    if launch.leased and time.clock_gettime(time.CLOCK_BOOTTIME) >= env.lease.until():
        raise _Refused(LEASE_PASSED, lease=True)
    try:
        os.execvpe(launch.argv[0], launch.argv, environment)  # noqa: S606 - the product itself
    except OSError as error:
        raise _Refused(explain(error, launch.argv[0], account.name)) from error


def _join(directory: Path) -> None:
    try:
        descriptor = os.open(directory / "cgroup.procs", os.O_WRONLY)
        os.write(descriptor, b"0")
        os.close(descriptor)
    except OSError as error:
        raise _Refused(f"cannot enter its cgroup {directory}: {error.strerror}") from error


def _record_start(launch: Launch, descriptor: int) -> None:
    record = {
        "t": "started",
        "run_id": launch.run_id,
        "pid": os.getpid(),
        "ticks": start_ticks(os.getpid()),
        "wall": time.time(),
        "boot": time.clock_gettime(time.CLOCK_BOOTTIME),
    }
    try:
        journal.write_all(descriptor, journal.encode(record))
    except OSError as error:
        raise _Refused(f"the start could not be written down: {error.strerror}") from error


def _enter(wanted: str | None, account: Account) -> None:
    try:
        os.chdir(wanted if wanted is not None else account.home)
    except OSError as error:
        if wanted is None:
            os.chdir("/")
            return
        raise _Refused(
            f"working directory {wanted}: {error.strerror} (as user {account.name})"
        ) from error


def explain(error: OSError, program: str, user: str) -> str:
    """Why exec refused `program`, in words that say what to do."""
    path = Path(program)
    if error.errno == errno.ENOEXEC:
        return f"{program}: neither a program for this machine nor a script with a #! line"
    if error.errno == errno.ENOENT and "/" in program and path.exists():
        return f"{program}: the interpreter that its #! line or its ELF header names is missing"
    if error.errno == errno.EACCES and "/" in program:
        return f"{program}: {_why_denied(path, user)}"
    if error.errno == errno.ENOENT and "/" not in program:
        return f"{program}: not found on the PATH"
    return f"{program}: {error.strerror}"


def _why_denied(path: Path, user: str) -> str:
    try:
        if path.is_dir():
            return "is a directory"
        if os.statvfs(path).f_flag & os.ST_NOEXEC:
            return "lies on a file system that is mounted noexec"
        if not os.access(path, os.X_OK):
            return f"is not executable by user {user}"
    except OSError:
        return f"cannot be reached by user {user}"
    return f"permission denied to user {user}"


def _report(descriptor: int, run_id: str, reason: str, *, lease: bool) -> None:
    line = {"run_id": run_id, "reason": reason[:_MAX_REASON], "lease": lease}
    os.write(descriptor, json.dumps(line).encode() + b"\n")
