"""What arguments may look like: pairs, durations, sizes; and names that complete."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import click

from dcron_cli.errors import CliError, Misused
from dcron_cli.session import Session
from dcron_cli.terminal import visible
from dcron_common.errors import DcronError

if TYPE_CHECKING:
    from dcron_cli.client import Client

_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}
_SIZES = {"": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}
_COMPLETED = 50  # names at most


class Pair(click.ParamType[tuple[str, str]]):
    """`KEY=VALUE`."""

    name = "KEY=VALUE"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        if isinstance(value, tuple):
            return value
        key, equals, text = str(value).partition("=")
        if not equals or not key:
            self.fail(f"{visible(str(value))!r} is no pair; write KEY=VALUE", param, ctx)
        return key, text


class Scaled(click.ParamType[int]):
    """A whole number with a unit."""

    def __init__(self, name: str, units: dict[str, int], example: str) -> None:
        self.name = name
        self._units = units
        self._example = example

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        found = re.fullmatch(r"([0-9]{1,15})([a-z]?)", str(value).lower())
        if found is None or found[2] not in self._units:
            self.fail(f"{visible(str(value))!r} is refused; write {self._example}", param, ctx)
        return int(found[1]) * self._units[found[2]]


PAIR = Pair()
DURATION = Scaled("DURATION", _UNITS, "seconds, or such as 90s, 5m, 2h, 1d")
SIZE = Scaled("SIZE", _SIZES, "bytes, or such as 512K, 256M, 2G")

Complete = Callable[[click.Context, click.Parameter, str], list[str]]


def completing(names: Callable[[Client, str], Iterable[str | None]]) -> Complete:
    """Names from the cluster. A shell that completes is never disturbed: no answer, no names."""

    def complete(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
        session = context.find_root().ensure_object(Session)
        session.profile = session.profile or context.params.get("profile")
        try:
            found = list(names(session.client, incomplete))
        except DcronError:
            return []
        return [
            name
            for name in found
            if name is not None and name.startswith(incomplete) and name.isprintable()
        ]

    return complete


def _job_names(client: Client, incomplete: str) -> Iterable[str | None]:
    params = {"removed": "false", **({"q": incomplete} if incomplete else {})}
    return (one["name"] for one in client.listed("/jobs", params, _COMPLETED).items)


def _worker_names(client: Client, _incomplete: str) -> Iterable[str | None]:
    return (one["name"] for one in client.get("/workers"))


job_argument = click.argument("job", metavar="JOB", shell_complete=completing(_job_names))
jobs_argument = click.argument(
    "jobs", metavar="[JOB]...", nargs=-1, shell_complete=completing(_job_names)
)
worker_argument = click.argument(
    "worker", metavar="WORKER", shell_complete=completing(_worker_names)
)
label_option = click.option(
    "--label", "labels", type=PAIR, multiple=True, help="Only with this label; may be repeated."
)
yes_option = click.option("--yes", "-y", is_flag=True, help="Do not ask.")
limit_option = click.option(
    "--limit", type=click.IntRange(1), default=100, show_default=True, help="So many at most."
)


def is_attended() -> bool:
    """Whether somebody is there to answer; what else stands on stdin is not for us."""
    return sys.stdin.isatty()


def check_attended(what: str) -> None:
    """Misused, with the remedy, where nobody is there to confirm that."""
    if not is_attended():
        raise Misused(f"{what}: nobody is here to confirm it; say so by --yes")


def confirm(question: str, yes: bool) -> None:
    """Go on only if the user says so. CliError otherwise; Misused where nobody is there to."""
    if yes:
        return
    check_attended(question.rstrip("?"))
    try:
        click.confirm(visible(question), abort=True, err=True)
    except click.Abort as error:
        raise CliError("not done; --yes goes on without asking") from error


def asked_quietly(what: str, confirm: bool = False) -> str:
    """A text that does not show as it is typed; a line of stdin where nobody types. Misused."""
    if sys.stdin.isatty():
        return str(click.prompt(what, hide_input=True, confirmation_prompt=confirm, err=True))
    line = sys.stdin.readline().rstrip("\r\n")
    if not line:
        raise Misused(f"{what.lower()}: stdin has no line for it")
    return line
