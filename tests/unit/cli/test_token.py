"""`dcron token`: a new token goes where its user says, and nowhere else."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.unit.cli.cluster import Reply, Script, Terminal, problem

Answering = Callable[[dict[str, Any]], Terminal]
NEW = "dcron_planted-New-Token-4711"
ROW = {
    "id": "9",
    "user": "ann",
    "name": "ci",
    "kind": "token",
    "scope": "operate",
    "created_at": "2027-01-15T07:00:00Z",
    "expires_at": None,
    "revoked_at": None,
    "last_used_at": "2027-01-15T08:00:00Z",
    "replaced_by": None,
    "parent": "7",
}
MADE = {**ROW, "token": NEW}


def script(terminal: Terminal) -> Script:
    assert isinstance(terminal.adapter, Script)
    return terminal.adapter


def test_tokens_are_listed(answering: Answering) -> None:
    terminal = answering({"GET /tokens": [ROW]})
    assert terminal("token", "list").stdout.splitlines()[1].split() == [
        *("9", "ann", "ci", "token", "operate", "-", "01-15", "08:00Z", "-", "7")
    ]
    assert json.loads(terminal("token", "list", "--user", "ann", "--json").stdout) == [ROW]
    assert [one.query for one in script(terminal).asked] == [{}, {"user": ["ann"]}]


def test_a_new_token_goes_into_a_file_of_its_user_s_own(
    answering: Answering, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    terminal = answering({"POST /tokens": Reply(MADE, 201)})
    told = terminal(
        *("token", "add", "--name", "ci", "--user", "ann", "--scope", "operate"),
        *("--expires", "90", "--output", str(file)),
    )
    assert told.stdout == f"token 9 is in {file}\n"
    assert file.read_text() == f"{NEW}\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert NEW not in told.output
    assert script(terminal).asked[0].body == {
        **{"name": "ci", "user": "ann", "scope": "operate", "expires_in_days": 90}
    }


def test_a_new_token_shows_only_when_that_is_asked_for(
    answering: Answering, tmp_path: Path
) -> None:
    terminal = answering({"POST /tokens": Reply(MADE, 201)})
    told = terminal("token", "add", "--name", "ci", "--show")
    assert told.stdout == f"{NEW}\n"
    assert json.loads(terminal("token", "add", "--name", "ci", "--show", "--json").stdout) == MADE
    told = terminal("token", "add", "--name", "ci", "--output", str(tmp_path / "t"), "--json")
    assert json.loads(told.stdout) == ROW


@pytest.mark.parametrize("options", [[], ["--show", "--output", "x"]])
def test_where_it_goes_has_to_be_said_before_it_is_made(
    answering: Answering, options: list[str]
) -> None:
    terminal = answering({"POST /tokens": Reply(MADE, 201)})
    assert terminal("token", "add", "--name", "ci", *options).exit_code == 2
    assert script(terminal).asked == []


@pytest.mark.parametrize("link", [False, True])
def test_a_file_that_is_there_is_kept_and_no_token_is_made(
    answering: Answering, tmp_path: Path, link: bool
) -> None:
    file = tmp_path / "token"
    if link:
        file.symlink_to(tmp_path / "elsewhere")
    else:
        file.write_text("kept")
    terminal = answering({"POST /tokens": Reply(MADE, 201)})
    told = terminal("token", "add", "--name", "ci", "--output", str(file))
    assert told.exit_code == 2
    assert script(terminal).asked == []
    assert not (tmp_path / "elsewhere").exists()


def test_a_token_that_is_refused_leaves_no_file(answering: Answering, tmp_path: Path) -> None:
    file = tmp_path / "token"
    terminal = answering({"POST /tokens": problem(403, "too much")})
    told = terminal("token", "add", "--name", "ci", "--output", str(file))
    assert told.exit_code == 3
    assert not file.exists()


def test_a_token_is_rotated_and_revoked(answering: Answering, tmp_path: Path) -> None:
    terminal = answering({"POST /tokens/9/rotate": Reply(MADE, 201), "DELETE /tokens/9": ROW})
    told = terminal("token", "rotate", "9", "--grace", "1h", "--output", str(tmp_path / "t"))
    assert told.exit_code == 0, told.output
    assert script(terminal).asked[0].body == {"grace_seconds": 3600}
    assert terminal("token", "rm", "9", typed="n\n").exit_code == 1
    assert terminal("token", "rm", "9", "--yes").stdout == "token 9 is revoked\n"
