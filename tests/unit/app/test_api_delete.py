"""DELETE /jobs/{id} under If-Match."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dcron_common.db import jobs
from tests.unit.app.api_client import COMMAND, Api


@pytest.mark.parametrize(
    ("tag", "status"), [('"1"', 200), ("*", 200), ('"2"', 412), ('W/"1"', 412), ("1", 400)]
)
def test_if_match_guards_a_removal(api: Api, tag: str, status: int) -> None:
    api.post("/jobs", COMMAND)
    answer = api.delete("/jobs/1", headers={"HTTP_IF_MATCH": tag})
    assert answer.status == status
    assert (api.get("/jobs/1").json["status"] == "finished") is (status == 200)
    if status == 200:
        assert answer.headers["ETag"] == '"2"'


def test_a_removal_that_is_done_already_needs_no_match(api: Api) -> None:
    api.post("/jobs", COMMAND)
    for _ in range(2):
        answer = api.delete("/jobs/1", headers={"HTTP_IF_MATCH": '"1"'})
        assert (answer.status, answer.headers["ETag"]) == (200, '"2"')


def test_a_change_that_gets_in_between_keeps_the_job(api: Api, monkeypatch) -> None:
    api.post("/jobs", COMMAND)
    remove, others = jobs.remove_job, [{"retries": 1}]

    def late(*arguments: Any, **more: Any) -> Any:
        if others:
            api.call("PATCH", "/jobs/1", json.dumps(others.pop()).encode())
        return remove(*arguments, **more)

    monkeypatch.setattr(jobs, "remove_job", late)
    assert api.delete("/jobs/1", headers={"HTTP_IF_MATCH": '"1"'}).status == 412
    assert api.get("/jobs/1").json["status"] == "scheduled"
    others.append({"retries": 2})
    assert api.delete("/jobs/1").status == 200


def test_who_loses_a_job_in_between_does_not_remove_it(api: Api, monkeypatch) -> None:
    api.post("/jobs", COMMAND, user="operator")
    remove, others = jobs.remove_job, [{"owner": "admin"}]

    def late(*arguments: Any, **more: Any) -> Any:
        if others:
            api.call("PATCH", "/jobs/1", json.dumps(others.pop()).encode())
        return remove(*arguments, **more)

    monkeypatch.setattr(jobs, "remove_job", late)
    assert api.delete("/jobs/1", user="operator").status == 403
    assert api.get("/jobs/1").json["status"] == "scheduled"


def dry(api: Api, **more: Any) -> Any:
    return api.delete("/jobs/1?dry_run=true", **more)


def test_a_removal_can_be_tried_and_does_nothing(api: Api) -> None:
    api.post("/jobs", {**COMMAND, "name": "nightly"}, user="operator")
    api.time[0] += 60
    before, shown = api.stored(), api.get("/jobs/1").json
    planned = dry(api, user="operator")
    assert (planned.status, planned.json["status"], planned.headers["ETag"]) == (
        *(200, "finished"),
        '"1"',
    )
    assert api.stored() == before
    assert api.get("/jobs/1").json == shown
    assert planned.json == api.delete("/jobs/1", user="operator").json
    again = dry(api, user="operator")
    assert (again.status, again.json["revision"], again.headers["ETag"]) == (200, 2, '"2"')


def test_a_removal_that_would_be_refused_is_refused_when_it_is_tried(api: Api) -> None:
    api.post("/jobs", COMMAND)
    assert dry(api, user="operator").status == 403
    assert dry(api, user="viewer").status == 403
    assert dry(api, headers={"HTTP_IF_MATCH": '"2"'}).status == 412
    assert dry(api, headers={"HTTP_IF_MATCH": '"1"'}).status == 200
    assert api.delete("/jobs/7?dry_run=true").status == 404
    assert api.delete("/jobs/1?dry_run=yes").fields == ["dry_run"]
    assert api.get("/jobs/1").json["status"] == "scheduled"


def test_the_audit_keeps_the_job_as_it_was_before_its_removal(api: Api) -> None:
    api.post("/jobs", COMMAND)
    api.delete("/jobs/1")
    (row,) = api.get("/audit?action=delete").json
    assert (row["before"]["revision"], row["before"]["status"]) == (1, "scheduled")
    assert row["before"]["removed_at"] is None
