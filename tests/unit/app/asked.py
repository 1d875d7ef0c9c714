"""Runs that are asked for, and the ends of runs: what the tests of both send and see."""

import base64
import json
from typing import Any

from dcron_common import paths
from dcron_common.db import audit, runs
from dcron_common.db.models import Job
from dcron_common.paths import Slot
from dcron_common.protocol import Claim, Fence, Task
from dcron_common.run import RunRecord, RunState, Trigger, cron_key
from tests.unit.app.api_client import NOW, Answer, Api

A_SCRIPT = {
    "executable": base64.b64encode(b"#!/bin/sh\n").decode(),
    "schedule": "* * * * *",
    "type": "script",
}
RUN = "01MCC5RXRG2V2AXWJNEKD7QKCY"
NEXT = "01MCC5RXRG2V2AXWJNEKD7QKCZ"
MINUTE = int(NOW) // 60 * 60


def lay_places(api: Api) -> None:
    """As the leader lays them out for its workers."""
    for worker in ("node1", "node2"):
        for parent in (paths.runs, paths.tasks, paths.kills):
            api.coordinator.ensure(parent(worker))


def fence(api: Api, job_id: int = 1, node: str = "", holder: str | None = "node1") -> str:
    row = api.services.database.read(lambda: Job.get_by_id(job_id))
    path = paths.fence(Slot(job_id, node))
    made = Fence(row.incarnation, 1, holder, row.revision, "active", 0)
    api.coordinator.create(path, made.encode())
    return path


def claim(api: Api, worker: str = "node1", **more: Any) -> str:
    path = paths.claim(worker, Slot(1), cron_key(MINUTE))
    values: dict[str, Any] = {"run_id": RUN, "nonce": "n", "worker": worker, "epoch": 1}
    values |= {"revision": 1, "attempt": 1, "trigger": Trigger.CRON, "claimed_at": NOW}
    api.coordinator.create(path, Claim(**{**values, **more}).encode())
    return path


def row(api: Api, state: RunState = RunState.RUNNING, worker: str = "node1") -> None:
    record = RunRecord(RUN, 1, MINUTE, 1, Trigger.CRON, state, worker=worker, started_at=NOW)
    runs.record_runs(api.services.database, [record], NOW)


def run_now(api: Api, body: object = None, user: str = "admin") -> Answer:
    data = None if body is None else json.dumps(body).encode()
    return api.call("POST", "/jobs/1/runs", data, user=user)


def kill(api: Api, run_id: str = RUN, **more: Any) -> Answer:
    return api.call("POST", f"/jobs/1/runs/{run_id}/kill", **more)


def tasks(api: Api, worker: str = "node1") -> dict[str, Task]:
    parent = paths.tasks(worker)
    names = api.coordinator.children(parent)
    return {name: Task.decode(api.coordinator.get(f"{parent}/{name}").data) for name in names}


def requests(api: Api, worker: str = "node1") -> list[str]:
    return api.coordinator.children(paths.kills(worker))


def audited(api: Api, job_id: int = 1) -> list[tuple[str, str, Any]]:
    """Who asked for which runs and ends, oldest first: user, action, and what was kept of it."""
    rows = audit.page(api.services.database, 100, {"object_id": str(job_id)})
    asked = [one for one in reversed(rows) if one.action in ("run", "kill")]
    return [(one.user, one.action, one.after) for one in asked]
