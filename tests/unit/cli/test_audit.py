"""`dcron audit`."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from dcron_cli.commands.audit import changes
from dcron_common.auditing import ACTIONS, OBJECT_TYPES
from tests.unit.app.api_client import COMMAND, Api
from tests.unit.cli.cluster import Reply, Script, Terminal, problem

Answering = Callable[[dict[str, Any]], Terminal]
ROW = {
    "id": 9,
    "at": "2027-01-15T08:00:00Z",
    "user": "ann",
    "action": "change",
    "object_type": "job",
    "object_id": "7",
    "before": {"retries": 0, "name": "x"},
    "after": {"retries": 2, "name": "x"},
}


def test_who_did_what_is_told_with_what_differs(answering: Answering) -> None:
    terminal = answering({"GET /audit": Reply([ROW], headers={"Link": '</audit>; rel="next"'})})
    told = terminal(
        *("audit", "--user", "ann", "--action", "change", "--type", "job", "--id", "7"),
        *("--from", "2027-01-15T00:00:00Z", "--to", "2027-01-16T00:00:00Z", "--limit", "1"),
    )
    assert told.stdout.splitlines()[1].split(maxsplit=6) == [
        *("2027-01-15", "08:00:00Z", "ann", "change", "job", "7", "retries: 0 -> 2")
    ]
    assert "the newest 1" in told.stderr
    assert isinstance(terminal.adapter, Script)
    assert terminal.adapter.asked[0].query == {
        **{"user": ["ann"], "action": ["change"], "object_type": ["job"], "object_id": ["7"]},
        **{"from": ["2027-01-15T00:00:00Z"], "to": ["2027-01-16T00:00:00Z"], "limit": ["1"]},
    }
    assert json.loads(terminal("audit", "--limit", "1", "--json").stdout) == [ROW]


def test_what_has_one_side_only_is_told_whole() -> None:
    assert changes(None, {"a": "ā"}) == '{"a": "ā"}'
    assert changes({"a": 1}, None) == '{"a": 1}'
    assert changes(None, None) == ""
    assert changes({"a": 1}, {"b": 2}) == "a: 1 -> , b:  -> 2"


def test_only_an_admin_reads_it(answering: Answering) -> None:
    told = answering({"GET /audit": problem(403, "for admins only")})("audit")
    assert (told.exit_code, told.stderr) == (3, "dcron: for admins only\n")


@pytest.mark.parametrize("option", ["--action", "--type"])
def test_a_word_that_the_audit_does_not_know_is_told_with_those_it_does(
    answering: Answering, option: str
) -> None:
    terminal = answering({})
    told = terminal("audit", option, "remove")
    assert told.exit_code == 2
    known = ACTIONS if option == "--action" else OBJECT_TYPES
    assert all(f"'{word}'" in told.stderr for word in known)
    assert isinstance(terminal.adapter, Script) and terminal.adapter.asked == []
    assert option in terminal("audit", "--help").stdout


def test_all_that_is_done_is_found_by_its_word(terminal: Terminal, api: Api) -> None:
    number = api.post("/jobs", COMMAND).json["id"]
    terminal("job", "edit", number, "--retries", "1")
    terminal("job", "rm", number, "--yes")
    terminal("secret", "set", "DB", typed="x")
    for action in ("create", "update", "delete"):
        told = terminal("audit", "--action", action, "--type", "job", "--json")
        assert [one["object_id"] for one in json.loads(told.stdout)] == [number]
    told = terminal("audit", "--type", "secret", "--json")
    assert [one["action"] for one in json.loads(told.stdout)] == ["create"]
