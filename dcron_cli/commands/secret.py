"""`dcron secret`: values that jobs get and nobody reads again."""

from __future__ import annotations

import sys
from typing import Any

import click

from dcron_cli.errors import Misused
from dcron_cli.output import Column, instant, key, say, show_json, show_list
from dcron_cli.params import completing, confirm, yes_option
from dcron_cli.session import Session, json_option, pass_session, profile_option

COLUMNS = [
    key("name"),
    key("owner"),
    key("team"),
    key("revision"),
    key("jobs"),
    Column("updated", lambda one: instant(one["updated_at"])),
]
_secret_argument = click.argument(
    "secret",
    metavar="SECRET",
    shell_complete=completing(lambda client, _: (one["name"] for one in client.get("/secrets"))),
)


@click.group()
def secret() -> None:
    """Values that jobs get and nobody reads again. They are never typed as an argument."""


@secret.command(name="list")
@json_option
@profile_option
@pass_session
def listed(session: Session, /) -> None:
    """Names, owners, and how many jobs have each; no values."""
    found = session.client.get("/secrets")
    show_list(found, COLUMNS, as_json=session.as_json, none="no secret is stored")


@secret.command(name="set")
@_secret_argument
@click.option("--owner", metavar="USER", help="Admins only.")
@click.option("--team", help="Whose members' jobs may have it.")
@json_option
@profile_option
@pass_session
def store(session: Session, /, secret: str, owner: str | None, team: str | None) -> None:
    """Store SECRET; its value comes from stdin, or is asked for without showing it.

    One newline at the end of stdin is not part of it: dcron secret set DB_PASSWORD < file
    """
    from dcron_cli.client import path

    body: dict[str, Any] = {"value": _value()}
    body |= {name: one for name, one in (("owner", owner), ("team", team)) if one is not None}
    stored = session.client.ask("PUT", path("secrets", secret), body).json
    if session.as_json:
        show_json(stored)
    else:
        say(f"secret {secret} is stored; jobs get it by --secret {secret}")


def _value() -> str:
    if sys.stdin.isatty():
        return str(click.prompt("Value", hide_input=True, confirmation_prompt=True, err=True))
    try:
        text = sys.stdin.buffer.read().decode()
    except UnicodeDecodeError as error:
        raise Misused("the value is no UTF-8; encode it first, such as by base64") from error
    value = text.removesuffix("\n").removesuffix("\r")
    if not value:
        raise Misused("stdin is empty; such as: dcron secret set NAME < file")
    return value


@secret.command()
@_secret_argument
@yes_option
@profile_option
@pass_session
def rm(session: Session, /, secret: str, yes: bool) -> None:
    """Remove SECRET, which no job may name any more."""
    from dcron_cli.client import path

    confirm(f"remove the secret {secret}?", yes)
    session.client.ask("DELETE", path("secrets", secret))
    say(f"secret {secret} is removed")
