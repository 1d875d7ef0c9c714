"""`dcron secret`: a value is typed without showing or read from stdin, and shows nowhere."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from dcron_cli.main import cli
from tests.unit.cli.cluster import Asked, Reply, Script, Terminal, problem

Answering = Callable[[dict[str, Any]], Terminal]
VALUE = "planted-Value-4711"
SECRET = {
    "name": "DB",
    "owner": "ann",
    "team": None,
    "revision": 2,
    "created_at": "2027-01-15T07:00:00Z",
    "updated_at": "2027-01-15T08:00:00Z",
    "jobs": 3,
}


def script(terminal: Terminal) -> Script:
    assert isinstance(terminal.adapter, Script)
    return terminal.adapter


@pytest.mark.parametrize(
    ("typed", "value"),
    [
        (f"{VALUE}\n", VALUE),
        (f"{VALUE}\r\n", VALUE),
        (f"{VALUE}\n\n", f"{VALUE}\n"),
        ("two\nlines\n", "two\nlines"),
        ("ā", "ā"),
    ],
)
def test_a_value_is_read_from_stdin_without_its_last_newline(
    answering: Answering, typed: str, value: str
) -> None:
    terminal = answering({"PUT /secrets/DB": Reply(SECRET, 201)})
    told = terminal("secret", "set", "DB", "--team", "ops", typed=typed)
    assert told.exit_code == 0, told.output
    assert script(terminal).asked[0].body == {"value": value, "team": "ops"}
    assert VALUE not in told.output


@pytest.mark.parametrize("typed", [b"", b"\n", b"\xff\xfe"])
def test_what_is_no_value_is_refused(answering: Answering, typed: bytes) -> None:
    terminal = answering({})
    assert terminal("secret", "set", "DB", typed=typed).exit_code == 2
    assert script(terminal).asked == []


def test_no_option_takes_a_value(answering: Answering) -> None:
    assert answering({})("secret", "set", "DB", VALUE).exit_code == 2
    group = cli.get_command(None, "secret")  # type: ignore[arg-type]
    command = group.commands["set"]  # type: ignore[union-attr]
    assert {one.name for one in command.params} == {"secret", "owner", "team", "json", "profile"}


def test_an_error_does_not_tell_the_value(answering: Answering) -> None:
    def refuse(asked: Asked) -> Reply:
        return problem(422, "refused: value", ("value", "is too long"))

    told = answering({"PUT /secrets/DB": refuse})("secret", "set", "DB", typed=VALUE)
    assert told.exit_code == 1
    assert VALUE not in told.output + repr(told.exception)


def test_secrets_are_listed_and_removed(answering: Answering) -> None:
    terminal = answering({"GET /secrets": [SECRET], "DELETE /secrets/DB": Reply(None, 204)})
    assert terminal("secret", "list").stdout.splitlines()[1].split() == [
        *("DB", "ann", "-", "2", "3", "2027-01-15", "08:00:00Z")
    ]
    assert json.loads(terminal("secret", "list", "--json").stdout) == [SECRET]
    assert terminal("secret", "rm", "DB", typed="n\n").exit_code == 1
    assert terminal("secret", "rm", "DB", "--yes").stdout == "secret DB is removed\n"
