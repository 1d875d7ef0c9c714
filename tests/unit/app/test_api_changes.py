"""PATCH /jobs/{id}, pause and resume: what is merged, refused, answered, and who may."""

import base64
import json
from typing import Any

import pytest

from dcron_common import paths
from dcron_common.db import editing
from dcron_common.db.models import Audit, Job
from dcron_common.paths import Slot
from dcron_common.protocol import Fence, Notice
from tests.unit.app.api_client import COMMAND, Answer, Api, open_api

SCRIPT = b"#!/bin/sh\necho hello\n"
ENCODED = base64.b64encode(SCRIPT).decode()
A_SCRIPT = {"executable": ENCODED, "schedule": "*/10 * * * *", "type": "script"}
OTHER = base64.b64encode(b"#!/bin/sh\necho other\n").decode()


def patch(api: Api, path: str = "/jobs/1", /, user: str = "admin", **changes: Any) -> Answer:
    return api.call("PATCH", path, json.dumps(changes).encode(), user=user)


def fence(api: Api, job_id: int = 1, node: str = "", **more: Any) -> str:
    """A fence as the leader would have made it."""
    row = api.services.database.read(lambda: Job.get_by_id(job_id))
    path = paths.fence(Slot(job_id, node))
    values = {"epoch": 3, "holder": "node1", "revision": 1, "state": "active", "mark": 0, **more}
    api.coordinator.create(path, Fence(row.incarnation, **values).encode())
    return path


def state(api: Api, path: str) -> tuple[int, str]:
    found = Fence.decode(api.coordinator.get(path).data)
    return (found.revision, found.state)


CHANGES = [
    ("executable", "date"),
    ("schedule", "*/5 * * * *"),
    ("name", "nightly"),
    ("labels", {"tier": "gold"}),
    ("owner", "viewer"),
    ("team", "blue"),
    ("timezone", "Europe/Riga"),
    ("environment", {"A": "1"}),
    ("working_directory", "/srv"),
    ("run_as", "backup"),
    ("concurrency", "replace"),
    ("timeout_seconds", 5),
    ("retries", 7),
    ("retry_delay_seconds", 5),
    ("starting_deadline_seconds", 5),
    ("catch_up", "all"),
    ("on_worker_loss", "fail"),
    ("on_isolation", "run"),
    ("placement", {"labels": {"disk": "ssd"}, "on": "all"}),
    ("limits", {"processes": 3}),
    ("paused", True),
]


@pytest.mark.parametrize(("field", "value"), CHANGES, ids=[name for name, _ in CHANGES])
def test_a_field_is_changed_and_the_others_stay(api: Api, field: str, value: object) -> None:
    before = api.post("/jobs", {**COMMAND, "labels": {"a": "b"}, "limits": {"cpu_percent": 9}}).json
    answer = patch(api, **{field: value})
    assert answer.status == 200, answer.body
    after = answer.json
    assert after[field] == value
    assert after["revision"] == 2
    free = {field, "revision", "next_run_at", "updated_at"}
    assert {k: v for k, v in after.items() if k not in free} == {
        k: v for k, v in before.items() if k not in free
    }
    assert api.get("/jobs/1").json == after


def test_every_field_of_a_post_can_be_given_back(api: Api) -> None:
    shown = api.post("/jobs", {**A_SCRIPT, "filename": "a.sh", "arguments": ["x"]}).json
    read_only = {"id", "status", "revision", "worker", "created_at", "updated_at", "next_run_at"}
    again = {k: v for k, v in shown.items() if k not in {*read_only, "last_run", "sha256"}}
    answer = patch(api, **again)
    assert (answer.status, answer.json) == (200, shown)


@pytest.mark.parametrize("body", [None, b"", b"{}", b'{"retries": 0}', b'{"paused": false}'])
def test_nothing_new_makes_no_revision(api: Api, body: bytes | None) -> None:
    api.post("/jobs", COMMAND)
    before = api.stored() | {"inbox": None}
    answer = api.call("PATCH", "/jobs/1", body)
    assert (answer.status, answer.json["revision"]) == (200, 1)
    assert api.stored() | {"inbox": None} == before


