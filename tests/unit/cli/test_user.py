"""`dcron user`."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.unit.cli.cluster import Reply, Script, Terminal, problem

Answering = Callable[[dict[str, Any]], Terminal]
ANN = {
    "name": "ann",
    "role": "operator",
    "teams": ["ops", "web"],
    "os_users": ["dcron-job", "www"],
    "disabled": False,
    "has_password": True,
    "created_at": "2027-01-15T07:00:00Z",
    "last_login_at": None,
}


def script(terminal: Terminal) -> Script:
    assert isinstance(terminal.adapter, Script)
    return terminal.adapter


def test_users_are_listed_and_shown(answering: Answering) -> None:
    terminal = answering({"GET /users": [ANN, {**ANN, "disabled": True}], "GET /users/ann": ANN})
    lines = terminal("user", "list").stdout.splitlines()
    assert lines[1].split() == ["ann", "operator", "ops,web", "dcron-job,www", "active", "yes", "-"]
    assert "disabled" in lines[2]
    assert json.loads(terminal("user", "list", "--json").stdout)[0] == ANN
    assert json.loads(terminal("user", "show", "ann", "--json").stdout) == ANN


def test_a_user_is_made(answering: Answering) -> None:
    terminal = answering({"POST /users": Reply(ANN, 201)})
    told = terminal(
        *("user", "add", "ann", "--role", "operator", "--team", "ops", "--team", "web"),
        *("--os-user", "www"),
    )
    assert "dcron user password ann" in told.stdout
    assert script(terminal).asked[0].body == {
        **{"name": "ann", "role": "operator", "teams": ["ops", "web"], "os_users": ["www"]}
    }
    assert terminal("user", "add", "ann").exit_code == 2


@pytest.mark.parametrize(
    ("options", "body"),
    [
        (["--role", "admin"], {"role": "admin"}),
        (["--disable"], {"disabled": True}),
        (["--enable"], {"disabled": False}),
        (["--os-user", "a", "--os-user", "b"], {"os_users": ["a", "b"]}),
        (["--no-teams"], {"teams": []}),
    ],
)
def test_only_what_is_given_is_changed(
    answering: Answering, options: list[str], body: dict[str, Any]
) -> None:
    terminal = answering({"PATCH /users/ann": ANN})
    assert terminal("user", "edit", "ann", *options).stdout == "user ann is changed\n"
    assert script(terminal).asked[0].body == body
    assert terminal("user", "edit", "ann").exit_code == 2


def test_a_password_is_read_from_stdin_and_shows_nowhere(answering: Answering) -> None:
    terminal = answering(
        {"PUT /me/password": Reply(None, 204), "PUT /users/ann/password": Reply(None, 204)}
    )
    told = [
        terminal("user", "password", typed="old-Word\nnew-Word\n"),
        terminal("user", "password", "ann", typed="new-Word\n"),
    ]
    assert [one.exit_code for one in told] == [0, 0]
    assert [one.body for one in script(terminal).asked] == [
        {"old": "old-Word", "new": "new-Word"},
        {"password": "new-Word"},
    ]
    assert not any("Word" in one.output for one in told)
    assert terminal("user", "password", typed="only-one\n").exit_code == 2


def test_after_a_theft_a_new_password_ends_the_tokens_too(answering: Answering) -> None:
    terminal = answering(
        {"PUT /me/password": Reply(None, 204), "PUT /users/ann/password": Reply(None, 204)}
    )
    terminal("user", "password", "--end-tokens", typed="old-Word\nnew-Word\n")
    terminal("user", "password", "ann", "--end-tokens", typed="new-Word\n")
    assert [one.body for one in script(terminal).asked] == [
        {"old": "old-Word", "new": "new-Word", "end_tokens": True},
        {"password": "new-Word", "end_tokens": True},
    ]


def test_a_password_that_is_refused_is_told_by_field(answering: Answering) -> None:
    refused = problem(403, "this is not the password until now", ("old", "is wrong"))
    told = answering({"PUT /me/password": refused})("user", "password", typed="a\nb\n")
    assert told.exit_code == 3
    assert told.stderr.splitlines()[-1] == "  old: is wrong"
