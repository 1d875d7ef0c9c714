"""PUT /jobs/{id}: a whole job, and what GET gave taken back."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from dcron_common import paths
from dcron_common.db.models import Job
from dcron_common.paths import Slot
from dcron_common.protocol import Fence
from tests.unit.app.api_client import COMMAND, Answer, Api

ENCODED = base64.b64encode(b"#!/bin/sh\necho hello\n").decode()
OTHER = base64.b64encode(b"#!/bin/sh\necho other\n").decode()
A_SCRIPT = {"executable": ENCODED, "schedule": "*/10 * * * *", "type": "script"}
RICH = {
    **A_SCRIPT,
    "name": "nightly",
    "labels": {"tier": "gold"},
    "owner": "operator",
    "team": "blue",
    "timezone": "Europe/Riga",
    "filename": "a.sh",
    "arguments": ["-v"],
    "environment": {"A": "1"},
    "working_directory": "/srv",
    "concurrency": "replace",
    "timeout_seconds": 5,
    "retries": 3,
    "retry_delay_seconds": 7,
    "starting_deadline_seconds": 9,
    "catch_up": "all",
    "on_worker_loss": "fail",
    "on_isolation": "run",
    "placement": {"labels": {"disk": "ssd"}, "on": "all"},
    "limits": {"processes": 3},
    "paused": True,
}


def put(api: Api, body: Any, path: str = "/jobs/1", **more: Any) -> Answer:
    return api.call("PUT", path, json.dumps(body).encode(), **more)


@pytest.mark.parametrize("body", [COMMAND, A_SCRIPT, RICH], ids=["command", "script", "rich"])
def test_what_get_gave_is_taken_back_and_changes_nothing(api: Api, body: Any) -> None:
    api.post("/jobs", body)
    shown = api.get("/jobs/1").json
    before = api.stored() | {"inbox": None}
    answer = put(api, shown)
    assert (answer.status, answer.json, answer.headers["ETag"]) == (200, shown, '"1"')
    assert api.stored() | {"inbox": None} == before


def test_what_get_gave_is_taken_back_by_an_operator_whom_an_admin_gave_a_root_job(api: Api) -> None:
    api.post(
        "/jobs", {**COMMAND, "run_as": "root", "owner": "operator", "environment": {"PATH": "/x"}}
    )
    shown = api.get("/jobs/1").json
    assert put(api, shown, user="operator").status == 200
    assert put(api, {**shown, "paused": True}, user="operator").status == 200
    shown = api.get("/jobs/1").json
    assert put(api, {**shown, "retries": 1}, user="operator").fields == ["run_as"]


def test_a_job_that_was_got_changed_and_put_is_changed_in_just_that(api: Api) -> None:
    api.post("/jobs", RICH)
    shown = api.get("/jobs/1").json
    after = put(api, {**shown, "retries": 4}).json
    moving = {"retries", "revision", "updated_at"}
    assert after["retries"] == 4
    assert {k: v for k, v in after.items() if k not in moving} == {
        k: v for k, v in shown.items() if k not in moving
    }


def test_what_is_not_given_has_its_default_but_the_job_keeps_its_owner(api: Api) -> None:
    fresh = api.post("/jobs", {**A_SCRIPT, "owner": "operator", "team": "blue"}).json
    api.post("/jobs", RICH)
    after = put(api, A_SCRIPT, "/jobs/2").json
    own = {"id", "revision", "created_at", "updated_at", "next_run_at"}
    assert {k: v for k, v in after.items() if k not in own} == {
        k: v for k, v in fresh.items() if k not in own
    }
    assert put(api, {**A_SCRIPT, "team": None}, "/jobs/2").json["team"] is None


def test_the_address_keeps_the_file_and_a_new_file_replaces_it(api: Api) -> None:
    before = api.post("/jobs", A_SCRIPT).json
    kept = put(api, {**A_SCRIPT, "executable": before["executable"], "retries": 1}).json
    assert (kept["sha256"], kept["retries"]) == (before["sha256"], 1)
    new = put(api, {**kept, "executable": OTHER}).json
    assert new["sha256"] != before["sha256"]
    assert api.get("/jobs/1/executable").body == base64.b64decode(OTHER)


@pytest.mark.parametrize("missing", ["executable", "schedule", "type"])
def test_what_has_no_default_must_be_given(api: Api, missing: str) -> None:
    api.post("/jobs", COMMAND)
    answer = put(api, {k: v for k, v in COMMAND.items() if k != missing})
    assert (answer.status, answer.fields) == (422, [missing])


# What only GET shows


def test_what_moves_by_itself_is_passed_over(api: Api) -> None:
    shown = api.post("/jobs", COMMAND).json
    moved = {"status": "error", "worker": "node7", "next_run_at": None, "updated_at": "x"}
    answer = put(api, {**shown, **moved, "last_run": {"id": "r"}, "retries": 1})
    assert (answer.status, answer.json["status"], answer.json["worker"]) == (200, "scheduled", None)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *[("id", "2"), ("id", 1), ("created_at", "2027-01-01T00:00:00Z"), ("sha256", "0" * 64)],
        *[("revision", True), ("revision", "1"), ("revision", None), ("revision", 1.5)],
    ],
)
def test_the_form_of_another_job_is_refused(api: Api, field: str, value: object) -> None:
    shown = api.post("/jobs", A_SCRIPT).json
    answer = put(api, {**shown, "retries": 1, field: value})
    assert (answer.status, answer.fields) == (422, [field])
    assert api.get("/jobs/1").json["retries"] == 0


def test_the_digest_may_be_that_of_the_new_file(api: Api) -> None:
    shown = api.post("/jobs", A_SCRIPT).json
    other = api.post("/jobs", {**A_SCRIPT, "executable": OTHER}).json
    assert put(api, {**shown, "executable": OTHER, "sha256": other["sha256"]}).status == 200


def test_an_older_revision_in_the_body_does_not_overwrite_another_editor(api: Api) -> None:
    shown = api.post("/jobs", COMMAND).json
    assert put(api, {**COMMAND, "retries": 1}).json["revision"] == 2
    answer = put(api, {**shown, "timeout_seconds": 9})
    assert (answer.status, answer.fields, answer.headers["ETag"]) == (409, ["revision"], '"2"')
    assert api.get("/jobs/1").json["retries"] == 1
    # what is done already may be asked for again
    assert put(api, {**shown, "retries": 1}).json["revision"] == 2


def test_an_unknown_key_is_refused(api: Api) -> None:
    api.post("/jobs", COMMAND)
    assert put(api, {**COMMAND, "statuss": "x"}).fields == ["statuss"]


# As all changes


def test_if_match_guards_a_replacement(api: Api) -> None:
    api.post("/jobs", COMMAND)
    late = put(api, {**COMMAND, "retries": 1}, headers={"HTTP_IF_MATCH": '"2"'})
    assert (late.status, late.headers["ETag"]) == (412, '"1"')
    fine = put(api, {**COMMAND, "retries": 1}, headers={"HTTP_IF_MATCH": '"1"'})
    assert (fine.status, fine.headers["ETag"]) == (200, '"2"')


def test_p15_a_replacement_writes_the_fence_before_the_answer(api: Api) -> None:
    api.post("/jobs", COMMAND)
    row = api.services.database.read(lambda: Job.get_by_id(1))
    path = paths.fence(Slot(1))
    api.coordinator.create(path, Fence(row.incarnation, 3, "node1", 1, "active", 0).encode())
    put(api, {**COMMAND, "paused": True})
    fence = Fence.decode(api.coordinator.get(path).data)
    assert (fence.revision, fence.state) == (2, "paused")


def test_who_may_not_change_a_job_may_not_replace_it(api: Api) -> None:
    api.post("/jobs", COMMAND)
    assert put(api, COMMAND, user="operator").status == 403
    assert put(api, COMMAND, user="viewer").status == 403
    assert put(api, COMMAND, "/jobs/9").status == 404
    api.delete("/jobs/1")
    assert put(api, COMMAND).status == 409


def test_an_operator_replaces_an_own_job_within_the_own_rights(api: Api) -> None:
    api.post("/jobs", COMMAND, user="operator")
    assert put(api, {**COMMAND, "retries": 1}, user="operator").status == 200
    for field, value in (("run_as", "root"), ("owner", "ann"), ("team", "red")):
        answer = put(api, {**COMMAND, field: value}, user="operator")
        assert (answer.status, answer.fields) == (403, [field])
