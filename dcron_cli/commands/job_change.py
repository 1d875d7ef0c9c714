"""`dcron job add` and `edit`."""

from __future__ import annotations

from typing import Any

import click

from dcron_cli.errors import Misused
from dcron_cli.jobfields import WRITABLE, body_of, field_options
from dcron_cli.output import say, show_json
from dcron_cli.params import job_argument
from dcron_cli.session import Session, json_option, pass_session, profile_option

_DRY = {"dry_run": "true"}
_dry_option = click.option("--dry-run", is_flag=True, help="Check and show, but do nothing.")


@click.command()
@field_options
@_dry_option
@json_option
@profile_option
@pass_session
def add(session: Session, /, dry_run: bool, **given: Any) -> None:
    """Make a job: --schedule, and one of --command, --script, --binary."""
    from dcron_cli.lookup import title

    body = body_of(given)
    if "executable" not in body:
        raise Misused("what shall it run? give --command TEXT, --script FILE or --binary FILE")
    if "schedule" not in body:
        raise Misused("when shall it run? give --schedule, such as --schedule '*/5 * * * *'")
    if dry_run:
        made = session.client.ask("POST", "/jobs", body, params=_DRY).json
    else:
        made = session.client.post_once("/jobs", body)
    if session.as_json:
        show_json(made)
    elif dry_run:
        say(f"it would be made; first run at {made['next_run_at']}")
    else:
        say(f"{title(made)} is made; next run at {made['next_run_at']}")


@click.command()
@job_argument
@field_options
@click.option("--no-label", multiple=True, metavar="KEY", help="Take a label away; repeat it.")
@click.option("--no-env", multiple=True, metavar="KEY", help="Take a variable away; repeat it.")
@click.option(
    "--unset", multiple=True, type=click.Choice(WRITABLE), metavar="FIELD", help="To its default."
)
@_dry_option
@json_option
@profile_option
@pass_session
def edit(
    session: Session, /, job: str, dry_run: bool, unset: tuple[str, ...], **given: Any
) -> None:
    """Change JOB by options; without any, in $EDITOR as YAML.

    --label, --env and --worker-label are added to those it has; --argument and --secret take the
    place of all. A change that somebody else made meanwhile is not overwritten; in the editor you
    go on on top of it.
    """
    from dcron_cli.editing import edited
    from dcron_cli.lookup import find_job, title

    found = find_job(session.client, job)
    body = {**body_of(given, found), **dict.fromkeys(unset)}
    if body:
        changed = _patch(session, found, body, dry_run)
    else:
        client = session.client
        found, changed = edited(client, found, lambda at, new: _patch(session, at, new, dry_run))
    if session.as_json:
        show_json(changed)
    elif dry_run:
        say(f"{title(found)} would be changed")
    elif changed["revision"] == found["revision"]:
        say(f"{title(found)} is like that already")
    else:
        say(f"{title(found)} is changed; next run at {changed['next_run_at'] or '-'}")


def _patch(
    session: Session, found: dict[str, Any], body: dict[str, Any], dry_run: bool
) -> dict[str, Any]:
    from dcron_cli.client import path
    from dcron_cli.lookup import etag

    params = _DRY if dry_run else None
    where = path("jobs", found["id"])
    return dict(session.client.ask("PATCH", where, body, params=params, headers=etag(found)).json)