def test_a_new_file_takes_the_place_of_the_old(api: Api) -> None:
    before = api.post("/jobs", {**A_SCRIPT, "filename": "a.sh"}).json
    after = patch(api, executable=OTHER).json
    assert after["sha256"] != before["sha256"]
    assert after["executable"].endswith(after["sha256"])
    assert after["filename"] == "a.sh"
    assert api.get("/jobs/1/executable").body == base64.b64decode(OTHER)


def test_the_address_that_is_shown_stands_for_the_file_that_is_there(api: Api) -> None:
    before = api.post("/jobs", A_SCRIPT).json
    after = patch(api, executable=before["executable"], type="binary").json
    assert (after["type"], after["sha256"]) == ("binary", before["sha256"])


def test_the_address_of_another_jobs_file_is_refused(api: Api) -> None:
    api.post("/jobs", A_SCRIPT)
    other = api.post("/jobs", {**A_SCRIPT, "executable": OTHER}).json
    answer = patch(api, executable=other["executable"])
    assert (answer.status, answer.fields) == (422, ["executable"])


def test_another_type_needs_its_executable(api: Api) -> None:
    api.post("/jobs", COMMAND)
    answer = patch(api, type="script")
    assert (answer.status, answer.fields) == (422, ["type"])
    assert "together with executable" in answer.json["errors"][0]["message"]
    assert patch(api, type="script", executable=ENCODED).json["type"] == "script"
    assert patch(api, type="command", executable="ls").json["sha256"] is None
    assert patch(api, type="command").json["revision"] == 3


REFUSED = [
    ("an id", {"id": "1"}, "id"),
    ("a status", {"status": "scheduled"}, "status"),
    ("a revision", {"revision": 1}, "revision"),
    ("a digest", {"sha256": None}, "sha256"),
    ("an unknown key", {"shedule": "x"}, "shedule"),
    ("no executable", {"executable": None}, "executable"),
    ("no schedule", {"schedule": None}, "schedule"),
    ("no owner", {"owner": None}, "owner"),
    ("a number as a text", {"retries": "3"}, "retries"),
    ("an ill schedule", {"schedule": "61 * * * *"}, "schedule"),
    ("an ill zone", {"timezone": "Mars/Base"}, "timezone"),
    ("a one-shot in the past", {"schedule": "@at 2020-01-01T00:00:00Z"}, "schedule"),
    ("a key below", {"limits": {"disk": 1}}, "limits.disk"),
    ("arguments of a command", {"arguments": ["x"]}, "arguments"),
    ("a secret", {"secrets": ["x"]}, "secrets[0]"),
    ("a newline", {"executable": "ls\nrm"}, "executable"),
    ("paused as a text", {"paused": "yes"}, "paused"),
]


@pytest.mark.parametrize(("what", "body", "field"), REFUSED, ids=[row[0] for row in REFUSED])
def test_a_bad_change_is_named_and_nothing_is_stored(api: Api, what, body, field) -> None:
    api.post("/jobs", COMMAND)
    before = api.stored()
    answer = patch(api, **body)
    assert (answer.status, answer.fields) == (422, [field])
    assert answer.json["errors"][0]["message"].isprintable()
    assert api.stored() == before


def test_a_read_only_key_is_called_so(api: Api) -> None:
    api.post("/jobs", COMMAND)
    assert patch(api, status="error").json["errors"][0]["message"] == "is read-only; leave it out"


def test_a_one_shot_that_is_over_can_be_changed_but_for_its_schedule(api: Api) -> None:
    api.post("/jobs", {**COMMAND, "schedule": "@at 2027-01-15T08:05:00Z"})
    api.time[0] += 3600
    assert patch(api, retries=2).status == 200
    assert patch(api, schedule="@at 2027-01-15T08:05:00Z").status == 200  # as it is
    assert patch(api, schedule="@at 2027-01-15T08:06:00Z").fields == ["schedule"]


def test_a_removed_job_says_so_and_what_to_do(api: Api) -> None:
    api.post("/jobs", COMMAND)
    api.delete("/jobs/1")
    calls = [("PATCH", ""), ("POST", "/pause"), ("POST", "/resume"), ("POST", "/runs")]
    for method, rest in calls:
        answer = api.call(method, f"/jobs/1{rest}", b"{}")
        assert (answer.status, "post it again" in answer.json["detail"]) == (409, True)
        assert answer.headers["Content-Type"] == "application/problem+json"


