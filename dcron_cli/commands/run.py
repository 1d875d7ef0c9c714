"""`dcron run`: what ran, what it wrote, and the end of what runs."""

from __future__ import annotations

from typing import Any

import click

from dcron_cli.output import (
    Column,
    instant,
    key,
    note,
    say,
    short,
    show_json,
    show_list,
    show_record,
)
from dcron_cli.params import confirm, job_argument, limit_option, yes_option
from dcron_cli.session import Session, json_option, pass_session, profile_option

STATES = (*("running", "succeeded", "failed", "timed_out", "killed", "lost", "skipped", "missed"),)
TRIGGERS = ("cron", "catch_up", "manual", "retry", "resume")
COLUMNS = [
    key("id"),
    key("job_id", "job"),
    Column("due", lambda one: short(one["scheduled_at"])),
    key("trigger"),
    key("state"),
    Column("exit", lambda one: one["exit_code"]),
    Column("took", lambda one: took(one)),
    key("worker", cut=True),
    key("reason", cut=True),
]
_run_argument = click.argument("run_id", metavar="[RUN]", required=False)


def took(run: Any) -> str | None:
    """How long a run took, in seconds, from its two instants."""
    from datetime import datetime

    if run["started_at"] is None or run["finished_at"] is None:
        return None
    begin, end = (datetime.fromisoformat(run[name]) for name in ("started_at", "finished_at"))
    return f"{(end - begin).total_seconds():.1f}s"


@click.group()
def run() -> None:
    """What ran. JOB is an id or a name; RUN is a run's id, the job's newest if left out."""


@run.command(name="list")
@click.argument("job", metavar="[JOB]", required=False)
@click.option("--state", type=click.Choice(STATES), multiple=True, help="May be repeated.")
@click.option("--trigger", type=click.Choice(TRIGGERS))
@click.option("--worker")
@click.option("--from", "since", metavar="TIME", help="Due after; ISO 8601 with an offset.")
@click.option("--to", "until", metavar="TIME", help="Due until.")
@limit_option
@json_option
@profile_option
@pass_session
def listed(session: Session, /, job: str | None, limit: int, **given: Any) -> None:
    """Runs of JOB, or of all jobs, the newest first."""
    from dcron_cli.client import path
    from dcron_cli.lookup import find_job

    params = {
        "state": list(given["state"]),
        "trigger": given["trigger"],
        "worker": given["worker"],
        "from": given["since"],
        "to": given["until"],
    }
    where = "/runs" if job is None else path("jobs", find_job(session.client, job)["id"], "runs")
    found = session.client.listed(where, params, limit)
    columns = COLUMNS if job is None else [one for one in COLUMNS if one.title != "job"]
    show_list(found.items, columns, as_json=session.as_json, none="no such run")
    if found.more:
        note(f"(the newest {limit}; more by --limit)")


@run.command()
@job_argument
@_run_argument
@json_option
@profile_option
@pass_session
def show(session: Session, /, job: str, run_id: str | None) -> None:
    """All that is known of a run."""
    from dcron_cli.lookup import find_job, find_run

    found = find_run(session.client, find_job(session.client, job), run_id)
    show_record(found, as_json=session.as_json)


@run.command()
@job_argument
@_run_argument
@click.option("--follow", "-f", is_flag=True, help="Until the run ends.")
@click.option("--raw", is_flag=True, help="Byte by byte, control characters included.")
@profile_option
@pass_session
def logs(session: Session, /, job: str, run_id: str | None, follow: bool, raw: bool) -> None:
    """What a run wrote: RUN, else the newest that has begun.

    All but lines and tabs is made visible, since a job's output could steer your terminal; --raw
    passes it on as it is, for a file or a program.
    """
    from dcron_cli.following import show_output
    from dcron_cli.lookup import find_job, written_run

    found = written_run(session.client, find_job(session.client, job), run_id)
    if found.instead is not None:
        note(f"({found.instead}; this is run {found.run['id']}, {_when(found.run)})")
    show_output(session, found.run, follow=follow, raw=raw)


def _when(run: Any) -> str:
    return f"{run['state'].replace('_', ' ')}, due at {instant(run['scheduled_at'])}"


@run.command()
@job_argument
@_run_argument
@yes_option
@json_option
@profile_option
@pass_session
def kill(session: Session, /, job: str, run_id: str | None, yes: bool) -> None:
    """End a run and what would follow it: the one that goes on, if RUN is left out."""
    from dcron_cli.client import path
    from dcron_cli.lookup import find_job, running, title

    found = find_job(session.client, job)
    if run_id is None:
        one = running(session.client, found)
        run_id = str(one["id"])
        confirm(f"end run {run_id} of {title(found)} on {one['worker']}?", yes)
    asked = session.client.post_once(path("jobs", found["id"], "runs", run_id, "kill"))
    if session.as_json:
        show_json(asked)
    else:
        say(f"{asked['runs'][0]['worker']} is asked to end run {run_id}")
