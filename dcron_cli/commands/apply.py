"""`dcron apply`: jobs as a YAML file says. Plan, confirm, apply.

The cluster says itself what each job would become (a dry run), so that defaults and refusals are
its own. Each step is bound to the job as it was planned: what somebody changed, made or removed in
between is noticed, and nothing of it is overwritten.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dcron_cli.errors import CliError, Misused, NotAllowed, Unreachable
from dcron_cli.output import say, show_json
from dcron_cli.params import PAIR, confirm, yes_option
from dcron_cli.progress import counted
from dcron_cli.session import Session, json_option, pass_session, profile_option

if TYPE_CHECKING:
    from dcron_cli.client import Client
    from dcron_cli.jobfile import Wanted
    from dcron_cli.plan import Step


@click.command()
@click.option(
    "--file",
    "-f",
    "source",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="YAML: jobs:, a list; docs/cli.md has an example.",
)
@click.option("--prune", is_flag=True, help="Remove jobs that carry --label and are not in FILE.")
@click.option("--label", "labels", type=PAIR, multiple=True, help="For --prune; may be repeated.")
@yes_option
@click.option("--dry-run", is_flag=True, help="Show the plan, and do nothing.")
@json_option
@profile_option
@pass_session
def apply(
    session: Session,
    /,
    source: Path,
    prune: bool,
    labels: tuple[tuple[str, str], ...],
    yes: bool,
    dry_run: bool,
) -> None:
    """Make jobs as FILE says, found again by their names; jobs it does not name are left alone."""
    from dcron_cli import plan
    from dcron_cli.jobfile import read_jobs

    if prune != bool(labels):
        raise Misused("--prune and --label KEY=VALUE go together: only labelled jobs are removed")
    wanted = read_jobs(source)
    present = session.client.listed("/jobs", {"removed": "false"}, None).items
    steps = planned(session.client, wanted, present)
    if prune:
        steps += plan.removals(present, dict(labels), wanted)
    todo = plan.pending(steps)
    if not session.as_json:
        for line in plan.lines(steps):
            say(line)
    if todo and not dry_run:
        confirm(f"do these {len(todo)}?", yes)
        carry_out(session.client, todo)
    if session.as_json:
        show_json({"applied": not dry_run, "steps": [step.json() for step in steps]})
    elif todo and not dry_run:
        say(f"done: {len(todo)}")


def planned(client: Client, wanted: Sequence[Wanted], present: Sequence[Any]) -> list[Step]:
    """A step for each wanted job. CliError names every job that is refused."""
    from dcron_cli.plan import compared

    by_name = {job["name"]: job for job in present if job["name"] is not None}
    steps: list[Step] = []
    refused: list[tuple[str, str]] = []
    for one in counted("planning", wanted):
        there = by_name.get(one.name)
        body = one.body(there)
        params = {"name": one.name, "dry_run": "true"}
        try:
            after = client.ask("PUT", "/jobs", body, params=params).json
        except (NotAllowed, Unreachable):
            raise
        except CliError as error:
            refused += [(f"{one.name}: {field}", why) for field, why in error.fields] or [
                (one.name, error.message)
            ]
        else:
            steps.append(compared(one, body, there, after))
    if refused:
        raise CliError("the cluster refuses this file, and nothing was done", refused)
    return steps


def carry_out(client: Client, steps: Sequence[Step]) -> None:
    """Do every step. CliError says how far it came."""
    for number, step in enumerate(counted("applying", steps)):
        try:
            _do(client, step)
        except CliError as error:
            then = f" ({number} of {len(steps)} were done; look at what has changed, apply again)"
            raise error.within(step.name, then) from error


def _do(client: Client, step: Step) -> None:
    from dcron_cli.client import path
    from dcron_cli.lookup import etag
    from dcron_cli.plan import Kind

    if step.kind is Kind.CREATE:
        # Not an upsert: a job that somebody made by this name in between is a conflict.
        once = {"Idempotency-Key": secrets.token_hex(16)}
        client.ask("POST", "/jobs", step.body, headers=once, repeatable=True)
        return
    assert step.present is not None  # noqa: S101 - for the types: only new jobs have none
    match = etag(step.present)
    if step.kind is Kind.REMOVE:
        client.ask("DELETE", path("jobs", step.present["id"]), headers=match)
    else:
        client.ask("PUT", "/jobs", step.body, params={"name": step.name}, headers=match)
