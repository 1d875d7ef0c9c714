"""What a request cannot do, whatever route it is sent to: routes that come later are asked too."""

from __future__ import annotations

import base64
import json
import re
from typing import Any

import pytest

from dcron_app.api.app import all_routes
from dcron_app.api.routes import Access, Route
from tests.unit.app.api_client import COMMAND, Api

VALUES = {
    **{"job_id": "1", "run_id": "0" * 26, "worker": "node1", "user": "admin", "token_id": "1"},
    **{"secret": "NAME", "file": "api.html"},
}
STEERING = ["LD_PRELOAD", "PATH", "HOME", "BASH_ENV", "PYTHONPATH", "GIT_SSH_COMMAND", "PAGER"]


def path(route: Route) -> str:
    """An address that the route takes, with what its query must have."""
    fields = route.query.model_fields if route.query is not None else {}
    needed = [f"{one.alias or name}=1" for name, one in fields.items() if one.is_required()]
    return "?".join([route.path.format(**VALUES), *(["&".join(needed)] if needed else [])])


def test_an_unknown_key_in_a_body_is_refused_wherever_it_is_sent(api: Api) -> None:
    api.post("/jobs", COMMAND)
    before, looked = api.stored(), 0
    for route in all_routes(api.services):
        if route.body is None:
            continue
        looked += 1
        answer = api.call(route.method, path(route), json.dumps({"zq_unknown": 1}).encode())
        assert answer.status in (404, 422), (route.path, answer.body)
        assert answer.status == 404 or "zq_unknown" in answer.fields, route.path
    assert looked >= 3
    assert api.stored() == before


def test_an_unknown_key_in_a_query_is_refused_wherever_it_is_sent(api: Api) -> None:
    api.post("/jobs", COMMAND)
    before = api.stored()
    for route in all_routes(api.services):
        data = b"{}" if route.body is not None else None
        address = path(route) + ("&" if "?" in path(route) else "?")
        answer = api.call(route.method, f"{address}zq_unknown=1", data)
        assert answer.status == 422, (route.path, answer.body)
        assert "zq_unknown" in answer.fields, route.path
    assert api.stored() == before


def test_a_secret_is_not_stored_by_who_only_wants_to_try_it(api: Api) -> None:
    answer = api.put("/secrets/AB?dry_run=true", {"value": "x"})
    assert (answer.status, answer.fields) == (422, ["dry_run"])
    assert api.get("/secrets/AB").status == 404


def test_without_the_right_token_nothing_is_told_or_done_wherever_it_is_sent(api: Api) -> None:
    """Another's, one that is nobody's, one of another form, and none: all alike."""
    api.post("/jobs", COMMAND)
    before = api.stored()
    good = api.tokens["admin"]
    wrong = [
        None,
        "",
        good[:-1],
        good + "A",
        good.upper(),
        f"{good} {good}",
        f"{good},x",
        "x" * 300,
    ]
    for route in all_routes(api.services):
        if route.access is Access.PUBLIC:
            continue
        for token in wrong:
            answer = api.call(route.method, path(route), b"{}", user=token)
            assert answer.status == 401, (route.path, token)
            assert set(answer.json) == {"type", "title", "status", "detail", "errors"}
    assert api.stored() == before


def test_a_token_is_read_nowhere_but_in_its_header(api: Api) -> None:
    good = api.tokens["admin"]
    for headers in ({"HTTP_COOKIE": f"token={good}"}, {"HTTP_X_AUTHORIZATION": f"Bearer {good}"}):
        assert api.get("/jobs", user=None, headers=headers).status == 401
    assert api.get(f"/jobs?token={good}&access_token={good}", user=None).status == 401
    body = json.dumps({**COMMAND, "token": good}).encode()
    assert api.call("POST", "/jobs", body, user=None).status == 401


@pytest.mark.parametrize("name", STEERING)
def test_environment_that_steers_loaders_is_refused_to_who_is_no_admin(api: Api, name: str) -> None:
    body = {**COMMAND, "environment": {name: "/tmp/x"}}
    made = api.post("/jobs", body, user="operator")
    assert (made.status, made.fields) == (403, [f"environment.{name}"])
    job = api.post("/jobs", COMMAND, user="operator").json["id"]
    change = json.dumps({"environment": {name: "/tmp/x"}}).encode()
    assert api.call("PATCH", f"/jobs/{job}", change, user="operator").status == 403
    assert api.get(f"/jobs/{job}").json["environment"] == {}


def test_environment_that_steers_nothing_is_set_by_everybody(api: Api) -> None:
    environment = {"TZ": "UTC", "LANG": "C", "TMPDIR": "/tmp", "http_proxy": "http://x"}
    environment |= {"NODE_ENV": "production", "PYTHONUNBUFFERED": "1", "MAVEN_PASSWORD": "x"}
    made = api.post("/jobs", {**COMMAND, "environment": environment}, user="operator")
    assert (made.status, made.json["environment"]) == (201, environment)


