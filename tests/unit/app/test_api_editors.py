"""Two editors of a worker, a user or a secret: ETag and If-Match."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from argon2 import PasswordHasher

from dcron_common.db import logins, secrets, users, workers
from dcron_common.db.models import Secret, User, Worker
from dcron_common.protocol import Registration
from tests.unit.app.api_client import NOW, Answer, Api

WORKER, USER, SECRET = "/workers/node1", "/users/operator", "/secrets/KEY"


@pytest.fixture(autouse=True)
def _there(api: Api) -> None:
    node = Registration("node1", "boot", "s", "10.0.0.1", {"rack": "a"}, 10, "0.1.0", 0)
    workers.save_seen(api.services.database, {"node1": node}, NOW)
    api.put(SECRET, {"value": "first"})


class Way(NamedTuple):
    """A change, what it is of, another's change before it, and where the write is done."""

    method: str
    path: str
    body: Any
    shown: str
    other: Callable[[Api], Answer]
    writes: tuple[Any, str]


def other_labels(api: Api) -> Answer:
    return api.put(f"{WORKER}/labels", {"labels": {"by": "another"}})


def other_user(api: Api) -> Answer:
    return api.patch(USER, {"teams": ["others"]})


def other_value(api: Api) -> Answer:
    return api.put(SECRET, {"value": "another"})


WORD = {"password": "correct horse battery"}
WAYS = [
    Way(
        *("PUT", f"{WORKER}/labels", {"labels": {"a": "b"}}, WORKER, other_labels),
        writes=(workers, "set_labels"),
    ),
    Way("DELETE", WORKER, None, WORKER, other_labels, (workers, "forget")),
    Way("POST", f"{WORKER}/drain", None, WORKER, other_labels, (workers, "set_drained")),
    Way("PATCH", USER, {"role": "viewer"}, USER, other_user, (users, "change_user")),
    Way("PUT", f"{USER}/password", WORD, USER, other_user, (logins, "set_password")),
    Way("PUT", SECRET, {"value": "mine"}, SECRET, other_value, (secrets, "put_secret")),
    Way("DELETE", SECRET, None, SECRET, other_value, (secrets, "remove_secret")),
]


def change(api: Api, way: Way, tag: str | None) -> Answer:
    headers = {} if tag is None else {"HTTP_IF_MATCH": tag}
    if way.body is None:
        return api.call(way.method, way.path, headers=headers)
    return getattr(api, way.method.lower())(way.path, way.body, headers=headers)


def stored(api: Api) -> list[Any]:
    def work() -> list[Any]:
        return [
            list(model.select().order_by(model.name).dicts()) for model in (Worker, User, Secret)
        ]

    return api.services.database.read(work)


@pytest.mark.parametrize("way", WAYS, ids=lambda way: f"{way.method} {way.path}")
def test_what_another_has_changed_is_not_overwritten(api: Api, way: Way) -> None:
    tag = api.get(way.shown).headers["ETag"]
    assert way.other(api).status == 200
    before = stored(api)
    refused = change(api, way, tag)
    by_now = api.get(way.shown).headers["ETag"]
    assert (refused.status, refused.fields) == (412, ["If-Match"])
    assert refused.headers["ETag"] == by_now != tag
    assert stored(api) == before
    assert change(api, way, f'"x", {by_now}').status in (200, 204)
    assert stored(api) != before


@pytest.mark.parametrize("way", WAYS, ids=lambda way: f"{way.method} {way.path}")
def test_what_another_changes_just_before_the_write_is_not_overwritten(
    api: Api, way: Way, monkeypatch: pytest.MonkeyPatch
) -> None:
    tag = api.get(way.shown).headers["ETag"]
    module, name = way.writes
    write = getattr(module, name)

    def late(*arguments: Any, **more: Any) -> Any:
        monkeypatch.setattr(module, name, write)
        assert way.other(api).status == 200
        return write(*arguments, **more)

    monkeypatch.setattr(module, name, late)
    assert change(api, way, tag).status == 412


@pytest.mark.parametrize("way", WAYS, ids=lambda way: f"{way.method} {way.path}")
def test_without_if_match_and_with_a_star_the_last_one_wins(api: Api, way: Way) -> None:
    way.other(api)
    assert change(api, way, None if way.method == "DELETE" else "*").status in (200, 204)


