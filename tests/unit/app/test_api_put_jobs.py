"""PUT /jobs?name=NAME: the job of a name is made, or replaced."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dcron_common.db import jobs
from dcron_common.db.models import Audit
from dcron_common.errors import Conflict
from tests.unit.app.api_client import COMMAND, Answer, Api


def put(api: Api, body: Any, path: str = "/jobs?name=nightly", **more: Any) -> Answer:
    return api.call("PUT", path, json.dumps(body).encode(), **more)


def test_a_name_that_nobody_has_makes_a_job(api: Api) -> None:
    answer = put(api, COMMAND)
    assert (answer.status, answer.headers["Location"]) == (201, "/jobs/1")
    assert (answer.json["name"], answer.headers["ETag"]) == ("nightly", '"1"')
    last = api.services.database.read(lambda: Audit.select().order_by(Audit.id.desc()).get())
    assert (last.user, last.action, last.object_id) == ("admin", "create", "1")


def test_again_it_is_the_same_job_unchanged(api: Api) -> None:
    put(api, COMMAND)
    before = api.stored() | {"inbox": None}
    answer = put(api, {**COMMAND, "name": "nightly"})
    assert (answer.status, answer.json["id"], answer.json["revision"]) == (200, "1", 1)
    assert api.stored() | {"inbox": None} == before


def test_a_name_that_is_taken_replaces_that_job(api: Api) -> None:
    api.post("/jobs", {**COMMAND, "name": "nightly", "retries": 3})
    answer = put(api, {**COMMAND, "timeout_seconds": 9})
    assert (answer.status, answer.json["revision"]) == (200, 2)
    assert (answer.json["retries"], answer.json["timeout_seconds"]) == (0, 9)


def test_the_name_of_a_removed_job_is_free(api: Api) -> None:
    put(api, COMMAND)
    api.delete("/jobs/1")
    assert put(api, COMMAND).json["id"] == "2"


def test_another_name_in_the_body_is_refused(api: Api) -> None:
    assert put(api, {**COMMAND, "name": "other"}).fields == ["name"]


@pytest.mark.parametrize("path", ["/jobs", "/jobs?name=", "/jobs?name=a%0Ab", "/jobs?names=a"])
def test_a_name_must_be_given_and_be_one(api: Api, path: str) -> None:
    before = api.stored()
    assert put(api, COMMAND, path).status == 422
    assert api.stored() == before


def test_what_another_made_meanwhile_is_replaced(api: Api, monkeypatch) -> None:
    find, others = jobs.by_name, [1]

    def late(*arguments: Any) -> Any:
        found = find(*arguments)
        if others:
            others.pop()
            api.post("/jobs", {**COMMAND, "name": "nightly", "retries": 1})
        return found

    monkeypatch.setattr(jobs, "by_name", late)
    answer = put(api, {**COMMAND, "retries": 2})
    assert (answer.status, answer.json["id"], answer.json["retries"]) == (200, "1", 2)


def test_a_conflict_of_something_else_is_told_as_it_is(api: Api, monkeypatch) -> None:
    def gone(*arguments: Any, **more: Any) -> Any:
        raise Conflict("the secret X is gone")

    monkeypatch.setattr(jobs, "insert_job", gone)
    answer = put(api, COMMAND)
    assert (answer.status, answer.json["detail"]) == (409, "the secret X is gone")


def test_if_match_wants_the_job_to_be_there(api: Api) -> None:
    assert put(api, COMMAND, headers={"HTTP_IF_MATCH": "*"}).status == 412
    assert api.stored()["jobs"] == 0
    put(api, COMMAND)
    new = {**COMMAND, "retries": 1}
    assert put(api, new, headers={"HTTP_IF_MATCH": '"7"'}).status == 412
    assert put(api, new, headers={"HTTP_IF_MATCH": '"1"'}).status == 200


def test_a_job_of_another_user_is_not_replaced(api: Api) -> None:
    put(api, COMMAND)
    assert put(api, {**COMMAND, "retries": 1}, user="operator").status == 403
    assert put(api, COMMAND, "/jobs?name=other", user="operator").json["owner"] == "operator"
    assert put(api, COMMAND, "/jobs?name=third", user="viewer").status == 403


def test_what_get_gave_is_taken_back_by_name(api: Api) -> None:
    shown = put(api, COMMAND).json
    assert put(api, shown).json == shown
    api.delete("/jobs/1")
    answer = put(api, shown)  # there is no job any more that it could be the form of
    assert answer.status == 422
    assert "id" in answer.fields
