"""?dry_run=true on POST, PUT and PATCH: all is checked, nothing is stored."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from dcron_common import paths
from dcron_common.db.models import Idempotency
from tests.unit.app.api_client import COMMAND, Api

SCRIPT = {
    "executable": base64.b64encode(b"#!/bin/sh\n").decode(),
    "schedule": "@daily",
    "type": "script",
}
WAYS = [
    ("POST", "/jobs?dry_run=true"),
    ("PUT", "/jobs?name=new&dry_run=true"),
    ("PUT", "/jobs?name=there&dry_run=true"),
    ("PUT", "/jobs/1?dry_run=true"),
    ("PATCH", "/jobs/1?dry_run=true"),
]


def call(api: Api, way: tuple[str, str], body: Any, **more: Any) -> Any:
    return api.call(*way, json.dumps(body).encode(), **more)


@pytest.fixture
def there(api: Api) -> Api:
    api.post("/jobs", {**COMMAND, "name": "there"})
    api.post("/jobs", {**COMMAND, "name": "second"})
    api.time[0] += 60
    return api


@pytest.mark.parametrize("way", WAYS)
def test_nothing_is_stored_announced_or_audited(there: Api, way: tuple[str, str]) -> None:
    before = there.stored()
    answer = call(there, way, {**SCRIPT, "retries": 5})
    assert (answer.status, answer.json["retries"]) == (200, 5)
    assert answer.json["sha256"] is not None
    assert answer.json["executable"].endswith(answer.json["sha256"])
    assert there.stored() == before
    assert len(there.coordinator.children(paths.INBOX)) == 2


@pytest.mark.parametrize(("way", "paused"), [("pause", True), ("resume", False)])
def test_a_pause_can_be_tried(there: Api, way: str, paused: bool) -> None:
    known = there.patch("/jobs/1", {"paused": not paused}).json["revision"]
    before = there.stored()
    answer = there.call("POST", f"/jobs/1/{way}?dry_run=true")
    assert (answer.json["paused"], answer.json["revision"]) == (paused, known + 1)
    assert answer.headers["ETag"] == f'"{known}"'
    assert there.stored() == before


def test_a_job_that_would_be_made_is_shown_without_an_id(there: Api) -> None:
    planned = call(there, WAYS[0], COMMAND)
    made = there.post("/jobs", COMMAND)
    assert planned.json == {**made.json, "id": None}
    assert "ETag" not in planned.headers
    assert "Location" not in planned.headers


@pytest.mark.parametrize("way", WAYS[3:])
def test_a_change_is_shown_as_it_would_be_with_the_etag_of_what_is_there(there, way) -> None:
    body = {**COMMAND, "name": "there", "schedule": "@hourly"}
    planned = call(there, way, body)
    assert (planned.json["revision"], planned.headers["ETag"]) == (2, '"1"')
    method, path = way[0], way[1].partition("?")[0]
    headers = {"HTTP_IF_MATCH": planned.headers["ETag"]}
    assert planned.json == call(there, (method, path), body, headers=headers).json


def test_nothing_new_is_shown_as_it_is(there: Api) -> None:
    shown = there.get("/jobs/1").json
    assert call(there, WAYS[3], shown).json == shown
    assert call(there, WAYS[4], {}).json == shown


@pytest.mark.parametrize("way", [WAYS[0], *WAYS[3:]])
def test_a_name_that_is_taken_is_a_conflict(there: Api, way: tuple[str, str]) -> None:
    answer = call(there, way, {**COMMAND, "name": "second"})
    assert (answer.status, "second" in answer.json["detail"]) == (409, True)


@pytest.mark.parametrize("way", WAYS)
def test_the_schedule_and_the_rights_are_checked(there: Api, way: tuple[str, str]) -> None:
    assert call(there, way, {**COMMAND, "schedule": "61 * * * *"}).fields == ["schedule"]
    assert call(there, way, COMMAND, user="viewer").status == 403
    answer = call(there, way, {**COMMAND, "run_as": "root"}, user="operator")
    assert answer.status == 403


@pytest.mark.parametrize("way", WAYS[2:])
def test_if_match_is_checked(there: Api, way: tuple[str, str]) -> None:
    answer = call(there, way, {**COMMAND, "retries": 1}, headers={"HTTP_IF_MATCH": '"9"'})
    assert answer.status == 412


@pytest.mark.parametrize("way", WAYS)
def test_a_word_that_is_neither_true_nor_false_is_refused(there, way: tuple[str, str]) -> None:
    answer = call(there, (way[0], way[1].replace("=true", "=yes")), COMMAND)
    assert answer.fields == ["dry_run"]


def test_it_works_while_zookeeper_is_away(there: Api) -> None:
    there.ensemble.disconnect(there.coordinator)
    assert [
        call(there, way, COMMAND | {"name": None} if "name=" not in way[1] else COMMAND).status
        for way in WAYS
    ] == [200] * 5


def test_a_key_is_not_used_up(there: Api) -> None:
    call(there, WAYS[0], COMMAND, headers={"HTTP_IDEMPOTENCY_KEY": '"k"'})
    assert there.services.database.read(lambda: Idempotency.select().count()) == 0
