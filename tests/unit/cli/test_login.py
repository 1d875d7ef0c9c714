"""`dcron login`, `logout`, `me` and `profile`."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dcron_cli import profiles
from tests.unit.cli.cluster import TOKEN, URL, Script, Terminal, problem

ME = {
    "name": "ann",
    "role": "operator",
    "teams": ["ops"],
    "os_users": ["dcron-job"],
    "scope": "operate",
    "token_id": "7",
    "token_kind": "login",
    "expires_at": "2027-01-16T08:00:30Z",
}
LOGIN = {"token": TOKEN, "expires_at": "2027-01-16T08:00:30Z"}


def at(tmp_path: Path, answers: dict[str, Any]) -> Terminal:
    """A terminal that knows a cluster by its profiles only."""
    return Terminal(Script(answers), tmp_path, token=None, url=None)


def test_a_login_by_password_is_remembered_and_used(tmp_path: Path) -> None:
    terminal = at(tmp_path, {"POST /login": LOGIN, "GET /me": ME})
    told = terminal("login", "--url", URL, "--name", "ann", typed="kept-quiet\n")
    assert told.exit_code == 0, told.output
    assert told.stdout == (
        f"logged in to {URL} as ann, until 2027-01-16T08:00:30Z (profile default)\n"
    )
    assert "kept-quiet" not in told.output and TOKEN not in told.output
    script = terminal.adapter
    assert isinstance(script, Script)
    assert script.asked[0].body == {"name": "ann", "password": "kept-quiet"}
    assert "Authorization" not in script.asked[0].headers
    assert terminal("me").exit_code == 0
    assert script.asked[1].headers["Authorization"] == f"Bearer {TOKEN}"
    file = tmp_path / "dcron" / profiles.FILE
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_login_that_is_refused_leaves_nothing(tmp_path: Path) -> None:
    terminal = at(tmp_path, {"POST /login": problem(401, "name or password is wrong")})
    told = terminal("login", "--url", URL, "--name", "ann", typed="wrong\n")
    assert (told.exit_code, told.stderr.splitlines()[-1]) == (3, "dcron: name or password is wrong")
    assert list(tmp_path.iterdir()) == []


def test_a_token_from_stdin_is_tried_before_it_is_remembered(tmp_path: Path) -> None:
    terminal = at(tmp_path, {"GET /me": ME})
    told = terminal("login", "--url", URL, "--token-stdin", typed=f"{TOKEN}\n")
    assert told.stdout == f"logged in to {URL} as ann (profile default)\n"
    assert profiles.load(tmp_path / "dcron").known["default"].token == TOKEN
    terminal = at(tmp_path / "other", {"GET /me": problem(401, "bad token")})
    assert terminal("login", "--url", URL, "--token-stdin", typed="bad\n").exit_code == 3
    assert not (tmp_path / "other").exists()


def test_stdin_without_a_token_is_refused(tmp_path: Path) -> None:
    for typed in ("", "\n", "two words\n", "x" * 5000):
        told = at(tmp_path, {"GET /me": ME})("login", "--url", URL, "--token-stdin", typed=typed)
        assert told.exit_code == 2


def test_a_login_without_tls_to_another_machine_is_refused(tmp_path: Path) -> None:
    told = at(tmp_path, {})("login", "--url", "http://dcron.example", "--name", "ann", typed="x\n")
    assert told.exit_code == 2
    assert "in the clear" in told.stderr


def test_a_logout_ends_a_login_but_only_forgets_a_token_that_was_given(tmp_path: Path) -> None:
    terminal = at(tmp_path, {"POST /login": LOGIN, "GET /me": ME, "POST /logout": {}})
    script = terminal.adapter
    assert isinstance(script, Script)
    terminal("login", "--url", URL, "--name", "ann", typed="word\n")
    assert terminal("logout").exit_code == 0
    assert len(script.sent("POST", "/logout")) == 1
    assert profiles.load(tmp_path / "dcron").known["default"].token is None
    terminal("login", "--token-stdin", typed=TOKEN)
    assert terminal("logout").exit_code == 0
    assert len(script.sent("POST", "/logout")) == 1
    assert profiles.load(tmp_path / "dcron").known["default"].token is None


def test_a_logout_forgets_the_token_though_the_cluster_is_away(tmp_path: Path) -> None:
    terminal = at(tmp_path, {"POST /login": LOGIN, "POST /logout": problem(503, "away")})
    terminal("login", "--url", URL, "--name", "ann", typed="word\n")
    told = terminal("logout")
    assert told.exit_code == 0
    assert "was not told: away" in told.stderr
    assert TOKEN not in (tmp_path / "dcron" / profiles.FILE).read_text()


def test_profiles_are_listed_without_tokens_chosen_and_forgotten(tmp_path: Path) -> None:
    terminal = at(tmp_path, {"POST /login": LOGIN, "GET /me": ME})
    for name in ("home", "lab"):
        terminal("--profile", name, "login", "--url", URL, "--name", "ann", typed="word\n")
    told = terminal("profile", "list", "--json")
    assert [(one["name"], one["current"]) for one in json.loads(told.stdout)] == [
        ("home", False),
        ("lab", True),
    ]
    assert TOKEN not in told.output + terminal("profile", "list").output
    assert terminal("profile", "use", "home").exit_code == 0
    assert profiles.load(tmp_path / "dcron").current == "home"
    assert terminal("profile", "rm", "lab").exit_code == 0
    assert terminal("me", "--profile", "lab").exit_code == 2
    assert terminal("profile", "use", "nonsense").exit_code == 2


def test_a_profile_that_is_named_beats_the_environment(tmp_path: Path) -> None:
    terminal = at(tmp_path, {"POST /login": LOGIN, "GET /me": ME})
    terminal("login", "--profile", "lab", "--url", URL, "--name", "ann", typed="word\n")
    script = Script({"GET /me": ME})
    both = Terminal(script, tmp_path, token="of-the-environment", url=URL)
    both("me")
    both("--profile", "lab", "me")
    both("me", "--profile", "lab")
    sent = [one.headers["Authorization"] for one in script.asked]
    assert sent == ["Bearer of-the-environment", f"Bearer {TOKEN}", f"Bearer {TOKEN}"]


def test_a_profile_of_another_cluster_is_not_replaced_before_its_token_is_over(
    tmp_path: Path,
) -> None:
    terminal = at(tmp_path, {"POST /login": LOGIN, "GET /me": ME, "POST /logout": {}})
    script = terminal.adapter
    assert isinstance(script, Script)
    other = "https://other.example"
    terminal("login", "--url", URL, "--name", "ann", typed="word\n")
    for named in ((), ("--profile", "default")):
        told = terminal("login", "--url", other, "--name", "ann", *named, typed="word\n")
        assert told.exit_code == 2
        assert f"dcron login --profile NAME --url {other}" in told.stderr
        assert "dcron logout --profile default" in told.stderr
    assert len(script.sent("POST", "/login")) == 1  # no password was sent anywhere
    kept = profiles.load(tmp_path / "dcron")
    assert (kept.known["default"].url, kept.known["default"].token) == (URL, TOKEN)

    beside = terminal("login", "--profile", "b", "--url", other, "--name", "ann", typed="word\n")
    assert beside.exit_code == 0
    assert terminal("logout", "--profile", "default").exit_code == 0
    told = terminal("login", "--profile", "default", "--url", other, "--name", "ann", typed="w\n")
    assert told.exit_code == 0
    assert profiles.load(tmp_path / "dcron").known["default"].url == other


def test_another_login_at_the_same_address_takes_the_place_of_the_first(tmp_path: Path) -> None:
    terminal = at(tmp_path, {"POST /login": LOGIN, "GET /me": ME})
    for _ in range(2):
        assert terminal("login", "--url", URL, "--name", "ann", typed="word\n").exit_code == 0


def test_me_is_shown_to_people_and_programs(
    answering: Callable[[dict[str, Any]], Terminal],
) -> None:
    terminal = answering({"GET /me": ME})
    assert json.loads(terminal("me", "--json").stdout) == ME
    assert "operator" in terminal("me").stdout
