"""What stands when all is healed, read from the hosts, ZooKeeper and the API.

The hosts are asked for texts as they are; what these say is read here, by the product's own
readers, so that no second notion of a format can drift away from the first.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from chaos.gather import Exec, Get
from chaos.model import Details, Final, How
from dcron_common import paths
from dcron_common.job import Spec
from dcron_common.paths import Slot
from dcron_common.protocol import Fence
from dcron_worker.crontab import job_ids, schedule_lines
from dcron_worker.runner import lines

PYTHON = "/opt/dcron/venv/bin/python"
RUNS = "/var/lib/dcron-worker/runs"  # the launcher's journal, and outputs of what it has not let go
ACTIVE, PAUSED = "active", "paused"

# Asked with the app's own certificate: what should be empty when nothing runs, all fences, and all
# assignments by worker. It stands between a shell's double quotes: neither $ nor backslashes.
_ZOOKEEPER = """
import json
from pathlib import Path
from dcron_app.wiring import open_coordinator
from dcron_common import paths
from dcron_common.config import load_app
zk = open_coordinator(load_app(Path("/etc/dcron/app.toml")).zookeeper)
zk.start(20)
def texts(parent):
    names = zk.children(parent)
    nodes = zk.get_many([f"{parent}/{name}" for name in names])
    return {name: node.data.decode() for name, node in zip(names, nodes) if node}
found = [f"/inbox/{name}" for name in zk.children(paths.INBOX)]
for parent in (paths.runs, paths.tasks, paths.kills):
    for worker in zk.children(paths.RUNS):
        for names in zk.children_many([parent(worker)]):
            found += [f"{parent(worker)}/{name}" for name in names or []]
fences = {}
for shard in paths.fence_shards():
    fences.update(texts(shard))
workers = zk.children(paths.ASSIGNMENTS)
assigned = {worker: texts(paths.assignments(worker)) for worker in workers}
zk.stop()
print(json.dumps({"leftovers": found, "fences": fences, "assignments": assigned}))
"""


def final(ask: Exec, get: Get, hosts: Sequence[str], control: str) -> Final:
    """What stands in the end."""
    found = zookeeper(ask, control)
    details = found.details = found.details or Details()
    jobs = get("/jobs")
    found.holders = {job["id"]: job["worker"] for job in jobs}
    details.jobs = {job["id"]: how_the_api_has(job) for job in jobs}
    for host in hosts:
        text = ask(host, "cat /etc/cron.d/dcron*")
        found.crontabs[host] = set(map(str, job_ids(text)))
        details.lines[host] = lines_of(text)
        zone = "from dcron_worker.crond import host_zone; print(host_zone())"
        details.zones[host] = ask(host, f"{PYTHON} -c '{zone}'").strip()
        found.leftovers += [f"journal of {host}.m.{run}" for run in _kept(ask, host)]
    return found


def zookeeper(ask: Exec, control: str) -> Final:
    """What stands in ZooKeeper: runs, requests and notices that are left; fences; assignments."""
    script = _ZOOKEEPER.strip().replace('"', '\\"')
    return from_zookeeper(json.loads(ask(control, f'{PYTHON} -c "{script}"').splitlines()[-1]))


def from_zookeeper(said: dict[str, Any]) -> Final:
    """From names and texts: `leftovers`, paths; `fences`, by slot; `assignments`, by worker and
    name. CoordinatorError for one that cannot be read."""
    details = Details()
    found = Final(leftovers=list(said["leftovers"]), details=details)
    for slot, text in said["fences"].items():
        fence = Fence.decode(text.encode())
        found.fences[slot] = fence.holder
        details.fences[slot] = How(fence.revision, fence.state)
        if fence.active is not None:
            found.leftovers.append(f"{paths.fence(Slot.parse(slot))}.{fence.active}")
    for worker, texts in said["assignments"].items():
        found.assignments[worker] = set()
        details.assignments[worker] = {}
        for name, text in texts.items():
            slot, edition = paths.assignment_parts(name)
            spec = Spec.decode(text.encode())
            found.assignments[worker].add(str(slot))
            state = PAUSED if spec.paused else ACTIVE
            how = How(edition.revision, state, spec.schedule, spec.timezone)
            details.assignments[worker].setdefault(str(slot), []).append(how)
    return found


def how_the_api_has(job: dict[str, Any]) -> How:
    """From a job as GET shows it."""
    state = PAUSED if job["paused"] else ACTIVE
    return How(job["revision"], state, job["schedule"], job["timezone"])


def lines_of(text: str) -> dict[str, list[str]]:
    """Job id to the five fields of each line that stands for it: a line stands for the jobs that
    the comments right before it name."""
    found: dict[str, list[str]] = defaultdict(list)
    named: set[str] = set()
    for line in text.splitlines():
        for fields, _ in schedule_lines(line):
            for job in named:
                found[job].append(fields)
            named = set()
        if line.startswith("#"):
            named |= set(map(str, job_ids(line)))
    return dict(found)


def _kept(ask: Exec, host: str) -> list[str]:
    """The runs that the host's launcher has not let go: by its journal, or by an output's file."""
    outputs = ask(host, f"find {RUNS}/output -type f ! -name '.*' -printf '%f\\n'").split()
    return sorted({*outputs, *unacknowledged(ask(host, f"cat {RUNS}/journal").splitlines())})


def unacknowledged(journal: Iterable[str]) -> set[str]:
    """The ids of the runs of a launcher's journal that the daemon has not acknowledged."""
    known: set[str] = set()
    for line in journal:
        record = lines.decode(line.encode()) or {}
        if record.get("t") == "launch":
            known.add(record["run"]["run_id"])
        elif record.get("t") == "ack":
            known -= set(record["run_ids"])
    return known
