"""Who may do what, tested whole: each route, by everybody, with a token of each scope.

A route that is missing here, or in docs/rights.md, fails. To add one, add a Right and its line
there. The objects are olga's, of the team ops.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dcron_app.api.app import all_routes
from dcron_app.api.routes import Access
from dcron_app.passwords import Passwords
from dcron_common.db import logins, users, workers
from dcron_common.db.tokens import LOGIN
from dcron_common.db.users import Role, Scope
from dcron_common.protocol import Registration
from tests.unit.app.api_client import COMMAND, NOW, QUICK, Answer, Api, open_api
from tests.unit.app.rights_world import ASKERS, GROUPS, OLGA, PEOPLE, Asker, Person, World

DOCUMENT = Path(__file__).parents[3] / "docs" / "rights.md"
PASSWORD = "correct horse battery"


@dataclass(frozen=True)
class Right:
    """`who` of GROUPS gets one of `allowed`; everybody else gets `refused`, and nothing is done."""

    method: str
    path: str
    who: str
    ask: Callable[[World, Asker], Answer]
    what: str = ""
    allowed: tuple[int, ...] = (200, 201, 202, 204)
    refused: int = 403

    @property
    def route(self) -> str:
        return f"{self.method} {self.path}"

    def __str__(self) -> str:
        return f"{self.route} {self.what}".strip()


def fixed(method: str, path: str, who: str, body: Any = None, query: str = "") -> Right:
    """A route without objects."""
    return Right(
        method, path, who, lambda world, asker: world.ask(asker, method, path + query, body)
    )


def of_job(method: str, below: str, who: str, body: Any = None, *allowed: int) -> Right:
    """A route of a job."""

    def ask(world: World, asker: Asker) -> Answer:
        return world.ask(asker, method, world.job() + below, body)

    return Right(
        method, f"/jobs/{{job_id}}{below}", who, ask, allowed=allowed or (200, 201, 202, 204)
    )


def of_run(method: str, below: str, who: str, body: Any = None, *allowed: int) -> Right:
    """A route of a run."""

    def ask(world: World, asker: Asker) -> Answer:
        return world.ask(asker, method, world.run() + below, body)

    path = f"/jobs/{{job_id}}/runs/{{run_id}}{below}"
    return Right(method, path, who, ask, allowed=allowed or (200, 201, 202, 204))


def see_worker(api: Api, name: str) -> None:
    seen = Registration(name, "b", "s", "192.0.2.1", {}, 10, "0.1.0", 0)
    workers.save_seen(api.services.database, {name: seen}, NOW)


def forget_worker(world: World, asker: Asker) -> Answer:
    name = world.name()
    see_worker(world.api, name)
    return world.ask(asker, "DELETE", f"/workers/{name}")


def of_worker(method: str, below: str, who: str, body: Any = None) -> Right:
    """A route of a worker."""

    def ask(world: World, asker: Asker) -> Answer:
        return world.ask(asker, method, f"/workers/node1{below}", body)

    return Right(method, f"/workers/{{worker}}{below}", who, ask)


def post_job(who: str, what: str, **more: Any) -> Right:
    """A job with something that not everybody may ask for."""
    body = {**COMMAND, "run_as": "dcron-job", **more}
    return Right(
        "POST", "/jobs", who, lambda world, asker: world.ask(asker, "POST", "/jobs", body), what
    )


def patch_job(who: str, what: str, **change: Any) -> Right:
    def ask(world: World, asker: Asker) -> Answer:
        return world.ask(asker, "PATCH", world.job(), change)

    return Right("PATCH", "/jobs/{job_id}", who, ask, what)


def put_named(world: World, asker: Asker) -> Answer:
    body = {**COMMAND, "run_as": "dcron-job"}
    return world.ask(asker, "PUT", f"/jobs?name={world.name()}", body)


def put_named_of_others(world: World, asker: Asker) -> Answer:
    name, path = world.name(), world.job()
    assert world.ask(Asker(OLGA, Scope.ADMIN), "PATCH", path, {"name": name}).status == 200
    body = {**COMMAND, "run_as": "dcron-job", "retries": 1, "owner": "olga", "team": "ops"}
    return world.ask(asker, "PUT", f"/jobs?name={name}", body)


def put_job(world: World, asker: Asker) -> Answer:
    path = world.job()
    shown = world.ask(asker, "GET", path).json
    return world.ask(asker, "PUT", path, {**shown, "retries": 3})


def of_many(what: str, who: str, whose: str = "") -> Right:
    """Many jobs at once: of olga's, or of nobody's. Each that one may not change is told apart."""

    def ask(world: World, asker: Asker) -> Answer:
        mine = world.job().removeprefix("/jobs/") if whose else None
        body = {"ids": [mine]} if mine else {"labels": {"of": "nobody"}}
        answer = world.ask(asker, "POST", f"/jobs/{what}", body)
        if answer.status == 200 and answer.json["failed"]:
            assert "belongs to olga" in answer.json["failed"][0]["reason"]
            return Answer(403, answer.headers, answer.body)
        return answer

    return Right("POST", f"/jobs/{what}", who, ask, whose)


def of_user(method: str, below: str, body: Any = None) -> Right:
    """A route of a user, who is nobody of those who ask."""

    def ask(world: World, asker: Asker) -> Answer:
        return world.ask(asker, method, f"/users/target{below}", body)

    return Right(method, f"/users/{{user}}{below}", "admins", ask)


def make_user(world: World, asker: Asker) -> Answer:
    return world.ask(asker, "POST", "/users", {"name": world.name(), "role": "admin"})


def log_out(world: World, asker: Asker) -> Answer:
    return world.ask_with(world.token(asker, LOGIN)[0], "POST", "/logout")


def own_password(world: World, asker: Asker) -> Answer:
    stored = Passwords(QUICK).hash(PASSWORD)
    logins.set_password(world.api.services.database, asker.name, stored, NOW, "test")
    return world.ask(asker, "PUT", "/me/password", {"old": PASSWORD, "new": PASSWORD + "2"})


def of_token(method: str, below: str, who: str, whose: Person | None, scope: Scope) -> Right:
    """A route of a token: olga's, or one's own that may do so much. Tokens of others are not there
    for those who may not end them."""

    def ask(world: World, asker: Asker) -> Answer:
        owner = Asker(whose or asker.person, scope)
        number = world.token(owner)[1]
        return world.ask(asker, method, f"/tokens/{number}{below}")

    path, what = f"/tokens/{{token_id}}{below}", "" if whose else "of a wider scope"
    return Right(method, path, who, ask, what, refused=404 if whose else 403)


def wide_token(world: World, asker: Asker) -> Answer:
    return world.ask(asker, "POST", "/tokens", {"name": "t", "scope": "operate"})


def secret(world: World) -> str:
    """The name of one of olga's."""
    name, body = world.name(), {"value": "planted", "team": "ops"}
    made = world.ask(Asker(OLGA, Scope.ADMIN), "PUT", f"/secrets/{name}", body)
    assert made.status == 201, made.body
    return name


