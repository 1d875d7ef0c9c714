"""Idempotency-Key on every POST that does something, beside POST /jobs (test_api_idempotency)."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from bottle import HTTPResponse

from dcron_app.api import asking, many_jobs
from dcron_app.api.app import all_routes
from dcron_app.api.changing import Changing
from dcron_common.db import idempotency, users, workers
from dcron_common.db.models import Idempotency
from dcron_common.errors import ConnectionLost, DatabaseUnavailable
from dcron_common.protocol import Registration
from tests.unit.app import asked
from tests.unit.app.api_client import COMMAND, NOW, Answer, Api

KEY = {"HTTP_IDEMPOTENCY_KEY": '"k1"'}
ANN = {"name": "ann", "role": "viewer", "password": "correct horse battery"}
NO_KEY = {"/tokens", "/tokens/{token_id}/rotate", "/login", "/logout"}


@pytest.fixture(autouse=True)
def _there(api: Api) -> None:
    """Jobs 1, which runs on node1, and 2."""
    api.post("/jobs", {**COMMAND, "environment": {"WORD": "hunter2"}})
    api.post("/jobs", COMMAND)
    asked.lay_places(api)
    asked.fence(api)
    asked.row(api)
    asked.claim(api)
    node = Registration("node1", "boot", "s", "10.0.0.1", {}, 10, "0.1.0", 0)
    workers.save_seen(api.services.database, {"node1": node}, NOW)


def post(api: Api, path: str, body: Any = None, key: Any = KEY, **more: Any) -> Answer:
    data = None if body is None else json.dumps(body).encode()
    return api.call("POST", path, data, headers=key, **more)


class Way(NamedTuple):
    path: str
    body: Any
    status: int
    undo: Callable[[Api], Any]  # so that a second time would show


def undo(path: str) -> Callable[[Api], Any]:
    return lambda api: api.call("POST", path)


WAYS = [
    Way("/jobs/1/pause", None, 200, undo("/jobs/1/resume")),
    Way("/jobs/pause", {"all": True}, 200, undo("/jobs/1/resume")),
    Way("/jobs/pause", {"ids": ["1", "9"]}, 200, undo("/jobs/1/resume")),
    Way("/jobs/1/runs", None, 202, lambda api: None),
    Way(f"/jobs/1/runs/{asked.RUN}/kill", None, 202, lambda api: None),
    Way("/workers/node1/drain", None, 200, undo("/workers/node1/resume")),
    Way("/users", ANN, 201, lambda api: api.patch("/users/ann", {"disabled": True})),
]


def rows(api: Api) -> list[Idempotency]:
    return api.services.database.read(lambda: list(Idempotency.select()))


@pytest.mark.parametrize("way", WAYS, ids=lambda way: f"{way.path} {way.body}")
def test_what_was_done_once_is_not_done_again(api: Api, way: Way) -> None:
    first = post(api, way.path, way.body)
    assert (first.status, first.headers["Idempotent-Replayed"]) == (way.status, None)
    way.undo(api)
    before, waiting = api.stored(), (asked.tasks(api), asked.requests(api))
    again = post(api, way.path, way.body)
    assert (again.status, again.headers["Idempotent-Replayed"]) == (way.status, "true")
    assert again.headers["Location"] == first.headers["Location"]
    assert again.headers["Content-Type"] == first.headers["Content-Type"]
    assert again.json.keys() == first.json.keys()
    assert api.stored() == before
    assert (asked.tasks(api), asked.requests(api)) == waiting
    assert post(api, way.path, way.body, key={}).status in (way.status, 409)
    assert api.stored()["audit"] > before["audit"] or way.path == "/users"


def test_a_run_is_told_as_it_was_and_a_job_as_it_is_by_then(api: Api) -> None:
    first = post(api, "/jobs/1/runs")
    api.time[0] += 60
    assert post(api, "/jobs/1/runs").json == first.json
    key = {"HTTP_IDEMPOTENCY_KEY": '"k2"'}
    post(api, "/jobs/1/pause", key=key)
    api.patch("/jobs/1", {"retries": 3})
    again = post(api, "/jobs/1/pause", key=key)
    assert (again.json["retries"], again.headers["ETag"]) == (3, '"3"')


def test_no_value_of_a_variable_and_no_password_is_kept_with_a_key(api: Api) -> None:
    for number, way in enumerate(WAYS):
        post(api, way.path, way.body, key={"HTTP_IDEMPOTENCY_KEY": f"k{number}"})
    kept = rows(api)
    assert len(kept) == len(WAYS)
    assert not any("hunter2" in (row.answer or "") for row in kept)
    other = post(
        api,
        "/users",
        {**ANN, "password": "another word of it"},
        key={"HTTP_IDEMPOTENCY_KEY": f"k{len(WAYS) - 1}"},
    )  # the digest knows nothing of it
    assert (other.status, other.headers["Idempotent-Replayed"]) == (201, "true")


def test_a_key_belongs_to_one_path_and_one_body(api: Api) -> None:
    assert post(api, "/jobs/1/pause").status == 200
    for path, body in (("/jobs/2/pause", None), ("/jobs/1/resume", None), ("/jobs", COMMAND)):
        answer = post(api, path, body)
        assert (answer.status, answer.fields) == (422, ["Idempotency-Key"])
    assert api.get("/jobs/1").json["paused"]
    assert not api.get("/jobs/2").json["paused"]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: f"{way.path} {way.body}")
def test_a_request_that_is_refused_leaves_its_key_free(api: Api, way: Way) -> None:
    path = way.path.replace("/1", "/99").replace("node1", "nowhere")
    body = {**ANN, "name": "admin"} if way.path == "/users" else way.body
    answer = post(api, path, body)
    if path != "/jobs/pause":
        assert answer.status in (404, 409)
        assert rows(api) == []


def test_a_key_is_not_used_up_by_a_dry_run(api: Api) -> None:
    for path, body in (("/jobs/1/pause", None), ("/jobs/pause", {"all": True})):
        assert post(api, f"{path}?dry_run=true", body).status == 200
    assert rows(api) == []
    bad = {"HTTP_IDEMPOTENCY_KEY": 'a"b'}
    assert post(api, "/jobs/1/pause?dry_run=true", key=bad).fields == ["Idempotency-Key"]


def test_many_that_could_not_all_be_done_are_tried_again_under_the_same_key(api: Api) -> None:
    api.ensemble.disconnect(api.coordinator)
    assert {one["status"] for one in post(api, "/jobs/pause", {"all": True}).json["failed"]} == {
        503
    }
    assert rows(api) == []
    api.ensemble.reconnect(api.coordinator)
    done = post(api, "/jobs/pause", {"all": True})
    assert (done.json["unchanged"], done.headers["Idempotent-Replayed"]) == (["1", "2"], None)
    assert post(api, "/jobs/pause", {"all": True}).headers["Idempotent-Replayed"] == "true"


def before_each(monkeypatch: pytest.MonkeyPatch, act: Callable[[int], Any]) -> list[Any]:
    """Have `act` done before each job is changed, by its number among them; what it returned."""
    seen: list[Any] = []
    change = Changing.change

    def changed(*arguments: Any) -> Any:
        seen.append(None)
        number = len(seen)
        seen[number - 1] = act(number)
        return change(*arguments)

    monkeypatch.setattr(Changing, "change", changed)
    return seen


def test_many_that_take_long_are_not_done_by_a_repetition_too(api: Api, monkeypatch) -> None:
    for _ in range(2):
        api.post("/jobs", COMMAND)

    def slow(number: int) -> Answer | None:
        api.time[0] += idempotency.IN_HAND / 2.5
        return post(api, "/jobs/pause", {"all": True}) if number == 4 else None

    told = before_each(monkeypatch, slow)
    first = post(api, "/jobs/pause", {"all": True})
    assert (told[3].status, len(told)) == (409, 4)
    assert told[3].headers["Retry-After"]
    assert first.json["changed"] == ["1", "2", "3", "4"]
    again = post(api, "/jobs/pause", {"all": True})
    assert (again.body, again.headers["Idempotent-Replayed"]) == (first.body.lstrip(), "true")


def test_many_whose_key_went_to_another_request_end_there_and_say_so(api: Api, monkeypatch) -> None:
    for _ in range(2):
        api.post("/jobs", COMMAND)

    def taken(number: int) -> None:
        if number == 2:
            api.time[0] += idempotency.RENEWED
            other = Idempotency.update(incarnation="Z" * 26)
            api.services.database.transaction(other.execute)

    before_each(monkeypatch, taken)
    told = post(api, "/jobs/pause", {"all": True}).json
    assert told["changed"] == ["1", "2"]
    assert [(one["id"], one["status"]) for one in told["failed"]] == [("3", 409), ("4", 409)]
    assert "another request" in told["failed"][0]["reason"]
    assert not api.get("/jobs/3").json["paused"]
    assert [(row.incarnation, row.answer) for row in rows(api)] == [("Z" * 26, None)]


def test_a_key_is_not_renewed_with_each_of_many(api: Api, monkeypatch) -> None:
    monkeypatch.setattr(idempotency, "renew", pytest.fail)
    assert post(api, "/jobs/pause", {"all": True}).json["changed"] == ["1", "2"]


def test_a_key_that_cannot_be_renewed_for_a_moment_ends_nothing(api: Api, monkeypatch) -> None:
    def away(*arguments: object) -> bool:
        raise DatabaseUnavailable("made up")

    def slow(number: int) -> None:
        api.time[0] += idempotency.RENEWED

    monkeypatch.setattr(idempotency, "renew", away)
    before_each(monkeypatch, slow)
    first = post(api, "/jobs/pause", {"all": True})
    assert first.json["changed"] == ["1", "2"]
    assert post(api, "/jobs/pause", {"all": True}).headers["Idempotent-Replayed"] == "true"


def test_an_answer_that_is_closed_before_its_first_byte_leaves_its_key_free(
    api: Api, monkeypatch
) -> None:
    def dropped(body: Any, *_: Any) -> HTTPResponse:
        body.close()
        return HTTPResponse("", 200)

    with monkeypatch.context() as gone:
        gone.setattr(many_jobs, "HTTPResponse", dropped)
        post(api, "/jobs/pause", {"all": True})
    assert rows(api) == []
    assert post(api, "/jobs/pause", {"all": True}).json["changed"] == ["1", "2"]


# What is left half done


def left_in_hand(api: Api) -> None:
    """As a process that dies leaves its claim."""
    api.services.database.transaction(lambda: Idempotency.update(answer=None).execute())


def test_a_run_whose_first_request_died_is_never_asked_for_twice(api: Api) -> None:
    post(api, "/jobs/1/runs")
    left_in_hand(api)
    waiting = asked.tasks(api)
    assert post(api, "/jobs/1/runs").headers["Retry-After"]
    api.time[0] += idempotency.IN_HAND + 1
    told = post(api, "/jobs/1/runs")
    assert (told.status, told.fields, told.headers["Retry-After"]) == (
        409,
        ["Idempotency-Key"],
        None,
    )
    assert "may or may not" in told.json["detail"]
    assert asked.tasks(api) == waiting


def test_a_pause_whose_first_request_died_is_made_again(api: Api) -> None:
    post(api, "/jobs/1/pause")
    left_in_hand(api)
    assert post(api, "/jobs/1/pause").status == 409
    api.time[0] += idempotency.IN_HAND + 1
    again = post(api, "/jobs/1/pause")
    assert (again.status, again.headers["Idempotent-Replayed"]) == (200, None)


def test_a_run_that_may_or_may_not_come_keeps_its_key(api: Api, monkeypatch) -> None:
    def lost(*arguments: object) -> Any:
        raise ConnectionLost("made up")

    with monkeypatch.context() as ill:
        ill.setattr(asking, "asked_for", lost)
        answer = post(api, "/jobs/1/runs")
    assert answer.status == 503
    assert "may or may not" in answer.json["detail"]
    assert post(api, "/jobs/1/runs").status == 409
    assert asked.tasks(api) == {}


def test_a_run_that_was_surely_not_asked_for_leaves_its_key_free(api: Api) -> None:
    api.ensemble.disconnect(api.coordinator)
    assert post(api, "/jobs/1/runs").status == 503
    api.ensemble.reconnect(api.coordinator)
    assert post(api, "/jobs/1/runs").status == 202


def test_what_is_done_is_answered_though_its_key_cannot_be_settled(api: Api, monkeypatch) -> None:
    def away(*arguments: object) -> None:
        raise DatabaseUnavailable("made up")

    with monkeypatch.context() as ill:
        ill.setattr(idempotency, "keep", away)
        assert post(api, "/jobs/1/runs").status == 202
    assert post(api, "/jobs/1/runs").status == 409
    assert len(asked.tasks(api)) == 1


def test_a_user_and_the_key_are_stored_together_or_not_at_all(api: Api, monkeypatch) -> None:
    def away(*arguments: object) -> None:
        raise DatabaseUnavailable("made up")

    with monkeypatch.context() as ill:
        ill.setattr(idempotency, "settle", away)
        assert post(api, "/users", ANN).status == 503
    assert users.get_user(api.services.database, "ann") is None
    assert post(api, "/users", ANN).status == 201


# Where it is taken


def test_every_post_takes_a_key_or_refuses_it(api: Api) -> None:
    routes = [route for route in all_routes(api.services) if route.method == "POST"]
    assert {route.path for route in routes if "Idempotency-Key" not in route.headers} == NO_KEY


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/tokens", {"name": "t"}),
        ("/tokens/1/rotate", None),
        ("/login", {"name": "admin", "password": "x"}),
        ("/logout", None),
    ],
)
def test_a_key_for_a_token_is_refused_before_anything_is_done(
    api: Api, path: str, body: Any
) -> None:
    before, listed = api.stored(), api.get("/tokens").json
    answer = post(api, path, body)
    assert (answer.status, answer.fields) == (400, ["Idempotency-Key"])
    assert api.stored() == before
    assert len(api.get("/tokens").json) == len(listed)
