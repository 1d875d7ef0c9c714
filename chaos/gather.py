"""What is collected when all is healed: the jobs' own files, and what dcron says."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any

from chaos.load import TRUTH
from chaos.model import Final, Job, Launch, Row

Exec = Callable[[str, str], str]  # host, shell command; its output
Get = Callable[[str], Any]  # path; the JSON of the answer

_STANDS = re.compile(r"dcron job ([0-9]+)")

# Asked with the app's own certificate: what should be empty when nothing runs.
_LEFTOVERS = """
import json, sys
from pathlib import Path
from dcron_app.wiring import open_coordinator
from dcron_common import paths
from dcron_common.config import load_app
zk = open_coordinator(load_app(Path("/etc/dcron/app.toml")).zookeeper)
zk.start(20)
found = [f"/inbox/{name}" for name in zk.children(paths.INBOX)]
for parent in (paths.runs, paths.tasks):
    for worker in zk.children(paths.RUNS):
        found += [f"{parent(worker)}/{name}" for name in zk.children(parent(worker))]
zk.stop()
print(json.dumps(found))
"""


def truth(ask: Exec, hosts: Iterable[str]) -> list[Launch]:
    """Every launch on these hosts, as the processes themselves wrote it down."""
    found: list[Launch] = []
    for host in hosts:
        found += launches(host, ask(host, f"cat {TRUTH}/* 2>/dev/null || true").splitlines())
    return found


def launches(host: str, lines: Iterable[str]) -> list[Launch]:
    """From the lines of one host's file. A run that was started twice appears twice."""
    found: list[Launch] = []
    newest: dict[str, Launch] = {}
    for line in lines:
        words = line.split()
        if words[:1] == ["S"] and len(words) == 7:
            job, scheduled, attempt, epoch, run, moment = words[1:]
            start = float(moment)
            made = Launch(
                job, _minute(scheduled), int(attempt), int(epoch), run, host, start, start
            )
            newest[run] = made
            found.append(made)
        elif words[:1] in (["B"], ["E"]) and len(words) == 3 and words[1] in newest:
            launch = newest[words[1]]
            launch.seen = float(words[2])
            if words[0] == "E":
                launch.end = launch.seen
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
                    job=job.id,
                    minute=_minute(run["scheduled_at"]),
                    attempt=run["attempt"],
                    state=run["state"],
                    worker=run["worker"],
                    reason=run["reason"],
                    finished=_moment(finished) if finished else None,
                )
            )
    return found


def _moment(text: str) -> float:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def final(ask: Exec, get: Get, hosts: Sequence[str], control: str) -> Final:
    """What stands in the end."""
    crontabs = {
        host: set(_STANDS.findall(ask(host, "cat /etc/cron.d/dcron* 2>/dev/null || true")))
        for host in hosts
    }
    holders = {job["id"]: job["worker"] for job in get("/jobs")}
    script = _LEFTOVERS.strip().replace('"', '\\"')
    left = json.loads(ask(control, f'/opt/dcron/venv/bin/python -c "{script}"').splitlines()[-1])
    return Final(crontabs, holders, left)
