"""/tokens."""

from __future__ import annotations

import logging
from functools import partial
from typing import Any

import pytest
from pydantic import TypeAdapter

from dcron_app.api.accounts import MadeTokenShape, TokenShape
from dcron_common.db import tokens, users
from dcron_common.db.users import Scope
from tests.unit.app.api_client import NOW, Answer, Api


def token_of(api: Api, user: str, scope: str) -> tuple[str, str]:
    """Its text, and its id."""
    made = tokens.add_token(
        api.services.database, user, scope, None, NOW, "test", scope=Scope(scope)
    )
    return made.text, str(made.row.id)


def make(api: Api, by: str = "operator", **more: Any) -> Answer:
    return api.post("/tokens", {"name": "ci", **more}, user=by)


def test_a_token_is_made_and_its_text_shown_once(api: Api) -> None:
    made = make(api, expires_in_days=90)
    TypeAdapter(MadeTokenShape).validate_python(made.json)
    assert made.status == 201
    assert made.json["expires_at"] == "2027-04-15T08:00:30Z"
    assert api.get("/me", user=made.json["token"]).json["name"] == "operator"
    listed = api.get("/tokens", user="operator")
    assert made.json["token"] not in listed.body.decode()
    TypeAdapter(list[TokenShape]).validate_python(listed.json)


@pytest.mark.parametrize(
    ("user", "scope"), [("viewer", "read"), ("operator", "operate"), ("admin", "admin")]
)
def test_without_a_scope_it_gets_what_the_role_needs(api: Api, user: str, scope: str) -> None:
    assert make(api, user).json["scope"] == scope


def test_an_admin_makes_tokens_of_others_with_what_these_need(api: Api) -> None:
    made = make(api, "admin", user="viewer").json
    assert (made["user"], made["scope"]) == ("viewer", "read")
    assert make(api, "admin", user="nobody").fields == ["user"]
    assert make(api, "operator", user="viewer").status == 403


def test_a_token_that_ends_gives_none_that_lasts_longer(api: Api) -> None:
    _, endless = token_of(api, "operator", "operate")
    ending = make(api, expires_in_days=10).json
    own = ending["token"]
    assert make(api, own).json["expires_at"] == ending["expires_at"]
    assert make(api, own, expires_in_days=9).status == 201
    refused = make(api, own, expires_in_days=11)
    assert (refused.status, refused.fields) == (403, ["expires_in_days"])
    assert api.call("POST", f"/tokens/{endless}/rotate", user=own).status == 403
    rotated = api.call("POST", f"/tokens/{ending['id']}/rotate", user=own)
    assert (rotated.status, rotated.json["expires_at"]) == (201, ending["expires_at"])


def test_a_login_makes_tokens_that_outlast_it(api: Api) -> None:
    database = api.services.database
    login = tokens.new_text()
    row = partial(tokens.insert, login, "operator", "login", tokens.LOGIN, Scope.OPERATE)
    database.transaction(lambda: row(NOW + 60, NOW), idempotent=True)
    assert make(api, login).json["expires_at"] is None
    assert make(api, login, expires_in_days=90).status == 201


@pytest.mark.parametrize("scope", ["operate", "admin"])
def test_no_token_makes_one_that_may_do_more(api: Api, scope: str) -> None:
    reading, _ = token_of(api, "admin", "read")
    refused = make(api, reading, scope=scope)
    assert (refused.status, refused.fields) == (403, ["scope"])
    assert make(api, reading).json["scope"] == "read"


def test_a_token_of_nobody_is_refused_by_name(api: Api) -> None:
    for more in ({}, {"scope": "read"}):
        answer = api.post("/tokens", {"name": "t", "user": "nobody", **more})
        assert (answer.status, answer.fields) == (422, ["user"])


def test_no_token_replaces_or_ends_one_that_may_do_more(api: Api) -> None:
    reading, _ = token_of(api, "operator", "read")
    strong, number = token_of(api, "operator", "admin")
    assert api.post(f"/tokens/{number}/rotate", {}, user=reading).status == 403
    assert api.delete(f"/tokens/{number}", user=reading).status == 403
    assert api.get("/me", user=strong).status == 200


def test_an_admins_token_for_operating_reaches_nobody_elses(api: Api) -> None:
    operating, _ = token_of(api, "admin", "operate")
    _, others = token_of(api, "viewer", "read")
    assert make(api, operating, user="viewer").status == 403
    assert api.delete(f"/tokens/{others}", user=operating).status == 404
    assert {one["user"] for one in api.get("/tokens", user=operating).json} == {"admin"}


def test_everybody_sees_their_own_and_admins_all(api: Api) -> None:
    assert {one["user"] for one in api.get("/tokens", user="viewer").json} == {"viewer"}
    assert {one["user"] for one in api.get("/tokens").json} == {"admin", "operator", "viewer"}
    assert {one["user"] for one in api.get("/tokens?user=viewer").json} == {"viewer"}
    assert api.get("/tokens?user=admin", user="viewer").status == 403
    assert api.get("/tokens?user=viewer", user="viewer").status == 200


def test_tokens_of_others_are_as_good_as_not_there(api: Api) -> None:
    _, others = token_of(api, "admin", "read")
    for path in (f"/tokens/{others}", "/tokens/999"):
        hidden = [
            api.delete(path, user="operator"),
            api.post(f"{path}/rotate", {}, user="operator"),
        ]
        assert [answer.status for answer in hidden] == [404, 404]


