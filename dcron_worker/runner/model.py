"""What the daemon asks the launcher for, and what the launcher tells it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from dcron_common.errors import LaunchError

_RUN_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._:@+-]{0,199}")


@dataclass(frozen=True)
class Launch:
    """One run to be started.

    `run_id` names files and cgroups: letters, digits and ``._:@+-``, at most 200 bytes.
    `environment` is the whole environment; the launcher adds only DCRON_LAUNCH, the mark by
    which it finds daemonized descendants where there are no cgroups. It is never written to
    disk, since it may hold secrets: what `known` returns has an empty one.
    `working_directory` None: the user's home, or / if there is none. `user` None: the
    launcher's own user. Times in seconds, sizes in bytes, `cpu_percent` of one core.
    `isolated`: it has no claim (the launcher only keeps the word).
    """

    run_id: str
    job_id: int
    key: str
    attempt: int
    epoch: int
    argv: tuple[str, ...]
    environment: dict[str, str] = field(repr=False)
    working_directory: str | None
    user: str | None
    timeout_seconds: float
    grace_seconds: float = 10
    leased: bool = True
    output_bytes: int = 10 * 1024 * 1024
    memory_bytes: int | None = None
    cpu_percent: int | None = None
    processes: int | None = None
    isolated: bool = False

    @property
    def limited(self) -> bool:
        """Whether a cgroup bounds what it uses."""
        return (self.memory_bytes, self.cpu_percent, self.processes) != (None, None, None)

    def check(self) -> None:
        """LaunchError if the run cannot even be written down."""
        if not _RUN_ID.fullmatch(self.run_id):
            raise LaunchError(
                f"run_id: {self.run_id[:220]!r} is refused: use 1 to 200 letters, digits or ._:@+-"
            )
        texts = (*self.argv, *self.environment, *self.environment.values())
        if not all(isinstance(text, str) for text in texts):
            raise LaunchError(f"run {self.run_id}: arguments and variables are texts")
        if not self.argv:
            raise LaunchError(f"argv: run {self.run_id} has no program to start")


@dataclass(frozen=True)
class Started:
    """`started_at`: epoch seconds."""

    run_id: str
    pid: int
    started_at: float


@dataclass(frozen=True)
class Ended:
    """How a run ended.

    `state`: succeeded, failed (also: could not be started, a limit was exceeded), timed_out,
    killed (on request), lost (the lease had passed, or the exit was not seen: the job may run
    again elsewhere). `reason` says why in words, None when exit code or signal say it all.
    `started_at` is None if the program never ran. `output_path` is a file of `output_size` bytes
    until the run is acknowledged; `output_tail` its last 8 KiB.
    """

    run_id: str
    state: str
    started_at: float | None
    finished_at: float
    exit_code: int | None
    signal: int | None
    reason: str | None
    output_tail: str
    output_path: str
    output_size: int
    truncated: bool


def to_json(value: Launch | Started | Ended) -> dict[str, Any]:
    """As JSON's types, shallow: asdict would copy every string of a thousand environments."""
    return dict(vars(value))


def launch_from(data: dict[str, Any]) -> Launch:
    """The reverse of `to_json`; keys of a later version are ignored."""
    known = _only(Launch, data)
    return Launch(**{**known, "argv": tuple(known["argv"])})


def started_from(data: dict[str, Any]) -> Started:
    """The reverse of `to_json`."""
    return Started(**_only(Started, data))


def ended_from(data: dict[str, Any]) -> Ended:
    """The reverse of `to_json`."""
    return Ended(**_only(Ended, data))


def _only(kind: type[Any], data: dict[str, Any]) -> dict[str, Any]:
    names = kind.__dataclass_fields__
    return {key: value for key, value in data.items() if key in names}
