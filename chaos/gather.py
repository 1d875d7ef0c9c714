"""What is collected when all is healed: the jobs' own files, and what dcron says."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any

from chaos.load import TRUTH
from chaos.model import Final, Job, Launch, Row
from dcron_worker.crontab import job_ids

Exec = Callable[[str, str], str]  # host, shell command; its output
Get = Callable[[str], Any]  # path; the JSON of the answer

OUTPUTS = "/var/lib/dcron-worker/runs/output"  # of runs that are not acknowledged

# Asked with the app's own certificate: what should be empty when nothing runs, who holds what by
# its fence, and what is assigned to whom.
_ZOOKEEPER = """
import json, sys
from pathlib import Path
from dcron_app.wiring import open_coordinator
from dcron_common import paths
from dcron_common.config import load_app
from dcron_common.protocol import Fence
zk = open_coordinator(load_app(Path("/etc/dcron/app.toml")).zookeeper)
zk.start(20)
found = [f"/inbox/{name}" for name in zk.children(paths.INBOX)]
for parent in (paths.runs, paths.tasks, paths.kills):
    for worker in zk.children(paths.RUNS):
        for names in zk.children_many([parent(worker)]):
            found += [f"{parent(worker)}/{name}" for name in names or []]
fences = {}
for shard in paths.fence_shards():
    for name in zk.children(shard):
        fence = Fence.decode(zk.get(f"{shard}/{name}").data)
        fences[name] = fence.holder
        if fence.active is not None:
            found.append(f"{shard}/{name}.{fence.active}")
assigned = {}
for worker in zk.children(paths.ASSIGNMENTS):
    for names in zk.children_many([paths.assignments(worker)]):
        assigned[worker] = [str(paths.assignment_parts(name)[0]) for name in names or []]
zk.stop()
print(json.dumps({"leftovers": found, "fences": fences, "assignments": assigned}))
"""


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


def zookeeper(ask: Exec, control: str) -> Final:
    """What stands in ZooKeeper: runs, requests and notices that are left; fences; assignments."""
    script = _ZOOKEEPER.strip().replace('"', '\\"')
    said = json.loads(ask(control, f'/opt/dcron/venv/bin/python -c "{script}"').splitlines()[-1])
    assigned = {host: set(slots) for host, slots in said["assignments"].items()}
    return Final(leftovers=said["leftovers"], fences=said["fences"], assignments=assigned)


def final(ask: Exec, get: Get, hosts: Sequence[str], control: str) -> Final:
    """What stands in the end."""
    texts = {host: ask(host, "cat /etc/cron.d/dcron*") for host in hosts}
    found = zookeeper(ask, control)
    found.crontabs = {host: set(map(str, job_ids(text))) for host, text in texts.items()}
    found.holders = {job["id"]: job["worker"] for job in get("/jobs")}
    for host in hosts:
        kept = ask(host, f"find {OUTPUTS} -type f ! -name '.*' -printf '%f\\n'").split()
        found.leftovers += [f"journal of {host}.m.{run}" for run in kept]
    return found