def make_secret(world: World, asker: Asker) -> Answer:
    return world.ask(asker, "PUT", f"/secrets/{world.name()}", {"value": "v"})


def of_secret(method: str, who: str, what: str = "", body: Any = None) -> Right:
    """A route of such a secret."""

    def ask(world: World, asker: Asker) -> Answer:
        return world.ask(asker, method, f"/secrets/{secret(world)}", body)

    return Right(method, "/secrets/{secret}", who, ask, what)


def use_secret(world: World, asker: Asker) -> Answer:
    body = {**COMMAND, "run_as": "dcron-job", "secrets": [secret(world)]}
    return world.ask(asker, "POST", "/jobs", body)


RIGHTS = [
    fixed("GET", "/jobs", "everybody"),
    post_job("operators", ""),
    post_job("admins", "for another owner", owner="vera"),
    post_job("admins", "for a team that one is not in", team="elsewhere"),
    post_job("admins", "with variables that steer loaders", environment={"LD_PRELOAD": "/x"}),
    of_job("GET", "", "everybody"),
    patch_job("owner, team", "", retries=3),
    patch_job("admins", "for another owner", owner="vera"),
    Right("PUT", "/jobs", "operators", put_named),
    Right("PUT", "/jobs", "owner, team", put_named_of_others, "of others"),
    Right("PUT", "/jobs/{job_id}", "owner, team", put_job),
    of_many("pause", "operators"),
    of_many("resume", "operators"),
    of_many("pause", "owner, team", "of others"),
    of_many("resume", "owner, team", "of others"),
    of_job("DELETE", "", "owner, team"),
    of_job("POST", "/pause", "owner, team"),
    of_job("POST", "/resume", "owner, team"),
    of_job("GET", "/executable", "everybody"),
    of_job("GET", "/ledger", "everybody"),
    of_job("GET", "/runs", "everybody"),
    of_job("POST", "/runs", "owner, team", None, 409),  # no worker has it
    of_run("GET", "", "everybody"),
    of_run("GET", "/output", "everybody"),
    of_run("POST", "/kill", "owner, team", None, 409),  # it is over
    fixed("GET", "/schedule", "everybody", None, "?expression=@daily"),
    fixed("GET", "/openapi.json", "everybody"),
    fixed("GET", "/workers", "everybody"),
    fixed("GET", "/runs", "everybody"),
    fixed("GET", "/cluster", "everybody"),
    of_worker("GET", "", "everybody"),
    of_worker("POST", "/drain", "admins"),
    of_worker("POST", "/resume", "admins"),
    of_worker("PUT", "/labels", "admins", {"labels": {"disk": "ssd"}}),
    Right("DELETE", "/workers/{worker}", "admins", forget_worker),
    Right("POST", "/logout", "everybody", log_out),
    fixed("GET", "/me", "everybody"),
    Right("PUT", "/me/password", "everybody", own_password),
    fixed("GET", "/users", "admins"),
    Right("POST", "/users", "admins", make_user),
    of_user("GET", ""),
    of_user("PATCH", "", {"os_users": ["dcron-job"]}),
    of_user("PUT", "/password", {"password": PASSWORD}),
    fixed("GET", "/tokens", "everybody"),
    Right(
        "GET",
        "/tokens",
        "owner",
        lambda world, asker: world.ask(asker, "GET", "/tokens?user=olga"),
        "of others",
    ),
    fixed("POST", "/tokens", "everybody", {"name": "t"}),
    Right("POST", "/tokens", "scope", wide_token, "of a wider scope"),
    Right(
        "POST",
        "/tokens",
        "owner",
        lambda world, asker: world.ask(asker, "POST", "/tokens", {"name": "t", "user": "olga"}),
        "of others",
    ),
    of_token("POST", "/rotate", "owner", OLGA, Scope.READ),
    of_token("POST", "/rotate", "scope", None, Scope.OPERATE),
    of_token("DELETE", "", "owner", OLGA, Scope.READ),
    of_token("DELETE", "", "scope", None, Scope.OPERATE),
    fixed("GET", "/audit", "admins"),
    fixed("GET", "/secrets", "everybody"),
    Right("PUT", "/secrets/{secret}", "operators", make_secret),
    of_secret("PUT", "owner, team", "of others", {"value": "v"}),
    of_secret("DELETE", "owner, team"),
    Right("POST", "/jobs", "owner, team", use_secret, "with secrets of others"),
]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with open_api(tmp_path_factory.mktemp("rights")) as api:
        database = api.services.database
        for person in PEOPLE:
            users.add_user(
                database, person.name, person.role, person.teams, ["dcron-job"], NOW, "test"
            )
        users.add_user(database, "target", Role.OPERATOR, [], [], NOW, "test")
        see_worker(api, "node1")
        yield World(api)


