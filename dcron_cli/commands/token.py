"""`dcron token`: what programs use in place of a login.

A new token goes into a file that only its user can read; on a screen it shows only if that is asked
for, and nowhere else.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from dcron_cli.errors import CliError, Misused
from dcron_cli.output import Column, instant, key, note, say, short, show_json, show_list
from dcron_cli.params import DURATION, confirm, yes_option
from dcron_cli.session import Session, json_option, pass_session, profile_option

COLUMNS = [
    key("id"),
    key("user"),
    key("name", cut=True),
    key("kind"),
    key("scope"),
    Column("expires", lambda one: instant(one["expires_at"])),
    Column("last used", lambda one: short(one["last_used_at"])),
    Column("over", lambda one: short(one["revoked_at"])),
    key("parent", "made with"),
]
_id_argument = click.argument("token_id", metavar="ID", type=click.IntRange(1))


def _where_options(function: Any) -> Any:
    for option in (
        click.option(
            "--output",
            type=click.Path(dir_okay=False, path_type=Path),
            metavar="FILE",
            help="Write the token there, mode 0600; a file that is there already is kept.",
        ),
        click.option("--show", "shown", is_flag=True, help="Print the token, once."),
        json_option,
        profile_option,
    )[::-1]:
        function = option(function)
    return function


@click.group()
def token() -> None:
    """Tokens, for programs. A token is told once, when it is made."""


@token.command(name="list")
@click.option("--user", metavar="USER", help="Of one user.")
@json_option
@profile_option
@pass_session
def listed(session: Session, /, user: str | None) -> None:
    """Your tokens and logins; as an admin, everybody's."""
    found = session.client.get("/tokens", {"user": user})
    show_list(found, COLUMNS, as_json=session.as_json, none="there is no token")


@token.command()
@click.option("--name", required=True, help="What it is for.")
@click.option("--user", metavar="USER", help="Whose; admins only.")
@click.option(
    "--scope", type=click.Choice(["read", "operate", "admin"]), help="What it may do at most."
)
@click.option("--expires", "days", type=click.IntRange(1, 36_500), metavar="DAYS")
@_where_options
@pass_session
def add(
    session: Session, /, output: Path | None, shown: bool, days: int | None, **given: Any
) -> None:
    """Make a token; --output FILE or --show says where it goes."""
    body = {name: value for name, value in given.items() if value is not None}
    if days is not None:
        body["expires_in_days"] = days
    _made(session, "/tokens", body, output, shown)


@token.command()
@_id_argument
@click.option("--grace", type=DURATION, help="How long the old one stays good; not at all.")
@_where_options
@pass_session
def rotate(
    session: Session, /, token_id: int, grace: int | None, output: Path | None, shown: bool
) -> None:
    """Make a token in place of token ID."""
    from dcron_cli.client import path

    body = None if grace is None else {"grace_seconds": grace}
    _made(session, path("tokens", str(token_id), "rotate"), body, output, shown)


def _made(session: Session, where: str, body: Any, output: Path | None, shown: bool) -> None:
    """Ask for a token and hand it out. The place is made first: a token that nobody gets must not
    be made."""
    if (output is None) != shown:
        raise Misused("say where the token shall go: --output FILE, or --show")
    if output is None:
        made = session.client.ask("POST", where, body).json
    else:
        made = _into_file(session, where, body, output)
    if session.as_json:
        show_json({name: one for name, one in made.items() if shown or name != "token"})
    elif output is None:
        say(made["token"])
        note(f"(token {made['id']}; it is not shown again)")
    else:
        say(f"token {made['id']} is in {output}")


def _into_file(session: Session, where: str, body: Any, output: Path) -> dict[str, Any]:
    try:
        descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise Misused(f"--output {output}: {error.strerror}: choose another file") from error
    with os.fdopen(descriptor, "w") as file:
        try:
            made = session.client.ask("POST", where, body).json
        except CliError:
            output.unlink(missing_ok=True)
            raise
        file.write(f"{made['token']}\n")
        file.flush()
        os.fsync(file.fileno())
    return dict(made)


@token.command()
@_id_argument
@yes_option
@profile_option
@pass_session
def rm(session: Session, /, token_id: int, yes: bool) -> None:
    """Revoke token ID: it opens nothing from now on."""
    from dcron_cli.client import path

    confirm(f"revoke token {token_id}?", yes)
    session.client.ask("DELETE", path("tokens", str(token_id)))
    say(f"token {token_id} is revoked")
