"""Arguments that somebody gave are run only as the OS user that the job had when they were given.

Real: the API over WSGI, election, placement, fences, claims, records. See `world.py`.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dcron_common.db import users
from tests.in_process.asking import api_on
from tests.in_process.world import World
from tests.unit.app.api_client import Api

SCRIPT = {
    "executable": base64.b64encode(b"#!/bin/sh\n").decode(),
    "schedule": "0 0 1 1 *",
    "type": "script",
    "run_as": "web",
}


@pytest.fixture
def api(world: World, tmp_path: Path) -> Iterator[Api]:
    """The API on the world: ann is an admin, oskar an operator who may run as `web` only."""
    people = [
        ("ann", users.Role.ADMIN, ["*", "root"]),
        ("oskar", users.Role.OPERATOR, ["web"]),
    ]
    with api_on(world, tmp_path / "objects", people) as opened:
        yield opened


def made(world: World, api: Api, **more: Any) -> int:
    answer = api.post("/jobs", {**SCRIPT, "owner": "oskar", **more})
    assert answer.status == 201, answer.body
    world.go(10)
    return int(answer.json["id"])


def ask(api: Api, job: int, body: object) -> str:
    data = json.dumps(body).encode()
    answer = api.call("POST", f"/jobs/{job}/runs", data, user="operator")
    assert answer.status == 202, answer.body
    return str(answer.json["run_id"])


def give_to_root(api: Api, job: int) -> None:
    body = json.dumps({"run_as": "root"}).encode()
    assert api.call("PATCH", f"/jobs/{job}", body).status == 200


def ends(world: World, job: int) -> list[tuple[int, str]]:
    return [(row.attempt, row.state.value) for row in world.rows(job)]


def test_a_run_that_waits_is_skipped_once_its_job_is_roots(world: World, api: Api) -> None:
    node = world.add("a")
    job = made(world, api)
    run_id = ask(api, job, {"arguments": ["--mine"]})
    give_to_root(api, job)
    world.until(lambda: bool(world.rows(job)))
    (row,) = world.rows(job)
    assert (row.run_id, row.state.value, node.processes.launched) == (run_id, "skipped", [])
    assert "while the job ran as web, and the job runs as root by now" in str(row.reason)
    ask_as_admin = api.post(f"/jobs/{job}/runs", {"arguments": ["--new"]})
    assert ask_as_admin.status == 202
    world.until(lambda: bool(node.processes.launched))
    assert node.processes.launched[0].argv[-1] == "--new"  # the job is free


def test_a_run_that_waits_gets_no_secret_that_its_job_was_given_since(
    world: World, api: Api
) -> None:
    node = world.add("a")
    job = made(world, api)
    ask(api, job, {"arguments": ["--dump-env"]})
    kept = api.call("PUT", "/secrets/ADMIN_ONLY", json.dumps({"value": "planted"}).encode())
    assert kept.status == 201, kept.body
    body = json.dumps({"secrets": ["ADMIN_ONLY"]}).encode()
    assert api.call("PATCH", f"/jobs/{job}", body).status == 200
    world.until(lambda: bool(world.rows(job)))
    assert (ends(world, job), node.processes.launched) == ([(1, "skipped")], [])
    assert "before the job had the secrets ADMIN_ONLY" in str(world.rows(job)[0].reason)
    assert api.post(f"/jobs/{job}/runs", {"arguments": ["--new"]}).status == 202
    world.until(lambda: bool(node.processes.launched))
    assert node.processes.launched[0].environment["ADMIN_ONLY"] == "planted"


def test_a_run_without_arguments_of_its_own_is_the_jobs_as_it_is(world: World, api: Api) -> None:
    node = world.add("a")
    job = made(world, api, arguments=["usual"])
    ask(api, job, {})
    give_to_root(api, job)
    world.until(lambda: bool(node.processes.launched))
    assert node.processes.launched[0].argv[-1] == "usual"


def test_a_retry_is_skipped_once_its_job_is_roots(world: World, api: Api) -> None:
    node = world.add("a")
    job = made(world, api, retries=1, retry_delay_seconds=60)
    ask(api, job, {"arguments": ["--mine"]})
    world.until(lambda: bool(node.processes.launched))
    node.end("failed", 1)
    world.turn()
    give_to_root(api, job)
    world.go(90)
    world.until(lambda: len(world.rows(job)) == 2)
    assert ends(world, job) == [(1, "failed"), (2, "skipped")]
    assert len(node.processes.launched) == 1


def test_a_retry_whose_job_is_as_it_was_is_started(world: World, api: Api) -> None:
    node = world.add("a")
    job = made(world, api, retries=1, retry_delay_seconds=60)
    ask(api, job, {"arguments": ["--mine"]})
    world.until(lambda: bool(node.processes.launched))
    node.end("failed", 1)
    world.turn()
    assert api.call("PATCH", f"/jobs/{job}", b'{"timeout_seconds": 5}').status == 200
    world.go(90)
    world.until(lambda: len(node.processes.launched) == 2)
    assert node.processes.launched[1].timeout_seconds == 5


def test_a_resumed_run_is_skipped_once_its_job_is_roots(world: World, api: Api) -> None:
    world.add("a")
    world.add("b")
    job = made(world, api)
    ask(api, job, {"arguments": ["--mine"]})
    (holder,) = world.holders(job)
    first = world.nodes[holder]
    world.until(lambda: bool(first.processes.launched))
    world.lose(holder)
    give_to_root(api, job)
    world.go(30)
    (other,) = world.nodes.values()
    world.until(lambda: len(world.rows(job)) == 2)
    assert ends(world, job) == [(1, "lost"), (2, "skipped")]
    assert other.processes.launched == []


def test_a_run_that_moves_is_skipped_once_its_job_is_roots(world: World, api: Api) -> None:
    world.add("a")
    world.add("b")
    job = made(world, api)
    (holder,) = world.holders(job)
    world.lose(holder)
    ask(api, job, {"arguments": ["--mine"]})  # the fence still names the worker that is gone
    give_to_root(api, job)
    world.go(30)
    (other,) = world.nodes.values()
    world.until(lambda: bool(world.rows(job)))
    assert ends(world, job) == [(1, "skipped")]
    assert other.processes.launched == []
