"""/users."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter

from dcron_app.api.accounts import UserShape
from dcron_app.passwords import MAX_BYTES
from dcron_common.db.models import User
from tests.unit.app.api_client import COMMAND, Api

PASSWORD = "correct horse battery"
NEW = {"name": "ann", "role": "operator"}


def test_a_user_is_made_shown_and_listed(api: Api) -> None:
    made = api.post("/users", {**NEW, "teams": ["ops", "web"], "os_users": ["backup", "*"]})
    assert (made.status, made.headers["Location"]) == (201, "/users/ann")
    assert made.json == {
        "name": "ann",
        "role": "operator",
        "teams": ["ops", "web"],
        "os_users": ["backup", "*"],
        "disabled": False,
        "has_password": False,
        "created_at": "2027-01-15T08:00:30Z",
        "last_login_at": None,
    }
    TypeAdapter(UserShape).validate_python(made.json)
    assert api.get("/users/ann").json == made.json
    listed = api.get("/users").json
    assert [one["name"] for one in listed] == ["admin", "ann", "operator", "viewer"]


def test_what_is_left_out_gives_little(api: Api) -> None:
    made = api.post("/users", NEW).json
    assert (made["teams"], made["os_users"]) == ([], ["dcron-job"])


def test_a_name_is_taken_once(api: Api) -> None:
    api.post("/users", NEW)
    assert api.post("/users", NEW).status == 409


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"name": "../ann"}, "name"),
        ({"name": "ann\n"}, "name"),
        ({"name": "x" * 65}, "name"),
        ({"role": "root"}, "role"),
        ({"teams": ["a b"]}, "teams[0]"),
        ({"teams": ["a", "a"]}, "teams"),
        ({"teams": "ops"}, "teams"),
        ({"os_users": ["Root"]}, "os_users[0]"),
        ({"os_users": ["a"] * 2}, "os_users"),
        ({"password": "short"}, "password"),
        ({"password": "x" * (MAX_BYTES + 1)}, "password"),
        ({"team": "ops"}, "team"),
        ({"disabled": True}, "disabled"),
    ],
)
def test_each_bad_field_is_named_and_nothing_is_stored(
    api: Api, more: dict[str, Any], field: str
) -> None:
    answer = api.post("/users", {**NEW, **more})
    assert (answer.status, answer.fields) == (422, [field])
    assert api.services.database.read(lambda: User.select().count()) == 3


def test_who_is_made_with_a_password_logs_in(api: Api) -> None:
    assert api.post("/users", {**NEW, "password": PASSWORD}).json["has_password"] is True
    answer = api.post("/login", {"name": "ann", "password": PASSWORD}, user=None)
    assert answer.status == 200
    assert api.get("/users/ann").json["last_login_at"] == "2027-01-15T08:00:30Z"


def test_a_change_takes_what_is_given_and_leaves_the_rest(api: Api) -> None:
    api.post("/users", {**NEW, "teams": ["ops"]})
    changed = api.patch("/users/ann", {"role": "viewer", "os_users": ["root"]})
    assert changed.status == 200
    assert changed.json["role"] == "viewer"
    assert (changed.json["teams"], changed.json["os_users"]) == (["ops"], ["root"])
    assert api.patch("/users/ann", {"teams": []}).json["teams"] == []


def test_a_change_counts_from_the_next_request_on(api: Api) -> None:
    assert api.post("/jobs", COMMAND, user="operator").status == 201
    api.patch("/users/operator", {"role": "viewer"})
    assert api.post("/jobs", COMMAND, user="operator").status == 403
    api.patch("/users/operator", {"disabled": True})
    assert api.get("/jobs", user="operator").status == 401


def test_the_last_admin_stays(api: Api) -> None:
    for change in ({"disabled": True}, {"role": "operator"}):
        answer = api.patch("/users/admin", change)
        assert answer.status == 409
        assert "last admin" in answer.json["detail"]
    api.post("/users", {"name": "ann", "role": "admin"})
    assert api.patch("/users/admin", {"role": "operator"}).status == 200


def test_nothing_new_is_no_change_and_not_audited(api: Api) -> None:
    before = api.stored()["audit"]
    assert api.patch("/users/operator", {"role": "operator"}).status == 200
    assert api.patch("/users/operator", {}).status == 200
    assert api.stored()["audit"] == before


def test_nobody_is_deleted(api: Api) -> None:
    assert api.delete("/users/operator").status == 405


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/users/nobody", None),
        ("PATCH", "/users/nobody", {"disabled": True}),
        ("PUT", "/users/nobody/password", {"password": PASSWORD}),
    ],
)
def test_who_is_not_there_is_404(api: Api, method: str, path: str, body: Any) -> None:
    answer = api.get(path) if method == "GET" else getattr(api, method.lower())(path, body)
    assert answer.status == 404


def test_an_admin_sets_a_password_and_the_logins_end(api: Api) -> None:
    api.put("/users/operator/password", {"password": PASSWORD})
    body = {"name": "operator", "password": PASSWORD}
    session = api.post("/login", body, user=None).json["token"]
    assert api.put("/users/operator/password", {"password": PASSWORD + "2"}).status == 204
    assert api.get("/me", user=session).status == 401
    assert api.post("/login", body, user=None).status == 401


def test_changes_of_users_are_audited_before_and_after(api: Api) -> None:
    api.post("/users", {**NEW, "password": PASSWORD})
    api.patch("/users/ann", {"teams": ["ops"]})
    api.put("/users/ann/password", {"password": PASSWORD})
    rows = api.get("/audit?object_type=user&object_id=ann").json
    told = [(row["user"], row["action"], row["before"], row["after"]) for row in rows]
    made = {"role": "operator", "teams": [], "os_users": ["dcron-job"]}
    assert told == [
        ("admin", "password", None, None),
        ("admin", "change", {"teams": []}, {"teams": ["ops"]}),
        ("admin", "create", None, made),
    ]