def test_an_unknown_job_is_404(api: Api) -> None:
    calls = [("PATCH", ""), ("POST", "/pause"), ("POST", "/resume"), ("POST", "/runs")]
    assert [api.call(m, f"/jobs/7{rest}", b"{}").status for m, rest in calls] == [404] * 4


def test_a_taken_name_is_a_conflict(api: Api) -> None:
    api.post("/jobs", {**COMMAND, "name": "nightly"})
    api.post("/jobs", COMMAND)
    answer = patch(api, "/jobs/2", name="nightly")
    assert (answer.status, "nightly" in answer.json["detail"]) == (409, True)


def test_pause_and_resume_are_changes_like_any_other(api: Api) -> None:
    api.post("/jobs", COMMAND)
    paused = api.call("POST", "/jobs/1/pause")
    assert (paused.json["paused"], paused.json["revision"]) == (True, 2)
    assert paused.json["next_run_at"] is None
    assert api.call("POST", "/jobs/1/pause").json["revision"] == 2
    assert api.call("POST", "/jobs/1/resume", b"{}").json["revision"] == 3
    assert api.call("POST", "/jobs/1/resume", b'{"x": 1}').fields == ["x"]


# Revisions


def test_the_revision_is_the_etag(api: Api) -> None:
    assert api.post("/jobs", COMMAND).headers["ETag"] == '"1"'
    assert patch(api, retries=1).headers["ETag"] == '"2"'
    assert api.get("/jobs/1").headers["ETag"] == '"2"'


@pytest.mark.parametrize(
    ("tag", "status"),
    [
        ('"1"', 200),
        ("*", 200),
        ('"7", "1"', 200),
        ('"2"', 412),
        ('W/"1"', 412),
        ('"01"', 412),
        ("1", 400),
        ('"1', 400),
        ("", 400),
    ],
)
def test_if_match_guards_a_change(api: Api, tag: str, status: int) -> None:
    api.post("/jobs", COMMAND)
    headers = {"HTTP_IF_MATCH": tag}
    answer = api.call("PATCH", "/jobs/1", b'{"retries": 4}', headers=headers)
    assert answer.status == status
    assert api.get("/jobs/1").json["retries"] == (4 if status == 200 else 0)
    if status == 412:
        assert answer.headers["ETag"] == '"1"'


def test_a_change_that_is_done_already_needs_no_match(api: Api) -> None:
    """RFC 9110, 13.1.1: it may be a repetition whose first answer was lost."""
    api.post("/jobs", COMMAND)
    for _ in range(2):
        headers = {"HTTP_IF_MATCH": '"1"'}
        answer = api.call("PATCH", "/jobs/1", b'{"retries": 4}', headers=headers)
        assert (answer.status, answer.headers["ETag"]) == (200, '"2"')


def test_a_change_that_others_get_in_before_is_laid_over_theirs(api: Api, monkeypatch) -> None:
    api.post("/jobs", COMMAND)
    update, others = editing.update_job, [{"retries": 1}, {"team": "blue"}]

    def late(*arguments: Any) -> Any:
        if others:
            assert patch(api, **others.pop()).status == 200
        return update(*arguments)

    monkeypatch.setattr(editing, "update_job", late)
    job = patch(api, timeout_seconds=9).json
    assert (job["timeout_seconds"], job["retries"], job["team"]) == (9, 1, "blue")
    assert job["revision"] == 4


# The coordination service


def test_p15_a_change_is_announced_and_every_fence_written_before_the_answer(api: Api) -> None:
    api.post("/jobs", {**COMMAND, "placement": {"on": "all"}})
    mine = [fence(api, node=node) for node in ("node1", "node2")]
    old_place = fence(api)
    other = api.coordinator.create(
        paths.fence(Slot(257)), Fence("another", 1, "node1", 1, "active", 0).encode()
    )
    patch(api, paused=True)
    assert [state(api, path) for path in [*mine, old_place]] == [(2, "paused")] * 3
    assert state(api, other) == (1, "active")
    names = api.coordinator.children(paths.INBOX)
    notices = [api.coordinator.get(f"{paths.INBOX}/{name}").data for name in names]
    assert [Notice.decode(data).revision for data in notices] == [1, 2]
    patch(api, paused=False)
    assert [state(api, path) for path in mine] == [(3, "active")] * 2


