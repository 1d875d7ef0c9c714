"""Asking the API of a world for changes, runs and ends, and what stands there afterwards."""

from __future__ import annotations

import base64
import json
from typing import Any

from dcron_common import paths
from dcron_common.paths import Slot
from dcron_common.protocol import Fence
from dcron_common.run import RunRecord
from dcron_worker.runner.model import Started
from tests.in_process.world import Node, World
from tests.unit.app.api_client import Api

JOB = {"executable": "old", "schedule": "* * * * *", "type": "command"}
YEARLY = {**JOB, "schedule": "0 0 1 1 *"}
SCRIPT = {**YEARLY, "type": "script", "executable": base64.b64encode(b"#!/bin/sh\n").decode()}


def made(api: Api, body: dict[str, Any]) -> int:
    answer = api.post("/jobs", body)
    assert answer.status == 201, answer.body
    return int(answer.json["id"])


def patch(api: Api, job: int, **changes: Any) -> None:
    answer = api.call("PATCH", f"/jobs/{job}", json.dumps(changes).encode())
    assert answer.status == 200, answer.body


def run_now(api: Api, job: int, body: Any = None) -> str:
    answer = api.post(f"/jobs/{job}/runs", {} if body is None else body)
    assert answer.status == 202, answer.body
    return str(answer.json["run_id"])


def kill(api: Api, job: int, run_id: str) -> int:
    return api.call("POST", f"/jobs/{job}/runs/{run_id}/kill").status


def fence(world: World, job: int, node: str = "") -> Fence:
    return Fence.decode(world.app.get(paths.fence(Slot(job, node))).data)


def fences(world: World, job: int) -> list[str]:
    shard = paths.fence(Slot(job)).rpartition("/")[0]
    return [name for name in world.app.children(shard) if Slot.parse(name).job_id == job]


def below(world: World, root: str) -> list[str]:
    """Everything that stands below workers' names there."""
    return [
        name
        for worker in world.app.children(root)
        for name in world.app.children(f"{root}/{worker}")
    ]


def told(world: World, node: Node) -> str:
    """The newest launch is reported as running; its run id."""
    run_id = node.processes.launched[-1].run_id
    node.inbox.put(Started(run_id, 1, world.time.now))
    world.turn()
    return run_id


def commands(node: Node) -> list[str]:
    return [launch.argv[2] for launch in node.processes.launched]


def summary(rows: list[RunRecord]) -> list[tuple[int, str, str]]:
    return [(row.attempt, row.trigger.value, row.state.value) for row in rows]


def nothing_is_left(world: World) -> bool:
    return not any(below(world, root) for root in (paths.RUNS, paths.TASKS, paths.KILLS))
