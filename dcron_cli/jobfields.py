"""A job's fields as options of `job add` and `job edit`, and as the body of a request."""

from __future__ import annotations

import base64
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

from dcron_cli.errors import Misused
from dcron_cli.params import DURATION, PAIR, SIZE

F = TypeVar("F", bound=Callable[..., Any])

# Options whose value is the field's, as it is.
_PLAIN = {
    "schedule": "schedule",
    "name": "name",
    "tz": "timezone",
    "owner": "owner",
    "team": "team",
    "filename": "filename",
    "workdir": "working_directory",
    "run_as": "run_as",
    "concurrency": "concurrency",
    "timeout": "timeout_seconds",
    "retries": "retries",
    "retry_delay": "retry_delay_seconds",
    "starting_deadline": "starting_deadline_seconds",
    "catch_up": "catch_up",
    "on_worker_loss": "on_worker_loss",
    "on_isolation": "on_isolation",
    "paused": "paused",
}
_LISTS = {"argument": "arguments", "secret": "secrets"}
_MAPS = {"label": "labels", "env": "environment"}
_LIMITS = {
    "memory": "memory_bytes",
    "cpu": "cpu_percent",
    "processes": "processes",
    "output": "output_bytes",
}

# A field's options, the other way round; of what is nested, its place as messages write it.
OPTIONS_OF: Mapping[str, tuple[str, ...]] = {
    **{field: (option,) for option, field in {**_PLAIN, **_LISTS, **_MAPS}.items()},
    **{f"limits.{field}": (option,) for option, field in _LIMITS.items()},
    "placement.labels": ("worker_label",),
    "placement.on": ("on",),
    "executable": ("command", "script", "binary"),
}

WRITABLE = (
    *("name", "type", "executable", "schedule", "timezone", "filename", "arguments"),
    *("labels", "owner", "team", "environment", "working_directory", "secrets", "run_as"),
    *("concurrency", "timeout_seconds", "retries", "retry_delay_seconds"),
    *("starting_deadline_seconds", "catch_up", "on_worker_loss", "on_isolation"),
    *("placement", "limits", "paused"),
)


def _choice(*words: str) -> click.Choice[str]:
    return click.Choice(words)


_OPTIONS: tuple[tuple[tuple[str, ...], dict[str, Any]], ...] = (
    (("--schedule", "-s"), {"metavar": "EXPR", "help": "'*/5 * * * *', @daily, '@at 2036-…Z'."}),
    (("--command", "-c"), {"metavar": "TEXT", "help": "What /bin/sh runs."}),
    (("--script",), {"metavar": "FILE", "help": "A script's file; - reads stdin."}),
    (("--binary",), {"metavar": "FILE", "help": "A program's file."}),
    (("--filename",), {"help": "How the file is called where it runs."}),
    (("--argument", "-a"), {"multiple": True, "help": "Of a script or binary; repeat it."}),
    (("--name", "-n"), {"help": "Unique; other commands take it in place of the id."}),
    (("--label", "-l"), {"type": PAIR, "multiple": True, "help": "Repeat it."}),
    (("--env", "-e"), {"type": PAIR, "multiple": True, "help": "A variable; repeat it."}),
    (("--secret",), {"multiple": True, "metavar": "NAME", "help": "A secret it gets; repeat it."}),
    (("--tz",), {"metavar": "ZONE", "help": "The schedule's zone, such as Europe/Riga."}),
    (("--workdir",), {"metavar": "DIR", "help": "Where it runs."}),
    (("--run-as",), {"metavar": "USER", "help": "As which OS user."}),
    (("--owner",), {"metavar": "USER", "help": "Admins only."}),
    (("--team",), {"help": "Whose members may change it."}),
    (("--timeout",), {"type": DURATION, "help": "Ended after that."}),
    (("--retries",), {"type": click.IntRange(0), "help": "After a failure."}),
    (("--retry-delay",), {"type": DURATION, "help": "Before the first; doubles."}),
    (("--starting-deadline",), {"type": DURATION, "help": "How late a start may be."}),
    (("--concurrency",), {"type": _choice("allow", "forbid", "replace"), "help": "Overlap."}),
    (("--catch-up",), {"type": _choice("all", "latest", "none"), "help": "Of missed minutes."}),
    (("--on-worker-loss",), {"type": _choice("rerun", "fail")}),
    (("--on-isolation",), {"type": _choice("skip", "run"), "help": "Worker without ZooKeeper."}),
    (("--on",), {"type": _choice("one", "all"), "help": "On one worker, or on every one."}),
    (("--worker-label",), {"type": PAIR, "multiple": True, "help": "Only there; repeat it."}),
    (("--memory",), {"type": SIZE, "help": "Bound of a run."}),
    (("--cpu",), {"type": click.IntRange(1), "metavar": "PERCENT", "help": "Bound of a run."}),
    (("--processes",), {"type": click.IntRange(1), "help": "Bound of a run."}),
    (("--output",), {"type": SIZE, "help": "How much of its output is kept."}),
    (("--paused/--not-paused",), {"default": None, "help": "Whether it is due at all."}),
)


def field_options(function: F) -> F:
    """All fields as options; the command gets them as keyword arguments."""
    for names, more in reversed(_OPTIONS):
        function = click.option(*names, **more)(function)
    return function


def body_of(given: Mapping[str, Any], before: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The fields that options name. Pairs are laid over those of the job `before`; lists take the
    place of the whole list. Misused for options that contradict each other."""
    present = before or {}
    body = _executable(given)
    body |= {field: given[name] for name, field in _PLAIN.items() if given[name] is not None}
    body |= {field: list(given[name]) for name, field in _LISTS.items() if given[name]}
    for name, field in _MAPS.items():
        dropped = given.get(f"no_{name}", ())
        if given[name] or dropped:
            body[field] = _laid_over(present.get(field, {}), given[name], dropped)
    if given["on"] is not None or given["worker_label"]:
        old = present.get("placement", {"labels": {}, "on": "one"})
        labels = _laid_over(old["labels"], given["worker_label"], ())
        body["placement"] = {"labels": labels, "on": given["on"] or old["on"]}
    bounds = {field: given[name] for name, field in _LIMITS.items() if given[name] is not None}
    if bounds:
        body["limits"] = {**present.get("limits", {}), **bounds}
    return body


def _laid_over(
    old: Mapping[str, str], new: Iterable[tuple[str, str]], dropped: Iterable[str]
) -> dict[str, str]:
    gone = set(dropped)
    return {name: value for name, value in {**old, **dict(new)}.items() if name not in gone}


def _executable(given: Mapping[str, Any]) -> dict[str, Any]:
    named = [kind for kind in ("command", "script", "binary") if given[kind] is not None]
    if len(named) > 1:
        raise Misused(f"give one of --{' and --'.join(named)}, not both")
    if not named:
        return {}
    kind = named[0]
    if kind == "command":
        return {"type": kind, "executable": given[kind]}
    if given[kind] == "-":
        return {"type": kind, "executable": base64.b64encode(sys.stdin.buffer.read()).decode()}
    path = Path(given[kind])
    return {"type": kind, "executable": encoded(read_file(path)), "filename": path.name}


def read_file(path: Path) -> bytes:
    """A file of the user's; Misused names it where it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise Misused(f"{path}: cannot be read: {error.strerror}") from error


def encoded(data: bytes) -> str:
    """A file as the API takes it."""
    return base64.b64encode(data).decode()
