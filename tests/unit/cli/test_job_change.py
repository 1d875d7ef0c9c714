"""`dcron job edit` by options."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.unit.cli.cluster import Asked, Reply, Script, Terminal, job, problem

Answering = Callable[[dict[str, Any]], Terminal]
BEFORE = job(
    1,
    name="backup",
    labels={"a": "1", "b": "2"},
    environment={"X": "1"},
    placement={"labels": {"rack": "1"}, "on": "all"},
    limits={"processes": 5},
)


def script(terminal: Terminal) -> Script:
    assert isinstance(terminal.adapter, Script)
    return terminal.adapter


def patched(asked: Asked) -> Reply:
    return Reply({**BEFORE, **asked.body, "revision": 4})


def edited(answering: Answering, *options: str) -> Asked:
    terminal = answering({"GET /jobs/1": BEFORE, "PATCH /jobs/1": patched})
    told = terminal("job", "edit", "1", *options)
    assert told.exit_code == 0, told.output
    return script(terminal).sent("PATCH", "/jobs/1")[0]


@pytest.mark.parametrize(
    ("options", "body"),
    [
        (["--schedule", "@daily"], {"schedule": "@daily"}),
        (["--command", "df"], {"type": "command", "executable": "df"}),
        (["--label", "b=3", "--label", "c=4"], {"labels": {"a": "1", "b": "3", "c": "4"}}),
        (["--no-label", "a"], {"labels": {"b": "2"}}),
        (["--env", "Y=2", "--no-env", "X"], {"environment": {"Y": "2"}}),
        (["--on", "one"], {"placement": {"labels": {"rack": "1"}, "on": "one"}}),
        (
            ["--worker-label", "z=1"],
            {"placement": {"labels": {"rack": "1", "z": "1"}, "on": "all"}},
        ),
        (["--memory", "1M"], {"limits": {"processes": 5, "memory_bytes": 2**20}}),
        (["--not-paused"], {"paused": False}),
        (["--unset", "limits", "--unset", "team"], {"limits": None, "team": None}),
        (["--retries", "0"], {"retries": 0}),
    ],
)
def test_options_change_what_they_name_and_nothing_else(
    answering: Answering, options: list[str], body: dict[str, Any]
) -> None:
    asked = edited(answering, *options)
    assert asked.body == body
    assert asked.headers["If-Match"] == '"3"'


def test_a_job_that_somebody_else_changed_is_not_overwritten(answering: Answering) -> None:
    by_now = problem(412, "the job is at revision 4 by now: read it again and decide again")
    terminal = answering({"GET /jobs/1": BEFORE, "PATCH /jobs/1": by_now})
    told = terminal("job", "edit", "1", "--retries", "2")
    assert told.exit_code == 1
    assert "the job is at revision 4 by now" in told.stderr


def test_a_dry_run_changes_nothing(answering: Answering) -> None:
    asked = edited(answering, "--retries", "2", "--dry-run")
    assert asked.query == {"dry_run": ["true"]}