def test_p15_a_fence_at_a_later_revision_or_closed_is_left_alone(api: Api) -> None:
    api.post("/jobs", {**COMMAND, "placement": {"on": "all"}})
    later = fence(api, node="node1", revision=9)
    closed = fence(api, node="node2", state="removed")
    patch(api, paused=True)
    assert [state(api, path) for path in (later, closed)] == [(9, "active"), (1, "removed")]


def test_p15_repeating_a_change_that_was_not_fenced_fences_it(api: Api) -> None:
    api.post("/jobs", COMMAND)
    path = fence(api)
    api.ensemble.disconnect(api.coordinator)
    for change in (lambda: patch(api, paused=True), lambda: api.call("POST", "/jobs/1/pause")):
        answer = change()
        assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
        assert "stored" in answer.json["detail"]
        assert "ask again" in answer.json["detail"]
    assert api.get("/jobs/1").json["revision"] == 2
    api.ensemble.reconnect(api.coordinator)
    assert patch(api, paused=True).json["revision"] == 2
    assert state(api, path) == (2, "paused")


# Rights


def test_a_viewer_changes_nothing(api: Api) -> None:
    api.post("/jobs", COMMAND)
    paths_ = [("PATCH", ""), ("POST", "/pause"), ("POST", "/resume"), ("POST", "/runs")]
    paths_.append(("POST", f"/runs/{'0' * 26}/kill"))
    for method, rest in paths_:
        answer = api.call(method, f"/jobs/1{rest}", b"{}", user="viewer")
        assert answer.status == 403
        assert api.call(method, f"/jobs/1{rest}", b"{}", user=None).status == 401


def test_who_may_not_run_as_a_user_changes_no_job_that_does(api: Api) -> None:
    api.post("/jobs", {**COMMAND, "run_as": "root", "owner": "operator"})
    for changes in ({"executable": "id"}, {"schedule": "* * * * *"}, {"name": "x"}):
        answer = patch(api, user="operator", **changes)
        assert (answer.status, answer.fields) == (403, ["run_as"])
    # To stop it is less than to remove it, which operators may.
    assert patch(api, user="operator", paused=True).status == 200
    assert patch(api, user="operator", run_as="dcron-job").status == 200


def test_what_an_admin_has_set_stays_when_an_operator_changes_something_else(api: Api) -> None:
    body = {
        **COMMAND,
        "owner": "operator",
        "team": "blue",
        "environment": {"PATH": "/opt/bin", "A": "1"},
    }
    api.post("/jobs", body)
    job = patch(api, user="operator", retries=3).json
    assert (job["owner"], job["team"], job["retries"]) == ("operator", "blue", 3)
    env = {"PATH": "/opt/bin", "A": "2"}
    assert patch(api, user="operator", environment=env).status == 200
    assert patch(api, user="operator", environment={"PATH": "/tmp"}).fields == ["environment.PATH"]
    assert patch(api, user="operator", owner="bob").fields == ["owner"]
    assert patch(api, user="operator", team="red").fields == ["team"]
    assert patch(api, user="operator", team=None).json["team"] is None


def test_where_one_user_only_can_run_jobs_a_change_keeps_to_it(tmp_path) -> None:
    with open_api(tmp_path, only_run_as="me") as api:
        api.post("/jobs", COMMAND)
        assert patch(api, retries=1).json["run_as"] == "me"
        assert patch(api, run_as="root").fields == ["run_as"]


def test_a_change_is_audited_once_by_its_users_name(api: Api) -> None:
    api.post("/jobs", {**COMMAND, "owner": "operator"})
    before = api.stored()["audit"]
    for _ in range(2):
        patch(api, user="operator", retries=1)
    assert api.stored()["audit"] == before + 1
    last = api.services.database.read(lambda: Audit.select().order_by(Audit.id.desc()).get())
    assert (last.user, last.action) == ("operator", "update")
