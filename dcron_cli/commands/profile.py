"""`dcron profile`: the clusters that were logged in to. No token is ever shown."""

from __future__ import annotations

from typing import Any

import click

from dcron_cli import profiles
from dcron_cli.output import Column, key, say, show_list
from dcron_cli.session import Session, json_option, pass_session


def _names(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    folder = context.ensure_object(Session).environment.folder
    return [name for name in profiles.load(folder).known if name.startswith(incomplete)]


_profile = click.argument("name", shell_complete=_names)


@click.group()
def profile() -> None:
    """The clusters you have logged in to."""


@profile.command(name="list")
@json_option
@pass_session
def listed(session: Session, /) -> None:
    """All of them; `*` marks the current one."""
    known = profiles.load(session.environment.folder)
    rows: list[dict[str, Any]] = [
        {
            "name": name,
            "current": name == known.current,
            "url": one.url,
            "ca": one.ca,
            "user": one.user,
            "logged_in": one.token is not None,
            "expires_at": one.expires_at,
        }
        for name, one in sorted(known.known.items())
    ]
    columns = [
        Column("", lambda one: "*" if one["current"] else " "),
        key("name"),
        key("url", cut=True),
        key("user"),
        key("logged_in"),
        key("expires_at", "until"),
    ]
    show_list(
        rows, columns, as_json=session.as_json, none="none yet: dcron login --url https://..."
    )


@profile.command()
@_profile
@pass_session
def use(session: Session, /, name: str) -> None:
    """Make NAME the one that commands talk to."""
    folder = session.environment.folder
    changed = profiles.load(folder).using(name)
    profiles.save(folder, changed)
    say(f"commands talk to {changed.known[name].url} now")


@profile.command()
@_profile
@pass_session
def rm(session: Session, /, name: str) -> None:
    """Forget NAME; its token goes on being valid unless `dcron logout` came first."""
    folder = session.environment.folder
    profiles.save(folder, profiles.load(folder).without(name))
    say(f"profile {name} is forgotten")
