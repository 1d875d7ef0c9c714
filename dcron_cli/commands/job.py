"""`dcron job`: list, show, run and remove jobs. What changes them: job_change, job_pause."""

from __future__ import annotations

from typing import Any

import click

from dcron_cli.commands.job_change import add, edit
from dcron_cli.commands.job_pause import pause, resume
from dcron_cli.errors import CliError
from dcron_cli.output import Column, key, note, say, short, show_json, show_list, show_record
from dcron_cli.params import (
    DURATION,
    confirm,
    job_argument,
    label_option,
    limit_option,
    yes_option,
)
from dcron_cli.session import Session, json_option, pass_session, profile_option

COLUMNS = [
    key("id"),
    key("name", cut=True),
    Column("status", lambda one: "paused" if one["paused"] else one["status"]),
    key("schedule", cut=True),
    key("worker", cut=True),
    Column("next", lambda one: short(one["next_run_at"])),
    Column("last", lambda one: one["last_run"] and one["last_run"]["state"]),
]
_FIRST = ("id", "name", "status", "type", "executable", "schedule", "timezone", "next_run_at")


@click.group()
def job() -> None:
    """Make, show, change, pause, run and remove jobs. JOB is an id or a name."""


for _command in (add, edit, pause, resume):
    job.add_command(_command)


@job.command(name="list")
@click.option("--status", type=click.Choice(["scheduled", "finished", "error"]))
@click.option("--type", "kind", type=click.Choice(["command", "script", "binary"]))
@click.option("--owner", metavar="USER")
@click.option("--team")
@click.option("--worker", help="That are on this worker.")
@click.option("--run-as", metavar="USER", help="As which OS user they run.")
@click.option("--paused/--not-paused", default=None)
@label_option
@click.option("--text", metavar="TEXT", help="That this text is found in.")
@click.option("--sort", metavar="KEY", help="id, name, status or updated_at; -KEY: from the end.")
@click.option("--removed", is_flag=True, help="Those that were removed.")
@limit_option
@click.option("--all", "everything", is_flag=True, help="All, however many.")
@json_option
@profile_option
@pass_session
def listed(session: Session, /, limit: int, everything: bool, **given: Any) -> None:
    """Jobs, those that were not removed; options narrow it down."""
    params = {
        "status": given["status"],
        "type": given["kind"],
        "owner": given["owner"],
        "team": given["team"],
        "worker": given["worker"],
        "run_as": given["run_as"],
        "paused": _flag(given["paused"]),
        "label": [f"{name}={value}" for name, value in given["labels"]],
        "q": given["text"],
        "sort": given["sort"],
        "removed": _flag(given["removed"]),
    }
    found = session.client.listed("/jobs", params, None if everything else limit)
    show_list(found.items, COLUMNS, as_json=session.as_json, none="no such job")
    if found.more:
        note(f"(the first {limit}; more by --limit or --all)")


def _flag(value: bool | None) -> str | None:
    return None if value is None else str(value).lower()


@job.command()
@job_argument
@json_option
@profile_option
@pass_session
def show(session: Session, /, job: str) -> None:
    """All that is known of JOB."""
    from dcron_cli.lookup import find_job

    show_record(find_job(session.client, job), as_json=session.as_json, first=_FIRST)


@job.command()
@job_argument
@yes_option
@json_option
@profile_option
@pass_session
def rm(session: Session, /, job: str, yes: bool) -> None:
    """Remove JOB for good; its runs stay readable until retention."""
    from dcron_cli.client import path
    from dcron_cli.lookup import etag, find_job, title

    found = find_job(session.client, job)
    confirm(f"remove {title(found)}, {found['schedule']}: {found['executable'][:60]}?", yes)
    removed = session.client.ask("DELETE", path("jobs", found["id"]), headers=etag(found)).json
    if session.as_json:
        show_json(removed)
    else:
        say(f"{title(found)} is removed")


@job.command(name="run")
@job_argument
@click.argument("arguments", nargs=-1)
@click.option("--wait", is_flag=True, help="Follow it to its end; exit code 0 if it succeeded.")
@click.option("--for", "patience", type=DURATION, help="How long to wait at most.")
@json_option
@profile_option
@pass_session
def run_now(
    session: Session, /, job: str, arguments: tuple[str, ...], wait: bool, patience: int | None
) -> None:
    """Run JOB now; ARGUMENTS take the place of its own: dcron job run backup -- --full."""
    from dcron_cli.following import ask_for_run
    from dcron_cli.lookup import find_job, title
    from dcron_cli.wording import plain

    found = find_job(session.client, job)
    body = {"arguments": list(arguments)} if arguments else None
    asked = ask_for_run(session, found, body)
    for one in asked["failed"]:
        note(f"{one['worker']} could not be asked: {plain(one['reason'])}")
    if wait:
        _wait(session, found["id"], asked, patience)
    elif session.as_json:
        show_json(asked)
    else:
        for one in asked["runs"]:
            say(f"{title(found)}: run {one['run_id']} on {one['worker']}")


def _wait(session: Session, job_id: str, asked: dict[str, Any], patience: int | None) -> None:
    """Follow every run that was asked for. CliError unless all succeeded."""
    from dcron_cli.following import begun, ended, show_output, verdict

    until = None if patience is None else session.clock.boot() + patience
    results = []
    for one in asked["runs"]:
        run = begun(session, job_id, one["run_id"], until)
        if not session.as_json and patience is None:
            try:
                show_output(session, run, follow=True, raw=False)
            except CliError as error:  # how it ends can be told all the same
                note(f"its output is followed no more: {error.message}")
        run = ended(session, run, until)
        if not session.as_json:
            if patience is not None:
                show_output(session, run, follow=False, raw=False)
            note(verdict(run))
        results.append(run)
    if session.as_json:
        show_json(results[0] if len(results) == 1 else results)
    bad = [one for one in results if one["state"] != "succeeded"]
    if bad:
        raise CliError("; ".join(f"run {one['id']} {one['state']}" for one in bad))
    if asked["failed"]:
        raise CliError("not every worker could be asked")