@pytest.mark.parametrize("way", WAYS, ids=lambda way: f"{way.method} {way.path}")
def test_what_is_no_tag_is_refused_and_a_weak_one_matches_nothing(api: Api, way: Way) -> None:
    before = stored(api)
    assert change(api, way, "1").status == 400
    assert change(api, way, "W/" + api.get(way.shown).headers["ETag"]).status == 412
    assert stored(api) == before


def test_what_is_not_there_has_no_tag(api: Api) -> None:
    headers = {"HTTP_IF_MATCH": "*"}
    assert api.put("/secrets/NEW", {"value": "v"}, headers=headers).status == 412
    assert api.get("/secrets/NEW").status == 404
    assert api.delete("/secrets/NEW", headers=headers).status == 404
    assert api.patch("/users/nobody", {"role": "viewer"}, headers=headers).status == 404
    assert api.delete("/workers/nowhere", headers=headers).status == 404


def test_what_is_so_already_is_answered_whatever_the_tag(api: Api) -> None:
    stale = {"HTTP_IF_MATCH": '"stale"'}
    other_labels(api)
    other_user(api)
    labels = {"labels": {"by": "another"}}
    assert api.put(f"{WORKER}/labels", labels, headers=stale).status == 200
    assert api.patch(USER, {"teams": ["others"]}, headers=stale).status == 200
    assert api.call("POST", f"{WORKER}/resume", headers=stale).status == 200


def test_what_moves_by_itself_makes_no_tag_outdated(api: Api) -> None:
    before = [api.get(path).headers["ETag"] for path in (WORKER, USER)]
    workers.save_seen(api.services.database, {}, NOW + 60)
    seen = User.update(logins=7, last_login_at=NOW).where(User.name == "operator")
    api.services.database.transaction(seen.execute)
    assert api.get(WORKER).json["state"] == "offline"
    assert [api.get(path).headers["ETag"] for path in (WORKER, USER)] == before


def test_a_login_that_renews_a_hash_makes_no_tag_outdated_but_a_new_password_does(
    api: Api,
) -> None:
    assert api.put(f"{USER}/password", WORD).status == 204
    tag = api.get(USER).headers["ETag"]
    old = PasswordHasher(time_cost=2, memory_cost=16, parallelism=1).hash(WORD["password"])
    outdated = User.update(password=old).where(User.name == "operator")
    api.services.database.transaction(outdated.execute)
    assert api.post("/login", {"name": "operator", **WORD}, user=None).status == 200
    assert logins.password_of(api.services.database, "operator") != old
    assert api.get(USER).headers["ETag"] == tag
    for status in (204, 412):  # of two editors who know the same, the second is told
        assert api.put(f"{USER}/password", WORD, headers={"HTTP_IF_MATCH": tag}).status == status
    assert api.get(USER).headers["ETag"] != tag


def test_a_secret_that_was_removed_and_made_again_is_another(api: Api) -> None:
    tag = api.get(SECRET).headers["ETag"]
    api.delete(SECRET)
    made = api.put(SECRET, {"value": "first"})
    assert (made.status, made.json["revision"]) == (201, 1)
    assert made.headers["ETag"] == api.get(SECRET).headers["ETag"] != tag
    assert api.delete(SECRET, headers={"HTTP_IF_MATCH": tag}).status == 412


def test_answers_to_changes_carry_the_new_tag(api: Api) -> None:
    assert other_labels(api).headers["ETag"] == api.get(WORKER).headers["ETag"]
    assert other_user(api).headers["ETag"] == api.get(USER).headers["ETag"]
    made = api.post("/users", {"name": "ann", "role": "viewer"})
    assert made.headers["ETag"] == api.get("/users/ann").headers["ETag"]


def test_tags_and_if_match_are_described(api: Api) -> None:
    paths = api.get("/openapi.json").json["paths"]
    names = {
        "/workers/{worker}/labels": "put",
        "/users/{user}": "patch",
        "/secrets/{secret}": "put",
    }
    for path, method in names.items():
        operation = paths[path][method]
        assert "If-Match" in {one["name"] for one in operation["parameters"]}
        assert "ETag" in operation["responses"]["200"]["headers"]
    assert "headers" not in paths["/workers"]["get"]["responses"]["200"]
