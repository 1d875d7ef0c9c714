"""Answers look as `shapes` says: to every route that only reads, and to a sample of the others."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

import pytest
from pydantic import TypeAdapter
from pydantic import ValidationError as PydanticError

from dcron_app.api.app import all_routes
from dcron_app.api.routes import Route
from dcron_app.api.shapes import JobShape, ProblemShape
from dcron_common import paths
from dcron_common.db import runs, workers
from dcron_common.db.models import Job
from dcron_common.ids import ulid
from dcron_common.paths import Slot
from dcron_common.protocol import Fence, Registration
from dcron_common.run import RunRecord, RunState, Trigger
from tests.unit.app.api_client import COMMAND, NOW, Answer, Api

RUN = ulid(NOW)
# Of what is there. A parameter that is not here is of a route that finds nothing: 404.
HERE = {"job_id": "1", "run_id": RUN, "worker": "node1", "user": "admin", "token_id": "1"}
NOT_HERE = {"secret": "NOT_THERE", "file": "api.html"}
QUERIES = {"/schedule": "?expression=@daily"}
SCRIPT = {
    "executable": base64.b64encode(b"#!/bin/sh\n").decode(),
    "schedule": "@at 2036-12-01T03:00:00Z",
    "type": "script",
    "labels": {"a": "b"},
    "limits": {"memory_bytes": 2**24},
    "placement": {"labels": {"rack": "a"}, "on": "all"},
}
SAMPLE: list[tuple[str, str, Mapping[str, Any] | None]] = [
    ("POST", "/jobs", SCRIPT),
    ("PATCH", "/jobs/{job_id}", {"paused": True}),
    ("POST", "/jobs/{job_id}/pause", None),
    ("POST", "/jobs/{job_id}/resume", None),
    ("POST", "/jobs/{job_id}/runs", None),
    ("POST", "/workers/{worker}/drain", None),
    ("POST", "/workers/{worker}/resume", None),
    ("DELETE", "/jobs/{job_id}", None),
]


@pytest.fixture(autouse=True)
def _filled(api: Api) -> None:
    """A job with a run, and the worker that holds it."""
    api.post("/jobs", COMMAND)
    database = api.services.database
    node = Registration("node1", "boot", "s", "10.0.0.1", {"rack": "a"}, 10, "0.1.0", 0)
    workers.save_seen(database, {"node1": node}, NOW)
    record = RunRecord(RUN, 1, int(NOW) // 60 * 60, 1, Trigger.CRON, RunState.FAILED, "node1")
    runs.record_runs(database, [record], NOW)
    for parent in (paths.runs, paths.tasks, paths.kills):
        api.coordinator.ensure(parent("node1"))
    row = database.read(lambda: Job.get_by_id(1))
    fence = Fence(row.incarnation, 1, "node1", row.revision, "active", 0)
    api.coordinator.create(paths.fence(Slot(1)), fence.encode())


def asked(api: Api, route: Route, body: object = None) -> Answer:
    path = route.path.format(**HERE, **NOT_HERE) + QUERIES.get(route.path, "")
    return api.call(route.method, path, None if body is None else json.dumps(body).encode())


def check(route: Route, answer: Answer) -> bool:
    """Whether there was something to look at: JSON of the shape that goes with the status."""
    assert answer.status in route.answers, (route.path, answer.status, answer.body)
    shape = route.answers[answer.status]
    if shape is None or isinstance(shape, str):
        return False
    TypeAdapter(shape).validate_json(answer.body)
    return True


def test_every_answer_to_a_reader_has_its_shape(api: Api) -> None:
    looked = set()
    for route in all_routes(api.services):
        if route.method == "GET":
            answer = asked(api, route)
            if answer.status != 404 and check(route, answer):
                looked.add(route.path)
    expected = {"/jobs", "/jobs/{job_id}", "/jobs/{job_id}/runs", "/jobs/{job_id}/ledger"}
    expected |= {"/jobs/{job_id}/runs/{run_id}", "/workers", "/schedule", "/health/ready"}
    assert expected <= looked


def test_answers_to_what_is_done_have_their_shape(api: Api) -> None:
    routes = {(route.method, route.path): route for route in all_routes(api.services)}
    for method, path, body in SAMPLE:
        assert check(routes[method, path], asked(api, routes[method, path], body))


def test_a_refusal_has_the_shape_of_a_problem(api: Api) -> None:
    for answer in (api.get("/jobs", user=None), api.get("/x"), api.post("/jobs", {"id": "7"})):
        TypeAdapter(ProblemShape).validate_json(answer.body)


def test_a_shape_refuses_what_it_does_not_describe(api: Api) -> None:
    job = api.get("/jobs/1").json
    TypeAdapter(JobShape).validate_python(job)
    for changed in ({**job, "more": 1}, {**job, "status": "well"}, {**job, "retries": "many"}):
        with pytest.raises(PydanticError):
            TypeAdapter(JobShape).validate_python(changed)
