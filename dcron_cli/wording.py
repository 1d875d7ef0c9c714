"""The cluster's refusals in the words of who types `dcron`: commands for calls, options for fields.

Pure. What has no other word here stays as the cluster says it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import unquote

import click

from dcron_cli.errors import CliError
from dcron_cli.jobfields import OPTIONS_OF

IN_DOUBT = "may or may not"  # be done: nobody is told to try it again then
_UNKNOWN = "the cluster does not know this command; is its dcron older? see: dcron --version"
# What messages of the API name, and what does the same here. `{id}` is JOB, `{run_id}` is RUN;
# `{look}` is the command that shows what was asked for.
_SAME: tuple[tuple[str, str], ...] = (
    (r"GET /workers\b", "dcron worker list"),
    (r"POST /workers/([^\s/)]+)/(drain|resume)\b", r"dcron worker \2 \1"),
    (r"DELETE /workers/([^\s/)]+)", r"dcron worker forget \1"),
    (r"PUT /secrets/([^\s/)]+)", r"dcron secret set \1"),
    (r"GET /secrets\b", "dcron secret list"),
    (r"DELETE /tokens/([^\s/)]+)", r"dcron token rm \1"),
    (r"POST /jobs/([^\s/)]+)/runs/([^\s/)]+)/kill\b", r"dcron run kill \1 \2"),
    (r"GET /health/ready", "dcron top"),
    (r"only /health/live and /health/ready are answered", "nothing can be done until it is back"),
    (r"read what it writes with \?follow=true", "read what it writes by --follow"),
    (
        r"read it again and decide again\b.*",
        "somebody else has changed it meanwhile; look at it ({look}) and do it again",
    ),
    (r"\bpost it again\b", "make it again by dcron job add"),
    (
        r"Idempotency-Key: the first request with it is still being served; ask again",
        "it is still being done; look whether it is ({look}) before you ask again",
    ),
    (
        r"Idempotency-Key: the first request with it was broken off, and may or may not .*",
        "it was broken off, and may or may not be done: look ({look}) before you ask again",
    ),
    (r"look at the job's runs before you ask again", "look ({look}) before you ask again"),
    (r"this method is not for this path; use .*", _UNKNOWN),
    (r"there is nothing here; see docs/api.md for the paths", _UNKNOWN),
    (
        r"a token is needed: send the header Authorization: .*",
        "a token is needed, and what was sent is none",
    ),
    (
        r"is not BASE64 \(.*\); write the output of: base64 -w0 FILE",
        "is not the text of a file (BASE64); in a file of jobs write file: PATH instead",
    ),
    (r"a script or binary needs its file as BASE64", "a script or binary needs a file that is not"),
    (r"the server could not read this request", "the cluster could not read what was sent"),
    (r"`to`", "--to"),
    (r"\{id\}", "JOB"),
    (r"\{run_id\}", "RUN"),
)
_NOUNS = {
    "jobs": ("job", "dcron job list"),
    "workers": ("worker", "dcron worker list"),
    "users": ("user", "dcron user list"),
    "tokens": ("token", "dcron token list"),
    "secrets": ("secret", "dcron secret list"),
}
# Parameters of commands by the fields of requests that they are sent as, beside those of a job.
_MORE: Mapping[str, tuple[str, ...]] = {
    "expires_in_days": ("days",),
    "grace_seconds": ("grace",),
    "object_type": ("kind",),
    "object_id": ("number",),
    "from": ("since",),
    "to": ("until",),
    "q": ("text",),
    "label": ("labels",),
    "labels": ("label", "labels"),
    "name": ("name", "user"),
    "type": ("kind", "command", "script", "binary"),
}
_FIELD = re.compile(r"(?P<name>[a-z_]+(?:[.](?:labels|on|[a-z]+_[a-z]+|processes))?)(?P<rest>.*)")


def plain(detail: str, path: str = "") -> str:
    """A message of the API's, without calls of it; `path`: of what was asked."""
    for pattern, words in _SAME:
        detail = re.sub(pattern, words, detail)
    return detail.replace("{look}", _look(path))


def _look(path: str) -> str:
    """The command that shows what a path names, else all of its kind."""
    kind, name, sub, run = [*(unquote(part) for part in path.split("/")[1:]), "", "", "", ""][:4]
    if kind == "jobs" and name.isdigit():
        if sub == "runs":
            return f"dcron run show {name} {run}" if run else f"dcron run list {name}"
        return f"dcron job show {name}"
    if kind in ("workers", "users") and name:
        return f"dcron {kind[:-1]} show {name}"
    return _NOUNS.get(kind, _NOUNS["jobs"])[1]


def missing(path: str) -> str | None:
    """What a path names that is not there, and where to look; None where it names no one thing."""
    kind, name, *rest = [*(unquote(part) for part in path.split("/")[1:]), "", ""][:5]
    if kind not in _NOUNS or not name or (kind == "jobs" and not name.isdigit()):
        return None
    if kind == "jobs" and rest[0] == "runs" and rest[1]:
        return f"job {name} has no run {rest[1]}; see: dcron run list {name}"
    if rest[0] == "executable":
        return None
    noun, see = _NOUNS[kind]
    return f"there is no {noun} {name}; see: {see}"


def spoken(error: CliError, context: click.Context) -> CliError:
    """The error with the options of the command in place of the fields of its request."""
    if not error.of_request:
        return error
    named = [(_option(field, context), message) for field, message in error.fields]
    message = error.message
    if message == _refusal(field for field, _ in error.fields):
        message = _refusal(field for field, _ in named)
    return error.saying(message, named)


def _refusal(fields: Iterable[str]) -> str:
    """The detail that the API makes of the names of what it refuses."""
    return f"refused: {', '.join(dict.fromkeys(field for field in fields if field))}"


def _option(field: str, context: click.Context) -> str:
    found = _FIELD.fullmatch(field)
    if field == "body":
        return "what was given"
    if found is None:
        return field
    name, rest = found["name"], found["rest"]
    names = (name, *OPTIONS_OF.get(name, ()), *_MORE.get(name, ()))
    there = [one for one in context.command.params if one.name in names]
    if not there:
        return field
    given = [one for one in there if context.params.get(str(one.name))]
    return _called((given or there)[0]) + _part(rest)


def _called(parameter: Any) -> str:
    """As it is typed: the option, or the word of the usage line."""
    if isinstance(parameter, click.Option):
        return max(parameter.opts, key=len)
    return str(parameter.human_readable_name).strip("[].")


def _part(rest: str) -> str:
    """Which of several: ` rack` of labels, ` no. 3` of arguments."""
    number = re.match(r"\[([0-9]+)\]", rest)
    if number is not None:
        return f" no. {int(number[1]) + 1}"
    return f" {rest[1:]}" if rest.startswith(".") else ""
