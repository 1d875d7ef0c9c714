"""Who may do what, tested whole: each route, by everybody, with a token of each scope.

A route that is missing here, or in docs/rights.md, fails. To add one, add a Right and its line
there. The objects are olga's, of the team ops.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from dcron_app.api.app import all_routes
from dcron_app.api.routes import Access
from dcron_common.db import users
from dcron_common.db.users import Role, Scope
from tests.unit.app.api_client import NOW, open_api
from tests.unit.app.rights_asks import (
    AS_ANOTHER,
    NOTHING,
    PASSWORD,
    STEERED,
    Right,
    fixed,
    forget_worker,
    log_out,
    make_user,
    new_secret,
    of_job,
    of_many,
    of_run,
    of_secret,
    of_token,
    of_user,
    of_worker,
    own_password,
    patch_job,
    patch_with_secret,
    post_job,
    put_job,
    put_named,
    run_with_secret,
    see_worker,
    use_secret,
    wide_token,
)
from tests.unit.app.rights_world import ASKERS, OLGA, PEOPLE, World, may

DOCUMENT = Path(__file__).parents[3] / "docs" / "rights.md"

RIGHTS = [
    fixed("GET", "/jobs", "everybody"),
    post_job("operators", ""),
    post_job("operators, run_as", "as another OS user", **AS_ANOTHER),
    post_job("operators, root", "as root", run_as="root"),
    post_job("admins", "for another owner", owner="vera"),
    post_job("admins", "for a team that one is not in", team="elsewhere"),
    post_job("admins", "with variables that steer loaders", **STEERED),
    Right("POST", "/jobs", "owner, team", use_secret, "with secrets of others"),
    of_job("GET", "", "everybody"),
    patch_job("owner, team", "", retries=3),
    patch_job("owner, team, run_as", "as another OS user", AS_ANOTHER, retries=3),
    patch_job("owner, team", "as another OS user, paused only", AS_ANOTHER, paused=True),
    patch_job("owner, team, run_as", "to another OS user", **AS_ANOTHER),
    patch_job("owner, team", "to one's own OS user", AS_ANOTHER, run_as="dcron-job"),
    patch_job("admins", "for another owner", owner="vera"),
    patch_job("admins", "for another team", team="web"),
    patch_job("owner, no team", "for no team", team=None),
    patch_job("admins", "with variables that steer loaders", **STEERED),
    patch_job("owner, team", "with such variables of an admin's", STEERED, retries=3),
    Right("PATCH", "/jobs/{job_id}", "owner, team, secret", patch_with_secret, "with a secret"),
    put_named("operators", ""),
    put_named("operators, run_as", "as another OS user", **AS_ANOTHER),
    put_named("admins", "for another owner", owner="vera"),
    put_named("owner, team", "of others", NOTHING, retries=1),
    put_named("owner, team, run_as", "of others as another OS user", AS_ANOTHER, retries=1),
    put_job("owner, team", "", retries=3),
    put_job("owner, team, run_as", "as another OS user", AS_ANOTHER, retries=3),
    put_job("admins", "for another owner", owner="vera"),
    put_job("admins", "for another team", team="web"),
    *of_many("pause"),
    *of_many("resume"),
    of_job("DELETE", "", "owner, team"),
    of_job("DELETE", "", "owner, team", what="as another OS user", job=AS_ANOTHER),
    of_job("POST", "/pause", "owner, team"),
    of_job("POST", "/pause", "owner, team", what="as another OS user", job=AS_ANOTHER),
    of_job("POST", "/resume", "owner, team"),
    of_job("POST", "/resume", "owner, team", what="as another OS user", job=AS_ANOTHER),
    of_job("GET", "/executable", "everybody"),
    of_job("GET", "/executable", "everybody", what="as another OS user", job=AS_ANOTHER),
    of_job("GET", "/ledger", "everybody"),
    of_job("GET", "/runs", "everybody"),
    of_job("POST", "/runs", "owner, team", None, 409),  # no worker has it
    of_job(
        *("POST", "/runs", "owner, team, run_as", None, 409),
        what="as another OS user",
        job=AS_ANOTHER,
    ),
    run_with_secret("owner, team", "with a secret", None),
    run_with_secret("owner, team, secret", "with a secret and arguments", {"arguments": ["-v"]}),
    of_run("GET", "", "everybody"),
    of_run("GET", "/output", "everybody"),
    of_run("GET", "/output", "everybody", what="as another OS user", job=AS_ANOTHER),
    of_run("POST", "/kill", "owner, team", 409),  # it is over
    of_run("POST", "/kill", "owner, team", 409, what="as another OS user", job=AS_ANOTHER),
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
    of_secret("GET", "everybody"),
    new_secret("operators"),
    new_secret("admins", "for another owner", owner="vera"),
    new_secret("admins", "for a team that one is not in", team="elsewhere"),
    of_secret("PUT", "owner, team", "of others", {"value": "v"}),
    of_secret("PUT", "admins", "of others for another owner", {"value": "v", "owner": "vera"}),
    of_secret("PUT", "admins", "of others for another team", {"value": "v", "team": "web"}),
    of_secret("PUT", "owner, no team", "of others for no team", {"value": "v", "team": None}),
    of_secret("DELETE", "owner, team"),
]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with open_api(tmp_path_factory.mktemp("rights")) as api:
        database = api.services.database
        for one in PEOPLE:
            users.add_user(database, one.name, one.role, one.teams, one.os_users, NOW, "test")
            if one.disabled:
                users.change_user(database, one.name, NOW, "test", disabled=True)
        users.add_user(database, "target", Role.OPERATOR, [], [], NOW, "test")
        see_worker(api, "node1")
        yield World(api)


@pytest.mark.parametrize("right", RIGHTS, ids=str)
def test_who_may_do_it_does_it_and_nobody_else(world: World, right: Right) -> None:
    for asker in ASKERS:
        before = world.done_by(asker)
        answer = right.ask(world, asker)
        assert answer.status in right.expected(asker), f"{asker}: {answer.status} {answer.body!r}"
        if not may(right.who, asker):
            assert world.done_by(asker) == before, asker


@pytest.mark.parametrize("right", RIGHTS, ids=str)
def test_a_right_is_neither_everybodys_nor_nobodys(right: Right) -> None:
    assert len({may(right.who, asker) for asker in ASKERS}) == 2


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
