"""/audit."""

from __future__ import annotations

import re

import pytest
from pydantic import TypeAdapter

from dcron_app.api.accounts import AuditShape
from tests.unit.app.api_client import COMMAND, Api


def test_it_says_who_did_what_to_which_job_before_and_after(api: Api) -> None:
    api.post("/jobs", COMMAND, user="operator")
    api.patch("/jobs/1", {"retries": 3})
    api.delete("/jobs/1")
    rows = api.get("/audit?object_type=job").json
    TypeAdapter(list[AuditShape]).validate_python(rows)
    assert [(row["user"], row["action"], row["object_id"]) for row in rows] == [
        ("admin", "delete", "1"),
        ("admin", "update", "1"),
        ("operator", "create", "1"),
    ]
    assert (rows[1]["before"]["retries"], rows[1]["after"]["retries"]) == (0, 3)


def test_its_pages_are_whole_and_keep_the_question(api: Api) -> None:
    for number in range(5):
        api.post("/users", {"name": f"user{number}", "role": "viewer"})
    path, seen = "/audit?limit=2&action=create&user=admin&object_type=user", []
    while path:
        answer = api.get(path)
        assert answer.status == 200
        seen += [row["object_id"] for row in answer.json]
        link = re.fullmatch(r'<(.*)>; rel="next"', answer.headers.get("Link") or "")
        path = link[1] if link else ""
    assert seen == [f"user{number}" for number in (4, 3, 2, 1, 0)]


def test_times_bound_it(api: Api) -> None:
    api.time[0] += 100
    api.post("/jobs", COMMAND)
    newest = api.get("/audit?from=2027-01-15T08:01:00Z").json
    assert [row["action"] for row in newest] == ["create"]
    assert newest[0]["at"] == "2027-01-15T08:02:10Z"
    assert len(api.get("/audit?to=2027-01-15T08:01:00Z").json) == 6


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("after=x", "after"),
        ("after=0", "after"),
        ("from=yesterday", "from"),
        ("user=", "user"),
        ("who=ann", "who"),
        ("user=a&user=b", "user"),
    ],
)
def test_a_question_that_is_not_understood_is_refused(api: Api, query: str, field: str) -> None:
    answer = api.get(f"/audit?{query}")
    assert (answer.status, answer.fields) == (422, [field])


def test_it_is_for_admins(api: Api) -> None:
    assert api.get("/audit", user="operator").status == 403
    assert api.get("/audit", user="viewer").status == 403


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_nobody_writes_it(api: Api, method: str) -> None:
    assert api.call(method, "/audit", b"{}").status == 405
