"""What is collected when all is healed: the jobs' own files, and the rows of their runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from chaos.load import TRUTH
from chaos.model import Job, Launch, Row

Exec = Callable[[str, str], str]  # host, shell command; its output
Get = Callable[[str], Any]  # path; the JSON of the answer


def truth(ask: Exec, hosts: Iterable[str]) -> list[Launch]:
    """Every launch on these hosts, as the processes themselves wrote it down."""
    found: list[Launch] = []
    for host in hosts:
        found += launches(host, ask(host, f"find {TRUTH} -type f -exec cat {{}} +").splitlines())
    return found


def launches(host: str, lines: Iterable[str]) -> list[Launch]:
    """From the lines of one host's file. A run that was started twice appears twice."""
    found: list[Launch] = []
    newest: dict[str, Launch] = {}
    for line in lines:
        words = line.split()
        if words[:1] == ["S"] and len(words) == 8:
            job, scheduled, attempt, epoch, run, revision, moment = words[1:]
            start = float(moment)
            made = Launch(
                job,
                _minute(scheduled),
                int(attempt),
                int(epoch),
                run,
                host,
                start,
                start,
                revision=int(revision),
            )
            newest[run] = made
            found.append(made)
        elif words[:1] in (["B"], ["E"]) and len(words) == 3 and words[1] in newest:
            launch = newest[words[1]]
            launch.seen = float(words[2])
            if words[0] == "E":
                launch.end = launch.seen
        elif words[:1] == ["W"] and len(words) == 4 and words[1] in newest:
            newest[words[1]].lacks = words[2]
        else:
            raise ValueError(f"{host}: a line that no job of the load writes: {line!r}")
    return found


def _minute(text: str) -> int:
    return int(datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp())


def rows(get: Get, jobs: Iterable[Job]) -> list[Row]:
    """All runs of the acknowledged jobs."""
    found: list[Row] = []
    for job in jobs:
        if job.id is None:
            continue
        for run in get(f"/jobs/{job.id}/runs?limit=1000"):
            finished = run["finished_at"]
            found.append(
                Row(
                    run=run["id"],
                    job=job.id,
                    minute=_minute(run["scheduled_at"]),
                    attempt=run["attempt"],
                    state=run["state"],
                    worker=run["worker"],
                    reason=run["reason"],
                    finished=_moment(finished) if finished else None,
                    isolated=run["isolated"],
                )
            )
    return found


def _moment(text: str) -> float:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