def test_a_rotated_token_ends_at_once(api: Api) -> None:
    old, number = token_of(api, "operator", "operate")
    made = api.post(f"/tokens/{number}/rotate", user=old)
    assert made.status == 422  # null is no object
    made = api.call("POST", f"/tokens/{number}/rotate", user=old)
    assert (made.status, made.json["scope"]) == (201, "operate")
    assert api.get("/me", user=old).status == 401
    assert api.get("/me", user=made.json["token"]).status == 200
    rows = {one["id"]: one for one in api.get("/tokens", user="operator").json}
    assert rows[number]["replaced_by"] == made.json["id"]


def test_a_grace_lets_the_old_one_work_on_for_up_to_a_day(api: Api) -> None:
    old, number = token_of(api, "operator", "operate")
    path = f"/tokens/{number}/rotate"
    assert api.post(path, {"grace_seconds": 86_401}, user=old).fields == ["grace_seconds"]
    assert api.post(path, {"grace_seconds": 86_400}, user=old).status == 201
    assert api.post(path, {"grace_seconds": 86_400}, user=old).status == 409
    api.time[0] += 86_399
    assert api.get("/me", user=old).status == 200
    api.time[0] += 1
    assert api.get("/me", user=old).status == 401


def test_a_login_is_not_prolonged_by_rotation(api: Api) -> None:
    password = "correct horse battery"
    api.put("/users/operator/password", {"password": password})
    body = {"name": "operator", "password": password}
    session = api.post("/login", body, user=None).json["token"]
    number = api.get("/me", user=session).json["token_id"]
    assert api.post(f"/tokens/{number}/rotate", {}, user=session).status == 409


def test_a_token_is_revoked_and_again_the_same(api: Api) -> None:
    text, number = token_of(api, "operator", "read")
    for _ in range(2):
        answer = api.delete(f"/tokens/{number}", user="operator")
        assert (answer.status, answer.json["revoked_at"]) == (200, "2027-01-15T08:00:30Z")
    assert api.get("/me", user=text).status == 401
    assert api.post(f"/tokens/{number}/rotate", {}, user="operator").status == 409


def test_what_was_made_with_a_token_ends_with_it(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "dcron_app")
    first = make(api).json
    second = make(api, first["token"]).json
    assert second["parent"] == first["id"]
    assert api.delete(f"/tokens/{first['id']}", user="operator").status == 200
    assert api.get("/me", user=second["token"]).status == 401
    assert f"token revoked token={second['id']} with={first['id']} by=operator" in caplog.text
    (row,) = [one for one in api.get("/tokens").json if one["id"] == second["id"]]
    assert row["revoked_at"] == "2027-01-15T08:00:30Z"


def test_what_was_made_with_a_token_hangs_on_what_it_is_rotated_to(api: Api) -> None:
    first = make(api).json
    second = make(api, first["token"]).json
    new = api.call("POST", f"/tokens/{first['id']}/rotate", user=first["token"]).json
    assert api.get("/me", user=second["token"]).status == 200
    rows = {one["id"]: one for one in api.get("/tokens", user="operator").json}
    assert rows[second["id"]]["parent"] == new["id"]
    assert api.delete(f"/tokens/{new['id']}", user="operator").status == 200
    assert api.get("/me", user=second["token"]).status == 401


def test_a_logout_ends_nothing_that_was_made_in_the_login(api: Api) -> None:
    password = "correct horse battery"
    api.put("/users/operator/password", {"password": password})
    body = {"name": "operator", "password": password}
    session = api.post("/login", body, user=None).json["token"]
    number = api.get("/me", user=session).json["token_id"]
    made = make(api, session).json
    assert api.post("/logout", {}, user=session).status == 204
    assert api.get("/me", user=made["token"]).status == 200
    assert api.delete(f"/tokens/{number}", user="operator").status == 200
    assert api.get("/me", user=made["token"]).status == 401


def test_a_user_has_only_so_many_tokens(api: Api) -> None:
    for _ in range(tokens.MOST - 1):
        token_of(api, "operator", "read")
    refused = make(api)
    assert refused.status == 409
    assert "revoke those that nobody needs with DELETE /tokens/" in refused.json["detail"]
    assert make(api, "admin").status == 201


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"name": "a b"}, "name"),
        ({"scope": "all"}, "scope"),
        ({"expires_in_days": 0}, "expires_in_days"),
        ({"expires_in_days": 36_501}, "expires_in_days"),
        ({"expires_at": "2036-01-01T00:00:00Z"}, "expires_at"),
    ],
)
def test_each_bad_field_is_named(api: Api, more: dict[str, Any], field: str) -> None:
    answer = make(api, **more)
    assert (answer.status, answer.fields) == (422, [field])


def test_texts_of_tokens_are_in_no_log_and_not_in_the_audit(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "dcron_app")
    caplog.set_level(logging.DEBUG, "dcron_common")
    first = make(api).json
    second = api.post(f"/tokens/{first['id']}/rotate", {}, user="operator").json
    api.delete(f"/tokens/{second['id']}", user="operator")
    audited = api.get("/audit?object_type=token").body.decode()
    for text in (first["token"], second["token"]):
        assert text not in caplog.text
        assert text not in audited
    assert users.Scope.OPERATE in audited


def test_use_is_noted(api: Api) -> None:
    text, number = token_of(api, "operator", "read")
    api.get("/me", user=text)
    rows = {one["id"]: one for one in api.get("/tokens", user="operator").json}
    assert rows[number]["last_used_at"] == "2027-01-15T08:00:30Z"
