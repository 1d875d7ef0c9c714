"""`dcron job pause|resume`."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable
from typing import Any

import pytest

from dcron_cli.params import is_attended
from tests.unit.app.api_client import COMMAND, Api
from tests.unit.cli.cluster import Reply, Script, Terminal, job

Answering = Callable[[dict[str, Any]], Terminal]


def script(terminal: Terminal) -> Script:
    assert isinstance(terminal.adapter, Script)
    return terminal.adapter


DONE = {"changed": ["1", "2"], "unchanged": ["3"], "failed": []}


@pytest.mark.parametrize(
    ("options", "body"),
    [
        (["1", "backup"], {"ids": ["1", "2"]}),
        (["--label", "a=1", "--label", "b=2", "--yes"], {"labels": {"a": "1", "b": "2"}}),
        (["--all", "--yes"], {"all": True}),
    ],
)
@pytest.mark.parametrize("verb", ["pause", "resume"])
def test_several_are_paused_and_resumed_at_a_time(
    answering: Answering, verb: str, options: list[str], body: dict[str, Any]
) -> None:
    answers = {"GET /jobs/1": job(1), "GET /jobs": [job(2, name="backup")]}
    terminal = answering({**answers, f"POST /jobs/{verb}": DONE})
    told = terminal("job", verb, *options)
    assert told.exit_code == 0, told.output
    assert told.stdout.endswith("d: 1, 2, 1 were already\n")
    assert script(terminal).asked[-1].body == body
    assert json.loads(terminal("job", verb, *options, "--json").stdout) == DONE


SEVERAL = [job(1), job(2), job(3)]


@pytest.mark.parametrize(
    ("options", "query", "asked"),
    [
        (["--all"], {}, "there are 3 jobs: pause those of them that you may change?"),
        (
            ["--label", "a=1", "--label", "b=2"],
            {"label": ["a=1", "b=2"]},
            "there are 3 jobs with the label a=1 and b=2: pause",
        ),
    ],
)
def test_many_are_paused_only_when_their_number_is_confirmed(
    answering: Answering, options: list[str], query: dict[str, list[str]], asked: str
) -> None:
    terminal = answering({"GET /jobs": SEVERAL, "POST /jobs/pause": DONE})
    told = terminal("job", "pause", *options, typed="n\n")
    assert told.exit_code == 1
    assert asked in told.stderr
    (listed,) = script(terminal).asked
    assert listed.query == {"removed": ["false"], "limit": ["1000"], **query}
    assert terminal("job", "pause", *options, typed="y\n").exit_code == 0
    assert len(script(terminal).sent("POST", "/jobs/pause")) == 1


@pytest.mark.parametrize("options", [["--all"], ["--label", "a=b"]])
@pytest.mark.parametrize("verb", ["pause", "resume"])
def test_where_nobody_can_be_asked_it_is_a_usage_error_with_the_remedy(
    answering: Answering, verb: str, options: list[str]
) -> None:
    terminal = answering({"GET /jobs": SEVERAL, f"POST /jobs/{verb}": DONE})
    told = terminal("job", verb, *options)
    assert told.exit_code == 2
    assert "by --yes" in told.stderr
    assert script(terminal).asked == []


def test_nobody_is_asked_for_jobs_that_are_named(answering: Answering) -> None:
    terminal = answering({"GET /jobs/1": job(1), "POST /jobs/pause": DONE})
    assert terminal("job", "pause", "1").exit_code == 0


@pytest.mark.parametrize("options", [[], ["1", "--all"], ["--all", "--label", "a=b"]])
def test_which_jobs_has_to_be_said_in_one_way(answering: Answering, options: list[str]) -> None:
    assert answering({})("job", "pause", *options).exit_code == 2


@pytest.mark.parametrize(
    ("statuses", "code"), [([403], 3), ([401, 403], 3), ([404], 4), ([503], 5), ([403, 409], 1)]
)
def test_those_that_could_not_be_paused_are_named_and_have_their_exit_code(
    answering: Answering, statuses: list[int], code: int
) -> None:
    failed = [{"id": "9", "status": status, "reason": "not yours"} for status in statuses]
    some = {"changed": ["1"], "unchanged": [], "failed": failed}
    told = answering({"GET /jobs/9": job(9), "POST /jobs/pause": Reply(some)})("job", "pause", "9")
    assert told.exit_code == code
    assert "job 9: not yours" in told.stderr
    assert f"{len(statuses)} could not be paused" in told.stderr


def test_what_nobody_has_is_not_found(answering: Answering) -> None:
    none = {"changed": [], "unchanged": [], "failed": []}
    for options, typed in ((["--yes"], None), ([], "y\n")):
        terminal = answering({"GET /jobs": [], "POST /jobs/pause": none})
        told = terminal("job", "pause", "--label", "a=b", *options, typed=typed)
        assert told.exit_code == 4
        assert "there is no job with the label a=b; see: dcron job list" in told.stderr


def test_what_is_all_others_is_not_allowed(terminal: Terminal, api: Api) -> None:
    number = api.post("/jobs", {**COMMAND, "labels": {"a": "b"}}).json["id"]
    for user in ("operator", "viewer"):
        terminal.token = api.tokens[user]
        for options in (["--label", "a=b", "--yes"], ["--all", "--yes"]):
            told = terminal("job", "pause", *options)
            assert told.exit_code == 3, told.output
    assert json.loads(terminal("job", "show", number, "--json").stdout)["paused"] is False


def test_only_who_types_on_a_terminal_is_there_to_be_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    assert not is_attended()
    controller, terminal = os.openpty()
    with os.fdopen(terminal) as typed:
        monkeypatch.setattr("sys.stdin", typed)
        assert is_attended()
    os.close(controller)
