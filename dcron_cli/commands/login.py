"""`dcron login`, `logout` and `me`."""

from __future__ import annotations

import sys

import click

from dcron_cli import profiles
from dcron_cli.config import LOGIN, Target, checked_ca, checked_url
from dcron_cli.errors import CliError, Misused
from dcron_cli.output import note, say, show_record
from dcron_cli.params import asked_quietly
from dcron_cli.profiles import Profile
from dcron_cli.session import Session, json_option, pass_session, profile_option

_MAX_TOKEN = 4096


@click.command()
@click.option("--url", metavar="URL", help="The cluster, such as https://dcron.example.")
@click.option("--ca", metavar="FILE", help="Its ca.crt, where the machine does not trust it.")
@click.option("--name", metavar="USER", help="Your name there; asked for if left out.")
@click.option("--token-stdin", is_flag=True, help="Read a token from stdin, ask no password.")
@profile_option
@pass_session
def login(
    session: Session, /, url: str | None, ca: str | None, name: str | None, token_stdin: bool
) -> None:
    """Log in to a cluster, and remember it as the current profile.

    Asks for the password without showing it. `--profile` names the profile (default: the current
    one, else `default`); its address is kept from the last login there. A profile that is logged
    in to another address is not replaced.
    """
    if token_stdin and name is not None:
        raise Misused("--name is for a login by password; a token says itself whose it is")
    folder = session.environment.folder
    known = profiles.load(folder)
    chosen = session.profile or known.current or profiles.DEFAULT
    before = known.known.get(chosen)
    target = _target(url, ca, before)
    _check_is_free(chosen, before, target.url)
    made = _with_token(session, target) if token_stdin else _with_password(session, target, name)
    profile = Profile(
        chosen,
        target.url,
        None if target.ca is None else str(target.ca),
        made.user,
        made.token,
        made.expires_at,
        made.by_password,
    )
    profiles.save(folder, known.having(profile))
    until = "" if made.expires_at is None else f", until {made.expires_at}"
    say(f"logged in to {target.url} as {made.user}{until} (profile {chosen})")


def _target(url: str | None, ca: str | None, before: Profile | None) -> Target:
    """Where to log in: what is given, and for the rest what the profile says."""
    if url is None and before is None:
        url = click.prompt("URL", err=True)
    address = checked_url(before.url if url is None and before else str(url), "--url")
    if ca is not None:
        return Target(address, None, checked_ca(ca, "--ca"), LOGIN)
    kept = before.ca if before is not None and before.url == address else None
    return Target(address, None, None if kept is None else checked_ca(kept, "--ca"), LOGIN)


def _check_is_free(name: str, before: Profile | None, url: str) -> None:
    """A token that the profile has for another cluster would be forgotten, and still hold there."""
    if before is not None and before.token is not None and before.url != url:
        raise Misused(
            f"profile {name} is logged in to {before.url}: keep it, and log in to {url} by another "
            f"one (dcron login --profile NAME --url {url}), or end it first (dcron logout "
            f"--profile {name})"
        )


def _with_token(session: Session, target: Target) -> Profile:
    token = sys.stdin.read(_MAX_TOKEN + 1).strip()
    if not token or len(token) > _MAX_TOKEN or not token.isprintable() or " " in token:
        raise Misused("stdin holds no token; such as: dcron login --token-stdin < token")
    known = session.client_of(Target(target.url, token, target.ca, "the token"))
    return Profile("", target.url, user=str(known.get("/me")["name"]), token=token)


def _with_password(session: Session, target: Target, name: str | None) -> Profile:
    user = name or click.prompt("User", err=True)
    password = asked_quietly("Password")
    client = session.client_of(target)
    made = client.ask("POST", "/login", {"name": user, "password": password}).json
    token, expires = str(made["token"]), made.get("expires_at")
    return Profile("", target.url, None, user, token, expires, by_password=True)


@click.command()
@profile_option
@pass_session
def logout(session: Session, /) -> None:
    """End the login: its token opens nothing any more, and is forgotten here.

    A token that was given by --token-stdin is only forgotten: revoke it by `dcron token rm`.
    """
    folder = session.environment.folder
    known = profiles.load(folder)
    name = session.profile or known.current
    if name is None:
        raise Misused("there is no login to end; see: dcron profile list")
    profile = known.get(name)
    if profile.token is None:
        say(f"profile {name} was not logged in")
        return
    if profile.by_password:
        try:
            session.client_of(profile.target()).ask("POST", "/logout")
        except CliError as error:
            note(f"the token is forgotten here, but the cluster was not told: {error.message}")
    forgotten = Profile(name, profile.url, profile.ca, profile.user)
    profiles.save(folder, known.having(forgotten).using(known.current or name))
    say(f"logged out of {profile.url} (profile {name})")


@click.command()
@json_option
@profile_option
@pass_session
def me(session: Session, /) -> None:
    """Who you are there, and what you may do."""
    found = session.client.get("/me")
    if not session.as_json:
        say(f"{session.target.url} ({session.target.where})")
    show_record(found, as_json=session.as_json, first=("name", "role"))
