"""What the cluster refuses, in the words of who types `dcron`."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dcron_cli.errors import CliError, LoggedOut, NotAllowed, NotFound, Refused, kind_of
from dcron_cli.wording import missing, plain
from tests.unit.cli.cluster import Terminal, job, problem

Answering = Callable[[dict[str, Any]], Terminal]
ROOT = Path(__file__).parents[3]
REST = re.compile(r"\b(GET|POST|PUT|PATCH|DELETE) |If-Match|[?]\w+=|/health|\{(run_)?id\}|[.]md\b")
# Of requests that no command makes, and descriptions for programs.
ELSEWHERE = re.compile(
    r"^(The body of |If-Match X$|as GET shows|`application/problem|, or|[A-Z]+$)|as GET does"
    r"|<html|/static/|cursor|^X has |^GET X|take it as it is"
)


def messages() -> Iterator[str]:
    """Sentences that the API may answer; what is filled in shows as X."""
    for file in sorted((ROOT / "dcron_app" / "api").glob("*.py")):
        if file.name in ("openapi.py", "description.py", "shapes.py"):
            continue
        tree = ast.parse(file.read_text())
        within = {id(part) for one in ast.walk(tree) for part in _parts(one)}
        for one in ast.walk(tree):
            if id(one) in within:
                continue
            text = _text(one)
            if text is not None and " " in text and "\n" not in text:
                yield text


def _parts(one: ast.AST) -> Iterator[ast.AST]:
    """What belongs to a greater text, and docstrings."""
    if isinstance(one, ast.JoinedStr):
        yield from one.values
    if isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant):
        yield one.value
    if isinstance(one, ast.keyword) and one.arg in ("description", "__doc__"):
        yield from ast.walk(one.value)


def _text(one: ast.AST) -> str | None:
    if isinstance(one, ast.JoinedStr):
        return "".join(
            str(part.value) if isinstance(part, ast.Constant) else "X" for part in one.values
        )
    return one.value if isinstance(one, ast.Constant) and isinstance(one.value, str) else None


def test_no_message_of_the_api_speaks_of_calls_once_it_is_worded() -> None:
    found = [one for one in messages() if not ELSEWHERE.search(one)]
    assert sum(plain(one) != one for one in found) > 10  # they are found at all
    assert [one for one in found if REST.search(plain(one))] == []


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("make it first: PUT /secrets/DB", "make it first: dcron secret set DB"),
        ("drain it (POST /workers/n1/drain), then", "drain it (dcron worker drain n1), then"),
        ("then DELETE /workers/NAME", "then dcron worker forget NAME"),
        ("(POST /jobs/{id}/runs/{run_id}/kill)", "(dcron run kill JOB RUN)"),
        ("all is well", "all is well"),
    ],
)
def test_calls_are_said_as_commands(said: str, told: str) -> None:
    assert plain(said) == told


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/workers/n1/drain", "there is no worker n1; see: dcron worker list"),
        ("/jobs/7", "there is no job 7; see: dcron job list"),
        ("/jobs/7/runs/R/kill", "job 7 has no run R; see: dcron run list 7"),
        ("/jobs/7/executable", None),
        ("/jobs/pause", None),
        ("/audit", None),
        ("/users/a%2Fb", "there is no user a/b; see: dcron user list"),
    ],
)
def test_a_path_says_what_is_missing(path: str, told: str | None) -> None:
    assert missing(path) == told


@pytest.mark.parametrize(
    ("field", "option"),
    [
        ("timezone", "--tz"),
        ("timeout_seconds", "--timeout"),
        ("working_directory", "--workdir"),
        ("environment.LD_PRELOAD", "--env LD_PRELOAD"),
        ("labels.a b", "--label a b"),
        ("placement.labels.rack", "--worker-label rack"),
        ("limits.memory_bytes", "--memory"),
        ("arguments[2]", "--argument no. 3"),
        ("secrets[0]", "--secret no. 1"),
        ("executable", "--command"),
        ("schedule", "--schedule"),
        ("body", "what was given"),
        ("novel", "novel"),
    ],
)
def test_a_field_is_called_by_the_option_that_gave_it(
    answering: Answering, field: str, option: str
) -> None:
    refused = problem(422, f"refused: {field}", (field, "is bad"))
    told = answering({"POST /jobs": refused})("job", "add", "-s", "@daily", "-c", "ls")
    assert told.stderr.splitlines() == [f"dcron: refused: {option}", f"  {option}: is bad"]


@pytest.mark.parametrize(
    ("call", "field", "command", "option"),
    [
        ("POST /users", "name", ("user", "add", "a b", "--role", "viewer"), "USER"),
        ("POST /users", "os_users[0]", ("user", "add", "a", "--role", "admin"), "--os-user no. 1"),
        ("GET /audit", "from", ("audit", "--from", "x"), "--from"),
        ("GET /audit", "object_type", ("audit", "--type", "job"), "--type"),
        ("GET /jobs", "q", ("job", "list", "--text", "x"), "--text"),
        ("GET /jobs", "label[0]", ("job", "list", "--label", "a=b"), "--label no. 1"),
        ("POST /tokens", "expires_in_days", ("token", "add", "--name", "x", "--show"), "--expires"),
    ],
)
def test_each_command_has_its_own_words(
    answering: Answering, call: str, field: str, command: tuple[str, ...], option: str
) -> None:
    told = answering({call: problem(422, f"refused: {field}", (field, "is bad"))})(*command)
    assert told.stderr.splitlines() == [f"dcron: refused: {option}", f"  {option}: is bad"]


@pytest.mark.parametrize(
    ("path", "look"),
    [
        ("/jobs/7", "dcron job show 7"),
        ("/jobs", "dcron job list"),
        ("/workers/n1/labels", "dcron worker show n1"),
        ("/users/ann", "dcron user show ann"),
        ("/secrets/DB", "dcron secret list"),
        ("/tokens/3", "dcron token list"),
    ],
)
def test_what_was_changed_meanwhile_is_to_be_looked_at_where_it_shows(path: str, look: str) -> None:
    told = plain("it was changed by now: read it again and decide again", path)
    assert f"look at it ({look}) and do it again" in told


def test_a_job_that_was_changed_meanwhile_is_said_so(answering: Answering) -> None:
    message = "the job is at revision 4 by now: read it again and decide again"
    answers = {
        "GET /jobs/1": job(1),
        "DELETE /jobs/1": problem(412, message, ("If-Match", message)),
    }
    told = answering(answers)("job", "rm", "1", "--yes")
    assert (told.exit_code, told.stderr) == (
        1,
        "dcron: the job is at revision 4 by now: somebody else has changed it meanwhile; "
        "look at it (dcron job show 1) and do it again\n",
    )


@pytest.mark.parametrize(
    ("kinds", "code"),
    [
        ([NotAllowed], 3),
        ([NotAllowed, LoggedOut], 3),
        ([NotFound, NotFound], 4),
        ([NotAllowed, NotFound], 1),
        ([Refused, NotAllowed], 1),
        ([CliError], 1),
    ],
)
def test_several_failures_have_their_one_exit_code_or_1(
    kinds: list[type[CliError]], code: int
) -> None:
    assert kind_of(kinds).exit_code == code