@pytest.mark.parametrize("right", RIGHTS, ids=str)
def test_who_may_do_it_does_it_and_nobody_else(world: World, right: Right) -> None:
    may = GROUPS[right.who]
    for asker in ASKERS:
        before = world.done_by(asker)
        answer = right.ask(world, asker)
        expected = right.allowed if may(asker) else (right.refused,)
        assert answer.status in expected, f"{asker}: {answer.status} {answer.body!r}"
        if not may(asker) and asker.person is not OLGA:  # she makes the jobs that it is about
            assert world.done_by(asker) == before, asker


@pytest.mark.parametrize("right", [one for one in RIGHTS if one.who != "everybody"], ids=str)
def test_a_right_is_neither_everybodys_nor_nobodys(right: Right) -> None:
    assert len({GROUPS[right.who](asker) for asker in ASKERS}) == 2


def test_no_route_is_without_a_decision(world: World) -> None:
    routes = all_routes(world.api.services)
    needing = {f"{one.method} {one.path}" for one in routes if one.access is not Access.PUBLIC}
    assert {right.route for right in RIGHTS} == needing


def test_the_document_has_the_same_table(world: World) -> None:
    lines = re.findall(r"^\| `([A-Z]+ /[^`]*)`([^|]*)\|([^|]*)\|", DOCUMENT.read_text(), re.M)
    written = sorted((route, what.strip(" ,"), who.strip()) for route, what, who in lines)
    public = {
        f"{one.method} {one.path}"
        for one in all_routes(world.api.services)
        if one.access is Access.PUBLIC
    }
    assert {route for route, _, who in written if who == "public"} == public
    told = [one for one in written if one[2] != "public"]
    assert told == sorted((right.route, right.what, right.who) for right in RIGHTS)