def test_environment_that_dcron_sets_itself_is_refused_to_everybody(api: Api) -> None:
    for name in ("DCRON_EPOCH", "DCRON_JOB_ID", "DCRON_X"):
        answer = api.post("/jobs", {**COMMAND, "environment": {name: "7"}}, user="admin")
        assert answer.status == 422


@pytest.mark.parametrize("run_as", ["root", "backup", "dcron-app"])
def test_run_as_another_than_the_users_own_is_refused_by_every_way(api: Api, run_as: str) -> None:
    """An operator may run as dcron-job only: no job is made, changed or run as somebody else."""
    body = {**COMMAND, "run_as": run_as}
    assert api.post("/jobs", body, user="operator").status == 403
    own = api.post("/jobs", COMMAND, user="operator").json["id"]
    change = json.dumps({"run_as": run_as}).encode()
    assert api.call("PATCH", f"/jobs/{own}", change, user="operator").status == 403
    script = {"type": "script", "executable": base64.b64encode(b"#!/bin/sh\n").decode()}
    given = api.post("/jobs", {**body, **script, "owner": "operator"}, user="admin").json["id"]
    for change in (
        {"executable": base64.b64encode(b"#!/bin/sh\nid\n").decode()},
        {"schedule": "@daily"},
        {"arguments": ["x"]},
    ):
        data = json.dumps(change).encode()
        assert api.call("PATCH", f"/jobs/{given}", data, user="operator").status == 403
    assert api.post(f"/jobs/{given}/runs", {"arguments": ["x"]}, user="operator").status == 403
    assert api.get(f"/jobs/{given}").json["revision"] == 1


def test_run_as_has_no_other_spelling_of_root(api: Api) -> None:
    for spelling in (
        "Root",
        "ROOT",
        "root ",
        " root",
        "root\0",
        "0",
        "#0",
        "roo\u0074\u200b",
        "+0",
    ):
        answer = api.post("/jobs", {**COMMAND, "run_as": spelling}, user="operator")
        assert (answer.status, answer.fields) == (422, ["run_as"])


@pytest.mark.parametrize(
    "name",
    ["../x", "..", ".", "/etc/passwd", "a/b", "a\\b", "..\\x", "~/x/y", "a\0", "a\n", "\x1b[2Jx"],
)  # fmt: skip
def test_a_file_name_that_is_a_path_or_no_text_is_refused(api: Api, name: str) -> None:
    script = {"type": "script", "executable": base64.b64encode(b"#!/bin/sh\n").decode()}
    before = api.stored()
    answer = api.post("/jobs", {**COMMAND, **script, "filename": name})
    assert (answer.status, answer.fields) == (422, ["filename"])
    assert api.stored() == before


def test_a_file_is_stored_under_a_name_that_no_user_chose(api: Api) -> None:
    script = {"type": "script", "executable": base64.b64encode(b"#!/bin/sh\n").decode()}
    api.post("/jobs", {**COMMAND, **script, "filename": "passwd", "name": "evil"})
    (stored,) = api.stored()["files"]
    assert re.fullmatch(r"[0-9a-f]{64}", stored.rpartition("/")[2])


@pytest.mark.parametrize("field", ["name", "owner", "team", "filename"])
@pytest.mark.parametrize(
    "text",
    ["\x1b[31mred", "a\x07", "a\x9b2J", "a\rb", "a\x08b", "a\u202eb", "a\u2066b", "a\u200bb",
     "\ufeffa"],
)  # fmt: skip
def test_a_name_that_would_act_on_a_terminal_is_refused(api: Api, field: str, text: str) -> None:
    """Control characters, and those that turn the direction of text or cannot be seen."""
    script = {"type": "script", "executable": base64.b64encode(b"#!/bin/sh\n").decode()}
    answer = api.post("/jobs", {**COMMAND, **script, field: text})
    assert (answer.status, answer.fields) == (422, [field])


def test_a_refusal_repeats_no_control_character(api: Api) -> None:
    hostile = "\x1b]0;owned\x07\u202e"
    bodies: list[dict[str, Any]] = [
        {**COMMAND, hostile: 1},
        {**COMMAND, "name": hostile},
        {**COMMAND, "environment": {hostile: "x"}},
        {**COMMAND, "limits": {hostile: 1}},
        {**COMMAND, "timezone": hostile},
        {**COMMAND, "schedule": hostile},
    ]
    for body in bodies:
        answer = api.post("/jobs", body)
        assert answer.status == 422
        told = [
            answer.json["detail"],
            *(text for e in answer.json["errors"] for text in e.values()),
        ]
        assert all(text.isprintable() for text in told), told
