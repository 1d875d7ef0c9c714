"""Looking at a worker's own parts: crontab, crond's log, FIFO, the launcher's socket and journal.

The launcher takes one client at a time, and a new one would push the worker out; so it is not
asked: its socket, its journal and the lease's file say what there is to know.
"""

from __future__ import annotations

import errno
import json
import os
import re
import stat
import time
from collections.abc import Iterable
from pathlib import Path

from dcron_cli.doctor.facts import CrontabFile, Fifo, Launcher, Results, Trouble
from dcron_cli.doctor.look_host import output
from dcron_worker.crontab import FIRST_FILE, TICK, TICK_KEY, is_intact, job_ids, schedule_lines
from dcron_worker.crontab_file import CRON_D
from dcron_worker.runner.lease import lease_path, until_of

_OURS = re.compile(rf"{FIRST_FILE}(-[1-9][0-9]*)?")
_LISTENS = 0x10000  # __SO_ACCEPTCON in /proc/net/unix


def crontab(folder: Path = CRON_D) -> tuple[CrontabFile, ...]:
    """dcron's files in /etc/cron.d."""
    files = sorted(path for path in folder.iterdir() if _OURS.fullmatch(path.name))
    return tuple(_crontab_file(path) for path in files)


def _crontab_file(path: Path) -> CrontabFile:
    status, text = path.lstat(), path.read_text(errors="replace")
    intact = is_intact(text) and stat.S_ISREG(status.st_mode)
    return CrontabFile(
        path.name,
        stat.S_IMODE(status.st_mode),
        status.st_uid,
        intact,
        intact and any(fields == TICK for fields, _ in schedule_lines(text)),
        job_ids(text),
        max(0.0, time.time() - status.st_mtime),
    )


def last_tick() -> float | None:
    """When crond last fired the line of every minute, as its log says; None: not of late."""
    lines = output(
        "journalctl",
        "--unit=cron",
        "--since=-10min",
        "--output=short-unix",
        "--no-pager",
        "--quiet",
    )
    return last_tick_in(lines.splitlines())


def last_tick_in(lines: Iterable[str]) -> float | None:
    """The time of the newest of these lines of crond's log that is a tick of ours."""
    ticks = [line for line in lines if f"echo {TICK_KEY} 1<>" in line]
    return float(ticks[-1].split(" ", 1)[0]) if ticks else None


def fifo(path: Path) -> Fifo:
    """The FIFO; opened to write and closed again, which nobody notices."""
    try:
        status = path.lstat()
    except FileNotFoundError:
        return Fifo(path, "missing")
    if not stat.S_ISFIFO(status.st_mode):
        return Fifo(path, "other")
    return Fifo(path, "fifo", stat.S_IMODE(status.st_mode), _has_reader(path))


def _has_reader(path: Path) -> bool:
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC))
    except OSError as error:
        if error.errno == errno.ENXIO:
            return False
        raise
    return True


def launcher(state: Path, socket_path: Path, boot_id: str, now_boot: float) -> Launcher:
    """The launcher of this state folder; `now_boot` is CLOCK_BOOTTIME."""
    return Launcher(
        socket_path,
        _listens(socket_path, Path("/proc/net/unix").read_text()),
        _lease_left(lease_path(socket_path), boot_id, now_boot),
        _results(state / "runs" / "journal"),
    )


def _listens(path: Path, table: str) -> bool:
    for line in table.splitlines()[1:]:
        words = line.split(maxsplit=7)
        if len(words) == 8 and words[7] == str(path) and int(words[3], 16) & _LISTENS:
            return True
    return False


def _lease_left(path: Path, boot_id: str, now_boot: float) -> float | None:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    until = until_of(data, boot_id)
    return None if until is None else until - now_boot


def _results(journal: Path) -> Results | Trouble:
    try:
        with journal.open("rb") as file:
            return results_in(file)
    except OSError as error:
        return Trouble(str(error.strerror or error))


def results_in(lines: Iterable[bytes]) -> Results:
    """What a launcher's journal says; a torn line says nothing, as to the launcher itself."""
    running: set[str] = set()
    ended: dict[str, float] = {}
    for line in lines:
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if not isinstance(record, dict):
            continue
        kind, run = record.get("t"), record.get("run") or {}
        if kind == "launch":
            running.add(run["run_id"])
            ended.pop(run["run_id"], None)
        elif kind == "ended":
            running.discard(run["run_id"])
            ended[run["run_id"]] = float(run["finished_at"])
        elif kind == "ack":
            for run_id in record["run_ids"]:
                ended.pop(run_id, None)
    return Results(len(running), len(ended), min(ended.values(), default=None))
