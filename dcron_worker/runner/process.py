"""What a forked child does until it has become its run.

What fails before exec is said in words, in a record that the launcher reads before it hears of
the child's end. Runs in the starter: few imports, and not pathlib, so that forking stays cheap.
Each page that a child is the first to touch costs it a fault: that is most of what it costs.
"""

from __future__ import annotations

import errno
import os
import signal
import time
from collections.abc import Callable
from typing import Any, NamedTuple, NoReturn

from dcron_worker.runner import priority
from dcron_worker.runner.lease import Lease
from dcron_worker.runner.procstat import start_ticks

MARK = "DCRON_LAUNCH"
LEASE_PASSED = "lease passed before start"
EXIT_NOT_STARTED = 127
_MAX_REASON = 600  # in bytes of JSON below PIPE_BUF, whatever it holds
_TICK = 10**9 // os.sysconf("SC_CLK_TCK")  # nanoseconds
_STARTED = b'\n{"t":"started","run_id":"%b","pid":%d,"ticks":%d,"wall":%d.%09d,"boot":%d.%09d}\n'
_APPEND = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_NOFOLLOW


class Order(NamedTuple):
    """One run to be started, with everything looked up. `change`: whether the user is another
    one than the launcher's. `environment` is whole, with the mark. `output` is opened anew;
    `cgroups` are entered."""

    run_id: str
    argv: list[str]
    environment: dict[str, str]
    directory: str | None
    leased: bool
    user: str
    home: str
    change: bool
    uid: int
    gid: int
    groups: list[int]
    output: str
    cgroups: list[str]


class Surroundings(NamedTuple):
    """What a child takes from the starter. `write` brings its start into the log, OSError; `begun`
    lets go of the log's lock; `tell` brings a record to the launcher somehow."""

    write: Callable[[bytes], None]
    begun: Callable[[], None]
    tell: Callable[[dict[str, Any]], None]
    lease: Lease


class _Refused(Exception):
    """The run is not started; `lease` if that is because its lease has passed."""

    def __init__(self, reason: str, *, lease: bool = False) -> None:
        super().__init__(reason)
        self.lease = lease


def take_defaults() -> None:
    """In the starter, once for all: what each run has from it. A signal that somebody ignored
    would stay so in a run; one that is handled gets its default by exec."""
    for number in signal.Signals:
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, lambda *_: None)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    os.umask(0o022)
    priority.take_ordinary_niceness()


def refusal(run_id: str, reason: str, *, lease: bool = False) -> dict[str, Any]:
    """The record of a run that is not started."""
    return {"t": "refused", "run_id": run_id, "reason": reason[:_MAX_REASON], "lease": lease}


def boot_ns() -> int:
    """CLOCK_BOOTTIME in nanoseconds."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def become(order: Order, env: Surroundings, before: int) -> NoReturn:
    """In the child: become the run, or say why not and exit. `before`: `boot_ns` at the fork."""
    try:
        _become(order, env, before)
    except _Refused as refused:
        env.tell(refusal(order.run_id, str(refused), lease=refused.lease))
    except BaseException as error:  # noqa: BLE001 - the child must never return to the loop
        env.tell(refusal(order.run_id, f"cannot be started: {error}"))
    finally:
        os._exit(EXIT_NOT_STARTED)


def _become(order: Order, env: Surroundings, before: int) -> NoReturn:
    os.setsid()
    priority.take_ordinary_place()
    _record_start(order, env, before)
    env.begun()  # what follows may hang, such as on a file server that does not answer
    for directory in order.cgroups:
        _join(directory)
    output = os.open(order.output, _APPEND, 0o600)
    if order.change:  # so that opening /dev/stderr works; the folder is closed to everyone else
        os.fchown(output, order.uid, -1)
    os.dup2(output, 1)
    os.dup2(output, 2)
    if order.change:
        os.setgroups(order.groups)
        os.setresgid(order.gid, order.gid, order.gid)
        os.setresuid(order.uid, order.uid, order.uid)
    _enter(order)
    if order.leased and time.clock_gettime(time.CLOCK_BOOTTIME) >= env.lease.until():
        raise _Refused(LEASE_PASSED, lease=True)
    try:
        if "/" in order.argv[0]:
            os.execve(order.argv[0], order.argv, order.environment)  # noqa: S606 - the product itself
        os.execvpe(order.argv[0], order.argv, order.environment)  # noqa: S606
    except OSError as error:
        raise _Refused(explain(error, order.argv[0], order.user)) from error


def _join(directory: str) -> None:
    try:
        descriptor = os.open(f"{directory}/cgroup.procs", os.O_WRONLY)
        os.write(descriptor, b"0")
        os.close(descriptor)
    except OSError as error:
        raise _Refused(f"cannot enter its cgroup {directory}: {error.strerror}") from error


def _record_start(order: Order, env: Surroundings, before: int) -> None:
    pid = os.getpid()
    wall, boot = time.time_ns(), boot_ns()
    # When this process began, as /proc counts. It began between `before` and now: where that is
    # one tick /proc need not be asked.
    ticks = boot // _TICK if boot // _TICK == before // _TICK else start_ticks(pid)
    # By hand and of whole numbers: a run id needs no escapes, and an encoder touches many pages.
    record = _STARTED % (
        order.run_id.encode(),
        pid,
        ticks,
        *divmod(wall, 10**9),
        *divmod(boot, 10**9),
    )
    try:
        env.write(record)
    except OSError as error:
        raise _Refused(f"the start could not be written down: {error.strerror}") from error


def _enter(order: Order) -> None:
    try:
        os.chdir(order.directory if order.directory is not None else order.home)
    except OSError as error:
        if order.directory is None:
            os.chdir("/")
            return
        raise _Refused(
            f"working directory {order.directory}: {error.strerror} (as user {order.user})"
        ) from error


def explain(error: OSError, program: str, user: str) -> str:
    """Why exec refused `program`, in words that say what to do."""
    if error.errno == errno.ENOEXEC:
        return f"{program}: neither a program for this machine nor a script with a #! line"
    if error.errno == errno.ENOENT and "/" in program and os.path.exists(program):
        return f"{program}: the interpreter that its #! line or its ELF header names is missing"
    if error.errno == errno.EACCES and "/" in program:
        return f"{program}: {_why_denied(program, user)}"
    if error.errno == errno.ENOENT and "/" not in program:
        return f"{program}: not found on the PATH"
    return f"{program}: {error.strerror}"


def _why_denied(path: str, user: str) -> str:
    try:
        if os.path.isdir(path):
            return "is a directory"
        if os.statvfs(path).f_flag & os.ST_NOEXEC:
            return "lies on a file system that is mounted noexec"
        if not os.access(path, os.X_OK):
            return f"is not executable by user {user}"
    except OSError:
        return f"cannot be reached by user {user}"
    return f"permission denied to user {user}"
