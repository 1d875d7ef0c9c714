"""`dcron user`: who may use the cluster; admins only, but for one's own password."""

from __future__ import annotations

from typing import Any

import click

from dcron_cli.errors import Misused
from dcron_cli.output import Column, key, say, short, show_json, show_list, show_record
from dcron_cli.params import asked_quietly
from dcron_cli.session import Session, json_option, pass_session, profile_option

ROLES = ["viewer", "operator", "admin"]
COLUMNS = [
    key("name"),
    key("role"),
    Column("teams", lambda one: ",".join(one["teams"])),
    Column("jobs run as", lambda one: ",".join(one["os_users"])),
    Column("state", lambda one: "disabled" if one["disabled"] else "active"),
    key("has_password", "password"),
    Column("last login", lambda one: short(one["last_login_at"])),
]
_user_argument = click.argument("user", metavar="USER")


@click.group()
def user() -> None:
    """Who may use the cluster."""


@user.command(name="list")
@json_option
@profile_option
@pass_session
def listed(session: Session, /) -> None:
    """All users."""
    found = session.client.get("/users")
    show_list(found, COLUMNS, as_json=session.as_json, none="there is no user")


@user.command()
@_user_argument
@json_option
@profile_option
@pass_session
def show(session: Session, /, user: str) -> None:
    """All that is known of USER."""
    from dcron_cli.client import path

    show_record(session.client.get(path("users", user)), as_json=session.as_json)


def _field_options(function: Any) -> Any:
    for option in (
        click.option("--role", type=click.Choice(ROLES)),
        click.option(
            "--team", "teams", multiple=True, help="May be repeated; new jobs: the first."
        ),
        click.option(
            "--os-user", "os_users", multiple=True, help="As whom jobs may run; repeat it."
        ),
        json_option,
        profile_option,
    )[::-1]:
        function = option(function)
    return function


def _body(given: dict[str, Any]) -> dict[str, Any]:
    body = {name: given[name] for name in ("role", "disabled") if given.get(name) is not None}
    return body | {name: list(given[name]) for name in ("teams", "os_users") if given[name]}


@user.command()
@_user_argument
@_field_options
@pass_session
def add(session: Session, /, user: str, **given: Any) -> None:
    """Make USER, who logs in once a password is set: dcron user password USER."""
    if given["role"] is None:
        raise Misused(f"give --role: {', '.join(ROLES)}")
    made = session.client.post_once("/users", {"name": user, **_body(given)})
    if session.as_json:
        show_json(made)
    else:
        say(f"user {user} is made; let them log in by: dcron user password {user}")


@user.command()
@_user_argument
@_field_options
@click.option("--no-teams", is_flag=True, help="Take all teams away.")
@click.option("--disable/--enable", "disabled", default=None, help="Whether tokens open anything.")
@pass_session
def edit(session: Session, /, user: str, no_teams: bool, **given: Any) -> None:
    """Change USER; what is not given stays. --team and --os-user take the place of all."""
    from dcron_cli.client import path

    body = {**_body(given), **({"teams": []} if no_teams else {})}
    if not body:
        raise Misused("give --role, --team, --no-teams, --os-user, --disable or --enable")
    changed = session.client.ask("PATCH", path("users", user), body).json
    if session.as_json:
        show_json(changed)
    else:
        say(f"user {user} is changed")


@user.command()
@click.argument("user", metavar="[USER]", required=False)
@click.option(
    "--end-tokens",
    is_flag=True,
    help="End all tokens of the user too, and what was made with them: after a theft.",
)
@profile_option
@pass_session
def password(session: Session, /, user: str | None, end_tokens: bool) -> None:
    """Set your own password, or USER's as an admin; asked for, or read from stdin.

    stdin: the new password in one line; for your own, the old one in a line before it.
    """
    from dcron_cli.client import path

    ends = {"end_tokens": True} if end_tokens else {}
    if user is None:
        old = asked_quietly("Old password")
        new = asked_quietly("New password", confirm=True)
        session.client.ask("PUT", "/me/password", {"old": old, "new": new, **ends})
        say("the password is changed, and all your logins have ended: dcron login")
    else:
        new = asked_quietly(f"New password of {user}", confirm=True)
        session.client.ask("PUT", path("users", user, "password"), {"password": new, **ends})
        say(f"the password of {user} is set")
