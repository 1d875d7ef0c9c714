"""From a claim to what the launcher is asked to start: arguments, environment, lease."""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

from dcron_common.errors import LaunchError
from dcron_common.job import JobType, OnIsolation, Spec
from dcron_common.run import scheduled_at
from dcron_worker.book import OpenClaim
from dcron_worker.runner.model import Launch

OUTPUT_BYTES = 10 * 1024 * 1024  # of one run, where the job sets no bound of its own
PATH = "/usr/bin:/bin"  # as cron's
FRESH = 1.0  # seconds that what the system said of a user is taken for true


class Accounts:
    """The OS users that runs are for. Each is asked for once a second: hundreds of runs of one user
    begin together, and each answer means reading a file, or asking a directory server. Threads may
    share it; two that ask at the same moment may both look."""

    def __init__(self, boot: Callable[[], float]) -> None:
        """`boot`: seconds since boot."""
        self._boot = boot
        self._found: dict[str | None, tuple[float, pwd.struct_passwd]] = {}

    def of(self, name: str | None) -> pwd.struct_passwd:
        """None: the process's own user. LaunchError if there is no such user."""
        at, found = self._found.get(name, (-FRESH, None))
        if found is None or self._boot() - at >= FRESH:
            found = _look_up(name)
            self._found[name] = (self._boot(), found)  # after an answer that may have taken long
        return found


def build(
    opened: OpenClaim,
    executable: Path | None,
    *,
    user: str | None,
    account: pwd.struct_passwd,
    secrets: Mapping[str, str] | None = None,
) -> Launch:
    """`executable`: the cached file, None for a command. `user`: None runs as the daemon's own;
    `account` is the user's in either case. `secrets`: values by name, the job's among them.

    LaunchError if the job is gone.
    """
    spec, claim = _spec(opened), opened.claim
    return Launch(
        run_id=claim.run_id,
        job_id=spec.job_id,
        key=opened.key,
        attempt=claim.attempt,
        epoch=claim.epoch,
        argv=_argv(opened, executable),
        environment=_environment(opened, account, secrets or {}),
        working_directory=spec.working_directory,
        user=user,
        timeout_seconds=float(spec.timeout_seconds),
        leased=spec.on_isolation is OnIsolation.SKIP,
        output_bytes=spec.limits.output_bytes or OUTPUT_BYTES,
        memory_bytes=spec.limits.memory_bytes,
        cpu_percent=spec.limits.cpu_percent,
        processes=spec.limits.processes,
        isolated=not opened.path,
    )


def _spec(opened: OpenClaim) -> Spec:
    if opened.spec is None:
        raise LaunchError("the job was removed before the run could start")
    return opened.spec


def _look_up(name: str | None) -> pwd.struct_passwd:
    try:
        return pwd.getpwuid(os.getuid()) if name is None else pwd.getpwnam(name)
    except KeyError as error:
        user = name or f"with the number {os.getuid()}"
        raise LaunchError(
            f"the OS user {user} does not exist on this node: create it, or change run_as"
        ) from error


def _argv(opened: OpenClaim, executable: Path | None) -> tuple[str, ...]:
    spec, asked = _spec(opened), opened.claim.arguments
    arguments = spec.arguments if asked is None else tuple(asked)
    if spec.type is JobType.COMMAND or executable is None:
        # "sh" is $0, so that arguments begin at $1 as in a script
        return ("/bin/sh", "-c", spec.executable, "sh", *arguments)
    if spec.type is JobType.SCRIPT and not _has_interpreter(executable):
        return ("/bin/sh", str(executable), *arguments)
    return (str(executable), *arguments)


def _has_interpreter(executable: Path) -> bool:
    with executable.open("rb") as file:
        return file.read(2) == b"#!"


def _environment(
    opened: OpenClaim, account: pwd.struct_passwd, secrets: Mapping[str, str]
) -> dict[str, str]:
    """A clean environment like cron's, the job's own, and ours last so that it is true."""
    spec, claim = _spec(opened), opened.claim
    return {
        "PATH": PATH,
        "HOME": account.pw_dir,
        "LOGNAME": account.pw_name,
        "USER": account.pw_name,
        "SHELL": "/bin/sh",
        **spec.environment,
        **{name: secrets[name] for name in spec.secrets},
        "DCRON_JOB_ID": str(spec.job_id),
        "DCRON_RUN_ID": claim.run_id,
        "DCRON_SCHEDULED_AT": _in_utc(scheduled_at(opened.key)),
        "DCRON_ATTEMPT": str(claim.attempt),
        "DCRON_EPOCH": str(claim.epoch),
    }


@lru_cache(maxsize=16)  # all that is due at a minute has it in common
def _in_utc(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
