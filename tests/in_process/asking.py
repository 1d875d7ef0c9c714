"""Asking the API of a world for changes, runs and ends, and what stands there afterwards."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dcron_app.api.services import Services, Settings
from dcron_common import paths
from dcron_common.db import tokens, users
from dcron_common.object_store.directory import DirectoryStore
from dcron_common.paths import Slot
from dcron_common.protocol import Fence
from dcron_common.run import RunRecord
from dcron_worker.runner.model import Started
from tests.in_process.world import START, Node, World
from tests.unit.app.api_client import Api

JOB = {"executable": "old", "schedule": "* * * * *", "type": "command"}
YEARLY = {**JOB, "schedule": "0 0 1 1 *"}
SCRIPT = {**YEARLY, "type": "script", "executable": base64.b64encode(b"#!/bin/sh\n").decode()}


@contextmanager
def api_on(
    world: World, folder: Path, people: Sequence[tuple[str, users.Role, list[str]]]
) -> Iterator[Api]:
    """The API on the world, with a session of its own. `folder` holds its objects; `people` are
    names, roles and the OS users that jobs may run as, each with a token by the role's name."""
    session = world.ensemble.session()
    session.start(1)
    opened: dict[str, str] = {}
    for name, role, os_users in people:
        users.add_user(world.database, name, role, [], os_users, START, "test")
        token = tokens.add_token(world.database, name, "test", None, START, "test")
        opened[role.value] = token.text
    services = Services(
        world.database,
        session,
        DirectoryStore(folder),
        world.time.clock(),
        Settings(),
        ring=world.ring,
    )
    yield Api(services, world.ensemble, session, folder, [], opened)
    session.stop()


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
